"""Waveform to the two-channel spectrogram and back: log mel magnitude, and instantaneous frequency of each band.

A band's frequency is read twice: from the frame alone, by reassignment (Auger and Flandrin 1995), which can't wrap, and
from how far the phase of the band's signal, the sum of its bins, turned since the frame before, which is exact up to
whole turns. The first picks the turn of the second. So frequencies summed over time give the phase of every band's
signal at every frame as it was, in noise and behind an onset too: half of what the way back needs to know. The way back
is `synthesise`, in its own module, re-exported here.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from distill_engine.audio.mel import mel_bands
from distill_engine.audio.synthesis import MAGNITUDE_FLOOR, SINE_POWER, synthesise
from distill_engine.training.config import ComplexSpectrogramConfig

__all__ = ["AUDIBLE_FLOOR", "MAGNITUDE_FLOOR", "Normalisation", "StreamingAnalyser", "analyse", "synthesise"]

AUDIBLE_FLOOR = math.log(10 ** (-95 / 20))
"""The log mel magnitude, 95 dB under a full-scale sine, from which on a model learns: what is quieter isn't heard."""

_NEARLY_NOTHING = 0.01
"""A normalised magnitude up to which a model means silence: Softplus comes near 0 and never there."""

_FRAMES_AT_ONCE = 256
"""Bounds the memory of analysis: about 15 MB with the default configuration."""

_SAMPLES_AT_ONCE = 1 << 20
"""Spares a long recording a second copy of itself."""

_STEPS = 2048
"""Steps to 1 of what the second channel is rounded to: all that half precision has between 0.5 and 1."""

_TINY = 1e-30
"""A power that is none, even of a recording of the last bit of 24."""


@torch.no_grad()
def analyse(waveform: Tensor, config: ComplexSpectrogramConfig) -> Tensor:
    """The raw spectrogram of `waveform` [n] at 48 kHz: float32 [2, n_mels, n // hop_length + 1], on the same device.

    Channel 0 is the natural log of the mel magnitude: near 0 for a sine at full scale, never under `MAGNITUDE_FLOOR`.
    Channel 1 is the instantaneous frequency of the band's signal less the band's centre, in units of the band's reach
    (`MelBands.reach`), in [-1, 1], and 0 in bands under `config.if_masking_threshold`; in the first frame, and the
    first after a stretch of 0, it tells how far the phase is from where the frequencies so far would have it. Frames
    are centred on multiples of the hop, with silence before and after the recording. Raises ValueError on samples that
    aren't finite.
    """
    if waveform.ndim != 1:
        raise ValueError(f"a waveform must be one-dimensional (mono), not of shape {tuple(waveform.shape)}")
    analyser = StreamingAnalyser(config)
    blocks = [waveform[at : at + _SAMPLES_AT_ONCE] for at in range(0, max(waveform.numel(), 1), _SAMPLES_AT_ONCE)]
    return torch.cat([*(analyser.push(block) for block in blocks), analyser.finish()], dim=2)


class StreamingAnalyser:
    """`analyse` for a recording that comes in blocks of any size; keeps less than a window of samples between them."""

    def __init__(self, config: ComplexSpectrogramConfig) -> None:
        self._config = config
        self._pending: Tensor | None = None
        self._reached: Tensor | None = None
        self._samples = 0
        self._frames = 0
        self._finished = False

    @torch.no_grad()
    def push(self, samples: Tensor) -> Tensor:
        """The frames [2, n_mels, k] that the next `samples` [n] complete; k may be 0.

        Raises ValueError after `finish`, and on samples that aren't finite.
        """
        if self._finished:
            raise ValueError("the analyser is finished: no more samples can be pushed")
        if samples.ndim != 1:
            raise ValueError(f"samples must be one-dimensional (mono), not of shape {tuple(samples.shape)}")
        if not torch.isfinite(samples).all():
            raise ValueError("samples must be finite")
        self._samples += samples.numel()
        return self._advance(samples.float())

    @torch.no_grad()
    def finish(self) -> Tensor:
        """The last frames [2, n_mels, k], those that reach past the end. Raises ValueError when called twice."""
        if self._finished:
            raise ValueError("the analyser is finished already")
        self._finished = True
        left = self._samples // self._config.hop_length + 1 - self._frames
        pending = torch.zeros(self._config.n_fft // 2) if self._pending is None else self._pending
        missing = self._config.n_fft + (left - 1) * self._config.hop_length - pending.numel()
        return self._advance(pending.new_zeros(missing))

    def _advance(self, samples: Tensor) -> Tensor:
        window, hop = self._config.n_fft, self._config.hop_length
        before = samples.new_zeros(window // 2) if self._pending is None else self._pending
        signal = torch.cat([before, samples])
        count = max((signal.numel() - window) // hop + 1, 0)
        self._frames += count
        self._pending = signal[count * hop :].clone()
        if count == 0:
            return signal.new_zeros(2, self._config.n_mels, 0)
        frames = signal.unfold(0, window, hop)
        parts = [frames[at : at + _FRAMES_AT_ONCE] for at in range(0, count, _FRAMES_AT_ONCE)]
        return torch.cat([self._spectrogram(part) for part in parts], dim=2)

    def _spectrogram(self, frames: Tensor) -> Tensor:
        if self._reached is None:
            self._reached = _analysis_tools(self._config, frames.device).start
        result, self._reached = _spectrogram(frames, self._reached, self._config)
        return result


def _spectrogram(frames: Tensor, reached: Tensor, config: ComplexSpectrogramConfig) -> tuple[Tensor, Tensor]:
    """Raw spectrogram [2, n_mels, t] of samples cut into frames [t, n_fft], and what to hand on as `reached`.

    `reached` [2, n_mels] is where the frame before left each band: the phase of its signal, in turns, and the part of
    its offset that rounding has kept back.
    """
    tools = _analysis_tools(config, frames.device)
    with torch.autocast(frames.device.type, enabled=False):
        spectrum = torch.fft.rfft(frames * tools.window)
        power = spectrum.real.square() + spectrum.imag.square()
        band_power = power @ tools.filters
        hertz = _reassigned(frames, spectrum, power, tools) / band_power.clamp(min=_TINY)
        heard = band_power >= 10 ** (config.if_masking_threshold / 10)
        frequency, reached = _turn_exactly(hertz, _signal_phase(spectrum, tools), heard, reached, tools)
    magnitude = (band_power.clamp(min=_TINY).log() / 2).clamp(min=MAGNITUDE_FLOOR)
    return torch.stack([magnitude.T, frequency.T]), reached


def _reassigned(frames: Tensor, spectrum: Tensor, power: Tensor, tools: _AnalysisTools) -> Tensor:
    """The first moment of frequency [t, n_mels] in each band: power times Hz, summed over the band's filter.

    With the Hann window h and its derivative dh, a sine at w0 gives X_dh = j (w - w0) X_h, hence its frequency in each
    bin is w - Im(X_dh conj(X_h)) / |X_h|^2. Weighted by |X_h|^2 it takes no division: empty bins do no harm.
    """
    slope = torch.fft.rfft(frames * tools.derivative)
    deviation = spectrum.imag * slope.real - spectrum.real * slope.imag
    moment: Tensor = (power * tools.bins + deviation) @ tools.filters
    return moment


def _signal_phase(spectrum: Tensor, tools: _AnalysisTools) -> Tensor:
    """Phase [t, n_mels], in turns, of each band's signal: the sum of its bins, as `MelBands.turn` has them."""
    turned = spectrum * tools.turn
    signal = torch.complex(turned.real @ tools.filters, turned.imag @ tools.filters)
    return signal.angle().double() / (2 * math.pi)


def _turn_exactly(
    hertz: Tensor, phase: Tensor, heard: Tensor, reached: Tensor, tools: _AnalysisTools
) -> tuple[Tensor, Tensor]:
    """The second channel [t, n_mels]: that nearest to `hertz` which turns `phase` [t, n_mels] exactly; and `reached`.

    Where a band isn't `heard` its phase runs on at the band's centre. It is the *sums* of offsets that are rounded to
    steps that half precision has, not the offsets: so what is rounded away never adds up, however long a tone lasts.
    """
    phase = torch.cat([reached[:1], phase])
    frame = torch.arange(len(phase), device=phase.device)[:, None]
    last_heard = torch.where(torch.nn.functional.pad(heard, (0, 0, 1, 0), value=True), frame, 0).cummax(0).values
    phase = phase.gather(0, last_heard) + (frame - last_heard) * tools.centre_turns
    nearest = ((hertz - tools.centres) / tools.reach).clamp(-1.0, 1.0).double()
    missing = phase.diff(dim=0) - tools.centre_turns - nearest * tools.reach_turns
    offset = nearest + (missing - missing.round()) / tools.reach_turns
    offset -= ((offset > 1).double() - (offset < -1).double()) / tools.reach_turns
    total = reached[1] + torch.where(heard, offset, 0.0).cumsum(0)
    rounded = (total * _STEPS).round() / _STEPS
    told = rounded.diff(dim=0, prepend=torch.zeros_like(rounded[:1])).clamp(-1.0, 1.0)
    return told.float(), torch.stack([phase[-1].frac(), total[-1] - rounded[-1]])


@dataclass(frozen=True, kw_only=True)
class _AnalysisTools:
    bins: Tensor
    """[bins]: frequency of each bin, in Hz."""
    window: Tensor
    """[n_fft]: periodic Hann, scaled so that a sine at full scale has a power of 1 over all bins."""
    derivative: Tensor
    """[n_fft]: the window's derivative, scaled so that deviation comes out in Hz."""
    turn: Tensor
    """[bins]: `MelBands.turn`."""
    filters: Tensor
    """[bins, n_mels]"""
    centres: Tensor
    reach: Tensor
    centre_turns: Tensor
    """[n_mels], float64: how far a tone at the centre turns in a hop."""
    reach_turns: Tensor
    """[n_mels], float64: how much further one does that lies the reach above it."""
    start: Tensor
    """[2, n_mels], float64: where a recording finds its bands."""


@functools.lru_cache(maxsize=8)
def _analysis_tools(config: ComplexSpectrogramConfig, device: torch.device) -> _AnalysisTools:
    bands, size = mel_bands(config), config.n_fft
    angle = 2 * math.pi * torch.arange(size, dtype=torch.float64) / size
    scale = 2 / (size / 2) / math.sqrt(SINE_POWER)
    seconds = config.hop_length / config.sample_rate
    per_sample = config.sample_rate / (2 * math.pi)
    return _AnalysisTools(
        bins=bands.bins.to(device),
        window=(scale * (0.5 - 0.5 * angle.cos())).float().to(device),
        derivative=(scale * per_sample * math.pi / size * angle.sin()).float().to(device),
        turn=bands.turn.to(device),
        filters=bands.filters.T.contiguous().to(device),
        centres=bands.centres.to(device),
        reach=bands.reach.to(device),
        centre_turns=bands.centres.double().to(device) * seconds,
        reach_turns=bands.reach.double().to(device) * seconds,
        start=torch.stack([bands.start, torch.zeros_like(bands.start)]).to(device),
    )


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """How raw magnitudes become what the model sees: starting at 0, so that its Softplus can make every one of them."""

    magnitude_floor: float
    """The raw log magnitude that becomes 0."""

    magnitude_scale: float
    """How many nepers of log magnitude make 1; greater than 0."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.magnitude_floor) and math.isfinite(self.magnitude_scale)):
            raise ValueError("magnitude_floor and magnitude_scale must be finite")
        if self.magnitude_scale <= 0:
            raise ValueError(f"magnitude_scale must be greater than 0, not {self.magnitude_scale}")

    def normalise(self, raw: Tensor) -> Tensor:
        """Raw spectrograms [..., 2, n_mels, t] as the model sees them: magnitude from 0 up, frequency in [-1, 1]."""
        magnitude = (raw[..., 0, :, :] - self.magnitude_floor) / self.magnitude_scale
        return torch.stack([magnitude.clamp(min=0.0), raw[..., 1, :, :]], dim=-3)

    def denormalise(self, normalised: Tensor) -> Tensor:
        """The raw spectrograms [..., 2, n_mels, t] of the model's; values it shouldn't make are brought into range.

        What is hardly above the floor is silence, not a hiss at it.
        """
        above = normalised[..., 0, :, :]
        magnitude = above.clamp(min=0.0) * self.magnitude_scale + self.magnitude_floor
        magnitude = torch.where(above > _NEARLY_NOTHING, magnitude, MAGNITUDE_FLOOR)
        return torch.stack([magnitude, normalised[..., 1, :, :].clamp(-1.0, 1.0)], dim=-3)
