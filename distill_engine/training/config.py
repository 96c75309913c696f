"""Everything one may set about a run: names, sentences, units, defaults and limits, declared once.

The same declaration feeds `--set`, the TOML file and the dashboard's form. Every dataclass here is frozen, checks itself
wherever one is made, and is replaced whole, never changed.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from distill_engine.errors import ConfigError

Value = bool | int | float | str


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a field may hold, and how it is explained to a person.

    `low` and `high` are inclusive bounds of a number in `unit`; `choices` are the only texts allowed, and `pattern` the
    shape of one where they can't be listed.
    """

    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[Value, ...] = ()
    pattern: str = ""


def _setting(default: Value, help: str, **limits: Any) -> Any:  # noqa: A002 - the word the form and the file use
    return field(default=default, metadata={"limits": Limits(help=help, **limits)})


@dataclass(frozen=True, kw_only=True)
class ComplexSpectrogramConfig:
    """The two-channel representation: mel magnitude and instantaneous frequency of each band."""

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
                f"hop_length {self.hop_length} is more than half of n_fft {self.n_fft}",
                "frames must overlap by half at least",
                "hop_length",
            )

    @property
    def time_frames(self) -> int:
        """Frames of one training piece, a second of sound: 94 with the defaults."""
        return self.sample_rate // self.hop_length + 1
