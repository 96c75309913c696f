"""Checkpoints: a run's whole state in one safetensors file, verified before an older one goes.

Each holds the best weights too where they aren't the judged ones of that moment, so a run's best survives with any
checkpoint, and one file is enough to resume or to make a model. A digest over all tensors stands in the header: a file
is taken only if it still matches.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import msgspec
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from distill_engine import atomic
from distill_engine.audio.spectrogram import Normalisation
from distill_engine.errors import DistillError
from distill_engine.models.model_info import LARGEST_MODEL, ModelInfo
from distill_engine.models.tensor_file import read_header
from distill_engine.run_folder import make_inside
from distill_engine.small_files import UNREADABLE
from distill_engine.training.cadence import Cadence
from distill_engine.training.config import TrainingConfig
from distill_engine.training.state import Progress, TrainingState, greatest_norm
from distill_engine.words import size

FORMAT = 3
METADATA_KEY = "checkpoint"
REJECTED_SUFFIX = ".rejected"
_MOST_COPIES = 5
"""Of the weights: themselves, two numbers of the optimiser's for each, the average, the best."""


class CheckpointInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in a checkpoint's header: `corpus` tells the training data apart, `digest` is over all tensors."""

    format: int
    digest: str
    corpus: str
    progress: Progress
    model: ModelInfo


@dataclass(frozen=True, kw_only=True)
class LoadedCheckpoint:
    """A checkpoint read whole and found to be what was written."""

    path: Path
    info: CheckpointInfo
    tensors: dict[str, Tensor]

    @property
    def normalisation(self) -> Normalisation:
        """The normalisation that its weights were trained with."""
        kept = self.info.model.normalisation
        return Normalisation(magnitude_floor=kept.magnitude_floor, magnitude_scale=kept.magnitude_scale)


class Checkpoints:
    """A run's checkpoints: when the next is due, saving one, and letting go of old ones."""

    def __init__(self, folder: Path, config: TrainingConfig, progress: Progress) -> None:
        self._folder = folder
        self._keep = config.checkpoint_keep
        self.cadence = Cadence(
            epochs=config.checkpoint_interval,
            minutes=config.checkpoint_minutes,
            epoch=progress.epoch,
            waits_at_first=True,
        )

    def due(self, progress: Progress) -> bool:
        """Tell whether to save now, between two epochs: not while steps fail, when weights may be at fault."""
        return self.cadence.due(progress.epoch) and progress.sound

    def save(self, state: TrainingState, model: ModelInfo, corpus: str) -> Path:
        """Write the state, read it back, remove what is older than the newest few sound ones; return the path.

        Raises:
            RunGoneError: the run's folder is gone.
        """
        path = self._folder / f"step-{state.progress.step:08d}.safetensors"
        tensors = _tensors(state)
        info = CheckpointInfo(
            format=FORMAT, digest=_digest(tensors), corpus=corpus, progress=state.progress, model=model
        )
        metadata = {METADATA_KEY: msgspec.json.encode(info).decode()}
        make_inside(self._folder)
        atomic.write_bytes(path, safetensors.torch.save(tensors, metadata))
        load(path)
        self._let_go(path)
        return path

    def _let_go(self, newest: Path) -> None:
        """Remove all but `newest` and the newest few that hold sound weights."""
        older = [path for path in list_checkpoints(self._folder) if path != newest]
        sound = [path for path in older if _is_sound(path)]
        for path in set(older) - set(sound[: self._keep - 1]):
            path.unlink(missing_ok=True)


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints' paths, the newest first."""
    return sorted(folder.glob("step-*.safetensors"), reverse=True)


def take_newest(folder: Path) -> tuple[LoadedCheckpoint | None, list[str]]:
    """Return the newest checkpoint that is whole, and a sentence for each newer one that isn't.

    Those are set aside under another name: they must not count among the newest few when older ones are let go.
    """
    rejected: list[str] = []
    for path in list_checkpoints(folder):
        try:
            return load(path), rejected
        except DistillError as error:
            rejected.append(error.message)
            _set_aside(path)
    return None, rejected


def newest_sound(folder: Path) -> LoadedCheckpoint | None:
    """Return the newest checkpoint whose weights a step was taken from last; None where there is none."""
    for path in list_checkpoints(folder):
        try:
            loaded = load(path)
        except DistillError:
            _set_aside(path)
            continue
        if loaded.info.progress.sound:
            return loaded
    return None


def read_info(path: Path) -> CheckpointInfo:
    """Read a checkpoint's header.

    Raises:
        DistillError: it isn't one, or one of another version.
    """
    header = read_header(path)
    text = header.metadata.get(METADATA_KEY)
    if header.size > _MOST_COPIES * LARGEST_MODEL:
        raise DistillError(f"{path.name} is larger than any checkpoint, {size(header.size)}")
    if text is None:
        raise DistillError(f"{path.name} is not a checkpoint")
    try:
        info = msgspec.json.decode(text, type=CheckpointInfo)
    except UNREADABLE as error:
        raise DistillError(f"{path.name} has a header that can't be read: {error}") from None
    if info.format != FORMAT:
        raise DistillError(f"{path.name} is of format {info.format}, this version reads {FORMAT}")
    return info


def load(path: Path) -> LoadedCheckpoint:
    """Read a whole checkpoint and hold it to its digest.

    Raises:
        DistillError: it can't be read, isn't what was written, or holds numbers that aren't finite.
    """
    info = read_info(path)
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise DistillError(f"{path.name} can't be read: {error}") from None
    if not tensors or any(tensor.dtype != torch.float32 for tensor in tensors.values()):
        raise DistillError(f"{path.name} is damaged: it holds something else than weights")
    if _digest(tensors) != info.digest:
        raise DistillError(f"{path.name} is damaged: its contents don't match their digest")
    if not math.isfinite(greatest_norm(list(tensors.values()))):
        raise DistillError(f"{path.name} is of no use: it holds numbers that aren't finite")
    return LoadedCheckpoint(path=path, info=info, tensors=tensors)


def restore(state: TrainingState, loaded: LoadedCheckpoint) -> None:
    """Bring `state`, made for the same configuration, to what the checkpoint holds.

    Raises:
        DistillError: it was made with another architecture.
    """
    info, tensors = loaded.info, loaded.tensors
    if not all(_fits(state, name, tensor) for name, tensor in tensors.items()) or not _is_whole(state, tensors):
        raise DistillError(
            f"{loaded.path.name} was made with another architecture",
            "latent_dim and complex_spectrogram can't change within a run",
        )
    state.model.load_state_dict(_under(tensors, "model/"))
    _restore_optimizer(state, tensors)
    device = next(state.model.parameters()).device
    if state.ema:
        averaged = _under(tensors, "ema/") or dict(state.model.state_dict())
        state.ema = {name: _laid_like(state.ema[name], tensor) for name, tensor in averaged.items()}
    state.progress = info.progress
    if info.progress.best_step:
        best = _under(tensors, "best/") or _under(tensors, "ema/") or _under(tensors, "model/")
        state.best = {name: tensor.to(device, copy=True) for name, tensor in best.items()}


def packed(state: TrainingState) -> bytes:
    """Return weights and optimiser alone, as safetensors: what other ranks go on from."""
    kept = {name: one for name, one in _tensors(state).items() if name.startswith(("model/", "optimizer/"))}
    return safetensors.torch.save(kept)


def unpack(state: TrainingState, content: bytes) -> None:
    """Bring the weights and the optimiser of `state` to those that were packed."""
    tensors = safetensors.torch.load(content)
    state.model.load_state_dict(_under(tensors, "model/"))
    _restore_optimizer(state, tensors)


def _set_aside(path: Path) -> None:
    path.rename(path.with_name(f"{path.name}{REJECTED_SUFFIX}"))


def _is_sound(path: Path) -> bool:
    """Tell whether a checkpoint's weights are; one whose header is damaged is set aside and isn't."""
    try:
        return read_info(path).progress.sound
    except DistillError:
        _set_aside(path)
        return False


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
    saved["state"] = {}
    for number, (name, parameter) in enumerate(state.model.named_parameters()):
        kept = _under(tensors, f"optimizer/{name}/")
        if kept:
            saved["state"][number] = {key: _laid_like(parameter, tensor) for key, tensor in kept.items()}
    state.optimizer.load_state_dict(saved)


def _laid_like(like: Tensor, tensor: Tensor) -> Tensor:
    """Return a copy on the device of `like`, which lies in memory as that does if it has its shape."""
    if tensor.shape != like.shape:
        return tensor.to(like.device, copy=True)
    return torch.empty_like(like, requires_grad=False).copy_(tensor)


def _fits(state: TrainingState, name: str, tensor: Tensor) -> bool:
    """Tell whether a checkpoint's tensor is one that the state may hold: a weight, or what is kept of one."""
    kind, _, rest = name.partition("/")
    weight = state.model.state_dict().get(rest.partition("/")[0])
    if weight is None or tensor.dtype != weight.dtype:
        return False
    if kind == "optimizer":
        return tuple(tensor.shape) == (() if rest.endswith("/count") else tuple(weight.shape))
    return tuple(tensor.shape) == tuple(weight.shape)


def _is_whole(state: TrainingState, tensors: dict[str, Tensor]) -> bool:
    """Tell whether there are the weights, and of the averages and the best all or none."""
    names = state.model.state_dict().keys()
    return all(
        _under(tensors, f"{kind}/").keys() in allowed
        for kind, allowed in (("model", (names,)), ("ema", (names, set())), ("best", (names, set())))
    )


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
