"""How fast steps are on this machine, on a CPU in each of the ways there are: measured once, and kept.

Which is the fastest of fp32 and bf16, and of how maps lie in memory, differs from one processor to the next and with
torch's version, so it is tried: a few steps of each way, in turns, of which the quickest counts. What came of it lies
beside the spectrogram cache, under a name made of all that it depends on; it may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar, cast

import msgspec
import torch
from msgspec import Meta, Struct
from torch import Tensor

from distill_engine import atomic
from distill_engine.small_files import UNREADABLE, read_small
from distill_engine.training.computing import as_configured
from distill_engine.training.config import MemoryFormat, Precision, TrainingConfig, replaced
from distill_engine.training.state import fresh_state
from distill_engine.training.step import Rates, Stepper
from distill_engine.versions import versions

T = TypeVar("T")

FOLDER = "speeds"
_ROUNDS = 3
MOST_PIECES = 32
"""The largest batch that ways are tried with: larger ones take longer to try, and differ less."""

TRIAL_RATES = Rates(learning=1e-3, kl=1e-3)


class Speed(Struct, frozen=True, kw_only=True):
    """How many pieces a second steps take in one way."""

    precision: Precision
    memory_format: MemoryFormat
    pieces_per_second: Annotated[float, Meta(gt=0)]


def measured(config: TrainingConfig, cache: Path, *, most: int = MOST_PIECES) -> list[Speed]:
    """Return the speed of each way that `config` leaves open, one for a decided one; measured now, or here before.

    `config.device` is decided. Steps are of `most` pieces at the most. It takes about a second a way the first time.
    What can't be kept is measured again the next time.
    """
    ways = _ways(config)
    size = min(config.batch_size, most)
    what = (size, ways)
    one_a_way = Annotated[list[Speed], Meta(min_length=len(ways), max_length=len(ways))]
    return kept(cache, config, what, one_a_way, lambda: _measured_now(config, ways, size))


def kept(cache: Path, config: TrainingConfig, what: object, kind: object, measure: Callable[[], T]) -> T:
    """Return what `measure` came to here before with such a `config` and the same `what`, or comes to now."""
    path = cache / FOLDER / f"{_key(config, what)}.json"
    try:
        return cast(T, msgspec.json.decode(read_small(path), type=kind))
    except (OSError, *UNREADABLE):
        pass
    found = measure()
    with contextlib.suppress(OSError):
        atomic.write_bytes(path, msgspec.json.encode(found))
    return found


def fastest(speeds: list[Speed]) -> Speed:
    """Return the fastest of them."""
    return max(speeds, key=lambda speed: speed.pieces_per_second)


def has_native_bf16() -> bool:
    """Tell whether this processor has bf16 arithmetic; where it is emulated it is many times slower."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def _ways(config: TrainingConfig) -> list[tuple[Precision, MemoryFormat]]:
    native: tuple[Precision, ...] = ("fp32", "bf16") if has_native_bf16() else ("fp32",)
    all_formats: tuple[MemoryFormat, ...] = ("contiguous", "channels_last")
    precisions = native if config.precision == "auto" else (config.precision,)
    formats = all_formats if config.memory_format == "auto" else (config.memory_format,)
    return [(one, other) for one in precisions for other in formats]


def trial_batch(config: TrainingConfig, size: int) -> Tensor:
    """Return so many pieces to time steps with."""
    spectrogram = config.complex_spectrogram
    random = torch.Generator().manual_seed(0)
    return torch.rand(size, 2, spectrogram.n_mels, spectrogram.time_frames, generator=random).to(config.device)


def trial_stepper(config: TrainingConfig) -> Stepper:
    """Return what takes steps of a model of its own."""
    return Stepper(fresh_state(config, torch.device(config.device)), config)


def in_turns(steppers: Sequence[Stepper], batch: Tensor) -> list[float]:
    """Return the least seconds of a step of each, after a first one that doesn't count."""
    seconds = [[step_seconds(stepper, batch, number) for stepper in steppers] for number in range(1 + _ROUNDS)]
    return [min(of_one) for of_one in zip(*seconds[1:], strict=True)]


def step_seconds(stepper: Stepper, batch: Tensor, number: int = 0) -> float:
    """Return what one step takes."""
    start = time.perf_counter()
    stepper.take(batch, number + 1, TRIAL_RATES).tolist()  # which waits for it
    return time.perf_counter() - start


def _measured_now(config: TrainingConfig, ways: Sequence[tuple[Precision, MemoryFormat]], size: int) -> list[Speed]:
    batch = trial_batch(config, size)
    ways_set = [replaced(config, {"precision": one, "memory_format": other, "compile": "off"}) for one, other in ways]
    with as_configured(config):
        best = in_turns([trial_stepper(one) for one in ways_set], batch)
    return [
        Speed(precision=one, memory_format=other, pieces_per_second=size / least)
        for (one, other), least in zip(ways, best, strict=True)
    ]


def _key(config: TrainingConfig, what: object) -> str:
    spectrogram = config.complex_spectrogram
    told = (
        torch.cuda.get_device_name(config.device) if config.device != "cpu" else _processor(),
        torch.get_num_threads(),
        sorted(versions().items()),
        (spectrogram.n_mels, spectrogram.time_frames, config.latent_dim),
        what,
    )
    return hashlib.blake2b(repr(told).encode(), digest_size=16).hexdigest()


def _processor() -> str:
    """Return what the system calls the processor; Linux alone tells its model."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = sorted({line.partition(":")[2].strip() for line in lines if line.startswith("model name")})
    return ", ".join(models) or platform.processor() or platform.machine()
