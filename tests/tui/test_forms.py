"""The form without a screen: what is typed stays, what is wrong is told of its field, and all can be undone."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import socket
from pathlib import Path

import msgspec
import pytest

from distill_engine import api
from distill_engine.events import EpochDone, PreprocessDone, RunStarted, StepDone, decode, encode
from distill_engine.training.config import TrainingConfig, declarations, get, replaced
from distill_engine.training.config_file import load_config, save_config
from distill_tui.drafts import form_files, forms, speeds, stepping, undo
from distill_tui.drafts.form_fields import Field, fields, shown_fields
from distill_tui.drafts.forms import (
    Form,
    reset,
    reset_all,
    stepped,
    text_of,
    wishes,
    with_model,
    with_preset,
    with_text,
)
from distill_tui.drafts.undo import Draft, changed, redone, settled, taken_back, undone
from tests.recorded_runs import unpacked
from tests.tui.drafts_made import dataset, form_for, model

HOP, N_FFT = "complex_spectrogram.hop_length", "complex_spectrogram.n_fft"


@pytest.fixture
def form(tmp_path: Path) -> Form:
    return form_for(tmp_path / "bells")


def row(form: Form, key: str) -> Field:
    return next(field for field in fields(form) if field.key == key)


def typed(form: Form, **texts: str) -> Form:
    """Return the form with texts typed, one after the other; a double underscore stands for a dot."""
    return functools.reduce(
        lambda form, item: with_text(form, item[0].replace("__", "."), item[1]), texts.items(), form
    )


# Values and complaints.


def test_a_form_has_every_setting_once_and_no_setting_is_called_like_its_own_rows() -> None:
    keys = [field.key for field in fields(Form())]
    own = [forms.DATASET, forms.NAME, forms.PRESET, forms.MODEL]
    assert keys == [*own, *declarations()]
    assert not set(own) & set(declarations())


def test_what_is_typed_counts_as_soon_as_it_is_allowed(form: Form) -> None:
    edited = typed(form, batch_size=" 16 ", learning_rate="1e-4")
    assert edited.config == replaced(form.base, {"batch_size": 16, "learning_rate": 1e-4})
    assert row(edited, "batch_size").text == " 16 "
    assert edited.complaints == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "batch_size must be a whole number, not ''"),
        ("1.5", "batch_size must be a whole number, not '1.5'"),
        ("many", "batch_size must be a whole number, not 'many'"),
        ("-1", "batch_size is -1, below the least allowed, 0"),
        ("9999", "batch_size is 9999, above the greatest allowed, 4096"),
    ],
)
def test_what_cant_be_a_value_stays_as_typed_with_a_complaint_and_keeps_the_run_from_starting(
    form: Form, text: str, message: str
) -> None:
    edited = typed(form, batch_size=text)
    field = row(edited, "batch_size")
    assert field.text == text
    assert field.complaint is not None
    assert field.complaint.message == message
    assert "0 to 4096 pieces" in field.complaint.hint
    assert field.differs
    assert edited.problem == field.complaint
    assert edited.config == form.config
    assert typed(edited, batch_size="2").problem is None


def test_several_fields_have_a_complaint_each_and_the_first_of_the_form_is_told(form: Form) -> None:
    edited = typed(form, seed="x", batch_size="-1", max_minutes="5")
    assert set(edited.complaints) == {"seed", "batch_size"}
    assert edited.problem == edited.complaints["batch_size"]
    assert edited.config == replaced(form.base, {"max_minutes": 5.0})


def test_fields_that_contradict_each_other_are_told_under_the_one_edited_last(form: Form) -> None:
    edited = typed(form, complex_spectrogram__hop_length="1024", complex_spectrogram__n_fft="1024", max_minutes="5")
    assert set(edited.complaints) == {N_FFT}
    assert "more than half of n_fft" in edited.complaints[N_FFT].message
    assert edited.config == replaced(form.base, {"max_minutes": 5.0})
    other_way = typed(form, complex_spectrogram__n_fft="1024", complex_spectrogram__hop_length="1024")
    assert set(other_way.complaints) == {HOP}
    assert typed(edited, complex_spectrogram__hop_length="512").problem is None


def test_weights_that_are_all_nothing_and_copies_without_alteration_are_told_at_once(form: Form) -> None:
    edited = typed(
        form,
        loss__stft__weight="0",
        loss__reconstruction__magnitude_weight="0",
        loss__reconstruction__frequency_weight="0",
        augmentation__gain_db="0",
        augmentation__noise_db="-120",
        augmentation__shift_ms="0",
        augmentation__speed_percent="0",
    )
    assert set(edited.complaints) == {"loss.reconstruction.frequency_weight", "augmentation.speed_percent"}
    assert edited.config == form.config
    assert set(typed(edited, augmentation__copies="0").complaints) == {"loss.reconstruction.frequency_weight"}


def test_a_form_without_a_dataset_or_with_one_that_holds_nothing_says_so(tmp_path: Path) -> None:
    problem = Form().problem
    assert problem is not None
    assert problem.key == forms.DATASET
    unseen = forms.with_dataset(Form(), tmp_path, None)
    assert unseen.problem is not None
    assert "not been looked at" in unseen.problem.message
    empty = forms.with_dataset(Form(), tmp_path, api.scan(tmp_path))
    assert empty.problem is not None
    assert "nothing in the dataset" in empty.problem.message
    assert (empty.estimate, empty.base) == (None, TrainingConfig())


def test_a_name_that_cant_be_one_is_told_under_the_name(form: Form) -> None:
    edited = with_text(form, forms.NAME, "a/b\x1b")
    assert edited.problem is not None
    assert edited.problem.key == forms.NAME
    assert "\x1b" not in edited.problem.message
    assert with_text(form, forms.NAME, "gongs").problem is None


def test_every_value_survives_a_trip_through_the_text_of_its_field(form: Form) -> None:
    for entry in declarations().values():
        for value in {entry.default, entry.limits.low, entry.limits.high, *entry.limits.choices} - {None}:
            assert value is not None
            config = with_text(typed(form, batch_size="256"), entry.key, text_of(value)).config
            assert get(config, entry.key) == value or "hop_length" in entry.key or "n_fft" in entry.key
    assert text_of(0.1 + 0.2) == "0.30000000000000004"
    assert [text_of(value) for value in (4.0, 1e-5, True, 3, "auto")] == ["4", "1e-05", "true", "3", "auto"]


# Presets, datasets and models below the edits.


def test_what_differs_from_the_preset_is_marked_and_can_be_taken_back_one_by_one_or_whole(form: Form) -> None:
    edited = typed(form, seed="7", batch_size=text_of(form.base.batch_size), max_minutes="x")
    assert [field.key for field in fields(edited) if field.differs] == ["max_minutes", "seed"]
    assert row(edited, "seed").preset == "0"
    assert reset(edited, "seed") == typed(form, max_minutes="x")
    assert reset_all(edited) == form


def test_another_preset_or_dataset_changes_what_was_not_edited(form: Form, tmp_path: Path) -> None:
    edited = typed(form, seed="7", max_epochs="31")
    aggressive = with_preset(edited, "aggressive")
    assert get(aggressive.config, "augmentation.copies") == 1
    assert (aggressive.config.seed, aggressive.config.max_epochs) == (7, 31)
    richer = forms.with_dataset(edited, tmp_path / "gongs", dataset(tmp_path / "gongs", 6, frames=480_000))
    assert richer.base != edited.base
    assert (richer.config.seed, richer.config.max_epochs) == (7, 31)
    assert richer.config == replaced(richer.base, {"seed": 7, "max_epochs": 31})


def test_presets_differ_before_there_is_a_dataset_too() -> None:
    assert len({repr(with_preset(Form(), preset).base) for preset in ("balanced", "conservative", "aggressive")}) == 3


def test_a_model_to_go_on_from_fixes_what_its_weights_dictate_and_edits_come_back_without_it(form: Form) -> None:
    edited = typed(form, latent_dim="64", seed="7")
    going_on = with_model(edited, model("rain", latent_dim=32))
    assert (going_on.config.latent_dim, going_on.config.seed) == (32, 7)
    assert row(going_on, "latent_dim").text == "32"
    assert "rain" in row(going_on, "latent_dim").fixed
    assert row(going_on, HOP).fixed
    assert not row(going_on, "seed").fixed
    assert with_text(going_on, "latent_dim", "16") == going_on
    assert stepped(going_on, "latent_dim", 1) == going_on
    assert with_model(going_on, None) == edited
    assert reset(going_on, forms.MODEL) == edited


def test_a_model_that_cant_be_read_keeps_the_run_from_starting(form: Form) -> None:
    entry = model("rain")
    entry.path.write_bytes(b"nothing")
    broken = next(found for found in api.list_models() if found.name == "rain")
    problem = with_model(form, broken).problem
    assert problem is not None
    assert problem.key == forms.MODEL
    assert "rain" in problem.message


def test_the_run_that_is_planned_is_the_one_the_form_shows(form: Form) -> None:
    edited = with_model(with_preset(typed(form, seed="7", max_epochs="31"), "conservative"), model("rain"))
    assert edited.dataset is not None
    plan = api.plan_run(edited.dataset, wishes(edited))
    assert plan.config == edited.config
    assert plan.estimate == edited.estimate
    assert (plan.preset, plan.start_from and plan.start_from.name) == ("conservative", "rain")


def test_an_estimate_follows_what_is_typed(form: Form) -> None:
    assert form.estimate is not None
    twice = typed(form, max_epochs=str(2 * form.config.max_epochs))
    assert twice.estimate is not None
    assert twice.estimate.steps == 2 * form.estimate.steps
    assert typed(form, max_epochs="none").estimate == form.estimate


# Finding.


def test_search_finds_by_name_by_group_and_by_words_of_the_help(form: Form) -> None:
    def found(words: str) -> list[str]:
        return [field.key for field in shown_fields(form, search=words)]

    assert found("learning rate sched") == ["learning_rate_schedule"]
    assert found("loss.kl") == ["loss.kl.weight", "loss.kl.ramp_fraction", "loss.kl.free_bits"]
    assert found("PULLS THE WEIGHTS") == ["regularization.weight_decay"]
    assert found("nothing of the kind") == []


def test_a_field_with_a_complaint_is_never_hidden(form: Form) -> None:
    edited = typed(form, batch_size="x", seed="7")
    assert [field.key for field in shown_fields(edited, search="seed")] == ["batch_size", "seed"]
    assert [field.key for field in shown_fields(edited, only_differing=True)] == ["batch_size", "seed"]


# Stepping.


@pytest.mark.parametrize(
    ("key", "value", "up", "down"),
    [
        ("batch_size", "32", "64", "16"),
        ("batch_size", "1", "2", "0"),
        ("latent_dim", "1024", "1024", "512"),
        ("learning_rate", "0.001", "0.002", "0.0005"),
        ("learning_rate", "0.0013", "0.002", "0.001"),
        ("learning_rate", "1", "1", "0.5"),
        ("loss.kl.weight", "0.0001", "0.0002", "5e-05"),
        ("loss.kl.weight", "0", "1e-06", "0"),
        ("loss.kl.weight", "1e-06", "2e-06", "0"),
        ("loss.stft.resolutions", "3", "4", "2"),
        ("augmentation.copies", "0", "1", "0"),
        ("augmentation.noise_db", "-50", "-45", "-55"),
        ("augmentation.noise_db", "-120", "-115", "-120"),
        ("augmentation.gain_db", "2.5", "3", "2"),
        ("regularization.dropout", "0.9", "0.9", "0.5"),
        ("regularization.dropout", "0", "0.01", "0"),
        ("max_epochs", "200", "500", "100"),
        ("warmup_steps", "1", "2", "0"),
        ("max_minutes", "0", "1", "0"),
        ("ema_decay", "0", "0.9", "0"),
        ("seed", "41", "42", "40"),
        ("precision", "auto", "fp32", "bf16"),
        ("device", "auto", "cpu", "cuda"),
        ("device", "cuda:3", "auto", "cuda"),
        ("num_processes", "1", "2", "1"),
        (N_FFT, "2048", "4096", "1024"),
    ],
)
def test_a_step_goes_to_the_next_sensible_value_and_stays_within_the_limits(
    form: Form, key: str, value: str, up: str, down: str
) -> None:
    begun = with_text(form, key, value)
    assert text_of(get(stepped(begun, key, 1).config, key)) == up
    assert text_of(get(stepped(begun, key, -1).config, key)) == down


def test_no_setting_can_be_stepped_out_of_what_is_allowed() -> None:
    for entry in declarations().values():
        for direction in (1, -1):
            value = entry.default
            for _ in range(200):
                value = stepping.stepped(entry, value, 1 if direction > 0 else -1)
                assert api.checked_value(entry.key, value) == value


def test_a_step_from_a_refused_text_goes_from_the_presets_value(form: Form) -> None:
    assert stepped(typed(form, loss__stft__resolutions="x"), "loss.stft.resolutions", 1).complaints == {}
    assert stepped(form, forms.PRESET, 1).preset == "conservative"
    assert stepped(form, forms.PRESET, -1).preset == "aggressive"


def test_stepping_away_and_back_is_no_edit(form: Form) -> None:
    assert stepped(stepped(form, "seed", 1), "seed", -1) == form


# Undo and redo.


def keystrokes(draft: Draft, key: str, text: str) -> Draft:
    for end in range(1, len(text) + 1):
        draft = changed(draft, with_text(draft.form, key, text[:end]), typing=key)
    return draft


def test_keystrokes_in_one_field_are_one_step_and_everything_can_be_undone_and_redone(form: Form) -> None:
    first = keystrokes(Draft(form=form), "seed", "123")
    second = keystrokes(first, "max_minutes", "45")
    third = changed(second, with_preset(second.form, "balanced"))
    assert [undone(third).form, undone(undone(third)).form] == [second.form, first.form]
    back = undone(undone(undone(third)))
    assert back.form == form
    assert undone(back) == back
    assert redone(redone(redone(back))).form == third.form
    assert redone(third) == third


def test_typing_in_a_field_anew_is_a_step_of_its_own(form: Form) -> None:
    first = settled(keystrokes(Draft(form=form), "seed", "12"))
    assert undone(keystrokes(first, "seed", "34")).form == first.form


def test_what_was_typed_can_be_taken_back_as_if_it_never_was(form: Form) -> None:
    first = settled(keystrokes(Draft(form=form), "seed", "12"))
    assert taken_back(keystrokes(first, "seed", "3x")) == first
    assert taken_back(first) == first


def test_a_new_step_forgets_what_was_undone(form: Form) -> None:
    draft = undone(keystrokes(Draft(form=form), "seed", "12"))
    assert redone(keystrokes(draft, "max_minutes", "4")).form.config.seed == form.config.seed


def test_steps_are_kept_by_the_hundred_and_no_more(form: Form) -> None:
    draft = Draft(form=form)
    for seed in range(1, undo.MOST_STEPS_BACK + 10):
        draft = changed(draft, with_text(form, "seed", str(seed)))
    assert len(draft.past) == undo.MOST_STEPS_BACK
    assert undone(draft).form.config.seed == undo.MOST_STEPS_BACK + 8


# Files.


def test_a_file_is_laid_over_the_preset_and_what_it_names_is_kept_below_another_dataset(
    form: Form, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"# Mine.\nseed = 7\nmax_epochs = {form.base.max_epochs}\n")
    loaded = form_files.loaded(typed(form, batch_size="1"), path)
    assert loaded.config == load_config(path, form.base)
    assert not loaded.unsaved
    other = forms.with_dataset(loaded, tmp_path / "gongs", dataset(tmp_path / "gongs", 6, frames=480_000))
    assert other.config.max_epochs == form.base.max_epochs


def test_a_file_that_contradicts_itself_loads_with_a_complaint_and_one_not_understood_not_at_all(
    form: Form, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[complex_spectrogram]\nn_fft = 512\n")
    assert set(form_files.loaded(form, path).complaints) == {N_FFT}
    for text in ("batchsize = 3\n", "seed = -1\n", "seed = \n"):
        path.write_text(text)
        with pytest.raises(api.ConfigError, match=r"^mine\.toml"):
            form_files.loaded(form, path)


def test_saving_keeps_comments_and_what_was_saved_can_be_saved_again_without_a_question(
    form: Form, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("# Mine.\nseed = 7 # lucky\n")
    edited = typed(form_files.loaded(form, path), seed="8")
    assert edited.unsaved
    assert form_files.question_before_saving(edited, path) == ""
    saved = form_files.saved(edited, path)
    assert not saved.unsaved
    assert path.read_text().startswith("# Mine.\nseed = 8 # lucky\n")
    assert load_config(path, TrainingConfig()) == edited.config
    assert form_files.question_before_saving(saved, path) == ""


def test_a_file_that_changed_or_is_anothers_is_not_overwritten_without_asking(form: Form, tmp_path: Path) -> None:
    path, other = tmp_path / "mine.toml", tmp_path / "other\x1b.toml"
    saved = form_files.saved(form, path)
    path.write_text(path.read_text() + "# changed elsewhere\n")
    assert "has changed on disk" in form_files.question_before_saving(saved, path)
    other.write_text("seed = 1\n")
    question = form_files.question_before_saving(saved, other)
    assert "exists already" in question
    assert "\x1b" not in question
    assert form_files.question_before_saving(saved, tmp_path / "new.toml") == ""
    again = form_files.saved(saved, path)
    assert "# changed elsewhere" in path.read_text()
    assert form_files.question_before_saving(again, path) == ""


def test_a_form_with_a_complaint_is_not_saved_and_says_which_field(form: Form, tmp_path: Path) -> None:
    with pytest.raises(api.ConfigError) as raised:
        form_files.saved(typed(form, seed="x"), tmp_path / "mine.toml")
    assert raised.value.key == "seed"
    assert not (tmp_path / "mine.toml").exists()
    assert form_files.saved(Form(), tmp_path / "mine.toml").file is not None


def test_a_place_that_cant_be_written_is_one_sentence(form: Form, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(api.DistillError, match="can't be written"):
        form_files.saved(form, tmp_path / "file" / "mine.toml")


def test_undoing_past_a_save_still_knows_the_file_as_it_is(form: Form, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    draft = changed(Draft(form=form), form_files.saved(form, path))
    draft = changed(draft, with_text(draft.form, "seed", "7"))
    draft = undo.noted(draft, form_files.saved(draft.form, path))
    back = undone(draft)
    assert back.form.unsaved
    assert form_files.question_before_saving(back.form, path) == ""


def test_a_run_gives_its_configuration_and_keeps_its_file_to_itself(form: Form) -> None:
    run = unpacked("healthy")
    copied = form_files.copied(typed(form, max_minutes="5"), run)
    assert copied.config == load_config(run.config_file, TrainingConfig())
    assert copied.dataset == form.dataset
    assert copied.file is None
    assert "exists already" in form_files.question_before_saving(copied, run.config_file)


def test_a_run_gives_its_dataset_where_there_is_none_yet_and_it_is_said_what_was_taken(tmp_path: Path) -> None:
    run = unpacked("healthy")
    gone = form_files.scan_of(run, lambda: False)
    assert gone is None
    without = form_files.copied(Form(), run, gone)
    assert without.dataset is None
    assert "its dataset isn't there any more" in form_files.told_of_copy(Form(), without, run)

    found = dataset(tmp_path / "bells")
    run.write_info(msgspec.structs.replace(run.info(), dataset=str(tmp_path / "bells"), start_from="rain"))
    taken = form_files.copied(Form(), run, form_files.scan_of(run, lambda: False))
    assert taken.dataset == tmp_path / "bells"
    assert taken.scan == found
    told = form_files.told_of_copy(Form(), taken, run)
    assert told == "settings and dataset are those of run healthy; the model it went on from isn't taken"

    own = with_model(form_for(tmp_path / "gongs"), model("rain"))
    kept = form_files.copied(own, run, found)
    assert (kept.dataset, kept.scan, kept.model) == (own.dataset, own.scan, own.model)
    told = form_files.told_of_copy(own, kept, run)
    assert told.endswith("healthy; the dataset stays gongs; it still goes on from rain")


@pytest.mark.parametrize("text", ["", " ", "/", ".", "..", "~", "/tmp/", "runs/..", "a\0b"])
def test_a_text_that_can_name_no_file_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(api.DistillError, match="names no file"):
        form_files.file_path(text)


def test_a_name_that_is_too_long_or_leads_to_itself_is_a_sentence_or_a_file(form: Form, tmp_path: Path) -> None:
    long = form_files.file_path(f"{tmp_path}/{'x' * 300}")
    assert form_files.question_before_saving(form, long) == ""
    with pytest.raises(api.DistillError, match="can't be written: File name too long"):
        form_files.saved(form, long)
    with pytest.raises(api.ConfigError, match="can't be read"):
        form_files.loaded(form, long)
    loop = tmp_path / "loop.toml"
    loop.symlink_to(loop)
    with pytest.raises(api.ConfigError, match="can't be read"):
        form_files.loaded(form, loop)
    assert form_files.saved(form, loop).file is not None


def test_a_path_may_be_typed_as_in_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    assert form_files.file_path("~nosuch/x") == Path.cwd() / "~nosuch" / "x.toml"
    assert form_files.file_path("~/runs/mine ") == Path("/home/anna/runs/mine.toml")
    assert form_files.file_path("mine.txt") == Path.cwd() / "mine.txt"


# Time.


def recorded_here(name: str, **changes: object) -> api.RunFolder:
    """Return a recorded run as if it had been on this machine; other settings than it had are changed in its copy."""
    run = unpacked("healthy")
    path = run.path.with_name(name)
    run.path.rename(path)
    run = api.RunFolder(path)
    first, *rest = run.events_file.read_bytes().splitlines(keepends=True)
    started = decode(first)
    assert isinstance(started, RunStarted)
    run.events_file.write_bytes(encode(msgspec.structs.replace(started, host=socket.gethostname())) + b"".join(rest))
    save_config(run.config_file, replaced(load_config(run.config_file, TrainingConfig()), changes))
    return run


def test_before_the_first_run_the_time_is_not_known(form: Form) -> None:
    assert form.estimate is not None
    assert speeds.known_speeds() == ()
    assert speeds.time_words(form.config, form.estimate, ())[0] == "not known before the first run on this machine"
    limited = typed(form, max_minutes="30").config
    assert speeds.time_words(limited, form.estimate, ())[0] == "at most 30 min 00 s, by max_minutes"


def test_a_run_of_another_machine_or_without_a_step_tells_nothing() -> None:
    begun = recorded_here("begun")
    unpacked("healthy")
    begun.events_file.write_bytes(begun.events_file.read_bytes().splitlines(keepends=True)[0])
    assert speeds.known_speeds() == ()


def test_the_time_is_told_by_the_newest_run_of_the_same_device_and_spectrogram(form: Form) -> None:
    recorded_here("earlier")
    known = speeds.known_speeds()
    assert [(speed.run, speed.device, speed.n_mels, speed.batch_size) for speed in known] == [("earlier", "cpu", 64, 4)]
    alike = typed(form, complex_spectrogram__n_mels="64", complex_spectrogram__hop_length="1024")
    assert alike.estimate is not None
    needed = speeds.time_needed(alike.config, alike.estimate, known)
    assert needed is not None
    steps = alike.estimate.steps * alike.config.batch_size
    assert needed.seconds == pytest.approx(steps / known[0].pieces_per_second)
    words, how = speeds.time_words(alike.config, alike.estimate, known)
    assert words.startswith("about ")
    assert "as run earlier" in how
    assert speeds.time_needed(form.config, alike.estimate, known) is None
    assert speeds.time_words(form.config, alike.estimate, known)[0] == "not known yet"
    assert speeds.time_needed(typed(alike, device="cuda").config, alike.estimate, known) is None


def test_a_runs_speed_is_its_usual_epochs_whatever_its_last_steps_were() -> None:
    run = recorded_here("earlier")
    events = [event for line in run.events_file.read_bytes().splitlines() if (event := decode(line)) is not None]
    epochs = [event for event in events if isinstance(event, EpochDone)]
    seconds = sorted(now.time - before.time for before, now in itertools.pairwise(epochs))
    steps = epochs[1].step - epochs[0].step
    slow = [
        msgspec.structs.replace(event, pieces_per_second=0.1) if isinstance(event, StepDone) else event
        for event in events
    ]
    run.events_file.write_bytes(b"".join(map(encode, slow)))
    (known,) = speeds.known_speeds()
    assert steps * 4 / seconds[-1] <= known.pieces_per_second <= steps * 4 / seconds[0]


def test_a_run_in_its_first_epoch_tells_its_speed_since_it_began() -> None:
    run = recorded_here("earlier")
    events = [event for line in run.events_file.read_bytes().splitlines() if (event := decode(line)) is not None]
    first = next(place for place, event in enumerate(events) if isinstance(event, EpochDone))
    run.events_file.write_bytes(b"".join(map(encode, events[:first])))
    begun = next(event for event in events if isinstance(event, PreprocessDone))
    last = [event for event in events[:first] if isinstance(event, StepDone)][-1]
    (known,) = speeds.known_speeds()
    assert known.pieces_per_second == pytest.approx(4 * last.step / (last.time - begun.time))


def test_among_alike_runs_one_with_the_same_batch_goes_first_and_auto_takes_a_gpu(form: Form) -> None:
    assert form.estimate is not None
    usual = speeds.KnownSpeed(run="a", device="cpu", n_mels=128, hop_length=512, batch_size=7, pieces_per_second=10.0)
    same_batch = dataclasses.replace(usual, run="b", batch_size=form.config.batch_size)
    on_gpu = dataclasses.replace(usual, run="c", device="cuda:0")

    def earlier(*known: speeds.KnownSpeed) -> str:
        assert form.estimate is not None
        needed = speeds.time_needed(form.config, form.estimate, known)
        assert needed is not None
        return needed.earlier.run

    assert earlier(usual) == "a"
    assert earlier(usual, same_batch) == "b"
    assert earlier(usual, same_batch, on_gpu) == "c"
