"""Bad recordings: each is used, or skipped with a reason, and none hurts a scan, preparing or a run.

What scans is a process of its own, so that its memory can be measured, and the memory of the helper that decodes. A
decoder that crashes or hangs is made by a signal to that helper while it holds a certain file open.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from distill_engine.audio.io import write_recording
from distill_engine.words import shown
from tests.engine.program import Program
from tests.engine.recordings import good, sound
from tests.promises.bad_recordings import (
    longer_than_told,
    lying_headers,
    make_oddities,
    not_sound,
    odd_samples,
    originals,
    spoilt,
    write_all,
)
from tests.promises.trial import Figure, Size

PATIENCE_SECONDS = 4
LONGEST_SECONDS = 600
LONGEST_REASON = 200
MORE_MEMORY = 24_000
"""kB that bad files may take beyond good ones: a decoder's own tables, and what the allocator keeps."""

_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGKILL)

_SCAN = """
import ctypes, json, os, resource, sys
from pathlib import Path
from distill_engine.audio import check_process
from distill_engine.datasets import scan
from distill_engine.words import encodable
check_process.PATIENCE_SECONDS = float(sys.argv[2])
if os.geteuid() == 0:  # whatever root starts from here on may only read what others may
    assert [ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) for capability in (1, 2)] == [0, 0]
found = scan(Path(sys.argv[1]))
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
memory = [int(status["VmHWM"].split()[0]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]
reasons = {encodable(recording.name): recording.problem for recording in found.recordings}
print(json.dumps({"reasons": reasons, "notes": found.notes, "memory": memory}))
"""

_PREPARE = """
import json, sys
from pathlib import Path
from distill_engine.audio import check_process
from distill_engine.audio.preprocessing import preprocess_complex_spectrograms
from distill_engine.datasets import scan
from distill_engine.hushed import hush_libraries
from distill_engine.training.config import TrainingConfig, replaced
from distill_engine.words import encodable
hush_libraries()
check_process.PATIENCE_SECONDS = float(sys.argv[3])
found = scan(Path(sys.argv[1]))
config = replaced(TrainingConfig(), {"augmentation.copies": 1})
corpus = preprocess_complex_spectrograms(found, config, Path(sys.argv[2]))
prepared = {item.recording.name for item in (*corpus.training, *corpus.validation)}
reasons = {encodable(name): "" for name in prepared}
reasons |= {encodable(skipped.name): skipped.reason for skipped in (*corpus.skipped,)}
reasons |= {encodable(recording.name): recording.problem for recording in found.skipped}
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps({"reasons": reasons, "notes": [], "memory": [int(status["VmHWM"].split()[0])]}))
"""


class Found(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of a folder's files."""

    reasons: dict[str, str]
    """By name why it was skipped; "" where it was used."""
    notes: list[str]
    memory: list[int]
    """kB that processes took at most: the one that was started and, of a scan, the helper."""

    @property
    def used(self) -> set[str]:
        """The names of those used."""
        return {name for name, reason in self.reasons.items() if not reason}


@dataclass(frozen=True)
class _Told:
    """Something that runs, and what it says at its end."""

    process: subprocess.Popen[str]

    def found(self) -> Found:
        out, err = self.process.communicate(timeout=LONGEST_SECONDS)
        assert self.process.returncode == 0, f"it ended with {self.process.returncode}: {err}"
        assert not err, f"it said {err}"
        return msgspec.json.decode(out, type=Found)


def try_recordings(size: Size, scratch: Path) -> Iterator[Figure]:
    """Scan, prepare and train on all kinds of bad files, and let decoders crash and hang."""
    bad, whole, odd = scratch / "bad", scratch / "whole", scratch / "odd"
    for folder in (bad, whole, odd, scratch / "outside"):
        folder.mkdir()
    make_oddities(odd, scratch / "outside")
    oddities = _scanned(odd)  # the file that hangs its decoder takes a while
    count = _make_bad(bad, size)
    yield Figure(what="good recordings of all kinds, as a measure", count=_make_whole(whole))
    measure, found = _scanned(whole).found(), _scanned(bad).found()
    assert len(found.reasons) == count, f"of {count} files {len(found.reasons)} are accounted for"
    _check_reasons(found)
    yield Figure(what="bad files made and accounted for", count=count)
    yield Figure(what="of them used", count=len(found.used))
    yield Figure(what="skipped with a reason", count=count - len(found.used))
    assert _scanned(bad).found().reasons == found.reasons, "a second scan says something else of some file"
    yield from _memory("scan", measure, found)
    if size.whole:
        yield from _try_preparing(whole, bad, found, scratch)
    yield from _try_training(bad, found, scratch)
    yield from _try_crashes(scratch / "crashes", size)
    yield Figure(what="things that are no files, and odd names, accounted for", count=_check_oddities(oddities.found()))


def _make_bad(folder: Path, size: Size) -> int:
    every = size.of(13, 1)
    count = write_all(folder, spoilt(size.of(30, 2_000), np.random.default_rng(size.seed)))
    count += write_all(folder, iter([longer_than_told()]))
    for kind in (lying_headers(), odd_samples(), not_sound()):
        count += write_all(folder, itertools.islice(kind, None, None, every))
    return count


def _make_whole(folder: Path) -> int:
    return write_all(folder, ((f"{name}{suffix}", content) for name, (content, suffix) in originals().items()))


def _check_reasons(found: Found) -> None:
    for name, reason in found.reasons.items():
        assert reason == shown(reason), f"{name!r}: its reason {reason!r} isn't fit for a screen"
        assert len(reason) <= LONGEST_REASON, f"{name!r}: its reason {reason!r} is no sentence"
        assert not reason.endswith((".", ":", " ")), f"{name!r}: its reason {reason!r} doesn't end as a clause does"
        assert "crashed" not in reason, f"{name!r} crashed its decoder"


def _memory(what: str, measure: Found, found: Found) -> Iterator[Figure]:
    """Compare the most that bad files took with the most that good ones did, process by process."""
    for good_ones, bad_ones in zip(measure.memory, found.memory, strict=True):
        assert bad_ones <= good_ones + MORE_MEMORY, f"{what}: bad files took {bad_ones} kB, good ones {good_ones} kB"
    yield Figure(what=f"MB that a {what} took at most, with good files", count=max(measure.memory) // 1000)
    yield Figure(what=f"MB that a {what} took at most, with bad files", count=max(found.memory) // 1000)


def _check_oddities(found: Found) -> int:
    _check_reasons(found)
    for name in found.reasons:
        told = found.reasons[name]
        if name.endswith(" cut.wav"):
            assert told.startswith("truncated"), f"{name!r}: {told!r}"
        elif name not in _REASONS_OF_ODDITIES:
            assert not told, f"{name!r}: {told!r}"
    for name, reason in _REASONS_OF_ODDITIES.items():
        assert found.reasons[name] == reason, f"{name!r}: {found.reasons[name]!r}"
    return len(found.reasons)


_REASONS_OF_ODDITIES = {
    "folder.wav": "a folder, not a recording",
    "folder.flac": "a folder, not a recording",
    "pipe.wav": "a named pipe, not a recording",
    "link-to-pipe.wav": "a named pipe, not a recording",
    "s.wav": "a socket, not a recording",
    "zero.wav": "a device, not a recording",
    "random.flac": "a device, not a recording",
    "terminal.wav": "a device, not a recording",
    "memory.wav": "unreadable: input/output error",
    "loop.wav": "a link that leads to itself",
    "there.wav": "a link that leads to itself",
    "back.wav": "a link that leads to itself",
    "gone.wav": "a broken link",
    "too-long.wav": "unreadable: file name too long",
    "fork.wav": f"its decoder hangs: it gave no sign of life for {PATIENCE_SECONDS} s",
    "rights.wav": "unreadable: permission denied",
    **{
        f"sparse-{kind}.wav": "1.1 TB of its 1.1 TB were never written to the disk" for kind in ("zeros", "wav", "rf64")
    },
}


def _try_preparing(whole: Path, bad: Path, found: Found, scratch: Path) -> Iterator[Figure]:
    measure, prepared = _prepared(whole, scratch / "cache-whole").found(), _prepared(bad, scratch / "cache-bad").found()
    assert prepared.reasons.keys() == found.reasons.keys(), "preparing left a file out without a word"
    yield Figure(what="recordings prepared", count=len(prepared.used))
    yield from _memory("preparation", measure, prepared)


def _try_training(bad: Path, found: Found, scratch: Path) -> Iterator[Figure]:
    """Train on all of it, for an epoch, as a script would."""
    result = Program(scratch / "home").train(
        bad, "--name", "bad", "--json", max_epochs=1, batch_size=16, augmentation__copies=0
    )
    assert result.status == 0, f"the run ended with {result.status}: {result.err}"
    assert not result.err, f"the run said {result.err}"
    events = [json.loads(line) for line in result.out.splitlines()]
    assert "longer.mp3" in found.used
    (done,) = [event for event in events if event["type"] == "PreprocessDone"]
    assert done["found"] == done["used"] + len(done["skipped"]) == len(found.reasons), f"the run tells of {done}"
    assert events[-1]["type"] == "RunFinished", f"the run ended as {events[-1]}"
    yield Figure(what="recordings trained on", count=done["used"])


def _try_crashes(folder: Path, size: Size) -> Iterator[Figure]:
    """Let decoders crash, hang and meet a file that grows, and the process that scans be killed."""
    others = {good(folder / f"{letter}.wav", seed=number).name for number, letter in enumerate("abyz")}
    victim = folder / "m.wav"
    write_recording(victim, np.tile(sound(48_000, seed=9), (size.of(120, 300), 1)), 48_000)
    crashes = 0
    for number in _CRASHES[: size.of(1, len(_CRASHES))]:
        reason = _reason_after(victim, others, functools.partial(_send, number))
        assert reason.startswith("its decoder crashed: its process was"), f"after signal {number} it says {reason!r}"
        crashes += 1
    yield Figure(what="decoders crashed, the helper replaced", count=crashes)
    reason = _reason_after(victim, others, functools.partial(_send, signal.SIGSTOP))
    assert reason == _REASONS_OF_ODDITIES["fork.wav"], f"of a decoder that hangs it says {reason!r}"
    reason = _reason_after(victim, others, lambda _: _grow(victim))
    assert "changed while it was read" in reason, f"of a file that grows it says {reason!r}"
    reason = _reason_after(victim, others, lambda _: victim.unlink())
    assert reason == "it vanished while the folder was scanned", f"of a file that was deleted it says {reason!r}"
    write_recording(victim, np.tile(sound(48_000, seed=9), (size.of(120, 300), 1)), 48_000)
    _kill_the_scan(victim)
    yield Figure(what="decoders hung, files grown or deleted and scans killed while read", count=4)


def _reason_after(victim: Path, others: set[str], act: Callable[[int], object]) -> str:
    """Scan, do something to the helper while it reads the victim, and return what is said of that."""
    scan = _scanned(victim.parent)
    act(_helper_that_reads(victim, scan.process))
    found = scan.found()
    assert others <= found.used, f"beside the victim others suffered: {found.reasons}"
    return found.reasons[victim.name]


def _kill_the_scan(victim: Path) -> None:
    scan = _scanned(victim.parent)
    helper = _helper_that_reads(victim, scan.process)
    scan.process.kill()
    scan.process.communicate()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{helper}/fd/0").exists():
        assert time.monotonic() < deadline, "the helper outlives the process that scans"
        time.sleep(0.05)


def _send(number: signal.Signals, helper: int) -> None:
    os.kill(helper, number)


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(8))


def _helper_that_reads(path: Path, scan: subprocess.Popen[str]) -> int:
    """Wait until a child of the process that scans holds the file open; return its process id."""
    while scan.poll() is None:
        for child in Path(f"/proc/{scan.pid}/task/{scan.pid}/children").read_text().split():
            if str(path) in _open_files(int(child)):
                return int(child)
    raise AssertionError(f"no helper was seen to read {path.name}")


def _open_files(process: int) -> set[str]:
    found = set()
    for number in range(3, 16):
        try:
            found.add(os.readlink(f"/proc/{process}/fd/{number}"))  # noqa: PTH115 - a string is wanted
        except OSError:
            continue
    return found


def _scanned(folder: Path) -> _Told:
    command = [sys.executable, "-c", _SCAN, str(folder), str(PATIENCE_SECONDS)]
    return _Told(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))


def _prepared(folder: Path, cache: Path) -> _Told:
    command = [sys.executable, "-c", _PREPARE, str(folder), str(cache), str(PATIENCE_SECONDS)]
    return _Told(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
