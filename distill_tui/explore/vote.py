"""A blind vote between two settings: chance decides which is A, and nobody is told before the vote."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from distill_engine import api
from distill_tui.explore.drafts import Draft, randomised
from distill_tui.explore.presets import settings_of
from distill_tui.explore.slider_words import difference
from distill_tui.explore.sliders import Settings, Slider, known_to
from distill_tui.format import Words, paragraph

Vote = Literal["A", "B", ""]
"""Which is better; empty for neither."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Settings that stand for election, and what a person calls them."""

    title: str
    settings: Settings
    preset: str = ""
    """The name of the preset that they are."""

    is_secret: bool = False
    """Whether nobody has seen them yet, and nobody is to before the vote."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two candidates in an order that only chance knows."""

    a: Candidate
    b: Candidate

    def chosen(self, vote: Vote) -> Candidate | None:
        """Return the one that was voted for."""
        return {"A": self.a, "B": self.b}.get(vote)


def rivals(
    draft: Draft, sliders: tuple[Slider, ...], presets: Iterable[api.SliderPreset], chance: random.Random
) -> list[Candidate]:
    """Return what the present settings can be compared with: one left to chance, the step before, and each preset."""
    found = [Candidate(title="a random setting", settings=randomised(draft, sliders, chance).settings, is_secret=True)]
    if draft.past:
        found.append(Candidate(title="the step before", settings=draft.past[-1]))
    for preset in presets:
        settings = known_to(settings_of(preset, draft.settings), sliders)
        found.append(Candidate(title=f"preset {api.shown(preset.name)}", settings=settings, preset=preset.name))
    return found


def shuffled(one: Candidate, other: Candidate, chance: random.Random) -> Pair:
    """Return the candidates in random order."""
    return Pair(a=one, b=other) if chance.random() < 0.5 else Pair(a=other, b=one)


def told(pair: Pair, vote: Vote, width: int) -> list[Words]:
    """Return which was which, where they differ, and which of them was voted for."""
    lines: list[Words] = []
    for name, candidate, other in (("A", pair.a, pair.b), ("B", pair.b, pair.a)):
        mark = ", which you chose" if vote == name else ""
        lines += paragraph(f"{name} was {candidate.title}{mark}", width, "strong" if mark else "")
        lines += paragraph(difference(candidate.settings, other.settings), width, "dim")
    return [*lines, [("You heard no difference that matters.", "")]] if not vote else lines
