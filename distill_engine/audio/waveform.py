"""Recordings as mono waveforms at 48 kHz, a block at a time or whole.

The decision: resampling is done in sections that start where an input and an output sample coincide, so a stream has
the samples of the whole file resampled at once, and an hour of audio takes no more memory than a few seconds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from distill_engine.audio.io import read_blocks, read_header
from distill_engine.training.config import ComplexSpectrogramConfig

SAMPLE_RATE = ComplexSpectrogramConfig.sample_rate
BLOCK_SECONDS = 8.0
_FILTER_ZERO_CROSSINGS = 32  # on either side: 0.1 dB at 0.96 of the lower band limit, aliases under -80 dB
_LARGEST_FRACTION = 1000  # rates such as 44,101 Hz would ask for a filter of gigabytes; 1 ppm off is inaudible


class StreamingResampler:
    """Changes the rate of one long signal, pushed in pieces of any size; the pieces' borders leave no trace.

    `step` is how far to move in the input for one output sample: input rate / output rate.
    """

    def __init__(self, step: Fraction) -> None:
        self._exact_step = step
        self._step = _filterable(step)
        reach = _FILTER_ZERO_CROSSINGS * max(Fraction(1), step) + self._step.numerator
        # A multiple of the numerator, so that a section starts where an input and an output sample coincide.
        self._context = math.ceil(reach / self._step.numerator) * self._step.numerator
        self._held = torch.zeros(0)
        self._history = 0  # leading samples of _held that only serve as context
        self._samples_in = 0
        self._samples_out = 0

    def push(self, samples: Tensor) -> Tensor:
        """Take samples [n] and return those [m] of the output that are settled by now (m may be 0)."""
        self._samples_in += len(samples)
        if self._step == 1:
            return samples
        self._held = torch.cat((self._held, samples))
        ready = (len(self._held) - self._history - self._context) // self._step.numerator
        return self._advance(ready) if ready > 0 else samples[:0]

    def finish(self) -> Tensor:
        """Return the rest [m]; the whole output has ceil(samples in / step) samples."""
        if self._step == 1:
            return torch.zeros(0)
        missing = max(0, math.ceil(self._samples_in / self._exact_step) - self._samples_out)
        blocks = math.ceil(missing / self._step.denominator)
        needed = self._history + blocks * self._step.numerator + self._context
        self._held = torch.nn.functional.pad(self._held, (0, max(0, needed - len(self._held))))
        return self._advance(blocks)[:missing]

    def _advance(self, blocks: int) -> Tensor:
        """Turn the next `blocks` times numerator input samples into `blocks` times denominator output samples."""
        taken = blocks * self._step.numerator
        section = self._held[: self._history + taken + self._context]
        skip = self._history // self._step.numerator * self._step.denominator
        out = _resampler(self._step)(section)[skip : skip + blocks * self._step.denominator]
        drop = max(0, self._history + taken - self._context)
        self._history += taken - drop
        self._held = self._held[drop:].clone()
        self._samples_out += len(out)
        return out


def resampled(blocks: Iterable[Tensor], step: Fraction) -> Iterator[Tensor]:
    """Yield the blocks [n] of one signal at another rate, as blocks [m]; empty ones are left out."""
    resampler = StreamingResampler(step)
    for block in blocks:
        if len(ready := resampler.push(block)):
            yield ready
    if len(rest := resampler.finish()):
        yield rest


def stream_waveform(path: Path, block_seconds: float = BLOCK_SECONDS) -> Iterator[Tensor]:
    """Yield a recording as float32 blocks [n], mono (the mean of its channels), at 48 kHz.

    All of it together has ceil(frames · 48000 / rate) samples. Raises what `audio.io` raises for an unreadable file.
    """
    mono = (torch.from_numpy(block.mean(axis=1)) for block in read_blocks(path, seconds=block_seconds))
    return resampled(mono, Fraction(read_header(path).sample_rate, SAMPLE_RATE))


def load_waveform(path: Path, max_seconds: float | None = None) -> Tensor:
    """Return a recording, or at most its first `max_seconds`, as one float32 tensor [n], mono, at 48 kHz."""
    if max_seconds is None:
        return torch.cat([torch.zeros(0), *stream_waveform(path)])
    wanted = round(max_seconds * SAMPLE_RATE)
    blocks: list[Tensor] = [torch.zeros(0)]
    for block in stream_waveform(path, min(BLOCK_SECONDS, max_seconds + 0.5)):
        blocks.append(block)
        if sum(map(len, blocks)) >= wanted:
            break
    return torch.cat(blocks)[:wanted]


def load_second(path: Path, second: int) -> Tensor:
    """Return the one second [48000] of a recording that starts at whole second `second`, zeros after its end.

    Only this second and its neighbours are read; whole seconds are points where every rate is in phase.
    """
    rate = read_header(path).sample_rate
    first = max(0, second - 1)
    seconds_near = itertools.islice(read_blocks(path, seconds=1.0, start_frame=first * rate), second + 2 - first)
    mono = [torch.from_numpy(block.mean(axis=1)) for block in seconds_near]
    found = torch.cat([torch.zeros(0), *resampled(mono, Fraction(rate, SAMPLE_RATE))])[(second - first) * SAMPLE_RATE :]
    return torch.nn.functional.pad(found[:SAMPLE_RATE], (0, max(0, SAMPLE_RATE - len(found))))


def _filterable(step: Fraction) -> Fraction:
    """Return the step, or one within 1 ppm of it, as a fraction small enough to make a filter for."""
    return step.limit_denominator(max(1, math.floor(_LARGEST_FRACTION / max(Fraction(1), step))))


@lru_cache(maxsize=16)
def _resampler(step: Fraction) -> Callable[[Tensor], Tensor]:
    """Return the windowed-sinc filter bank, kept because making one takes longer than using it on a few seconds."""
    from torchaudio.transforms import Resample  # noqa: PLC0415 - loading torchaudio takes half a second

    resample: Callable[[Tensor], Tensor] = Resample(
        step.numerator, step.denominator, lowpass_filter_width=_FILTER_ZERO_CROSSINGS
    )
    return resample
