"""Loudness as BS.1770 measures it, and two sounds made equally loud."""

from __future__ import annotations

import math

import numpy as np
import pytest

from distill_engine.audio.level import CEILING_DB
from distill_engine.audio.loudness import equally_loud, loudness_db

RATE = 48_000
TIME = np.arange(2 * RATE) / RATE


def sine(hertz: float, amplitude: float = 1.0) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return (amplitude * np.sin(2 * np.pi * hertz * TIME)).astype(np.float32)


@pytest.mark.parametrize(("rate", "hertz"), [(48_000, 997.0), (44_100, 997.0), (96_000, 997.0)])
def test_a_sine_at_full_scale_has_the_loudness_that_the_standard_gives_it(rate: int, hertz: float) -> None:
    samples = np.sin(2 * np.pi * hertz * np.arange(rate) / rate).astype(np.float32)
    assert loudness_db(samples, rate) == pytest.approx(-3.01, abs=0.03)


def test_the_ear_counts_treble_more_and_bass_less_and_silence_before_a_sound_not_at_all() -> None:
    assert loudness_db(sine(5_000), RATE) > loudness_db(sine(1_000), RATE) + 2
    assert loudness_db(sine(50), RATE) < loudness_db(sine(1_000), RATE) - 3
    late = np.concatenate([np.zeros(4 * RATE, np.float32), sine(1_000)])
    assert loudness_db(late, RATE) == pytest.approx(loudness_db(sine(1_000), RATE), abs=0.5)
    assert loudness_db(np.zeros(RATE, np.float32), RATE) == -math.inf
    assert math.isfinite(loudness_db(sine(1_000)[:480], RATE)), "a sound shorter than a block"


def test_sounds_become_equally_loud_and_none_clips() -> None:
    click = np.zeros(RATE, np.float32)
    click[1000:1010] = 0.9
    made = equally_loud([sine(100, 1.5), sine(3_000, 0.1), click], RATE)
    levels = [loudness_db(sound, RATE) for sound in made]
    assert max(levels) - min(levels) < 0.05
    assert max(float(np.abs(sound).max()) for sound in made) <= 10 ** (CEILING_DB / 20) + 1e-6
    silence = np.zeros(RATE, np.float32)
    assert not equally_loud([silence, silence], RATE)[0].any()
    assert not equally_loud([silence, sine(1_000)], RATE)[0].any()
