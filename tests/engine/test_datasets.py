"""Scans of folders as people have them: everything in them is used, or skipped for a reason."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from distill_engine.atomic import TEMPORARY_PREFIX
from distill_engine.audio.checks import check_recording
from distill_engine.audio.io import write_recording
from distill_engine.datasets import Scan, describe, plain_data, scan
from distill_engine.errors import DatasetError, StopRequestedError
from distill_engine.words import duration, shown
from tests.engine.recordings import cut, good, sound


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("DISTILL_HOME", str(folder))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "set"
    path.mkdir()
    return path


def filled(folder: Path, count: int = 3) -> Path:
    for number in range(count):
        good(folder / f"{number}.wav", seed=number)
    return folder


def names(found: Scan) -> list[str]:
    return [recording.name for recording in found.used]


def reasons(found: Scan) -> dict[str, str]:
    return {recording.name: recording.problem for recording in found.skipped}


def warnings(found: Scan) -> dict[str, Sequence[str]]:
    return {recording.name: recording.warnings for recording in found.used if recording.warnings}


def test_of_a_folder_of_every_mishap_the_good_are_used_and_each_other_gets_its_reason(folder: Path) -> None:
    filled(folder, 5)
    cut(good(folder / "cut.wav"))
    (folder / "notes.wav").write_text("Remember to record the rain.\n")
    (folder / ".wav").write_text("a slip")
    good(folder / "nan.wav")
    content = (folder / "nan.wav").read_bytes()
    (folder / "nan.wav").write_bytes(content[:-4] + np.float32(np.nan).tobytes())
    write_recording(folder / "silent.wav", np.zeros(9_000), 48_000)
    (folder / "empty.wav").touch()
    (folder / "x.wav").mkdir()
    (folder / "loop.wav").symlink_to("loop.wav")
    (folder / "gone.wav").symlink_to("nowhere.wav")
    (folder / "song.m4a").write_bytes(b"....ftypM4A")
    found = scan(folder)
    assert names(found) == ["0.wav", "1.wav", "2.wav", "3.wav", "4.wav"]
    assert reasons(found) == {
        ".wav": "hidden: its name starts with a dot",
        "cut.wav": "truncated: its header promises 48,000 bytes of sound, 28,768 are there",
        "empty.wav": "unreadable: the file is empty",
        "gone.wav": "a broken link",
        "loop.wav": "a link that leads to itself",
        "nan.wav": "it holds samples that aren't finite numbers (NaN or infinity)",
        "notes.wav": "unreadable: it holds text, not sound",
        "silent.wav": "silent: every sample has the same value",
        "song.m4a": "Distill doesn't read M4A files; convert it to WAV or FLAC",
        "x.wav": "a folder, not a recording",
    }
    assert found.seconds == pytest.approx(5 * 0.25)


def test_found_is_used_and_skipped_in_words_and_in_data(folder: Path) -> None:
    filled(folder)
    (folder / "empty.wav").touch()
    shutil.copy(folder / "0.wav", folder / "copy.wav")
    found = scan(folder)
    words = describe(found)
    assert words.startswith(f"5 recordings found in {folder}: 4 used, 1 skipped.\nTo train on: 1.0 s of sound, all at")
    assert "\n  empty.wav: unreadable: the file is empty\n" in words
    assert words.endswith("  copy.wav: exact duplicate of 0.wav")
    data = json.loads(json.dumps(plain_data(found)))
    assert data["found"] == 5 == data["used"] + len(data["skipped"])
    assert len(data["recordings"]) == data["used"]
    assert data["skipped"] == [{"file": "empty.wav", "reason": "unreadable: the file is empty"}]
    assert data["warnings"] == [{"file": "copy.wav", "warning": "exact duplicate of 0.wav"}]


def test_hidden_files_below_are_left_out_and_a_hidden_folder_above_doesnt_matter(tmp_path: Path) -> None:
    folder = filled(tmp_path / ".hidden" / "set")
    good(folder / ".secret.wav")
    good(folder / ".trash" / "old.wav")
    good(folder / f"{TEMPORARY_PREFIX}0.wav")
    found = scan(folder)
    assert names(found) == ["0.wav", "1.wav", "2.wav"]
    assert found.skipped == ()


def test_folders_are_entered_in_the_order_of_names_even_if_named_like_a_recording(folder: Path) -> None:
    good(folder / "b" / "deep" / "1.flac")
    good(folder / "a.wav" / "2.WAV", seed=1)
    good(folder / "c.ogg", seed=2)
    (folder / "readme.txt").touch()
    found = scan(folder)
    assert names(found) == ["a.wav/2.WAV", "b/deep/1.flac", "c.ogg"]
    assert reasons(found) == {"a.wav": "a folder, not a recording"}
    assert found.other_files == 1


def test_links_to_folders_are_followed_once_and_loops_end(folder: Path, tmp_path: Path) -> None:
    good(folder / "z" / "own.wav")
    (folder / "a").symlink_to("z")
    (folder / "z" / "up").symlink_to("..")
    (folder / "z" / "root").symlink_to("/")
    good(tmp_path / "elsewhere" / "far.wav", seed=1)
    (tmp_path / "elsewhere" / "back").symlink_to(folder)
    (folder / "one").symlink_to(tmp_path / "elsewhere")
    (folder / "two").symlink_to(tmp_path / "elsewhere")
    found = scan(folder)
    assert names(found) == ["one/far.wav", "z/own.wav"]
    assert found.skipped == ()


def test_what_distill_wrote_is_no_part_of_a_dataset(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(folder, 1)
    monkeypatch.setenv("DISTILL_HOME", str(folder / "distill"))
    good(folder / "distill" / "state" / "runs" / "a" / "previews" / "1.wav")
    good(folder / "distill" / "cache" / "1.wav")
    good(folder / "distill" / "data" / "models" / "1.wav")
    run = folder / "moved-run"
    good(run / "previews" / "1.wav")
    (run / "run.json").touch()
    (run / "events.jsonl").touch()
    assert names(scan(folder)) == ["0.wav"]


def test_a_dataset_inside_distills_own_folders_is_scanned_when_named(home: Path) -> None:
    assert names(scan(filled(home / "data" / "recordings", 1))) == ["0.wav"]


@pytest.mark.parametrize("name", ["missing", "file"])
def test_what_is_no_folder_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match=name):
        scan(tmp_path / name)


def test_what_may_not_be_read_gets_a_reason(folder: Path) -> None:
    good(folder / "a.wav").chmod(0)
    if os.access(folder / "a.wav", os.R_OK):
        pytest.skip("this user may read everything")
    good(folder / "locked" / "b.wav").parent.chmod(0)
    found = scan(folder)
    (folder / "locked").chmod(0o700)
    assert reasons(found) == {"a.wav": "unreadable: permission denied"}
    assert found.notes == ("the folder locked was left out, it can't be read: permission denied",)


def test_an_exact_duplicate_names_the_first_of_its_kind(folder: Path) -> None:
    good(folder / "b.wav")
    good(folder / "a.wav")
    good(folder / "sub" / "c.wav")
    good(folder / "d.wav", seed=1)
    duplicate = ("exact duplicate of a.wav",)
    assert warnings(scan(folder)) == {"b.wav": duplicate, "sub/c.wav": duplicate}


def test_one_odd_rate_among_many_is_told_and_an_even_mix_is_not(folder: Path) -> None:
    filled(folder)
    good(folder / "odd.wav", seed=9, rate=22_050)
    assert warnings(scan(folder)) == {"odd.wav": ("odd rate: 22,050 Hz, where most have 48,000 Hz",)}
    good(folder / "even.wav", seed=10, rate=22_050)
    good(folder / "even2.wav", seed=11, rate=22_050)
    assert warnings(scan(folder)) == {}


def test_progress_counts_every_file_and_a_stop_keeps_what_was_found(folder: Path, tmp_path: Path) -> None:
    filled(folder)
    (folder / "empty.wav").touch()
    seen: list[tuple[int, int, str]] = []
    with pytest.raises(StopRequestedError):
        scan(
            folder,
            cache=tmp_path / "cache",
            on_progress=lambda *step: seen.append(step),
            should_stop=lambda: len(seen) > 1,
        )
    assert seen == [(1, 4, "0.wav"), (2, 4, "1.wav")]
    (index,) = (tmp_path / "cache" / "scans").iterdir()
    assert list(json.loads(index.read_text())["entries"]) == ["0.wav", "1.wav"]


SECOND_SCAN = """
import sys
from pathlib import Path
from distill_engine.datasets import describe, scan
print(describe(scan(Path(sys.argv[1]), cache=Path(sys.argv[2]))))
print([name for name in ("numpy", "soundfile", "torch", "torchaudio") if name in sys.modules])
"""


def scan_elsewhere(folder: Path, cache: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SECOND_SCAN, str(folder), str(cache)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_second_scan_of_an_unchanged_folder_says_the_same_and_decodes_nothing(folder: Path, tmp_path: Path) -> None:
    filled(folder)
    write_recording(folder / "silent.wav", np.zeros(9_000), 48_000)
    first = scan(folder, cache=tmp_path / "cache")
    assert scan(folder, cache=tmp_path / "cache") == first
    words, _ = scan_elsewhere(folder, tmp_path / "cache").communicate()
    assert words == f"{describe(first)}\n[]\n"


def test_a_file_that_changed_is_looked_at_again_even_with_its_old_size_and_date(folder: Path, tmp_path: Path) -> None:
    filled(folder)
    before = (folder / "0.wav").stat()
    scan(folder, cache=tmp_path / "cache")
    write_recording(folder / "0.wav", np.zeros(12_000), 48_000)
    os.utime(folder / "0.wav", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (folder / "0.wav").stat().st_size == before.st_size
    assert reasons(scan(folder, cache=tmp_path / "cache")) == {"0.wav": "silent: every sample has the same value"}


@pytest.mark.parametrize(
    ("old", "new"),
    [('"channels": 1', '"channels": 2'), ('"channels": 1', '"channels": "1"'), ('{"version"', "{"), ("0.wav", "\\u12")],
)
def test_a_damaged_index_is_told_and_made_anew(folder: Path, tmp_path: Path, old: str, new: str) -> None:
    first = scan(filled(folder), cache=tmp_path / "cache")
    (index,) = (tmp_path / "cache" / "scans").iterdir()
    index.write_text(index.read_text().replace(old, new, 1))
    again = scan(folder, cache=tmp_path / "cache")
    assert again.recordings == first.recordings
    assert again.notes == ("the index of earlier scans was damaged; every recording was checked anew",)
    assert "Note: the index of earlier scans was damaged" in describe(again)
    assert scan(folder, cache=tmp_path / "cache").notes == ()


def test_an_index_of_another_version_of_the_checks_isnt_believed(folder: Path, tmp_path: Path) -> None:
    first = scan(filled(folder), cache=tmp_path / "cache")
    (index,) = (tmp_path / "cache" / "scans").iterdir()
    index.write_text(json.dumps({"version": 0, "entries": {"0.wav": "whatever"}}))
    assert scan(folder, cache=tmp_path / "cache") == first
    assert json.loads(index.read_text())["version"] > 0


def test_verdicts_that_cant_be_kept_dont_stop_a_scan(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    found = scan(filled(folder), cache=tmp_path / "cache")
    assert len(found.used) == 3
    assert "couldn't be kept" in found.notes[0] or "can't be read" in found.notes[0]


def test_two_processes_that_scan_one_folder_dont_harm_each_other(folder: Path, tmp_path: Path) -> None:
    filled(folder, 8)
    running = [scan_elsewhere(folder, tmp_path / "cache") for _ in range(2)]
    answers = [process.communicate()[0].splitlines()[0] for process in running]
    assert answers == [f"8 recordings found in {folder}: 8 used, 0 skipped."] * 2
    again = scan(folder, cache=tmp_path / "cache")
    assert len(again.used) == 8
    assert again.notes == ()


def test_names_of_any_bytes_are_scanned_kept_and_safe_to_print(folder: Path, tmp_path: Path) -> None:
    good(folder / "line\nbreak \x1b[31m.wav")
    good(folder / "not utf-8 \udcff.wav", seed=1)
    (folder / "雨 \u202ereversed.wav").touch()
    found = scan(folder, cache=tmp_path / "cache")
    assert scan(folder, cache=tmp_path / "cache").used == found.used
    assert len(found.used) == 2
    words = describe(found) + "".join(shown(recording.name) for recording in found.recordings)
    assert "\x1b" not in words.encode().decode()
    assert r"line\nbreak \x1b[31m.wav" in words
    assert r"not utf-8 \xff.wav" in words
    assert r"雨 \u202ereversed.wav" in words
    assert r"not utf-8 \xff.wav" in json.dumps(plain_data(found), ensure_ascii=False).encode().decode().replace(
        "\\\\", "\\"
    )


def test_an_empty_folder_holds_nothing_and_says_so(folder: Path) -> None:
    (folder / "readme.txt").touch()
    found = scan(folder)
    assert (found.recordings, found.seconds) == ((), 0)
    assert describe(found).endswith("0 used, 0 skipped.\n1 other file there, none of them named like a recording.")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.42, "0.4 s"), (59.97, "1 min 00 s"), (185, "3 min 05 s"), (3_725, "1 h 02 min")]
)
def test_lengths_are_told_as_a_person_reads_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_all_real_recordings_are_used(corpus: Path, tmp_path: Path) -> None:
    found = scan(corpus, cache=tmp_path / "cache")
    assert len(found.used) == 30
    assert found.skipped == ()
    assert found.notes == ()


def test_a_long_recording_takes_no_more_memory_than_a_short_one(folder: Path) -> None:
    import tracemalloc

    write_recording(folder / "long.wav", np.tile(sound(48_000), (60, 1)), 48_000, subtype="PCM_16")
    check_recording(folder / "long.wav")  # whatever is imported on use is imported now
    tracemalloc.start()
    check_recording(folder / "long.wav")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000
