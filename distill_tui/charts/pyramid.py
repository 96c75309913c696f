"""Least, greatest and mean of a growing column of numbers for each column of dots, however long it has become.

Every 64 rows are summarised once, and every 64 summaries again. A column of dots then reads the summaries inside it,
and rows only at its two ends: a spike of a single row survives, and the cost of a drawing doesn't grow.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.floating]
Rows = npt.NDArray[np.intp]

BLOCK = 64
SHORT = 2 * BLOCK
"""A column of dots over fewer rows than this reads them one by one."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What each column of dots comes to; NaN where it holds no finite number."""

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]
    bounds: Rows
    """[columns + 1]: a column holds the rows from its bound to the next one."""

    @property
    def is_empty(self) -> npt.NDArray[np.bool_]:
        """Whether a column holds no row at all, which is not a gap: a line passes through it."""
        empty: npt.NDArray[np.bool_] = self.bounds[:-1] == self.bounds[1:]
        return empty


@dataclass(frozen=True, kw_only=True)
class _Summary:
    """Some rows each summarised: the least, the greatest, the sum and how many were finite."""

    low: Numbers
    high: Numbers
    total: Numbers
    count: Numbers

    def at(self, rows: Rows | slice) -> _Summary:
        return _Summary(low=self.low[rows], high=self.high[rows], total=self.total[rows], count=self.count[rows])

    def reduced(self, starts: Rows) -> _Summary:
        """Return the summaries of the stretches that begin at `starts`, none of them empty."""
        return _Summary(
            low=np.fmin.reduceat(self.low, starts),
            high=np.fmax.reduceat(self.high, starts),
            total=np.add.reduceat(self.total, starts),
            count=np.add.reduceat(self.count, starts),
        )


class Pyramid:
    """Summaries of one column of numbers; its least and greatest may come from columns of their own."""

    def __init__(self) -> None:
        self._rows: tuple[Numbers, Numbers, Numbers] = (np.empty(0), np.empty(0), np.empty(0))
        self._revision: Hashable = None
        self._levels: list[_Grown] = []

    def __len__(self) -> int:
        return len(self._rows[0])

    def update(
        self, values: Numbers, revision: Hashable, *, low: Numbers | None = None, high: Numbers | None = None
    ) -> None:
        """Take the column as it is now, [rows]; with another revision than before, or fewer rows, all is made anew.

        The arrays are kept, not copied: they must stay as they are until the next update.
        """
        if revision != self._revision or len(values) < len(self):
            self._levels = []
        self._revision = revision
        self._rows = (values, values if low is None else low, values if high is None else high)
        self._summarise()

    def columns(self, x: npt.NDArray[np.generic], edges: npt.NDArray[np.float64]) -> Columns:
        """Return what lies between each two neighbours of `edges`, [columns + 1] and in the units of `x`.

        `x` is sorted, [rows]. What lies on an edge belongs to the column at its right, on the last to its left.
        """
        bounds = found(x, edges)
        starts, stops = bounds[:-1], bounds[1:]
        summary = self._between(0, starts, stops)
        with np.errstate(invalid="ignore"):
            mean = summary.total / summary.count
        return Columns(
            low=summary.low.astype(np.float64), high=summary.high.astype(np.float64), mean=mean, bounds=bounds
        )

    def _summarise(self) -> None:
        """Bring every level up to what is whole of the one below."""
        depth, length = 0, len(self)
        while length >= BLOCK:
            if depth == len(self._levels):
                self._levels.append(_Grown())
            level = self._levels[depth]
            begin, end = level.length, length // BLOCK
            if begin < end:
                below = self._at(depth, slice(begin * BLOCK, end * BLOCK))
                level.extend(below.reduced(np.arange(0, (end - begin) * BLOCK, BLOCK)))
            depth, length = depth + 1, end

    def _at(self, depth: int, rows: Rows | slice) -> _Summary:
        """Return rows of a level; those of level 0 are the numbers themselves."""
        if depth:
            return self._levels[depth - 1].whole.at(rows)
        values, low, high = (column[rows] for column in self._rows)
        finite = np.isfinite(values)
        return _Summary(
            low=np.where(finite & np.isfinite(low), low, np.nan),
            high=np.where(finite & np.isfinite(high), high, np.nan),
            total=np.where(finite, values, 0.0).astype(np.float64),
            count=finite.astype(np.float64),
        )

    def _between(self, depth: int, starts: Rows, stops: Rows) -> _Summary:
        """Return a summary for each stretch from start to stop of a level's rows."""
        if depth == len(self._levels) or (stops - starts).sum() <= SHORT * len(starts):
            return self._read(depth, starts, stops)
        inner_starts = -(-starts // BLOCK)
        inner_stops = np.maximum(stops // BLOCK, inner_starts)
        head_stops = np.minimum(inner_starts * BLOCK, stops)
        tail_starts = np.clip(inner_stops * BLOCK, head_stops, stops)
        head = self._read(depth, starts, head_stops)
        tail = self._read(depth, tail_starts, stops)
        return _joined(head, self._between(depth + 1, inner_starts, inner_stops), tail)

    def _read(self, depth: int, starts: Rows, stops: Rows) -> _Summary:
        """Return the same by reading every row of the level in the stretches."""
        nothing = np.full(len(starts), np.nan)
        summary = _Summary(low=nothing, high=nothing.copy(), total=np.zeros(len(starts)), count=np.zeros(len(starts)))
        (full,) = np.nonzero(starts < stops)
        if not len(full):
            return summary
        lengths = stops[full] - starts[full]
        begins = np.cumsum(lengths) - lengths
        rows = np.arange(lengths.sum()) + np.repeat(starts[full] - begins, lengths)
        read = self._at(depth, rows).reduced(begins)
        summary.low[full], summary.high[full] = read.low, read.high
        summary.total[full], summary.count[full] = read.total, read.count
        return summary


class _Grown:
    """A level of summaries; room for it doubles, so that it grows by a few without being copied."""

    def __init__(self) -> None:
        self.length = 0
        self._room = np.empty((4, 64))

    @property
    def whole(self) -> _Summary:
        low, high, total, count = self._room[:, : self.length]
        return _Summary(low=low, high=high, total=total, count=count)

    def extend(self, more: _Summary) -> None:
        length = self.length + len(more.low)
        if length > self._room.shape[1]:
            room = np.empty((4, max(length, 2 * self._room.shape[1])))
            room[:, : self.length] = self._room[:, : self.length]
            self._room = room
        self._room[:, self.length : length] = more.low, more.high, more.total, more.count
        self.length = length


def found(x: npt.NDArray[np.generic], edges: npt.NDArray[np.float64]) -> Rows:
    """Return the first row of the sorted `x` at or after each edge; after the last edge for the last one."""
    # Edges of another type would have numpy convert all of x, which for two million rows takes longer than a redraw.
    if np.issubdtype(x.dtype, np.integer):
        limits = np.iinfo(x.dtype)  # type: ignore[type-var]
        whole = np.append(np.ceil(edges[:-1]), np.floor(edges[-1]) + 1)
        return np.searchsorted(x, whole.clip(limits.min, limits.max).astype(x.dtype))
    alike = edges.astype(x.dtype)
    bounds = np.searchsorted(x, alike)
    bounds[-1] = np.searchsorted(x, alike[-1], "right")
    return bounds


def _joined(*parts: _Summary) -> _Summary:
    first, *others = parts
    low, high, total, count = first.low, first.high, first.total, first.count
    for other in others:
        low, high = np.fmin(low, other.low), np.fmax(high, other.high)
        total, count = total + other.total, count + other.count
    return _Summary(low=low, high=high, total=total, count=count)
