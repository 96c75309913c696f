"""All runs: what each is doing, the loss curves of up to four over one another, and what their settings differ in.

What is shown below the list is of the marked runs, or of the one that one stands on where none is marked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, get_args

import numpy as np
import numpy.typing as npt
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.events import Resize
from textual.message import Message
from textual.widget import Widget

from distill_engine import api
from distill_tui.actions import key_of
from distill_tui.bindings import bindings
from distill_tui.charts.drawing import Colour
from distill_tui.charts.view import ChartView
from distill_tui.drafts.forms import text_of
from distill_tui.format import clock, number, state_in_words, state_tone
from distill_tui.runs.run_list import RunList, Settings, differing, settings_of, usual_settings
from distill_tui.screens.pane import distill_of
from distill_tui.widgets.chart import Chart, Series
from distill_tui.widgets.listing import Cell, Column, Listing, Row, Rows

REFRESH_SECONDS = 2.0
WAIT_SECONDS = 0.08
"""How long one must stand on a run until its curve is read."""

COLOURS: tuple[Colour, ...] = tuple(colour for colour in get_args(Colour) if colour.startswith("run-"))
"""Those of the marked runs; there are as many marks."""

KEY_WIDTH = 34
"""Cells for the names of settings."""

_LISTED = (
    Column(title="", width=2),
    Column(title="name"),
    Column(title="state", width=16),
    Column(title="epoch", width=13, right=True),
    Column(title="step", width=11, right=True, rank=3),
    Column(title="best loss", width=9, right=True),
    Column(title="left", width=12, right=True, rank=1),
    Column(title="when", width=20, rank=2),
)


@dataclass(frozen=True, kw_only=True)
class _Curve:
    """A run's losses by epoch, as a chart takes them."""

    epochs: api.RunEpochs
    number: npt.NDArray[np.float64]
    seconds: npt.NDArray[np.float64]
    """Since the run began."""

    loss: npt.NDArray[np.float64]


class RunsView(Widget):
    """The runs."""

    PLACE: ClassVar[str] = "runs"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("runs")]
    DEFAULT_CSS = """
    RunsView { layout: vertical; width: 1fr; height: 1fr; }
    RunsView > #list { height: 1fr; }
    RunsView > Chart, RunsView > #differences { height: 1fr; margin-top: 1; }
    RunsView > #differences { display: none; }
    RunsView.-differences > #differences { display: block; }
    RunsView.-differences > Chart { display: none; }
    """

    class Watched(Message):
        """Another run is watched from now on."""

    def __init__(self) -> None:
        super().__init__()
        datasets, config = key_of("app.show_datasets"), key_of("app.show_config")
        begin = f"no run yet: choose recordings in {datasets}, settings in {config}, and start one"
        self.listing = Listing(_LISTED, empty=begin, id="list")
        self.chart = Chart("loss")
        self.differences = Listing([Column(title="setting")], empty="", id="differences")
        self._runs = RunList()
        self._readings: dict[str, api.Reading] = {}
        self._marks: dict[int, str] = {}
        """Which run has which mark, from 0."""
        self._curves: dict[str, _Curve] = {}
        self._settings: dict[str, Settings] = {}
        self._view = ChartView(axis="epoch")
        self._is_shown = False

    def compose(self) -> ComposeResult:
        """Lay out the list, and below it curves or differences."""
        yield self.listing
        yield self.chart
        yield self.differences

    # What it shares with the other views.

    def shown(self) -> None:
        """Look at the runs now, and again and again."""
        self._is_shown = True
        self._keep_fresh()

    def hidden(self) -> None:
        """Look at nothing any more."""
        self._is_shown = False

    def first_focus(self) -> Widget:
        """Return the list."""
        return self.listing.rows

    # The list.

    @work(group="runs", exclusive=True)
    async def _keep_fresh(self) -> None:
        while self._is_shown:
            await self._refresh()
            self._read_shown()
            await asyncio.sleep(REFRESH_SECONDS)

    async def _refresh(self) -> None:
        try:
            readings = await asyncio.to_thread(self._runs.refreshed)
        except OSError as error:
            self.listing.rows.say_empty(f"the runs can't be listed: {error.strerror}")
            return
        self._readings = {str(reading.folder.path): reading for reading in readings}
        self._marks = {mark: key for mark, key in self._marks.items() if key in self._readings}
        self._show_rows()
        self.listing.styles.height = self._listed_rows

    @property
    def _listed_rows(self) -> int:
        """As many as there are runs, as long as what is below has half of the room."""
        return max(4, min(len(self._readings) + 1, self.size.height // 2))

    def _show_rows(self) -> None:
        view, now = distill_of(self).run_view, time.time()
        watched = str(view.folder.path) if view else ""
        marks = {key: mark for mark, key in self._marks.items()}
        self.listing.rows.show(
            [
                _row(key, reading, now, mark=marks.get(key), is_watched=key == watched)
                for key, reading in self._readings.items()
            ]
        )

    @on(Rows.Moved)
    def _moved(self, event: Rows.Moved) -> None:
        event.stop()
        if event.rows is self.listing.rows and not self._marks:
            self._read_shown(WAIT_SECONDS)

    @on(Rows.Chosen)
    def _chosen(self, event: Rows.Chosen) -> None:
        event.stop()
        if event.rows is self.listing.rows:
            self.action_watch()

    @property
    def _reading(self) -> api.Reading | None:
        return self._readings.get(self.listing.rows.key)

    def action_watch(self) -> None:
        """Watch the run."""
        if (reading := self._reading) is not None:
            distill_of(self).attach(reading.folder)
            self.post_message(self.Watched())

    # What is below the list.

    def action_mark(self) -> None:
        """Mark the run, or take its mark away."""
        key = self.listing.rows.key
        free = [mark for mark in range(len(COLOURS)) if mark not in self._marks]
        if key in self._marks.values():
            self._marks = {mark: other for mark, other in self._marks.items() if other != key}
        elif key and free:
            self._marks = dict(sorted({**self._marks, free[0]: key}.items()))
        elif key:
            distill_of(self).say(f"{len(COLOURS)} runs are marked already; {key_of('runs.mark')} takes a mark away")
        self._show_rows()
        self._read_shown()

    def action_differences(self) -> None:
        """Show what differs, or the curves."""
        self.toggle_class("-differences")
        self._settings.clear()
        self._read_shown()

    def action_axis(self) -> None:
        """Show the curves along the other axis."""
        self._view = replace(self._view, axis="time" if self._view.axis == "epoch" else "epoch")
        self._draw_curves()

    @property
    def _shown(self) -> dict[int, str]:
        """The runs that are shown below, by their marks."""
        here = self.listing.rows.key
        return self._marks or ({0: here} if here in self._readings else {})

    @work(group="below", exclusive=True)
    async def _read_shown(self, wait: float = 0.0) -> None:
        """Read what is new of the runs shown below, and draw it."""
        await asyncio.sleep(wait)
        folders = {key: self._readings[key].folder for key in self._shown.values()}  # runs may go while some are read
        for key, folder in folders.items():
            if self.has_class("-differences"):
                if key not in self._settings:
                    self._settings[key] = await asyncio.to_thread(_settings, folder)
            else:
                self._curves[key] = await asyncio.to_thread(_curve, folder, self._curves.get(key))
        if self.has_class("-differences"):
            self._show_differences()
        else:
            self._draw_curves()

    def _draw_curves(self) -> None:
        shown = {mark: key for mark, key in self._shown.items() if key in self._curves}
        series = [self._series(mark, self._curves[key], self._readings[key]) for mark, key in shown.items()]
        end = max((float(one.x[-1]) for one in series if len(one.x)), default=0.0)
        self.chart.show(series, self._view, end=end)

    def _series(self, mark: int, curve: _Curve, reading: api.Reading) -> Series:
        name = api.shown(reading.folder.name)
        return Series(
            name=f"{reading.folder.path} {self._view.axis}",
            label=f"{mark + 1} {name}" if self._marks else name,
            x=curve.number if self._view.axis == "epoch" else curve.seconds,
            y=curve.loss,
            revision=(curve.epochs.file, curve.epochs.taken_back),
            colour=COLOURS[mark],
            best="least",
        )

    def _show_differences(self) -> None:
        shown = {mark: key for mark, key in self._shown.items() if key in self._settings}
        settings = [self._settings[key] for key in shown.values()]
        titles = [f"{mark + 1} {self._readings[key].folder.name}" for mark, key in shown.items()]
        if len(settings) == 1:
            settings, titles = (
                [settings[0], usual_settings()],
                [self._readings[next(iter(shown.values()))].folder.name, "usual"],
            )
        width = max(8, (self.differences.size.width - KEY_WIDTH) // max(1, len(titles)) - 2)
        columns = [Column(title="setting", width=KEY_WIDTH), *(Column(title=api.shown(t), width=width) for t in titles)]
        rows = self.differences.rows
        rows.lay_out(columns)
        rows.say_empty("their settings are the same" if settings else "")
        rows.show([_difference(key, settings) for key in differing(settings)])

    def on_resize(self, _event: Resize) -> None:
        """Share the room anew."""
        self.listing.styles.height = self._listed_rows
        if self.has_class("-differences"):
            self._show_differences()

    # What one does with a run.

    @work(group="use", exclusive=True)
    async def action_use(self) -> None:
        """Take the run's settings for the next one."""
        from distill_tui.screens.copying import take_settings  # noqa: PLC0415 - seldom needed

        if (reading := self._reading) is not None:
            await take_settings(distill_of(self), reading.folder)
            await distill_of(self).show_pane("config")

    @work(group="delete", exclusive=True)
    async def action_delete(self) -> None:
        """Delete the run, after a question that names it."""
        from distill_tui.screens.dialogs import Question  # noqa: PLC0415 - seldom needed

        distill, reading = distill_of(self), self._reading
        if reading is None:
            return
        name = api.shown(reading.folder.name)
        if reading.holder is not None:
            distill.say(
                f"{name} is being trained",
                f"{key_of('training.stop')} in its charts stops it; then it can be deleted",
                "warning",
            )
            return
        size = await asyncio.to_thread(_size, reading.folder)
        consequence = f"Its log, checkpoints and previews are removed{size}. Its model stays in the library."
        if await distill.push_screen_wait(Question(f"Delete the run {name}?", consequence, yes="delete", no="keep")):
            await asyncio.to_thread(_remove, reading)
            distill.say(f"the run {name} is deleted")
            await self._refresh()
            self._read_shown()
            self._watch_another(reading.folder)

    def _watch_another(self, deleted: api.RunFolder) -> None:
        """Watch the newest run where the one that was watched is no more."""
        distill = distill_of(self)
        others = [reading.folder for reading in self._readings.values()]
        if distill.run_view is not None and distill.run_view.folder == deleted and others:
            distill.attach(others[0])


def _row(key: str, reading: api.Reading, now: float, *, mark: int | None, is_watched: bool) -> Row:
    state, best, left = reading.state, api.best_loss(reading.state), api.seconds_left(reading.state, now)
    sign = f"{' ' if mark is None else mark + 1}{'>' if is_watched else ' '}"
    words = "unreadable" if reading.problem else state_in_words(state)
    epochs = f"{state.epoch:,}/{state.max_epochs:,}" if state.max_epochs else f"{state.epoch:,}"
    return Row(
        key=key,
        cells=(
            Cell(text=sign, tone="accent"),
            Cell(text=api.shown(reading.folder.name), tone="strong" if is_watched else ""),
            Cell(text=words, tone="bad" if reading.problem else state_tone(state)),
            Cell(text=epochs, order=state.epoch),
            Cell(text=f"{state.step:,}", order=state.step),
            Cell(text="" if best is None else number(best), order=float("inf") if best is None else best),
            Cell(text="" if left is None else clock(left), order=float("inf") if left is None else left),
            Cell(text=api.when_in_words(state, now), tone="dim", order=now - (state.ended or state.started)),
        ),
    )


def _curve(folder: api.RunFolder, before: _Curve | None) -> _Curve:
    """Read what is new of a run's losses: those of the validation, of the training where nothing validates. Blocks."""
    try:
        epochs = api.run_epochs(folder, before.epochs if before else None)
    except OSError:  # the list tells why
        epochs = api.RunEpochs()
    if before is not None and epochs == before.epochs:
        return before
    validates = any(one.validation_loss is not None for one in epochs.done)
    losses = [one.validation_loss if validates else one.train_loss for one in epochs.done]
    return _Curve(
        epochs=epochs,
        number=np.array([one.epoch for one in epochs.done], np.float64),
        seconds=np.array([one.time - epochs.started for one in epochs.done], np.float64),
        loss=np.array([np.nan if loss is None else loss for loss in losses], np.float64),
    )


def _settings(folder: api.RunFolder) -> Settings:
    try:
        return settings_of(folder)
    except api.DistillError as error:
        return {"can't be read": error.message}


def _difference(key: str, settings: Sequence[Settings]) -> Row:
    texts = ["" if (value := one.get(key)) is None else text_of(value) for one in settings]
    return Row(key=key, cells=(Cell(text=key), *(Cell(text=api.shown(text), tone="accent") for text in texts)))


def _size(folder: api.RunFolder) -> str:
    try:
        return f", {api.size(api.size_of_run(folder))}"
    except OSError:  # somebody else deletes it
        return ""


def _remove(reading: api.Reading) -> None:
    """Delete the run that was shown, and not another that has its name by now. Blocks."""
    if reading.info is not None and reading.folder.info().id != reading.info.id:
        raise api.DistillError(f"{api.shown(reading.folder.name)} is another run by now", "nothing was deleted")
    api.remove_run(reading.folder)
