"""The two-channel spectrogram back to a waveform: a starting phase from the frequency channel, then few iterations."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from distill_engine.audio.mel import mel_bands
from distill_engine.training.config import ComplexSpectrogramConfig

MAGNITUDE_FLOOR = math.log(10 ** (-110 / 20))
"""The least log mel magnitude: 110 dB under a full-scale sine."""

SINE_POWER = 1.5
"""Power of a sine's Hann main lobe summed over bins, its peak being 1."""

_ITERATIONS = 8
_MOMENTUM = 0.99
_UPDATES = 6


@torch.no_grad()
def synthesise(spectrogram: Tensor, config: ComplexSpectrogramConfig, length: int, seed: int = 0) -> Tensor:
    """A waveform [length] at 48 kHz whose raw spectrogram is close to `spectrogram` [2, n_mels, frames]."""
    tools = _tools(config, spectrogram.device)
    with torch.autocast(spectrogram.device.type, enabled=False):
        magnitude, frequency = spectrogram.float().transpose(1, 2)
        power = ((2 * magnitude).exp() - math.exp(2 * (MAGNITUDE_FLOOR + 0.01))).clamp(min=0.0)
        hertz = tools.centres + frequency.clamp(-1, 1) * tools.reach
        bins, turns = _bin_power(power, hertz, tools)
        target = bins.sqrt()
        generator = torch.Generator().manual_seed(seed)
        start = torch.rand(target.shape[1], generator=generator).to(target.device)
        middle = (turns[1:] + turns[:-1]) / 2 * (config.hop_length / config.sample_rate)
        phase = torch.cat([start[None].double(), middle.double()]).cumsum(0).remainder(1.0).float() * (2 * math.pi)
        rebuilt = torch.polar(target, phase) * tools.centring
        previous = torch.zeros_like(rebuilt)
        wave = _inverse(rebuilt, tools, config)
        for _ in range(_ITERATIONS):
            spectrum = _forward(wave, tools, config)
            guess = spectrum + _MOMENTUM * (spectrum - previous)
            previous = spectrum
            wave = _inverse(guess / guess.abs().clamp(min=1e-12) * target, tools, config)
    half = config.n_fft // 2
    out = wave.new_zeros(length)
    usable = wave[half : half + length]
    out[: usable.numel()] = usable
    return out


def _bin_power(power: Tensor, hertz: Tensor, tools: _Tools) -> tuple[Tensor, Tensor]:
    nearest = (hertz / tools.bin_width).round().long().clamp(0, tools.filters.shape[1] - 1)
    shape = torch.full((power.shape[0], tools.filters.shape[1]), 1e-10, device=power.device)
    for step, share in ((0, 1.0), (-1, 0.25), (1, 0.25)):
        shape.scatter_add_(1, (nearest + step).clamp(0, tools.filters.shape[1] - 1), power * share)
    bins = 0.05 * (power @ tools.filters) + shape
    for _ in range(_UPDATES):
        bins = bins * ((power / (bins @ tools.filters.T).clamp(min=1e-20)) @ tools.filters)
    weight = power + 1e-20
    turns = ((weight * hertz) @ tools.filters) / (weight @ tools.filters)
    return bins, turns


def _forward(wave: Tensor, tools: _Tools, config: ComplexSpectrogramConfig) -> Tensor:
    frames = wave.unfold(0, config.n_fft, config.hop_length) * tools.window
    spectrum: Tensor = torch.fft.rfft(frames)
    return spectrum


def _inverse(spectrum: Tensor, tools: _Tools, config: ComplexSpectrogramConfig) -> Tensor:
    frames = torch.fft.irfft(spectrum, n=config.n_fft) * tools.window
    overlap = config.n_fft // config.hop_length
    parts = frames.view(frames.shape[0], overlap, config.hop_length)
    window = tools.window.square().view(overlap, config.hop_length)
    wave = frames.new_zeros(frames.shape[0] + overlap - 1, config.hop_length)
    weight = torch.zeros_like(wave)
    for i in range(overlap):
        wave[i : i + frames.shape[0]] += parts[:, i]
        weight[i : i + frames.shape[0]] += window[i]
    normalised: Tensor = wave / weight.clamp(min=1e-3 * float(weight.max()))
    return normalised.flatten()


@dataclass(frozen=True, kw_only=True)
class _Tools:
    filters: Tensor
    centres: Tensor
    reach: Tensor
    window: Tensor
    centring: Tensor
    bin_width: float


@functools.lru_cache(maxsize=8)
def _tools(config: ComplexSpectrogramConfig, device: torch.device) -> _Tools:
    bands, size = mel_bands(config), config.n_fft
    angle = 2 * math.pi * torch.arange(size, dtype=torch.float64) / size
    scale = 2 / (size / 2) / math.sqrt(SINE_POWER)
    sign = torch.ones(size // 2 + 1)
    sign[1::2] = -1
    return _Tools(
        filters=bands.filters.to(device),
        centres=bands.centres.to(device),
        reach=bands.reach.to(device),
        window=(scale * (0.5 - 0.5 * angle.cos())).float().to(device),
        centring=sign.to(device),
        bin_width=config.sample_rate / size,
    )
