"""The sliders of a model: which there are, which values are taken, and what is said of those that are daring."""

from __future__ import annotations

import math
from collections.abc import Mapping

from distill_engine.errors import UsageError
from distill_engine.models.model_info import ModelInfo
from distill_engine.names import nearest_words
from distill_engine.words import shown

FURTHEST = 10.0
"""Standard deviations: no corpus has anything there, and decoders leave the numbers there are."""


def check_sliders(info: ModelInfo, sliders: Mapping[str, float], called: str = "") -> None:
    """Raise UsageError for a slider that the model doesn't have, or a value that is no use on any.

    `called` is what the model is called in the library, where that isn't what it was trained as.
    """
    model = shown(called or info.name)
    names = [axis.name for axis in info.latent_axes]
    for name, value in sliders.items():
        if not names:
            raise UsageError(
                f"{model} has no sliders yet, so {shown(name)!r} can't be set",
                f"distill-engine analyze {model} finds them",
            )
        if name not in names:
            raise UsageError(f"there is no slider {shown(name)!r}", _nearest(name, names))
        if not math.isfinite(value) or abs(value) > FURTHEST:
            raise UsageError(
                f"{shown(name)} can't be {value:g}", f"sliders go from {-FURTHEST:g} to {FURTHEST:g}, 0 is the middle"
            )


def _nearest(name: str, names: list[str]) -> str:
    """Return a hint that lists the sliders there are, the one probably meant first."""
    all_of_them = f"the sliders are {', '.join(map(shown, names))}"
    meant = nearest_words(name, list(map(shown, names)), "sliders")
    return f"{meant} {all_of_them}" if meant.startswith("did you mean") else all_of_them


def beyond_safe(info: ModelInfo, sliders: Mapping[str, float]) -> list[str]:
    """Return a sentence for each slider set beyond the range in which the sound is known to stay safe: it is taken."""
    return [
        f"{shown(axis.name)} is at {sliders[axis.name]:+g}, beyond {axis.low:+g} to {axis.high:+g}, where it stays safe"
        for axis in info.latent_axes
        if axis.name in sliders and not axis.low <= sliders[axis.name] <= axis.high
    ]
