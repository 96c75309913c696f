"""A run's log for readers: whole lines as events, from any `seq` on, whatever happens to the file meanwhile.

A reader holds nothing open and writes nothing. It counts bytes of whole lines only, so a torn last line is simply not
there yet; the gapless `seq` and a memory of the latest lines tell it when the file is no longer the one it read.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from collections.abc import Iterator
from typing import Self

import msgspec

from distill_engine.events import ENDINGS, LONGEST_LINE, AnyEvent, Count, Moment, RunFailed, decode, decode_all
from distill_engine.run_folder import RunFolder
from distill_engine.small_files import UNREADABLE, opened

CHUNK = 1 << 18
"""How many bytes are read at once: 600 steps, in a third of a millisecond, which is how long other threads wait."""

LINES_REMEMBERED = 4096

SECONDS_TO_BEGIN = 60.0
"""How long a run's first worker may take to begin: loading torch from a slow disk."""

_TAIL = 1 << 16


class _Head(msgspec.Struct):
    """What every line has, of whatever type and version."""

    seq: Count = 0
    time: Moment = 0.0


_head_decoder = msgspec.json.Decoder(_Head)


class EventReader:
    """Reads a run's events with a `seq` greater than `after`, each once and in order.

    `last` is the last event read, wanted or not, and `unreadable` counts whole lines that no event could be made of.
    """

    def __init__(self, folder: RunFolder, after: int = 0) -> None:
        self._path = folder.events_file
        self._after = after
        self._offset = 0
        self._seen = 0
        self._chunk = CHUNK
        self._inode = 0
        self._looked_at: tuple[int, int, int] | None = None
        self._remembered: deque[tuple[int, float]] = deque(maxlen=LINES_REMEMBERED)
        self.last: AnyEvent | None = None
        self.unreadable = 0

    @classmethod
    def at_end(cls, folder: RunFolder) -> Self:
        """Return one that reads only what is yet to be written.

        Raises:
            OSError: the file can't be read.
        """
        reader = cls(folder)
        try:
            with os.fdopen(opened(folder.events_file), "rb", buffering=0) as file:
                found = reader._skip(file.fileno())
            while not found and reader.read():  # a last line longer than the tail, or broken
                pass
        except FileNotFoundError:
            pass  # nothing has been written yet
        return reader

    def unread(self) -> int:
        """Return about how many bytes wait to be read, 0 where nothing has changed since the last look.

        Raises:
            OSError: the file can't be looked at, or isn't there.
        """
        status = self._path.stat()
        if (status.st_ino, status.st_size, status.st_mtime_ns) == self._looked_at:
            return 0
        return max(1, status.st_size - self._offset)

    def read(self) -> list[AnyEvent]:
        """Return the next events, at most a chunk of them; none where nothing has been added.

        Raises:
            OSError: the file can't be read, or isn't there.
        """
        while True:
            with os.fdopen(opened(self._path), "rb", buffering=0) as file:
                events, at_end = self._next_events(file.fileno())
            # Lines of unknown types, or of the part before `after`, must not look like the end of what there is.
            if events or at_end:
                return events

    def _skip(self, log: int) -> bool:
        """Go behind the last whole line, if it is one of an event."""
        status = os.fstat(log)
        start = max(0, status.st_size - _TAIL)
        tail = os.pread(log, _TAIL, start)
        lines = tail.split(b"\n")[1 if start else 0 : -1]
        head = _head_of(lines[-1]) if lines else None
        if head is None:
            return False
        self._offset = start + tail.rfind(b"\n") + 1
        self._inode, self._seen, self._after = status.st_ino, head.seq, head.seq
        self.last = _event_on(lines[-1])
        return True

    def _next_events(self, descriptor: int) -> tuple[list[AnyEvent], bool]:
        """Return what the whole lines from where the last ones ended tell that is wanted, and whether they were all."""
        status = os.fstat(descriptor)
        if status.st_size < self._offset or self._inode not in (0, status.st_ino):
            self._find_place(descriptor)
        self._inode = status.st_ino
        chunk = os.pread(descriptor, self._chunk, self._offset)
        at_end = self._offset + len(chunk) >= status.st_size
        whole, newline, _ = chunk.rpartition(b"\n")
        if newline:
            self._chunk = CHUNK
        elif not at_end and self._chunk < LONGEST_LINE:
            self._chunk *= 2  # a line longer than a chunk
        elif not at_end:
            self._find_place(descriptor)
            return [], False
        events = self._taken_at_once(whole) if newline else []
        if events is None:
            lines = whole.split(b"\n")
            if not self._goes_on(lines[0]):
                self._find_place(descriptor)
                return [], False
            events = [event for line in lines if (event := self._taken_in(line)) is not None]
        self._offset += len(whole) + len(newline)
        self._looked_at = (status.st_ino, status.st_size, status.st_mtime_ns) if at_end else None
        return events, at_end

    def _taken_at_once(self, lines: bytes) -> list[AnyEvent] | None:
        """Note the lines and return the wanted events; None, and nothing noted, where one isn't what comes next."""
        try:
            events = decode_all(lines)
        except ValueError:
            return None
        first, count = self._seen + 1, lines.count(b"\n") + 1
        seqs = [event.seq for event in events]
        if seqs != [*range(first, first + count)]:
            return None
        self._seen = seqs[-1]
        self._remembered.extend(zip(seqs, [event.time for event in events], strict=True))
        self.last = events[-1]
        return events if first > self._after else [event for event in events if event.seq > self._after]

    def _goes_on(self, line: bytes) -> bool:
        head = _head_of(line)
        return head is not None and head.seq == self._seen + 1

    def _taken_in(self, line: bytes) -> AnyEvent | None:
        """Note the line; return its event where this version knows it and it is wanted."""
        try:
            event = decode(line)
        except ValueError:
            event = None
            self.unreadable += 1
        head = event or _head_of(line)
        self._seen = head.seq if head else self._seen + 1
        if head:
            self._remembered.append((head.seq, head.time))
        if event is None:
            return None
        self.last = event
        return event if event.seq > self._after else None

    def _find_place(self, descriptor: int) -> None:
        """Go to the first line that wasn't read yet: the file was cut, or written anew, or has a line that is no event.

        Every line passed here counts as read, so that reading goes on behind it whatever it is.
        """
        known = dict(self._remembered)
        self._offset = broken = 0
        for line in _whole_lines(descriptor):
            head = _head_of(line)
            if head is None:
                broken += 1
            elif head.seq > self._seen or known.get(head.seq, head.time) != head.time:
                self._seen = head.seq - 1
                self._after = min(self._after, self._seen)
                break
            self._offset += len(line)
        self.unreadable = max(self.unreadable, broken)


def missing_ending(folder: RunFolder, last: AnyEvent | None) -> list[RunFailed]:
    """Return the event that a worker which is no more would have ended the run's log with; none if it did.

    Its `seq` is 0: it is a reader's word, and never written.
    """
    if isinstance(last, ENDINGS):
        return []
    if last is None and _age(folder) < SECONDS_TO_BEGIN:
        return []
    return [
        RunFailed(
            time=time.time(),
            message="the worker ended without a word" if last else "no worker has begun the run",
            hint=f"distill-engine resume {folder.name} "
            + ("goes on from its newest checkpoint" if last else "begins it"),
            log=str(folder.worker_log),
        )
    ]


def _age(folder: RunFolder) -> float:
    """Return how many seconds ago the run was made."""
    try:
        return time.time() - folder.run_file.stat().st_mtime
    except OSError:
        return float("inf")


def _event_on(line: bytes) -> AnyEvent | None:
    try:
        return decode(line)
    except ValueError:
        return None


def _whole_lines(descriptor: int) -> Iterator[bytes]:
    """Yield the whole lines of a log, one that is longer than any may be in pieces."""
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        pieces = iter(lambda: file.readline(LONGEST_LINE), b"")
        yield from itertools.takewhile(lambda line: line.endswith(b"\n") or len(line) == LONGEST_LINE, pieces)


def _head_of(line: bytes) -> _Head | None:
    try:
        return _head_decoder.decode(line)
    except UNREADABLE:
        return None
