"""Checkpoints: what each holds, what happens to damaged ones, and how many are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from distill_engine.errors import DistillError
from distill_engine.events import CheckpointSaved
from distill_engine.models.persistence import load_model, save_model_from_checkpoint
from distill_engine.training import checkpoint
from distill_engine.training.checkpoint import Checkpoints, LoadedCheckpoint, take_newest
from distill_engine.training.loop import Outcome, Start
from distill_engine.training.state import Progress, fresh_state
from tests.engine.runs import SmallRun, small_config, write_dataset


@pytest.fixture
def run(tmp_path: Path) -> SmallRun:
    return SmallRun(folder=tmp_path / "run", dataset=write_dataset(tmp_path / "recordings"))


def loaded(outcome: Outcome) -> LoadedCheckpoint:
    assert outcome.checkpoint is not None
    return checkpoint.load(outcome.checkpoint)


def kept(run: SmallRun) -> list[Path]:
    return checkpoint.list_checkpoints(run.folder / "checkpoints")


def test_the_newest_few_are_kept_and_each_holds_the_best_weights(run: SmallRun) -> None:
    outcome = run.train(small_config(max_epochs=5, checkpoint_interval=1, checkpoint_keep=3))
    assert [path.name for path in kept(run)] == [f"step-{step:08d}.safetensors" for step in (20, 16, 12)]
    assert len(run.reported(CheckpointSaved)) == 5
    oldest = checkpoint.load(kept(run)[-1])
    assert oldest.info.progress.best_step <= 12
    assert any(name.startswith("best/") for name in oldest.tensors) == (oldest.info.progress.best_step != 12)
    assert outcome.checkpoint == kept(run)[0]


def test_a_damaged_newest_checkpoint_is_passed_over_with_its_reason_and_set_aside(run: SmallRun) -> None:
    run.train(small_config(max_epochs=3, checkpoint_interval=1))
    newest, older = kept(run)
    content = bytearray(newest.read_bytes())
    content[-1000] ^= 1
    newest.write_bytes(content)
    taken, rejected = take_newest(run.folder / "checkpoints")
    assert taken is not None
    assert taken.path == older
    assert rejected == [f"{newest.name} is damaged: its contents don't match their digest"]
    assert kept(run) == [older]


def test_a_state_that_is_not_finite_is_not_gone_on_from(run: SmallRun) -> None:
    config = small_config(max_epochs=2)
    good = loaded(run.train(config))
    state = fresh_state(config, torch.device("cpu"))
    checkpoint.restore(state, good)
    with torch.no_grad():
        next(state.model.parameters()).view(-1)[0] = float("nan")
    state.progress.step += 1
    folder = run.folder / "checkpoints"
    with pytest.raises(DistillError, match="it holds numbers that aren't finite"):
        Checkpoints(folder, config, state.progress).save(state, good.info.model, good.info.corpus)
    taken, rejected = take_newest(folder)
    assert taken is not None
    assert taken.path == good.path
    assert len(rejected) == 1


def test_damaged_checkpoints_of_later_steps_never_cost_a_good_one(run: SmallRun) -> None:
    config = small_config(max_epochs=3, checkpoint_interval=1)
    run.train(config, stop_after_steps=9)
    good = kept(run)
    for step in (100, 101):
        (run.folder / "checkpoints" / f"step-{step:08d}.safetensors").write_bytes(good[0].read_bytes()[:5000])
    taken, rejected = take_newest(run.folder / "checkpoints")
    assert len(rejected) == 2
    outcome = run.train(config, start=Start(resume=taken))
    assert outcome.ending == "epochs"
    assert kept(run)[0] == outcome.checkpoint
    assert len(kept(run)) == 2
    for path in kept(run):
        checkpoint.load(path)


def test_a_damaged_older_checkpoint_does_not_end_a_run(run: SmallRun) -> None:
    config = small_config(max_epochs=4, checkpoint_interval=1)
    run.train(config, stop_after_steps=9)
    newest, older = kept(run)
    older.write_bytes(older.read_bytes()[:5000])
    outcome = run.train(config, start=Start(resume=checkpoint.load(newest)))
    assert outcome.ending == "epochs"
    assert len(kept(run)) == 2
    assert older not in kept(run)


def test_where_all_are_damaged_there_is_none(run: SmallRun) -> None:
    run.train(small_config(max_epochs=1))
    for path in kept(run):
        path.write_bytes(b"")
    taken, rejected = take_newest(run.folder / "checkpoints")
    assert taken is None
    assert len(rejected) == 1


def test_a_restored_state_equals_the_one_that_was_saved(run: SmallRun) -> None:
    config = small_config(max_epochs=2, ema_decay=0.9)
    outcome = run.train(config)
    saved = loaded(outcome)
    state = fresh_state(config, torch.device("cpu"))
    checkpoint.restore(state, saved)
    assert state.progress == outcome.progress
    for name, tensor in state.model.state_dict().items():
        assert torch.equal(tensor, saved.tensors[f"model/{name}"])
    for name, parameter in state.model.named_parameters():
        for key, value in state.optimizer.state[parameter].items():
            assert torch.equal(value, saved.tensors[f"optimizer/{name}/{key}"])
    assert state.ema.keys() == state.best.keys() == state.model.state_dict().keys()


def test_what_is_restored_lies_in_memory_as_the_weights_do(run: SmallRun) -> None:
    config = small_config(max_epochs=1, ema_decay=0.9, memory_format="channels_last")
    state = fresh_state(config, torch.device("cpu"))
    checkpoint.restore(state, loaded(run.train(config)))
    for name, parameter in state.model.named_parameters():
        kept = state.optimizer.state[parameter].items()
        alike = [state.ema[name], *(tensor for key, tensor in kept if key != "count")]
        assert all(tensor.stride() == parameter.stride() for tensor in alike)


def test_the_next_is_due_an_interval_after_the_last_was_asked_for(tmp_path: Path) -> None:
    """Whoever writes it beside the steps may need longer than the next epochs do."""
    progress = Progress()
    config = small_config(checkpoint_interval=2, checkpoint_minutes=0.0)
    checkpoints = checkpoint.Checkpoints(tmp_path, config, progress)
    due = []
    for progress.epoch in range(1, 6):
        due.append(checkpoints.due(progress))
        if due[-1]:
            checkpoints.cadence.asked(progress.epoch)
    assert due == [False, True, False, True, False]


def test_the_best_weights_stay_the_averaged_ones_when_averaging_ends(run: SmallRun) -> None:
    outcome = run.train(small_config(max_epochs=1, ema_decay=0.9))
    saved = loaded(outcome)
    assert saved.info.progress.best_step == saved.info.progress.step
    state = fresh_state(small_config(), torch.device("cpu"))
    checkpoint.restore(state, saved)
    for name, tensor in state.best.items():
        assert torch.equal(tensor, saved.tensors[f"ema/{name}"])


def test_a_checkpoint_of_another_architecture_is_refused(run: SmallRun) -> None:
    outcome = run.train(small_config(max_epochs=1))
    with pytest.raises(DistillError, match="another architecture"):
        run.train(small_config(latent_dim=9), start=Start(resume=loaded(outcome)))


def test_a_model_is_made_of_the_best_weights(run: SmallRun, tmp_path: Path) -> None:
    outcome = run.train(small_config(max_epochs=6, learning_rate=0.05, checkpoint_interval=1))
    saved = loaded(outcome)
    prefix = "best/" if saved.info.progress.best_step != saved.info.progress.step else "model/"
    assert outcome.checkpoint is not None
    save_model_from_checkpoint(outcome.checkpoint, tmp_path / "m.distill")
    model = load_model(tmp_path / "m.distill")
    for name, tensor in model.model.state_dict().items():
        assert torch.equal(tensor, saved.tensors[prefix + name])
    assert model.info.training.recordings == 3
    assert model.info.training.best_validation_loss == outcome.progress.best_loss
    assert "learning_rate = 0.05" in model.info.training.config
