"""What a `.distill` file says about its model besides the weights: one JSON document in the file's header.

The library reads it without torch. Fields may be added with a default and stay in FORMAT; a change that older programs
would misread counts FORMAT up, and they then refuse the file by its number alone.
"""

from __future__ import annotations

import math
import uuid
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from distill_engine.errors import ConfigError, ModelFileError
from distill_engine.models.tensor_file import TensorFileHeader, read_header
from distill_engine.small_files import UNREADABLE
from distill_engine.training.config import ComplexSpectrogramConfig
from distill_engine.words import size

FORMAT = 1
SUFFIX = ".distill"
METADATA_KEY = "distill"

LARGEST_MODEL = 1 << 30
"""Bytes: of the largest network there may be, weights take a little over half of that."""

_LOWEST_FLOOR, _LEAST_SCALE, _LARGEST_SCALE = -40.0, 1e-3, 1e3
"""Far beyond any recording's: nepers under a sine at full scale, and nepers that make 1."""


class Architecture(Struct, frozen=True, kw_only=True):
    """The network's shape: what `ConvVAE` takes. Pieces are as large as the settings of a run let them be at most."""

    latent_dim: Annotated[int, Meta(ge=1, le=65_536)] = 128
    n_mels: Annotated[int, Meta(ge=1, le=256)] = 128
    time_frames: Annotated[int, Meta(ge=1, le=376)] = 94


class Representation(Struct, frozen=True, kw_only=True):
    """The spectrogram the model knows, as in `ComplexSpectrogramConfig`, whose defaults and limits hold."""

    sample_rate: int = ComplexSpectrogramConfig.sample_rate
    n_fft: int = ComplexSpectrogramConfig.n_fft
    hop_length: int = ComplexSpectrogramConfig.hop_length
    n_mels: int = ComplexSpectrogramConfig.n_mels
    if_masking_threshold: float = ComplexSpectrogramConfig.if_masking_threshold

    def __post_init__(self) -> None:
        if self.sample_rate != ComplexSpectrogramConfig.sample_rate:
            raise ValueError(f"sample_rate is {self.sample_rate}, not {ComplexSpectrogramConfig.sample_rate}")
        try:
            self.config()
        except ConfigError as error:
            raise ValueError(error.message) from None

    @classmethod
    def of(cls, config: ComplexSpectrogramConfig) -> Representation:
        """Return the representation that `config` describes."""
        return cls(
            n_fft=config.n_fft,
            hop_length=config.hop_length,
            n_mels=config.n_mels,
            if_masking_threshold=config.if_masking_threshold,
        )

    def config(self) -> ComplexSpectrogramConfig:
        """Return it as the analysis takes it."""
        return ComplexSpectrogramConfig(
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            n_mels=self.n_mels,
            if_masking_threshold=self.if_masking_threshold,
        )


class MagnitudeRange(Struct, frozen=True, kw_only=True):
    """The normalisation the model was trained with: the raw log-magnitude that is 0, and how many nepers make 1."""

    magnitude_floor: float
    magnitude_scale: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.magnitude_floor) and math.isfinite(self.magnitude_scale)):
            raise ValueError("magnitude_floor and magnitude_scale must be finite")
        if self.magnitude_scale <= 0:
            raise ValueError(f"magnitude_scale must be greater than 0, not {self.magnitude_scale}")
        if not (_LOWEST_FLOOR <= self.magnitude_floor <= 0 and _LEAST_SCALE <= self.magnitude_scale <= _LARGEST_SCALE):
            raise ValueError(
                f"no sound has a floor of {self.magnitude_floor:g} nepers and a scale of {self.magnitude_scale:g}"
            )


_Count = Annotated[int, Meta(ge=0, le=1 << 53)]
_Measure = Annotated[float, Meta(ge=-1e6, le=1e6)]


class Distance(Struct, frozen=True, kw_only=True):
    """How far sounds are from their originals: LSD in dB, spectral convergence, bands in dB."""

    lsd: _Measure | None = None
    sc: _Measure | None = None
    band: _Measure | None = None


KNOWN_MOST = 4096
"""How many recordings a model's file tells that it was trained on, at most."""


def recording_key(digest: str) -> str:
    """Return what a model's file tells a recording by: the first 12 hexadecimal digits of its content's digest."""
    return digest[:12]


class TrainingSummary(Struct, frozen=True, kw_only=True):
    """Where the model comes from."""

    dataset: str = ""
    """The name of the folder of recordings."""

    recordings: _Count = 0
    seconds: Annotated[float, Meta(ge=0, le=1e12)] = 0.0
    """Length of all recordings together."""

    epochs: _Count = 0
    steps: _Count = 0
    best_epoch: _Count = 0
    """The one whose weights these are; 0 where training ended within the first."""

    best_validation_loss: float | None = None
    preview: Distance | None = None
    """Of the reconstructed validation recordings."""

    floor: Distance | None = None
    """Of the same recordings through the representation alone: no model gets below."""

    finished: str = ""
    """When, in UTC, as ISO 8601."""

    known: Annotated[tuple[Annotated[str, Meta(pattern=r"^[0-9a-f]{12}\Z")], ...], Meta(max_length=KNOWN_MOST)] = ()
    """The recordings it was trained on, as `recording_key` tells them, sorted; empty where nothing tells."""

    versions: dict[str, str] = field(default_factory=dict)
    """Versions of distill, torch, … under their names."""

    config: str = ""
    """The run's configuration, as TOML."""


_MOST = 1e4
"""Latents of a trained model stay far below it; a stranger's file may not make numbers overflow."""

_Number = Annotated[float, Meta(ge=-_MOST, le=_MOST)]


class LatentAxis(Struct, frozen=True, kw_only=True):
    """A direction in latent space along which the encoded corpus spreads, and what it does to the sound.

    A slider at v stands for v standard deviations of the corpus along it.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9 -]{0,39}\Z")]
    """What a slider is called: a measure, such as "brightness", or "axis 5" where none follows it honestly."""

    direction: tuple[Annotated[float, Meta(ge=-1, le=1)], ...]
    """[latent_dim], of unit length. Axes are uncorrelated over the corpus, not always orthogonal: independent standard
    normal weights on all of them draw from the corpus's own Gaussian."""

    deviation: Annotated[float, Meta(gt=0, le=_MOST)]
    """The length of the step that a slider value of 1 is, in latent units."""

    low: Annotated[float, Meta(ge=-10, le=0)]
    """The lowest slider value at which the sound stays safe and, of a named axis, does what the name says."""

    high: Annotated[float, Meta(ge=0, le=10)]

    correlation: Annotated[float, Meta(ge=-1, le=1)] = 0.0
    """How strictly what the axis is named after follows it, from -1 to 1; 0 where it is only numbered."""

    @property
    def is_named(self) -> bool:
        """Whether it is called after what one hears, and not by its number."""
        return not self.name.startswith("axis ")


def new_model_id() -> str:
    """Return a fresh id: 32 hexadecimal digits."""
    return uuid.uuid4().hex


class ModelInfo(Struct, frozen=True, kw_only=True):
    """All about a model but its weights. `name` is what it was trained as; in the library the file's name counts."""

    format: int = FORMAT
    id: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")] = field(default_factory=new_model_id)
    name: str
    architecture: Architecture = field(default_factory=Architecture)
    representation: Representation = field(default_factory=Representation)
    normalisation: MagnitudeRange
    training: TrainingSummary = field(default_factory=TrainingSummary)
    latent_mean: tuple[_Number, ...] = ()
    """[latent_dim]: the middle of the encoded corpus; empty before an analysis."""

    latent_rest: Annotated[float, Meta(ge=0, le=_MOST)] = 1.0
    """The corpus's standard deviation along a direction orthogonal to all axes, in latent units."""

    latent_axes: Annotated[tuple[LatentAxis, ...], Meta(max_length=64)] = ()
    """What an analysis found, the named ones first, the others by their width; empty before one."""

    def __post_init__(self) -> None:
        if self.architecture.n_mels != self.representation.n_mels:
            raise ValueError(
                f"the network has {self.architecture.n_mels} bands and the spectrogram {self.representation.n_mels}"
            )
        if (self.latent_axes or self.latent_mean) and len(self.latent_mean) != self.architecture.latent_dim:
            raise ValueError(f"the middle has {len(self.latent_mean)} numbers, not {self.architecture.latent_dim}")
        for axis in self.latent_axes:
            if len(axis.direction) != self.architecture.latent_dim:
                raise ValueError(f"an axis has {len(axis.direction)} numbers, not {self.architecture.latent_dim}")
        if len({axis.name for axis in self.latent_axes}) < len(self.latent_axes):
            raise ValueError("two axes have one name")


class _Version(Struct):
    format: int


def encode_info(info: ModelInfo) -> str:
    """Return the JSON document for a file's header. Of what may be missing, numbers that aren't finite become null.

    Raises:
        ModelFileError: `decode_info` would refuse it, as for any other number that isn't finite.
    """
    document = msgspec.json.encode(info).decode()
    decode_info(document, f"the model {info.name!r}")
    return document


def decode_info(document: str, file_name: str) -> ModelInfo:
    """Read what `encode_info` wrote; raises ModelFileError, naming the file, for anything else or a newer format."""
    try:
        version = msgspec.json.decode(document, type=_Version).format
        if version == FORMAT:
            return msgspec.json.decode(document, type=ModelInfo)
    except UNREADABLE as error:
        raise ModelFileError(f"{file_name} has a description that can't be read: {error}") from None
    raise ModelFileError(
        f"{file_name} is a model of format {version}, and this Distill reads format {FORMAT}",
        "update Distill to open it" if version > FORMAT else "",
    )


def info_in(header: TensorFileHeader, file_name: str) -> ModelInfo:
    """Return the description in a checked header; raises ModelFileError."""
    document = header.metadata.get(METADATA_KEY)
    if header.size > LARGEST_MODEL:
        raise ModelFileError(f"{file_name} is larger than any model, {size(header.size)}", "name a .distill file")
    if document is None:
        raise ModelFileError(f"{file_name} holds tensors but is no Distill model", "name a .distill file")
    return decode_info(document, file_name)


def read_info(path: Path) -> ModelInfo:
    """Read a model's description from its header alone.

    Raises:
        NotFoundError: there is no such file.
        ModelFileError: it is no model, or not a whole one.
    """
    return info_in(read_header(path), path.name)
