"""Everything one may set about a run: names, sentences, units, defaults and limits, declared once.

The same declaration feeds `--set`, the TOML file and the dashboard's form. Every dataclass here is frozen, checks
itself wherever one is made, and is replaced whole, never changed. Each part knows the dotted name of its group, so a
refusal names the whole key (`loss.kl.weight`) no matter who built the part.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar

from distill_engine.errors import ConfigError

Value = bool | int | float | str
Schedule = Literal["cosine", "constant"]
Precision = Literal["auto", "fp32", "bf16"]
MemoryFormat = Literal["auto", "contiguous", "channels_last"]
Compile = Literal["off", "auto", "on"]

NOISE_OFF_DB = -120.0
"""`augmentation.noise_db` at this level, its lowest, means that no noise is added."""

KIND_WORDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a field may hold, and how it is explained to a person.

    `low` and `high` are inclusive bounds of a number in `unit`; `choices` are the only values allowed, and `pattern`
    the shape of a text where they can't be listed, with `shape` the same in words. `reason` says why a limit is where
    it is, where that isn't plain.
    """

    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[Value, ...] = ()
    pattern: str = ""
    shape: str = ""
    reason: str = ""

    @property
    def words(self) -> str:
        """What is allowed, as a person would say it: "1 to 4096 pieces", "auto, fp32 or bf16"."""
        unit = f" {self.unit}" if self.unit else ""
        if self.choices:
            *others, last = (str(one).lower() if isinstance(one, bool) else str(one) for one in self.choices)
            return f"{', '.join(others)} or {last}{unit}"
        if self.pattern:
            return self.shape
        assert self.low is not None
        assert self.high is not None
        return f"{_shown(self.low)} to {_shown(self.high)}{unit}"


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """One setting as flags, the file and the form see it: `key` is its dotted name, `group` all before the last dot."""

    key: str
    group: str
    name: str
    kind: type[Value]
    default: Value
    limits: Limits


def _setting(default: Value, help: str, **limits: Any) -> Any:  # noqa: A002, ANN401 - the form's word; any field
    return field(default=default, metadata={"limits": Limits(help=help, **limits)})


class _Part:
    """What every part of the configuration has: a group, and a check of all its fields when one is made."""

    group: ClassVar[str] = ""

    def __post_init__(self) -> None:
        check(self)


P = TypeVar("P", bound=_Part)


@dataclass(frozen=True, kw_only=True)
class ComplexSpectrogramConfig(_Part):
    """The two-channel representation: mel magnitude and instantaneous frequency of each band."""

    group: ClassVar[str] = "complex_spectrogram"
    sample_rate: ClassVar[int] = 48_000
    """Every recording is brought to this rate, in Hz."""

    n_fft: int = _setting(2048, "Length of an analysis window.", unit="samples", choices=(512, 1024, 2048, 4096))
    hop_length: int = _setting(512, "Step from one frame to the next.", unit="samples", choices=(128, 256, 512, 1024))
    n_mels: int = _setting(128, "Mel bands from 0 Hz to half the sample rate.", unit="bands", low=32, high=256)
    if_masking_threshold: float = _setting(
        -90.0,
        "Bands quieter than this, against full scale, get no frequency: it would be that of noise.",
        unit="dB",
        low=-110.0,
        high=0.0,
    )

    def __post_init__(self) -> None:
        check(self)
        if self.hop_length * 2 > self.n_fft:
            raise ConfigError(
                f"complex_spectrogram.hop_length is {self.hop_length}, more than half of n_fft, {self.n_fft}",
                "frames must overlap by half at least: take a smaller hop_length or a larger n_fft",
                "complex_spectrogram.hop_length",
                also=("complex_spectrogram.n_fft",),
            )

    @property
    def time_frames(self) -> int:
        """Frames of one training piece, a second of sound: 94 with the defaults."""
        return self.sample_rate // self.hop_length + 1


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig(_Part):
    """Altered copies of each training recording, made before the cache, and pieces altered whenever they are drawn.

    Validation recordings are never altered.
    """

    group: ClassVar[str] = "augmentation"

    copies: int = _setting(
        2, "Altered copies made of each training recording; 0 trains on the recordings alone.", low=0, high=100
    )
    speed_percent: float = _setting(
        5.0,
        "A copy plays faster or slower by up to this much, pitch included; 0 switches it off.",
        unit="percent",
        low=0.0,
        high=50.0,
    )
    gain_db: float = _setting(
        3.0, "A copy is louder or softer by up to this much; 0 switches it off.", unit="dB", low=0.0, high=24.0
    )
    noise_db: float = _setting(
        -50.0,
        "Level of the noise added to a copy, against the recording's own RMS level; -120 switches it off.",
        unit="dB",
        low=NOISE_OFF_DB,
        high=0.0,
    )
    shift_ms: float = _setting(
        5.0,
        "A copy starts earlier or later by up to this much, so that frames fall elsewhere on it; 0 switches it off.",
        unit="ms",
        low=0.0,
        high=1000.0,
    )

    level_db: float = _setting(
        12.0,
        "Each training piece is made louder or softer by up to this much whenever it is drawn; 0 switches it off.",
        unit="dB",
        low=0.0,
        high=40.0,
    )
    tone_db: float = _setting(
        9.0,
        "Each training piece is sent through a random, smooth equaliser of up to this much; 0 switches it off.",
        unit="dB",
        low=0.0,
        high=40.0,
    )

    def __post_init__(self) -> None:
        check(self)
        altered = self.speed_percent or self.gain_db or self.shift_ms or self.noise_db > NOISE_OFF_DB
        if self.copies and not altered:
            raise ConfigError(
                f"augmentation.copies is {self.copies}, but speed, gain, noise and shift are all switched off",
                "copies equal to their source teach nothing: set augmentation.copies to 0, or switch one of them on",
                "augmentation.copies",
                also=tuple(f"augmentation.{name}" for name in ("speed_percent", "gain_db", "noise_db", "shift_ms")),
            )


@dataclass(frozen=True, kw_only=True)
class RegularizationConfig(_Part):
    """What keeps the model from learning the recordings by heart, and a step from going too far."""

    group: ClassVar[str] = "regularization"

    dropout: float = _setting(
        0.0,
        "Share of activations left out at random in a training step.",
        low=0.0,
        high=0.9,
    )
    weight_decay: float = _setting(
        1e-4, "How strongly each step pulls the weights towards zero; 0 switches it off.", low=0.0, high=1.0
    )
    gradient_clip: float = _setting(
        1.0, "Longer gradients are shortened to this norm; 0 switches it off.", low=0.0, high=1000.0
    )


@dataclass(frozen=True, kw_only=True)
class ReconstructionLossConfig(_Part):
    """How much each channel of the spectrogram counts in the reconstruction."""

    group: ClassVar[str] = "loss.reconstruction"

    magnitude_weight: float = _setting(
        4.0, "Weight of the error in loudness, band by band and frame by frame.", low=0.0, high=1000.0
    )
    frequency_weight: float = _setting(
        0.5, "Weight of the error in pitch within a band; loud bands count more.", low=0.0, high=1000.0
    )


@dataclass(frozen=True, kw_only=True)
class StftLossConfig(_Part):
    """A spectral loss at several resolutions, along the spectrogram's own axes."""

    group: ClassVar[str] = "loss.stft"

    weight: float = _setting(
        0.5, "Weight of the spectral error at several resolutions; 0 switches it off.", low=0.0, high=1000.0
    )
    resolutions: int = _setting(3, "How many resolutions are compared, from fine to coarse.", low=1, high=5)


@dataclass(frozen=True, kw_only=True)
class KlLossConfig(_Part):
    """What keeps the latent space smooth, so that samples and sliders give sound and not noise."""

    group: ClassVar[str] = "loss.kl"

    weight: float = _setting(
        1e-4,
        "Final weight of the KL divergence: more gives a smoother latent space and a blurrier sound.",
        low=0.0,
        high=100.0,
    )
    ramp_fraction: float = _setting(
        0.3, "Share of all steps over which the KL weight grows from 0 to its final value.", low=0.0, high=1.0
    )
    free_bits: float = _setting(
        0.1,
        "KL divergence that each latent dimension may have free of charge, so that none is silenced early.",
        unit="nats",
        low=0.0,
        high=10.0,
    )


@dataclass(frozen=True, kw_only=True)
class LossConfig(_Part):
    """The parts of the loss; each is reported under its own name."""

    group: ClassVar[str] = "loss"

    reconstruction: ReconstructionLossConfig = field(default_factory=ReconstructionLossConfig)
    stft: StftLossConfig = field(default_factory=StftLossConfig)
    kl: KlLossConfig = field(default_factory=KlLossConfig)

    def __post_init__(self) -> None:
        check(self)
        if not (self.reconstruction.magnitude_weight or self.reconstruction.frequency_weight or self.stft.weight):
            raise ConfigError(
                "loss.reconstruction.magnitude_weight, its frequency_weight and loss.stft.weight are all 0",
                "nothing would ask the model to resemble the recordings: set one of them above 0",
                "loss.reconstruction.magnitude_weight",
                also=("loss.reconstruction.frequency_weight", "loss.stft.weight"),
            )


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(_Part):
    """All settings of one training run."""

    max_epochs: int = _setting(
        200, "The run ends after this many passes over the training pieces.", unit="epochs", low=1, high=100_000
    )
    max_minutes: float = _setting(
        0.0,
        "The run ends after this long, whatever the epoch; 0 sets no limit.",
        unit="minutes",
        low=0.0,
        high=100_000.0,
    )
    batch_size: int = _setting(
        32,
        "Pieces of a second each that one step learns from; 0 takes what half of the free memory holds, 256 at most.",
        unit="pieces",
        low=0,
        high=4096,
    )
    learning_rate: float = _setting(
        1e-3, "How far one step moves the weights, after the warm-up; halve it if the loss jumps.", low=1e-8, high=1.0
    )
    learning_rate_schedule: Schedule = _setting(  # noqa: RUF009
        "cosine",
        "After the warm-up, cosine lowers the learning rate smoothly towards the end; constant keeps it.",
        choices=typing.get_args(Schedule),
    )
    warmup_steps: int = _setting(
        50, "Steps over which the learning rate rises from near 0.", unit="steps", low=0, high=100_000
    )
    ema_decay: float = _setting(
        0.999,
        "Keep a running average of the weights with this decay, such as 0.999; 0 switches it off.",
        low=0.0,
        high=0.99999,
    )
    early_stop_epochs: int = _setting(
        0,
        "The run ends when validation hasn't improved for this long; 0 switches it off.",
        unit="epochs",
        low=0,
        high=100_000,
    )
    latent_dim: int = _setting(
        128,
        "Numbers that describe one second of sound: fewer are easier to steer, more keep detail.",
        unit="dimensions",
        low=1,
        high=1024,
    )
    seed: int = _setting(0, "Start of every random draw; the same seed gives the same run.", low=0, high=2**32 - 1)
    device: str = _setting(
        "auto",
        "Where to train; auto takes a GPU where there is one.",
        pattern=r"auto|cpu|cuda(:[0-9]{1,3})?",
        shape="auto, cpu, cuda or cuda:N",
    )
    num_processes: int = _setting(
        1,
        "Processes that train together and share each batch; each has a GPU of its own where the run is on GPUs.",
        low=1,
        high=256,
    )
    precision: Precision = _setting(  # noqa: RUF009
        "auto",
        "Numbers the model computes in: bf16 is often faster; auto picks what the device does well.",
        choices=typing.get_args(Precision),
    )
    memory_format: MemoryFormat = _setting(  # noqa: RUF009
        "auto",
        "How feature maps lie in memory, which changes nothing but the speed; auto takes what is quicker here.",
        choices=typing.get_args(MemoryFormat),
    )
    compile: Compile = _setting(  # noqa: RUF009
        "off",
        "Let torch compile the network: auto measures whether that pays for this run, which takes a minute the first "
        "time; it is left out where there is no compiler.",
        choices=typing.get_args(Compile),
    )
    deterministic: bool = _setting(
        False,
        "On a GPU, take only operations that give the same bits each time: a resumed run then equals one never "
        "interrupted, and steps take longer. On a CPU it is always so.",
        choices=(False, True),
    )
    val_fraction: float = _setting(
        0.1, "Share of the recordings kept aside to judge the model on; 0 trains on all.", low=0.0, high=0.5
    )
    checkpoint_interval: int = _setting(
        10, "A checkpoint is saved after every so many epochs, and at the end.", unit="epochs", low=1, high=100_000
    )
    checkpoint_minutes: float = _setting(
        1.0, "Least time between two checkpoints during the run.", unit="minutes", low=0.0, high=1440.0
    )
    checkpoint_keep: int = _setting(
        2,
        "Newest checkpoints kept; each holds the best weights too.",
        unit="checkpoints",
        low=2,
        high=1000,
        reason="With fewer than two, one damaged file could cost the whole run.",
    )
    preview_interval: int = _setting(
        10, "The model is made audible after every so many epochs, and at the end.", unit="epochs", low=1, high=100_000
    )
    preview_minutes: float = _setting(
        1.0, "Least time between two previews during the run.", unit="minutes", low=0.0, high=1440.0
    )
    preview_recordings: int = _setting(
        2, "Validation recordings written beside their reconstructions in a preview.", unit="recordings", low=0, high=32
    )
    preview_samples: int = _setting(3, "New sounds drawn from the model in a preview.", unit="samples", low=0, high=32)
    preview_seconds: float = _setting(
        4.0, "Greatest length of each recording and sound in a preview.", unit="seconds", low=0.5, high=60.0
    )
    complex_spectrogram: ComplexSpectrogramConfig = field(default_factory=ComplexSpectrogramConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    regularization: RegularizationConfig = field(default_factory=RegularizationConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        check(self)
        if self.batch_size % self.num_processes:
            raise ConfigError(
                f"batch_size is {self.batch_size}, not a multiple of num_processes, {self.num_processes}",
                "the processes share each batch evenly: change one of the two",
                "batch_size",
                also=("num_processes",),
            )


def check(part: _Part) -> None:
    """Check every field of `part`, a dataclass of this module, and make whole numbers in float fields floats.

    Raises ConfigError with the dotted key for a wrong type, a number that isn't finite or is out of range, or a text
    that is not allowed.
    """
    for entry in _fields(type(part)):
        key, value = _dotted(part.group, entry.name), getattr(part, entry.name)
        if "limits" in entry.metadata:
            object.__setattr__(part, entry.name, _checked(key, value, type(entry.default), entry.metadata["limits"]))
        elif type(value) is not entry.default_factory:
            raise ConfigError(f"{key} is a group of settings, not {_shown(value)}", key=key)


def fields_of(part: type[_Part]) -> tuple[Declaration, ...]:
    """Return every setting of `part` and of the parts within it, in the order of the file and the form."""
    return tuple(_declarations(part))


def _declarations(part: type[_Part]) -> Iterator[Declaration]:
    for entry in _fields(part):
        if "limits" not in entry.metadata:
            yield from _declarations(entry.default_factory)
            continue
        yield Declaration(
            key=_dotted(part.group, entry.name),
            group=part.group,
            name=entry.name,
            kind=type(entry.default),
            default=entry.default,
            limits=entry.metadata["limits"],
        )


@functools.cache
def declarations() -> Mapping[str, Declaration]:
    """Return every setting of a TrainingConfig under its dotted key, in the order of the file and the form."""
    return {entry.key: entry for entry in fields_of(TrainingConfig)}


def declaration(key: str) -> Declaration:
    """Return the setting named `key`, or raise ConfigError that names the nearest real one."""
    found = declarations().get(key)
    if found is not None:
        return found
    inside = [name for name in declarations() if name.startswith(f"{key}.")]
    if inside:
        raise ConfigError(f"{key} is a group of settings, not a setting", f"in it are {', '.join(inside)}", key)
    raise ConfigError(f"there is no setting {key!r}", _nearest(key), key)


def get(config: TrainingConfig, key: str) -> Value:
    """Return the value of the setting `key`, a dotted name; an unknown key raises ConfigError."""
    value: Any = config
    for name in declaration(key).key.split("."):
        value = getattr(value, name)
    return typing.cast(Value, value)


def checked_value(key: str, value: object) -> Value:
    """Return `value` as the setting `key` takes it, or raise ConfigError.

    Whether it goes with the values of other settings is for `replaced` to tell.
    """
    entry = declaration(key)
    return _checked(key, value, entry.kind, entry.limits)


def replaced(config: TrainingConfig, values: Mapping[str, object]) -> TrainingConfig:
    """Return `config` with the settings of `values` (dotted key to value) in place of its own, checked together.

    Raises ConfigError for an unknown key or a value that is not allowed.
    """
    for key in values:
        declaration(key)
    return _replaced(config, values)


def _replaced(part: P, values: Mapping[str, object]) -> P:
    changes: dict[str, Any] = {}
    for entry in _fields(type(part)):
        key = _dotted(part.group, entry.name)
        if key in values:
            changes[entry.name] = values[key]
        elif any(name.startswith(f"{key}.") for name in values):
            changes[entry.name] = _replaced(getattr(part, entry.name), values)
    return dataclasses.replace(part, **changes)  # type: ignore[type-var]  # every subclass is a dataclass


def _dotted(group: str, name: str) -> str:
    return f"{group}.{name}" if group else name


def _fields(part: type[Any]) -> tuple[Any, ...]:
    """Return the fields of `part`; those with limits are settings, whose default tells the type, the others parts."""
    return dataclasses.fields(part)


def _checked(key: str, value: object, kind: type, limits: Limits) -> Value:
    """Return `value` as a plain `kind` within `limits`, or raise ConfigError."""
    if not _fits(value, kind):
        shown = repr(value) if isinstance(value, float) else _shown(value)  # 32.0 for a whole number: show the .0
        raise _refusal(key, f"must be {KIND_WORDS[kind]}, not {shown}", limits)
    if isinstance(value, float) and not math.isfinite(value):
        raise _refusal(key, f"is {value}, not a finite number", limits)
    unlisted = limits.choices and value not in limits.choices
    if unlisted or (limits.pattern and not re.fullmatch(limits.pattern, str(value))):
        raise ConfigError(f"{key} is {_shown(value)}, not {limits.words}", limits.help, key)
    _check_range(key, value, limits)
    return typing.cast(Value, kind(value))


def _fits(value: object, kind: type) -> bool:
    if isinstance(value, bool):  # a bool is an int to Python, but `batch_size = true` is a slip
        return kind is bool
    return isinstance(value, kind) or (kind is float and isinstance(value, int))


def _check_range(key: str, value: object, limits: Limits) -> None:
    if not isinstance(value, int | float):
        return
    if limits.low is not None and value < limits.low:
        raise _refusal(key, f"is {_shown(value)}, below the least allowed, {_shown(limits.low)}", limits)
    if limits.high is not None and value > limits.high:
        raise _refusal(key, f"is {_shown(value)}, above the greatest allowed, {_shown(limits.high)}", limits)


def _refusal(key: str, what: str, limits: Limits) -> ConfigError:
    return ConfigError(f"{key} {what}", f"{limits.reason or limits.help} Allowed: {limits.words}", key)


def _shown(value: object) -> str:
    """Return `value` for a message: numbers plain (1, not 1.0), anything long cut."""
    match value:
        case bool():
            return str(value).lower()
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case int() if abs(value) > 1e15:
            return "a whole number of more than 15 digits"
        case int() | float() | str():
            return text if len(text := repr(value)) <= 60 else f"{text[:57]}..."
        case dict():
            return "a group"
        case _:
            return f"a {type(value).__name__}"


def _nearest(key: str) -> str:
    """Return a hint that names the real key which `key` most likely stands for."""
    name = key.rpartition(".")[2]
    keys_of: dict[str, list[str]] = {}
    for entry in declarations().values():
        keys_of.setdefault(entry.name, []).append(entry.key)
    near = keys_of.get(name, [])
    if len(near) != 1:
        groups = {entry.group for entry in declarations().values()} - {""}
        near = difflib.get_close_matches(key, [*declarations(), *groups], n=1, cutoff=0.65) or near
    if not near and len(name) > 1:
        near = [known for known in declarations() if name in known][:4]
    if not near:
        near = [found for like in difflib.get_close_matches(name, keys_of, n=1, cutoff=0.5) for found in keys_of[like]]
    if near:
        return f"did you mean {' or '.join(near)}?"
    return "the config.toml in any run's folder lists all settings"
