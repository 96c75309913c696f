"""A figure that was measured, beside what it is to be compared with."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from statistics import median


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """One number of a benchmark. `baseline` is that of the other way, in the same unit, measured in turns with it."""

    group: str
    name: str
    value: float
    unit: str
    baseline: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times the baseline it is."""
        return self.value / self.baseline if self.baseline else None

    def as_data(self) -> dict[str, object]:
        """Return it for JSON."""
        return dataclasses.asdict(self) | {"ratio": self.ratio}

    def row(self) -> tuple[str, ...]:
        """Return it as cells of a table: name, value and unit, how many times the baseline."""
        compared = f"{self.ratio:.2f} x {_number(self.baseline or 0.0)}" if self.ratio is not None else ""
        return (self.name, f"{_number(self.value)} {self.unit}", compared)


def in_turns(turns: Sequence[Callable[[], object]], rounds: int, finish: Callable[[], object]) -> list[list[float]]:
    """Return for each of `turns` the seconds it took in each round; every other round goes backwards.

    A machine that slows down must not always slow the same. `finish` waits for what a device still does.
    """
    seconds: list[list[float]] = [[] for _ in turns]
    order = list(range(len(turns)))
    for number in range(rounds):
        for place in order if number % 2 == 0 else reversed(order):
            start = time.perf_counter()
            turns[place]()
            finish()
            seconds[place].append(time.perf_counter() - start)
    return seconds


def median_ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the median over the rounds of what one took over what the other took."""
    return median(a / b for a, b in zip(one, other, strict=True))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
