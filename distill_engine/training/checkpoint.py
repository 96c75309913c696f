"""Checkpoints: a run's whole state in one safetensors file, verified before an older one goes.

Each holds the best weights too where they aren't the judged ones of that moment, so a run's best survives with any
checkpoint, and one file is enough to resume or to make a model. A digest over all tensors stands in the header: a file
is taken only if it still matches.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import msgspec
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from distill_engine import atomic
from distill_engine.audio.spectrogram import Normalisation
from distill_engine.errors import DistillError
from distill_engine.models.model_info import ModelInfo
from distill_engine.models.tensor_file import read_header
from distill_engine.training.config import TrainingConfig
from distill_engine.training.state import Progress, TrainingState

FORMAT = 1
METADATA_KEY = "checkpoint"


class CheckpointInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in a checkpoint's header: `corpus` tells the training data apart, `digest` is over all tensors."""

    format: int
    digest: str
    corpus: str
    progress: Progress
    model: ModelInfo


class Checkpoints:
    """A run's checkpoints: when the next is due, saving one, and letting go of old ones."""

    def __init__(self, folder: Path, config: TrainingConfig, progress: Progress) -> None:
        self._folder = folder
        self._interval = config.checkpoint_interval
        self._least_seconds = 60 * config.checkpoint_minutes
        self._keep = config.checkpoint_keep
        self._saved_epoch = progress.epoch
        self._saved_at = time.monotonic()

    def due(self, epoch: int) -> bool:
        """Tell whether to save after `epoch` finished epochs."""
        waited = time.monotonic() - self._saved_at
        return epoch - self._saved_epoch >= self._interval and waited >= self._least_seconds

    def save(self, state: TrainingState, model: ModelInfo, corpus: str) -> Path:
        """Write the state, read it back, remove what is older than the newest few; return the path."""
        path = self._folder / f"step-{state.progress.step:08d}.safetensors"
        tensors = _tensors(state)
        info = CheckpointInfo(
            format=FORMAT, digest=_digest(tensors), corpus=corpus, progress=state.progress, model=model
        )
        metadata = {METADATA_KEY: msgspec.json.encode(info).decode()}
        atomic.write_bytes(path, safetensors.torch.save(tensors, metadata))
        load(path)
        for older in list_checkpoints(self._folder)[self._keep :]:
            older.unlink()
        self._saved_epoch, self._saved_at = state.progress.epoch, time.monotonic()
        return path


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints' paths, the newest first."""
    return sorted(folder.glob("step-*.safetensors"), reverse=True)


def newest_valid(folder: Path) -> tuple[Path | None, list[str]]:
    """Return the newest checkpoint that is whole, and a sentence for each newer one that isn't."""
    rejected: list[str] = []
    for path in list_checkpoints(folder):
        try:
            load(path)
        except DistillError as error:
            rejected.append(error.message)
        else:
            return path, rejected
    return None, rejected


def read_info(path: Path) -> CheckpointInfo:
    """Read a checkpoint's header.

    Raises:
        DistillError: it isn't one, or one of another version.
    """
    text = read_header(path).metadata.get(METADATA_KEY)
    if text is None:
        raise DistillError(f"{path.name} is not a checkpoint")
    try:
        info = msgspec.json.decode(text, type=CheckpointInfo)
    except msgspec.DecodeError as error:
        raise DistillError(f"{path.name} has a header that can't be read: {error}") from None
    if info.format != FORMAT:
        raise DistillError(f"{path.name} is of format {info.format}, this version reads {FORMAT}")
    return info


def normalisation_in(path: Path) -> Normalisation:
    """Return the normalisation that the weights in a checkpoint were trained with."""
    kept = read_info(path).model.normalisation
    return Normalisation(magnitude_floor=kept.magnitude_floor, magnitude_scale=kept.magnitude_scale)


def load(path: Path) -> tuple[CheckpointInfo, dict[str, Tensor]]:
    """Read a whole checkpoint and hold it to its digest.

    Raises:
        DistillError: it can't be read, or isn't what was written.
    """
    info = read_info(path)
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise DistillError(f"{path.name} can't be read: {error}") from None
    if _digest(tensors) != info.digest:
        raise DistillError(f"{path.name} is damaged: its contents don't match their digest")
    return info, tensors


def restore(state: TrainingState, path: Path) -> CheckpointInfo:
    """Bring `state`, made for the same configuration, to what the checkpoint holds; return its header."""
    info, tensors = load(path)
    try:
        state.model.load_state_dict(_under(tensors, "model/"))
    except RuntimeError:
        raise DistillError(
            f"{path.name} was made with another architecture",
            "latent_dim and complex_spectrogram can't change within a run",
        ) from None
    _restore_optimizer(state, tensors)
    device = next(state.model.parameters()).device
    if state.ema:
        averaged = _under(tensors, "ema/") or dict(state.model.state_dict())
        state.ema = {name: tensor.to(device, copy=True) for name, tensor in averaged.items()}
    state.progress = info.progress
    best = _under(tensors, "best/")
    if not best and info.progress.best_step:
        best = {name: tensor.clone() for name, tensor in state.judged_weights().items()}
    state.best = {name: tensor.to(device) for name, tensor in best.items()}
    return info


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    tensors = {f"model/{name}": tensor for name, tensor in state.model.state_dict().items()}
    tensors |= {f"ema/{name}": tensor for name, tensor in state.ema.items()}
    if state.progress.best_step != state.progress.step:
        tensors |= {f"best/{name}": tensor for name, tensor in state.best.items()}
    for name, parameter in state.model.named_parameters():
        for key, value in state.optimizer.state[parameter].items():
            tensors[f"optimizer/{name}/{key}"] = value
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _restore_optimizer(state: TrainingState, tensors: dict[str, Tensor]) -> None:
    saved = state.optimizer.state_dict()
    names = [name for name, _ in state.model.named_parameters()]
    saved["state"] = {number: _under(tensors, f"optimizer/{name}/") for number, name in enumerate(names)}
    state.optimizer.load_state_dict({**saved, "state": {n: kept for n, kept in saved["state"].items() if kept}})


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
