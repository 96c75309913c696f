"""`distill-tui`: the four screens, kept mounted, the keys that work everywhere, and the run that is watched.

The first screen must be there as soon as any Textual app's, so whatever isn't needed for it is imported afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import itertools
import locale
import os
import shlex
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from rich.console import Console, RenderableType
from textual import events, work
from textual._compositor import CompositorUpdate
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import BindingType
from textual.containers import Container
from textual.dom import DOMNode
from textual.reactive import reactive
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import WorkerFailed

from distill_engine import api
from distill_tui.actions import (
    ACTIONS,
    HINTS,
    PLACES,
    WITHIN,
    Action,
    actions_in,
    change_keys,
    hint,
    key_of,
    key_words,
    keys_of,
    spelt,
)
from distill_tui.bindings import bindings
from distill_tui.frame import Frame
from distill_tui.link import Pace, TerminalDriver, end_within, notice
from distill_tui.remembered import Draft, Memory, Notebook, Seen
from distill_tui.screens.pane import Pane
from distill_tui.themes import DEFAULT, NO_COLOUR, SIXTEEN_COLOURS, load_theme, shipped_folder
from distill_tui.widgets.key_line import KeyLine
from distill_tui.widgets.status_line import Severity, StatusLine
from distill_tui.widgets.top_bar import PANES, TopBar

if TYPE_CHECKING:
    from distill_engine.api import Plan, RunFolder, Service
    from distill_tui.drafts.forms import Form
    from distill_tui.live_run import LiveRun, RunView

LEAVE_SECONDS = 2.0
"""How long leaving may wait for what is still at work, such as a scan of a folder that doesn't answer."""

FIRST_SECONDS = 1.5
"""How long what isn't seen yet may wait for the run that is."""

LEAST_WIDTH, LEAST_HEIGHT = 60, 18
"""Below this size only a line is shown that says so."""


class DistillApp(App[None]):
    """The dashboard."""

    TITLE = "Distill"
    CSS_PATH = "app.tcss"
    PLACE: ClassVar[str] = "app"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("app")]
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"

    run_view: reactive[RunView | None] = reactive(None, init=False)
    """The run that is watched, as last drawn; None where there is none."""

    form: reactive[Form | None] = reactive(None, init=False)
    """The draft of the next run; None until its rooms are loaded, shortly after the first screen."""

    def __init__(
        self, *, run: str = "", ascii_only: bool = False, eco: bool = False, theme: str = "", demo: bool = False
    ) -> None:
        super().__init__(driver_class=None if "TEXTUAL_DRIVER" in os.environ else TerminalDriver)
        self.ascii_only = ascii_only
        self.demo = demo
        self.set_class(ascii_only, "-ascii")
        self._notebook = Notebook(api.state_folder())
        self.pane = ""
        self.pace = Pace(self._backlog, eco=eco, on_change=self._say_pace)
        self._wished_run, self._wished_theme = run, theme
        self._live: LiveRun | None = None
        self._switching = asyncio.Lock()
        self._complaints: list[str] = []
        self._undrawn: RunView | None = None
        self._drawing: Timer | None = None
        self._seen: RunView | None = None
        self._service: Service | None = None
        self._panes: dict[str, Pane] = {}
        self._run_at_first: RunFolder | None = None
        self._frame = Frame(no_colour=self.no_color)
        self._wear_first_theme()  # later all styles would be made twice

    # The first screen.

    def compose(self) -> ComposeResult:
        """Lay out the frame that all screens stand in, and the first of them."""
        self._run_at_first = self._first_run()
        living = self._run_at_first is not None and _is_living(self._run_at_first)
        self.pane = "training" if living or self._wished_run else "datasets"
        yield TopBar(self.pane, demo=self.demo, ascii_only=self.ascii_only)
        with Container(id="panes"):
            yield self._made_pane(self.pane)
        yield StatusLine()
        yield KeyLine()
        yield Static(
            f"This terminal is too small: Distill needs {LEAST_WIDTH} columns and {LEAST_HEIGHT} rows.", id="too-small"
        )

    def on_mount(self) -> None:
        """Show the first screen, and only then load the rest."""
        self._load_keys()  # what the first screen says names some
        if self._wished_run:
            self._notebook.note(training_view="charts")
        pane = self._panes[self.pane]
        pane.display = True
        pane.shown()
        pane.first_focus().focus()
        self.call_after_refresh(self._settle)  # a worker, so that keys are answered meanwhile

    def _first_run(self) -> RunFolder | None:
        """Return the run named at the start, else the newest living one, else the one last watched."""
        if self._wished_run:
            return api.find(self._wished_run)
        for folder in api.list_runs():
            if _is_living(folder):
                return folder
        return _existing_run(self.memory.last_run)

    async def on_event(self, event: events.Event) -> None:
        """Take a key as a sign that what was said long enough ago was read."""
        if isinstance(event, events.Key) and self.screen_stack:
            self.screen_stack[0].query_one(StatusLine).key_pressed()
        await super().on_event(event)

    @work(group="settle")
    async def _settle(self) -> None:
        """Load what the first screen could do without, a piece at a time, keys in between."""
        if self._run_at_first is not None:
            self.attach(self._run_at_first)
            await self._until_run_is_there()
        for name in PANES:
            await self._mounted_pane(name)
            await asyncio.sleep(0)
        self._load_themes()
        if self._complaints:
            self.say(self._complaints[0], "\n".join(self._complaints[1:]), "warning")
        await self._begin_form()
        if not gc.isenabled():
            gc.freeze()  # what lives as long as the dashboard needn't be looked at again
            gc.enable()

    async def _until_run_is_there(self) -> None:
        """Let a run's history come before all that one doesn't see yet; a very long one doesn't keep it from coming."""
        until = time.monotonic() + FIRST_SECONDS
        while time.monotonic() < until and (self.run_view is None or self.run_view.filling):
            await asyncio.sleep(0.02)

    async def _begin_form(self) -> None:
        """Go on with the draft that was left; only that of no dataset is there at once."""
        forms = await asyncio.to_thread(importlib.import_module, "distill_tui.drafts.forms")
        if self.form is None:
            self.form = forms.Form()
        if self.memory.draft != Draft():
            self._recall_draft(self.form)

    @work(group="draft")
    async def _recall_draft(self, untouched: Form) -> None:
        kept = await asyncio.to_thread(importlib.import_module, "distill_tui.drafts.kept")
        form = await asyncio.to_thread(kept.recalled, self.memory.draft)
        if self.form is untouched:  # else one has begun another
            self.form = form

    # Screens.

    async def show_pane(self, name: str) -> None:
        """Show one of the four screens."""
        async with self._switching:
            await self._show_pane(name)

    async def _show_pane(self, name: str) -> None:
        if name == self.pane:
            return
        before = self._panes.get(self.pane)
        pane = await self._mounted_pane(name)
        self.pane = name
        with self.batch_update():  # one frame, not one that is empty between two screens
            if before is not None:
                before.display = False  # a class would have Textual look up the styles of all that is in it anew
                before.hidden()
            pane.display = True
            self.query_one(TopBar).show_pane(name)
            pane.shown()
            pane.focus_again()
        self._note_seen()
        self.give_hint(name)

    def give_hint(self, place: str) -> None:
        """Say the first time what one does in a place, where nothing but another place's hint is to be said."""
        is_free = " ".join(self.said.split()) in ("", *map(hint, HINTS))
        if place not in self.memory.hints and is_free and (words := hint(place)):
            self.say(words)
            self.remember(hints=(*self.memory.hints, place))

    async def _mounted_pane(self, name: str) -> Pane:
        if name not in self._panes:
            await self.query_one("#panes").mount(self._made_pane(name))
        return self._panes[name]

    def _made_pane(self, name: str) -> Pane:
        module = importlib.import_module(f"distill_tui.screens.{name}")
        self._panes[name] = cast("Pane", getattr(module, f"{PANES[name]}Pane")(id=name))
        return self._panes[name]

    async def action_show_datasets(self) -> None:
        """Go to the folders of recordings."""
        await self.show_pane("datasets")

    async def action_show_config(self) -> None:
        """Go to the settings of the next run."""
        await self.show_pane("config")

    async def action_show_training(self) -> None:
        """Go to the run."""
        await self.show_pane("training")

    async def action_show_library(self) -> None:
        """Go to the models."""
        await self.show_pane("library")

    # The run that is watched.

    def attach(self, run: RunFolder) -> None:
        """Watch a run from now on, and no other."""
        from distill_tui.live_run import LiveRun  # noqa: PLC0415

        if self._live is not None and self._live.folder == run:
            return
        self._live = LiveRun(run, self._publish, lambda: self.pace.seconds)
        self.remember(last_run=str(run.path))
        self.run_worker(self._live.watch(), group="run", exclusive=True, name=f"watch {run.name}")

    def _publish(self, view: RunView) -> None:
        """Draw a view, or the one after it where the link doesn't keep up."""
        self._undrawn = view
        if self._drawing is None:
            self._draw_run()

    def _draw_run(self) -> None:
        self._drawing = None
        view, self._undrawn = self._undrawn, None
        if view is None or not self.is_running or self._live is None or view.folder != self._live.folder:
            return  # one is leaving, or watches another run by now
        if self.pace.before_drawing():
            self.run_view = view
        else:
            self._undrawn = view
            self._drawing = self.set_timer(self.pace.seconds, self._draw_run)

    def watch_run_view(self, before: RunView | None, view: RunView | None) -> None:
        """Say in the top bar how the run goes, and ring when it ends."""
        from distill_tui.format import run_in_brief  # noqa: PLC0415

        if view is None:
            return
        self.query_one(TopBar).show_run(*run_in_brief(view.state, view.name))
        self._note_seen()
        if before is None or before.folder != view.folder:
            self._say_if_ended_meanwhile(view)
        elif view.state.is_over and not before.state.is_over and not before.filling:
            self._ring(view)

    def _say_if_ended_meanwhile(self, view: RunView) -> None:
        from distill_tui.format import run_in_brief  # noqa: PLC0415

        seen = self.memory.seen.get(view.info.id) if view.info is not None else None
        if seen is not None and view.state.is_over and view.state.seq > seen.seq and self.pane != "training":
            words, _ = run_in_brief(view.state, view.name)
            self.say(f"{words}, while you were away", f"{key_of('app.show_training')} shows what is new")

    def _ring(self, view: RunView) -> None:
        """Tell of the end of a run: a bell, and a notice where the terminal shows them (OSC 9)."""
        from distill_tui.format import run_in_brief  # noqa: PLC0415

        words, _ = run_in_brief(view.state, view.name)
        self.bell()
        if self._driver is not None:
            self._driver.write(notice(words))
        self.say(words)

    @work(group="start", exit_on_error=True)
    async def start_run(self, plan: Plan, name: str | None = None) -> None:
        """Begin a run in the background and go to it."""
        if self.demo:
            self.say("this is a demo, which trains nothing", "distill-tui without --demo does", "warning")
            return
        self.say("starting: the worker loads torch, which takes a few seconds")
        danger = await asyncio.to_thread(api.login_manager_ends_processes)
        run = await api.start_run(plan, name)
        self.attach(run)
        begun = f"run {api.shown(run.name)} has begun"
        if danger:
            self.say(begun, f"careful: {danger.replace('this process', 'the run')}", "warning")
        else:
            self.say(f"{begun}; leaving the dashboard doesn't end it")
        await self.show_pane("training")
        await self.run_action("charts", self._panes["training"])

    # What all screens share.

    @property
    def service(self) -> Service:
        """The helper process that knows torch; it starts when it is first asked."""
        if self._service is None:
            self._service = api.Service()
        return self._service

    def say(self, message: str, hint: str = "", severity: Severity = "information") -> None:
        """Tell the person something, in the line above the keys."""
        self.query_one(StatusLine).say(message, hint, severity)

    @property
    def said(self) -> str:
        """What stands in the line above the keys."""
        return self.query_one(StatusLine).text

    @property
    def memory(self) -> Memory:
        """What is remembered from visit to visit."""
        return self._notebook.memory

    def note(self, **changes: object) -> None:
        """Note what changes with every key, for the next visit: it is written with the rest, or when one leaves."""
        self._notebook.note(**changes)

    def remember(self, **changes: object) -> None:
        """Keep something for the next visit."""
        self.note(**changes)
        self.run_worker(asyncio.to_thread(self._notebook.write), group="remember")

    # Keys, help and palette.

    def on_descendant_focus(self) -> None:
        """Show the keys that work where one is now."""
        if self.screen_stack:  # the last of these comes after the last screen has gone
            self.show_keys()

    def show_keys(self) -> None:
        """Show the keys of the places that have the focus, the nearest first; none of what makes no sense now."""
        by_place = self.actions_here()
        always = by_place.pop("app")
        words = [
            key_words([one for one in part if one.in_key_line], ascii_only=self.ascii_only)
            for part in (list(itertools.chain.from_iterable(by_place.values())), always)
        ]
        self.query_one(KeyLine).show_keys(*words)

    def actions_here(self) -> dict[str, list[Action]]:
        """Return what can be done where one is now, by places: the nearest first, `app` last."""
        found: dict[str, list[Action]] = {}
        for widget in self._with_places():
            place = str(getattr(widget, "PLACE", ""))
            if place != "app":
                offers = getattr(widget, "offers", lambda _method: True)
                found.setdefault(place, [action for action in actions_in(place) if offers(action.method)])
        return found | {"app": list(actions_in("app"))}

    def _with_places(self) -> list[DOMNode]:
        """Return the widgets whose keys work, the nearest first."""
        focused = self.screen_stack[0].focused
        widgets = focused.ancestors_with_self if focused else (self._panes.get(self.pane), self)
        return [widget for widget in widgets if widget is not None and hasattr(widget, "PLACE")]

    def action_help(self) -> None:
        """Say what the screen is for and which keys do what."""
        from distill_tui.screens.dialogs import Help  # noqa: PLC0415

        self.push_screen(Help(self.actions_here(), ascii_only=self.ascii_only))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer every action that can be gone to from where one is."""
        for action in ACTIONS:
            if self._can_be_done(action, screen.focused):
                title = f"{PLACES[action.place]}: {action.label}" if action.place != "app" else action.label
                keys = " ".join(spelt(key, ascii_only=self.ascii_only) for key in keys_of(action))
                help_text = f"{keys}: {action.help}" if keys else action.help
                yield SystemCommand(title, help_text, lambda action=action: self._run(action))

    def _can_be_done(self, action: Action, focused: Widget | None) -> bool:
        """Tell whether the action's place can be gone to or has the focus, and does it as it stands now."""
        pane = self._panes.get(action.place)
        if pane is not None and not pane.check_action(action.method, ()):
            return False
        return self._leads_to(action) or self._widget_for(action, focused) is not None

    def _leads_to(self, action: Action) -> bool:
        """Tell whether the action's place can be shown: a screen, or a view of a run."""
        return action.place in PANES or WITHIN.get(action.place) == "training"

    def _widget_for(self, action: Action, focused: Widget | None) -> App[None] | Widget | None:
        """Return the widget whose action it is: one that has the focus in it, else one on the shown screen."""
        if action.place == "app":
            return self
        near = [*(focused.ancestors_with_self if focused else ())]
        shown = [widget for widget in self._panes[self.pane].walk_children(with_self=True) if _is_seen(widget)]
        found = (one for one in (*near, *shown) if getattr(one, "PLACE", "") == action.place)
        return next((one for one in found if isinstance(one, Widget)), None)

    @work(group="palette")
    async def _run(self, action: Action) -> None:
        """Go to where an action works, and do it there."""
        if self._leads_to(action):
            screen = WITHIN.get(action.place, action.place)
            await self.show_pane(screen)
            if action.place != screen:
                await self.run_action(action.place, self._panes[screen])
        widget = self._widget_for(action, self.screen_stack[0].focused)
        if widget is not None:
            await self.run_action(action.method, widget)

    def _load_keys(self) -> None:
        from distill_tui.keys import load_keys  # noqa: PLC0415

        found = load_keys(api.config_folder())
        change_keys(found.changed)
        self.set_keymap(found.changed)
        self._complaints += found.complaints
        self.show_keys()

    # Colours.

    def _wear_first_theme(self) -> None:
        """Wear the theme that was asked for or remembered, else one that fits the terminal."""
        folders = (api.config_folder() / "themes", shipped_folder())
        usual = {"none": NO_COLOUR, "few": SIXTEEN_COLOURS, "many": DEFAULT}[self._colours]
        chosen = self.memory.themes.get(self._colours, "")
        for name in filter(None, (self._wished_theme, chosen, os.environ.get("TEXTUAL_THEME", ""), usual)):
            for folder in folders:
                with contextlib.suppress(ValueError):
                    theme = load_theme(folder / f"{name}.toml")
                    self.register_theme(theme)
                    self.theme = theme.name
                    return

    @property
    def _colours(self) -> str:
        """How many colours there are: none, few (those of the terminal's own palette), or many."""
        if self.no_color:
            return "none"
        return "few" if self.console.color_system == "standard" else "many"

    def _load_themes(self) -> None:
        from distill_tui.themes import load_themes  # noqa: PLC0415

        themes, complaints = load_themes([shipped_folder(), api.config_folder() / "themes"])
        for builtin in set(self.available_themes) - {self.theme}:
            self.unregister_theme(builtin)
        for theme in themes:
            self.register_theme(theme)
        if self._wished_theme and self._wished_theme not in self.available_themes:
            complaints.append(f"there is no theme {self._wished_theme}; those there are stand in the palette")
        self._complaints += complaints

    def action_choose_theme(self) -> None:
        """Choose other colours."""
        self.search_themes()

    def watch_theme(self, theme_name: str) -> None:
        """Remember the colours that were chosen."""
        if self._is_mounted and theme_name != self.memory.themes.get(self._colours):
            self.remember(themes={**self.memory.themes, self._colours: theme_name})

    # Link and terminal.

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        """Send what differs from what the terminal shows, nothing where nothing does."""
        sending = self._running and not self._closed and not self._batch_count and not self.is_headless
        if not sending or not isinstance(renderable, CompositorUpdate):
            super()._display(screen, renderable)
            return
        changes = self._frame.changes(renderable, self.console._color_system)
        if changes is None:
            super()._display(screen, renderable)
        elif changes or self.cursor_position != self._previous_cursor_position:
            super()._display(screen, _Ready(changes))

    def _backlog(self) -> int:
        return self._driver.backlog() if isinstance(self._driver, TerminalDriver) else 0

    def _say_pace(self, seconds: float) -> None:
        self.query_one(TopBar).show_link(f"slow link: drawn every {seconds:g} s" if seconds else "")

    def on_resize(self, event: events.Resize) -> None:
        """Draw anew, and say so where there is too little room."""
        self._frame.forget()
        small = event.size.width < LEAST_WIDTH or event.size.height < LEAST_HEIGHT
        self.screen_stack[0].set_class(small, "-too-small")

    def on_app_focus(self) -> None:
        """Draw everything anew: what a multiplexer kept of the screen may be stale."""
        self.action_repaint()

    def action_help_quit(self) -> None:
        """Answer ctrl+c, by which many leave a program."""
        self.say(f"{key_of('app.leave')} leaves; a run goes on without the dashboard")

    def action_repaint(self) -> None:
        """Draw the whole screen anew."""
        self._frame.forget()
        self.screen.refresh(repaint=True, layout=True)

    def action_leave(self) -> None:
        """Leave, and say what goes on without the dashboard; work in a thread isn't waited for."""
        if isinstance(self._driver, TerminalDriver):
            end_within(LEAVE_SECONDS, self.farewell)
        self.exit()

    @property
    def farewell(self) -> str:
        """What to say to who has left: how to come back to a run that goes on."""
        view = self.run_view
        if self.demo:
            return "that was a recorded run, and nothing of it is kept; distill-tui alone is for runs of your own"
        if view is None or view.state.is_over:
            return ""
        name = shlex.quote(api.shown(view.name))
        return (
            f"run {name} goes on; distill-tui --run {name} comes back to it, "
            f"distill-engine stop {name} ends it with a model"
        )

    def _note_seen(self) -> None:
        """Note that the run as it is now was seen, if it was."""
        if self.pane == "training" and self.run_view is not None and not self.run_view.filling:
            self._seen = self.run_view

    async def on_unmount(self) -> None:
        """Note what was seen, and end the helper process."""
        if self._seen is not None and self._seen.info is not None:
            seen = Seen(time=time.time(), seq=self._seen.state.seq)
            self._notebook.note(seen={**self.memory.seen, self._seen.info.id: seen})
        if self.form is not None:
            from distill_tui.drafts.kept import noted  # noqa: PLC0415

            self._notebook.note(draft=noted(self.form))
        self._notebook.write()
        if self._service is not None:
            await self._service.close()

    def _handle_exception(self, error: Exception) -> None:
        """Tell in the status line what a person can do something about, and go on; end where only we are at fault."""
        cause = error.error if isinstance(error, WorkerFailed) else error
        if isinstance(cause, api.DistillError) and isinstance(error, WorkerFailed):
            self.say(cause.message, cause.hint, "error")
            return
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        """Keep the traceback in a file and end with a sentence."""
        log = api.state_folder() / "dashboard.log"
        with contextlib.suppress(OSError):
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(traceback.format_exc(), encoding="utf-8")
        self.panic(
            "The dashboard has failed; runs go on without it. distill-tui opens it again. "
            f"What went wrong stands in {api.shown(str(log))}."
        )


def _is_seen(node: DOMNode) -> bool:
    return all(one.display for one in node.ancestors_with_self if isinstance(one, Widget))


def _existing_run(path: str) -> RunFolder | None:
    """Return the run at a path; None where there is none, or where one can't look."""
    try:
        return api.RunFolder(Path(path)) if path and (Path(path) / "run.json").is_file() else None
    except OSError:
        return None


def _is_living(run: RunFolder) -> bool:
    try:
        return api.lock_holder(run) is not None
    except OSError:  # whoever watches it is told
        return False


class _Ready(CompositorUpdate):
    """An update that is text already."""

    def __init__(self, text: str) -> None:
        self._text = text

    def render_segments(self, console: Console) -> str:
        """Return the text."""
        del console
        return self._text


def is_utf8() -> bool:
    """Tell whether the terminal can be sent more than ASCII, as its locale says."""
    return "utf" in locale.getpreferredencoding(False).lower().replace("-", "")
