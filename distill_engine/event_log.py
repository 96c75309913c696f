"""A run's log of events: the worker that holds the run's lock appends to it, and anybody may ask for its last line.

What else reads the log stands in `event_reader` and `run_reading`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Iterator

import msgspec

from distill_engine.events import LONGEST_LINE, AnyEvent, Count, Event, decode, encode
from distill_engine.room import keep_room
from distill_engine.run_folder import RunFolder
from distill_engine.small_files import UNREADABLE, opened, written_stretches

ROOM_KEPT = 1 << 16
"""Bytes: two hundred events, or as many orders."""

_BLOCK = 1 << 16


def last_event(folder: RunFolder) -> AnyEvent | None:
    """Return the event on the last whole line; None where there is no line, or none that this version understands."""
    try:
        with os.fdopen(opened(folder.events_file), "rb") as file:
            line = _last_line(file.fileno())
    except FileNotFoundError:
        return None
    try:
        return decode(line)
    except ValueError:  # what a power cut left; a worker cuts it off
        return None


def answered_commands(folder: RunFolder) -> frozenset[str]:
    """Return the ids of all commands that were carried out or refused."""
    with folder.events_file.open("rb") as file:
        answers = [_answer(line) for line in file if line.startswith(b'{"type":"CommandAnswered"')]
    return frozenset(answer.id for answer in answers if answer is not None and answer.answer != "heard")


def _answer(line: bytes) -> _Answer | None:
    try:
        return msgspec.json.decode(line, type=_Answer)
    except UNREADABLE:  # another version's, or rubbish: neither may keep a run from going on
        return None


class _Answer(msgspec.Struct):
    id: str
    answer: str


class EventLog:
    """Appends events to a run's log, numbering them. Only the holder of the run's lock may make one.

    A line goes out in one write, so a reader sees whole lines but for a last one torn by a kill; opening the log cuts
    such a line off. Lines that the disk doesn't take wait in memory, in their order, and room is kept for some behind
    the end of the file, so that of a full disk one can be told.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.events_file
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        self.last_seq = self._mend()
        self._waiting: deque[bytes] = deque()
        self._writing = threading.Lock()
        self._room_to = 0
        self._torn_at = -1

    @property
    def is_behind(self) -> bool:
        """Whether lines wait for the disk."""
        return bool(self._waiting)

    def append(self, event: Event) -> Event:
        """Write the event with the next `seq` and the time, or let it wait for the disk; return it as numbered."""
        numbered = msgspec.structs.replace(event, seq=self.last_seq + 1, time=time.time())
        self.last_seq = numbered.seq
        self._waiting.append(encode(numbered))
        with contextlib.suppress(OSError):
            self.catch_up()
        return numbered

    def catch_up(self) -> None:
        """Write what waits; OSError where the disk doesn't take it."""
        with self._writing, self._named():
            while self._waiting:
                self._write(self._waiting[0])
                self._waiting.popleft()

    def sync(self) -> None:
        """Write what waits and make it durable; OSError where that can't be."""
        self.catch_up()
        with self._named():
            os.fsync(self._descriptor)

    def close(self) -> None:
        """As `sync`, and let go of the file and of the room behind its end."""
        try:
            self.sync()
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size)
        finally:
            os.close(self._descriptor)

    def _write(self, line: bytes) -> None:
        if self._torn_at >= 0:
            os.ftruncate(self._descriptor, self._torn_at)
            self._torn_at, self._room_to = -1, 0
        end = os.fstat(self._descriptor).st_size
        if end + len(line) + ROOM_KEPT // 2 > self._room_to:
            keep_room(self._descriptor, end, ROOM_KEPT)
            self._room_to = end + ROOM_KEPT
        written = os.write(self._descriptor, line)
        if written != len(line):
            self._torn_at = end
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Let what goes wrong tell the file: a descriptor has no name."""
        try:
            yield
        except OSError as error:
            error.filename = str(self._path)
            raise

    def _mend(self) -> int:
        """Cut off what follows the last line that is an event; return that event's `seq`, 0 where there is none.

        A kill leaves a torn line, a power cut perhaps a stretch of zeros, or one that was never written.
        """
        written = written_stretches(self._descriptor)
        os.ftruncate(self._descriptor, written[-1][1] if written else 0)
        while tail := _tail(self._descriptor):
            line = _last_line(self._descriptor)
            seq = _seq(line)
            if seq and tail.endswith(b"\n"):
                return seq
            bad = len(tail.rpartition(b"\n")[2]) or len(line) + 1
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - bad)
        return 0


def keep_room_for_commands(folder: RunFolder) -> None:
    """Let orders be written on a full disk too. Only the holder of the run's lock may ask for it."""
    descriptor = os.open(folder.commands_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        keep_room(descriptor, os.fstat(descriptor).st_size, ROOM_KEPT)
    finally:
        os.close(descriptor)


def _seq(line: bytes) -> int:
    """Return the number of the event on a line, 0 if it is none."""
    try:
        return msgspec.json.decode(line, type=_Numbered).seq
    except UNREADABLE:
        return 0


class _Numbered(msgspec.Struct):
    seq: Count


def _last_line(descriptor: int) -> bytes:
    """Return the last whole line of a file, empty where there is none."""
    return b"".join(_tail(descriptor).rpartition(b"\n")[0].rsplit(b"\n", 1)[-1:])


def _tail(descriptor: int) -> bytes:
    """Return the end of a file: all of it, or enough to hold its last whole line and what follows, if that is one."""
    start = size = os.fstat(descriptor).st_size
    blocks: list[bytes] = []
    ends = 0
    while ends < 2 and start > 0 and size - start < LONGEST_LINE:
        end, start = start, max(0, start - _BLOCK)
        blocks.append(os.pread(descriptor, end - start, start))
        ends += blocks[-1].count(b"\n")
    return b"".join(reversed(blocks))
