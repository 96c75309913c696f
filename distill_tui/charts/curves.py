"""What each chart of a run shows: its curves, as series made of the history's columns without copying them.

The charts stand in the order in which they are paged through; the first four are those one looks at most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from distill_engine import api
from distill_tui.charts.drawing import Colour, Numbers, Series
from distill_tui.charts.view import Axis
from distill_tui.live_run import RunView


@dataclass(frozen=True, kw_only=True)
class Told:
    """A run's history along one axis."""

    history: api.History
    axis: Axis
    run: str
    origin: float
    """The time the run began."""

    def along(self, table: api.Table) -> Numbers:
        """Return where the rows of a table lie."""
        return table.column(self.axis)

    @property
    def start(self) -> float:
        """Where the axis begins."""
        return self.origin if self.axis == "time" else 0.0


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A chart: its name, its title, and the curves it shows of a run."""

    name: str
    title: str
    curves: Callable[[Told], list[Series]]


def told(view: RunView, axis: Axis) -> Told | None:
    """Return what charts are made of; None until the history begins to come."""
    if view.history is None:
        return None
    return Told(history=view.history, axis=axis, run=str(view.folder.path), origin=view.state.started)


def end_of(view: RunView, axis: Axis) -> float:
    """Return how far a run has come, in steps or in seconds since it began."""
    state = view.state
    return float(state.step) if axis == "step" else max(0.0, state.time - state.started)


def _step(run: Told, column: str, label: str, colour: Colour, *, band: bool = False) -> Series:
    steps = run.history.steps
    return Series(
        name=column,
        label=label,
        x=run.along(steps),
        y=steps.column(column),
        low=steps.column(f"{column}_min") if band else None,
        high=steps.column(f"{column}_max") if band else None,
        revision=(run.run, steps.revision),
        colour=colour,
        origin=run.start,
    )


def _epoch(run: Told, column: str, label: str, colour: Colour, *, best: bool = False) -> Series:
    epochs = run.history.epochs
    return Series(
        name=column,
        label=label,
        x=run.along(epochs),
        y=epochs.column(column),
        kind="points",
        revision=(run.run, epochs.revision),
        colour=colour,
        origin=run.start,
        best="least" if best else None,
    )


def _loss(run: Told) -> list[Series]:
    return [
        _step(run, "loss", "train", "train", band=True),
        _epoch(run, "validation_loss", "validation", "validation", best=True),
    ]


def _parts(run: Told) -> list[Series]:
    return [
        _step(run, "magnitude", "mag", "magnitude"),
        _step(run, "frequency", "freq", "frequency"),
        _step(run, "stft", "stft", "stft"),
    ]


def _validation_parts(run: Told) -> list[Series]:
    return [
        _epoch(run, "validation_magnitude", "mag", "magnitude"),
        _epoch(run, "validation_frequency", "freq", "frequency"),
        _epoch(run, "validation_stft", "stft", "stft"),
    ]


def _both(part: str) -> Callable[[Told], list[Series]]:
    def curves(run: Told) -> list[Series]:
        return [
            _step(run, part, "train", "train"),
            _epoch(run, f"validation_{part}", "validation", "validation", best=True),
        ]

    return curves


def _single(column: str, label: str) -> Callable[[Told], list[Series]]:
    return lambda run: [_step(run, column, label, "train")]


def _distance(run: Told) -> list[Series]:
    """Return how far previews sound from the recordings, and the least that the representation allows."""
    previews = run.history.previews
    where = [one.time if run.axis == "time" else one.step for one in previews]
    x = np.array(where, dtype=np.float64)
    lsd = np.array([np.nan if one.lsd is None else one.lsd for one in previews], dtype=np.float64)
    floor = next((one.floor_lsd for one in reversed(previews) if one.floor_lsd is not None), None)
    revision = (run.run, previews[0].seq if previews else 0)
    heard = Series(
        name="distance",
        label="preview",
        x=x,
        y=lsd,
        kind="points",
        revision=revision,
        colour="validation",
        origin=run.start,
        best="least",
    )
    if floor is None:
        return [heard]
    level = Series(
        name="floor", label="floor", x=np.zeros(1), y=np.array([floor]), kind="level", revision=revision, colour="level"
    )
    return [heard, level]


PICTURES: tuple[Picture, ...] = (
    Picture(name="loss", title="loss", curves=_loss),
    Picture(name="parts", title="parts", curves=_parts),
    Picture(name="distance", title="distance, dB", curves=_distance),
    Picture(name="gradient", title="gradient norm", curves=_single("gradient_norm", "norm")),
    Picture(name="rate", title="learning rate", curves=_single("learning_rate", "rate")),
    Picture(name="throughput", title="speed", curves=_single("pieces_per_second", "pieces a second")),
    Picture(name="kl", title="KL", curves=_both("kl")),
    Picture(name="validation-parts", title="validated parts", curves=_validation_parts),
    Picture(name="magnitude", title="magnitude", curves=_both("magnitude")),
    Picture(name="frequency", title="frequency", curves=_both("frequency")),
    Picture(name="stft", title="STFT", curves=_both("stft")),
    Picture(name="kl-weight", title="KL weight", curves=_single("kl_weight", "weight")),
)
"""All charts, in the order in which one pages through them."""
