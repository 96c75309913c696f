"""The Explore view of a model: its sliders, moved by keys, and the mel picture of the sound that they make.

A picture is asked of the helper process at every change, one at a time: while one is made only the newest wish is kept,
so that the picture is never behind by more than the one that is being made.
"""

from __future__ import annotations

import random
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.events import Resize
from textual.message import Message
from textual.widget import Widget
from textual.worker import Worker

from distill_engine import api
from distill_tui import clipboard
from distill_tui.actions import key_of
from distill_tui.bindings import bindings
from distill_tui.explore import drafts, kept
from distill_tui.explore.asked import Wanted
from distill_tui.explore.drafts import Draft
from distill_tui.explore.presets import left_out, settings_of
from distill_tui.explore.slider_words import ASCII, Signs, about, slider_line
from distill_tui.explore.sliders import (
    Direction,
    Settings,
    Slider,
    are_alike,
    known_to,
    sliders_of,
    value_of,
    with_value,
)
from distill_tui.explore.vote import Pair
from distill_tui.format import Words, paragraph
from distill_tui.screens import explore_asking as asking
from distill_tui.screens.pane import NARROW, distill_of
from distill_tui.widgets.copied import CopiedLine, pieces
from distill_tui.widgets.line import Lines
from distill_tui.widgets.paragraphs import Paragraphs
from distill_tui.widgets.picture import FLOOR_DB, MelPicture
from distill_tui.widgets.slider_rows import SliderRows

if TYPE_CHECKING:
    from distill_engine.api import LibraryEntry, Progress

LEAST_PICTURE = 6
"""Rows that the picture keeps where it lies below the sliders."""


class ExploreView(Container):
    """One model's sliders and the sound they make."""

    PLACE: ClassVar[str] = "explore"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("explore"), ("enter", "type", "Type a value")]
    DEFAULT_CSS = """
    ExploreView { layout: vertical; display: none; width: 1fr; height: 1fr;
        & > #explore-title { height: 1; padding: 0 1; }
        & > #explore-body { layout: horizontal; height: 1fr; padding: 0 1; }
        & #explore-controls { width: 60; height: 1fr; margin: 0 2 0 0; }
        & SliderRows { height: 4; }
        & #explore-words { margin: 1 0 0 0; }
        & MelPicture { width: 1fr; height: 1fr; }
        &.-narrow > #explore-body { layout: vertical; }
        &.-narrow #explore-controls { width: 1fr; height: auto; margin: 0; }
        &.-narrow #explore-words { margin: 0; }
    }
    """

    class SoundAsked(Message):
        """The sound that the sliders make is to be written to a file."""

        def __init__(self, entry: LibraryEntry, settings: Settings, preset: str) -> None:
            super().__init__()
            self.entry, self.settings, self.preset = entry, settings, preset

    def __init__(self, is_generating: Callable[[], bool]) -> None:
        """`is_generating` tells whether the helper is at sounds, for which pictures must wait."""
        super().__init__(id="explore")
        self._is_generating = is_generating
        self.rows = SliderRows()
        self._title = Lines(id="explore-title")
        self._words = Paragraphs(id="explore-words")
        self._mel = MelPicture()
        self._copied = CopiedLine()
        self._entry: LibraryEntry | None = None
        self._sliders: tuple[Slider, ...] = ()
        self._drafts: dict[tuple[str, tuple[Slider, ...]], Draft] = {}
        """What was done since the dashboard was opened, by a model and its sliders: an analysis gives it others."""
        self._preset = ("", Settings())
        """The preset that was last loaded or kept, and its settings."""
        self._made: Path | None = None
        self._said = ""
        self._problem = ""
        """Why there was no picture the last time."""
        self._loudest = 0.0
        self._wanted: Wanted | None = None
        self._drawn: Wanted | None = None
        self._is_drawing = False
        self._comparison: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        """Lay out the sliders, what is said of one, and the picture."""
        yield self._title
        with Container(id="explore-body"):
            with Vertical(id="explore-controls"):
                yield self.rows
                yield self._words
            yield self._mel
        yield self._copied

    # The model.

    @property
    def entry(self) -> LibraryEntry | None:
        """The model that is explored."""
        return self._entry

    @property
    def text(self) -> str:
        """All that it says."""
        return "\n".join((self._title.text, self.rows.text, self._words.text, self._copied.text))

    def first_focus(self) -> Widget:
        """Return the sliders."""
        return self.rows

    def show(self, entry: LibraryEntry) -> None:
        """Explore a model; its sliders are where they were left."""
        assert entry.info is not None
        if self._entry is None or entry.id != self._entry.id:
            self.left()
            self._loudest, self._made, self._preset, self._said = FLOOR_DB, None, ("", Settings()), ""
            self._mel.clear()
            self._copied.close()
        self._entry, self._sliders = entry, sliders_of(entry.info)
        if (entry.id, self._sliders) not in self._drafts:
            remembered = distill_of(self).memory.exploring.get(entry.id)
            self._drafts[entry.id, self._sliders] = kept.recalled(remembered, self._sliders)
        self._drawn = None  # the file may hold something else by now
        self._share_room()
        self._draw()
        self.call_after_refresh(self._follow)  # when it is known how much room the picture has

    @property
    def draft(self) -> Draft:
        """What the model's sliders stand at, and stood."""
        return self._drafts[self._entry.id, self._sliders] if self._entry else Draft()

    @property
    def _slider(self) -> Slider | None:
        return next((slider for slider in self._sliders if slider.key == self.rows.key), None)

    @property
    def _has_axes(self) -> bool:
        return any(slider.kind == "axis" for slider in self._sliders)

    def _change(self, draft: Draft) -> None:
        """Have the sliders as in another draft, and everything follow them."""
        if self._entry is None or draft == self.draft:
            return
        self._drafts[self._entry.id, self._sliders] = draft
        app = distill_of(self)
        app.note(exploring=kept.noted(app.memory.exploring, self._entry.id, draft))
        self._draw()
        self._follow()

    def _take(self, settings: Settings, words: str) -> None:
        """Have other settings from elsewhere, as far as the model has them, and say so."""
        self._change(drafts.taken(self.draft, known_to(settings, self._sliders)))
        undo = f"{key_of('explore.undo')} takes that back"
        distill_of(self).say(f"{words}{left_out(settings, self._sliders)}", undo)

    # The picture.

    def _follow(self) -> None:
        """Have the picture follow the settings."""
        if self._entry is None or not self._mel.size.width:
            return
        columns, rows = self._mel.size
        settings = self.draft.settings
        self._wanted = Wanted(model=self._entry.path, settings=settings, columns=columns, rows=2 * max(rows, 1))
        if not self._is_drawing:
            self._is_drawing = True
            self._draw_wanted()

    @work(group="explore-picture")
    async def _draw_wanted(self) -> None:
        try:
            while self._wanted is not None and self._wanted != self._drawn:
                self._drawn = self._wanted
                await self._draw_picture(self._wanted)
        finally:
            self._is_drawing = False

    async def _draw_picture(self, wanted: Wanted) -> None:
        if self._is_generating() or self._is_comparing:
            self._say("the picture waits for the sound being made")
        try:
            explored = await distill_of(self).service.ask(wanted.request(), self._say_progress)
        except api.DistillError as error:
            self._mel.clear()
            self._say("no picture")
            if error.message != self._problem:  # said once, not with every key
                self._problem = error.message
                distill_of(self).say(f"no picture: {api.shown(error.message)}", api.shown(error.hint), "warning")
            return
        self._problem = ""
        if self._entry is None or self._entry.path != wanted.model:
            return  # one explores another by now
        mel = explored.mel
        self._loudest = max(self._loudest, float(mel.decibels.max()))
        self._mel.show(mel.decibels, hertz=mel.hertz, seconds=mel.seconds, loudest=self._loudest)
        is_part = wanted.settings.seconds > wanted.seconds
        self._say(f"the first {api.duration(wanted.seconds)}" if is_part else "")

    def _say_progress(self, progress: Progress) -> None:
        self._say(f"the helper is {progress.words}")

    def _say(self, words: str) -> None:
        """Say something of the picture."""
        if words != self._said:
            self._said = words
            self._draw_title()

    # Drawing.

    def _draw(self) -> None:
        signs = ASCII if distill_of(self).ascii_only else Signs()
        settings, locked = self.draft.settings, self.draft.locked
        by_key = {slider.key: slider for slider in self._sliders}

        def line_of(key: str, width: int) -> Words:
            return slider_line(settings, by_key[key], width, signs, is_locked=key in locked)

        self.rows.show_sliders([*by_key], line_of)
        self._draw_title()
        self._draw_words()

    def _draw_title(self) -> None:
        if self._entry is None:
            return
        name, settings = self._preset
        now = self.draft.settings
        preset = f"  preset {api.shown(name)}" if name and are_alike(settings, now) else ""
        said = f"  {self._said}" if self._said else ""
        self._title.show([[(f"Explore {api.shown(self._entry.name)}", "strong"), (preset, "accent"), (said, "dim")]])

    @on(SliderRows.Moved)
    def _draw_words(self) -> None:
        slider = self._slider
        told = about(slider, value_of(self.draft.settings, slider)) if slider else ""
        bare = self._entry.name if self._entry is not None and not self._has_axes else ""
        self._words.write(lambda width: [*_how_to_analyse(bare, width), *paragraph(told, width, "dim")])

    def on_resize(self, event: Resize) -> None:
        """Share the room anew."""
        self.set_class(event.size.width < NARROW, "-narrow")
        self._share_room()

    @on(MelPicture.Resized)
    def _have_one_that_fits(self) -> None:
        self._follow()

    def _share_room(self) -> None:
        """Give the sliders as much height as they need, or as the picture leaves."""
        is_narrow = self.has_class("-narrow")
        said = 5 if not is_narrow or not self._has_axes else 2
        room = self.size.height - 1 - said - (LEAST_PICTURE if is_narrow else 1)
        self._words.styles.height = said
        self.rows.styles.height = max(2, min(len(self._sliders), room))

    # Keys: the slider one stands on.

    def _step(self, direction: Direction, *, fine: bool) -> None:
        if slider := self._slider:
            self._change(drafts.moved(self.draft, slider, direction, fine=fine))

    def action_more(self) -> None:
        """Move the slider up."""
        self._step(1, fine=False)

    def action_less(self) -> None:
        """Move the slider down."""
        self._step(-1, fine=False)

    def action_finely_more(self) -> None:
        """Move the slider up a little."""
        self._step(1, fine=True)

    def action_finely_less(self) -> None:
        """Move the slider down a little."""
        self._step(-1, fine=True)

    def action_reset(self) -> None:
        """Put the slider back."""
        if slider := self._slider:
            self._change(drafts.reset(self.draft, slider))

    def action_lock(self) -> None:
        """Lock the slider, or free it."""
        slider = self._slider
        if slider is not None and slider.kind != "axis":
            distill_of(self).say(f"chance leaves the {slider.name} alone anyway")
        elif slider is not None:
            self._change(drafts.lock_turned(self.draft, slider))

    @work(group="explore-ask", exclusive=True)
    async def action_type(self) -> None:
        """Ask for the slider's value."""
        if (slider := self._slider) is None:
            return
        value = await asking.typed(distill_of(self), slider, self.draft.settings)
        if value is not None:
            self._change(drafts.taken(self.draft, with_value(self.draft.settings, slider, value)))

    # Keys: all sliders.

    def action_reset_all(self) -> None:
        """Put all sliders back."""
        self._change(drafts.reset_all(self.draft, self._sliders))

    def action_randomise(self) -> None:
        """Leave the axes to chance."""
        self._change(drafts.randomised(self.draft, self._sliders, random.SystemRandom()))
        if not self._has_axes:
            distill_of(self).say("this model has no axes that chance could move")

    def action_new_seed(self) -> None:
        """Take another seed."""
        self._change(drafts.with_new_seed(self.draft, random.SystemRandom()))

    def action_undo(self) -> None:
        """Go a step back."""
        self._change(drafts.undone(self.draft))

    def action_redo(self) -> None:
        """Take the undone step again."""
        self._change(drafts.redone(self.draft))

    # Keys: what is done with the settings.

    def action_make(self) -> None:
        """Ask for the sound."""
        if self._entry is not None:
            name, settings = self._preset
            preset = name if are_alike(settings, self.draft.settings) else ""
            self.post_message(self.SoundAsked(self._entry, self.draft.settings, preset))

    def show_made(self, path: Path) -> None:
        """Show where a sound is that was made, and have its lines copied by keys from now on."""
        self._made = path
        self._copied.show_line(f"{key_of('explore.copy_play')} copies the line that plays it", str(path))

    @work(group="explore-ask", exclusive=True)
    async def action_presets(self) -> None:
        """Choose a preset and take its settings."""
        if self._entry is None or (preset := await asking.chosen_preset(distill_of(self), self._entry)) is None:
            return
        settings = settings_of(preset, self.draft.settings)
        self._preset = preset.name, settings
        self._take(settings, f"the sliders are as in preset {api.shown(preset.name)}")

    @work(group="explore-ask", exclusive=True)
    async def action_keep(self) -> None:
        """Save the settings as a preset."""
        if self._entry is not None:
            await self._keep(self._entry, self.draft.settings, self._preset[0])

    async def _keep(self, entry: LibraryEntry, settings: Settings, name: str) -> None:
        if name := await asking.kept_as_preset(distill_of(self), entry, settings, name):
            self._preset = name, settings
            self._draw_title()

    @work(group="explore-ask", exclusive=True)
    async def action_history(self) -> None:
        """Take back the settings of a sound."""
        if (entry := self._entry) is None or (
            made := await asking.chosen_from_history(distill_of(self), entry)
        ) is None:
            return
        but = f", which was {api.shown(made.beside)}: that isn't taken" if made.beside else ""
        self._take(made.settings, f"the sliders are as they were for {api.shown(made.path.name)}{but}")
        self.show_made(made.path)

    @work(group="explore-ask", exclusive=True)
    async def action_compare(self) -> None:
        """Have two sounds compared blindly."""
        if (entry := self._entry) is None or self._says_it_is_comparing():
            return
        draft = self.draft
        pair = await asking.chosen_pair(distill_of(self), entry, draft, self._sliders)
        if pair is not None:
            self._comparison = self._compare(entry, pair, draft.settings.seconds)

    @work(group="explore-compare", exclusive=True)
    async def _compare(self, entry: LibraryEntry, pair: Pair, seconds: float) -> None:
        better, what = await asking.voted(distill_of(self), entry, pair, seconds)
        if better is not None and what == "keep":
            await self._keep(entry, better.settings, better.preset)
        elif better is not None:
            self._preset = better.preset, better.settings
            self._take(better.settings, f"the sliders are as in {better.title}")

    @property
    def _is_comparing(self) -> bool:
        return self._comparison is not None and not self._comparison.is_finished

    def _says_it_is_comparing(self) -> bool:
        if self._is_comparing:
            cancels = f"{key_of('library.cancel')} cancels that"
            distill_of(self).say("two sounds to compare are being made already", cancels)
        return self._is_comparing

    def cancel_comparing(self) -> bool:
        """Give up the two sounds that are being made, and say so; return whether any were."""
        was_comparing = self._is_comparing
        if was_comparing and self._comparison is not None:
            self._comparison.cancel()
            distill_of(self).say("making two sounds to compare was cancelled")
        return was_comparing

    def left(self) -> None:
        """Give up what was asked of a person about the model: an answer would come where another one is shown."""
        self.workers.cancel_group(self, "explore-ask")
        self.cancel_comparing()

    def action_copy_play(self) -> None:
        """Copy the line that plays what was last made."""
        self._copy(clipboard.play_line)

    def action_copy_fetch(self) -> None:
        """Copy the line that fetches what was last made."""
        self._copy(clipboard.fetch_line)

    def _copy(self, line_for: Callable[[Path], str]) -> None:
        if self._made is None:
            distill_of(self).say("nothing was made here yet", f"{key_of('explore.make')} makes it")
        else:
            self._copied.copy(self._made, line_for)

    def action_close(self) -> None:
        """Stop making two sounds, or take the line away; where there is neither, esc is another's."""
        if not self.cancel_comparing() and not self._copied.close():
            raise SkipAction


def _how_to_analyse(name: str, width: int) -> list[Words]:
    """Return what finds the axes of a model, nothing for none; the line to type is put together of its pieces."""
    if not name:
        return []
    line = f"distill-engine analyze {shlex.quote(api.shown(name))}"
    return [
        *paragraph("No axes are known of this model. This finds them:", width, "dim"),
        *([(piece, "")] for piece in pieces(line, width)),
        *paragraph("(with --recordings FOLDER where its run is gone)", width, "dim"),
    ]
