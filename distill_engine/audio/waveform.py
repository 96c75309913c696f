"""Recordings as mono waveforms at 48 kHz, a block at a time or whole.

The decision: resampling is done in sections that start where an input and an output sample coincide, so a stream has
the samples of the whole file resampled at once, and an hour of audio takes no more memory than a few seconds.
"""

from __future__ import annotations

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
_ZERO_CROSSINGS = 32  # of the sinc, on either side
_ROLLOFF = 0.99  # of the lower band limit: where the filter has fallen by half
_LARGEST_FILTER = 1_000_000  # values; a rate of 44,101 Hz would ask for billions
_WEIGHTS_AT_ONCE = 1 << 18  # of filters worked out anew: an absurd rate asks for a thousand to a sample

# From what is held, the input index of its first sample, the first output wanted and how many: those outputs.
_Outputs = Callable[[Tensor, int, int, int], Tensor]


class StreamingResampler:
    """Changes the rate of one long signal, pushed in pieces of any size; the pieces' borders leave no trace.

    `step` is how far to move in the input for one output sample: input rate / output rate. A filter bank does common
    rates at thousands of times real time; where it would be too large, each sample gets a filter of its own.
    """

    def __init__(self, step: Fraction) -> None:
        self._step = step
        banked = step.numerator * step.denominator <= _LARGEST_FILTER
        self._outputs: _Outputs = _filter_bank(step) if banked else _interpolator(step)
        self._unit = step.denominator if banked else 1
        # A multiple of this many inputs, so that what is held starts where an input and an output sample coincide.
        aligned = step.numerator if banked else 1
        self._reach = (math.ceil(_reach(step) / aligned) + 1) * aligned
        self._held = torch.zeros(self._reach)
        self._first = -self._reach
        self._samples_in = 0
        self._samples_out = 0

    def push(self, samples: Tensor) -> Tensor:
        """Take samples [n] and return those [m] of the output that are settled by now (m may be 0)."""
        self._samples_in += len(samples)
        if self._step == 1:
            return samples
        self._held = torch.cat((self._held, samples))
        settled = math.floor((self._samples_in - self._reach) / self._step) - self._samples_out
        return self._advance(max(0, settled) // self._unit * self._unit)

    def finish(self) -> Tensor:
        """Return the rest [m]; the whole output has ceil(samples in / step) samples."""
        if self._step == 1:
            return torch.zeros(0)
        missing = math.ceil(self._samples_in / self._step) - self._samples_out
        count = math.ceil(missing / self._unit) * self._unit
        needed = math.ceil((self._samples_out + count) * self._step) + self._reach - self._first
        self._held = torch.nn.functional.pad(self._held, (0, max(0, needed - len(self._held))))
        return self._advance(count)[:missing]

    def _advance(self, count: int) -> Tensor:
        if count == 0:
            return torch.zeros(0)
        out = self._outputs(self._held, self._first, self._samples_out, count)
        self._samples_out += count
        first = math.floor(self._samples_out * self._step) - self._reach
        self._held, self._first = self._held[first - self._first :].clone(), first
        return out


def resampled(blocks: Iterable[Tensor], step: Fraction) -> Iterator[Tensor]:
    """Yield the blocks [n] of one signal at another rate, as blocks [m]; empty ones are left out."""
    resampler = StreamingResampler(step)
    for block in blocks:
        if len(ready := resampler.push(block)):
            yield ready
    if len(rest := resampler.finish()):
        yield rest


def without_start(blocks: Iterable[Tensor], samples: int) -> Iterator[Tensor]:
    """Yield the blocks [n] of a signal from sample `samples` on."""
    to_drop = samples
    for block in blocks:
        if len(kept := block[to_drop:]):
            yield kept
        to_drop = max(0, to_drop - len(block))


def stream_waveform(path: Path, block_seconds: float = BLOCK_SECONDS, start_second: int = 0) -> Iterator[Tensor]:
    """Yield a recording, from a whole second on, as float32 blocks [n], mono (the channels' mean), at 48 kHz.

    From the start it has ceil(frames · 48000 / rate) samples; from a later second it has the same ones, since every
    rate is in phase at whole seconds and the second before is read too. RecordingError for an unreadable file.
    """
    rate = read_header(path).sample_rate
    lead = min(1, start_second)
    blocks = read_blocks(path, seconds=block_seconds, start_frame=(start_second - lead) * rate)
    mono = (torch.from_numpy(block.mean(axis=1)) for block in blocks)
    return without_start(resampled(mono, Fraction(rate, SAMPLE_RATE)), lead * SAMPLE_RATE)


def load_waveform(path: Path, max_seconds: float | None = None, start_second: int = 0) -> Tensor:
    """Return a recording, from a whole second on and no longer than asked, as float32 [n], mono, at 48 kHz."""
    if max_seconds is None:
        return torch.cat([torch.zeros(0), *stream_waveform(path, start_second=start_second)])
    wanted = round(max_seconds * SAMPLE_RATE)
    blocks: list[Tensor] = [torch.zeros(0)]
    for block in stream_waveform(path, min(BLOCK_SECONDS, max_seconds + 0.5), start_second):
        blocks.append(block)
        if sum(map(len, blocks)) >= wanted:
            break
    return torch.cat(blocks)[:wanted]


def _reach(step: Fraction) -> int:
    """Return how many input samples the filter reaches to either side."""
    return math.ceil(_ZERO_CROSSINGS / _cutoff(step))


def _cutoff(step: Fraction) -> float:
    """Return where the filter has fallen by half, against half the input's rate."""
    return _ROLLOFF / max(1.0, float(step))


def _weights(distances: Tensor, step: Fraction) -> Tensor:
    """Return the filter, a sinc under a squared cosine, at distances (input samples, float64) from its middle."""
    crossings = distances * _cutoff(step)
    window = torch.cos((crossings / _ZERO_CROSSINGS).clamp(-1.0, 1.0) * (math.pi / 2)).square()
    return (torch.sinc(crossings) * window * _cutoff(step)).float()


@lru_cache(maxsize=16)
def _filter_bank(step: Fraction) -> _Outputs:
    """Return outputs by one filter for each place an output can have between inputs; there are `denominator` of them.

    Kept, because making a bank takes as long as using it on a minute of sound.
    """
    reach, stride = _reach(step), step.numerator
    places = torch.arange(step.denominator, dtype=torch.float64) * float(step)
    filters = _weights(torch.arange(-reach, stride + reach) - places[:, None], step)

    def outputs(held: Tensor, first: int, wanted: int, count: int) -> Tensor:
        blocks = count // step.denominator
        start = math.floor(wanted * step) - reach - first
        section = held[start : start + (blocks - 1) * stride + filters.shape[1]]
        return torch.nn.functional.conv1d(section[None, None], filters[:, None], stride=stride)[0].T.flatten()

    return outputs


def _interpolator(step: Fraction) -> _Outputs:
    """Return outputs by a filter worked out anew for each: for any step, at some fifteen times real time."""
    taps = torch.arange(-_reach(step), _reach(step) + 1)

    def section(held: Tensor, first: int, wanted: Tensor) -> Tensor:
        travelled = wanted * step.numerator  # whole numbers: a float would lose the phase within an hour
        nearest, phase = travelled // step.denominator, (travelled % step.denominator).double() / step.denominator
        return (held[(nearest - first)[:, None] + taps] * _weights(taps - phase[:, None], step)).sum(dim=1)

    def outputs(held: Tensor, first: int, wanted: int, count: int) -> Tensor:
        at_once = max(_WEIGHTS_AT_ONCE // len(taps), 1)
        starts = range(wanted, wanted + count, at_once)
        ends = [min(start + at_once, wanted + count) for start in starts]
        return torch.cat([section(held, first, torch.arange(*part)) for part in zip(starts, ends, strict=True)])

    return outputs
