"""Every setting does something: each is changed in a small real run, and what it is for comes out otherwise."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import safetensors.torch
import soundfile
import torch

from distill_engine.errors import ConfigError
from distill_engine.events import CheckpointSaved, EpochDone, PreviewSaved
from distill_engine.training.config import TrainingConfig, Value, declarations, replaced
from distill_engine.training.hardware import found_device
from distill_engine.training.loop import Outcome
from tests.engine.runs import SMALL, SmallRun, write_dataset


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is left of a run once its files are gone."""

    weights: str
    ending: str
    epochs: int
    checkpoints_saved: int
    checkpoints_kept: int
    previews: int
    preview_recordings: int
    preview_samples: int
    preview_frames: int


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A value other than the usual one, and what is then seen otherwise; `beside` is set in both runs."""

    value: Value
    seen: Callable[[Seen], object] = lambda seen: seen.weights
    beside: Mapping[str, Value] = field(default_factory=dict)


EVERY_EPOCH: dict[str, Value] = {"max_epochs": 4, "checkpoint_interval": 1}
RESTLESS: dict[str, Value] = {
    "max_epochs": 12,
    "learning_rate": 1.0,
    "learning_rate_schedule": "constant",
    "warmup_steps": 0,
}
"""Such steps make validation worse again and again."""
PREVIEW: dict[str, Value] = {"preview_recordings": 1, "preview_samples": 1, "preview_seconds": 0.5}

EFFECTS = {
    "max_epochs": Effect(value=2, seen=lambda seen: seen.epochs),
    "max_minutes": Effect(value=1e-3, seen=lambda seen: seen.ending),
    "batch_size": Effect(value=3),
    "learning_rate": Effect(value=0.002),
    "learning_rate_schedule": Effect(value="constant"),
    "warmup_steps": Effect(value=3),
    "ema_decay": Effect(value=0.9),
    "early_stop_epochs": Effect(value=1, seen=lambda seen: seen.ending, beside=RESTLESS),
    "latent_dim": Effect(value=7),
    "seed": Effect(value=1),
    "precision": Effect(value="bf16"),
    "memory_format": Effect(value="channels_last"),
    "val_fraction": Effect(value=0.0),
    "checkpoint_interval": Effect(value=2, seen=lambda seen: seen.checkpoints_saved, beside=EVERY_EPOCH),
    "checkpoint_minutes": Effect(value=60.0, seen=lambda seen: seen.checkpoints_saved, beside=EVERY_EPOCH),
    "checkpoint_keep": Effect(value=3, seen=lambda seen: seen.checkpoints_kept, beside=EVERY_EPOCH),
    "preview_interval": Effect(value=1, seen=lambda seen: seen.previews, beside={"max_epochs": 2, **PREVIEW}),
    "preview_minutes": Effect(
        value=60.0, seen=lambda seen: seen.previews, beside={"max_epochs": 3, "preview_interval": 1, **PREVIEW}
    ),
    "preview_recordings": Effect(value=0, seen=lambda seen: seen.preview_recordings, beside=PREVIEW),
    "preview_samples": Effect(value=2, seen=lambda seen: seen.preview_samples, beside=PREVIEW),
    "preview_seconds": Effect(value=0.75, seen=lambda seen: seen.preview_frames, beside=PREVIEW),
    "complex_spectrogram.n_fft": Effect(value=4096),
    "complex_spectrogram.hop_length": Effect(value=512),
    "complex_spectrogram.n_mels": Effect(value=64),
    "complex_spectrogram.if_masking_threshold": Effect(value=-20.0),
    "augmentation.copies": Effect(value=0),
    "augmentation.speed_percent": Effect(value=0.0),
    "augmentation.gain_db": Effect(value=0.0),
    "augmentation.noise_db": Effect(value=-20.0),
    "augmentation.shift_ms": Effect(value=0.0),
    "augmentation.level_db": Effect(value=12.0),
    "augmentation.tone_db": Effect(value=9.0),
    "regularization.dropout": Effect(value=0.5),
    "regularization.weight_decay": Effect(value=0.1),
    "regularization.gradient_clip": Effect(value=0.0),
    "loss.reconstruction.magnitude_weight": Effect(value=1.0),
    "loss.reconstruction.frequency_weight": Effect(value=2.0),
    "loss.stft.weight": Effect(value=0.0),
    "loss.stft.resolutions": Effect(value=1),
    "loss.kl.weight": Effect(value=0.01),
    "loss.kl.ramp_fraction": Effect(value=1.0),
    "loss.kl.free_bits": Effect(value=10.0),
}
REFUSED: dict[str, Value] = {"device": "cuda:999"}
"""What can't be had here, and is told instead of passed over."""

ELSEWHERE = {"deterministic", "num_processes", "compile"}
"""What changes nothing on a CPU, and what `test_ranks` and `test_compiling` are about."""


class Runs:
    """Trains each configuration once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._dataset = write_dataset(folder / "recordings")
        self._seen: dict[TrainingConfig, Seen] = {}

    def seen(self, changes: Mapping[str, Value]) -> Seen:
        config = replaced(TrainingConfig(), {**SMALL, "max_epochs": 1, **changes})
        if config not in self._seen:
            run = SmallRun(folder=self._folder / "run", dataset=self._dataset)
            self._seen[config] = _seen(run, run.train(config))
            shutil.rmtree(run.folder, ignore_errors=True)
        return self._seen[config]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("settings")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Runs(folder)
    torch.set_num_threads(threads)
    shutil.rmtree(folder)


def _seen(run: SmallRun, outcome: Outcome) -> Seen:
    previews = run.reported(PreviewSaved)
    samples = [run.folder / path for path in previews[-1].samples]
    return Seen(
        weights=_digest(outcome),
        ending=outcome.ending,
        epochs=len(run.reported(EpochDone)),
        checkpoints_saved=len(run.reported(CheckpointSaved)),
        checkpoints_kept=len(list(run.folder.glob("checkpoints/*"))),
        previews=len(previews),
        preview_recordings=len(previews[-1].recordings),
        preview_samples=len(samples),
        preview_frames=soundfile.info(samples[0]).frames if samples else 0,
    )


def _digest(outcome: Outcome) -> str:
    """Digest the weights that a model is made of, the average where one is kept; "" where no step was taken."""
    if outcome.checkpoint is None:
        return ""
    tensors = safetensors.torch.load_file(outcome.checkpoint)
    group = "ema/" if any(name.startswith("ema/") for name in tensors) else "model/"
    kept = {name.removeprefix(group): tensor for name, tensor in tensors.items() if name.startswith(group)}
    return hashlib.blake2b(safetensors.torch.save(kept)).hexdigest()


def test_every_setting_has_an_effect_to_look_for() -> None:
    assert EFFECTS.keys() | REFUSED.keys() | ELSEWHERE == declarations().keys()


@pytest.mark.parametrize("key", EFFECTS)
def test_a_setting_has_its_effect(runs: Runs, key: str) -> None:
    effect = EFFECTS[key]
    usual, changed = runs.seen(effect.beside), runs.seen({**effect.beside, key: effect.value})
    assert effect.seen(changed) != effect.seen(usual)


@pytest.mark.parametrize("key", REFUSED)
def test_a_setting_that_cannot_be_had_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        found_device(replaced(TrainingConfig(), {key: REFUSED[key]}).device)


def test_the_same_settings_give_the_same_weights(runs: Runs, tmp_path: Path) -> None:
    assert Runs(tmp_path).seen({}).weights == runs.seen({}).weights
