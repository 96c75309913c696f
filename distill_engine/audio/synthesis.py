"""The two-channel spectrogram back to a waveform: from its own phase, in few iterations.

The frequency channel says how far the phase of each band's signal turns from frame to frame: summed, it is the phase of
every band at every frame, as analysis found it. Magnitudes come from a non-negative inversion of the mel filters.
Together they are close enough for a few iterations of fast Griffin-Lim that hold both to what is wanted. The work goes
through pieces of a few seconds, each beginning with the last frames of the one before held fast, so memory stays
bounded and the seams are exact.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from distill_engine.audio.mel import mel_bands
from distill_engine.training.config import ComplexSpectrogramConfig

MAGNITUDE_FLOOR = math.log(10 ** (-110 / 20))
"""The least log mel magnitude: 110 dB under a full-scale sine."""

_HEADROOM = math.log(1e4)
"""Magnitudes are cut 80 dB over a full-scale sine, so that nothing a model may dream of overflows."""

_SILENT = math.exp(2 * (MAGNITUDE_FLOOR + 0.01))
"""Mel power taken as nothing: the floor, and what half precision makes of it."""

SINE_POWER = 1.5
"""Power of a sine's Hann main lobe, summed over bins, when its peak is 1."""

_PIECE_FRAMES = 256
"""Frames made at once, 2.7 s with the defaults; the figures of sound are the same from 128 to 2,000."""

_INVERSION_UPDATES, _INVERSION_EXPONENT = 3, 1.8

_TONE_SPREAD, _NOISE_SPREAD = 3e-5, 0.3
"""Share of a band's power that begins beside its lobe: 0.1 for both gives a bell a spectral convergence of 0.31, not
0.08."""

_AGREEMENT_BINS = 2.0
"""Neighbouring bands whose frequencies are closer than this see one tone."""

_ITERATIONS, _MOMENTUM = 10, 0.5
"""With eight, LSD is 0.02 dB worse and the work a seventh less; with more momentum than 0.6, worse in all figures."""

_TURNING = 0.5
"""How far every other iteration brings the bands' signals to their phases. 1 triples the distance in bands; none costs
0.1 dB of LSD; in between it makes little difference, and less is kinder to a decoder, whose phases are guesses."""

_MOST_GAIN = 1e4
"""Most that one step may raise a band's power by."""

_LEAST_COVER = 1e-3
"""A sample that windows cover less than this share of the most, at the outer edges, fades instead of being raised."""

_TINY = 1e-20


@torch.no_grad()
def synthesise(
    spectrogram: Tensor,
    config: ComplexSpectrogramConfig,
    length: int,
    seed: int = 0,
    on_samples: Callable[[int], object] = lambda _done: None,
) -> Tensor:
    """Waveforms [..., length] at 48 kHz whose raw spectrograms are close to `spectrogram` [..., 2, n_mels, frames].

    There may be one sound or a batch of them; the result is on the same device. Any finite spectrogram will do, a
    recording's or a decoder's; magnitudes near `MAGNITUDE_FLOOR` are silence, and what lies past the last frame is
    silent too. `seed` draws the phases of bands without a frequency; torch's own generators are neither read nor moved.
    Equal bytes for equal input, seed and number of threads on a CPU. Beside the result it takes under 150 MB a sound
    with the default configuration, however long the recording. `on_samples` is told every few seconds of sound how many
    samples are done, and may raise to end the work. Raises ValueError on another shape, on values that
    aren't finite, and on a negative length.
    """
    _check(spectrogram, config, length)
    tools = _tools(config, spectrogram.device)
    batch = spectrogram.flatten(0, -4) if spectrogram.ndim > 3 else spectrogram[None]
    result = torch.zeros(len(batch), length, device=spectrogram.device)
    with torch.autocast(spectrogram.device.type, enabled=False):
        at = -(config.n_fft // 2)
        for wave in _waves(batch, tools, seed):
            kept = wave[:, max(-at, 0) : max(length - at, 0)]
            start = max(at, 0)
            result[:, start : start + kept.shape[1]] = kept
            at += wave.shape[1]
            on_samples(min(max(at, 0), length))
    return result.view(*spectrogram.shape[:-3], length)


def _check(spectrogram: Tensor, config: ComplexSpectrogramConfig, length: int) -> None:
    shape = tuple(spectrogram.shape)
    if len(shape) < 3 or shape[-3:-1] != (2, config.n_mels) or shape[-1] == 0:
        raise ValueError(f"a spectrogram must be of shape [2, {config.n_mels}, frames], not {list(shape)}")
    if not torch.isfinite(spectrogram).all():
        raise ValueError("a spectrogram holds values that are not finite")
    if length < 0:
        raise ValueError(f"length must be 0 or more samples, not {length}")


@dataclass(frozen=True, kw_only=True)
class _Tools:
    """What every piece of one configuration needs, on its device."""

    config: ComplexSpectrogramConfig
    spread: Tensor
    """[n_mels, bins]: mel filters."""
    gather: Tensor
    """[bins, n_mels]: the same, turned."""
    weight: Tensor
    """[n_mels]: sum of squares of each filter: what a change of one in all its bins, by the filter, adds to a sum."""
    turn: Tensor
    """[bins]: `MelBands.turn`."""
    turn_back: Tensor
    """[bins]: undoes it."""
    start: Tensor
    """[n_mels]: `MelBands.start`."""
    centres: Tensor
    reach: Tensor
    window: Tensor
    """[n_fft]: periodic Hann, scaled so that a full-scale sine has a power of 1 over all bins."""

    @property
    def overlap(self) -> int:
        return self.config.n_fft // self.config.hop_length


@functools.lru_cache(maxsize=8)
def _tools(config: ComplexSpectrogramConfig, device: torch.device) -> _Tools:
    bands, size = mel_bands(config), config.n_fft
    angle = 2 * math.pi * torch.arange(size, dtype=torch.float64) / size
    scale = 2 / (size / 2) / math.sqrt(SINE_POWER)
    return _Tools(
        config=config,
        spread=bands.filters.to(device),
        gather=bands.filters.T.contiguous().to(device),
        weight=bands.filters.square().sum(dim=1).to(device),
        turn=bands.turn.to(device),
        turn_back=bands.turn.conj().resolve_conj().to(device),
        start=bands.start.to(device),
        centres=bands.centres.to(device),
        reach=bands.reach.to(device),
        window=(scale * (0.5 - 0.5 * angle.cos())).float().to(device),
    )


def _waves(batch: Tensor, tools: _Tools, seed: int) -> Iterator[Tensor]:
    """The waveforms [n, samples] in consecutive parts, beginning half a window before the first sample."""
    hop, total, held = tools.config.hop_length, batch.shape[-1], 2 * tools.overlap
    # Drawn on the CPU, so that one seed sounds alike on every device.
    generator = torch.Generator().manual_seed(seed)
    phase = tools.start.expand(len(batch), 1, -1)
    past = torch.zeros(len(batch), 0, tools.turn.numel(), dtype=tools.turn.dtype, device=batch.device)
    for first in range(0, total, _PIECE_FRAMES):
        begin, settled = first - past.shape[1], first + _PIECE_FRAMES
        # The frames after `settled` only keep its end from being an edge; the next piece makes them anew.
        power, hertz = _bands(batch[..., begin : settled + held], tools)
        phases = phase + (hertz.double() * (hop / tools.config.sample_rate)).cumsum(1)
        wave = _piece(power, hertz, _phasors(phases, power, generator, tools), past, tools)
        if settled + held >= total:
            yield wave[:, past.shape[1] * hop :]
            return
        yield wave[:, past.shape[1] * hop : (settled - begin) * hop]
        past = _spectrum(wave, tools)[:, settled - held - begin : settled - begin]
        phase = phases[:, settled - held - begin - 1, None].frac()


def _bands(batch: Tensor, tools: _Tools) -> tuple[Tensor, Tensor]:
    """Power [n, t, n_mels] and frequency in Hz [n, t, n_mels] of every band."""
    magnitude, offset = batch.float().transpose(-1, -2).unbind(1)
    power = (2 * magnitude.clamp(max=_HEADROOM)).exp() - _SILENT
    return power.clamp(min=0.0), tools.centres + offset.clamp(-1.0, 1.0) * tools.reach


def _phasors(phases: Tensor, power: Tensor, generator: torch.Generator, tools: _Tools) -> Tensor:
    """Unit phasors [n, t, n_mels] of the bands' signals, from phases in turns; drawn in bands too quiet to have any."""
    drawn = torch.rand(phases.shape[1:], generator=generator).to(power.device)
    quiet = power < 10 ** (tools.config.if_masking_threshold / 10)
    angle = torch.where(quiet, drawn, phases.frac().float()) * (2 * math.pi)
    return torch.polar(torch.ones_like(angle), angle)


def _piece(power: Tensor, hertz: Tensor, phasors: Tensor, past: Tensor, tools: _Tools) -> Tensor:
    """The waveforms of a piece of t frames, the first of which are `past`, complex [n, 0..t, bins], and stay so."""
    magnitude = _bin_power(power, hertz, tools).sqrt()
    spectrum = magnitude * _spread(phasors * power.sqrt(), tools).sgn()
    return _refined(spectrum, magnitude, power, phasors, past, tools)


def _bin_power(power: Tensor, hertz: Tensor, tools: _Tools) -> Tensor:
    """Power [n, t, bins] that the mel filters turn into `power` [n, t, n_mels], most of it where the frequencies point.

    Multiplicative updates for the least divergence (Lee and Seung 2001), which keep every value at 0 or more; a step
    longer than theirs, by an exponent under 2, still converges. What they begin with decides among the many solutions:
    a Hann main lobe at each band's frequency, and the more of the band's filter beside it, the more the band is noise.
    """
    last = tools.turn.numel() - 1
    position = (hertz * (tools.config.n_fft / tools.config.sample_rate)).clamp(0.0, last)
    below = position.floor()
    bins = (power * (_TONE_SPREAD + (_NOISE_SPREAD - _TONE_SPREAD) * _noisiness(position))) @ tools.spread
    for step in (-1.0, 0.0, 1.0, 2.0):
        share = _hann_lobe(below + step - position).square() / SINE_POWER
        bins.scatter_add_(-1, (below + step).clamp(0.0, last).long(), power * share)
    for _ in range(_INVERSION_UPDATES):
        missing = (power / (bins @ tools.gather).clamp(min=_TINY)).clamp(max=_MOST_GAIN)
        bins *= (missing @ tools.spread).pow(_INVERSION_EXPONENT)
    return bins


def _noisiness(position: Tensor) -> Tensor:
    """0 (a tone) to 1 (noise) for every band [n, t, n_mels], from the `position` in bins of what it holds.

    A tone is seen at one frequency by both bands that it lies between; noise in each band has a frequency of its own.
    What a tone's bands are given beside its lobe comes back as noise about the tone, 20 dB louder than it was.
    """
    step = position.diff(dim=-1).abs()
    apart = torch.minimum(_padded(step, 1, 0), _padded(step, 0, 1))
    return 1 - 1 / (1 + (apart / _AGREEMENT_BINS).square())


def _padded(step: Tensor, low: int, high: int) -> Tensor:
    return torch.nn.functional.pad(step, (low, high), value=math.inf)


def _hann_lobe(offset: Tensor) -> Tensor:
    """Magnitude of a Hann window's transform `offset` bins from a tone, the peak being 1 and the lobe two bins wide."""
    denominator = 1 - offset.square()
    beside = denominator.abs() < 1e-4
    lobe = torch.where(beside, 0.5, torch.sinc(offset) / torch.where(beside, 1.0, denominator))
    return torch.where(offset.abs() < 2, lobe, 0.0)


def _spread(signals: Tensor, tools: _Tools) -> Tensor:
    """Spectra [n, t, bins] with the bands' signals [n, t, n_mels] in all their bins, turned back."""
    return torch.complex(signals.real @ tools.spread, signals.imag @ tools.spread) * tools.turn_back


def _in_phase(spectrum: Tensor, phasors: Tensor, tools: _Tools) -> Tensor:
    """`spectrum` [n, t, bins] with its bands' signals brought nearer to the phases wanted, by the least change."""
    turned = spectrum * tools.turn
    signals = torch.complex(turned.real @ tools.gather, turned.imag @ tools.gather)
    missing = phasors * signals.abs() - signals
    return spectrum + _spread(missing * (_TURNING / tools.weight), tools)


def _refined(
    spectrum: Tensor, magnitude: Tensor, power: Tensor, phasors: Tensor, past: Tensor, tools: _Tools
) -> Tensor:
    """The waveforms after fast Griffin-Lim iterations (Griffin and Lim 1984; Perraudin, Balazs and Sondergaard 2013).

    The first keeps the magnitudes found; the others keep those that the waveform takes on, scaled to the mel power that
    is wanted, which is all that is known of them. The last touches no phases: power is heard more.
    """
    known = past.shape[1]
    spectrum[:, :known] = past
    wave, previous = _waveform(spectrum, tools), None
    for iteration in range(_ITERATIONS):
        current = _spectrum(wave, tools)
        spectrum = current if previous is None else torch.lerp(previous, current, 1 + _MOMENTUM)
        previous = current
        if iteration % 2 == 0:
            spectrum = _in_phase(spectrum, phasors, tools)
        found = spectrum.real.square() + spectrum.imag.square()
        if iteration == 0:
            spectrum = spectrum * (magnitude / found.sqrt().clamp(min=_TINY))
        else:
            missing = (power / (found @ tools.gather).clamp(min=_TINY)).clamp(max=_MOST_GAIN)
            spectrum = spectrum * (missing @ tools.spread).sqrt()
        spectrum[:, :known] = past
        wave = _waveform(spectrum, tools)
    return wave


def _spectrum(wave: Tensor, tools: _Tools) -> Tensor:
    """Complex spectra [n, t, bins] of waveforms of (t - 1) hops and a window."""
    frames = wave.unfold(-1, tools.config.n_fft, tools.config.hop_length) * tools.window
    spectrum: Tensor = torch.fft.rfft(frames)
    return spectrum


def _waveform(spectrum: Tensor, tools: _Tools) -> Tensor:
    """The waveforms of (t - 1) hops and a window with spectra closest to `spectrum` [n, t, bins] (Griffin and Lim)."""
    (sounds, count), overlap, hop = spectrum.shape[:2], tools.overlap, tools.config.hop_length
    frames = (torch.fft.irfft(spectrum, n=tools.config.n_fft) * tools.window).view(sounds, count, overlap, hop)
    window = tools.window.square().view(overlap, hop)
    wave: Tensor = frames.new_zeros(sounds, count + overlap - 1, hop)
    weight = frames.new_zeros(count + overlap - 1, hop)
    for part in range(overlap):
        wave[:, part : part + count] += frames[:, :, part]
        weight[part : part + count] += window[part]
    wave /= weight.clamp(min=_LEAST_COVER * float(window.sum(0).max()))
    return wave.flatten(1)
