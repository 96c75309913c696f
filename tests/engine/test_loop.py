"""The loop: what it reports, that a resumed run equals one never stopped, and how it meets what isn't finite."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from distill_engine.errors import DistillError, RunGoneError
from distill_engine.events import (
    CheckpointSaved,
    EpochDone,
    Event,
    PreprocessDone,
    PreviewSaved,
    StepDone,
    WarningRaised,
)
from distill_engine.models.vae import ConvVAE
from distill_engine.training import checkpoint
from distill_engine.training.aside import Aside
from distill_engine.training.config import Value
from distill_engine.training.loop import Outcome, Start
from distill_engine.training.state import TrainingState, fresh_state
from tests.engine.runs import Faults, SmallRun, small_config, write_dataset


@pytest.fixture
def run(tmp_path: Path) -> SmallRun:
    return SmallRun(folder=tmp_path / "run", dataset=write_dataset(tmp_path / "recordings"))


def resumed(outcome: Outcome) -> Start:
    assert outcome.checkpoint is not None
    return Start(resume=checkpoint.load(outcome.checkpoint))


def weights(path: Path | None) -> dict[str, Tensor]:
    assert path is not None
    tensors: dict[str, Tensor] = safetensors.torch.load_file(path)
    return tensors


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize(
    "changes",
    [
        {"complex_spectrogram.n_mels": 128, "complex_spectrogram.hop_length": 512},
        {"ema_decay": 0.9, "learning_rate_schedule": "constant"},
        {
            "precision": "bf16",
            "regularization.dropout": 0.5,
            "augmentation.level_db": 12.0,
            "augmentation.tone_db": 9.0,
        },
    ],
    ids=["plain", "averaged", "bf16, coloured"],
)
def test_twenty_steps_at_once_and_seven_then_thirteen_give_the_same_bytes(
    run: SmallRun, tmp_path: Path, changes: dict[str, Value]
) -> None:
    config = small_config(max_epochs=5, **changes)
    whole = run.train(config)
    assert whole.progress.step == 20

    parted = SmallRun(folder=tmp_path / "parted", dataset=run.dataset)
    first = parted.train(config, stop_after_steps=7)
    assert (first.ending, first.progress.step) == ("stopped", 7)
    parted.events.clear()
    second = parted.train(config, start=resumed(first))

    assert_equal(weights(second.checkpoint), weights(whole.checkpoint))
    assert parted.reported(EpochDone)[-1].train_loss == run.reported(EpochDone)[-1].train_loss
    assert second.progress.best_epoch == whole.progress.best_epoch


def test_previews_and_checkpoints_made_beside_the_steps_change_nothing_but_when_they_are_told(
    run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(
        max_epochs=4, checkpoint_interval=1, checkpoint_keep=9, ema_decay=0.9, preview_interval=1, preview_samples=1
    )
    at_once = run.train(config)
    monkeypatch.setattr("distill_engine.training.loop.works_beside", lambda _config: True)  # as on a GPU
    beside = SmallRun(folder=tmp_path / "beside", dataset=run.dataset)
    outcome = beside.train(config)
    saved, heard = ([one.step for one in made.reported(CheckpointSaved)] for made in (run, beside))
    assert saved == heard
    saved, heard = ([one.step for one in made.reported(PreviewSaved)] for made in (run, beside))
    assert saved == heard
    assert at_once.checkpoint is not None
    assert outcome.checkpoint is not None
    names = sorted(path.name for path in at_once.checkpoint.parent.iterdir())
    assert len(names) == 4
    assert names == sorted(path.name for path in outcome.checkpoint.parent.iterdir())
    for name in names:
        assert_equal(weights(outcome.checkpoint.parent / name), weights(at_once.checkpoint.parent / name))


def test_what_goes_wrong_beside_is_raised_where_the_next_thing_is_asked_for_or_waited_for() -> None:
    def fails(_state: TrainingState) -> None:
        raise DistillError("the disk is full")

    config = small_config()
    with Aside(beside=True) as aside:
        aside.do(fails, fresh_state(config, torch.device("cpu")))
        with pytest.raises(DistillError, match="full"):
            aside.settle()
        aside.settle()


def test_the_learning_rate_comes_down_though_time_ends_the_run(run: SmallRun) -> None:
    run.train(small_config(max_epochs=10_000, max_minutes=0.05))
    rates = [event.learning_rate for event in run.reported(StepDone)]
    assert rates[-1] < 0.3 * max(rates)


def test_events_come_in_order_and_tell_every_step_once(run: SmallRun) -> None:
    run.train(small_config(max_epochs=3))
    kinds = [type(event) for event in run.events]
    assert kinds.index(PreprocessDone) < kinds.index(StepDone) < kinds.index(EpochDone)
    assert [event.epoch for event in run.reported(EpochDone)] == [1, 2, 3]
    assert run.reported(StepDone)[-1].step == 12
    prepared = run.reported(PreprocessDone)[0]
    assert (prepared.found, prepared.used, prepared.skipped) == (3, 3, [])


@pytest.mark.parametrize("val_fraction", [0.0, 0.3])
def test_each_epoch_tells_how_much_of_the_latent_is_in_use_with_or_without_a_validation(
    run: SmallRun, val_fraction: float
) -> None:
    run.train(small_config(max_epochs=1, val_fraction=val_fraction))
    (epoch,) = run.reported(EpochDone)
    assert (epoch.validation_loss is None) == (val_fraction == 0)
    assert epoch.latent_dimensions == 8
    assert epoch.active_dimensions is not None
    assert 0 <= epoch.active_dimensions <= 8
    assert epoch.output_spread is not None
    assert epoch.output_spread > 0
    assert epoch.skipped_steps == 0


def test_training_learns(run: SmallRun) -> None:
    run.train(small_config(max_epochs=12, learning_rate=0.003))
    epochs = run.reported(EpochDone)
    assert epochs[-1].train_magnitude is not None
    assert epochs[0].train_magnitude is not None
    assert epochs[-1].train_magnitude < 0.8 * epochs[0].train_magnitude


def test_the_checkpoint_left_holds_the_weights_of_the_best_epoch(run: SmallRun) -> None:
    outcome = run.train(small_config(max_epochs=6, learning_rate=0.05))
    losses = [event.validation_loss for event in run.reported(EpochDone) if event.validation_loss is not None]
    assert outcome.progress.best_loss == min(losses)
    assert outcome.progress.best_epoch == losses.index(min(losses)) + 1
    kept = weights(outcome.checkpoint)
    assert any(name.startswith("best/") for name in kept) == (outcome.progress.best_epoch != 6)


def test_a_run_ends_early_once_validation_stops_improving(run: SmallRun) -> None:
    outcome = run.train(small_config(max_epochs=50, early_stop_epochs=2, learning_rate=0.1))
    assert outcome.ending == "early"
    assert outcome.progress.epoch == outcome.progress.best_epoch + 2


def test_a_run_ends_when_its_time_is_up_and_keeps_what_it_has(run: SmallRun) -> None:
    outcome = run.train(small_config(max_epochs=10_000, max_minutes=0.01))
    assert outcome.ending == "minutes"
    assert outcome.checkpoint is not None
    assert outcome.progress.best_step > 0


def test_one_bad_step_is_left_out_and_told(run: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    Faults(monkeypatch, range(3, 4))
    outcome = run.train(small_config())
    assert outcome.ending == "epochs"
    assert [event.kind for event in run.reported(WarningRaised)] == ["not-finite"]
    assert [event.skipped_steps for event in run.reported(EpochDone)] == [1, 0, 0, 0]
    assert all(tensor.isfinite().all() for tensor in weights(outcome.checkpoint).values())


def test_ten_bad_steps_in_a_row_halve_the_rate_once(run: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    Faults(monkeypatch, range(5, 15))
    outcome = run.train(small_config(max_epochs=6, learning_rate_schedule="constant"))
    assert outcome.ending == "epochs"
    assert outcome.progress.rate_factor == 0.5
    assert "diverging" in [event.kind for event in run.reported(WarningRaised)]
    assert run.reported(StepDone)[-1].learning_rate == pytest.approx(0.0005)


def test_a_resumed_run_says_that_its_recordings_have_changed(run: SmallRun) -> None:
    first = run.train(small_config(), stop_after_steps=3)
    (run.dataset / "0.wav").unlink()
    run.train(small_config(), start=resumed(first))
    assert "corpus-changed" in [event.kind for event in run.reported(WarningRaised)]


def test_checkpoints_are_not_saved_while_steps_fail_so_the_last_one_is_good(
    run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    Faults(monkeypatch, range(6, 16))
    outcome = run.train(small_config(max_epochs=6, checkpoint_interval=1))
    saved = [event.step for event in run.reported(CheckpointSaved)]
    assert saved == [4, 16, 20, 24]
    assert outcome.ending == "epochs"


def test_going_back_before_the_first_checkpoint_returns_to_the_weights_given(
    run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = run.train(small_config(max_epochs=3))
    assert taught.checkpoint is not None
    given = {
        name.removeprefix("model/"): tensor
        for name, tensor in weights(taught.checkpoint).items()
        if name.startswith("model/")
    }
    Faults(monkeypatch, range(1, 11))
    start = Start(weights=given, normalisation=checkpoint.load(taught.checkpoint).normalisation)
    monkeypatch.setattr("distill_engine.training.step.FINAL_RATE_FRACTION", 0.0)
    run.events.clear()
    run.train(small_config(max_epochs=3, learning_rate=1e-8), start=start)
    last = run.reported(EpochDone)[-1].train_magnitude
    assert last is not None
    first_of_all = 0.3
    assert last < first_of_all, "drawn weights are far from this"


def test_a_stop_between_an_epochs_last_step_and_its_judgement_loses_nothing(run: SmallRun, tmp_path: Path) -> None:
    whole = run.train(small_config(max_epochs=3))
    parted = SmallRun(folder=tmp_path / "parted", dataset=run.dataset)
    first = parted.train(small_config(max_epochs=3), stop_after_steps=4)
    assert first.progress.unjudged
    second = parted.train(small_config(max_epochs=3), start=resumed(first))
    assert_equal(weights(second.checkpoint), weights(whole.checkpoint))
    assert [event.epoch for event in parted.reported(EpochDone)] == [1, 2, 3]


def test_recordings_that_are_moved_while_training_dont_end_the_run(run: SmallRun) -> None:
    config = small_config(max_epochs=2, preview_interval=1, preview_recordings=1, preview_seconds=1.0)

    def move_away(event: Event) -> None:
        run.events.append(event)
        if isinstance(event, PreprocessDone):
            run.dataset.rename(run.dataset.with_name("elsewhere"))

    run.report = move_away
    assert run.train(config).ending == "epochs"
    assert len(run.reported(PreviewSaved)) == 2


@pytest.mark.parametrize("previews", [0, 1])
def test_a_run_whose_folder_is_moved_away_fails_and_makes_it_not_anew(run: SmallRun, previews: int) -> None:
    config = small_config(max_epochs=9, preview_interval=2, checkpoint_interval=2, preview_samples=previews)

    def move_away(event: Event) -> None:
        run.events.append(event)
        if isinstance(event, EpochDone) and event.epoch == 1:
            run.folder.rename(run.folder.with_name("elsewhere"))

    run.report = move_away
    with pytest.raises(RunGoneError, match="the run's folder is gone"):
        run.train(config)
    assert len(run.reported(EpochDone)) == 2
    assert not run.folder.exists()


def test_the_closing_preview_and_the_description_are_of_the_best_weights(run: SmallRun) -> None:
    config = small_config(
        max_epochs=50, early_stop_epochs=2, learning_rate=0.1, preview_recordings=1, preview_seconds=1.0
    )
    outcome = run.train(config)
    assert outcome.preview is not None
    assert outcome.preview.best
    assert outcome.checkpoint is not None
    training = checkpoint.load(outcome.checkpoint).info.model.training
    assert training.best_epoch == outcome.progress.best_epoch == outcome.progress.epoch - 2
    assert training.preview is not None
    assert training.preview.lsd == outcome.preview.lsd


def test_no_event_is_reported_after_a_stop_but_the_checkpoint(run: SmallRun) -> None:
    seen: list[Event] = run.events
    run.train(small_config(), stop_after_steps=2)
    assert type(seen[-1]).__name__ == "CheckpointSaved"


def test_a_batch_that_memory_does_not_hold_goes_through_in_parts_and_that_is_told(
    run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(max_epochs=3, batch_size=7)
    run.train(config)
    forward = ConvVAE.forward

    def with_little_memory(model: ConvVAE, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        if model.training and len(x) > 2:
            raise torch.OutOfMemoryError
        return forward(model, x, noise)

    monkeypatch.setattr(ConvVAE, "forward", with_little_memory)
    small = SmallRun(folder=tmp_path / "small", dataset=run.dataset)
    small.train(config)
    told = [warning.message for warning in small.reported(WarningRaised) if warning.kind == "memory"]
    assert [message.partition(" in ")[2] for message in told] == ["2 parts from now on", "4 parts from now on"]
    whole, parts = (made.reported(StepDone)[-1] for made in (run, small))
    assert parts.step == whole.step
    assert parts.loss == pytest.approx(whole.loss, rel=0.1)


def test_where_not_one_piece_has_room_training_ends_with_that(run: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_memory(_model: ConvVAE, _x: Tensor, _noise: Tensor | None = None) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(ConvVAE, "forward", without_memory)
    with pytest.raises(torch.OutOfMemoryError):
        run.train(small_config(max_epochs=1, val_fraction=0.0))
