"""The sliders while one moves them: a `Draft` is the settings with all that they were, and which of them are locked."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from distill_engine import api
from distill_tui.explore.sliders import Direction, Settings, Slider, stepped, with_value

MOST_STEPS_BACK = 300


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The settings, and the ones they were before and may be again."""

    settings: Settings = field(default_factory=Settings)
    locked: frozenset[str] = frozenset()
    """The keys of the sliders that chance leaves alone."""

    past: tuple[Settings, ...] = ()
    future: tuple[Settings, ...] = ()
    """What undoing took back, the nearest last."""

    moving: str = ""
    """The slider whose moves the latest step is made of."""


def taken(draft: Draft, settings: Settings, *, moving: str = "") -> Draft:
    """Return the draft after a step to other settings; moves of one slider after each other are one step."""
    if settings == draft.settings:
        return draft
    past = draft.past if moving and moving == draft.moving else (*draft.past, draft.settings)[-MOST_STEPS_BACK:]
    return replace(draft, settings=settings, past=past, future=(), moving=moving)


def moved(draft: Draft, slider: Slider, direction: Direction, *, fine: bool) -> Draft:
    """Return the draft with a slider a step on or back."""
    return taken(draft, stepped(draft.settings, slider, direction, fine=fine), moving=slider.key)


def reset(draft: Draft, slider: Slider) -> Draft:
    """Return the draft with a slider as it was at first."""
    return taken(draft, with_value(draft.settings, slider, slider.usual))


def reset_all(draft: Draft, sliders: Sequence[Slider]) -> Draft:
    """Return the draft with all sliders as they were at first, locked or not; length and seed aren't sliders."""
    settings = draft.settings
    for slider in sliders:
        if slider.has_track:
            settings = with_value(settings, slider, slider.usual)
    return taken(draft, settings)


def lock_turned(draft: Draft, slider: Slider) -> Draft:
    """Return the draft with a slider locked, or free again."""
    return replace(draft, locked=draft.locked ^ {slider.key})


def randomised(draft: Draft, sliders: Sequence[Slider], chance: random.Random) -> Draft:
    """Return the draft with each axis that isn't locked drawn as it is among the recordings, within its safe range.

    A slider counts in their standard deviations. Anywhere in the range alike, many axes together would be far from all
    that the model has heard.
    """
    settings = draft.settings
    for slider in sliders:
        if slider.kind == "axis" and slider.key not in draft.locked:
            value = round(chance.gauss(0.0, 1.0), 1)
            settings = with_value(settings, slider, min(max(value, slider.low), slider.high))
    return taken(draft, settings)


def with_new_seed(draft: Draft, chance: random.Random) -> Draft:
    """Return the draft with a seed that can be remembered."""
    seeds = min(10_000, api.LARGEST_SEED)
    seed = (draft.settings.seed + chance.randrange(1, seeds)) % seeds
    return taken(draft, replace(draft.settings, seed=seed))


def undone(draft: Draft) -> Draft:
    """Return the draft a step back; the same where there is none."""
    if not draft.past:
        return draft
    return replace(
        draft, settings=draft.past[-1], past=draft.past[:-1], future=(*draft.future, draft.settings), moving=""
    )


def redone(draft: Draft) -> Draft:
    """Return the draft with the last undone step taken again; the same where there is none."""
    if not draft.future:
        return draft
    return replace(
        draft, settings=draft.future[-1], past=(*draft.past, draft.settings), future=draft.future[:-1], moving=""
    )
