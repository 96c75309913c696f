"""The two-channel spectrogram, there and back: what it costs, what it keeps, and what it survives."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from distill_engine.audio.distance import spectral_distance
from distill_engine.audio.mel import mel_bands
from distill_engine.audio.spectrogram import (
    MAGNITUDE_FLOOR,
    Normalisation,
    StreamingAnalyser,
    analyse,
    synthesise,
)
from distill_engine.training.config import ComplexSpectrogramConfig

RATE = 48_000
CONFIG = ComplexSpectrogramConfig()
OTHER_CONFIGS = [
    ComplexSpectrogramConfig(n_fft=1024, hop_length=256, n_mels=64),
    ComplexSpectrogramConfig(n_fft=4096, hop_length=1024, n_mels=256),
    ComplexSpectrogramConfig(n_fft=2048, hop_length=256, n_mels=128),
    ComplexSpectrogramConfig(n_fft=2048, hop_length=1024, n_mels=128),
]
RECORDINGS = ("ambi_piano", "guit_em9", "loop_tabla", "misc_crow", "perc_bell", "vinyl_hiss")


def sine(hertz: float, seconds: float = 2.0, amplitude: float = 0.5) -> Tensor:
    time = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    return (amplitude * (2 * math.pi * hertz * time).sin()).float()


def noise(samples: int, seed: int = 0) -> Tensor:
    return torch.rand(samples, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def round_trip(waveform: Tensor, config: ComplexSpectrogramConfig = CONFIG) -> Tensor:
    return synthesise(analyse(waveform, config).half().float(), config, waveform.numel())


def wobble_cents(waveform: Tensor, hertz: float) -> tuple[float, float]:
    """Standard and greatest deviation of the pitch from `hertz`, heard through 30 ms, but for 0.2 s at both ends."""
    samples = waveform.double().numpy()
    turned = samples * np.exp(-2j * np.pi * hertz * np.arange(samples.size) / RATE)
    phase = np.unwrap(np.angle(np.convolve(turned, np.hanning(RATE * 30 // 1000), "same")))
    step = RATE // 100
    deviation = ((phase[step:] - phase[:-step]) * RATE / (2 * np.pi * step))[RATE // 5 : -RATE // 5]
    cents = 1200 * np.log2(1 + deviation / hertz)
    return float(cents.std()), float(np.abs(cents).max())


def recording(corpus: Path, name: str) -> Tensor:
    soundfile = pytest.importorskip("soundfile")
    functional = pytest.importorskip("torchaudio.functional")
    samples, rate = soundfile.read(corpus / f"{name}.flac", dtype="float32", always_2d=True)
    resampled: Tensor = functional.resample(torch.from_numpy(samples.mean(axis=1)), rate, RATE)
    return resampled[: 6 * RATE].clone()


def test_real_recordings_come_back_close(corpus: Path) -> None:
    distances = []
    for name in RECORDINGS:
        waveform = recording(corpus, name)
        distances.append(spectral_distance(waveform, round_trip(waveform)))
    assert sum(d.lsd for d in distances) / len(distances) < 2.2
    assert sum(d.sc for d in distances) / len(distances) < 0.11
    assert sum(d.band for d in distances) / len(distances) < 0.6


def test_a_batch_comes_back_as_each_alone_would(corpus: Path) -> None:
    """Of three seconds, which are two pieces."""
    waveforms = torch.stack([recording(corpus, name)[: 3 * RATE] for name in ("guit_em9", "loop_tabla")])
    spectrograms = torch.stack([analyse(waveform, CONFIG) for waveform in waveforms])
    together = synthesise(spectrograms, CONFIG, 3 * RATE)
    assert together.shape == (2, 3 * RATE)
    for spectrogram, rebuilt in zip(spectrograms, together, strict=True):
        alone = synthesise(spectrogram, CONFIG, 3 * RATE)
        assert float((rebuilt - alone).abs().max()) < 1e-3 * float(alone.abs().max())


def test_half_precision_costs_nothing(corpus: Path) -> None:
    waveform = recording(corpus, "guit_em9")[: 3 * RATE]
    exact = synthesise(analyse(waveform, CONFIG), CONFIG, waveform.numel())
    before, after = spectral_distance(waveform, exact), spectral_distance(waveform, round_trip(waveform))
    assert after.lsd - before.lsd < 0.02
    assert after.sc - before.sc < 0.005
    assert after.band - before.band < 0.02


@pytest.mark.parametrize(("hertz", "cents"), [(110.0, 0.5), (440.0, 0.2), (3000.0, 0.2)])
def test_a_sine_comes_back_without_wobble(hertz: float, cents: float) -> None:
    _, most = wobble_cents(round_trip(sine(hertz)), hertz)
    assert most < cents


def test_a_vibrato_is_followed() -> None:
    time = torch.arange(2 * RATE, dtype=torch.float64) / RATE
    phase = 2 * math.pi * 440 * time - 0.88 * (2 * math.pi * 10 * time).cos()
    waveform = (0.5 * phase.sin()).float()
    assert spectral_distance(waveform, round_trip(waveform)).sc < 0.05


@pytest.mark.parametrize("hertz", [60.0, 440.0, 5000.0, 18_000.0])
def test_a_sine_keeps_its_level(hertz: float) -> None:
    waveform = sine(hertz, seconds=1.0)
    assert level_db(round_trip(waveform)) == pytest.approx(level_db(waveform), abs=0.2)


def test_noise_keeps_its_level() -> None:
    waveform = noise(2 * RATE)
    assert level_db(round_trip(waveform)) == pytest.approx(level_db(waveform), abs=0.3)


def level_db(waveform: Tensor) -> float:
    return 20 * math.log10(float(waveform[RATE // 5 : -RATE // 5].square().mean().sqrt()))


def test_a_click_comes_back_where_it_was() -> None:
    waveform = torch.zeros(RATE // 2)
    waveform[10_100] = 0.9
    rebuilt = round_trip(waveform)
    assert int(rebuilt.abs().argmax()) == pytest.approx(10_100, abs=2)
    assert float(rebuilt.abs().max()) > 0.6
    assert float(rebuilt[:9000].abs().max()) < 0.02


def test_silence_stays_silent() -> None:
    assert not round_trip(torch.zeros(RATE)).any()


def test_a_sound_after_silence_leaves_the_silence_alone() -> None:
    waveform = torch.cat([torch.zeros(RATE), sine(440, 1.0)])
    assert float(round_trip(waveform)[: RATE - CONFIG.n_fft].abs().max()) < 1e-4


def test_a_full_scale_sine_is_near_zero_nepers() -> None:
    magnitude = analyse(sine(1000, amplitude=1.0), CONFIG)[0, :, 50]
    assert float(magnitude.max()) == pytest.approx(0.0, abs=0.4)


def test_magnitudes_share_out_the_power() -> None:
    magnitude = analyse(sine(3000, amplitude=1.0), CONFIG)[0, :, 50]
    assert float((2 * magnitude).exp().sum()) == pytest.approx(1.0, abs=0.01)


def test_the_second_channel_tells_a_sines_frequency() -> None:
    bands = mel_bands(CONFIG)
    spectrogram = analyse(sine(440.0), CONFIG)[:, :, 10:90]
    loudest = int(spectrogram[0, :, 0].argmax())
    hertz = (bands.centres[:, None] + spectrogram[1] * bands.reach[:, None])[loudest : loudest + 2]
    assert hertz.flatten().tolist() == pytest.approx([440.0] * hertz.numel(), abs=0.05)
    assert hertz.mean(dim=1).tolist() == pytest.approx([440.0] * 2, abs=0.001)


@pytest.mark.parametrize("begins", [0, RATE // 3], ids=["at once", "after silence"])
def test_the_second_channel_sums_up_to_the_phase_of_every_tone(begins: int) -> None:
    """Three tones, of phases that no magnitude tells, come back as the waveform they were."""
    time = torch.arange(RATE, dtype=torch.float64) / RATE
    tones = sum((2 * math.pi * hertz * time + phase).sin() for hertz, phase in [(220, 0.3), (1330, 1.9), (5070, 4.4)])
    waveform = torch.cat([torch.zeros(begins), 0.2 * torch.as_tensor(tones).float()])
    apart = (round_trip(waveform) - waveform)[begins + CONFIG.n_fft : -CONFIG.n_fft]
    assert float(apart.square().mean().sqrt()) < 0.05 * 0.2


def test_noise_does_not_throb_with_the_frames() -> None:
    """Within a hop, its power is as even as it was."""
    waveform = noise(2 * RATE)
    hops = round_trip(waveform)[: len(waveform) // CONFIG.hop_length * CONFIG.hop_length].view(-1, CONFIG.hop_length)
    power = hops.square().mean(dim=0).view(16, -1).mean(dim=1)
    assert 10 * math.log10(float(power.max() / power.min())) < 2.0


def test_quiet_bands_have_no_frequency() -> None:
    waveform = 1e-3 * noise(RATE)
    assert not analyse(waveform, ComplexSpectrogramConfig(if_masking_threshold=-60.0))[1].any()
    assert analyse(waveform, ComplexSpectrogramConfig(if_masking_threshold=-110.0))[1].any()


@pytest.mark.parametrize("config", [CONFIG, *OTHER_CONFIGS], ids=str)
def test_every_band_has_weight_and_every_bin_is_shared_out_whole(config: ComplexSpectrogramConfig) -> None:
    bands = mel_bands(config)
    assert float(bands.filters.sum(dim=1).min()) > 0.1
    assert torch.allclose(bands.filters.sum(dim=0), torch.ones(config.n_fft // 2 + 1), atol=1e-5)


@pytest.mark.parametrize("config", OTHER_CONFIGS, ids=str)
def test_other_configurations_work_too(config: ComplexSpectrogramConfig) -> None:
    waveform = sine(440) + sine(2500, amplitude=0.1)
    assert spectral_distance(waveform, round_trip(waveform, config)).sc < 0.15


@pytest.mark.parametrize("samples", [0, 1, 511, 512, 2048, 30_001])
def test_length_and_frames_are_exact(samples: int) -> None:
    spectrogram = analyse(noise(samples), CONFIG)
    assert spectrogram.shape == (2, CONFIG.n_mels, samples // CONFIG.hop_length + 1)
    assert synthesise(spectrogram, CONFIG, samples).shape == (samples,)


def test_what_lies_past_the_last_frame_is_silent() -> None:
    rebuilt = synthesise(analyse(sine(440, 0.5), CONFIG), CONFIG, RATE)
    assert rebuilt.shape == (RATE,)
    assert not rebuilt[RATE // 2 + CONFIG.n_fft :].any()


@pytest.mark.parametrize("block", [1000, 4097, 100_000])
def test_blocks_of_any_size_give_the_spectrogram_of_the_whole(block: int) -> None:
    waveform = noise(100_000) * torch.linspace(0, 1, 100_000)
    analyser = StreamingAnalyser(CONFIG)
    parts = [analyser.push(part) for part in waveform.split(block)]
    together = torch.cat([*parts, analyser.finish()], dim=2)
    assert torch.allclose(together, analyse(waveform, CONFIG), atol=1e-5)


def test_blocks_of_one_sample_give_the_spectrogram_of_the_whole() -> None:
    waveform = noise(1500)
    analyser = StreamingAnalyser(CONFIG)
    together = torch.cat([*(analyser.push(sample) for sample in waveform.split(1)), analyser.finish()], dim=2)
    assert torch.allclose(together, analyse(waveform, CONFIG), atol=1e-5)


def test_a_finished_analyser_takes_no_more() -> None:
    analyser = StreamingAnalyser(CONFIG)
    analyser.finish()
    with pytest.raises(ValueError, match="finished"):
        analyser.push(torch.zeros(10))
    with pytest.raises(ValueError, match="finished"):
        analyser.finish()


def test_pieces_join_without_a_seam() -> None:
    """Eight seconds are several pieces: a tone across their seams stays one tone."""
    spread, most = wobble_cents(round_trip(sine(440, seconds=8.0)), 440.0)
    assert spread < 0.05
    assert most < 0.2


def test_a_seed_fixes_the_bytes_and_leaves_torchs_generator_alone() -> None:
    spectrogram = analyse(sine(440, 0.5), CONFIG)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = synthesise(spectrogram, CONFIG, RATE // 2, seed=7)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(synthesise(spectrogram, CONFIG, RATE // 2, seed=7), first)
    assert not torch.equal(synthesise(spectrogram, CONFIG, RATE // 2, seed=8), first)


@pytest.mark.parametrize(
    "waveform",
    [torch.ones(5000), torch.eye(1, 5000)[0], noise(2048), torch.full((3000,), 1e-9), 1000 * noise(5000), noise(1)],
    ids=["constant", "impulse", "short", "faint", "far too loud", "one sample"],
)
def test_odd_recordings_come_back_finite(waveform: Tensor) -> None:
    rebuilt = round_trip(waveform)
    assert torch.isfinite(rebuilt).all()
    assert float(rebuilt.abs().max()) < 8 * float(waveform.abs().max()) + 1e-3


@pytest.mark.parametrize("loudest", [0.0, 3.0, 80.0])
def test_whatever_a_decoder_makes_gives_finite_sound(loudest: float) -> None:
    generator = torch.Generator().manual_seed(3)
    magnitude = MAGNITUDE_FLOOR + (loudest - MAGNITUDE_FLOOR) * torch.rand(128, 94, generator=generator)
    frequency = torch.rand(128, 94, generator=generator) * 2 - 1
    rebuilt = synthesise(torch.stack([magnitude, frequency]), CONFIG, RATE)
    assert torch.isfinite(rebuilt).all()
    assert rebuilt.any()


def test_autocast_changes_nothing() -> None:
    waveform = sine(440, 0.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        spectrogram = analyse(waveform, CONFIG)
        rebuilt = synthesise(spectrogram, CONFIG, waveform.numel())
    assert torch.equal(spectrogram, analyse(waveform, CONFIG))
    assert torch.equal(rebuilt, synthesise(spectrogram, CONFIG, waveform.numel()))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    waveform = torch.zeros(3000)
    waveform[7] = bad
    with pytest.raises(ValueError, match="finite"):
        analyse(waveform, CONFIG)
    with pytest.raises(ValueError, match="finite"):
        synthesise(torch.full((2, 128, 4), bad), CONFIG, 2000)


def test_another_shape_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"\[2, 128, frames\]"):
        synthesise(torch.zeros(2, 64, 10), CONFIG, 5000)
    with pytest.raises(ValueError, match="mono"):
        analyse(torch.zeros(2, 5000), CONFIG)


def test_normalised_magnitudes_start_at_zero_and_come_back() -> None:
    normalisation = Normalisation(magnitude_floor=MAGNITUDE_FLOOR, magnitude_scale=4.0)
    raw = torch.stack([analyse(noise(RATE), CONFIG), analyse(sine(440, 1.0), CONFIG)])
    normalised = normalisation.normalise(raw)
    assert normalised.shape == raw.shape
    assert float(normalised[:, 0].min()) >= 0.0
    assert torch.equal(normalised[:, 1], raw[:, 1])
    back = normalisation.denormalise(normalised)
    assert torch.allclose(back[:, 0], raw[:, 0], atol=0.05)
    assert torch.allclose(back[normalised > 0.02], raw[normalised > 0.02], atol=1e-5)


def test_denormalising_brings_what_no_model_should_make_into_range() -> None:
    normalisation = Normalisation(magnitude_floor=-12.0, magnitude_scale=2.0)
    raw = normalisation.denormalise(torch.tensor([[[-5.0]], [[3.0]]]))
    assert raw.flatten().tolist() == pytest.approx([MAGNITUDE_FLOOR, 1.0])


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan])
def test_a_scale_that_cannot_be_undone_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="magnitude_scale"):
        Normalisation(magnitude_floor=MAGNITUDE_FLOOR, magnitude_scale=scale)
