"""Models on disk: one safetensors file, its description in the header, nothing in it that could run.

Weights are read by the checked header, tensor by tensor, into a network whose every shape was compared first. So a
wrong file is refused before memory is reserved for it, and a model that comes back is whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
import safetensors.torch
import torch
from torch import Tensor

from distill_engine import atomic
from distill_engine.audio.spectrogram import Normalisation
from distill_engine.errors import ModelFileError
from distill_engine.models.model_info import METADATA_KEY, Architecture, ModelInfo, encode_info, info_in
from distill_engine.models.tensor_file import TensorEntry, TensorFileHeader, header_of, open_file
from distill_engine.models.vae import ConvVAE, flatten_size, spatial_size
from distill_engine.small_files import UNREADABLE
from distill_engine.training.config import ComplexSpectrogramConfig

_CHECKPOINT_KEY = "checkpoint"
_WEIGHTS_IN_CHECKPOINT = ("best/", "ema/", "model/")
_BYTES_OF_A_WEIGHT = 4


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A network in evaluation mode, on the CPU, and what its file says about it."""

    model: ConvVAE
    info: ModelInfo

    @property
    def spectrogram(self) -> ComplexSpectrogramConfig:
        """The representation the model knows."""
        return self.info.representation.config()

    @property
    def normalisation(self) -> Normalisation:
        """The normalisation it was trained with."""
        kept = self.info.normalisation
        return Normalisation(magnitude_floor=kept.magnitude_floor, magnitude_scale=kept.magnitude_scale)


def architecture_of(model: ConvVAE) -> Architecture:
    """Return the shape of `model` as its file will name it."""
    return Architecture(latent_dim=model.latent_dim, n_mels=model.n_mels, time_frames=model.time_frames)


def save_model(path: Path, model: ConvVAE, info: ModelInfo) -> None:
    """Write `model` to `path`, whole or not at all; whatever was there is replaced.

    Raises:
        ValueError: `info` describes another network than `model`.
        ModelFileError: a weight isn't finite; such a model would be refused by `load_model`.
    """
    if info.architecture != architecture_of(model) or model.decoder.spatial != _spatial(info.architecture):
        raise ValueError(f"the model is {architecture_of(model)}, its description says {info.architecture}")
    weights = {name: tensor.detach().float().cpu().contiguous() for name, tensor in model.state_dict().items()}
    for name, tensor in weights.items():
        _check_finite(tensor, name, path.name)
    atomic.write_bytes(path, safetensors.torch.save(weights, {METADATA_KEY: encode_info(info)}))


def load_model(path: Path) -> LoadedModel:
    """Read a `.distill` file: the weights are those that were saved, bit for bit.

    Raises:
        NotFoundError: there is no such file.
        ModelFileError: it is no model, not a whole one, of another format, or holds numbers that aren't finite.
    """
    with open_file(path) as file:
        header = header_of(file, path.name)
        info = info_in(header, path.name)
        model = _read_model(file, header, header.tensors, info.architecture, path.name)
    return LoadedModel(model=model, info=info)


def rewrite_info(path: Path, info: ModelInfo) -> None:
    """Replace what the model at `path` says about itself by `info`, whole or not at all; its weights stay, bit for bit.

    Raises:
        NotFoundError: there is no such file.
        ModelFileError: it can't be read or written, or isn't the model meant: of another id, or trained further.
    """
    with open_file(path) as file:
        header = header_of(file, path.name)
        kept = info_in(header, path.name)
        if _origin(kept) != _origin(info):
            raise ModelFileError(f"{path.name} is another model now than it was", "try again")
        try:
            with atomic.replacing(path) as temporary, temporary.open("wb") as target:
                target.write(_header_bytes(header, {**header.metadata, METADATA_KEY: encode_info(info)}))
                file.seek(header.data_start)
                shutil.copyfileobj(file, target)
        except OSError as error:
            raise ModelFileError(f"{path.name} can't be written: {error.strerror}") from None


def _origin(info: ModelInfo) -> ModelInfo:
    """Return what is told of where the weights come from, and nothing that may be found out about them later."""
    return msgspec.structs.replace(info, latent_mean=(), latent_rest=1.0, latent_axes=())


def _header_bytes(header: TensorFileHeader, metadata: Mapping[str, str]) -> bytes:
    """Return the beginning of a file with the tensors of `header` and other metadata; their bytes follow it."""
    entries = {
        name: {"dtype": entry.dtype, "shape": entry.shape, "data_offsets": (entry.begin, entry.end)}
        for name, entry in header.tensors.items()
    }
    document = msgspec.json.encode({"__metadata__": metadata, **entries})
    padded = document.ljust(-(-len(document) // 8) * 8)  # tensors begin at a multiple of eight bytes
    return len(padded).to_bytes(8, "little") + padded


class _CheckpointHeader(msgspec.Struct):
    model: ModelInfo


def save_model_from_checkpoint(checkpoint_path: Path, model_path: Path) -> ModelInfo:
    """Make a model of a checkpoint's best weights, else of its averaged ones, else of those it stopped at.

    The description is the one the checkpoint carries, and is returned. Raises as `load_model` does.
    """
    with open_file(checkpoint_path) as file:
        header = header_of(file, checkpoint_path.name)
        info = _checkpoint_info(header, checkpoint_path.name)
        entries = _judged_weights(header.tensors)
        model = _read_model(file, header, entries, info.architecture, checkpoint_path.name)
    save_model(model_path, model, info)
    return info


def _checkpoint_info(header: TensorFileHeader, file_name: str) -> ModelInfo:
    document = header.metadata.get(_CHECKPOINT_KEY)
    if document is None:
        raise ModelFileError(f"{file_name} holds tensors but is no checkpoint of Distill")
    try:
        return msgspec.json.decode(document, type=_CheckpointHeader).model
    except UNREADABLE as error:
        raise ModelFileError(f"{file_name} has a description that can't be read: {error}") from None


def _judged_weights(tensors: Mapping[str, TensorEntry]) -> dict[str, TensorEntry]:
    for prefix in _WEIGHTS_IN_CHECKPOINT:
        found = {name.removeprefix(prefix): entry for name, entry in tensors.items() if name.startswith(prefix)}
        if found:
            return found
    return {}


def _read_model(
    file: BinaryIO,
    header: TensorFileHeader,
    entries: Mapping[str, TensorEntry],
    architecture: Architecture,
    file_name: str,
) -> ConvVAE:
    model = _network(architecture, header.size, file_name)
    weights = model.state_dict()
    _check_names(weights, entries, file_name)
    for name, tensor in weights.items():
        _check_shape(tensor, entries[name], name, file_name)
    for name, tensor in weights.items():
        tensor.copy_(_read_tensor(file, header.data_start, entries[name], name, file_name))
    return model.eval()


def _network(architecture: Architecture, file_size: int, file_name: str) -> ConvVAE:
    """Build the network unless its linear layers alone are larger than the file; draw no one's random numbers."""
    linear = 3 * flatten_size(_spatial(architecture)) * architecture.latent_dim
    if linear * _BYTES_OF_A_WEIGHT > file_size:
        raise ModelFileError(f"{file_name} describes a network far larger than the file")
    with torch.random.fork_rng(devices=[]):
        return ConvVAE(architecture.latent_dim, architecture.n_mels, architecture.time_frames)


def _spatial(architecture: Architecture) -> tuple[int, int]:
    return spatial_size(architecture.n_mels, architecture.time_frames)


def _check_names(expected: Iterable[str], found: Iterable[str], file_name: str) -> None:
    missing, unknown = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing:
        raise ModelFileError(f"{file_name} lacks {len(missing)} of the network's tensors, {missing[0]!r} first")
    if unknown:
        raise ModelFileError(f"{file_name} holds a tensor that the network doesn't have: {unknown[0][:60]!r}")


def _check_shape(tensor: Tensor, entry: TensorEntry, name: str, file_name: str) -> None:
    if entry.dtype != "F32" or entry.shape != tuple(tensor.shape):
        raise ModelFileError(
            f"{file_name} holds {name} as {entry.dtype} {list(entry.shape)}, the network needs F32 {list(tensor.shape)}"
        )


def _read_tensor(file: BinaryIO, data_start: int, entry: TensorEntry, name: str, file_name: str) -> Tensor:
    try:
        file.seek(data_start + entry.begin)
        data = bytearray(file.read(entry.end - entry.begin))
    except OSError as error:
        raise ModelFileError(f"{file_name} can't be read: {error.strerror}") from None
    if len(data) != entry.end - entry.begin:
        raise ModelFileError(f"{file_name} became shorter while it was read")
    tensor = torch.frombuffer(data, dtype=torch.float32).reshape(entry.shape)
    _check_finite(tensor, name, file_name)
    return tensor


def _check_finite(tensor: Tensor, name: str, file_name: str) -> None:
    if not tensor.isfinite().all():
        raise ModelFileError(f"{file_name} would be of no use: {name} holds numbers that aren't finite")
