"""What is asked of the helper process about a model's sliders, and when a picture is another one.

Loading this room loads the messages and numpy with them, which takes longer than a key may wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distill_engine.api import Explore, Steering
from distill_tui.explore.sliders import Settings

MOST_PICTURED = 8.0
"""Seconds of a sound's beginning that are drawn: a minute's picture would take longer than a key may."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The picture that should be shown."""

    model: Path
    settings: Settings
    columns: int
    rows: int

    @property
    def seconds(self) -> float:
        """How much of the sound is drawn."""
        return min(self.settings.seconds, MOST_PICTURED)

    def request(self) -> Explore:
        """Return what to ask for it."""
        return Explore(
            model=self.model,
            steering=steering_of(self.settings),
            seconds=self.seconds,
            columns=self.columns,
            rows=self.rows,
        )


def steering_of(settings: Settings) -> Steering:
    """Return settings as the helper takes them."""
    return Steering(seed=settings.seed, sliders=dict(settings.sliders), evolution=settings.evolution)
