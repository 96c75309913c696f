"""What a model is steered by: a slider for each of its axes, and after them how restless, how long, and which seed.

A slider's value is in standard deviations of the corpus along its axis, and 0 leaves the sound alone. It may go beyond
the range in which the sound stays safe, as far as `REACH` or the range itself; only it is said so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from distill_engine import api

if TYPE_CHECKING:
    from distill_engine.api import ModelInfo

REACH = 4.0
"""How far a slider goes at least, either way, in standard deviations."""

USUAL_SECONDS = 4.0

_NOTHING = 1e-6  # how much a limit of a file and a round value may differ that are shown alike

Kind = Literal["axis", "evolution", "length", "seed"]
Direction = Literal[1, -1]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a sound is made with, but for the model."""

    sliders: Mapping[str, float] = field(default_factory=dict)
    """By the axis' name, in standard deviations; one at 0 isn't in it."""

    seed: int = 0
    evolution: float = api.USUAL_EVOLUTION
    """From 0, still, to 1, restless."""

    seconds: float = USUAL_SECONDS


@dataclass(frozen=True, kw_only=True)
class Slider:
    """One of the things that can be set: its name, how far it goes, and where the sound stays safe."""

    kind: Kind
    name: str
    """The axis' name as the model has it; any text."""

    least: float
    most: float
    low: float
    """Where the range begins in which the sound stays safe."""

    high: float
    correlation: float = 0.0
    """How strictly what an axis is named after follows it."""

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return f"axis {self.name}" if self.kind == "axis" else self.kind

    @property
    def has_track(self) -> bool:
        """Whether it is drawn as a way from one end to the other."""
        return self.kind in ("axis", "evolution")

    @property
    def usual(self) -> float:
        """The value it has at first."""
        return {"axis": 0.0, "evolution": api.USUAL_EVOLUTION, "length": USUAL_SECONDS, "seed": 0.0}[self.kind]

    def is_safe(self, value: float) -> bool:
        """Tell whether the sound stays safe at a value."""
        return self.low - _NOTHING <= value <= self.high + _NOTHING


def sliders_of(info: ModelInfo) -> tuple[Slider, ...]:
    """Return what a model can be steered by: its axes, the widest first, and what every model has."""
    axes = {axis.name: axis for axis in info.latent_axes}
    return (
        *(
            Slider(
                kind="axis",
                name=axis.name,
                least=-max(REACH, -axis.low),
                most=max(REACH, axis.high),
                low=axis.low,
                high=axis.high,
                correlation=axis.correlation,
            )
            for axis in axes.values()
        ),
        _plain("evolution", 0.0, 1.0),
        _plain("length", api.SHORTEST_SECONDS, api.LONGEST_SECONDS),
        _plain("seed", 0, api.LARGEST_SEED),
    )


def _plain(kind: Kind, least: float, most: float) -> Slider:
    return Slider(kind=kind, name=kind, least=least, most=most, low=least, high=most)


def value_of(settings: Settings, slider: Slider) -> float:
    """Return what a slider stands at."""
    match slider.kind:
        case "axis":
            return settings.sliders.get(slider.name, 0.0)
        case "evolution":
            return settings.evolution
        case "length":
            return settings.seconds
        case "seed":
            return settings.seed


def with_value(settings: Settings, slider: Slider, value: float) -> Settings:
    """Return the settings with a slider at a value, or as near to it as it goes."""
    value = min(max(value, slider.least), slider.most)
    match slider.kind:
        case "axis":
            others = {name: other for name, other in settings.sliders.items() if name != slider.name}
            return replace(settings, sliders={**others, slider.name: value} if value else others)
        case "evolution":
            return replace(settings, evolution=value)
        case "length":
            return replace(settings, seconds=value)
        case "seed":
            return replace(settings, seed=int(value))


def stepped(settings: Settings, slider: Slider, direction: Direction, *, fine: bool) -> Settings:
    """Return the settings with a slider a step on (1) or back (-1), on a round value where it wasn't on one."""
    value = value_of(settings, slider)
    width = _step(slider, value - 1e-9 if direction < 0 else value, fine=fine)
    places = value / width
    nearest = round(places)
    if abs(places - nearest) < 1e-6:
        nearest += direction
    else:
        nearest = math.floor(places) + (direction > 0)
    return with_value(settings, slider, round(nearest * width, 6))


def _step(slider: Slider, value: float, *, fine: bool) -> float:
    match slider.kind:
        case "axis":
            return 0.1 if fine else 0.5
        case "evolution":
            return 0.02 if fine else 0.1
        case "seed":
            return 1
        case "length":
            coarse = 1.0 if value < 10 else 10.0 if value < 120 else 60.0
            return coarse / 10 if fine else coarse


def complaint_about(slider: Slider, text: str) -> str:
    """Return what keeps a typed text from being a slider's value; empty for nothing."""
    whole = slider.kind == "seed"
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        return "must be a whole number" if whole else "must be a number"
    fits = math.isfinite(value) and slider.least <= value <= slider.most
    return "" if fits else f"must be {limits_of(slider)}"


def limits_of(slider: Slider) -> str:
    """Return how far a slider goes, such as "-4 to 4.6"; a long whole number with its commas."""
    most = f"{slider.most:,.0f}" if float(slider.most).is_integer() else f"{slider.most:g}"
    return f"{slider.least:g} to {most}"


def known_to(settings: Settings, sliders: tuple[Slider, ...]) -> Settings:
    """Return settings from elsewhere without what this model has no slider for, and within what sliders can do."""
    for slider in sliders:
        settings = with_value(settings, slider, value_of(settings, slider))
    names = {slider.name for slider in sliders if slider.kind == "axis"}
    return replace(settings, sliders={name: value for name, value in settings.sliders.items() if name in names})


def are_alike(one: Settings, other: Settings) -> bool:
    """Tell whether settings differ in nothing but the length of the sound."""
    return replace(one, seconds=other.seconds) == other
