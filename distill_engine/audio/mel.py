"""Mel bands as both directions of the spectrogram need them: filters over an FFT's bins, where each lies, its signal.

The mel scale is O'Shaughnessy's (1987), ln(1 + f / 700 Hz): low bands, where tones lie close, are as narrow as a bin
of the default FFT. The filters sum to one at every bin, from 0 Hz to half the sample rate, so the bands share out the
whole power and lose none of it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from distill_engine.audio.mel_scale import CORNER_HZ, STEPS_PER_BIN
from distill_engine.training.config import ComplexSpectrogramConfig

_GOLDEN_SECTION = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, kw_only=True)
class MelBands:
    """The bands of one configuration, float32, on the CPU."""

    filters: Tensor
    """[n_mels, bins]: each bin's share of power by band; every column sums to 1."""

    centres: Tensor
    """[n_mels]: where each band is highest, in Hz."""

    reach: Tensor
    """[n_mels]: the distance from the centre, in Hz, that an offset of 1 in the second channel stands for."""

    bins: Tensor
    """[bins]: frequency of each bin, in Hz."""

    turn: Tensor
    """[bins], complex64: what each bin is turned by before a band's filter sums them to the band's signal."""

    start: Tensor
    """[n_mels], float64: phase of each band's signal before the first frame, in whole turns.

    A fixed scatter: were all 0, whatever has no past would begin with a pulse.
    """


@functools.lru_cache(maxsize=8)
def mel_bands(config: ComplexSpectrogramConfig) -> MelBands:
    """The bands of `config`: triangles on the mel scale, the lowest and highest flat to the end of the spectrum."""
    rate, bin_count = config.sample_rate, config.n_fft // 2 + 1
    bin_width = rate / config.n_fft
    edges = _mel_spaced(config.n_mels + 2, rate / 2)
    bins = torch.arange(bin_count, dtype=torch.float64) * bin_width
    spread = torch.minimum(edges[1:-1] - edges[:-2], edges[2:] - edges[1:-1])
    return MelBands(
        filters=_triangles(bins, bin_width, edges).float(),
        centres=edges[1:-1].float(),
        # A tone is seen in bands as far off as the Hann window's main lobe reaches: two bins more than the band. And a
        # whole turn a hop must lie within the reach, so that any turn of a band's signal can be told.
        reach=(spread.clamp(min=bin_width) + 2 * bin_width).clamp(min=rate / config.hop_length / 2).float(),
        bins=bins.float(),
        turn=_turn(config),
        start=(torch.arange(config.n_mels, dtype=torch.float64).square() * _GOLDEN_SECTION).frac(),
    )


def _turn(config: ComplexSpectrogramConfig) -> Tensor:
    """[bins]: phases as of a frame's middle, delayed by an amount that swings from band to band.

    A plain sum over a wide band hears only the middle of each frame, and noise made from such sums hisses once a hop.
    Delays from one hop before the middle, at a band's lower neighbour, to one after let a band hear the whole hop; the
    next band's run the other way, so that one turn a bin serves all. The delay is the slope of phase over frequency.
    """
    size, steps = config.n_fft, STEPS_PER_BIN
    hertz = torch.arange((size // 2 + 1) * steps, dtype=torch.float64) * (config.sample_rate / size / steps)
    top = math.log1p(config.sample_rate / 2 / CORNER_HZ)
    band = torch.log1p(hertz / CORNER_HZ) * ((config.n_mels + 1) / top) - 1
    swing = 2 * ((band - 0.5).remainder(2.0) - 1).abs() - 1
    delay = swing * min(config.hop_length, size // 4)
    phase = (delay * (-2 * math.pi / size / steps)).cumsum(0)[::steps]
    phase[1::2] += math.pi  # from a frame's first sample to its middle: half a turn a bin
    return torch.polar(torch.ones_like(phase), phase).to(torch.complex64)


def _mel_spaced(count: int, highest: float) -> Tensor:
    top = torch.log1p(torch.tensor(highest / CORNER_HZ, dtype=torch.float64))
    mels = torch.linspace(0.0, 1.0, count, dtype=torch.float64) * top
    return torch.expm1(mels) * CORNER_HZ


def _triangles(bins: Tensor, bin_width: float, edges: Tensor) -> Tensor:
    """[bands, bins]: each triangle's mean over each bin's width, so that one narrower than a bin isn't missed."""
    inside = (torch.arange(STEPS_PER_BIN, dtype=torch.float64) + 0.5) / STEPS_PER_BIN - 0.5
    points = (bins[:, None] + inside * bin_width)[None].clamp(edges[1], edges[-2])
    low, centre, high = (e[:, None, None] for e in (edges[:-2], edges[1:-1], edges[2:]))
    rising, falling = (points - low) / (centre - low), (high - points) / (high - centre)
    return torch.minimum(rising, falling).clamp(min=0.0).mean(dim=2)
