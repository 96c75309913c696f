"""What a trial of a promise is: it tries to break it, and counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much a trial tries: a little in the tests, all of it for the figures; `seed` draws what is drawn."""

    whole: bool
    seed: int = 0

    def of(self, little: int, whole: int) -> int:
        """Return the one or the other."""
        return whole if self.whole else little


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Something counted, such as 200 kills survived."""

    what: str
    count: float


Trial = Callable[[Size, Path], Iterator[Figure]]
"""Tries in an empty folder of its own, with an empty DISTILL_HOME; yields what it counted.

Raises AssertionError, with a sentence that names the input, where the promise doesn't hold.
"""
