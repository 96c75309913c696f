"""What the Explore view asks a person for: presets, a blind vote, a sound that was made, a typed value.

All is awaited in a worker of the view; what blocks is done in a thread. What is returned are settings, or nothing.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import shutil
from typing import TYPE_CHECKING

from distill_engine import api
from distill_tui.actions import key_of
from distill_tui.explore.asked import steering_of
from distill_tui.explore.drafts import Draft
from distill_tui.explore.history import MadeSound, made_of
from distill_tui.explore.presets import preset_of, settings_of
from distill_tui.explore.slider_words import in_words
from distill_tui.explore.sliders import Settings, Slider, complaint_about, limits_of, value_of
from distill_tui.explore.vote import Candidate, Pair, Vote, rivals, shuffled
from distill_tui.library import shelf
from distill_tui.screens.choice import Choice
from distill_tui.screens.dialogs import Prompt, Question
from distill_tui.screens.explore_dialogs import BlindVote, PresetChoice, Revealed, WhatNext
from distill_tui.widgets.listing import Cell, Column, Row

if TYPE_CHECKING:
    from distill_engine.api import LibraryEntry, Progress
    from distill_tui.app import DistillApp

_MADE_COLUMNS = (
    Column(title="file", width=16, keep_end=True),
    Column(title="settings"),
)


_AGAIN_SECONDS = 0.1
"""After how long it is looked again whether another dialog is gone."""


async def typed(app: DistillApp, slider: Slider, settings: Settings) -> float | None:
    """Ask for a slider's value."""
    label = f"{api.shown(slider.name)}, {limits_of(slider)}"
    now = f"{value_of(settings, slider):g}" if slider.kind != "seed" else str(settings.seed)
    text = await app.push_screen_wait(Prompt(label, now, complaint=lambda text: complaint_about(slider, text)))
    return float(text) if text else None


async def kept_as_preset(app: DistillApp, entry: LibraryEntry, settings: Settings, name: str = "") -> str:
    """Ask for a name and keep the settings under it; return the name, empty for none."""
    presets = await asyncio.to_thread(api.load_presets, entry.id)
    wanted = await app.push_screen_wait(Prompt("Keep these settings as which preset?", name, complaint=_about_name))
    if not wanted:
        return ""
    if wanted in presets:
        said = in_words(settings_of(presets[wanted], settings), with_length=False)
        question = Question(f"There is a preset {api.shown(wanted)} already.", said, yes="replace", no="keep")
        if not await app.push_screen_wait(question):
            return ""
    await asyncio.to_thread(api.save_preset, entry.id, preset_of(settings, wanted))
    app.say(f"kept as preset {api.shown(wanted)}", f"{key_of('explore.presets')} loads it")
    return wanted


async def chosen_preset(app: DistillApp, entry: LibraryEntry) -> api.SliderPreset | None:
    """Let one choose a preset, or delete some."""
    presets = await asyncio.to_thread(api.load_presets, entry.id)
    name = await app.push_screen_wait(PresetChoice(entry.id, [*presets.values()]))
    if not name:
        return None
    return (await asyncio.to_thread(api.load_presets, entry.id)).get(name)


async def chosen_from_history(app: DistillApp, entry: LibraryEntry) -> MadeSound | None:
    """Let one choose among the sounds that say how they were made."""
    made, rows = await asyncio.to_thread(_history, entry)
    empty = "no sound of this model that says how it was made is here yet"
    key = await app.push_screen_wait(Choice("Take the settings of which sound?", _MADE_COLUMNS, rows, empty=empty))
    return made.get(key) if key else None


async def chosen_pair(app: DistillApp, entry: LibraryEntry, draft: Draft, sliders: tuple[Slider, ...]) -> Pair | None:
    """Let one choose what the present settings are compared with."""
    now = Candidate(title="what the sliders stand at", settings=draft.settings)
    other = await _rival(app, entry, draft, sliders)
    if other is None:
        return None
    if other.settings == now.settings:
        app.say(f"{other.title} is what the sliders stand at", "there is nothing to compare")
        return None
    return shuffled(now, other, random.SystemRandom())


async def voted(app: DistillApp, entry: LibraryEntry, pair: Pair, seconds: float) -> tuple[Candidate | None, WhatNext]:
    """Have both made, let one hear them and vote, and tell which was which.

    Returns:
        The one that was voted for, if something is to become of it, and what.
    """
    vote = await _heard(app, entry, pair, seconds)
    if vote is None:
        return None, ""
    what = await app.push_screen_wait(Revealed(pair, vote))
    return (pair.chosen(vote), what) if what else (None, "")


async def _rival(app: DistillApp, entry: LibraryEntry, draft: Draft, sliders: tuple[Slider, ...]) -> Candidate | None:
    presets = await asyncio.to_thread(api.load_presets, entry.id)
    found = {one.title: one for one in rivals(draft, sliders, presets.values(), random.SystemRandom())}
    rows = [Row(key=title, cells=(Cell(text=title), Cell(text=_rival_words(one)))) for title, one in found.items()]
    columns = [Column(title="against", width=18), Column(title="settings")]
    key = await app.push_screen_wait(Choice("Compare what the sliders stand at with what?", columns, rows, empty=""))
    return found.get(key) if key else None


def _rival_words(candidate: Candidate) -> str:
    if candidate.is_secret:
        return "every axis that isn't locked is drawn anew"
    return in_words(candidate.settings, with_length=False)


async def _heard(app: DistillApp, entry: LibraryEntry, pair: Pair, seconds: float) -> Vote | None:
    """Have both made, and ask which is better; nothing is left of them afterwards."""
    folder = api.cache_folder() / "blind" / secrets.token_hex(4)
    making = f"making two sounds of {api.shown(entry.name)} to compare"
    cancels = f"{key_of('library.cancel')} cancels"
    app.say(making, cancels)

    def on_progress(progress: Progress) -> None:
        app.say(f"{making}: {progress.words}", cancels)

    a, b = (steering_of(candidate.settings) for candidate in (pair.a, pair.b))
    request = api.Compare(model=entry.path, folder=folder, a=a, b=b, seconds=seconds)
    try:
        made = await app.service.ask(request, on_progress)
        while app.screen.is_modal:  # a key that is meant for another dialog would be a vote
            await asyncio.sleep(_AGAIN_SECONDS)
        app.say("both are there; hear them on your own machine, then vote")
        return await app.push_screen_wait(BlindVote(made.a, made.b))
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _history(entry: LibraryEntry) -> tuple[dict[str, MadeSound], list[Row]]:
    made = {str(one.path): one for one in made_of(entry.id, shelf.all_sounds())}
    return made, [_made_row(key, one) for key, one in made.items()]


def _made_row(key: str, made: MadeSound) -> Row:
    preset = f"{api.shown(made.preset)}: " if made.preset else ""
    cells = (
        Cell(text=api.shown(made.path.name)),
        Cell(text=preset + in_words(made.settings) + (f"; {api.shown(made.beside)}" if made.beside else "")),
    )
    return Row(key=key, cells=cells)


def _about_name(name: str) -> str:
    try:
        api.checked_name(name)
    except api.DistillError as error:
        return api.shown(f"{error.message}; {error.hint}")
    return ""
