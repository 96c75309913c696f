"""Copies of a recording that differ in speed, level, noise and place: more to learn from, nothing to unlearn.

The decision: what a copy is (`CopyParameters`) is drawn once, from the seed, the recording's content and the copy's
number, and becomes part of the copy's address in the cache. No copy equals its source or another copy: a draw that
comes too near nothing is moved away from it, and where all ranges are zero there are no copies.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from distill_engine.audio.waveform import SAMPLE_RATE, resampled, without_start
from distill_engine.training.config import NOISE_OFF_DB, AugmentationConfig

SPEED_STEPS = 500  # 0.2 %, a thirtieth of a semitone; finer steps ask for larger filters and can't be heard apart
_NEAREST = 0.1  # of a range: nearer to unchanged than this a draw is moved out
_MOST_DROPPED = 0.1  # of a recording: a click of 0.05 s must survive a shift meant for longer ones
_ATTEMPTS = 64


@dataclass(frozen=True, kw_only=True)
class CopyParameters:
    """What is done to a recording to make one of its copies."""

    speed_steps: int = 0
    """Faster by so many 500ths; pitch goes with it, as on a tape."""
    shift_samples: int = 0
    """Later by so many samples at 48 kHz, after the change of speed; below zero earlier, which drops the start."""
    noise_db: float = NOISE_OFF_DB
    """RMS of the white noise added, against full scale, before the gain; -120 or less adds none."""
    gain_db: float = 0.0
    """Change of level; nothing later takes it back, and nothing clips."""
    noise_seed: int = 0
    """Seed of the noise."""

    @property
    def speed(self) -> Fraction:
        """Samples of the source that go by in one sample of the copy."""
        return Fraction(SPEED_STEPS + self.speed_steps, SPEED_STEPS)


def draw_copies(
    config: AugmentationConfig, *, seed: int, digest: str, rms_db: float, seconds: float
) -> tuple[CopyParameters, ...]:
    """Return the copies to make of a recording with this content digest (hex), level (dB full scale) and length.

    There are `config.copies` of them, fewer only where the ranges hold fewer that differ, none where all are zero.
    More copies leave the earlier ones as they were.
    """
    earliest = -int(_MOST_DROPPED * seconds * SAMPLE_RATE)
    copies: list[CopyParameters] = []
    for index in range(config.copies):
        for attempt in range(_ATTEMPTS):
            words = [seed, int(digest[:16], 16), index, attempt]
            copy = _draw(config, np.random.default_rng(np.random.SeedSequence(words)), rms_db, earliest)
            if copy not in (CopyParameters(), *copies):
                copies.append(copy)
                break
        else:
            break
    return tuple(copies)


def augment(blocks: Iterable[Tensor], copy: CopyParameters) -> Iterator[Tensor]:
    """Yield the copy of a recording given as mono blocks [n] at 48 kHz; needs no more memory than a few blocks."""
    return colour(warp(blocks, copy), copy)


def warp(blocks: Iterable[Tensor], copy: CopyParameters) -> Iterator[Tensor]:
    """Yield the blocks with the copy's speed and shift: the half of `augment` that moves sound in time."""
    moved = without_start(resampled(blocks, copy.speed), max(0, -copy.shift_samples))
    return itertools.chain([torch.zeros(copy.shift_samples)], moved) if copy.shift_samples > 0 else moved


def colour(blocks: Iterable[Tensor], copy: CopyParameters) -> Iterator[Tensor]:
    """Yield the blocks with the copy's noise and gain: the half of `augment` that leaves time alone."""
    noise = np.random.default_rng(copy.noise_seed)
    noise_rms = np.float32(10 ** (copy.noise_db / 20))
    gain = 10 ** (copy.gain_db / 20)
    for block in blocks:
        if copy.noise_db <= NOISE_OFF_DB:
            yield block * gain
        else:  # numpy's stream is the same whatever the lengths asked for; torch's isn't
            yield (block + torch.from_numpy(noise.standard_normal(len(block), dtype=np.float32) * noise_rms)) * gain


def _draw(config: AugmentationConfig, random: np.random.Generator, rms_db: float, earliest: int) -> CopyParameters:
    speed, gain, shift = (_away_from_zero(value) for value in random.uniform(-1.0, 1.0, 3))
    noise_on = config.noise_db > NOISE_OFF_DB
    return CopyParameters(
        speed_steps=_whole(speed * config.speed_percent / 100 * SPEED_STEPS),
        shift_samples=max(earliest, _whole(shift * config.shift_ms / 1000 * SAMPLE_RATE)),
        gain_db=_whole(gain * config.gain_db * 100) / 100,
        noise_db=round(max(rms_db + config.noise_db, NOISE_OFF_DB), 2) if noise_on else NOISE_OFF_DB,
        noise_seed=int(random.integers(1 << 53)) if noise_on else 0,
    )


def _away_from_zero(unit: float) -> float:
    return float(np.copysign(max(abs(unit), _NEAREST), unit))


def _whole(value: float) -> int:
    """Round to a whole number, away from zero, so that a small range still changes something."""
    return int(np.copysign(np.ceil(abs(value)), value))
