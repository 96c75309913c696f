"""The Config screen as a person uses it: keys alone, at both sizes, and what they see after each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from distill_engine.event_log import last_event
from distill_engine.home import runs_folder, state_folder
from distill_engine.run_folder import RunFolder, list_runs
from distill_engine.run_lock import lock_holder
from distill_engine.training.config import TrainingConfig, replaced
from distill_engine.training.config_file import load_config, save_config
from distill_tui.app import DistillApp
from distill_tui.drafts import forms
from distill_tui.drafts.forms import Form, text_of, with_text
from distill_tui.remembered import Notebook
from distill_tui.screens.choice import Choice
from distill_tui.screens.config import ConfigPane
from distill_tui.screens.dialogs import Prompt, Question
from distill_tui.widgets.status_line import StatusLine
from tests.engine.runs import SMALL, write_dataset
from tests.recorded_runs import unpacked
from tests.tui.drafts_made import form_for, model

WIDE, SMALL_SIZE = (120, 36), (80, 24)
PATIENCE = 60.0


class Visit:
    """A dashboard on its Config screen, and what is to be seen of it."""

    def __init__(self, app: DistillApp, pilot: Pilot[None], pane: ConfigPane) -> None:
        self.app, self.pilot, self.pane = app, pilot, pane

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        await self.press(*text)

    async def until(self, condition: Callable[[], bool]) -> None:
        begun = time.monotonic()
        while not condition():
            assert time.monotonic() - begun < PATIENCE, f"{self.rows}\n{self.words}\n{self.status}"
            await self.pilot.pause(0.02)

    async def go_to(self, key: str) -> None:
        await self.press("g")
        while self.field != key:
            before = self.field
            await self.press("j")
            assert self.field != before, f"{key} is not shown"

    @property
    def form(self) -> Form:
        assert self.app.form is not None
        return self.app.form

    @property
    def rows(self) -> str:
        return self.pane.rows.text

    @property
    def field(self) -> str:
        return self.pane.rows.field.key if self.pane.rows.field else ""

    @property
    def words(self) -> str:
        """Return what stands beside or below the form, wherever its lines are broken."""
        return " ".join(self.pane.words.split())

    @property
    def status(self) -> str:
        return self.app.query_one(StatusLine).text

    def line_of(self, name: str) -> str:
        """Return the line of the screen that begins with a field's name, its marks included."""
        return next(line for line in self.rows.splitlines() if line[3:].startswith(f"{name} "))


@asynccontextmanager
async def visiting(form: Form, size: tuple[int, int] = WIDE, *, ascii_only: bool = False) -> AsyncIterator[Visit]:
    app = DistillApp(ascii_only=ascii_only)
    async with app.run_test(size=size) as pilot:
        while app.form is None:
            await pilot.pause(0.02)
        app.form = form
        await pilot.press("2")
        pane = app.query_one(ConfigPane)
        visit = Visit(app, pilot, pane)
        await visit.until(lambda: "steps" in visit.words or "dataset" in visit.words)
        yield visit


@pytest.fixture
def form(tmp_path: Path) -> Form:
    return form_for(tmp_path / "bells")


@pytest.mark.parametrize("size", [WIDE, SMALL_SIZE])
def test_a_value_is_typed_in_place_and_counts_as_one_types(form: Form, size: tuple[int, int]) -> None:
    async def visit() -> None:
        async with visiting(form, size) as seen:
            await seen.go_to("max_epochs")
            assert "passes over the training pieces" in seen.words
            before = seen.words
            await seen.press("enter")
            await seen.type("40")
            assert seen.form.config.max_epochs == 40
            assert seen.words != before
            await seen.press("enter", "j")
            assert seen.field == "max_minutes"
            assert "40 epochs" in seen.line_of("max_epochs")
            assert f"preset {form.base.max_epochs}" in seen.line_of("max_epochs")
            assert seen.line_of("max_epochs").startswith(" *")

    asyncio.run(visit())


@pytest.mark.parametrize("size", [WIDE, SMALL_SIZE])
def test_a_refused_value_stays_with_its_complaint_under_it_until_esc(form: Form, size: tuple[int, int]) -> None:
    async def visit() -> None:
        async with visiting(form, size) as seen:
            await seen.go_to("batch_size")
            await seen.press("enter")
            await seen.type("0x")
            lines = seen.rows.splitlines()
            place = lines.index(seen.line_of("batch_size"))
            assert "batch_size must be a whole number, not '0x'" in lines[place + 1]
            assert "Not ready: batch_size must be" in seen.words
            await seen.press("enter")
            assert seen.pane.rows.is_editing
            await seen.press("down")
            assert seen.field == "learning_rate"
            assert "0x pieces" in seen.line_of("batch_size")
            assert seen.line_of("batch_size").startswith(" !")
            await seen.press("s")
            assert seen.field == "batch_size"
            assert "batch_size must be a whole number" in seen.status
            assert list_runs() == []
            await seen.press("escape")
            assert seen.form == form
            assert "Ready" in seen.words

    asyncio.run(visit())


def test_esc_takes_back_what_was_typed_and_leaves_no_step(form: Form) -> None:
    async def visit() -> None:
        async with visiting(form) as seen:
            await seen.go_to("seed")
            await seen.press("space", "space", "enter")
            await seen.type("99")
            await seen.press("escape")
            assert seen.form.config.seed == 2
            assert not seen.pane.rows.is_editing
            await seen.press("u")
            assert seen.form == form
            await seen.press("U")
            assert seen.form.config.seed == 2

    asyncio.run(visit())


def test_keys_step_reset_undo_and_redo(form: Form) -> None:
    async def visit() -> None:
        async with visiting(form) as seen:
            await seen.go_to("batch_size")
            await seen.press("right")
            assert seen.form.config.batch_size == 2 * form.config.batch_size
            await seen.press("left", "left")
            assert seen.form.config.batch_size == form.config.batch_size // 2
            await seen.press("x")
            assert seen.form == form
            await seen.press("p")
            assert seen.form.preset == "conservative"
            await seen.press("u")
            assert seen.form == form
            assert seen.form.preset == "auto"
            await seen.press("u", "u", "u", "u", "u")
            assert "nothing was changed before this" in seen.status
            await seen.press(*["U"] * 10)
            assert seen.form.preset == "conservative"

    asyncio.run(visit())


def test_search_and_only_what_differs_show_some_fields_and_esc_all_again(form: Form) -> None:
    notebook = Notebook(state_folder())
    notebook.note(hints=("config",))  # said once, above the keys, where it takes a line from the form
    notebook.write()

    async def visit() -> None:
        async with visiting(with_text(form, "seed", "7")) as seen:
            whole = seen.rows
            await seen.press("d")
            assert [line for line in seen.rows.splitlines() if line.strip()][1:] == [seen.line_of("seed")]
            await seen.press("d")
            await seen.press("slash")
            await seen.type("gradient")
            await seen.press("enter")
            assert "gradient_clip" in seen.rows
            assert "batch_size" not in seen.rows
            assert seen.pane.rows.has_focus
            await seen.press("escape", "g")
            assert seen.rows.replace(">", " ") == whole.replace(">", " ")

    asyncio.run(visit())


def test_an_editor_left_for_the_search_by_the_palette_closes_and_its_value_stays_with_its_field(form: Form) -> None:
    async def visit() -> None:
        async with visiting(form) as seen:
            await seen.go_to("max_epochs")
            await seen.press("enter")
            await seen.type("77")
            await seen.press("ctrl+p")
            await seen.until(lambda: len(seen.app.screen_stack) > 1)
            assert seen.pane.rows.is_editing
            await seen.type("config: search")
            await seen.until(lambda: "Config: search" in palette_words(seen.app))
            await seen.press("enter")
            await seen.until(lambda: seen.pane.search.has_focus)
            assert not seen.pane.rows.is_editing
            assert seen.form.config.max_epochs == 77
            await seen.type("rate")
            assert seen.line_of("learning_rate").split()[1:3] != ["learning_rate", "77"]
            assert seen.pane.rows.field is not None
            await seen.press("enter", "enter")
            assert seen.pane.rows.editor.value == seen.pane.rows.field.text

    asyncio.run(visit())


def test_going_to_another_field_or_stepping_it_from_the_palette_ends_typing(form: Form) -> None:
    async def visit() -> None:
        async with visiting(form) as seen:
            rows = seen.pane.rows
            await seen.go_to("batch_size")
            await seen.press("enter", "9")
            rows.action_more()  # as the palette does it
            await seen.until(lambda: not rows.is_editing)
            assert rows.has_focus
            await seen.press("enter", "9")
            rows.action_drop()
            await seen.until(lambda: not rows.is_editing)
            assert seen.form.edits.get("batch_size") != "9"
            await seen.press("enter", "9")
            rows.go_to("seed")
            assert not rows.is_editing
            await seen.until(lambda: rows.has_focus)

    asyncio.run(visit())


def palette_words(app: DistillApp) -> str:
    """Return what the palette offers."""
    from textual.command import CommandList

    found = app.screen.query(CommandList)
    return "\n".join(str(one.prompt) for one in found.first().options) if found else ""


def test_everything_is_reached_at_80_by_24_and_the_last_field_is_in_view(form: Form) -> None:
    async def visit() -> None:
        async with visiting(form, SMALL_SIZE) as seen:
            for key in [forms.DATASET, forms.NAME, forms.PRESET, forms.MODEL, "max_epochs"]:
                assert seen.field == key
                await seen.press("j")
            await seen.press("G")
            assert seen.field == "loss.kl.free_bits"
            assert seen.line_of("free_bits").startswith(">")
            assert "KL divergence" in seen.words
            await seen.press("enter")
            await seen.type("99")
            assert "above the greatest allowed" in seen.rows.splitlines()[-1]
            assert seen.pane.rows.editor.region.y == seen.pane.rows.region.bottom - 2

    asyncio.run(visit())


@pytest.mark.parametrize("size", [WIDE, SMALL_SIZE])
def test_in_ascii_nothing_else_is_drawn(form: Form, size: tuple[int, int]) -> None:
    async def visit() -> None:
        async with visiting(with_text(form, "seed", "7"), size, ascii_only=True) as seen:
            while seen.field != "loss.kl.free_bits":
                assert (seen.rows + seen.words).isascii()
                await seen.press("pagedown")

    asyncio.run(visit())


def test_a_name_is_shown_escaped_and_never_as_markup(form: Form) -> None:
    async def visit() -> None:
        async with visiting(with_text(form, forms.NAME, "[b]\x1b[31m")) as seen:
            assert r"[b]\x1b[31m" in seen.line_of("name")
            assert "\x1b" not in seen.rows + seen.words

    asyncio.run(visit())


def test_a_dataset_of_another_screen_is_a_step_like_any_other(form: Form, tmp_path: Path) -> None:
    async def visit() -> None:
        async with visiting(form) as seen:
            await seen.press("j", "j", "j", "j", "right")
            gongs = form_for(tmp_path / "gongs", 6)
            assert gongs.dataset is not None
            seen.app.form = forms.with_dataset(seen.form, gongs.dataset, gongs.scan)
            await seen.until(lambda: "gongs" in seen.line_of("dataset"))
            assert seen.form.edits
            await seen.press("u")
            assert "bells" in seen.line_of("dataset")

    asyncio.run(visit())


def test_without_a_dataset_it_says_so_and_enter_goes_to_datasets() -> None:
    async def visit() -> None:
        async with visiting(Form()) as seen:
            assert "Not ready: no dataset is chosen" in seen.words
            await seen.press("s")
            assert "no dataset is chosen" in seen.status
            await seen.go_to(forms.DATASET)
            await seen.press("enter")
            await seen.until(lambda: seen.app.pane == "datasets")

    asyncio.run(visit())


def test_a_folder_that_is_gone_is_complained_of_until_it_is_back(form: Form, tmp_path: Path) -> None:
    bells, away = tmp_path / "bells", tmp_path / "away"

    async def visit() -> None:
        async with visiting(form) as seen:
            assert "Ready" in seen.words
            bells.rename(away)
            await seen.press("s")
            await seen.until(lambda: "folder isn't there any more" in seen.status)
            assert "was it moved, or is its disk away?" in seen.status
            assert "Not ready: the dataset's folder isn't there any more" in seen.words
            assert seen.line_of("dataset").startswith(">!")
            away.rename(bells)
            await seen.press("1", "2")
            await seen.until(lambda: "Ready" in seen.words)
            assert seen.form == form
            bells.rename(away)
            await seen.press("1", "2")
            await seen.until(lambda: "Not ready" in seen.words)
            assert list_runs() == []

    asyncio.run(visit())


def test_settings_are_saved_opened_and_not_written_over_what_changed_without_asking(
    form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.toml"
    path.write_text("# Mine.\nseed = 7 # lucky\n")

    async def visit() -> None:
        async with visiting(form) as seen:
            await seen.press("o")
            await seen.until(lambda: isinstance(seen.app.screen, Prompt))
            await seen.type("mine")
            await seen.press("enter")
            await seen.until(lambda: seen.form.config.seed == 7)
            await seen.go_to("seed")
            await seen.press("right")
            assert "not saved since it was changed" in seen.words
            await seen.press("w")
            await seen.until(lambda: "seed = 8 # lucky" in path.read_text())
            await seen.until(lambda: "not saved" not in seen.words)

            path.write_text(path.read_text().replace("# Mine.", "# Hers."))
            await seen.press("right", "w")
            await seen.until(lambda: isinstance(seen.app.screen, Question))
            await seen.press("n")
            assert "seed = 8" in path.read_text()
            await seen.press("w")
            await seen.until(lambda: isinstance(seen.app.screen, Question))
            await seen.press("y")
            await seen.until(lambda: "seed = 9" in path.read_text())
            assert "# Hers." in path.read_text()
            assert load_config(path, TrainingConfig()) == seen.form.config

    asyncio.run(visit())


def test_tab_completes_the_path_of_a_file_and_a_file_that_changed_can_be_opened_instead(
    form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.toml"
    path.write_text("seed = 7\n")

    async def visit() -> None:
        async with visiting(form) as seen:
            await seen.press("o")
            await seen.until(lambda: isinstance(seen.app.screen, Prompt))
            await seen.press("m", "tab")
            await seen.until(lambda: seen.app.screen.query_one(Input).value == "mine.toml")
            await seen.press("enter")
            await seen.until(lambda: seen.form.config.seed == 7)
            path.write_text("seed = 11\n")
            await seen.go_to("seed")
            await seen.press("right", "w")
            await seen.until(lambda: "o open it instead" in asked_words(seen.app))
            await seen.press("o")
            await seen.until(lambda: seen.form.config.seed == 11)
            assert path.read_text() == "seed = 11\n"

    asyncio.run(visit())


def test_a_file_that_cant_be_understood_is_one_sentence_and_changes_nothing(
    form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.toml"
    path.write_text("batchsize = 3\n")

    async def visit() -> None:
        async with visiting(form) as seen:
            await seen.press("o")
            await seen.until(lambda: isinstance(seen.app.screen, Prompt))
            await seen.type("mine")
            await seen.press("enter")
            await seen.until(lambda: "there is no setting 'batchsize'" in seen.status)
            assert seen.form == form

    asyncio.run(visit())


def test_a_path_that_no_file_can_have_is_told_and_ends_nothing(
    form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def visit() -> None:
        async with visiting(form) as seen:
            await seen.press("o")
            await seen.until(lambda: isinstance(seen.app.screen, Prompt))
            await seen.type("~nosuch/x")
            await seen.press("enter")
            await seen.until(lambda: "there is no configuration file" in seen.status)
            for text in ("/", "."):
                await seen.press("W")
                await seen.until(lambda: isinstance(seen.app.screen, Prompt))
                await seen.type(text)
                await seen.press("enter")
                await seen.until(lambda: "names no file" in asked_words(seen.app))
                assert seen.app.screen.query_one(Input).value == text
                await seen.press("escape")
                await seen.until(lambda: not isinstance(seen.app.screen, Prompt))
            await seen.press("W")
            await seen.until(lambda: isinstance(seen.app.screen, Prompt))
            seen.app.screen.query_one(Input).value = "x" * 300
            await seen.press("enter")
            await seen.until(lambda: "x.toml can't be" in seen.status)
            assert seen.form == form
            assert not list(tmp_path.glob("*.toml"))

    asyncio.run(visit())


def asked_words(app: DistillApp) -> str:
    """Return the words of the dialog that is open, if one is."""
    return "\n".join(str(words.content) for words in app.screen.query(Static)) if len(app.screen_stack) > 1 else ""


def test_an_earlier_run_gives_an_empty_draft_its_dataset_too(tmp_path: Path) -> None:
    found = form_for(tmp_path / "bells")
    run = unpacked("healthy")
    run.write_info(msgspec.structs.replace(run.info(), dataset=str(tmp_path / "bells")))

    async def visit() -> None:
        async with visiting(Form()) as seen:
            await seen.press("c")
            await seen.until(lambda: isinstance(seen.app.screen, Choice))
            await seen.press("enter")
            await seen.until(lambda: "settings and dataset are those of run healthy" in seen.status)
            assert (seen.form.dataset, seen.form.scan) == (found.dataset, found.scan)
            assert seen.form.config == load_config(run.config_file, TrainingConfig())
            assert "Ready" in seen.words
            await seen.press("u")
            assert seen.form == Form()

    asyncio.run(visit())


def test_an_earlier_run_gives_its_settings(form: Form) -> None:
    run = unpacked("healthy")

    async def visit() -> None:
        async with visiting(form) as seen:
            await seen.press("c")
            await seen.until(lambda: isinstance(seen.app.screen, Choice))
            await seen.press("enter")
            await seen.until(lambda: seen.form.config == load_config(run.config_file, TrainingConfig()))
            assert "run healthy" in seen.status
            await seen.press("u")
            assert seen.form == form

    asyncio.run(visit())


def test_a_model_to_go_on_from_is_chosen_from_the_library_and_fixes_its_settings(form: Form) -> None:
    model("rain", latent_dim=32)

    async def visit() -> None:
        async with visiting(form) as seen:
            await seen.go_to(forms.MODEL)
            await seen.press("enter")
            await seen.until(lambda: isinstance(seen.app.screen, Choice))
            await seen.press("enter")
            await seen.until(lambda: seen.form.model is not None)
            assert "rain" in seen.line_of("model")
            assert seen.line_of("latent_dim").startswith(" =")
            assert "fixed" in seen.line_of("latent_dim")
            await seen.go_to("latent_dim")
            assert "The model rain, from which training goes on" in seen.words
            await seen.press("enter", "right")
            assert not seen.pane.rows.is_editing
            assert seen.form.config.latent_dim == 32

    asyncio.run(visit())


def test_what_one_sees_is_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real run: its own copy of the configuration is the form's, under the name that was typed."""
    monkeypatch.chdir(tmp_path)
    save_config(tmp_path / "small.toml", replaced(TrainingConfig(), {**SMALL, "max_epochs": 2}))
    write_dataset(tmp_path / "bells")

    async def visit() -> Form:
        async with visiting(form_for(tmp_path / "bells")) as seen:
            await seen.press("o")
            await seen.until(lambda: isinstance(seen.app.screen, Prompt))
            await seen.type("small")
            await seen.press("enter")
            await seen.until(lambda: seen.form.config.max_epochs == 2)
            await seen.go_to(forms.NAME)
            await seen.press("enter")
            await seen.type("gongs")
            await seen.press("enter", "s", "s")
            await seen.until(lambda: seen.app.pane == "training")
            return seen.form

    form = asyncio.run(visit())
    run = RunFolder(runs_folder() / "gongs")
    begun = time.monotonic()
    while lock_holder(run) is not None:  # it goes on without the dashboard, to its end
        assert time.monotonic() - begun < PATIENCE
        time.sleep(0.05)
    assert type(last_event(run)).__name__ == "RunFinished"
    assert [found.name for found in list_runs()] == ["gongs"]
    assert load_config(run.config_file, TrainingConfig()) == form.config
    assert text_of(form.config.device) == "cpu"
