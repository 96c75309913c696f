"""What a run that goes on from a model says of the recordings that the model knew."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import msgspec
import pytest
import safetensors.torch
import torch

from distill_engine import worker
from distill_engine.events import Event, OldRecordingsHeard, StepDone, WarningRaised
from distill_engine.models.model_info import TrainingSummary, read_info
from distill_engine.models.persistence import load_model, save_model_from_checkpoint
from distill_engine.run_folder import RunInfo
from distill_engine.training import checkpoint, old_recordings
from distill_engine.training.config import Value
from distill_engine.training.dataset import Windows
from distill_engine.training.loop import Outcome, Start
from distill_engine.training.old_recordings import change_in_words
from tests.engine.recordings import good
from tests.engine.runs import SmallRun, small_config, write_dataset

ALL: dict[str, Value] = {"val_fraction": 0.0}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with recordings and a model that knows them."""
    folder = tmp_path_factory.mktemp("old")
    run = SmallRun(folder=folder / "first", dataset=write_dataset(folder / "recordings"))
    outcome = run.train(small_config(max_epochs=3, **ALL))
    assert outcome.checkpoint is not None
    assert run.reported(OldRecordingsHeard) == []
    save_model_from_checkpoint(outcome.checkpoint, folder / "first.distill")
    return folder


def from_model(place: Path) -> Start:
    return worker._start(info(place / "first.distill"))


def info(model: Path) -> RunInfo:
    return RunInfo(
        id="0" * 32, name="b", dataset="", created=0.0, preset="auto", seed=0, start_from=str(model), versions={}
    )


def more(place: Path, folder: Path, *, old: int = 3, new: int = 2) -> SmallRun:
    """Return a run on some of the recordings that the model knows, under other names, and on new ones."""
    for number in range(old):
        folder.mkdir(exist_ok=True)
        shutil.copyfile(place / "recordings" / f"{number}.wav", folder / f"known {number}.wav")
    for number in range(new):
        good(folder / f"new {number}.wav", seed=50 + number, frames=90_000)
    return SmallRun(folder=folder.with_name(f"{folder.name} run"), dataset=folder)


def heard(run: SmallRun) -> OldRecordingsHeard:
    (event,) = run.reported(OldRecordingsHeard)
    return event


def resumed(outcome: Outcome, start: Start) -> Start:
    assert outcome.checkpoint is not None
    return dataclasses.replace(start, resume=checkpoint.load(outcome.checkpoint))


def test_a_model_tells_which_recordings_it_was_trained_on_and_no_names(place: Path) -> None:
    known = read_info(place / "first.distill").training.known
    assert len(known) == 3
    assert list(known) == sorted(known)


def test_a_file_with_anything_else_in_their_place_is_refused() -> None:
    for known in (["a name.wav"], ["0123456789ab"] * 5000):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"known": known}, TrainingSummary)


def test_recordings_left_validating_are_not_known(tmp_path: Path) -> None:
    run = SmallRun(folder=tmp_path / "run", dataset=write_dataset(tmp_path / "recordings"))
    outcome = run.train(small_config(max_epochs=1, val_fraction=0.3))
    assert outcome.checkpoint is not None
    assert len(checkpoint.load(outcome.checkpoint).info.model.training.known) == 2


def test_a_run_says_what_the_old_recordings_among_its_own_came_to(place: Path, tmp_path: Path) -> None:
    run = more(place, tmp_path / "both")
    run.train(small_config(max_epochs=2, learning_rate=0.05, **ALL), start=from_model(place))
    event = heard(run)
    assert event.recordings == 3
    assert event.before is not None
    assert event.after is not None
    assert abs(event.after - event.before) > 0.02 * event.before
    assert event.words == change_in_words(3, event.before, event.after)
    assert event.step == run.reported(StepDone)[-1].step
    assert [one for one in run.reported(WarningRaised) if one.kind == "old-recordings"] == []


def test_what_has_hardly_learnt_leaves_them_unchanged(place: Path, tmp_path: Path) -> None:
    run = more(place, tmp_path / "both", new=1)
    run.train(small_config(max_epochs=1, learning_rate=1e-8, **ALL), start=from_model(place))
    assert heard(run).words.endswith("now, unchanged")


def test_measuring_changes_no_byte_of_the_run(place: Path, tmp_path: Path) -> None:
    config = small_config(max_epochs=2, ema_decay=0.9, **{**ALL, "regularization.dropout": 0.3})
    measured, unmeasured = more(place, tmp_path / "one"), more(place, tmp_path / "other")
    start = from_model(place)
    one = measured.train(config, start=start)
    other = unmeasured.train(config, start=dataclasses.replace(start, known=()))
    assert len(measured.reported(OldRecordingsHeard)) == 1
    assert unmeasured.reported(OldRecordingsHeard) == []
    assert one.checkpoint is not None
    assert other.checkpoint is not None
    left, right = safetensors.torch.load_file(one.checkpoint), safetensors.torch.load_file(other.checkpoint)
    assert left.keys() == right.keys()
    assert all(torch.equal(tensor, right[name]) for name, tensor in left.items())


def test_a_resumed_run_tells_the_same_as_one_never_stopped(place: Path, tmp_path: Path) -> None:
    config, start = small_config(max_epochs=2, **ALL), from_model(place)
    whole, parted = more(place, tmp_path / "whole"), more(place, tmp_path / "parted")
    whole.train(config, start=start)
    first = parted.train(config, start=start, stop_after_steps=3)
    assert parted.reported(OldRecordingsHeard) == [], "told to stop at once, it measures nothing"
    parted.train(config, start=resumed(first, start))
    assert heard(parted) == heard(whole)


def test_none_of_them_in_the_folder_is_a_warning_when_it_begins_and_not_again(place: Path, tmp_path: Path) -> None:
    run, start = more(place, tmp_path / "new", old=0), from_model(place)
    first = run.train(small_config(max_epochs=2, **ALL), start=start, stop_after_steps=2)
    run.train(small_config(max_epochs=2, **ALL), start=resumed(first, start))
    (warning,) = [one for one in run.reported(WarningRaised) if one.kind == "old-recordings"]
    assert "trained on 3 other recordings" in warning.evidence
    assert "put them into the folder too" in warning.suggestion
    assert run.reported(OldRecordingsHeard) == []


def test_a_model_that_does_not_tell_what_it_knows_is_met_with_silence(place: Path, tmp_path: Path) -> None:
    run = more(place, tmp_path / "new", old=0, new=1)
    run.train(small_config(max_epochs=1, **ALL), start=dataclasses.replace(from_model(place), known=()))
    assert [one for one in run.reported(WarningRaised) if one.kind == "old-recordings"] == []


def test_a_stop_that_waits_already_keeps_the_measuring_from_being_done(place: Path, tmp_path: Path) -> None:
    run = more(place, tmp_path / "both", new=1)
    outcome = run.train(small_config(**ALL), start=from_model(place), stop_after_steps=0)
    assert outcome.ending == "stopped"
    kinds: list[type[Event]] = [type(event) for event in run.events]
    assert OldRecordingsHeard not in kinds


def test_of_very_many_pieces_some_are_measured_spread_over_all(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = more(place, tmp_path / "both", new=1)
    monkeypatch.setattr(old_recordings, "MOST_PIECES", 2)
    seen: list[list[int]] = []
    windows = old_recordings._SomePieces.windows

    def noted(loader: old_recordings._SomePieces, epoch: int) -> Windows:
        chosen = windows(loader, epoch)
        seen.append(chosen.items.tolist())
        return chosen

    monkeypatch.setattr(old_recordings._SomePieces, "windows", noted)
    run.train(small_config(max_epochs=1, **ALL), start=from_model(place))
    assert len(seen) == 2, "before and after"
    assert seen[0] == seen[1]
    assert len(seen[0]) == 2
    assert seen[0][0] != seen[0][1]


def test_a_worker_goes_on_with_the_model_it_began_from_only_while_that_is_the_same(place: Path, tmp_path: Path) -> None:
    run = more(place, tmp_path / "both", new=1)
    outcome = run.train(small_config(max_epochs=1, **ALL), start=from_model(place))
    assert outcome.checkpoint is not None
    newest = checkpoint.load(outcome.checkpoint)
    again = worker._again(info(place / "first.distill"), newest)
    assert again.resume is newest
    assert again.known == load_model(place / "first.distill").info.training.known
    assert worker._again(info(tmp_path / "gone.distill"), newest) == Start(resume=newest)
    elsewhere = SmallRun(folder=tmp_path / "other run", dataset=write_dataset(tmp_path / "other", 1))
    good(elsewhere.dataset / "loud.wav", seed=9, frames=80_000)
    other = elsewhere.train(small_config(max_epochs=1, latent_dim=4, **ALL))
    assert other.checkpoint is not None
    save_model_from_checkpoint(other.checkpoint, tmp_path / "replaced.distill")
    assert worker._again(info(tmp_path / "replaced.distill"), newest) == Start(resume=newest)


@pytest.mark.parametrize(
    ("count", "before", "after", "words"),
    [
        (5, 2.31, 2.52, "the 5 recordings that the model knew: loss 2.31 before, 2.52 now, 9 % worse"),
        (5, 2.0, 1.5, "the 5 recordings that the model knew: loss 2 before, 1.5 now, 25 % better"),
        (1, 2.0, 2.001, "the recording that the model knew: loss 2 before, 2 now, unchanged"),
        (1200, 1.0, 1.006, "the 1,200 recordings that the model knew: loss 1 before, 1.01 now, 1 % worse"),
    ],
)
def test_the_change_is_told_in_words(count: int, before: float, after: float, words: str) -> None:
    assert change_in_words(count, before, after) == words


def test_a_loss_that_is_not_finite_is_not_compared() -> None:
    assert change_in_words(2, 1.0, float("nan")).endswith("can't be compared, for it isn't finite")
