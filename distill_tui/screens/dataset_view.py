"""An opened folder of recordings: its files as a scan found them, pictures of the chosen one, and what a run would use.

The scan runs in a thread that counts; the count is looked at a few times a second, so that thousands of files cost the
loop no more than three. Pictures are begun once the cursor rests, and dropped as soon as it moves on.
"""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.message import Message
from textual.timer import Timer

from distill_engine import api
from distill_tui.actions import key_of
from distill_tui.bindings import bindings
from distill_tui.datasets import corpora, dataset_words
from distill_tui.drafts import forms
from distill_tui.format import paragraph, progress_bar
from distill_tui.pictures import BANDS, COLUMNS, Pictures, pictures_of
from distill_tui.screens.pane import NARROW, REST_SECONDS, Pane, distill_of
from distill_tui.widgets.line import Lines
from distill_tui.widgets.listing import Cell, Column, Listing, Row, Rows
from distill_tui.widgets.paragraphs import Paragraphs
from distill_tui.widgets.picture import MelPicture, Waveform, greatest_swing

PROGRESS_SECONDS = 0.2

NAME_AND_LENGTH = 28
"""Cells that a file's name and its length have together."""

COPY_SECONDS = 60.0
"""How much of a copy's beginning is drawn."""

_NOTHING = np.zeros(0, np.float32)

_NOTHING_USABLE, _WHY_NOT = "nothing here can be trained on", "each file says why"


class Looking:
    """A scan under way, as its thread tells it; read by the loop, whenever that likes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done = self.total = 0
        self.name = ""
        self.stop = threading.Event()

    def count(self, done: int, total: int, name: str) -> None:
        """Note how far it is."""
        self.done, self.total, self.name = done, total, name

    def look(self) -> tuple[api.Scan, tuple[Row, ...]]:
        """Look at everything in the folder; return also the lines of the list, for thousands take a while to make.

        Blocks; StopRequestedError after `stop`.
        """
        folder = self.folder.resolve()
        scan = api.scan(folder, cache=api.cache_folder(), on_progress=self.count, should_stop=self.stop.is_set)
        return scan, tuple(map(_row, scan.recordings))


class DatasetView(Vertical):
    """One folder of recordings."""

    PLACE: ClassVar[str] = "dataset"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("dataset"), ("enter", "use", "Use it")]
    DEFAULT_CSS = """
    DatasetView {
        & > #dataset-head { height: 2; padding: 0 1; }
        & > #dataset-body { layout: horizontal; padding: 0 1; }
        & #dataset-side { width: 45; margin-left: 2; }
        & #recording { height: 5; }
        & #sound { height: 2; }
        & Waveform { height: 7; margin-bottom: 1; }
        & #use { height: 7; margin-top: 1; }

        &.-narrow > #dataset-head { height: 1; }
        &.-narrow > #dataset-body { layout: vertical; }
        &.-narrow #dataset-side { width: 1fr; height: 12; margin: 0; }
        &.-narrow #recording { height: 3; }
        &.-narrow #sound { height: 1; }
        &.-narrow Waveform { height: 4; margin: 0; }
        &.-narrow #use { height: 4; margin: 0; }
        &.-narrow MelPicture { display: none; }

        &.-large > #dataset-body { layout: vertical; }
        &.-large #dataset-files { height: 5; }
        &.-large #dataset-side { width: 1fr; height: 1fr; margin: 0; }
        &.-large #recording { height: 2; }
        &.-large #sound { height: 1; }
        &.-large Waveform { height: 1fr; margin-bottom: 1; }
        &.-large MelPicture { display: block; height: 2fr; }
        &.-large #use { display: none; }
    }
    """

    class Left(Message):
        """The person goes back to the list of folders, from this one."""

        def __init__(self, folder: Path) -> None:
            super().__init__()
            self.folder = folder

    def __init__(self) -> None:
        super().__init__(id="dataset")
        self.head = Lines(id="dataset-head")
        self.listing = Listing(_columns(()), empty="", id="dataset-files")
        self.recording_lines = Paragraphs(id="recording")
        self.sound_lines = Paragraphs(id="sound")
        self.waveform = Waveform()
        self.mel = MelPicture()
        self.use_lines = Paragraphs(id="use")
        self._folder = Path()
        self._scan: api.Scan | None = None
        self._rows: tuple[Row, ...] = ()
        self._by_name: dict[str, api.Recording] = {}
        self._looking: Looking | None = None
        self._clock: Timer | None = None
        self._copy = 0
        self._original: Pictures | None = None
        """The pictures of the chosen file as it is, by whose scales its copies are drawn."""
        self._only_problems = False

    def compose(self) -> ComposeResult:
        """Lay out heading, files, and at the side what is known of one and of all."""
        yield self.head
        with Container(id="dataset-body"):
            yield self.listing
            with Vertical(id="dataset-side"):
                yield self.recording_lines
                yield self.sound_lines
                yield self.waveform
                yield self.mel
                yield self.use_lines

    def on_resize(self, event: events.Resize) -> None:
        """Put the side below the files where there is no room beside them."""
        self.set_class(event.size.width < NARROW, "-narrow")

    # Looking at the folder.

    def on_mount(self) -> None:
        """Have a clock for scans."""
        self._clock = self.set_interval(PROGRESS_SECONDS, self._draw_progress, pause=True)

    def count_along(self) -> None:
        """Show from now on how far a scan is, as long as there is one and one sees it."""
        if self._clock is None:
            return
        if self._looking is not None and self.query_ancestor(Pane).is_shown:
            self._draw_progress()
            self._clock.resume()
        else:
            self._clock.pause()

    @work(group="scan", exclusive=True)
    async def open(self, folder: Path) -> None:
        """Look at all that is in a folder and show it."""
        looking = Looking(folder)
        self._begin(looking)
        try:
            scan, rows = await asyncio.to_thread(looking.look)
        except api.StopRequestedError:
            return
        except api.DistillError:
            self.post_message(self.Left(folder))
            raise
        finally:
            looking.stop.set()
            if self._looking is looking:  # another one may have been begun in its place
                self._looking = None
                self.count_along()
        self._show(scan, rows)

    def _begin(self, looking: Looking) -> None:
        self._folder, self._scan, self._by_name = looking.folder, None, {}
        self._looking = looking
        self._only_problems = False
        self.listing.rows.show([])
        self._clear_pictures()
        self._draw_words()
        self.count_along()

    def _draw_progress(self) -> None:
        looking = self._looking
        if looking is None:
            return
        name = api.shown(looking.folder.name or str(looking.folder))
        if not looking.total:
            self.head.show([[(f"Looking what is in {name}", "strong"), (f"  {key_of('dataset.back')} stops", "dim")]])
            return
        count = f"  {looking.done:,} of {looking.total:,}  "
        bar = progress_bar(looking.done / looking.total, 24, "#-" if distill_of(self).ascii_only else "━─")
        self.head.show(
            [
                [
                    (f"Looking at {name}  ", "strong"),
                    *bar,
                    (count, ""),
                    (f"{key_of('dataset.back')} stops", "dim"),
                ]
            ]
        )
        self.listing.rows.say_empty(api.shown(looking.name))

    def _show(self, scan: api.Scan, rows: tuple[Row, ...]) -> None:
        app = distill_of(self)
        app.remember(corpora=corpora.with_scan(app.memory.corpora, scan, time.time()))
        if app.form is not None and app.form.dataset == scan.folder and app.form.scan != scan:
            app.form = forms.with_dataset(app.form, scan.folder, scan)  # the draft's own, which has changed
        self._scan, self._rows = scan, rows
        self._by_name = {recording.name: recording for recording in scan.recordings}
        self.listing.rows.columns = _columns(scan.recordings)
        self.listing.rows.say_empty("no file here is named like a recording")
        self._draw_files()
        self._draw_words()

    # What is drawn of it.

    def _draw_files(self) -> None:
        rows = [row for row in self._rows if not self._only_problems or _is_odd(self._by_name[row.key])]
        self.listing.rows.show(rows)

    def _draw_words(self) -> None:
        self._draw_head()
        self._draw_recording()
        self.show_use()

    def _draw_head(self) -> None:
        if self._scan is None:
            return
        name = api.shown(self._folder.name or str(self._folder))
        only = [("problems only  ", "accent")] if self._only_problems else []
        told = "enter takes it for the next run" if self._scan.used else f"{_NOTHING_USABLE}, {_WHY_NOT}"
        where = [(f"{told}  ", "dim"), (api.shown(str(self._scan.folder)), "dim")]
        self.head.show([[(f"{name}  ", "strong"), *only, *dataset_words.found(self._scan)], where])

    def _draw_recording(self) -> None:
        recording = self._chosen
        self.recording_lines.write(lambda width: dataset_words.recording_lines(recording, width) if recording else [])

    def show_use(self) -> None:
        """Say what a run with the draft's settings would make of the folder."""
        scan, form = self._scan, self._draft()
        self.use_lines.write(lambda width: dataset_words.use_lines(scan, form, width) if scan and form else [])

    def _draft(self) -> forms.Form | None:
        """Return the draft as it would be for this folder; None while there is no scan."""
        if self._scan is None:
            return None
        return forms.with_dataset(distill_of(self).form or forms.Form(), self._scan.folder, self._scan)

    @property
    def _chosen(self) -> api.Recording | None:
        return self._by_name.get(self.listing.rows.key)

    # Pictures.

    @on(Rows.Moved)
    def _move(self) -> None:
        self._copy = 0
        self._draw_recording()
        self._say_sound("drawing" if self._chosen else "", "dim")
        self._draw_sound()

    @work(group="sound", exclusive=True)
    async def _draw_sound(self) -> None:
        """Draw the chosen file, or one of its copies."""
        recording, copy = self._chosen, self._copy
        if recording is None or not recording.sample_rate:
            self._clear_pictures()
            self._say_sound("nothing to draw: the file can't be decoded" if recording else "", "dim")
            return
        await asyncio.sleep(REST_SECONDS)
        try:
            if copy:
                await self._draw_copy(recording, copy)
            else:
                await self._draw_original(recording)
        except api.DistillError as error:  # told beside the pictures, where one looks for them
            self._clear_pictures()
            self._say_sound(error.message, "warn")

    async def _draw_original(self, recording: api.Recording) -> None:
        await asyncio.to_thread(api.check_unchanged, recording)
        self._original = await pictures_of(recording.path)
        self._show_pictures(self._original)
        self._say_sound(f"As recorded, {api.duration(recording.seconds)}")

    async def _draw_copy(self, recording: api.Recording, copy: int) -> None:
        draft = self._draft()
        assert draft is not None
        request = api.AugmentedPictures(
            path=recording.path,
            digest=recording.digest,
            rms_db=recording.rms_db,
            recording_seconds=recording.seconds,
            augmentation=draft.config.augmentation,
            seed=draft.config.seed,
            copy=copy,
            columns=COLUMNS,
            rows=BANDS,
            most_seconds=COPY_SECONDS,
        )
        self._say_sound(f"{self._copy_words()}: drawing", "dim")
        drawn = await distill_of(self).service.ask(request, self._say_progress)
        self._show_pictures(Pictures(waveform=drawn.waveform, mel=drawn.mel))
        part = f"; its first {COPY_SECONDS:.0f} s" if recording.seconds > COPY_SECONDS else ""
        self._say_sound(f"{self._copy_words()}: {drawn.words}{part}")

    def _copy_words(self) -> str:
        draft = self._draft()
        return f"Copy {self._copy} of {draft.config.augmentation.copies if draft else 0}"

    def _say_progress(self, progress: api.Progress) -> None:
        self._say_sound(f"{self._copy_words()}: the helper is {progress.words}", "dim")

    def _show_pictures(self, pictures: Pictures) -> None:
        """Show both in the scales of the original, widened where a copy is louder."""
        waveform, mel, original = pictures.waveform, pictures.mel, self._original or pictures
        scale = greatest_swing(waveform.low, waveform.high, original.waveform.low, original.waveform.high)
        loudest = float(original.mel.decibels.max())
        self.waveform.show(waveform.low, waveform.high, seconds=waveform.seconds, scale=scale)
        self.mel.show(mel.decibels, hertz=mel.hertz, seconds=mel.seconds, loudest=loudest)

    def _clear_pictures(self) -> None:
        self._original = None
        self.waveform.show(_NOTHING, _NOTHING, seconds=0.0)
        self.mel.show(_NOTHING.reshape(0, 0), hertz=_NOTHING, seconds=0.0)
        self._say_sound("")

    def _say_sound(self, words: str, tone: str = "accent") -> None:
        self.sound_lines.write(lambda width: paragraph(words, width, tone))

    # What keys do.

    @on(Rows.Chosen)
    async def action_use(self) -> None:
        """Make the folder the dataset of the draft and go to its settings."""
        app, draft, scan = distill_of(self), self._draft(), self._scan
        if draft is None or scan is None:
            app.say("the folder is still being looked at", "wait for the files, or press esc")
        elif not scan.used:
            app.say(_NOTHING_USABLE, _WHY_NOT, "warning")
        else:
            app.form = draft
            files = api.counted(len(scan.used), "recording")
            name = api.shown(scan.folder.name)
            app.say(f"the next run trains on {name}: {files}, {api.duration(scan.seconds)}")
            await app.show_pane("config")

    def action_problems(self) -> None:
        """Show only files with a problem or a warning, or all again."""
        if not self._only_problems and not any(map(_is_odd, self._by_name.values())):
            distill_of(self).say("no file here has a problem or a warning")
            return
        self._only_problems = not self._only_problems
        self._draw_head()
        self._draw_files()

    def action_copy(self) -> None:
        """Show the next altered copy, after the last one the file as it is."""
        draft, recording = self._draft(), self._chosen
        if draft is None or recording is None:
            distill_of(self).say("no file is chosen whose copies could be shown")
            return
        copies = draft.config.augmentation.copies
        if not recording.usable:
            distill_of(self).say("a run makes no copies of a file that it skips")
        elif not copies:
            distill_of(self).say("the draft makes no copies", "augmentation.copies in Config says how many")
        else:
            self._copy = (self._copy + 1) % (copies + 1)
            self._draw_sound()

    def action_enlarge(self) -> None:
        """Give the pictures most of the room, or the files again."""
        self.toggle_class("-large")

    def action_rescan(self) -> None:
        """Look at all files again."""
        self.open(self._folder)

    def action_back(self) -> None:
        """Stop looking, and go back to the list of folders."""
        if self._looking:
            self._looking.stop.set()
            distill_of(self).say("stopped; what was found out is kept for the next time")
        self.workers.cancel_group(self, "sound")
        self.post_message(self.Left(self._scan.folder if self._scan else self._folder))


def _columns(recordings: tuple[api.Recording, ...]) -> tuple[Column, ...]:
    """Return the columns: names and lengths share what leaves room for the rest, and what is wrong gets that.

    At 120 columns length, rate, channels and a level must all be there.
    """
    name = max((api.cells(api.shown(recording.name)) for recording in recordings), default=0)
    length = max((len(api.duration(recording.seconds)) for recording in recordings), default=0)
    rate = max((len(f"{recording.sample_rate:,}") for recording in recordings), default=0)
    length = max(6, length)
    return (
        Column(title="file", width=max(12, min(name, NAME_AND_LENGTH - length))),
        Column(title="length", width=length, right=True),
        Column(title="Hz", width=max(6, rate), right=True),
        Column(title="ch", width=6, rank=2),
        Column(title="format", width=10, rank=4),
        Column(title="peak dB", width=7, right=True, rank=1),
        Column(title="RMS dB", width=7, right=True, rank=3),
        Column(title="problem"),
    )


def _row(recording: api.Recording) -> Row:
    known = bool(recording.sample_rate)
    _, tone = dataset_words.verdict(recording)
    return Row(
        key=recording.name,
        cells=(
            Cell(text=api.shown(recording.name)),
            Cell(text=api.duration(recording.seconds) if known else "", order=recording.seconds),
            Cell(text=f"{recording.sample_rate:,}" if known else "", order=recording.sample_rate),
            Cell(text=dataset_words.channels(recording.channels), order=recording.channels),
            Cell(text=recording.format),
            Cell(text=dataset_words.level(recording.peak_db) if known else "", order=recording.peak_db),
            Cell(text=dataset_words.level(recording.rms_db) if known else "", order=recording.rms_db),
            Cell(text=_brief_verdict(recording), tone=tone),
        ),
    )


def _brief_verdict(recording: api.Recording) -> str:
    return dataset_words.verdict(recording)[0]


def _is_odd(recording: api.Recording) -> bool:
    return bool(recording.problem or recording.warnings)
