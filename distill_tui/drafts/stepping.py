"""The next sensible value of a setting: what a key does that changes a field without typing. Pure, no Textual.

Choices go round; small whole numbers and levels in dB go by ones, sizes double, everything else climbs 1, 2, 5, 10.
Where 0 is allowed it is the lowest rung, for it usually switches something off.
"""

from __future__ import annotations

import math
from typing import Literal

from distill_engine import api

Direction = Literal[1, -1]

_ROUNDS: dict[str, tuple[str, ...]] = {"device": ("auto", "cpu", "cuda")}
"""Texts that aren't the only ones allowed, but those one wants most."""

_LADDERS: dict[str, tuple[float, ...]] = {
    "ema_decay": (0.0, 0.9, 0.99, 0.995, 0.999, 0.9995, 0.9999),
    "regularization.dropout": (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9),
}
_DOUBLING = frozenset({"batch_size", "latent_dim", "complex_spectrogram.n_mels"})
_BY_ONES = frozenset({"seed"})
_SMALL = 100
_WIDE_DB = 30.0
_LEAST_RUNG = 0.01
"""The lowest rung above 0, as a share of the usual value."""


def stepped(entry: api.Declaration, value: api.Value, direction: Direction) -> api.Value:
    """Return the value after (1) or before (-1) `value`, within the limits; the same where there is none."""
    choices = entry.limits.choices or _ROUNDS.get(entry.key, ())
    if choices:
        place = choices.index(value) if value in choices else min(0, -direction)
        return choices[(place + direction) % len(choices)]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    assert entry.limits.low is not None
    assert entry.limits.high is not None
    moved = min(max(_moved(entry, value, direction), entry.limits.low), entry.limits.high)
    return int(moved) if entry.kind is int else float(moved)


def _moved(entry: api.Declaration, value: float, direction: Direction) -> float:
    if entry.key in _LADDERS:
        return _on_ladder(_LADDERS[entry.key], value, direction)
    if entry.limits.unit == "dB":
        return _evenly(value, 5.0 if _width(entry) > _WIDE_DB else 1.0, direction)
    if entry.kind is int and (entry.key in _BY_ONES or entry.limits.high is None or entry.limits.high <= _SMALL):
        return value + direction
    least = 1.0 if entry.kind is int else _rung(0.99 * (abs(float(entry.default)) * _LEAST_RUNG or 1.0), 1)
    if value < least or (value == least and direction < 0):
        return least if direction > 0 else 0.0
    if entry.key in _DOUBLING:
        return value * 2 if direction > 0 else math.ceil(value / 2)
    return _rung(value, direction)


def _on_ladder(ladder: tuple[float, ...], value: float, direction: Direction) -> float:
    beyond = [rung for rung in ladder if (rung - value) * direction > 0]
    if not beyond:
        return value
    return min(beyond) if direction > 0 else max(beyond)


def _evenly(value: float, width: float, direction: Direction) -> float:
    """Return the next multiple of `width`."""
    return (math.floor(value / width) + 1 if direction > 0 else math.ceil(value / width) - 1) * width


def _width(entry: api.Declaration) -> float:
    assert entry.limits.low is not None
    assert entry.limits.high is not None
    return entry.limits.high - entry.limits.low


def _rung(value: float, direction: Direction) -> float:
    """Return the nearest of 1, 2 and 5 times a power of ten that lies beyond `value`, which is above 0."""
    exponent = math.floor(math.log10(value))
    near = [float(f"{digit}e{power}") for power in (exponent - 1, exponent, exponent + 1) for digit in (1, 2, 5)]
    return _on_ladder(tuple(near), value, direction)
