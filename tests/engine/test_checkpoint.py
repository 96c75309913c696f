"""Checkpoints: what each holds, what happens to damaged ones, and how many are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from distill_engine.errors import DistillError
from distill_engine.events import CheckpointSaved
from distill_engine.models.persistence import load_model, save_model_from_checkpoint
from distill_engine.training import checkpoint
from distill_engine.training.loop import Start
from distill_engine.training.state import fresh_state
from tests.engine.runs import SmallRun, small_config, write_dataset


@pytest.fixture
def run(tmp_path: Path) -> SmallRun:
    return SmallRun(folder=tmp_path / "run", dataset=write_dataset(tmp_path / "recordings"))


def test_the_newest_few_are_kept_and_each_holds_the_best_weights(run: SmallRun) -> None:
    outcome = run.train(small_config(max_epochs=5, checkpoint_interval=1, checkpoint_keep=3))
    kept = checkpoint.list_checkpoints(run.folder / "checkpoints")
    assert [path.name for path in kept] == [f"step-{step:08d}.safetensors" for step in (20, 16, 12)]
    assert len(run.reported(CheckpointSaved)) == 5
    info, tensors = checkpoint.load(kept[-1])
    assert info.progress.best_step <= 12
    assert any(name.startswith("best/") for name in tensors) == (info.progress.best_step != 12)
    assert outcome.checkpoint == kept[0]


def test_a_damaged_newest_checkpoint_is_passed_over_with_its_reason(run: SmallRun) -> None:
    run.train(small_config(max_epochs=3, checkpoint_interval=1))
    newest, older = checkpoint.list_checkpoints(run.folder / "checkpoints")
    content = bytearray(newest.read_bytes())
    content[-1000] ^= 1
    newest.write_bytes(content)
    assert checkpoint.newest_valid(run.folder / "checkpoints") == (
        older,
        [f"{newest.name} is damaged: its contents don't match their digest"],
    )
    newest.write_bytes(content[: len(content) // 2])
    taken, rejected = checkpoint.newest_valid(run.folder / "checkpoints")
    assert taken == older
    assert len(rejected) == 1
    assert newest.name in rejected[0]


def test_where_all_are_damaged_there_is_none(run: SmallRun) -> None:
    run.train(small_config(max_epochs=1))
    for path in checkpoint.list_checkpoints(run.folder / "checkpoints"):
        path.write_bytes(b"")
    taken, rejected = checkpoint.newest_valid(run.folder / "checkpoints")
    assert taken is None
    assert len(rejected) == 1


def test_a_restored_state_equals_the_one_that_was_saved(run: SmallRun) -> None:
    config = small_config(max_epochs=2, ema_decay=0.9)
    outcome = run.train(config)
    assert outcome.checkpoint is not None
    state = fresh_state(config, torch.device("cpu"))
    info = checkpoint.restore(state, outcome.checkpoint)
    assert info.progress == outcome.progress
    _, tensors = checkpoint.load(outcome.checkpoint)
    for name, tensor in state.model.state_dict().items():
        assert torch.equal(tensor, tensors[f"model/{name}"])
    for name, parameter in state.model.named_parameters():
        assert torch.equal(state.optimizer.state[parameter]["exp_avg"], tensors[f"optimizer/{name}/exp_avg"])
    assert state.ema.keys() == state.best.keys() == state.model.state_dict().keys()


def test_a_checkpoint_of_another_architecture_is_refused(run: SmallRun) -> None:
    outcome = run.train(small_config(max_epochs=1))
    with pytest.raises(DistillError, match="another architecture"):
        run.train(small_config(latent_dim=9), start=Start(resume=outcome.checkpoint))


def test_a_model_is_made_of_the_best_weights(run: SmallRun, tmp_path: Path) -> None:
    outcome = run.train(small_config(max_epochs=6, learning_rate=0.05, checkpoint_interval=1))
    assert outcome.checkpoint is not None
    info, tensors = checkpoint.load(outcome.checkpoint)
    prefix = "best/" if info.progress.best_step != info.progress.step else "model/"
    save_model_from_checkpoint(outcome.checkpoint, tmp_path / "m.distill")
    loaded = load_model(tmp_path / "m.distill")
    for name, tensor in loaded.model.state_dict().items():
        assert torch.equal(tensor, tensors[prefix + name])
    assert loaded.info.training.recordings == 3
    assert loaded.info.training.best_validation_loss == outcome.progress.best_loss
    assert "learning_rate = 0.05" in loaded.info.training.config
