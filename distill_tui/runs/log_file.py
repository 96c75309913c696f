"""A log of any size, read around what is shown of it and never whole: pages, moving by lines, and searching.

Lines aren't counted, for that would take reading all of them: a place is an offset in bytes, where a line begins. All
of this blocks, so a screen lets a thread do it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from distill_engine import api

LONGEST = 1 << 14
"""Bytes of a line; what is longer is shown as several lines, so that one line of a gigabyte is none."""

_SEARCHED_AT_ONCE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a log, or the part of a very long one."""

    start: int
    """Where it begins, in bytes."""

    text: str
    """Without its end; control characters as escapes, tabs as spaces."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """Lines that follow one another."""

    lines: tuple[Line, ...] = ()
    stop: int = 0
    """Where the line after them begins, in bytes."""

    size: int | None = None
    """How long the log was when they were read; None where there is none."""

    @property
    def start(self) -> int:
        """Where its first line begins."""
        return self.lines[0].start if self.lines else 0

    @property
    def is_last(self) -> bool:
        """Whether it holds the log's end."""
        return self.stop >= (self.size or 0)


def page_at(path: Path, offset: int, rows: int) -> Page:
    """Return a page of so many lines from the one on that begins at `offset`, or the last ones where there are fewer.

    Raises:
        OSError: the log can't be read. Where there is none, the page is empty.
    """
    with _opened(path) as log:
        return Page() if log is None else _page(log, min(offset, log.size), rows)


def last_page(path: Path, rows: int) -> Page:
    """Return the log's end. Raises as `page_at`."""
    with _opened(path) as log:
        return Page() if log is None else _page(log, log.size, rows)


def moved(path: Path, page: Page, lines: int, rows: int) -> Page:
    """Return the page so many lines further down, or up where that is less than 0. Raises as `page_at`."""
    with _opened(path) as log:
        if log is None:
            return Page()
        start = min(page.start, log.size)
        return _page(log, _down(log, start, lines) if lines > 0 else _up(log, start, -lines), rows)


def found(
    path: Path,
    text: str,
    offset: int,
    *,
    backwards: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int], object] = lambda _place: None,
) -> int | None:
    """Return where the next line begins in which `text` occurs, in either case; None where there is none.

    It is looked for from `offset` on, or in what lies before that. Capital letters beyond ASCII count as others than
    small ones. `on_progress` hears every few milliseconds how far it has come.

    Raises:
        OSError: the log can't be read.
        StopRequestedError: it was asked to stop.
    """
    needle = text.encode("utf-8", "surrogateescape").lower()
    with _opened(path) as log:
        if log is None or not needle:
            return None
        for place, block in _blocks(log, offset, len(needle) - 1, backwards=backwards):
            if should_stop():
                raise api.StopRequestedError
            on_progress(place)
            at = block.lower().rfind(needle) if backwards else block.lower().find(needle)
            if at >= 0:
                return _line_start(log, place + at)
    return None


class _Log:
    """An open file, of the length that it had when it was opened."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read(self, start: int, stop: int) -> bytes:
        return os.pread(self._descriptor, max(0, min(stop, self.size) - start), start)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[_Log | None]:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield None
        return
    try:
        yield _Log(descriptor)
    finally:
        os.close(descriptor)


def _page(log: _Log, start: int, rows: int) -> Page:
    lines, stop = _lines_from(log, start, rows)
    if len(lines) < rows and start:
        lines, stop = _lines_from(log, _up(log, start, rows - len(lines)), rows)
    return Page(lines=tuple(lines), stop=stop, size=log.size)


def _lines_from(log: _Log, start: int, count: int) -> tuple[list[Line], int]:
    lines: list[Line] = []
    while len(lines) < count and start < log.size:
        stop = _next(log, start)
        lines.append(Line(start=start, text=_readable(log.read(start, stop))))
        start = stop
    return lines, start


def _next(log: _Log, start: int) -> int:
    """Return where the line ends that begins at `start`, behind its line end."""
    end = log.read(start, start + LONGEST).find(b"\n")
    return start + end + 1 if end >= 0 else min(start + LONGEST, log.size)


def _line_start(log: _Log, offset: int) -> int:
    """Return where the line begins that the byte at `offset` is of."""
    before = max(0, offset + 1 - LONGEST)
    end = log.read(before, offset).rfind(b"\n")
    return before + end + 1


def _down(log: _Log, start: int, lines: int) -> int:
    for _ in range(lines):
        if start >= log.size:
            break
        start = _next(log, start)
    return start


def _up(log: _Log, start: int, lines: int) -> int:
    for _ in range(lines):
        if not start:
            break
        start = _line_start(log, start - 1)
    return start


def _blocks(log: _Log, offset: int, overlap: int, *, backwards: bool) -> Iterator[tuple[int, bytes]]:
    """Yield what lies behind or before `offset` in pieces that overlap, the nearest first, and where each begins."""
    if not backwards:
        for start in range(offset, log.size, _SEARCHED_AT_ONCE):
            yield start, log.read(start, start + _SEARCHED_AT_ONCE + overlap)
        return
    for stop in range(min(offset, log.size), 0, -_SEARCHED_AT_ONCE):
        start = max(0, stop - _SEARCHED_AT_ONCE)
        yield start, log.read(start, min(stop + overlap, offset))


def _readable(line: bytes) -> str:
    text = line.removesuffix(b"\n").decode("utf-8", "surrogateescape").expandtabs()
    return text if text.isprintable() else api.shown(text)
