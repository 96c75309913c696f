"""What a run's log comes to at once, without following it: the state now, and the state at an earlier moment.

A day of training writes half a gigabyte of steps. `glance` reads the end of a log and nothing else, so that its length
doesn't matter. `outline`, for lists, reads it backwards until it knows the best epoch too, and from then on only what
a living run has told since. `read` is exact in every field and reads all of the log, but decodes of the steps between
two other events only the last, for the fold forgets the others anyway.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from distill_engine.errors import DistillError
from distill_engine.event_reader import missing_ending
from distill_engine.events import (
    LONGEST_LINE,
    AnyEvent,
    CheckpointSaved,
    EpochDone,
    Moment,
    PreviewSaved,
    RunFinished,
    RunRestarted,
    StepDone,
    VerdictReached,
    decode,
)
from distill_engine.run_folder import RunFolder, RunInfo
from distill_engine.run_lock import lock_holder
from distill_engine.run_state import RunState, apply, fold
from distill_engine.small_files import UNREADABLE, opened, read_small

GLANCE_BYTES = 1 << 20
"""How much of a log's end a glance reads: about 2,500 steps, two minutes at twenty a second."""

_BLOCK = 1 << 16
"""How much is read at once: lines of four times as much, which no longer fit into a cache, take twice as long."""
_FARTHEST = 1 << 31
"""How far back is looked at most: three days and more of steps."""
_TOO_LONG = b"-"
"""Stands for a line that is longer than any may be: it is no event."""
_HEAD = 20
_FORGOTTEN = frozenset(
    line[:_HEAD] for line in (b'{"type":"StepDone","seq', b'{"type":"SystemSample"', b'{"type":"PreprocessProgress"')
)
"""How lines begin of which, between two others, only the last of a kind changes what the state comes to."""
_OF_THE_WHOLE = (b'{"type":"RunStarted"', b'{"type":"PreprocessDone"')
"""How lines begin that are told once, when a run begins, and hold for all of it."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is known of a run."""

    folder: RunFolder
    info: RunInfo | None
    """None where `problem` says why."""

    problem: str
    holder: int | None
    """The process that trains it now, None for none."""

    state: RunState
    before: RunState | None = None
    """The state at the earlier moment asked for, None where the run hadn't begun."""

    unreadable: int = 0
    """How many lines of the log can't be read."""

    read_to: int = 0
    """Where in the log a line begins before which nothing is missing."""


@dataclass(frozen=True, kw_only=True)
class _Folded:
    state: RunState
    last: AnyEvent | None = None
    unreadable: int = 0


class _Stamp(msgspec.Struct, frozen=True):
    time: Moment


_stamps = msgspec.json.Decoder(_Stamp)


def glance(folder: RunFolder) -> Reading:
    """Return what the end of a run's log tells, in some milliseconds: phase, step, epoch, the latest of each kind.

    What was last told further back than `GLANCE_BYTES` is missing, also the best epoch.
    """
    return _read_backwards(folder, lambda descriptor: _recent(descriptor, GLANCE_BYTES))


def outline(folder: RunFolder, so_far: Reading | None = None) -> Reading:
    """Return what a list shows of a run: phase, step, epoch, best and time left; other fields may be missing.

    Of a run that is trained only what was told since an earlier outline, `so_far`, is read.
    """
    further = _continued(folder, so_far) if so_far is not None else None
    return further or _read_backwards(folder, lambda descriptor: _until_best(_recent(descriptor)))


def read(folder: RunFolder, before: float = 0.0) -> Reading:
    """Return all that is known of a run, and the state it was in at the time `before`."""
    holder = lock_holder(folder)
    with _opened(folder) as descriptor:
        end = os.fstat(descriptor).st_size
        offset = _offset_of(before, descriptor, end)
        earlier = _folded(_Folded(state=RunState()), descriptor, 0, offset)
        now = _folded(earlier, descriptor, offset, end)
    return dataclasses.replace(
        _reading(folder, holder, now.state, now.last),
        before=earlier.state if earlier.state.seq else None,
        unreadable=now.unreadable,
    )


def unreadable(folder: RunFolder, error: OSError) -> Reading:
    """Return what is known of a run whose files can't be read."""
    problem = f"it can't be read: {error.strerror or error}"
    return Reading(folder=folder, info=None, problem=problem, holder=None, state=RunState())


def _read_backwards(folder: RunFolder, recent_events: Callable[[int], Iterator[AnyEvent]]) -> Reading:
    holder = lock_holder(folder)  # asked before the log is read: a run that ends between the two isn't called dead
    with _opened(folder) as descriptor:
        read_to = _end_of_lines(descriptor)
        recent = list(recent_events(descriptor))
        state = fold([*_beginning(descriptor), *reversed(recent)])
    reading = _reading(folder, holder, _settled(folder, state), recent[0] if recent else None)
    return dataclasses.replace(reading, read_to=read_to)


def _continued(folder: RunFolder, so_far: Reading) -> Reading | None:
    """Return the outline of a living run with what was told since; None where that takes something of it back."""
    holder = lock_holder(folder)
    if holder is None or so_far.state.is_over:
        return None
    with _opened(folder) as descriptor:
        end, read_to = os.fstat(descriptor).st_size, _end_of_lines(descriptor)
        lines = [*_thinned(_lines(descriptor, so_far.read_to, end))]
    told = [event for line in lines if (event := _decoded(line)) is not None and event.seq > so_far.state.seq]
    reading = _reading(folder, holder, _settled(folder, fold(told, so_far.state)), None)
    is_another = reading.info is None or so_far.info is None or reading.info.id != so_far.info.id
    if is_another or end < so_far.read_to or any(isinstance(event, RunRestarted) for event in told):
        return None
    return dataclasses.replace(reading, read_to=read_to)


def _settled(folder: RunFolder, state: RunState) -> RunState:
    return replace(state, max_epochs=_max_epochs(folder) or state.max_epochs)


def _reading(folder: RunFolder, holder: int | None, state: RunState, last: AnyEvent | None) -> Reading:
    try:
        info, problem = folder.info(), ""
    except DistillError as error:
        info, problem = None, error.message
    if holder is None and lock_holder(folder) is None:
        state = fold(missing_ending(folder, last), state)
    return Reading(folder=folder, info=info, problem=problem, holder=holder, state=state)


@contextlib.contextmanager
def _opened(folder: RunFolder) -> Iterator[int]:
    """Yield the log's descriptor, that of an empty file where there is no log yet."""
    try:
        descriptor = opened(folder.events_file)
    except FileNotFoundError:
        descriptor = os.open(os.devnull, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _folded(so_far: _Folded, descriptor: int, start: int, stop: int) -> _Folded:
    """Return what the whole lines of a stretch of the log come to, after what came before it."""
    state, last, unreadable = so_far.state, so_far.last, so_far.unreadable
    for line in _thinned(_lines(descriptor, start, stop)):
        try:
            event = decode(line)
        except ValueError:
            unreadable += 1
            continue
        if event is not None:
            state, last = apply(state, event), event
    return _Folded(state=state, last=last, unreadable=unreadable)


def _thinned(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines that matter, in their order."""
    waiting: dict[bytes, bytes] = {}
    for line in lines:
        head = line[:_HEAD]
        if head in _FORGOTTEN:
            waiting.pop(head, None)
            waiting[head] = line
            continue
        yield from waiting.values()
        waiting.clear()
        yield line
    yield from waiting.values()


def _lines(descriptor: int, start: int, stop: int) -> Iterator[bytes]:
    """Yield the whole lines between two offsets, without their ends."""
    parts: list[bytes] = []  # of the line that is under way
    while start < stop and (block := os.pread(descriptor, min(_BLOCK, stop - start), start)):
        start += len(block)
        first, *others = block.split(b"\n")
        parts = _grown(parts, first)
        if others:
            yield b"".join(parts)
            *whole, last = others
            yield from whole
            parts = [last]


def _grown(parts: list[bytes], part: bytes) -> list[bytes]:
    """Return the parts of a line with one more; what becomes longer than any line may be is forgotten but for a mark.

    Joined one by one, they would be copied again and again.
    """
    return [*parts, part] if len(parts) * _BLOCK < LONGEST_LINE else [_TOO_LONG]


def _end_of_lines(descriptor: int) -> int:
    """Return where the log's last whole line ends; 0 where it isn't near the end."""
    size = os.fstat(descriptor).st_size
    start = max(0, size - _BLOCK)
    end = os.pread(descriptor, size - start, start).rfind(b"\n") + 1
    return start + end if end else 0


def _backwards(descriptor: int) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the whole lines of the log in batches, the last one first, and how many bytes were read by then."""
    size = os.fstat(descriptor).st_size
    start, torn = size, True
    parts: list[bytes] = []  # of the line whose begin is still to come, the last one first
    while start > max(0, size - _FARTHEST):
        end, start = start, max(0, start - _BLOCK)
        first, *whole = os.pread(descriptor, end - start, start).split(b"\n")
        if whole:
            whole[-1] += b"".join(reversed(parts))
            parts = []
        parts = _grown(parts, first)
        if torn and whole:
            whole.pop()  # what follows the last line's end: nothing, or a line not yet written whole
            torn = False
        if not torn and not start:
            whole.insert(0, b"".join(reversed(parts)))
        whole.reverse()
        yield size - start, whole


def _recent(descriptor: int, reach: float = math.inf) -> Iterator[AnyEvent]:
    """Yield the log's last events, the newest first, as far back as told, or further where there is none so near.

    Of steps only the last is told, and nothing that a later restart took back.
    """
    limit, seen, found = math.inf, set[bytes](), False
    for done, lines in _backwards(descriptor):
        for line in [line for line in lines if line[:_HEAD] not in seen]:
            head = line[:_HEAD]
            event = None if head in seen else _decoded(line)
            match event:
                case None:
                    continue
                case StepDone() | EpochDone() | VerdictReached() | CheckpointSaved() | PreviewSaved() if (
                    event.step > limit
                ):
                    continue
                case RunRestarted():
                    limit = min(limit, event.from_step)
            if head in _FORGOTTEN:
                seen.add(head)
            found = True
            yield event
        if found and done >= reach:
            return


def _until_best(events: Iterator[AnyEvent]) -> Iterator[AnyEvent]:
    """Yield events up to the one that tells the best epoch."""
    for event in events:
        yield event
        if isinstance(event, RunFinished) or (isinstance(event, EpochDone) and event.best):
            return


def _beginning(descriptor: int) -> list[AnyEvent]:
    """Return what the log's first lines tell that holds for the whole run."""
    *lines, _torn = os.pread(descriptor, _BLOCK, 0).split(b"\n")
    events = [_decoded(line) for line in lines if line.startswith(_OF_THE_WHOLE)]
    return [event for event in events if event is not None]


def _decoded(line: bytes) -> AnyEvent | None:
    try:
        return decode(line)
    except ValueError:
        return None


def _max_epochs(folder: RunFolder) -> int:
    """Return what the run's own configuration says, which a resumed run may have changed; 0 where it can't be read."""
    try:
        told = tomllib.loads(read_small(folder.config_file).decode()).get("max_epochs")
    except (OSError, *UNREADABLE):
        return 0
    return told if isinstance(told, int) and told > 0 else 0


def _offset_of(moment: float, descriptor: int, end: int) -> int:
    """Return where the lines after a moment begin, by halving: before `low` all are earlier, from `high` later."""
    low, high = 0, end
    while low < high:
        middle = (low + high) // 2
        begin, following, time = _line_from(middle, descriptor, end)
        if begin >= high:
            high = middle
        elif time <= moment:
            low = following
        else:
            high = begin
    return low


def _line_from(offset: int, descriptor: int, end: int) -> tuple[int, int, float]:
    """Return begin, end and time of the first readable line that begins at or after an offset, else the log's end."""
    begin = _line_end(offset - 1, descriptor, end) if offset else 0
    while begin < end:
        following = _line_end(begin, descriptor, end)
        line = os.pread(descriptor, min(following - begin, LONGEST_LINE), begin)
        try:
            return begin, following, _stamps.decode(line).time
        except UNREADABLE:
            begin = following
    return end, end, math.inf


def _line_end(offset: int, descriptor: int, end: int) -> int:
    """Return the offset behind the first line end at or after `offset`."""
    while offset < end and (block := os.pread(descriptor, min(_BLOCK, end - offset), offset)):
        found = block.find(b"\n")
        if found >= 0:
            return offset + found + 1
        offset += len(block)
    return end
