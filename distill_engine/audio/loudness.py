"""How loud a sound is to the ear, and two sounds made equally loud, so that neither is liked for its level alone."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from distill_engine.audio.level import CEILING_DB

Samples = npt.NDArray[np.float32]

SILENT_DB = -70.0
"""Blocks below it don't count, and a sound in which none is louder has no loudness."""

_BLOCK_SECONDS = 0.4
_HOP_SECONDS = 0.1
_GATE_DB = 10.0


def loudness_db(samples: Samples, rate: int) -> float:
    """Return the integrated loudness of mono samples [n] in LUFS (ITU-R BS.1770-4); -inf for silence.

    The K-weighting is applied to the whole sound at once, by the frequency response of its two filters.
    """
    length = len(samples)
    padded = 2 * length  # or the filters would ring from the end into the beginning
    weighted = np.fft.irfft(np.fft.rfft(samples, n=padded) * k_weighting(padded, rate))[:length]
    power = np.concatenate([[0.0], np.cumsum(np.square(weighted))])
    block = min(max(round(_BLOCK_SECONDS * rate), 1), length)
    firsts = np.arange(0, length - block + 1, max(round(_HOP_SECONDS * rate), 1))
    blocks = (power[firsts + block] - power[firsts]) / block
    heard = blocks[blocks > _power(SILENT_DB)]
    if not heard.size:
        return -math.inf
    return _decibels(float(heard[heard > heard.mean() * 10 ** (-_GATE_DB / 10)].mean()))


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
