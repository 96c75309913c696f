"""A scanned folder becomes spectrograms that are found again, split by source, and never made twice or by halves."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from distill_engine import datasets
from distill_engine.atomic import TEMPORARY_PREFIX, remove_abandoned, replacing, temporary_beside
from distill_engine.audio import cache as cache_files
from distill_engine.audio.activity import FrameLevels, active_runs, runs_within
from distill_engine.audio.cache import cache_summary, clear_cache
from distill_engine.audio.preprocessing import (
    CACHE_VERSION,
    PreparedCorpus,
    PreparedItem,
    preprocess_complex_spectrograms,
)
from distill_engine.audio.spectrogram import AUDIBLE_FLOOR, MAGNITUDE_FLOOR, analyse
from distill_engine.audio.waveform import load_waveform
from distill_engine.errors import DatasetError, DistillError, StopRequestedError
from distill_engine.split import split_recordings
from distill_engine.training.config import AugmentationConfig, ComplexSpectrogramConfig, TrainingConfig
from distill_engine.training.dataset import create_complex_data_loaders

_RATE = 44_100
_SPECTROGRAM = ComplexSpectrogramConfig()
_CONFIG = TrainingConfig(augmentation=AugmentationConfig(copies=1))


def _tone(seconds: float, hertz: float, level: float = 0.3) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    time_axis = np.arange(round(seconds * _RATE)) / _RATE
    return (level * np.sin(2 * np.pi * hertz * time_axis) * (1 + 0.5 * np.sin(5 * time_axis))).astype(np.float32)


def _write(path: Path, samples: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whole numbers: into a float WAV libsndfile writes the time of day, and the split depends on the file's content.
    soundfile.write(path, samples, _RATE, "PCM_24")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five tones of about 1.5 s."""
    for index in range(5):
        _write(tmp_path / "sounds" / f"{index}.wav", _tone(1.5 + 0.1 * index, 220 * (index + 1)))
    return tmp_path / "sounds"


def _prepare(folder: Path, config: TrainingConfig = _CONFIG) -> PreparedCorpus:
    return preprocess_complex_spectrograms(datasets.scan(folder), config, folder.parent / "cache")


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    found = (folder.parent / "cache" / cache_files.SPECTROGRAMS).iterdir()
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def _contents(cache: Path) -> dict[str, bytes]:
    return {str(path.relative_to(cache)): path.read_bytes() for path in sorted(cache.rglob("*")) if path.is_file()}


def _raw(item: PreparedItem) -> Tensor:
    entry = item.entry
    values = np.fromfile(entry.path, np.float16, entry.frames * 2 * entry.n_mels, offset=cache_files.HEADER_BYTES)
    return torch.from_numpy(values.reshape(entry.frames, 2, entry.n_mels).astype(np.float32)).permute(1, 2, 0)


def _names(items: tuple[PreparedItem, ...]) -> set[str]:
    return {item.recording.name for item in items}


def test_the_cache_holds_the_raw_spectrogram_of_the_whole_recording(folder: Path) -> None:
    for item in _prepare(folder).training:
        if item.copy == 0:
            whole = analyse(load_waveform(item.recording.path), _SPECTROGRAM)
            assert _raw(item).shape == whole.shape
            assert torch.allclose(_raw(item), whole, atol=0.005)


def test_the_version_of_the_cache_stands_for_this_analysis() -> None:
    """Where this fails the analysis has changed: raise CACHE_VERSION, or old spectrograms mix with new ones."""
    time_axis = torch.arange(24_000, dtype=torch.float64) / 48_000
    harmonics = torch.stack([torch.sin(2 * torch.pi * 397 * number * time_axis) for number in range(1, 60)])
    found = analyse((0.01 * harmonics.sum(dim=0)).float(), _SPECTROGRAM)[:, 56::16, 20]
    expected = {4: [[-6.137, -9.619, -4.762, -4.671, -4.416], [0.712, -0.485, 0.229, -0.062, 0.065]]}
    assert torch.allclose(found, torch.tensor(expected[CACHE_VERSION]), atol=0.002)


def test_a_cache_file_opens_with_any_reader_of_safetensors(folder: Path) -> None:
    from safetensors.numpy import load_file

    item = _prepare(folder).training[0]
    tensors = load_file(item.entry.path)
    assert tensors["spectrogram"].shape == (item.entry.frames, 2, 128)
    assert tensors["active"].tolist() == [list(run) for run in item.runs]
    above = (_raw(item)[0] - AUDIBLE_FLOOR).clamp(min=0)
    assert np.allclose(tensors["sums"][:, 0], above.sum(dim=0), rtol=1e-3)
    assert np.array_equal(tensors["sums"], cache_files.read_sums(item.entry))


def test_a_second_run_makes_nothing_and_gives_the_same(folder: Path) -> None:
    first = _prepare(folder)
    before = _files(folder)
    second = _prepare(folder)
    assert (first.made, first.reused) == (len(before), 0)
    assert (second.made, second.reused) == (0, len(before))
    assert _files(folder) == before
    assert dataclasses.replace(second, made=first.made, reused=0) == first


def test_one_changed_file_has_only_its_own_spectrograms_made_anew(folder: Path) -> None:
    config = dataclasses.replace(_CONFIG, val_fraction=0.0)
    assert _prepare(folder, config).made == 10
    before = _files(folder)
    _write(folder / "3.wav", _tone(1.2, 3000))
    assert _prepare(folder, config).made == 2
    after = _files(folder)
    assert len(after) == 12
    assert {name: after[name] for name in before} == before


def test_other_augmentation_makes_only_the_copies_anew(folder: Path) -> None:
    _prepare(folder)
    before = _files(folder)
    other = _prepare(folder, dataclasses.replace(_CONFIG, augmentation=AugmentationConfig(copies=1, gain_db=6.0)))
    assert (other.made, other.reused) == (4, 5)
    more = _prepare(folder, dataclasses.replace(_CONFIG, augmentation=AugmentationConfig(copies=2)))
    assert (more.made, more.reused) == (4, 9)
    assert {name: _files(folder)[name] for name in before} == before


@pytest.mark.parametrize("change", [{"n_mels": 64}, {"hop_length": 1024}, {"if_masking_threshold": -60.0}])
def test_another_representation_has_files_of_its_own(folder: Path, change: dict[str, float]) -> None:
    first = _prepare(folder)
    other = _prepare(folder, dataclasses.replace(_CONFIG, complex_spectrogram=ComplexSpectrogramConfig(**change)))  # type: ignore[arg-type]
    assert (other.made, other.reused) == (first.made, 0)


def test_settings_of_training_alone_change_no_spectrogram(folder: Path) -> None:
    _prepare(folder)
    assert _prepare(folder, dataclasses.replace(_CONFIG, batch_size=4, latent_dim=8)).made == 0


def test_a_renamed_file_is_known_by_its_content(folder: Path) -> None:
    _prepare(folder)
    (folder / "1.wav").rename(folder / "other name.wav")
    assert _prepare(folder).made == 0


@pytest.mark.parametrize("damage", ["cut short", "longer", "another header", "emptied", "nonsense header"])
def test_a_damaged_spectrogram_is_made_anew(folder: Path, damage: str) -> None:
    first = _prepare(folder)
    victim, other = first.training[0].entry.path, first.training[1].entry.path
    whole = victim.read_bytes()
    damaged = {
        "cut short": whole[:-1],
        "longer": whole + b"\0",
        "another header": other.read_bytes(),
        "emptied": b"",
        "nonsense header": bytes(range(256)) * 8 + whole[2048:],
    }[damage]
    victim.write_bytes(damaged)
    assert _prepare(folder).made == 1
    assert victim.read_bytes() == whole


def test_no_recording_is_on_both_sides_and_only_training_has_copies(folder: Path) -> None:
    shutil.copy(folder / "0.wav", folder / "twin of 0.wav")
    for seed in range(8):
        corpus = _prepare(folder, dataclasses.replace(_CONFIG, seed=seed, val_fraction=0.4))
        digests = [{item.recording.digest for item in side} for side in (corpus.training, corpus.validation)]
        assert not digests[0] & digests[1]
        assert len(digests[1]) == 2
        assert all(item.copy == 0 for item in corpus.validation)
        assert ("0.wav" in _names(corpus.training)) == ("twin of 0.wav" in _names(corpus.training))
        assert not corpus.split_by_time


def test_the_split_has_about_the_share_asked_for_and_never_none_nor_all(folder: Path) -> None:
    recordings = datasets.scan(folder).used
    for fraction, wanted in ((0.01, 1), (0.1, 1), (0.4, 2), (0.5, 2), (0.0, 0)):
        training, validation = split_recordings(recordings, 0, fraction)
        assert len(validation) == wanted
        assert sorted((*training, *validation), key=lambda r: r.name) == list(recordings)
    assert len(split_recordings(recordings[:2], 0, 0.01)[1]) == 1
    assert len({split_recordings(recordings, seed, 0.2)[1] for seed in range(20)}) > 1
    assert split_recordings(recordings[::-1], 3, 0.2)[1] == split_recordings(recordings, 3, 0.2)[1]


def test_statistics_come_from_the_training_part_alone(folder: Path) -> None:
    corpus = _prepare(folder)
    above = torch.cat([(_raw(item)[0].flatten() - AUDIBLE_FLOOR).clamp(min=0) for item in corpus.training])
    assert corpus.normalisation.magnitude_floor == AUDIBLE_FLOOR
    assert corpus.normalisation.magnitude_scale == pytest.approx(above.square().mean().sqrt().item(), rel=1e-3)
    _write(next(item.recording.path for item in corpus.validation), _tone(1.0, 5000, level=0.9))
    training = [item.recording.name for item in corpus.training if item.copy == 0]
    for name in {recording.name for recording in datasets.scan(folder).used} - set(training):
        (folder / name).unlink()
    alone = _prepare(folder, dataclasses.replace(_CONFIG, val_fraction=0.0))
    assert alone.normalisation == corpus.normalisation


def test_copies_differ_from_their_source_and_a_gain_stays(folder: Path) -> None:
    gain_only = AugmentationConfig(copies=2, speed_percent=0.0, shift_ms=0.0, noise_db=-120.0, gain_db=6.0)
    corpus = _prepare(folder, dataclasses.replace(_CONFIG, augmentation=gain_only))
    sources = {item.recording.name: _raw(item)[0] for item in corpus.training if item.copy == 0}
    copies = [item for item in corpus.training if item.copy > 0]
    assert len(copies) == 8
    for item in copies:
        loud = sources[item.recording.name] > -4
        louder = (_raw(item)[0] - sources[item.recording.name])[loud].mean().item() * 20 / np.log(10)
        assert louder == pytest.approx(item.parameters.gain_db, abs=0.1)
        assert abs(louder) > 0.5


def test_silence_gives_no_frames_to_draw_from_and_noise_does_not_fill_it(tmp_path: Path) -> None:
    samples = np.concatenate((np.zeros(3 * _RATE, np.float32), _tone(2.0, 440), np.zeros(5 * _RATE, np.float32)))
    _write(tmp_path / "sounds" / "a.wav", samples)
    noisy = AugmentationConfig(copies=1, noise_db=-20.0, speed_percent=0.0, shift_ms=0.0)
    corpus = _prepare(tmp_path / "sounds", TrainingConfig(val_fraction=0.0, augmentation=noisy))
    assert len(corpus.training) == 2
    for item in corpus.training:
        ((start, stop),) = item.runs
        per_second = 48_000 / 512
        assert 2.9 * per_second < start < 3.0 * per_second
        assert 5.0 * per_second < stop < 5.2 * per_second


def test_a_recording_shorter_than_a_piece_is_filled_with_silence(tmp_path: Path) -> None:
    _write(tmp_path / "sounds" / "click.wav", _tone(0.1, 800))
    corpus = _prepare(tmp_path / "sounds", TrainingConfig(augmentation=AugmentationConfig(copies=0)))
    (item,) = corpus.training
    assert item.runs == ((0, 94),)
    assert item.entry.frames == 94
    assert (_raw(item)[0, :, 20:] <= MAGNITUDE_FLOOR + 0.01).all()
    assert not _raw(item)[1, :, 20:].any()


def test_one_recording_is_split_by_time_without_overlap(tmp_path: Path) -> None:
    _write(tmp_path / "sounds" / "a.wav", _tone(20.0, 440))
    shutil.copy(tmp_path / "sounds" / "a.wav", tmp_path / "sounds" / "b.wav")
    config = TrainingConfig(val_fraction=0.2, augmentation=AugmentationConfig(copies=3, shift_ms=500.0))
    corpus = _prepare(tmp_path / "sounds", config)
    assert corpus.split_by_time
    assert len(corpus.validation) == 2
    first = min(item.runs[0][0] for item in corpus.validation)
    assert first == pytest.approx(0.8 * corpus.validation[0].entry.frames, abs=2)
    for item in corpus.training:
        last_in_source = (item.runs[-1][1] * 512 - item.parameters.shift_samples) * float(item.parameters.speed) / 512
        assert first - 95 <= last_in_source + 2 <= first - 90
    assert any("last 20% of it" in note for note in corpus.notes)


def test_the_statistics_of_a_split_by_time_leave_its_end_out(tmp_path: Path) -> None:
    _write(tmp_path / "sounds" / "a.wav", np.concatenate((_tone(10.0, 440, 0.01), _tone(2.0, 440, 0.6))))
    corpus = _prepare(tmp_path / "sounds", TrainingConfig(val_fraction=0.2, augmentation=AugmentationConfig(copies=0)))
    (item,) = corpus.training
    ((start, stop),) = item.runs
    above = (_raw(item)[0, :, start:stop] - AUDIBLE_FLOOR).clamp(min=0)
    assert corpus.normalisation.magnitude_scale == pytest.approx(above.square().mean().sqrt().item(), rel=1e-3)


def test_one_short_recording_is_all_for_training_and_that_is_said(tmp_path: Path) -> None:
    _write(tmp_path / "sounds" / "a.wav", _tone(2.0, 440))
    corpus = _prepare(tmp_path / "sounds")
    assert corpus.validation == ()
    assert not corpus.split_by_time
    assert corpus.training[0].usable_frames == corpus.training[0].entry.frames
    assert any("no validation" in note for note in corpus.notes)
    assert create_complex_data_loaders(corpus, _CONFIG)[1] is None


def test_progress_names_every_spectrogram_in_turn(folder: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    preprocess_complex_spectrograms(
        datasets.scan(folder), _CONFIG, folder.parent / "cache", on_progress=lambda *call: calls.append(call)
    )
    assert [done for done, _, _ in calls] == list(range(1, 10))
    assert {total for _, total, _ in calls} == {9}
    assert {name for _, _, name in calls} == {f"{index}.wav" for index in range(5)}


def test_a_stop_ends_within_a_recording_and_keeps_what_was_finished(folder: Path) -> None:
    _write(folder / "9 long.wav", np.tile(_tone(1.0, 440), 200))
    spectrograms = folder.parent / "cache" / cache_files.SPECTROGRAMS
    asked_while_writing = 0

    def within_the_long_one() -> bool:
        nonlocal asked_while_writing
        finished = len(list(spectrograms.glob("[0-9a-f]*")))
        writing = finished >= 7 and any(spectrograms.glob(f"{TEMPORARY_PREFIX}*"))
        asked_while_writing += writing
        return asked_while_writing > 1

    with pytest.raises(StopRequestedError):
        preprocess_complex_spectrograms(
            datasets.scan(folder), _CONFIG, folder.parent / "cache", should_stop=within_the_long_one
        )
    kept = _files(folder)
    assert len(kept) >= 7
    assert not any(name.startswith(TEMPORARY_PREFIX) for name in kept)
    corpus = _prepare(folder)
    assert corpus.reused == len(kept)
    assert corpus.made > 0


def test_a_recording_that_isnt_what_the_scan_decoded_is_left_out_with_a_reason(folder: Path) -> None:
    scan = datasets.scan(folder)
    spoilt, gone, shorter, touched, _ = [recording.path for recording in scan.used]
    before, content = spoilt.stat(), bytearray(spoilt.read_bytes())
    content[-4:] = np.float32(np.nan).tobytes()
    spoilt.write_bytes(content)
    os.utime(spoilt, ns=(before.st_atime_ns, before.st_mtime_ns))
    gone.unlink()
    _write(shorter, _tone(0.7, 100))
    touched.touch()
    corpus = preprocess_complex_spectrograms(scan, _CONFIG, folder.parent / "cache")
    assert {(skipped.name, skipped.reason) for skipped in corpus.skipped} == {
        ("0.wav", "0.wav has changed since the folder was scanned"),
        ("1.wav", "1.wav has vanished since the folder was scanned"),
        ("2.wav", "2.wav has changed since the folder was scanned"),
    }
    assert {item.recording.name for item in (*corpus.training, *corpus.validation)} == {"3.wav", "4.wav"}


def test_nothing_left_to_train_on_is_an_error_with_the_reasons(folder: Path) -> None:
    scan = datasets.scan(folder)
    shutil.rmtree(folder)
    with pytest.raises(DatasetError, match="can be trained on") as refused:
        preprocess_complex_spectrograms(scan, _CONFIG, folder.parent / "cache")
    assert "0.wav" in refused.value.hint


def test_ranges_too_small_for_the_copies_asked_for_are_told(folder: Path) -> None:
    narrow = AugmentationConfig(copies=5, speed_percent=0.1, gain_db=0.0, shift_ms=0.0, noise_db=-120.0)
    corpus = _prepare(folder, dataclasses.replace(_CONFIG, augmentation=narrow))
    assert len(corpus.training) == 4 * 3
    assert corpus.notes == ("augmentation's ranges hold 2 copies that differ, not the 5 asked for",)


def test_a_cache_that_cannot_be_written_is_told_in_a_sentence(folder: Path) -> None:
    (folder.parent / "cache").write_text("a file where the cache should be")
    with pytest.raises(DistillError, match="cache can't be written"):
        _prepare(folder)


def test_the_bytes_are_the_same_in_every_cache_and_with_any_number_of_threads(folder: Path, tmp_path: Path) -> None:
    scan = datasets.scan(folder)
    threads = torch.get_num_threads()
    for number in (1, 2):
        torch.set_num_threads(number)
        preprocess_complex_spectrograms(scan, _CONFIG, tmp_path / f"cache {number}")
        assert torch.get_num_threads() == number
    torch.set_num_threads(threads)
    assert _contents(tmp_path / "cache 1") == _contents(tmp_path / "cache 2")


def test_two_processes_at_once_leave_one_sound_cache(folder: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from distill_engine import datasets\n"
        "from distill_engine.audio.preprocessing import preprocess_complex_spectrograms\n"
        "from distill_engine.training.config import AugmentationConfig, TrainingConfig\n"
        "config = TrainingConfig(augmentation=AugmentationConfig(copies=1))\n"
        "sys.stdin.readline()\n"
        "preprocess_complex_spectrograms(datasets.scan(Path(sys.argv[1])), config, Path(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", program, str(folder), str(tmp_path / "shared cache")]
    together = [subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for _ in range(2)]
    for process in together:
        process.communicate("go\n", timeout=120)
        assert process.returncode == 0
    _prepare(folder)
    assert _contents(tmp_path / "shared cache") == _contents(folder.parent / "cache")


def test_index_and_statistics_stand_beside_the_spectrograms(folder: Path) -> None:
    corpus = _prepare(folder)
    (index,) = (folder.parent / "cache" / cache_files.CORPORA).glob("*.index.json")
    content = json.loads(index.read_text())
    assert {item["file"] for side in ("training", "validation") for item in content[side]} == set(_files(folder))
    statistics = json.loads(index.with_name(index.name.replace("index", "statistics")).read_text())
    assert statistics["magnitude_scale"] == corpus.normalisation.magnitude_scale


def test_nothing_is_written_among_the_recordings(folder: Path) -> None:
    before = _contents(folder)
    _prepare(folder)
    assert _contents(folder) == before


def test_clearing_takes_the_caches_own_files_and_leaves_a_mapped_one_readable(folder: Path) -> None:
    corpus = _prepare(folder)
    cache = folder.parent / "cache"
    foreign = [cache / "scans.json", cache / cache_files.SPECTROGRAMS / "notes.txt", cache / "spectrograms.safetensors"]
    for path in foreign:
        path.write_text("mine")
    loader, _ = create_complex_data_loaders(corpus, _CONFIG)
    expected = next(loader.epoch(0))
    summary = cache_summary(cache)
    assert (summary.files, clear_cache(cache), cache_summary(cache).files) == (11, summary, 0)
    assert summary.bytes > 9 * 100 * 512
    assert set(_contents(cache)) == {str(path.relative_to(cache)) for path in foreign}
    assert torch.equal(next(loader.epoch(0)), expected)
    assert _prepare(folder).made == 9


def test_clearing_spares_a_file_being_written_and_removes_an_abandoned_one(tmp_path: Path) -> None:
    spectrograms = tmp_path / cache_files.SPECTROGRAMS
    spectrograms.mkdir()
    abandoned = temporary_beside(spectrograms / "a.safetensors")
    abandoned.write_bytes(b"half")
    foreign = spectrograms / ".distill-notes"
    foreign.write_text("mine")
    with replacing(spectrograms / "b.safetensors") as living:
        living.write_bytes(b"half")
        clear_cache(tmp_path)
        assert living.exists()
        assert foreign.exists()
        assert not abandoned.exists()


def test_where_a_file_system_has_no_locks_only_what_is_old_is_taken_for_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def has_no_locks(_descriptor: int, _kind: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", has_no_locks)
    young, old = temporary_beside(tmp_path / "a"), temporary_beside(tmp_path / "b")
    for path in (young, old):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    remove_abandoned(tmp_path)
    assert young.exists()
    assert not old.exists()


def test_a_cache_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert cache_summary(tmp_path / "none").files == clear_cache(tmp_path / "none").files == 0
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("samples", [0, 1, 255, 256, 511, 512, 5000])
def test_levels_have_a_frame_for_each_of_the_analysis(samples: int) -> None:
    levels = FrameLevels(512)
    for start in range(0, samples, 300):
        levels.push(torch.full((min(300, samples - start),), 0.1))
    found = levels.finish()
    assert len(found) == samples // 512 + 1
    if samples == 5000:
        assert found[1:-1] == pytest.approx(-20.0)


def test_only_silence_of_half_a_second_and_more_is_left_out() -> None:
    levels = np.full(1000, -20.0)
    levels[300:340] = -200.0
    levels[500:700] = -100.0
    assert active_runs(levels, _SPECTROGRAM) == ((0, 509), (695, 1000))


def test_a_quiet_recording_is_judged_by_its_own_loudest_frame() -> None:
    levels = np.full(600, -75.0)
    levels[200:400] = -120.0
    assert active_runs(levels, _SPECTROGRAM) == ((0, 209), (395, 600))
    assert active_runs(np.full(600, -100.0), _SPECTROGRAM) == ((0, 600),)


def test_runs_are_cut_to_a_range_and_widened_to_hold_a_piece() -> None:
    assert runs_within(((0, 100), (300, 310)), 0, 400, 94) == ((0, 100), (258, 352))
    assert runs_within(((0, 5),), 0, 400, 94) == ((0, 94),)
    assert runs_within(((395, 400),), 0, 400, 94) == ((306, 400),)
    assert runs_within(((0, 100), (300, 310)), 0, 200, 94) == ((0, 100),)
    assert runs_within(((10, 20), (60, 70)), 0, 400, 94) == ((0, 112),)
    assert runs_within(((0, 100),), 0, 93, 94) == ()
