"""How far one recording sounds from another: three figures, all 0 for equal recordings, lower is better.

Two takes of one steady noise are about 7.9 dB apart in log-spectral distance though they sound the same: judge noise by
bands and tones by all three.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_WINDOWS = (512, 1024, 2048, 4096)
_BAND_WINDOW = 4096
_BAND_COUNT = 40
_LOWEST_BAND_HZ = 40.0
_FLOOR = 1e-4
"""Magnitudes are heard down to 80 dB under the reference's peak."""

_AUDIBLE_FRAME = 3.0
"""A frame of the reference counts when its peak is this far above the floor."""

_AUDIBLE_BAND = 10.0
"""A band's power counts when it is this far above the floor's."""


@dataclass(frozen=True, kw_only=True)
class SpectralDistance:
    """The distance of one recording from another."""

    lsd: float
    """Log-spectral distance in dB, mean over windows of 512 to 4096 samples."""

    sc: float
    """Spectral convergence, the relative error of the magnitudes, mean over the same windows; 1 for silence."""

    band: float
    """Root mean square difference in dB of the power in 40 bands of equal ERB width."""


@torch.no_grad()
def spectral_distance(reference: Tensor, other: Tensor, sample_rate: int = 48_000) -> SpectralDistance:
    """The distance of the mono waveform `other` [m] from `reference` [n], on the reference's device.

    `other` is cut or padded with silence to the reference's length. Raises ValueError where a sample isn't finite, or
    where the reference is silent, since every figure is relative to it.
    """
    reference, other = _checked(reference), _fitted(_checked(other), reference)
    lsd, sc = [], []
    for window in _WINDOWS:
        x, y = _magnitudes(reference, window), _magnitudes(other, window)
        lsd.append(_log_spectral(x, y))
        sc.append(float(torch.linalg.vector_norm(x - y) / torch.linalg.vector_norm(x)))
    band = _band_distance(reference, other, sample_rate)
    return SpectralDistance(lsd=sum(lsd) / len(lsd), sc=sum(sc) / len(sc), band=band)


def _checked(waveform: Tensor) -> Tensor:
    if waveform.ndim != 1:
        raise ValueError(f"a waveform must be one-dimensional (mono), not of shape {tuple(waveform.shape)}")
    if not torch.isfinite(waveform).all():
        raise ValueError("a waveform holds samples that are not finite")
    return waveform.float()


def _fitted(other: Tensor, reference: Tensor) -> Tensor:
    if not reference.any():
        raise ValueError("the reference is silent: nothing can be measured against it")
    fitted = torch.zeros_like(reference)
    shared = min(other.numel(), reference.numel())
    fitted[:shared] = other[:shared].to(reference.device)
    return fitted


def _magnitudes(waveform: Tensor, window: int) -> Tensor:
    """Magnitude spectrogram [frames, bins] at a hop of a quarter window, centred frames, periodic Hann."""
    hop = window // 4
    padded = torch.nn.functional.pad(waveform, (window // 2, window // 2 + hop))
    frames = padded.unfold(0, window, hop) * torch.hann_window(window, device=waveform.device)
    spectrum: Tensor = torch.fft.rfft(frames)
    return spectrum.abs()


def _decibels_apart(x: Tensor, y: Tensor, floor: Tensor) -> Tensor:
    apart: Tensor = 20 * (torch.maximum(x, floor).log10() - torch.maximum(y, floor).log10())
    return apart


def _log_spectral(x: Tensor, y: Tensor) -> float:
    floor = x.max() * _FLOOR
    audible = x.amax(dim=1) > _AUDIBLE_FRAME * floor
    return float(_decibels_apart(x, y, floor)[audible].square().mean(dim=1).sqrt().mean())


def _band_distance(reference: Tensor, other: Tensor, sample_rate: int) -> float:
    bands = _erb_bands(sample_rate).to(reference.device)
    x = _magnitudes(reference, _BAND_WINDOW).square() @ bands
    y = _magnitudes(other, _BAND_WINDOW).square() @ bands
    floor = x.max() * _FLOOR**2
    apart = _decibels_apart(x.sqrt(), y.sqrt(), floor.sqrt())
    return float(apart[x > _AUDIBLE_BAND * floor].square().mean().sqrt())


def _erb_bands(sample_rate: int) -> Tensor:
    """[bins, 40] bands of equal width on the ERB-rate scale (Glasberg and Moore 1990), from 40 Hz to half the rate."""
    hertz = torch.fft.rfftfreq(_BAND_WINDOW, 1 / sample_rate, dtype=torch.float64)
    low, high = _erb_rate(torch.tensor([_LOWEST_BAND_HZ, sample_rate / 2], dtype=torch.float64))
    edges = low + (high - low) * torch.linspace(0, 1, _BAND_COUNT + 1, dtype=torch.float64)
    position = _erb_rate(hertz)[:, None]
    inside: Tensor = (position >= edges[:-1]) & (position < edges[1:])
    return inside.float()


def _erb_rate(hertz: Tensor) -> Tensor:
    rate: Tensor = 21.4 * (1 + 0.00437 * hertz).log10()
    return rate
