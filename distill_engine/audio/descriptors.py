"""Measures of a sound by which people tell sounds apart: how bright, noisy, loud, rough, sudden and high it is.

They are taken of a waveform, what one hears, and each is a published definition, named where it is worked out. Frames
that can be heard count alike and others not at all: silence around a sound changes nothing, and of a sound that goes on
the loudest moment doesn't speak for all. A measure that a sound hasn't got, such as the pitch of noise, is nan.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from distill_engine.audio.loudness import k_weighting

_WINDOW, _HOP = 2048, 512
"""Samples of a spectrum and between two: 43 ms and 11 ms at 48 kHz."""

_SILENCE = 1e-6
"""A peak of -120 dB: below it there is no sound to measure."""

QUIETEST = -120.0
"""The loudness of silence, in LUFS."""

_AUDIBLE_FRAME = 1e-6
"""A frame is heard down to 60 dB under the loudest."""

_ROLL_OFF_SHARE = 0.85
_BAND_EDGES_HZ = tuple(125.0 * 2**octave for octave in range(8))
"""Octaves in which flatness is taken: over all of the spectrum at once it would be another word for brightness."""

_STEVENS = 0.3
_MOST_PARTIALS = 24
_AUDIBLE_PARTIAL = 1e-3
"""A partial is heard down to 60 dB under a frame's strongest."""

_ENVELOPE_SECONDS = 0.01
_ATTACK_BEGINS, _ATTACK_ENDS = 0.2, 0.9

_PITCH_WINDOW, _PITCH_HOP = 4096, 2048
_LOWEST_PITCH_HZ, _HIGHEST_PITCH_HZ = 40.0, 4000.0
_APERIODIC = 0.2
"""A frame whose normalised difference stays above this has no pitch."""

_TINY = 1e-20


@dataclass(frozen=True, kw_only=True)
class Descriptors:
    """The measures of one sound; nan where it has none."""

    brightness: float
    """Spectral centroid, in Hz."""

    roll_off: float
    """The frequency in Hz below which 85 % of the magnitude lies."""

    noisiness: float
    """Spectral flatness within octaves, from 0 (pure tones) to 1 (white noise)."""

    loudness: float
    """That of a steady sound that is as loud on average, in LUFS."""

    roughness: float
    """Dissonance of the partials, against their whole power."""

    attack: float
    """Attack time: log10 of the seconds in which the sound swells up."""

    pitch: float
    """Fundamental frequency, in octaves over 1 Hz."""

    def values(self) -> tuple[float, ...]:
        """Return the measures in the order of `MEASURES`."""
        return tuple(getattr(self, field.name) for field in fields(self))


MEASURES = tuple(field.name.replace("_", "-") for field in fields(Descriptors))
"""What the measures are called, in the order of `Descriptors.values`."""


@torch.no_grad()
def describe(waveform: Tensor, sample_rate: int) -> Descriptors:
    """Measure a mono waveform [n]; a shorter one than a spectrum's window is padded with silence."""
    waveform = torch.nn.functional.pad(waveform.float(), (0, max(0, _PITCH_WINDOW - waveform.numel())))
    if float(waveform.abs().max()) < _SILENCE:
        none = math.nan
        return Descriptors(
            brightness=none, roll_off=none, noisiness=none, loudness=QUIETEST, roughness=none, attack=none, pitch=none
        )
    power = _power(waveform)
    hertz = torch.arange(power.shape[1], device=power.device) * (sample_rate / _WINDOW)
    return Descriptors(
        brightness=_brightness(power, hertz),
        roll_off=_roll_off(power, hertz),
        noisiness=_noisiness(power, hertz),
        loudness=_loudness(power, sample_rate),
        roughness=_roughness(power, hertz),
        attack=_attack(waveform, sample_rate),
        pitch=_pitch(waveform, sample_rate),
    )


def _power(waveform: Tensor) -> Tensor:
    """Power [frames, bins] of Hann-windowed frames; a sine at full scale sums to 0.5, its mean square.

    No frame reaches beyond the sound: where that is cut off it would find a click that isn't heard.
    """
    window = torch.hann_window(_WINDOW, device=waveform.device)
    spectrum: Tensor = torch.fft.rfft(waveform.unfold(0, _WINDOW, _HOP) * window)
    return spectrum.abs().square() * (2 / (_WINDOW * float(window.square().sum())))


def _over_frames(values: Tensor, power: Tensor) -> float:
    """The mean of `values` [t] over the frames that are heard."""
    return float(values[_audible(power.sum(1))].mean())


def _audible(power: Tensor) -> Tensor:
    return power > _AUDIBLE_FRAME * power.max()


def _brightness(power: Tensor, hertz: Tensor) -> float:
    """Spectral centroid of the magnitude, which is heard as brightness (Grey and Gordon 1978; Peeters 2004, 6.1.1)."""
    magnitude = power.sqrt()
    return _over_frames((magnitude @ hertz) / magnitude.sum(1).clamp(min=_TINY), power)


def _roll_off(power: Tensor, hertz: Tensor) -> float:
    """Where 85 % of the magnitude lie below (Tzanetakis and Cook 2002), to a fraction of a bin."""
    below = power.sqrt().cumsum(1)
    wanted = _ROLL_OFF_SHARE * below[:, -1:]
    after = torch.searchsorted(below, wanted).clamp(1, below.shape[1] - 1)
    low, high = below.gather(1, after - 1), below.gather(1, after)
    place = (after - 1) + ((wanted - low) / (high - low).clamp(min=_TINY)).clamp(0, 1)
    return _over_frames(place[:, 0] * hertz[1], power)


def _noisiness(power: Tensor, hertz: Tensor) -> float:
    """Geometric over arithmetic mean of the power in each octave (Johnston 1988; in bands as MPEG-7, ISO 15938-4, has).

    Octaves count by their magnitude. White noise comes to 0.56 and not to 1, for the power of one frame's
    bins is spread as chi-square is: divided by that, it is 1.
    """
    white = math.exp(-0.5772156649)
    flatness, magnitudes = [], []
    for low, high in itertools.pairwise(_BAND_EDGES_HZ):
        band = power[:, (hertz >= low) & (hertz < high)] + _TINY
        mean = band.mean(1)
        flatness.append(band.log().mean(1).exp() / mean / white)
        magnitudes.append(band.sum(1).sqrt())
    weight = torch.stack(magnitudes)
    return _over_frames((torch.stack(flatness) * weight).sum(0) / weight.sum(0), power)


def _loudness(power: Tensor, sample_rate: int) -> float:
    """Each frame's level by the K-weighting of ITU-R BS.1770-4, in the mean as Stevens (1957) has it: intensity ** 0.3.

    A mean of the power itself is that of its loudest moment: a sound that grew louder everywhere else stays the same.
    """
    response = torch.from_numpy(abs(k_weighting(_WINDOW, sample_rate)) ** 2).to(power)
    intensity = (power @ response).clamp(min=_TINY)
    mean = _over_frames(intensity**_STEVENS, power) ** (1 / _STEVENS)
    return max(QUIETEST, 10 * math.log10(mean) - 0.691)


def _roughness(power: Tensor, hertz: Tensor) -> float:
    """Sensory dissonance over all pairs of a frame's partials (Plomp and Levelt 1965, as Sethares 1993 computes it).

    Each pair counts by the product of its amplitudes, against the power of all partials: so that a louder sound isn't a
    rougher one.
    """
    inner = power[:, 1:-1]
    peak = (inner > power[:, :-2]) & (inner >= power[:, 2:]) & (inner > _AUDIBLE_PARTIAL**2 * inner.amax(1)[:, None])
    found = torch.where(peak, inner, 0.0).topk(_MOST_PARTIALS, dim=1)
    amplitude, frequency = found.values.sqrt(), hertz[found.indices + 1]
    low = torch.minimum(frequency[:, :, None], frequency[:, None, :])
    apart = (frequency[:, :, None] - frequency[:, None, :]).abs() * 0.24 / (0.0207 * low + 18.96)
    rough = (-3.51 * apart).exp() - (-5.75 * apart).exp()
    pairs = (rough * amplitude[:, :, None] * amplitude[:, None, :]).sum((1, 2))
    return _over_frames(pairs / amplitude.square().sum(1).clamp(min=_TINY), power)


def _attack(waveform: Tensor, sample_rate: int) -> float:
    """Log-attack-time (Krimphoff, McAdams and Winsberg 1994; Peeters 2004, 2.2): from 20 to 90 % of the greatest level.

    The swelling meant is the one that leads to that level: it begins where the envelope was last below 20 % of it.
    """
    size = round(_ENVELOPE_SECONDS * sample_rate)
    envelope = torch.nn.functional.avg_pool1d(waveform.square()[None], size, size // 4)[0].sqrt()
    level = envelope / envelope.max()
    top = int(level.argmax())
    below = (level[: top + 1] < _ATTACK_BEGINS).nonzero()
    begin = int(below[-1]) if below.numel() else 0
    end = begin + int((level[begin : top + 1] >= _ATTACK_ENDS).nonzero()[0])
    return math.log10(max(1, end - begin) * (size // 4) / sample_rate)


def _pitch(waveform: Tensor, sample_rate: int) -> float:
    """The fundamental, by the cumulative mean normalised difference of YIN (de Cheveigne and Kawahara 2002).

    The median of the frames that are heard and have one.
    """
    frames = waveform.unfold(0, _PITCH_WINDOW, _PITCH_HOP)
    frames = frames[_audible(frames.square().sum(1))]
    longest, shortest = round(sample_rate / _LOWEST_PITCH_HZ), round(sample_rate / _HIGHEST_PITCH_HZ)
    difference = _difference(frames, longest)
    lags = torch.arange(1, longest, device=frames.device)
    normalised = difference * lags / difference.cumsum(1).clamp(min=_TINY)
    candidates = normalised[:, shortest - 1 :]
    # The first dip under the threshold, not the deepest: multiples of a period fit as well as the period does.
    dip = (candidates[:, 1:-1] < _APERIODIC) & (candidates[:, 1:-1] <= candidates[:, :-2])
    dip &= candidates[:, 1:-1] < candidates[:, 2:]
    pitched = dip.any(1)
    if not pitched.any():
        return math.nan
    first = dip[pitched].float().argmax(1) + 1
    around = torch.stack([candidates[pitched].gather(1, (first + step)[:, None])[:, 0] for step in (-1, 0, 1)])
    bend = around[0] - 2 * around[1] + around[2]
    lag = first + shortest + 0.5 * (around[0] - around[2]) / bend.clamp(min=_TINY)
    return float((sample_rate / lag).log2().median())


def _difference(frames: Tensor, longest: int) -> Tensor:
    """Summed squared difference [t, longest - 1] of each frame's beginning and the same 1, 2, … samples later."""
    size = frames.shape[1]
    head = size - longest
    frames = frames.double()
    spectrum = torch.fft.rfft(frames, 2 * size)
    kept = torch.fft.rfft(frames[:, :head], 2 * size)
    product: Tensor = torch.fft.irfft(spectrum * kept.conj(), 2 * size)[:, 1:longest]
    energy = torch.nn.functional.pad(frames.square().cumsum(1), (1, 0))
    moved = energy[:, 1 + head : longest + head] - energy[:, 1:longest]
    return (energy[:, head, None] + moved - 2 * product).clamp(min=0).float()
