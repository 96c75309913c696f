"""`distill-tui`: for now one screen that says what is there and what the dashboard will be."""

from __future__ import annotations

from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Footer, Static

from distill_engine import api
from distill_tui.themes import load_themes

WELCOME = """\
[b $primary]Distill[/] trains a small generative model on your own recordings.

{models} and {runs} on this machine.

The dashboard will be here: pick recordings, edit a configuration with the keyboard, watch a run and leave it, \
come back, hear how it goes, keep the model. Until then the engine does all of it from the shell:

  [$accent]distill-engine demo[/]              try it on recordings it makes up
  [$accent]distill-engine scan FOLDER[/]       what is there and what is wrong
  [$accent]distill-engine train FOLDER[/]      train; --detach leaves it to itself
  [$accent]distill-engine runs[/]              what goes on; show, follow, stop RUN
  [$accent]distill-engine models[/]            what you have kept
  [$accent]distill-engine generate MODEL[/]    new sound from it
"""


class DistillApp(App[None]):
    """The dashboard."""

    TITLE = "Distill"
    CSS_PATH = "app.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [("q", "quit", "Leave")]

    def compose(self) -> ComposeResult:
        """Lay out the welcome and the keys."""
        with VerticalScroll():
            models, runs = len(api.list_models()), len(api.list_runs())
            yield Static(WELCOME.format(models=api.counted(models, "model"), runs=api.counted(runs, "run")))
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Wear the first theme."""
        themes = load_themes()
        for theme in themes:
            self.register_theme(theme)
        self.theme = themes[0].name


def main() -> None:
    """Run the dashboard."""
    DistillApp().run()
