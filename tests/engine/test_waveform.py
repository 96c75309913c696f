"""A recording streams as the same mono 48 kHz samples that it has when it is resampled whole."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchaudio

from distill_engine.audio.io import RecordingError
from distill_engine.audio.waveform import StreamingResampler, load_waveform, resampled, stream_waveform


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Many short convolutions: on a busy machine two threads that wait for each other take ten times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _noise(
    seconds: float, rate: int, channels: int = 1, seed: int = 0
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    random = np.random.default_rng(seed)
    return (0.1 * random.standard_normal((round(seconds * rate), channels))).astype(np.float32)


def _written(folder: Path, rate: int, seconds: float = 5.3, channels: int = 1) -> tuple[Path, torch.Tensor]:
    samples = _noise(seconds, rate, channels)
    soundfile.write(folder / "a.wav", samples, rate, "FLOAT")
    return folder / "a.wav", torch.from_numpy(samples.mean(axis=1))


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 88200, 96000])
def test_a_stream_has_the_samples_of_the_whole_file_resampled_at_once(tmp_path: Path, rate: int) -> None:
    path, mono = _written(tmp_path, rate)
    whole = torchaudio.functional.resample(mono, rate, 48_000, lowpass_filter_width=32)
    streamed = torch.cat(list(stream_waveform(path, block_seconds=0.37)))
    assert streamed.shape == whole.shape
    assert torch.allclose(streamed, whole, atol=1e-5)
    assert torch.allclose(load_waveform(path), whole, atol=1e-5)


def test_channels_are_mixed_to_their_mean(tmp_path: Path) -> None:
    path, mono = _written(tmp_path, 48_000, channels=3)
    assert torch.equal(load_waveform(path), mono)


@pytest.mark.parametrize("rate", [11_127, 44_056, 44_101, 47_999, 192_001])
def test_an_odd_rate_needs_no_huge_filter_and_keeps_pitch_and_length(tmp_path: Path, rate: int) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(2 * rate + 7) / rate)
    soundfile.write(tmp_path / "a.wav", tone.astype(np.float32), rate, "FLOAT")
    waveform = load_waveform(tmp_path / "a.wav")
    expected = 0.5 * torch.sin(2 * math.pi * 1000 * torch.arange(len(waveform), dtype=torch.float64) / 48_000)
    assert len(waveform) == math.ceil((2 * rate + 7) * 48_000 / rate)
    inside = slice(1000, -1000)
    assert torch.allclose(waveform[inside].double(), expected[inside], atol=1e-4)


@pytest.mark.parametrize("step", [Fraction(1201, 1200), Fraction(3001, 1000)])
def test_a_rate_too_odd_for_a_filter_bank_is_resampled_as_well_as_by_one(step: Fraction) -> None:
    signal = torch.from_numpy(_noise(0.5, 48_000)[:, 0])
    whole = torchaudio.functional.resample(signal.double(), step.numerator, step.denominator, lowpass_filter_width=32)
    assert torch.allclose(torch.cat(list(resampled([signal], step))).double(), whole, atol=1e-6)


def test_resampling_down_leaves_no_alias_of_what_is_above(tmp_path: Path) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 30_000 * np.arange(192_000) / 96_000)
    soundfile.write(tmp_path / "a.wav", tone.astype(np.float32), 96_000, "FLOAT")
    assert load_waveform(tmp_path / "a.wav")[500:-500].square().mean().sqrt() < 1e-4


def test_at_most_the_first_seconds_are_loaded(tmp_path: Path) -> None:
    path, _ = _written(tmp_path, 44_100)
    whole = load_waveform(path)
    for seconds in (0.01, 1.0, 4.9):
        assert torch.allclose(load_waveform(path, seconds), whole[: round(seconds * 48_000)], atol=1e-6)
    assert torch.allclose(load_waveform(path, 100.0), whole, atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 44_100, 44_101, 96_000])
def test_any_second_is_found_without_reading_what_is_before(tmp_path: Path, rate: int) -> None:
    path, _ = _written(tmp_path, rate)
    whole = load_waveform(path)
    for second in range(7):
        assert torch.allclose(load_waveform(path, 1.0, second), whole[second * 48_000 :][:48_000], atol=1e-5)
    assert torch.allclose(load_waveform(path, start_second=3), whole[3 * 48_000 :], atol=1e-5)


@pytest.mark.parametrize("step", [*map(Fraction, ("147/160", "2", "1/6", "521/500", "1", "44101/48000"))])
def test_borders_between_pushed_pieces_leave_no_trace(step: Fraction) -> None:
    signal = torch.from_numpy(_noise(0.7, 48_000)[:, 0])
    whole = torch.cat(list(resampled([signal], step)))
    sizes = itertools.cycle([1, 700, 13, 4096, 0])
    pieces, start = [], 0
    while start < len(signal):
        size = next(sizes)
        pieces.append(signal[start : start + size])
        start += size
    assert len(whole) == math.ceil(len(signal) / step)
    assert torch.allclose(torch.cat(list(resampled(pieces, step))), whole, atol=1e-6)


def test_a_stream_of_nothing_is_nothing() -> None:
    resampler = StreamingResampler(Fraction(147, 160))
    assert len(resampler.push(torch.zeros(0))) == len(resampler.finish()) == 0


def test_what_a_resampler_holds_does_not_grow() -> None:
    resampler = StreamingResampler(Fraction(147, 160))
    for _ in range(50):
        resampler.push(torch.zeros(10_000))
        assert len(resampler._held) < 1000


def test_a_file_that_is_no_recording_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("not a recording")
    with pytest.raises(RecordingError, match=r"a\.wav"):
        load_waveform(tmp_path / "a.wav")
