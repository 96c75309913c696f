"""Beside the list of models: the one under the cursor in full, how it was trained, and the curve of its run."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Container, Vertical

from distill_engine import api
from distill_tui.actions import key_of
from distill_tui.format import Words, paragraph
from distill_tui.library.model_words import details
from distill_tui.widgets.line import Lines

if TYPE_CHECKING:
    from distill_engine.api import LibraryEntry
    from distill_tui.charts.drawing import Series
    from distill_tui.library.model_story import Story
    from distill_tui.widgets.chart import Chart


class ModelDetail(Container):
    """One model. What its header says is there at once, its story when it has been read."""

    SCOPED_CSS: ClassVar[bool] = False  # how much width there is shows in a class of the pane
    DEFAULT_CSS = """
    ModelDetail { layout: vertical;
        & > #model-facts { height: 1fr; margin: 0 0 1 0; }
        & > #model-curve { height: 12; width: 1fr; }
        & > #model-curve.-none { height: 1; }
        & #model-run { height: 1; }
    }
    .-narrow ModelDetail { layout: horizontal;
        & > #model-facts { height: 1fr; width: 1fr; margin: 0; }
        & > #model-curve { height: 1fr; width: 32; padding: 0 0 0 2; }
        & > #model-curve.-none { height: 1fr; }
        & #model-run { height: 2; }
    }
    """

    def __init__(self) -> None:
        super().__init__(id="model-detail")
        self._entry: LibraryEntry | None = None
        self._story: Story | None = None
        self._facts = Lines(id="model-facts")
        self._run = Lines(id="model-run")
        self._curve = Vertical(self._run, id="model-curve")
        self._chart: Chart | None = None

    def compose(self) -> ComposeResult:
        """Lay out the facts and the place of the curve."""
        yield self._facts
        yield self._curve

    @property
    def text(self) -> str:
        """All that it says."""
        return f"{self._facts.text}\n{self._run.text}"

    @property
    def entry(self) -> LibraryEntry | None:
        """The model that is shown."""
        return self._entry

    def show(self, entry: LibraryEntry | None) -> None:
        """Show what a model's header says; what is told of the last one goes."""
        self._entry, self._story = entry, None
        self._draw()
        self._run.show([])
        if self._chart is not None:
            self._chart.visible = False

    async def tell(self, story: Story) -> None:
        """Show how it was trained."""
        self._story = story
        self._run.show(_about_run(story, self._run.size.width) if self._entry and self._entry.info else [])
        self._curve.set_class(not story.epochs, "-none")
        self.call_after_refresh(self._draw)  # when it is known how much room the curve leaves
        if not story.epochs or not self._curve.is_attached:  # one is leaving the dashboard
            return
        if self._chart is None:
            from distill_tui.widgets.chart import Chart  # noqa: PLC0415 - numpy is loaded by now, in a thread

            self._chart = Chart("loss")
            await self._curve.mount(self._chart)
        self._draw_curve(story)

    def on_resize(self) -> None:
        """Break the lines anew."""
        self._draw()

    def _draw(self) -> None:
        width = max(20, self._facts.size.width)
        lines = details(self._entry, width) if self._entry else []
        if self._story is not None and self._story.settings:
            lines += [[], *_settings_lines(self._story, max(2, self._facts.size.height - len(lines) - 1), width)]
        self._facts.show(lines)

    def _draw_curve(self, story: Story) -> None:
        from distill_tui.charts.view import ChartView  # noqa: PLC0415

        assert self._chart is not None
        self._chart.visible = True
        self._chart.show(curves(story), ChartView(), end=float(story.epochs[-1].step))


def curves(story: Story) -> list[Series]:
    """Return the losses of the run that made the model, by step."""
    import numpy as np  # noqa: PLC0415

    from distill_tui.charts.drawing import Series  # noqa: PLC0415

    steps = np.array([epoch.step for epoch in story.epochs], dtype=np.float64)

    def losses(values: list[float | None]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    run = story.run.name if story.run else ""
    return [
        Series(
            name="train",
            label="train",
            x=steps,
            y=losses([epoch.train_loss for epoch in story.epochs]),
            revision=run,
            best="least",
        ),
        Series(
            name="validation",
            label="validation",
            x=steps,
            y=losses([epoch.validation_loss for epoch in story.epochs]),
            kind="points",
            colour="validation",
            revision=run,
            best="least",
        ),
    ]


def _about_run(story: Story, width: int) -> list[Words]:
    if story.run is None:
        words = "The run that made it is gone, and its curve with it."
    else:
        words = f"made by run {api.shown(story.run.name)}" + ("" if story.epochs else ", which tells of no epoch")
    return paragraph(words, width, "dim")[:2]


def _settings_lines(story: Story, room: int, width: int) -> list[Words]:
    """Return the settings that differ from the usual ones, as many as there is room for, and how to see the rest."""
    differing = [setting for setting in story.settings if setting.differs]
    if not differing:
        return [[("trained with the usual settings", "dim")]]
    lines: list[Words] = [[("trained with", "strong"), (f" ({key_of('library.settings')} shows all settings)", "dim")]]
    for setting in differing:
        said = f"{setting.key} = {setting.value}"
        usual = f"  usually {setting.usual}" if setting.usual else ""
        lines.append([(said, ""), (usual if api.cells(said + usual) <= width else "", "dim")])
    if len(lines) <= room:
        return lines
    hidden = len(lines) - room + 1
    return [*lines[: room - 1], [(f"and {hidden} more", "dim")]]
