"""A model's sliders between two visits: noted whenever they move, called back when the model is explored again."""

from __future__ import annotations

from collections.abc import Mapping

from distill_tui.explore.drafts import Draft
from distill_tui.explore.sliders import Settings, Slider, known_to
from distill_tui.remembered import Exploring

MOST_MODELS = 100
"""Of how many models sliders are remembered, those that were moved last."""


def noted(before: Mapping[str, Exploring], model_id: str, draft: Draft) -> dict[str, Exploring]:
    """Return what to remember of all models' sliders, with those of one as they are in its draft."""
    settings = draft.settings
    exploring = Exploring(
        sliders=dict(settings.sliders),
        seed=settings.seed,
        evolution=settings.evolution,
        seconds=settings.seconds,
        locked=tuple(sorted(draft.locked)),
    )
    others = [(key, other) for key, other in before.items() if key != model_id]
    return dict([*others[-MOST_MODELS + 1 :], (model_id, exploring)])


def recalled(exploring: Exploring | None, sliders: tuple[Slider, ...]) -> Draft:
    """Return the draft that was noted, as far as the model has its sliders; a new one where none was."""
    if exploring is None:
        return Draft()
    settings = Settings(
        sliders=exploring.sliders, seed=exploring.seed, evolution=exploring.evolution, seconds=exploring.seconds
    )
    keys = frozenset(slider.key for slider in sliders)
    return Draft(settings=known_to(settings, sliders), locked=keys.intersection(exploring.locked))
