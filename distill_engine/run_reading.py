"""What a run's log comes to at once, without following it: the state now, and the state at an earlier moment.

A day of training writes half a gigabyte of steps. `outline`, for lists, reads a log backwards until it knows enough, so
that a run's length hardly matters. `read` is exact in every field and reads all of the log, but decodes of the steps
between two other events only the last, for the fold forgets the others anyway.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from distill_engine.errors import DistillError
from distill_engine.event_reader import missing_ending
from distill_engine.events import (
    AnyEvent,
    CheckpointSaved,
    EpochDone,
    PreviewSaved,
    RunFinished,
    RunRestarted,
    StepDone,
    decode,
)
from distill_engine.run_folder import RunFolder, RunInfo, lock_holder
from distill_engine.run_state import RunState, apply, fold

_SMALL_BLOCK, _BLOCK = 1 << 16, 1 << 22
_HEAD = 20
_FORGOTTEN = frozenset(
    line[:_HEAD] for line in (b'{"type":"StepDone","seq', b'{"type":"SystemSample"', b'{"type":"PreprocessProgress"')
)
"""How lines begin of which, between two others, only the last of a kind changes what the state comes to."""


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


@dataclass(frozen=True, kw_only=True)
class _Folded:
    state: RunState
    last: AnyEvent | None = None
    unreadable: int = 0


class _Stamp(msgspec.Struct, frozen=True):
    time: float


_stamps = msgspec.json.Decoder(_Stamp)


def outline(folder: RunFolder) -> Reading:
    """Return what a list shows of a run: phase, step, epoch, best and time left; other fields may be missing."""
    holder = lock_holder(folder)  # asked before the log is read: a run that ends between the two isn't called dead
    with _opened(folder) as descriptor:
        recent = list(_recent(descriptor))
        state = fold([*_first(descriptor), *reversed(recent)])
    settled = replace(state, max_epochs=_max_epochs(folder) or state.max_epochs)
    return _reading(folder, holder, settled, recent[0] if recent else None)


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
        descriptor = os.open(folder.events_file, os.O_RDONLY)
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
    rest = b""
    while start < stop and (block := os.pread(descriptor, min(_BLOCK, stop - start), start)):
        start += len(block)
        *whole, rest = (rest + block).split(b"\n")
        yield from whole


def _lines_backwards(descriptor: int) -> Iterator[bytes]:
    """Yield the whole lines of the log, the last one first."""
    end, rest, torn = os.fstat(descriptor).st_size, b"", True
    while end > 0:
        start = max(0, end - (_SMALL_BLOCK if torn else _BLOCK))
        rest, *whole = (os.pread(descriptor, end - start, start) + rest).split(b"\n")
        if torn and whole:
            whole.pop()  # what follows the last line's end: nothing, or a line not yet written whole
            torn = False
        end = start
        yield from reversed(whole)
    if not torn:
        yield rest


def _recent(descriptor: int) -> Iterator[AnyEvent]:
    """Yield the log's last events, the newest first, back to the one that tells the best epoch.

    Of steps only the last is told, and nothing that a later restart took back.
    """
    limit, seen = math.inf, set[bytes]()
    for line in _lines_backwards(descriptor):
        head = line[:_HEAD]
        event = None if head in seen else _decoded(line)
        match event:
            case None:
                continue
            case StepDone() | EpochDone() | CheckpointSaved() | PreviewSaved() if event.step > limit:
                continue
            case RunRestarted():
                limit = min(limit, event.from_step)
        if head in _FORGOTTEN:
            seen.add(head)
        yield event
        if isinstance(event, RunFinished) or (isinstance(event, EpochDone) and event.best):
            return


def _first(descriptor: int) -> list[AnyEvent]:
    line, ended, _ = os.pread(descriptor, _SMALL_BLOCK, 0).partition(b"\n")
    event = _decoded(line) if ended else None
    return [event] if event else []


def _decoded(line: bytes) -> AnyEvent | None:
    try:
        return decode(line)
    except ValueError:
        return None


def _max_epochs(folder: RunFolder) -> int:
    """Return what the run's own configuration says, which a resumed run may have changed; 0 where it can't be read."""
    try:
        told = tomllib.loads(folder.config_file.read_text(encoding="utf-8")).get("max_epochs")
    except (OSError, ValueError):
        return 0
    return told if isinstance(told, int) else 0


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
        try:
            return begin, following, _stamps.decode(os.pread(descriptor, following - begin, begin)).time
        except msgspec.DecodeError:
            begin = following
    return end, end, math.inf


def _line_end(offset: int, descriptor: int, end: int) -> int:
    """Return the offset behind the first line end at or after `offset`."""
    while offset < end and (block := os.pread(descriptor, min(_SMALL_BLOCK, end - offset), offset)):
        found = block.find(b"\n")
        if found >= 0:
            return offset + found + 1
        offset += len(block)
    return end
