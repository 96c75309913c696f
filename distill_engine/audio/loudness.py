"""How loud a sound is to the ear, and two sounds made equally loud, so that neither is liked for its level alone."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from distill_engine.audio.level import CEILING_DB

Samples = npt.NDArray[np.float32]

SILENT_DB = -70.0
"""Blocks below it don't count, and a sound in which none is louder has no loudness."""

_HOP_SECONDS, _HOPS_A_BLOCK = 0.1, 4
_HOPS_A_PART = 256
_RINGING_SECONDS = 0.5
"""After so long the filters, the slower of them at 38 Hz, have rung out."""

_GATE_DB = 10.0


def loudness_db(samples: Samples, rate: int) -> float:
    """Return the integrated loudness of mono samples [n] in LUFS (ITU-R BS.1770-4); -inf for silence.

    It goes through the sound in parts, so that an hour takes little more memory than a minute.
    """
    hop = max(round(_HOP_SECONDS * rate), 1)
    energy = np.concatenate([np.zeros(1), *(_energy_by_hop(part, hop) for part in _weighted(samples, rate, hop))])
    if len(samples) < _HOPS_A_BLOCK * hop:
        blocks = np.array([energy.sum() / max(1, len(samples))])
    else:
        reached = np.cumsum(energy[: len(samples) // hop + 1])
        blocks = (reached[_HOPS_A_BLOCK:] - reached[:-_HOPS_A_BLOCK]) / (_HOPS_A_BLOCK * hop)
    heard = blocks[blocks > _power(SILENT_DB)]
    if not heard.size:
        return -math.inf
    return _decibels(float(heard[heard > heard.mean() * 10 ** (-_GATE_DB / 10)].mean()))


def _weighted(samples: Samples, rate: int, hop: int) -> Iterator[npt.NDArray[np.float64]]:
    """Yield K-weighted parts of whole hops, by the frequency response of the standard's two filters.

    Each part is filtered with what leads up to it, and has room behind it to ring in.
    """
    ringing = round(_RINGING_SECONDS * rate)
    part = hop * min(_HOPS_A_PART, -(-max(1, len(samples)) // hop))
    length = part + 2 * ringing
    response = k_weighting(length, rate)
    for start in range(0, len(samples), part):
        first = max(0, start - ringing)
        filtered = np.fft.irfft(np.fft.rfft(samples[first : start + part], n=length) * response, n=length)
        yield filtered[start - first : min(start + part, len(samples)) - first]


def _energy_by_hop(part: npt.NDArray[np.float64], hop: int) -> npt.NDArray[np.float64]:
    energy: npt.NDArray[np.float64] = np.add.reduceat(np.square(part), np.arange(0, len(part), hop))
    return energy


def equally_loud(sounds: list[Samples], rate: int) -> list[Samples]:
    """Return sounds at the loudness of the softest of them, none of their peaks above CEILING_DB; silence as it is."""
    loudness = [loudness_db(sound, rate) for sound in sounds]
    audible = [level for level in loudness if math.isfinite(level)]
    if not audible:
        return sounds
    levelled = [
        sound * np.float32(10 ** ((min(audible) - level) / 20)) if math.isfinite(level) else sound
        for sound, level in zip(sounds, loudness, strict=True)
    ]
    peak = max(float(np.abs(sound).max()) for sound in levelled)
    gain = np.float32(min(1.0, 10 ** (CEILING_DB / 20) / peak))
    return [sound * gain for sound in levelled]


def k_weighting(length: int, rate: int) -> npt.NDArray[np.complex128]:
    """Return the response [length // 2 + 1] of BS.1770-4's shelf and high-pass, made for `rate` as De Man 2014 does."""
    omega = np.exp(-2j * math.pi * np.arange(length // 2 + 1) / length)
    gain, k = 10 ** (3.999843853973347 / 20), math.tan(math.pi * 1681.974450955533 / rate)
    q, middle = 0.7071752369554196, gain**0.4996667741545416
    shelf = _biquad(omega, (gain + middle * k / q + k * k, 2 * (k * k - gain), gain - middle * k / q + k * k), k, q)
    k, q = math.tan(math.pi * 38.13547087602444 / rate), 0.5003270373238773
    high_pass = _biquad(omega, (1.0, -2.0, 1.0), k, q) * (1 + k / q + k * k)
    response: npt.NDArray[np.complex128] = shelf * high_pass
    return response


def _biquad(
    omega: npt.NDArray[np.complex128], over: tuple[float, float, float], k: float, q: float
) -> npt.NDArray[np.complex128]:
    under = (1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k)
    response: npt.NDArray[np.complex128] = np.polynomial.polynomial.polyval(omega, over) / (
        np.polynomial.polynomial.polyval(omega, under)
    )
    return response


def _power(loudness: float) -> float:
    return float(10 ** ((loudness + 0.691) / 10))


def _decibels(power: float) -> float:
    return 10 * math.log10(power) - 0.691
