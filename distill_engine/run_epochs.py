"""A run's epochs without its steps: enough to lay the curves of several runs over one another.

Of a day's log 99 % are steps, which are passed over without being decoded; and what was read once isn't read again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from distill_engine.events import LONGEST_LINE, AnyEvent, EpochDone, RunRestarted, decode
from distill_engine.run_folder import RunFolder
from distill_engine.small_files import opened

_BLOCK = 1 << 20
_HEADS = (b'\n{"type":"EpochDone"', b'\n{"type":"RunRestarted"')


@dataclass(frozen=True, kw_only=True)
class RunEpochs:
    """The epochs of a run so far."""

    done: tuple[EpochDone, ...] = ()
    started: float = 0.0
    """When the run began."""

    taken_back: int = 0
    """How often epochs were taken back by a restart."""

    file: int = 0
    """Which file was read, by its inode."""

    read_to: int = 0
    """How many bytes of it were read."""


def run_epochs(folder: RunFolder, so_far: RunEpochs | None = None) -> RunEpochs:
    """Return the run's epochs, `so_far` and those told since; none where there is no log yet.

    Raises:
        OSError: the log can't be read.
    """
    try:
        descriptor = opened(folder.events_file)
    except FileNotFoundError:
        return RunEpochs()
    try:
        status = os.fstat(descriptor)
        if so_far is None or so_far.file != status.st_ino or so_far.read_to > status.st_size:
            so_far = RunEpochs(file=status.st_ino)
        for lines in _whole_lines(descriptor, so_far.read_to):
            so_far = _after(so_far, lines)
    finally:
        os.close(descriptor)
    return so_far


def _whole_lines(descriptor: int, start: int) -> Iterator[bytes]:
    """Yield what follows in the log in pieces of whole lines, up to one that is longer than any may be."""
    rest = b""
    while block := os.pread(descriptor, _BLOCK, start):
        start += len(block)
        lines, end, rest = (rest + block).rpartition(b"\n")
        if end:
            yield lines + end
        elif len(rest) > LONGEST_LINE:
            return


def _after(epochs: RunEpochs, lines: bytes) -> RunEpochs:
    done, taken_back = [*epochs.done], epochs.taken_back
    started = epochs.started or _time_of(lines[: lines.index(b"\n")])
    for event in _events(b"\n" + lines):
        match event:
            case EpochDone():
                done.append(event)
            case RunRestarted():
                kept = [one for one in done if one.step <= event.from_step]
                taken_back += len(kept) < len(done)
                done = kept
    return replace(
        epochs, done=tuple(done), started=started, taken_back=taken_back, read_to=epochs.read_to + len(lines)
    )


def _events(lines: bytes) -> Iterator[AnyEvent]:
    """Yield the events that matter here, in their order."""
    for place in sorted(place for head in _HEADS for place in _places(lines, head)):
        try:
            event = decode(lines[place + 1 : lines.index(b"\n", place + 1)])
        except ValueError:  # a damaged line
            continue
        if event is not None:
            yield event


def _places(lines: bytes, head: bytes) -> Iterator[int]:
    place = lines.find(head)
    while place >= 0:
        yield place
        place = lines.find(head, place + 1)


def _time_of(line: bytes) -> float:
    try:
        event = decode(line)
    except ValueError:
        return 0.0
    return event.time if event else 0.0
