"""Recordings that Distill makes up, the same ones each time, for whoever has none at hand: a demo, a first look."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from distill_engine.audio.io import write_recording

RATE = 48_000
SECONDS = 3.0


def write_recordings(folder: Path) -> None:
    """Write eight recordings of three seconds, the same ones each time: plucks, bells, voices, noise, drums."""
    for number, (name, voice) in enumerate(_VOICES.items()):
        sound = voice(np.random.default_rng(number))
        peak = float(np.abs(sound).max())
        write_recording(folder / f"{name}.flac", (0.5 / peak * sound).astype(np.float32), RATE, "flac")


def _time() -> npt.NDArray[np.float64]:
    return np.arange(round(SECONDS * RATE)) / RATE


def _placed(total: npt.NDArray[np.float64], sound: npt.NDArray[np.float64], second: float) -> None:
    """Mix `sound` into `total` from `second` on, as far as it fits."""
    start = round(second * RATE)
    length = min(len(sound), len(total) - start)
    total[start : start + length] += sound[:length]


def _pluck(random: np.random.Generator, hertz: float, seconds: float = 1.5) -> npt.NDArray[np.float64]:
    """Return a plucked string (Karplus and Strong 1983): noise circling in a delay line, averaged each time round."""
    period = round(RATE / hertz)
    line = random.uniform(-1, 1, period)
    rounds = []
    for _ in range(round(seconds * RATE / period)):
        rounds.append(line)
        line = 0.996 * 0.5 * (line + np.roll(line, 1))
    return np.concatenate(rounds)


def _plucks(random: np.random.Generator) -> npt.NDArray[np.float64]:
    total = np.zeros(len(_time()))
    for number, hertz in enumerate((196.0, 247.0, 294.0, 392.0, 330.0)):
        _placed(total, _pluck(random, hertz), 0.55 * number)
    return total


def _low_plucks(random: np.random.Generator) -> npt.NDArray[np.float64]:
    total = np.zeros(len(_time()))
    for number, hertz in enumerate((55.0, 65.4, 82.4)):
        _placed(total, _pluck(random, hertz, 2.0), 0.95 * number)
    return total


def _bell(hertz: float) -> npt.NDArray[np.float64]:
    """Return a bell by frequency modulation (Chowning 1973), brightest at the stroke."""
    time = _time()
    index = 5 * np.exp(-2.2 * time)
    ringing = np.sin(2 * np.pi * hertz * time + index * np.sin(2 * np.pi * hertz * 1.4 * time))
    return np.asarray(np.exp(-1.8 * time) * ringing)


def _bells(_random: np.random.Generator) -> npt.NDArray[np.float64]:
    total = np.zeros(len(_time()))
    for number, hertz in enumerate((440.0, 659.0, 523.0)):
        _placed(total, _bell(hertz), 0.9 * number)
    return total


def _vowel(_random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a voice-like drone: harmonics under three formants that wander, with a vibrato."""
    time = _time()
    phase = 2 * np.pi * np.cumsum(110 * (1 + 0.006 * np.sin(2 * np.pi * 5 * time))) / RATE
    total = np.zeros(len(time))
    for harmonic in range(1, 40):
        hertz = 110 * harmonic
        formants = ((600 + 150 * np.sin(2 * np.pi * 0.4 * time), 90), (1150 + 250 * np.cos(2 * time), 120), (2700, 180))
        level = sum(np.exp(-(((hertz - centre) / (2.5 * width)) ** 2)) for centre, width in formants)
        total += (0.02 + level) / harmonic**0.5 * np.sin(harmonic * phase)
    return np.asarray(total * np.minimum(1, np.minimum(time / 0.2, (SECONDS - time) / 0.4)))


def _swells(random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return noise that comes in waves and brightens as it swells."""
    time = _time()
    noise = np.fft.rfft(random.standard_normal(len(time)))
    hertz = np.fft.rfftfreq(len(time), 1 / RATE)
    dark, bright = (np.fft.irfft(noise / (1 + (hertz / edge) ** 2), len(time)) for edge in (500.0, 5000.0))
    wave = 0.5 - 0.5 * np.cos(2 * np.pi * time / 1.5)
    return np.asarray(wave * ((1 - wave) * dark + wave * bright))


def _drums(random: np.random.Generator) -> npt.NDArray[np.float64]:
    time = _time()[: RATE // 2]
    kick = np.exp(-9 * time) * np.sin(2 * np.pi * (50 * time + 12 * (1 - np.exp(-30 * time))))
    snare = np.exp(-22 * time) * (0.5 * random.standard_normal(len(time)) + 0.4 * np.sin(2 * np.pi * 185 * time))
    hat = np.exp(-60 * time) * np.diff(random.standard_normal(len(time) + 1)) * 0.25
    total = np.zeros(len(_time()))
    for beat in range(12):
        _placed(total, hat, 0.25 * beat)
        _placed(total, (kick, snare)[beat // 2 % 2], 0.5 * (beat // 2))
    return total


def _glide(_random: np.random.Generator) -> npt.NDArray[np.float64]:
    time = _time()
    phase = 2 * np.pi * np.cumsum(220 * 2 ** (time / SECONDS * 2)) / RATE
    triangle = sum((-1) ** n * np.sin((2 * n + 1) * phase) / (2 * n + 1) ** 2 for n in range(8))
    return np.asarray(triangle * np.minimum(1, np.minimum(time / 0.1, (SECONDS - time) / 0.2)))


def _chords(_random: np.random.Generator) -> npt.NDArray[np.float64]:
    time = _time()[: round(1.0 * RATE)]
    total = np.zeros(len(_time()))
    for number, chord in enumerate(((220, 277, 330), (196, 247, 294), (175, 220, 262))):
        tones = sum(np.sin(2 * np.pi * hertz * k * time) / k**1.5 for hertz in chord for k in range(1, 7))
        _placed(total, np.asarray(tones * np.minimum(1, time / 0.01) * np.exp(-2 * time)), number * 1.0)
    return total


_VOICES = {
    "plucks": _plucks,
    "low-plucks": _low_plucks,
    "bells": _bells,
    "vowel": _vowel,
    "swells": _swells,
    "drums": _drums,
    "glide": _glide,
    "chords": _chords,
}

RECORDINGS = len(_VOICES)
"""How many there are."""
