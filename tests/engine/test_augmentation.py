"""Copies differ from their source and from each other, come out the same every time, and keep what was done to them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from distill_engine.audio.augmentation import CopyParameters, augment, draw_copies
from distill_engine.training.config import AugmentationConfig

_DIGEST = "00c0ffee" * 4


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Many short convolutions: on a busy machine two threads that wait for each other take ten times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _drawn(
    config: AugmentationConfig, seed: int = 0, digest: str = _DIGEST, seconds: float = 10.0
) -> tuple[CopyParameters, ...]:
    return draw_copies(config, seed=seed, digest=digest, rms_db=-20.0, seconds=seconds)


def _only(copies: int = 5, **kept: float) -> AugmentationConfig:
    return AugmentationConfig(
        copies=copies, **({"speed_percent": 0.0, "gain_db": 0.0, "shift_ms": 0.0, "noise_db": -120.0} | kept)
    )


def _tone(seconds: float = 0.5) -> Tensor:
    return 0.5 * torch.sin(2 * math.pi * 440 * torch.arange(round(seconds * 48_000)) / 48_000)


def _blocks(signal: Tensor, size: int = 5000) -> Iterator[Tensor]:
    return (signal[start : start + size] for start in range(0, len(signal), size))


def _augmented(signal: Tensor, copy: CopyParameters, size: int = 5000) -> Tensor:
    return torch.cat(list(augment(_blocks(signal, size), copy)))


def test_every_copy_is_unlike_its_source_and_every_other_copy() -> None:
    signal = _tone(0.2)
    copies = _drawn(AugmentationConfig(copies=10))
    sounds = [signal, *(_augmented(signal, copy) for copy in copies)]
    assert len(sounds) == 11
    for one, other in itertools.combinations(sounds, 2):
        length = min(len(one), len(other))
        assert (one[:length] - other[:length]).square().mean().sqrt() > 1e-3 * signal.square().mean().sqrt()


@pytest.mark.parametrize(
    "config", [_only(speed_percent=5.0), _only(gain_db=3.0), _only(shift_ms=5.0), _only(speed_percent=0.1, copies=2)]
)
def test_one_kind_of_change_alone_never_draws_next_to_nothing(config: AugmentationConfig) -> None:
    for seed in range(200):
        for copy in _drawn(config, seed=seed):
            speed_change = abs(copy.speed_steps) / 500
            assert (
                speed_change >= 0.1 * config.speed_percent / 100 > 0
                or abs(copy.gain_db) >= 0.1 * config.gain_db > 0
                or abs(copy.shift_samples) >= 0.1 * config.shift_ms * 48 > 0
            )


def test_draws_stay_within_their_ranges_and_use_both_signs() -> None:
    copies = [copy for seed in range(100) for copy in _drawn(AugmentationConfig(copies=3), seed=seed)]
    for values, most in (
        ([copy.speed_steps / 5 for copy in copies], 5.0),
        ([copy.gain_db for copy in copies], 3.0),
        ([copy.shift_samples / 48 for copy in copies], 5.0),
    ):
        assert max(map(abs, values)) <= most + 1e-9
        assert min(values) < -0.8 * most
        assert max(values) > 0.8 * most


def test_noise_alone_gives_every_copy_its_own_noise() -> None:
    copies = _drawn(_only(noise_db=-50.0))
    assert len({copy.noise_seed for copy in copies}) == len(copies) == 5


def test_a_range_that_holds_two_changes_gives_two_copies() -> None:
    copies = _drawn(_only(speed_percent=0.2))
    assert {copy.speed_steps for copy in copies} == {-1, 1}


def test_draws_depend_on_seed_and_content_and_more_copies_keep_the_earlier_ones() -> None:
    few, many = _drawn(AugmentationConfig(copies=2)), _drawn(AugmentationConfig(copies=6))
    assert many[:2] == few == _drawn(AugmentationConfig(copies=2))
    assert few != _drawn(AugmentationConfig(copies=2), seed=1)
    assert few != _drawn(AugmentationConfig(copies=2), digest="1" + _DIGEST[1:])


def test_a_short_recording_is_not_shifted_away() -> None:
    for seed in range(50):
        for copy in _drawn(_only(shift_ms=1000.0), seed=seed, seconds=0.05):
            assert copy.shift_samples >= -240


def test_gain_changes_the_level_even_beyond_full_scale() -> None:
    louder = _augmented(2.0 * _tone(), CopyParameters(gain_db=6.0))
    assert torch.allclose(louder, 2.0 * _tone() * 10 ** (6 / 20))


def test_noise_is_added_at_its_level_below_the_recording() -> None:
    copy = _drawn(_only(noise_db=-30.0))[0]
    added = _augmented(_tone(4.0), copy) - _tone(4.0)
    assert 20 * added.square().mean().sqrt().log10().item() == pytest.approx(-50.0, abs=0.1)


def test_speed_changes_length_and_pitch_together() -> None:
    faster = _augmented(_tone(2.0), CopyParameters(speed_steps=25))
    expected = 0.5 * torch.sin(2 * math.pi * 440 * 1.05 * torch.arange(len(faster), dtype=torch.float64) / 48_000)
    assert len(faster) == math.ceil(96_000 / 1.05)
    assert torch.allclose(faster[500:-500].double(), expected[500:-500], atol=2e-3)


@pytest.mark.parametrize("shift", [-700, -37, 37, 700])
def test_a_shift_moves_the_sound_by_that_many_samples(shift: int) -> None:
    signal = _tone()
    moved = _augmented(signal, CopyParameters(shift_samples=shift), size=300)
    if shift > 0:
        assert not moved[:shift].any()
        assert torch.equal(moved[shift:], signal)
    else:
        assert torch.equal(moved, signal[-shift:])


def test_the_size_of_blocks_leaves_no_trace() -> None:
    copy = CopyParameters(speed_steps=-13, shift_samples=99, noise_db=-40.0, gain_db=-1.5, noise_seed=7)
    whole = _augmented(_tone(), copy, size=48_000)
    assert torch.allclose(_augmented(_tone(), copy, size=777), whole, atol=1e-6)


def test_unchanged_parameters_change_no_sample() -> None:
    assert torch.equal(_augmented(_tone(), CopyParameters()), _tone())
