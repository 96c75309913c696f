"""The Library screen: the models from their headers, what is known of one, and what can be done with it.

Nothing here waits on the event loop: files are read in threads, sounds are made by the helper process. What is done to
a model is done to the one that was shown, which `shelf` makes sure of.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.events import Resize
from textual.widget import Widget
from textual.worker import Worker

from distill_engine import api
from distill_tui.actions import key_of
from distill_tui.bindings import bindings
from distill_tui.datasets.path_completion import is_folder, meant
from distill_tui.format import Words
from distill_tui.library import shelf
from distill_tui.remembered import Generating
from distill_tui.screens.model_detail import ModelDetail
from distill_tui.screens.model_rows import COLUMNS, rows
from distill_tui.screens.pane import NARROW, REST_SECONDS, Pane
from distill_tui.widgets.line import Lines
from distill_tui.widgets.listing import Cell, Column, Listing, Row, Rows

if TYPE_CHECKING:
    from distill_engine.api import Generated, LibraryEntry, Progress
    from distill_tui.library.generation_wish import Draft, Wish
    from distill_tui.library.model_story import Setting, Story
    from distill_tui.live_run import RunView
    from distill_tui.screens.explore import ExploreView
    from distill_tui.screens.sounds_view import SoundsView

Side = Literal["", "detail", "settings", "sounds", "explore"]
"""What stands beside the list, or below it where there is little width; Explore takes the list's place too."""

_WHILE_EXPLORING = frozenset({"back", "cancel", "sounds"})
"""The Library's own actions while Explore hides the list: the others are for a model that one sees there."""

_SETTINGS = (Column(title="setting"), Column(title="value", width=15), Column(title="usually", width=15))


class LibraryPane(Pane):
    """The models."""

    PLACE = "library"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("library"), ("enter", "details", "Details")]
    DEFAULT_CSS = """
    LibraryPane { layout: horizontal;
        & > #models { width: 1fr; height: 1fr; }
        & > #library-hint { display: none; height: 1fr; padding: 1 2; }
        & > #library-side { display: none; width: 58; height: 1fr; padding: 0 0 0 2; }
        &.-side > #library-side { display: block; }
        &.-settings > #library-side { width: 84; }
        & #model-detail, & #settings, & #sounds { display: none; }
        &.-detail #model-detail, &.-settings #settings, &.-sounds #sounds { display: block; }
    }
    LibraryPane.-narrow { layout: vertical;
        & > #library-side, &.-settings > #library-side { width: 1fr; height: 1fr; padding: 0; }
        &.-side > #models { height: 6; }
    }
    LibraryPane.-explore {
        & > #models, & > #library-side { display: none; }
        & > ExploreView { display: block; }
    }
    LibraryPane.-empty { layout: vertical;
        & > #models { height: 1; }
        & > #library-side { display: none; }
        & > #library-hint { display: block; }
    }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.listing = Listing(COLUMNS, empty="reading the library", id="models")
        self.detail = ModelDetail()
        self._hint = Lines(id="library-hint")
        self._settings = Listing(_SETTINGS, empty="the model's file doesn't tell them", id="settings")
        self._sounds: SoundsView | None = None
        self._explore: ExploreView | None = None
        self._models: dict[str, LibraryEntry] = {}
        self._side: Side = ""
        self._usual_side: Side = ""
        self._before_sounds: Side = ""
        self._narrow: bool | None = None
        self._generation: Worker[None] | None = None
        self._made: dict[str, list[Path]] = {}
        self._unseen: tuple[str, Generated] | None = None
        """Sounds that were made while another screen was shown, after the name of their model."""
        self._run_seen: tuple[str, bool] | None = None

    # The list.

    def compose(self) -> ComposeResult:
        """Lay out the list, what stands beside it, and the hint for the first time."""
        yield self.listing
        yield self._hint
        with Container(id="library-side"):
            yield self.detail
            yield self._settings

    def on_mount(self) -> None:
        """Look again when a run ends, for it leaves a model."""
        self._hint.show(_hint())
        self.watch(self.distill, "run_view", self._note_run, init=False)

    def first_focus(self) -> Widget:
        """Return the list one was in."""
        return self._focus_of(self._side)

    def shown(self) -> None:
        """See what has become of the models, once the screen is there."""
        self.call_after_refresh(self._refresh)
        if self._unseen is not None:
            self._show_made(*self._unseen)

    def hidden(self) -> None:
        """Have no vote come over another screen."""
        super().hidden()
        if self._explore is not None:
            self._explore.left()

    @property
    def entry(self) -> LibraryEntry | None:
        """The model one stands on, or explores."""
        if self._side == "explore" and self._explore is not None:
            return self._explore.entry
        return self._models.get(self.listing.rows.key)

    @property
    def _known(self) -> tuple[LibraryEntry, ...]:
        """The models as they were last read, for a thread to compare with what is there."""
        return tuple(self._models.values())

    def _note_run(self, view: RunView | None) -> None:
        seen = (str(view.folder.path), view.state.is_over) if view else None
        if seen != self._run_seen and self.is_shown:
            self._refresh()
        self._run_seen = seen

    @work(group="library-read", exclusive=True)
    async def _refresh(self, go_to: Path | None = None) -> None:
        entries, lines = await asyncio.to_thread(_read, self._known)
        self._models = {str(entry.path): entry for entry in entries}
        self.set_class(not entries, "-empty")
        self.listing.rows.say_empty("no model has that in it" if entries else "")
        self.listing.rows.show(lines)
        if go_to is not None:
            self.listing.rows.go_to(str(go_to))
        self._show_model()
        self._follow_explored()

    @on(Rows.Moved, "#models Rows")
    def _moved(self) -> None:
        self._show_model()

    @on(Rows.Chosen, "#models Rows")
    def _chosen(self) -> None:
        self.action_details()

    def offers(self, method: str) -> bool:
        """Tell whether an action makes sense now: most are for a model that one sees in the list."""
        return self._side != "explore" or method in _WHILE_EXPLORING

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Let no key do what makes no sense now."""
        del parameters
        return self.offers(action)

    # What stands beside it.

    def on_resize(self, event: Resize) -> None:
        """Put list and detail beside each other where there is the width, else one above the other."""
        narrow = event.size.width < NARROW
        if event.size.width and narrow != self._narrow:
            self._narrow = narrow
            self.set_class(narrow, "-narrow")
            self._usual_side = "" if narrow else "detail"
            if self._side in ("", "detail"):
                self._show_side(self._usual_side)

    def _show_side(self, side: Side) -> None:
        had_focus = self.is_shown and self.distill.focused is self._focus_of(self._side)
        if self._explore is not None and self._side == "explore" and side != "explore":
            self._explore.left()
        self._side = side
        self.set_class(bool(side), "-side")
        for name in ("detail", "settings", "sounds", "explore"):
            self.set_class(side == name, f"-{name}")
        self._show_model()
        if had_focus:
            self._focus_of(side).focus()

    def _focus_of(self, side: Side) -> Widget:
        if side == "settings":
            return self._settings.rows
        if side == "explore" and self._explore:
            return self._explore.first_focus()
        return self._sounds.first_focus() if side == "sounds" and self._sounds else self.listing.rows

    def _show_model(self) -> None:
        """Show the model one stands on, if it isn't the one that is shown."""
        if self._side == "detail" and self.entry != self.detail.entry:
            self.detail.show(self.entry)
            self._tell_story(self.entry)

    @work(group="library-story", exclusive=True)
    async def _tell_story(self, entry: LibraryEntry | None) -> None:
        if entry is None:
            return
        await asyncio.sleep(REST_SECONDS)
        await self.detail.tell(await asyncio.to_thread(_story, entry))

    def action_details(self) -> None:
        """Show what is known of the model, or the list alone."""
        if not self._models and self._entry_or_say() is None:
            return
        self._usual_side = "" if self._side == "detail" else "detail"
        self._show_side(self._usual_side)

    @work(group="library-settings", exclusive=True)
    async def action_settings(self) -> None:
        """Show every setting the model was trained with."""
        if (entry := self._usable()) is None:
            return
        self._settings.rows.show(await asyncio.to_thread(_setting_rows, entry))
        self._show_side("settings")

    def action_back(self) -> None:
        """Go back to what was there before; from the models stop generating."""
        if self._side == "sounds" and self._before_sounds == "explore":
            self._show_side("explore")
            self._follow_explored()
        elif self._side in ("settings", "sounds", "explore"):
            self._show_side(self._usual_side)
        elif self._side == "detail" and self._narrow:
            self.action_details()
        else:
            self.action_cancel()

    # Exploring.

    @work(group="library-explore", exclusive=True)
    async def action_explore(self) -> None:
        """Show the model's sliders and what they make."""
        if (shown := self._usable()) is None:
            return
        entry, view = await self._still(shown), await self._mounted_explore()
        self._show_side("explore")
        view.show(entry)
        self.distill.give_hint("explore")

    async def _mounted_explore(self) -> ExploreView:
        if self._explore is None:
            module = await asyncio.to_thread(importlib.import_module, "distill_tui.screens.explore")
            self._explore = cast("ExploreView", module.ExploreView(lambda: self._is_generating))
            await self.mount(self._explore)
        return self._explore

    def _follow_explored(self) -> None:
        """Have the model that is explored as its file is now, whatever it is called; leave where it is gone."""
        if self._side != "explore" or self._explore is None or (explored := self._explore.entry) is None:
            return
        now = shelf.same_model(explored, self._known)
        if now is None or now.info is None:
            self._show_side(self._usual_side)
            self.distill.say(f"the model {api.shown(explored.name)} is no longer there")
        elif now != explored:
            self._explore.show(now)
            self.listing.rows.go_to(str(now.path))

    @work(group="library-generate", exclusive=True)
    async def on_explore_view_sound_asked(self, event: ExploreView.SoundAsked) -> None:
        """Let the helper process make the sound of some sliders."""
        if self._says_it_is_generating():
            return
        entry = await self._still(event.entry)
        wish = await asyncio.to_thread(_explored_wish, entry, event, self.distill.memory.generating)
        self._generation = self._generate(entry, wish, overwrite=False)

    # What is done with a model.

    def _entry_or_say(self) -> LibraryEntry | None:
        """Return the model one stands on; say why where there is none."""
        if self.entry is None:
            self.distill.say("there is no model yet" if self.has_class("-empty") else "no model is chosen")
        return self.entry

    def _usable(self) -> LibraryEntry | None:
        """Return the model one stands on; say why where there is none that can be used."""
        entry = self._entry_or_say()
        if entry is not None and entry.info is None:
            self.distill.say(f"{api.shown(entry.name)} can't be used: {api.shown(entry.problem)}", severity="warning")
            return None
        return entry

    async def _still(self, shown: LibraryEntry) -> LibraryEntry:
        """Return the model as its file is now; where it is gone, see what there is. Raises NotFoundError."""
        try:
            return await asyncio.to_thread(shelf.still_there, shown, self._known)
        except api.NotFoundError:
            self._refresh()
            raise

    @work(group="library-train-on", exclusive=True)
    async def action_train_on(self) -> None:
        """Let the next run go on from the model."""
        from distill_tui.drafts import forms  # noqa: PLC0415

        if (shown := self._usable()) is None:
            return
        entry = await self._still(shown)
        form = forms.with_model(self.distill.form or forms.Form(), entry)
        self.distill.form = form
        await self.distill.show_pane("config" if form.dataset else "datasets")
        then = "its size and spectrogram are the model's" if form.dataset else "choose the recordings it learns from"
        self.distill.say(f"the next run goes on from {api.shown(entry.name)}; {then}")

    @work(group="library-rename", exclusive=True)
    async def action_rename(self) -> None:
        """Ask for another name and give it to the model."""
        from distill_tui.screens.asking import asked  # noqa: PLC0415

        if (entry := self._entry_or_say()) is None:
            return

        def complaint(name: str) -> str:
            taken = name != entry.name and any(name == other.name for other in self._models.values())
            return f"there is a model {api.shown(name)} already" if taken else _complaint_about(name)

        name, known = api.shown(entry.name), self._known
        label = f"What is {name} to be called?"
        renamed = await asked(self.distill, label, name, lambda text: shelf.rename(entry, text, known), complaint)
        if renamed is not None:
            self.distill.say(f"{name} is now {api.shown(renamed.name)}")
        self._refresh(renamed.path if renamed else None)

    @work(group="library-delete", exclusive=True)
    async def action_delete(self) -> None:
        """Ask, and remove the model."""
        from distill_tui.screens.dialogs import Question  # noqa: PLC0415

        if (entry := self._entry_or_say()) is None:
            return
        consequence = f"Its file of {api.size(entry.size)} is removed: {api.shown(str(entry.path))}"
        question = Question(f"Delete the model {api.shown(entry.name)}?", consequence, yes="delete", no="keep")
        if not await self.distill.push_screen_wait(question):
            return
        try:
            gone = await asyncio.to_thread(shelf.delete, entry, self._known)
        finally:
            self._refresh()
        called = "" if gone.name == entry.name else f", which was called {api.shown(gone.name)} by then"
        self.distill.say(f"deleted {api.shown(entry.name)}{called}")

    @work(group="library-export", exclusive=True)
    async def action_export(self) -> None:
        """Ask where to, and copy the model there; ask again before a file is replaced."""
        from distill_tui.screens.asking import agreed_to_replace, asked  # noqa: PLC0415

        if (shown := self._usable()) is None:
            return
        entry = await self._still(shown)
        label, here = f"Copy {api.shown(entry.name)} to which folder or file?", await asyncio.to_thread(_here)
        target = await asked(self.distill, label, here, lambda text: _export_target(entry, text), suffix=".distill")
        if target is None or (replaced := await agreed_to_replace(self.distill, [target])) is None:
            return
        written = await asyncio.to_thread(api.export, entry, target, overwrite=bool(replaced))
        self.distill.say(f"{api.shown(entry.name)} is copied to {api.shown(str(written))}")
        self._refresh()

    @work(group="library-import-file", exclusive=True)
    async def action_import_file(self) -> None:
        """Ask for a file, and copy it into the library."""
        from distill_tui.screens.asking import asked  # noqa: PLC0415

        label = "Import which .distill file?"
        entry = await asked(self.distill, label, "", lambda text: api.import_model(meant(text)), suffix=".distill")
        if entry is not None:
            self.distill.say(f"imported as {api.shown(entry.name)}")
            self._refresh(entry.path)

    # Generating.

    @work(group="library-generate", exclusive=True)
    async def action_generate(self) -> None:
        """Ask what to generate, and let the helper process do it."""
        from distill_tui.screens.asking import agreed_to_replace  # noqa: PLC0415
        from distill_tui.screens.generate_dialog import GenerateDialog  # noqa: PLC0415

        if self._says_it_is_generating() or (shown := self._usable()) is None:
            return
        entry = await self._still(shown)
        draft = await asyncio.to_thread(_offered, entry, self.distill.memory.generating)
        wish = await self.distill.push_screen_wait(GenerateDialog(entry.name, draft))
        if wish is None or (replaced := await agreed_to_replace(self.distill, wish.paths(entry.name))) is None:
            return
        self.distill.remember(generating=Generating(seconds=wish.seconds, count=wish.count, format=wish.format))
        self._generation = self._generate(entry, wish, overwrite=bool(replaced))

    @work(group="generate", exclusive=True)
    async def _generate(self, entry: LibraryEntry, wish: Wish, *, overwrite: bool) -> None:
        from distill_tui.library.generation_wish import in_words  # noqa: PLC0415

        making, told = f"making sounds of {api.shown(entry.name)}", 0.0
        self.distill.say(f"{making}: the helper process starts", self._cancels)

        def on_progress(progress: Progress) -> None:
            nonlocal told
            if time.monotonic() - told >= self.distill.pace.seconds:
                told = time.monotonic()
                self.distill.say(f"{making}: {progress.words}", self._cancels)

        request = await asyncio.to_thread(_request, entry, wish, overwrite)
        made = await self.distill.service.ask(request, on_progress)
        self._made[entry.name] = [*reversed(made.paths), *self._made.get(entry.name, ())]
        where = f"in {api.shown(str(wish.folder))}; {key_of('library.sounds')} in Library shows them"
        self.distill.say(f"made {in_words(wish, entry.name)}", where)
        if self._side == "explore" and self._explore is not None:
            if self._explore.entry is not None and self._explore.entry.id == entry.id:
                self._explore.show_made(made.paths[-1])
        elif self.is_shown:
            self._show_made(entry.name, made)
        else:
            self._unseen = entry.name, made

    @property
    def _cancels(self) -> str:
        """Which key cancels, and where one must go for it."""
        return f"{key_of('library.cancel')}{'' if self.is_shown else ' in Library'} cancels"

    @property
    def _is_generating(self) -> bool:
        return self._generation is not None and not self._generation.is_finished

    def _says_it_is_generating(self) -> bool:
        if self._is_generating:
            self.distill.say("sounds are being made already", f"{key_of('library.cancel')} cancels that")
        return self._is_generating

    def action_cancel(self) -> None:
        """Stop making two sounds to compare, or stop generating."""
        if self._explore is not None and self._explore.cancel_comparing():
            return
        if self._is_generating and self._generation is not None:
            self._generation.cancel()
            self.distill.say("making sounds was cancelled; what was finished stays")

    @work(group="library-sounds", exclusive=True)
    async def action_sounds(self) -> None:
        """Show the sounds that were made of the model."""
        if (entry := self._entry_or_say()) is not None:
            await self._show_sounds(entry.name, None)

    @work(group="library-sounds", exclusive=True)
    async def _show_made(self, model_name: str, made: Generated) -> None:
        self._unseen = None
        await self._show_sounds(model_name, made)

    async def _show_sounds(self, model_name: str, made: Generated | None) -> None:
        """Show all sounds of a model that are known, the cursor on the newest of those just `made`."""
        there = await asyncio.to_thread(shelf.sounds_in, shelf.sounds_folder(model_name))
        paths = list(dict.fromkeys([*self._made.get(model_name, ()), *there]))
        if not paths:
            self.distill.say(
                f"no sounds were made of {api.shown(model_name)} yet", f"{key_of('library.generate')} makes some"
            )
            return
        view = await self._mounted_sounds()
        await view.show(model_name, paths, made.paths[-1] if made else None)
        if self._side != "sounds":
            self._before_sounds = self._side
        self._show_side("sounds")

    async def _mounted_sounds(self) -> SoundsView:
        if self._sounds is None:
            module = await asyncio.to_thread(importlib.import_module, "distill_tui.screens.sounds_view")
            self._sounds = cast("SoundsView", module.SoundsView())
            await self.query_one("#library-side").mount(self._sounds)
        return self._sounds


def _hint() -> list[Words]:
    """Say how one comes to a first model."""
    datasets, config = key_of("app.show_datasets"), key_of("app.show_config")
    return [
        [("No model is here yet.", "strong")],
        [],
        [("A run leaves one here when it ends, also when it is stopped.", "")],
        [(f"Choose recordings in {datasets} Datasets, then start the run in {config} Config.", "")],
        [(f"{key_of('library.import_file')} imports a .distill file that you have from elsewhere.", "")],
    ]


def _read(known: Sequence[LibraryEntry]) -> tuple[list[LibraryEntry], list[Row]]:
    entries = api.list_models(known=known)
    return entries, rows(entries)


def _story(entry: LibraryEntry) -> Story:
    from distill_tui.library.model_story import story_of  # noqa: PLC0415

    story = story_of(entry)
    if story.epochs:
        importlib.import_module("distill_tui.widgets.chart")  # with numpy, which takes longer than a key may wait
    return story


def _setting_rows(entry: LibraryEntry) -> list[Row]:
    from distill_tui.library.model_story import settings_in  # noqa: PLC0415

    return [_setting_row(setting) for setting in settings_in(entry.info.training.config)] if entry.info else []


def _setting_row(setting: Setting) -> Row:
    cells = (Cell(text=setting.key), Cell(text=setting.value), Cell(text=setting.usual if setting.differs else ""))
    return Row(key=setting.key, cells=cells, tone="accent" if setting.differs else "")


def _complaint_about(name: str) -> str:
    try:
        api.checked_name(name)
    except api.DistillError as error:
        return api.shown(f"{error.message}; {error.hint}")
    return ""


def _here() -> str:
    """Return the folder the dashboard was started in, where what is exported goes unless told otherwise."""
    return api.shown(str(meant(".")))


def _export_target(entry: LibraryEntry, text: str) -> Path:
    """Return the file that is meant. Raises DistillError or OSError where it can't be written."""
    target = api.export_target(entry, meant(text))
    if not is_folder(target.parent):
        raise api.DistillError(f"there is no folder {target.parent}", "make it first, or name another place")
    if is_folder(target):
        raise api.DistillError(f"{target} is a folder", "name another place")
    with contextlib.suppress(FileNotFoundError):
        target.lstat()  # a name that is too long is told here
    with tempfile.TemporaryFile(dir=target.parent):
        return target


def _offered(entry: LibraryEntry, last: Generating) -> Draft:
    from distill_tui.library.generation_wish import first_draft  # noqa: PLC0415

    folder = shelf.sounds_folder(entry.name)
    return first_draft(last, folder, shelf.free_seed(entry.name, folder))


def _explored_wish(entry: LibraryEntry, asked: ExploreView.SoundAsked, last: Generating) -> Wish:
    from distill_tui.library.generation_wish import Format, Wish  # noqa: PLC0415

    folder, settings = shelf.sounds_folder(entry.name), asked.settings
    return Wish(
        seconds=settings.seconds,
        count=1,
        seed=settings.seed,
        format=cast("Format", last.format),
        folder=folder,
        sliders=settings.sliders,
        evolution=settings.evolution,
        preset=asked.preset,
        name=shelf.free_sound_name(entry.name, settings.seed, folder),
    )


def _request(entry: LibraryEntry, wish: Wish, overwrite: bool) -> api.Generate:
    """Return what to ask of the helper; in a thread, for the messages bring numpy along."""
    return api.Generate(
        model=entry.path,
        folder=wish.folder,
        seconds=wish.seconds,
        seed=wish.seed,
        count=wish.count,
        format=wish.format,
        overwrite=overwrite,
        sliders=dict(wish.sliders),
        evolution=wish.evolution,
        preset=wish.preset,
        name=wish.name,
    )
