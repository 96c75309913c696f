"""The previews of the run that is watched: each recording beside its reconstruction, the samples, and how to hear them.

The newest preview is shown and followed by the next one, unless one has gone to another.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Resize
from textual.message import Message
from textual.widget import Widget

from distill_engine import api
from distill_tui import clipboard
from distill_tui.actions import key_of
from distill_tui.bindings import bindings
from distill_tui.format import moment
from distill_tui.pictures import Pictures, pictures_of
from distill_tui.runs.preview_words import Sound, distances, preview_in_brief, sound_in_words, sounds_of
from distill_tui.screens.pane import REST_SECONDS, distill_of
from distill_tui.widgets.copied import CopiedLine
from distill_tui.widgets.line import Lines
from distill_tui.widgets.listing import Cell, Column, Listing, Row, Rows
from distill_tui.widgets.picture import MelPicture, Waveform, greatest_swing

if TYPE_CHECKING:
    from distill_engine.api import PreviewSaved
    from distill_tui.charts.view import Axis

KEPT = 16
"""How many sounds' pictures are kept."""

_LISTED = (
    Column(title="step", width=10, right=True),
    Column(title="epoch", width=6, right=True),
    Column(title="distance", width=9, right=True),
    Column(title="least", width=8, right=True),
    Column(title="best", width=5),
    Column(title="to hear", rank=2),
    Column(title="made", width=8, rank=1),
)


class SoundView(Vertical):
    """One sound: its title, its waveform and, below it in the same scale of time, its mel picture."""

    DEFAULT_CSS = """
    SoundView { width: 1fr; height: 1fr; }
    SoundView > Lines { height: 1; }
    SoundView > Waveform { height: 2fr; min-height: 2; }
    SoundView > MelPicture { height: 3fr; min-height: 3; }
    SoundView.-gone > Waveform, SoundView.-gone > MelPicture { visibility: hidden; }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._title = Lines()
        self._waveform = Waveform()
        self._mel = MelPicture()

    def compose(self) -> ComposeResult:
        """Lay out title, waveform and mel picture."""
        yield self._title
        yield self._waveform
        yield self._mel

    @property
    def text(self) -> str:
        """What it says in its title."""
        return self._title.text

    def entitle(self, title: str, said: str, *, is_chosen: bool) -> None:
        """Say whose sound it is; a chosen one is marked."""
        self._title.show([[("> " if is_chosen else "  ", "accent"), (title, "strong"), (f"  {said}", "dim")]])

    def wait(self) -> None:
        """Show no pictures until the next are there: the last ones are another sound's."""
        self.add_class("-gone")

    def draw(self, drawn: Pictures, *, scale: float, loudest: float) -> None:
        """Show a file's pictures; `scale` and `loudest` are those of all sounds beside it."""
        self.remove_class("-gone")
        waveform, mel = drawn.waveform, drawn.mel
        self._waveform.show(waveform.low, waveform.high, seconds=waveform.seconds, scale=scale)
        self._mel.show(mel.decibels, hertz=mel.hertz, seconds=mel.seconds, loudest=loudest)


class PreviewsView(Widget):
    """The previews of a run."""

    PLACE: ClassVar[str] = "previews"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("previews"), ("escape", "close", "Close")]
    DEFAULT_CSS = """
    PreviewsView { layout: vertical; width: 1fr; height: 1fr; }
    PreviewsView > Listing { height: 4; }
    PreviewsView > .previews--head { height: 3; padding: 0 1; }
    PreviewsView > Horizontal { height: 1fr; }
    PreviewsView.-sample #original { display: none; }
    PreviewsView.-nothing > Horizontal { visibility: hidden; }
    """

    class PreviewAsked(Message):
        """The run is to make a preview now."""

    class Shown(Message):
        """One went to this preview."""

        def __init__(self, preview: PreviewSaved) -> None:
            super().__init__()
            self.preview = preview

    def __init__(self) -> None:
        super().__init__()
        self.listing = Listing(_LISTED, empty=f"no preview yet; {key_of('previews.ask')} asks the run for one")
        self._head = Lines(classes="previews--head")
        self._original = SoundView(id="original")
        self._made = SoundView(id="made")
        self._copied = CopiedLine()
        self._previews: dict[str, PreviewSaved] = {}
        self._folder: Path | None = None
        self._follows = True
        self._is_shown = False
        self._place = 0
        """Which of the preview's sounds is shown."""
        self._on_original = False
        """Whether the original is what would be copied."""
        self._kept: dict[Path, Pictures] = {}
        self._problems: dict[Path, str] = {}
        """Why sounds that are shown have no pictures."""
        self._wanted: tuple[Path, ...] = ()

    def compose(self) -> ComposeResult:
        """Lay out the list, what is said of the chosen sound, and its pictures."""
        yield self.listing
        yield self._head
        with Horizontal():
            yield self._original
            yield self._made
        yield self._copied

    def on_mount(self) -> None:
        """Follow the run that is watched."""
        self.watch(distill_of(self), "run_view", self._catch_up)

    # What it shares with the other views.

    def shown(self) -> None:
        """Show the previews there are now."""
        self._is_shown = True
        self._catch_up()

    def hidden(self) -> None:
        """Draw nothing any more."""
        self._is_shown = False

    def first_focus(self) -> Widget:
        """Return the list."""
        return self.listing.rows

    def mark(self, x: float, axis: Axis, started: float) -> None:
        """Show the last preview made at or before a place on the charts' axis, if there is one."""
        places = ((key, one.step if axis == "step" else one.time - started) for key, one in self._previews.items())
        before = [key for key, place in places if place <= x]  # the newest is the first
        if before:
            with self.prevent(Rows.Moved):
                self.listing.rows.go_to(before[0])
            self._follows = before[0] == next(iter(self._previews))
            self._draw()

    # The list.

    def _catch_up(self) -> None:
        view = distill_of(self).run_view
        if not self._is_shown or view is None:
            return
        if view.folder.path != self._folder:
            self._folder, self._follows, self._place = view.folder.path, True, 0
        previews = [*view.history.previews] if view.history else []
        last = view.state.last_preview
        if last is not None and (not previews or previews[-1].seq < last.seq):
            previews.append(last)  # the end of a long log is known before its history is
        latest = {f"{one.step} {one.seq}": one for one in reversed(previews)}
        if latest.keys() == self._previews.keys() and self._previews:
            return
        self._previews = latest
        with self.prevent(Rows.Moved):  # which tells of what a person did
            self.listing.rows.show([_row(key, one) for key, one in latest.items()])
            if self._follows and latest:
                self.listing.rows.go_to(next(iter(latest)))
        self.listing.styles.height = self._listed_rows
        self._draw()

    @property
    def _listed_rows(self) -> int:
        """As many as there are previews, as long as the pictures keep most of the room."""
        return max(4, min(len(self._previews) + 1, self.size.height // 4))

    def on_resize(self, _event: Resize) -> None:
        """Share the room anew."""
        self.listing.styles.height = self._listed_rows

    @on(Rows.Moved)
    def _moved(self, event: Rows.Moved) -> None:
        event.stop()
        preview = self._previews.get(event.key)
        self._follows = event.key == next(iter(self._previews), "")
        if preview is not None:
            self.post_message(self.Shown(preview))
        self._draw()

    @on(Rows.Chosen)
    def _chosen(self, event: Rows.Chosen) -> None:
        event.stop()
        self.action_next()

    # The sounds of one preview.

    @property
    def _sounds(self) -> tuple[Sound, ...]:
        preview = self._previews.get(self.listing.rows.key)
        return sounds_of(preview) if preview else ()

    @property
    def _sound(self) -> Sound | None:
        sounds = self._sounds
        return sounds[min(self._place, len(sounds) - 1)] if sounds else None

    @property
    def _file(self) -> Path | None:
        """The file of which lines are copied; None where a log names one that isn't the run's."""
        sound = self._sound
        if sound is None or self._folder is None:
            return None
        with contextlib.suppress(api.DistillError):
            wanted = sound.original if self._on_original and sound.original else sound.path
            return api.RunFolder(self._folder).inside(wanted)
        return None

    def action_next(self) -> None:
        """Go to the next sound, from the last to the first."""
        self._go(1)

    def action_before(self) -> None:
        """Go to the sound before."""
        self._go(-1)

    def _go(self, by: int) -> None:
        if count := len(self._sounds):
            self._place = (min(self._place, count - 1) + by) % count
            self._draw()

    def action_side(self) -> None:
        """Choose the original, or the reconstruction again."""
        self._on_original = not self._on_original
        self._draw()

    def action_ask(self) -> None:
        """Ask for a preview."""
        self.post_message(self.PreviewAsked())

    def offers(self, method: str) -> bool:
        """Tell whether an action makes sense now, so that the key line names it."""
        view = distill_of(self).run_view
        return method != "ask" or (view is not None and not view.state.is_over)

    # Copying.

    def action_copy_play(self) -> None:
        """Copy the line that plays the sound."""
        self._copied.copy(self._file, clipboard.play_line)

    def action_copy_fetch(self) -> None:
        """Copy the line that fetches the sound."""
        self._copied.copy(self._file, clipboard.fetch_line)

    def action_close(self) -> None:
        """Take the copied line away; where there is none, esc is another's."""
        if not self._copied.close():
            raise SkipAction

    # Drawing.

    def _draw(self) -> None:
        sound = self._sound
        self.set_class(sound is None, "-nothing")
        self.set_class(sound is not None and not sound.original, "-sample")
        if sound is None or self._folder is None:
            self._head.show([])
            self._wanted = ()
            return
        head = [[(api.shown(sound.name), "strong"), (f"  {sound.place}", "dim")], [(sound_in_words(sound), "accent")]]
        self._head.show([*head, [(distances(sound.heard), "")]] if sound.heard else head)
        wanted = tuple(self._folder / path for path in (sound.original, sound.path) if path)
        if wanted != self._wanted:
            self._wanted = wanted
            self._copied.close()
            self._forget(wanted)
            self._draw_pictures(self._folder, wanted)
        self._entitle(sound)

    def _forget(self, but: tuple[Path, ...]) -> None:
        """Keep only some pictures, and no problem: what was missing may be there now."""
        self._problems = {}
        for path in [*self._kept]:
            if len(self._kept) > KEPT and path not in but:
                del self._kept[path]

    def _entitle(self, sound: Sound) -> None:
        is_original = bool(sound.original) and self._on_original
        self._original.entitle("original", self._problem(sound.original), is_chosen=is_original)
        title = "reconstruction" if sound.original else "sample"
        self._made.entitle(title, self._problem(sound.path), is_chosen=not is_original)

    def _problem(self, path: str) -> str:
        return self._problems.get((self._folder or Path()) / path, "")

    @work(group="pictures", exclusive=True)
    async def _draw_pictures(self, folder: Path, paths: tuple[Path, ...]) -> None:
        if any(path not in self._kept for path in paths):
            self._original.wait()
            self._made.wait()
            await asyncio.sleep(REST_SECONDS)
        for path in paths:
            if path not in self._kept:
                try:
                    self._kept[path] = await pictures_of(api.RunFolder(folder).inside(str(path)))
                except api.DistillError as error:
                    self._problems[path] = api.shown(error.message)
        self._show_pictures(paths)

    def _show_pictures(self, paths: tuple[Path, ...]) -> None:
        drawn = [self._kept[path] for path in paths if path in self._kept]
        scale = greatest_swing(*(part for one in drawn for part in (one.waveform.low, one.waveform.high)))
        loudest = max((float(one.mel.decibels.max()) for one in drawn if one.mel.decibels.size), default=0.0)
        for view, path in zip((self._original, self._made)[-len(paths) :], paths, strict=True):
            if path in self._kept:
                view.draw(self._kept[path], scale=scale, loudest=loudest)
        if (sound := self._sound) is not None:
            self._entitle(sound)


def _row(key: str, preview: PreviewSaved) -> Row:
    def decibels(value: float | None) -> Cell:
        return Cell(text="" if value is None else f"{value:.1f} dB", order=-1.0 if value is None else value)

    return Row(
        key=key,
        cells=(
            Cell(text=f"{preview.step:,}", order=preview.step),
            Cell(text=f"{preview.epoch:,}", order=preview.epoch),
            decibels(preview.lsd),
            decibels(preview.floor_lsd),
            Cell(text="best" if preview.best else "", tone="good"),
            Cell(text=preview_in_brief(preview), tone="dim"),
            Cell(text=moment(preview.time), tone="dim", order=preview.time),
        ),
    )
