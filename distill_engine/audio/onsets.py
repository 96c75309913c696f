"""Where a sound sets in: the check that joins aren't heard as attacks.

Spectral flux with a threshold that adapts (Bello et al. 2005; Dixon 2006), against the loudest of the neighbouring
bands, so that a tone that wavers isn't taken for an attack (SuperFlux, Bock and Widmer 2013).
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from distill_engine.audio.spectrogram import analyse
from distill_engine.training.config import ComplexSpectrogramConfig

HOP = ComplexSpectrogramConfig.hop_length
"""Samples from one frame to the next: 11 ms."""

_HEARD = 1e-3
"""Amplitude in a band, against the sound's loudest, from which on it counts."""

_PEAK_FRAMES, _BEFORE_FRAMES, _AFTER_FRAMES = 3, 14, 7
"""An onset exceeds all within 30 ms, and the mean of the 150 ms before and the 75 ms after."""

_FACTOR, _LEAST = 1.5, 0.12
"""By how much it exceeds that mean: by this factor, and by this much of log amplitude, the mean over all bands."""


def onsets(waveform: Tensor) -> list[int]:
    """Return where a mono waveform [n] at 48 kHz sets in, in frames of `HOP` samples, but for its ends."""
    return onset_frames(flux(heard_spectrogram(waveform)))


def heard_spectrogram(waveform: Tensor) -> Tensor:
    """Return the raw spectrogram of a waveform [n] in which onsets are looked for, whatever a model works with."""
    return analyse(waveform, _config())


def flux(spectrogram: Tensor) -> Tensor:
    """Return by how much each frame is louder than the one before [frames]: 0 where nothing sets in, and at first.

    `spectrogram` is raw, [2, n_mels, frames].
    """
    magnitude = spectrogram[0]
    heard = torch.log1p((magnitude - magnitude.max()).exp() / _HEARD)
    before = torch.nn.functional.max_pool1d(heard.T[None], 3, 1, 1)[0].T
    rise = (heard[:, 1:] - before[:, :-1]).clamp(min=0).mean(0)
    return torch.nn.functional.pad(rise, (1, 0))


def onset_frames(rises: Tensor) -> list[int]:
    """Return the frames at which a sound of such a flux [frames] sets in; a sound's ends are no attacks of its own."""
    found: list[int] = []
    for frame in range(_PEAK_FRAMES, len(rises) - _PEAK_FRAMES):
        rise = float(rises[frame])
        peak = float(rises[max(0, frame - _PEAK_FRAMES) : frame + _PEAK_FRAMES + 1].max())
        mean = float(rises[max(0, frame - _BEFORE_FRAMES) : frame + _AFTER_FRAMES + 1].mean())
        apart = not found or frame - found[-1] > _PEAK_FRAMES
        if apart and rise >= peak and rise >= _FACTOR * mean + _LEAST:
            found.append(frame)
    return found


@functools.cache
def _config() -> ComplexSpectrogramConfig:
    return ComplexSpectrogramConfig()
