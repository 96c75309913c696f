"""The Config screen: the form of the next run at the left, what it will take and what the field means at the right.

The pane holds the draft, the form with its undo. What the rows tell of becomes a new draft by a pure function, the form
in it is the app's, and every change of the app's form, whoever made it, is a step that can be undone.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Resize
from textual.widget import Widget
from textual.widgets import Input

from distill_engine import api
from distill_tui.actions import key_of
from distill_tui.bindings import bindings
from distill_tui.datasets.path_completion import is_folder
from distill_tui.drafts import form_fields, form_files, form_words, forms, speeds, undo
from distill_tui.drafts.forms import Form
from distill_tui.drafts.undo import Draft
from distill_tui.screens.asking import ChangedFile, asked
from distill_tui.screens.choice import Choice
from distill_tui.screens.copying import take_settings
from distill_tui.screens.dialogs import Question
from distill_tui.screens.pane import NARROW, Pane
from distill_tui.widgets.form_rows import FieldEditor, FormRows
from distill_tui.widgets.line import Lines
from distill_tui.widgets.listing import Cell, Column, Filter, Row

BESIDE = 39
"""Cells for the words beside the form."""


class ConfigPane(Pane):
    """The settings of the next run."""

    PLACE = "config"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("config")]
    DEFAULT_CSS = """
    ConfigPane {
        & Horizontal { height: 1fr; }
        & #beside { width: 43; height: 1fr; padding: 0 2; background: $surface; }
        & #below { display: none; height: 7; background: $surface; }
        &.-narrow #beside { display: none; }
        &.-narrow #below { display: block; }
    }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.rows = FormRows()
        self.search = Filter()
        self._beside, self._below = Lines(id="beside"), Lines(id="below")
        self._draft = Draft(form=Form())
        self._known: tuple[speeds.KnownSpeed, ...] = ()
        self._only_differing = False
        self._looked_for: Path | None = None
        self._gone: Path | None = None
        """The dataset's folder, where it was looked for and wasn't there."""

    def compose(self) -> ComposeResult:
        """Lay out the form, the search below it, and the words beside or below."""
        with Horizontal():
            with Vertical():
                yield self.rows
                yield self.search
            yield self._beside
        yield self._below

    def on_mount(self) -> None:
        """Follow the app's form."""
        self.search.placeholder = "words of a field's name or help"
        self.watch(self.distill, "form", self._form_came)

    def on_resize(self, event: Resize) -> None:
        """Use one column where there is no room for two."""
        self.set_class(event.size.width < NARROW, "-narrow")
        self._draw_words()

    def shown(self) -> None:
        """Draw what changed meanwhile, and look how fast earlier runs were."""
        self._draw()
        self._look_at_speeds()
        self._look_for_dataset()

    def first_focus(self) -> Widget:
        """Return the form."""
        return self.rows

    @property
    def words(self) -> str:
        """What stands beside the form, or below it."""
        return (self._below if self.has_class("-narrow") else self._beside).text

    # The draft.

    def _form_came(self, form: Form | None) -> None:
        """Take in a form, our own or what another screen made of it."""
        if form is None:
            return
        if form is not self._draft.form:
            self._draft = undo.changed(self._draft, form)
        self._draw()

    def _take(self, draft: Draft) -> None:
        """Show a draft that was made otherwise than by typing."""
        self.rows.close_editor()
        self._put(draft)

    def _put(self, draft: Draft) -> None:
        self._draft = draft
        if draft.form is self.distill.form:
            self._draw()
        else:
            self.distill.form = draft.form

    def _change(self, form: Form) -> None:
        self._take(undo.changed(self._draft, form))

    def _draw(self) -> None:
        if not self.is_shown:
            return
        if self._draft.form.dataset != self._looked_for:
            self._look_for_dataset()
        fields = form_fields.shown_fields(self._form, search=self.search.value, only_differing=self._only_differing)
        self.rows.show(fields, empty="nothing differs from the preset" if not self.search.value else "no such field")
        self._draw_words()

    def _draw_words(self) -> None:
        """Draw what stands beside the rows, or below them."""
        form, row, editing = self._form, self.rows.field, self.rows.is_editing
        if self.has_class("-narrow"):
            width = self.size.width
            rule = ("-" if self.distill.ascii_only else "─") * width
            words = form_words.below(form, row, self._known, width, editing=editing)
            self._below.show([[(rule, "dim")], *words])
        else:
            self._beside.show(form_words.beside(form, row, self._known, BESIDE, editing=editing))

    @property
    def _form(self) -> Form:
        """The draft's form as it is shown: it complains of a folder that is gone."""
        form = self._draft.form
        return dataclasses.replace(form, is_gone=True) if self._gone and form.dataset == self._gone else form

    @work(group="look", exclusive=True)
    async def _look_for_dataset(self) -> None:
        await self._look()

    async def _look(self) -> None:
        """See whether the dataset's folder is there."""
        self._looked_for = folder = self._draft.form.dataset
        is_there = folder is None or await asyncio.to_thread(is_folder, folder)
        gone = None if is_there else folder
        if gone != self._gone:
            self._gone = gone
            self._draw()

    @work(group="speeds", exclusive=True)
    async def _look_at_speeds(self) -> None:
        known = await asyncio.to_thread(speeds.known_speeds)
        if known != self._known:
            self._known = known
            self._draw_words()

    # Fields.

    @on(FormRows.Moved)
    def _say_where(self) -> None:
        self._draw_words()

    @on(FormRows.Chosen)
    async def _edit(self, event: FormRows.Chosen) -> None:
        match event.key:
            case forms.DATASET:
                await self.distill.show_pane("datasets")
            case forms.PRESET:
                self._change(forms.stepped(self._draft.form, event.key, 1))
            case forms.MODEL:
                self.action_choose_model()
            case _:
                self._draft = undo.settled(self._draft)
                self.rows.open_editor()
                self._draw_words()

    @on(FormRows.Stepped)
    def _step(self, event: FormRows.Stepped) -> None:
        form = forms.stepped(self._draft.form, event.key, event.direction)
        self._take(undo.changed(self._draft, form, typing=f"stepping {event.key}"))

    @on(FormRows.ResetAsked)
    def _reset(self, event: FormRows.ResetAsked) -> None:
        self._change(forms.reset(self._draft.form, event.key))

    @on(FormRows.Typed)
    def _type(self, event: FormRows.Typed) -> None:
        form = forms.with_text(self._draft.form, event.key, event.text)
        self._put(undo.changed(self._draft, form, typing=event.key))

    @on(FormRows.Accepted)
    def _accept(self, event: FormRows.Accepted) -> None:
        """End typing, unless what was typed can't be: then its complaint stands there and the editor stays."""
        if event.key not in self._draft.form.complaints:
            self._take(undo.settled(self._draft))

    @on(FormRows.Deserted)
    def _desert(self) -> None:
        self._take(undo.settled(self._draft))

    @on(FieldEditor.Left)
    def _leave(self, event: FieldEditor.Left) -> None:
        event.stop()
        self._take(undo.settled(self._draft))
        self.rows.action_down() if event.direction > 0 else self.rows.action_up()

    @on(FieldEditor.GivenUp)
    def _give_up(self, event: FieldEditor.GivenUp) -> None:
        event.stop()
        self._take(undo.taken_back(self._draft))

    @on(FormRows.Dropped)
    def _drop(self) -> None:
        """Take a refused value back, else show all fields again."""
        row = self.rows.field
        if row is not None and row.complaint and row.key in self._draft.form.edits:
            self._change(forms.reset(self._draft.form, row.key))
        elif self.search.value or self._only_differing:
            self._only_differing = False
            self.search.action_drop()
            self._draw()

    def action_undo(self) -> None:
        """Take the last change back."""
        if not self._draft.past:
            self.distill.say("nothing was changed before this")
        self._take(undo.undone(self._draft))

    def action_redo(self) -> None:
        """Make it again."""
        if not self._draft.future:
            self.distill.say("nothing was taken back")
        self._take(undo.redone(self._draft))

    def action_next_preset(self) -> None:
        """Go to the next preset."""
        self._change(forms.stepped(self._draft.form, forms.PRESET, 1))
        self.distill.say(f"preset {self._draft.form.preset}; what was edited stays")

    def action_reset_all(self) -> None:
        """Forget all edits."""
        self._change(forms.reset_all(self._draft.form))
        self._say_undoable(f"every setting is as the preset {self._draft.form.preset} has it")

    def _say_undoable(self, done: str) -> None:
        self.distill.say(f"{done}; {key_of('config.undo')} takes that back")

    # Finding.

    def action_search(self) -> None:
        """Let the person type what to search for."""
        self.search.add_class("-open")
        self.search.focus()

    def action_only_differing(self) -> None:
        """Show only what differs from the preset, or all again."""
        self._only_differing = not self._only_differing
        self._draw()
        told = f"only what differs from the preset; {key_of('config.only_differing')} shows all"
        self.distill.say(told if self._only_differing else "")

    @on(Input.Changed)
    def _narrow_down(self, event: Input.Changed) -> None:
        event.stop()
        self._draw()

    @on(Filter.Closed)
    def _close_search(self, event: Filter.Closed) -> None:
        event.stop()
        self.search.set_class(bool(self.search.value), "-open")
        self.rows.focus()

    # Files and earlier runs.

    @work(group="files")
    async def action_load(self) -> None:
        """Open a file."""
        label = "Which file of settings?"
        path = await asked(self.distill, label, self._file_name(), form_files.file_path, suffix=".toml")
        if path is not None:
            await self._load(path)

    async def _load(self, path: Path) -> None:
        self._change(await asyncio.to_thread(form_files.loaded, self._draft.form, path))
        self._say_undoable(f"{api.shown(path.name)} is open")

    @work(group="files")
    async def action_save(self) -> None:
        """Save to the file it is from, else ask for one."""
        file = self._draft.form.file
        await (self._save(file.path) if file is not None else self._save_as())

    @work(group="files")
    async def action_save_as(self) -> None:
        """Ask for a file and save to it."""
        await self._save_as()

    async def _save_as(self) -> None:
        label = "Save the settings as"
        path = await asked(self.distill, label, self._file_name(), form_files.file_path, suffix=".toml")
        if path is not None:
            await self._save(path)

    async def _save(self, path: Path) -> None:
        form = self._draft.form
        words = await asyncio.to_thread(form_files.question_before_saving, form, path)
        if words and not await self._agreed(words, path, is_own=form.file is not None and form.file.path == path):
            return
        saved = await asyncio.to_thread(form_files.saved, form, path)
        self._take(undo.noted(self._draft, saved))
        self.distill.say(f"saved as {api.shown(str(path))}")

    async def _agreed(self, words: str, path: Path, *, is_own: bool) -> bool:
        """Ask whether to write to a file; one's own that has changed may be opened instead."""
        kept = "Its comments and its order stay; the settings in it become those of the form."
        if not is_own:
            return await self.distill.push_screen_wait(Question(words, kept, yes="write", no="leave it"))
        question = ChangedFile(words, kept, yes="write", no="leave it · o open it instead")
        agreed = await self.distill.push_screen_wait(question)
        if question.opens:
            await self._load(path)
        return agreed

    def _file_name(self) -> str:
        file = self._draft.form.file
        path = str(file.path) if file is not None else ""
        return path if api.shown(path) == path else ""  # what can't be shown can't be typed

    @work(group="files")
    async def action_copy(self) -> None:
        """Choose an earlier run and take its settings."""
        columns = [Column(title="run"), Column(title="begun", width=16)]
        rows = await asyncio.to_thread(_run_rows)
        chosen = await self.distill.push_screen_wait(
            Choice("Take the settings of which run?", columns, rows, empty="there was no run yet")
        )
        if chosen is not None:
            await take_settings(self.distill, api.RunFolder(Path(chosen)))

    @work(group="files")
    async def action_choose_model(self) -> None:
        """Choose a model to go on from."""
        models = {str(model.path): model for model in await asyncio.to_thread(api.list_models) if model.info}
        rows = [
            Row(key=path, cells=(Cell(text=api.shown(model.name)), Cell(text=_dimensions(model))))
            for path, model in models.items()
        ]
        columns = [Column(title="model"), Column(title="latent_dim", width=10, right=True)]
        chosen = await self.distill.push_screen_wait(
            Choice("Go on from which model?", columns, rows, empty="there is no model yet")
        )
        if chosen is not None:
            self._change(forms.with_model(self._draft.form, models[chosen]))

    # Starting.

    def action_start(self) -> None:
        """Start the run, or say what keeps it from starting and go there."""
        problem = self._draft.form.problem
        if problem is None:
            self._start()
        else:
            self._refuse(problem)

    def _refuse(self, problem: forms.Complaint) -> None:
        self.rows.go_to(problem.key)
        self.distill.say(problem.message, problem.hint, "warning")

    @work(group="starting")
    async def _start(self) -> None:
        form = self._draft.form
        if self._is_starting():
            self.distill.say("a run is being started already")
            return
        await self._look()
        if (problem := self._form.problem) is not None:
            self._refuse(problem)
            return
        assert form.dataset is not None
        self.distill.say("looking at the recordings once more")
        plan = await asyncio.to_thread(api.plan_run, form.dataset, forms.wishes(form))
        self.distill.start_run(plan, form.name or None)

    def _is_starting(self) -> bool:
        """Tell whether another start is under way; this one is a worker too."""
        going = [worker for worker in self.app.workers if worker.is_running and worker.group in ("starting", "start")]
        return len(going) > 1


def _run_rows() -> list[Row]:
    """Return all runs, the newest first, one a row. Blocks."""
    return [
        Row(key=str(run.path), cells=(Cell(text=api.shown(run.name)), Cell(text=_begun(run))))
        for run in api.list_runs()
    ]


def _begun(run: api.RunFolder) -> str:
    try:
        begun = datetime.datetime.fromtimestamp(run.info().created)
    except api.DistillError:
        return "not known"
    return f"{begun:%Y-%m-%d %H:%M}"


def _dimensions(model: api.LibraryEntry) -> str:
    return str(model.info.architecture.latent_dim) if model.info else ""
