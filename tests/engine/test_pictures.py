"""Pictures of sound: what the analysis hears, no sample lost of what is short, and an hour that takes no hour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from distill_engine.audio.io import RecordingError, read_blocks, write_recording
from distill_engine.audio.mel import mel_bands
from distill_engine.audio.mel_scale import mel_filters, mel_spaced
from distill_engine.audio.pictures import FLOOR_DB, LOOKS, mel_picture, waveform_picture
from distill_engine.audio.spectrogram import analyse
from distill_engine.audio.waveform import load_waveform
from distill_engine.errors import StopRequestedError
from distill_engine.training.config import ComplexSpectrogramConfig
from tests.engine.recordings import Samples, good, sound

HOP = 512


def sweep(seconds: float, rate: int = 48_000, top: float = 20_000.0) -> Samples:
    """Return [n] of a tone that rises to `top` Hz over quiet noise."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).normal(0.0, 1e-3, len(time))
    return (0.5 * np.sin(np.pi * top * time**2 / seconds) + noise).astype(np.float32)


def analysed(path: Path, rows: int) -> Samples:
    """Return the analysis' magnitude in dB [rows, frames], a frame every 256 samples."""
    raw = analyse(load_waveform(path), ComplexSpectrogramConfig(n_mels=rows, hop_length=256))
    decibels: Samples = (20 / np.log(10) * raw[0].numpy()).astype(np.float32)
    return np.maximum(decibels, np.float32(FLOOR_DB))


@pytest.mark.parametrize("rows", [32, 64, 128])
def test_a_short_recordings_bands_are_those_of_the_analysis(tmp_path: Path, rows: int) -> None:
    columns = 200
    path = tmp_path / "a.wav"
    write_recording(path, sweep(columns * HOP / 48_000), 48_000)
    picture = mel_picture(path, columns, rows)
    assert picture.decibels.shape == (rows, columns)
    assert picture.decibels.dtype == np.float32
    # A column as long as a hop is one window in its middle: every second frame of a hop of 256.
    expected = analysed(path, rows)[:, 1 : 2 * columns : 2]
    assert np.abs(picture.decibels - expected).max() < 0.05
    assert np.allclose(picture.hertz, mel_bands(ComplexSpectrogramConfig(n_mels=rows)).centres, rtol=1e-5)


@pytest.mark.parametrize("rate", [22_050, 44_100, 96_000])
def test_at_another_rate_the_bands_agree_without_resampling(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "a.wav"
    mono = sweep(2.0, rate, top=10_000.0)
    write_recording(path, np.stack([1.5 * mono, 0.5 * mono], axis=1), rate)
    columns, rows = 150, 64
    picture = mel_picture(path, columns, rows)
    middles = (np.arange(columns) + 0.5) * 2.0 / columns * 48_000
    expected = analysed(path, rows)[:, np.round(middles / 256).astype(int)]
    loud = (expected > -40.0) & (picture.hertz < 0.9 * rate / 2)[:, None]
    assert loud.sum() > 2 * columns
    assert np.abs(picture.decibels - expected)[loud].mean() < 1.0
    assert (np.abs(picture.decibels - expected)[loud] < 3.0).mean() > 0.9


def test_bands_above_half_the_rate_are_at_the_floor(tmp_path: Path) -> None:
    path = good(tmp_path / "a.wav", rate=16_000, frames=16_000)
    picture = mel_picture(path, 20, 64)
    assert (picture.decibels[mel_spaced(66, 24_000.0)[:-2] > 8_000] == FLOOR_DB).all()
    assert picture.decibels[picture.hertz < 7_000].min() > -70


@pytest.mark.parametrize(("n_fft", "rows"), [(512, 32), (2048, 128), (4096, 256)])
def test_numpys_filters_are_torchs(n_fft: int, rows: int) -> None:
    expected = mel_bands(ComplexSpectrogramConfig(n_fft=n_fft, n_mels=rows, hop_length=256)).filters
    made = mel_filters(rows, n_fft // 2 + 1, 48_000 / n_fft, 24_000.0)
    assert torch.allclose(torch.from_numpy(made).float(), expected, atol=1e-6)


def test_a_sine_at_full_scale_has_0_db(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    for rate in (8_000, 44_100, 48_000):
        write_recording(path, np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32), rate)
        power = (10 ** (mel_picture(path, 10, 40).decibels[:, 2:-2] / 10)).sum(axis=0)
        assert np.abs(10 * np.log10(power)).max() < 0.1


def test_each_column_has_the_least_and_greatest_sample_of_any_channel(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    samples = sound(60_000, channels=2)
    samples[31_234, 1] = -1.7
    write_recording(path, samples, 48_000)
    picture = waveform_picture(path, 50)
    parts = samples.reshape(50, -1)
    assert np.array_equal(picture.low, parts.min(axis=1))
    assert np.array_equal(picture.high, parts.max(axis=1))
    assert picture.low.min() == np.float32(-1.7)
    assert (picture.start, picture.seconds) == (0.0, 1.25)
    assert picture.peak_db == pytest.approx(20 * np.log10(1.7))
    assert picture.rms_db == pytest.approx(10 * np.log10(np.square(samples, dtype=np.float64).mean()))


def test_a_part_is_drawn_as_it_is_within_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    write_recording(path, sweep(4.0), 48_000)
    whole, part = waveform_picture(path, 40), waveform_picture(path, 10, start=1.0, seconds=1.0)
    assert np.array_equal(part.low, whole.low[10:20])
    assert np.array_equal(part.high, whole.high[10:20])
    assert (part.start, part.seconds) == (1.0, 1.0)
    bands, some = mel_picture(path, 40, 32), mel_picture(path, 10, 32, start=1.0, seconds=1.0)
    assert np.allclose(some.decibels, bands.decibels[:, 10:20], atol=1e-3)
    rest = waveform_picture(path, 10, start=3.5, seconds=60.0)
    assert (rest.start, rest.seconds) == (3.5, 0.5)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_long_columns_are_looked_at_in_places_all_over_them(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    columns, seconds, rate = 6, 10, 32_000
    levels = np.repeat([0.4, 0.01, 0.1, 0.3, 0.02, 0.2], seconds * rate)
    noise = np.random.default_rng(0).uniform(-1.0, 1.0, len(levels))
    write_recording(path, (levels * noise).astype(np.float32), rate)
    decoded = np.concatenate(list(read_blocks(path)))[: len(levels), 0].reshape(columns, -1)
    middles = decoded[:, rate:-rate]  # a lossy codec lets a loud part be heard a moment before it begins
    picture, mel = waveform_picture(path, columns), mel_picture(path, columns, 32)
    for looked_at, there in ((picture.high, middles.max(axis=1)), (-picture.low, -middles.min(axis=1))):
        assert (looked_at > 0.6 * there).all()
        assert (looked_at < 1.2 * there).all()
    bands = mel.decibels[5:20].mean(axis=0)
    rms = 10 * np.log10(np.square(middles, dtype=np.float64).mean(axis=1))
    assert bands - bands[0] == pytest.approx(rms - rms[0], abs=1.5)


def test_a_longer_recording_is_looked_at_in_no_more_places(tmp_path: Path) -> None:
    asked = [0]

    def should_stop() -> bool:
        asked[-1] += 1
        return False

    for seconds in (100, 1000):
        path = tmp_path / f"{seconds}.wav"
        write_recording(path, np.zeros(8_000 * seconds, np.float32), 8_000)
        waveform_picture(path, 5, should_stop=should_stop)
        mel_picture(path, 5, 32, should_stop=should_stop)
        asked.append(0)
    assert asked[:2] == [2 * 5 * LOOKS] * 2


def test_samples_that_are_no_numbers_count_as_silence(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    samples = sound(48_000)[:, 0]
    write_recording(path, samples, 48_000)
    content = bytearray(path.read_bytes())
    place = content.index(samples[20_000:20_004].tobytes())
    content[place : place + 8] = np.array([np.nan, np.inf], "<f4").tobytes()
    path.write_bytes(content)
    assert np.isfinite(waveform_picture(path, 30).high).all()
    assert waveform_picture(path, 30).peak_db < 0
    assert np.isfinite(mel_picture(path, 30, 32).decibels).all()


@pytest.mark.parametrize("frames", [0, 1, 7])
def test_hardly_any_sound_is_a_picture_too(tmp_path: Path, frames: int) -> None:
    path = tmp_path / "a.wav"
    write_recording(path, np.full(frames, 0.5, np.float32), 48_000)
    waveform, mel = waveform_picture(path, 30), mel_picture(path, 30, 16)
    assert waveform.high.max() == (0.5 if frames else 0.0)
    assert waveform.low.shape == (30,)
    assert mel.decibels.shape == (16, 30)
    assert mel.decibels.min() >= FLOOR_DB


def test_what_is_no_recording_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("not sound")
    for path in (tmp_path / "a.wav", tmp_path / "none.wav"):
        with pytest.raises(RecordingError):
            waveform_picture(path, 10)
        with pytest.raises(RecordingError):
            mel_picture(path, 10, 32)


def test_a_picture_nobody_waits_for_any_more_is_given_up(tmp_path: Path) -> None:
    path = good(tmp_path / "a.wav", frames=480_000)
    answers = iter([False, False, True])
    with pytest.raises(StopRequestedError):
        waveform_picture(path, 20, should_stop=lambda: next(answers))
    answers = iter([False, False, True])
    with pytest.raises(StopRequestedError):
        mel_picture(path, 20, 32, should_stop=lambda: next(answers))
