"""The Training screen: a run's charts, log and previews, the list of runs, and the orders that one can give.

A view is mounted when it is first asked for and stays mounted. An order and its receipt live here and not in a view, so
that they outlast any change of screen.
"""

from __future__ import annotations

import asyncio
import importlib
import shlex
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.reactive import reactive
from textual.widget import Widget

from distill_engine import api
from distill_tui.actions import key_of
from distill_tui.bindings import bindings
from distill_tui.remembered import Charts, Seen
from distill_tui.runs.run_summary import trains_on_from_model, what_is_possible
from distill_tui.screens.charts import ChartsView
from distill_tui.screens.dialogs import Question
from distill_tui.screens.pane import Pane
from distill_tui.widgets.receipt import ReceiptView

if TYPE_CHECKING:
    from distill_engine.api import AnyCommand, RunFolder
    from distill_tui.charts.view import ChartView
    from distill_tui.live_run import RunView
    from distill_tui.runs.receipts import Receipt
    from distill_tui.screens.previews import PreviewsView

VIEWS = {"log": ("log_view", "LogView"), "previews": ("previews", "PreviewsView"), "runs": ("runs", "RunsView")}
"""The views beside the charts: each one's module and class."""


def _goes_on(before: RunView, view: RunView) -> bool:
    """Tell whether a run that was over or paused trains again."""
    stood = before.state.is_over or before.state.phase == "paused"
    return stood and not view.state.is_over and view.state.phase != "paused"


class _View(Protocol):
    def shown(self) -> None: ...
    def hidden(self) -> None: ...
    def first_focus(self) -> Widget: ...


class TrainingPane(Pane):
    """One of the four screens."""

    PLACE = "training"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("training")]

    chart_view: reactive[ChartView | None] = reactive(None, init=False)
    """How charts are looked at, the cursor among it; None until there are charts."""

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.view = "charts"
        self._views: dict[str, Widget] = {}
        self._turning = asyncio.Lock()
        self._receipt_number = 0
        self._seen_before: Seen | None = None
        self._told_of: RunFolder | None = None

    # Views.

    def compose(self) -> ComposeResult:
        """Lay out the charts and the receipt; the other views come when they are asked for."""
        self.charts = ChartsView(ascii_only=self.distill.ascii_only)
        self.receipt = ReceiptView(ascii_only=self.distill.ascii_only)
        self._views["charts"] = self.charts
        yield self.charts
        yield self.receipt

    def on_mount(self) -> None:
        """Watch the run, whichever it is."""
        self.watch(self.distill, "run_view", self._show_run, init=False)

    def first_focus(self) -> Widget:
        """Return what the shown view wants to have the focus."""
        return self._here.first_focus()

    @property
    def _here(self) -> _View:
        return cast("_View", self._views[self.view])

    def shown(self) -> None:
        """Catch up, in the view that one last looked at."""
        self._catch_up()
        self.receipt.shown()
        remembered = self.distill.memory.training_view
        if remembered in VIEWS and remembered != self.view:
            self.run_worker(self._show_view(remembered), group="view")

    def hidden(self) -> None:
        """Draw nothing until it is shown again."""
        super().hidden()
        self._here.hidden()
        self.receipt.hidden()

    def _catch_up(self) -> None:
        if self.view == "charts":
            self.charts.show_run(self.distill.run_view)
        self._here.shown()
        if self.view == "charts":
            self._tell_what_is_new()
        elif self.view == "previews":
            self._mark_preview()

    async def _show_view(self, name: str) -> None:
        """Show one of the views; one that comes late, when another screen is shown, waits until this one is."""
        async with self._turning:  # the last one asked for is the one that stays
            if name == self.view:
                return
            if name not in self._views:
                await self._mount_view(name)
            self._here.hidden()
            self._views[self.view].display = False
            self.view = name
            self._views[name].display = True
            if name != "runs":  # from there one goes on to something
                self.distill.remember(training_view=name)
            if self.is_shown:
                self._catch_up()
                self._here.first_focus().focus()
                self.distill.show_keys()

    async def _mount_view(self, name: str) -> None:
        module, kind = VIEWS[name]
        room = await asyncio.to_thread(importlib.import_module, f"distill_tui.screens.{module}")
        self._views[name] = getattr(room, kind)()
        self._views[name].display = False
        await self.mount(self._views[name], before=self.receipt)

    async def action_charts(self) -> None:
        """Show the charts and events."""
        await self._show_view("charts")

    async def action_log(self) -> None:
        """Show what the worker wrote to its log."""
        await self._show_view("log")

    async def action_previews(self) -> None:
        """Show and hear the previews."""
        await self._show_view("previews")

    async def action_runs(self) -> None:
        """Show all runs."""
        await self._show_view("runs")

    async def action_back(self) -> None:
        """Close what is open, or go back to the charts."""
        if self.view != "charts":
            await self._show_view("charts")
        elif not self.charts.back():
            self.receipt.put_away()

    # What the other views ask for: their classes aren't imported yet, so these are found by their names.

    async def on_runs_view_watched(self) -> None:
        """Show the charts of the run that was chosen."""
        await self._show_view("charts")

    def on_previews_view_preview_asked(self) -> None:
        """Make a preview after the step under way."""
        self.action_preview()

    def on_previews_view_shown(self, event: PreviewsView.Shown) -> None:
        """Put the cursor of all charts to the preview that one went to."""
        self.charts.point_at(event.preview.step, event.preview.time)

    def _mark_preview(self) -> None:
        """Show the preview at the cursor of the charts."""
        view, look = self.distill.run_view, self.chart_view
        if view is not None and look is not None and look.cursor is not None:
            cast("PreviewsView", self._views["previews"]).mark(look.cursor, look.axis, view.state.started)

    # The run.

    def _show_run(self, before: RunView | None, view: RunView | None) -> None:
        if view is None:
            return
        if before is None or before.folder != view.folder:
            self._change_run(before, view)
        elif _goes_on(before, view) and not self._tells_that_it_goes_on:
            self.receipt.put_away()
        if self.is_shown and (before is None or before.state.phase != view.state.phase):
            self.distill.show_keys()
        self._take_late_answer(view)
        if self.is_shown and self.view == "charts":
            self.charts.show_run(view)
            self._tell_what_is_new()

    def _change_run(self, before: RunView | None, view: RunView) -> None:
        """Note what was seen of the run one leaves, put its receipt away, and look at the whole of the other."""
        if before is not None:
            self._receipt_number += 1  # an answer that is still to come is told in the status line
            self.receipt.take_away()
        seen = self.distill.memory.seen
        if before is not None and before.info is not None:
            left = Seen(time=time.time(), seq=before.state.seq)
            self.distill.remember(seen={**seen, before.info.id: left})
        self._seen_before = seen.get(view.info.id) if view.info is not None else None
        if self.chart_view is not None:
            from distill_tui.charts.view import reset  # noqa: PLC0415 - needs numpy

            self.chart_view = reset(self.chart_view)

    @property
    def _tells_that_it_goes_on(self) -> bool:
        """Whether the receipt is that of an order by which a run goes on."""
        receipt = self.receipt.receipt
        return receipt is not None and receipt.order in ("resume", "unpause")

    def _tell_what_is_new(self) -> None:
        """Say once what happened while one was away, as soon as all of it is read."""
        view = self.distill.run_view
        if self._seen_before is not None and view is not None and view.history is not None and not view.filling:
            self.charts.show_away(self._seen_before, time.time())
            self._seen_before = None

    @on(ChartsView.Ready)
    def _begin_to_look(self) -> None:
        """Look at the charts as one did last time."""
        from distill_tui.charts.view import SMOOTHINGS, ChartView  # noqa: PLC0415 - needs numpy

        kept = self.distill.memory.charts
        self.chart_view = ChartView(
            axis="time" if kept.axis == "time" else "step",
            log_y=kept.log,
            smoothing=SMOOTHINGS[kept.smoothing % len(SMOOTHINGS)],
        )

    @on(ChartsView.Looked)
    def _look(self, event: ChartsView.Looked) -> None:
        self.chart_view = event.chart_view

    def watch_chart_view(self, before: ChartView | None, chart_view: ChartView | None) -> None:
        """Draw the charts in another way, and keep what should be the same next time."""
        from distill_tui.charts.view import SMOOTHINGS  # noqa: PLC0415 - needs numpy

        if chart_view is None:
            return
        self.charts.look(chart_view)
        kept = Charts(axis=chart_view.axis, log=chart_view.log_y, smoothing=SMOOTHINGS.index(chart_view.smoothing))
        if before is not None and kept != self.distill.memory.charts:
            self.distill.remember(charts=kept)

    # Orders.

    def offers(self, method: str) -> bool:
        """Tell whether an action makes sense now, so that the key line names it; its key answers all the same."""
        view = self.distill.run_view
        if method in ("stop", "stop_now", "pause", "checkpoint", "preview"):
            return view is not None and not view.state.is_over
        if method == "resume":
            return view is not None and view.state.is_over and view.state.phase != "finished" and not view.state.is_gone
        return True

    @work(group="question")
    async def action_stop(self) -> None:
        """End the run with checkpoint, preview and model, if that is what one wants."""
        await self._stop(api.Stop, "", "with checkpoint, preview and model")

    @work(group="question")
    async def action_stop_now(self) -> None:
        """End the run with a checkpoint alone, if that is what one wants."""
        await self._stop(api.StopNow, " now", "with a checkpoint alone: no preview, no model")

    async def _stop(self, kind: type[AnyCommand], now: str, left: str) -> None:
        view = self._living("stopped")
        if view is None:
            return
        consequence = f"It ends after the step under way, {left}. {key_of('training.resume')} goes on from there."
        question = Question(f"Stop {api.shown(view.name)}{now}?", consequence, yes=f"stop{now}", no="let it go on")
        if await self.distill.push_screen_wait(question):
            self._order(view.folder, kind, f"stop{now.replace(' ', '-')}")

    def action_pause(self) -> None:
        """Pause the run, or let it go on."""
        view = self._living("paused")
        if view is not None and view.state.phase == "paused":
            self._order(view.folder, api.Unpause, "unpause")
        elif view is not None:
            self._order(view.folder, api.Pause, "pause")

    def action_checkpoint(self) -> None:
        """Write a checkpoint after the step under way."""
        if (view := self._living("saved")) is not None:
            self._order(view.folder, api.Checkpoint, "checkpoint")

    def action_preview(self) -> None:
        """Make a preview after the step under way."""
        if (view := self._living("heard")) is not None:
            self._order(view.folder, api.Preview, "preview")

    def action_resume(self) -> None:
        """Go on with a run that is over."""
        view = self.distill.run_view
        if view is None:
            self.distill.say("there is no run to go on with", f"{key_of('training.runs')} lists all runs")
        elif not view.state.is_over:
            self.distill.say(
                f"run {api.shown(view.name)} is running",
                f"{key_of('training.pause')} pauses it, or lets a paused one go on",
            )
        else:
            self._resume(view.folder)

    def _living(self, done: str) -> RunView | None:
        """Return the run where there is a living one to be `done` something with; say so where not."""
        view = self.distill.run_view
        if view is None:
            self.distill.say(f"there is no run to be {done}", f"{key_of('training.runs')} lists all runs")
        elif view.state.is_over:
            self.distill.say(
                f"run {api.shown(view.name)} is over: nothing is left to be {done}",
                what_is_possible(view.state),
            )
        else:
            return view
        return None

    @property
    def _holder(self) -> int | None:
        """The process that trains the run, None where none does."""
        return self.distill.run_view.holder if self.distill.run_view else None

    def _order(self, run: RunFolder, kind: type[AnyCommand], name: str) -> None:
        from distill_tui.runs import receipts  # noqa: PLC0415 - nothing that the first screen needs

        async def given(tell: Callable[[Receipt], None], receipt: Receipt) -> Receipt:
            answer = await api.command(
                run,
                kind,
                receipts.DEADLINE_SECONDS,
                on_heard=lambda heard: tell(receipts.heard(receipt, heard.time)),
            )
            return receipts.answered(self._latest(receipt), answer)

        self._carry_out(receipts.asked(run.name, name, time.time(), holder=self._holder), given)

    def _resume(self, run: RunFolder) -> None:
        from distill_tui.runs import receipts  # noqa: PLC0415 - nothing that the first screen needs

        async def resumed(_tell: Callable[[Receipt], None], receipt: Receipt) -> Receipt:
            if not await asyncio.to_thread(api.prepare_to_resume, run, ()):
                words = f"run {run.name} has done all it was meant to"
                longer = await asyncio.to_thread(api.what_lets_go_on, run)
                more = f"distill-engine resume {shlex.quote(run.name)} {longer} trains on"
                return receipts.refused(receipt, time.time(), words, f"{more}; {trains_on_from_model()}")
            begun = await api.start_worker(run, receipts.BEGIN_SECONDS)
            step = begun.from_step if isinstance(begun, api.RunRestarted) else 0
            return receipts.done(receipt, begun.time, f"it goes on after step {step:,}" if step else "it begins")

        self._carry_out(receipts.resuming(run.name, time.time()), resumed)

    def _carry_out(self, receipt: Receipt, give: Callable[..., Awaitable[Receipt]]) -> None:
        """Give an order in a worker of the pane's own, and show its receipt as it fills."""
        self._receipt_number += 1
        self.receipt.show_receipt(receipt)
        self.run_worker(self._follow_order(self._receipt_number, receipt, give), group="order")

    async def _follow_order(self, number: int, receipt: Receipt, give: Callable[..., Awaitable[Receipt]]) -> None:
        from distill_tui.runs import receipts  # noqa: PLC0415 - nothing that the first screen needs

        def tell(so_far: Receipt) -> None:
            if number == self._receipt_number:
                self.receipt.show_receipt(so_far)

        try:
            last = await give(tell, receipt)
        except api.DistillError as error:
            last = receipts.failed(receipt, error, time.time())
        except OSError as error:
            told = api.DistillError(f"{error.filename or 'its folder'}: {error.strerror or error}")
            last = receipts.failed(receipt, told, time.time())
        if number == self._receipt_number:
            self.receipt.show_receipt(last)
        else:
            self.distill.say(f"{last.order} {last.run}: {last.outcome}", api.shown(last.words))

    def _take_late_answer(self, view: RunView) -> None:
        """Fill the receipt of an order that was no longer waited for, where its answer has come all the same."""
        receipt = self.receipt.receipt
        if receipt is None or receipt.outcome != "late" or view.history is None or receipt.run != view.name:
            return
        from distill_tui.runs import receipts  # noqa: PLC0415 - nothing that the first screen needs

        for answer in (one.event for one in reversed(view.history.answers)):
            if answer.command == receipt.order and answer.answer != "heard" and answer.time > receipt.asked:
                self.receipt.show_receipt(receipts.answered(receipt, answer))
                return

    def _latest(self, receipt: Receipt) -> Receipt:
        """Return what the receipt has become, if it is still the one shown."""
        shown = self.receipt.receipt
        return shown if shown is not None and shown.asked == receipt.asked else receipt
