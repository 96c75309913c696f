"""Pieces that become one sound: no dip, no bump, no loop, and nothing for an onset detector at the joins."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from distill_engine.audio.onsets import flux, onset_frames, onsets
from distill_engine.join_check import binomial_tail
from distill_engine.joining import Layout, agreeing, faded_together, lay_out

LENGTH, FRAMES = 94, 1100


def noisy(seed: int, bands: int = 16) -> Tensor:
    """A raw piece that is never twice the same: magnitudes go up and down by some dB, smoothly."""
    rough = torch.randn(1, bands, LENGTH + 8, generator=torch.Generator().manual_seed(seed))
    magnitude = torch.nn.functional.avg_pool1d(rough, 9, 1)[0] * 2 - 3
    return torch.stack([magnitude, torch.zeros_like(magnitude)])


def joined(piece: Tensor, seed: int = 0) -> tuple[Tensor, Layout]:
    """A still sound: one piece, over and over."""
    layout = lay_out(LENGTH, FRAMES, seed)
    parts = agreeing((piece for _ in layout.starts), layout, torch.Generator().manual_seed(seed))
    return faded_together(parts, layout.starts, FRAMES), layout


def test_pieces_that_agree_join_into_what_they_were_cut_from() -> None:
    whole = torch.rand(2, 3, 10 + 4 * 5, generator=torch.Generator().manual_seed(0)) - 0.5
    pieces = whole.unfold(-1, 10, 5).permute(2, 0, 1, 3)
    assert torch.allclose(faded_together(pieces, range(0, 25, 5), 30), whole, atol=1e-5)


def test_two_pieces_without_a_band_in_common_join_without_a_dip_in_power() -> None:
    silent = -20.0
    one, other = torch.full((2, 2, 40), silent), torch.full((2, 2, 40), silent)
    one[0, 0], other[0, 1] = -1.0, -1.0
    whole = faded_together([one, other, one, other, one], range(0, 100, 20), 120)
    power = (2 * whole[0]).exp().sum(0)
    assert power[10:110].log10().numpy() * 10 == pytest.approx(10 * math.log10(math.exp(-2)), abs=0.05)


def test_a_band_s_frequency_is_that_of_the_piece_which_is_heard_in_it() -> None:
    loud, silent = torch.full((2, 1, 40), 0.5), torch.full((2, 1, 40), -0.5)
    loud[0], silent[0] = -1.0, -10.0
    assert faded_together([loud, silent], (0, 20), 60)[1, 0, :38].min() > 0.49


def test_the_layout_covers_every_frame_and_its_joins_keep_no_time() -> None:
    layout = lay_out(LENGTH, FRAMES, 0)
    assert layout.starts[-1] < FRAMES <= layout.starts[-1] + layout.used
    apart = torch.tensor(layout.joins).diff()
    assert apart.std() > 1.0
    assert len(layout.joins) == len(layout.starts) - 1
    assert lay_out(LENGTH, 20, 0).starts == (0,)


def test_a_still_sound_begins_as_its_piece_does_and_is_no_loop() -> None:
    def likeness(sound: Tensor, lag: int) -> float:
        level = sound[0].mean(0)
        level = level - level.mean()
        return float((level[lag:] * level[:-lag]).mean() / level.square().mean())

    piece = noisy(1)
    still, _ = joined(piece)
    assert torch.allclose(still[0, :, :20], piece[0, :, :20], atol=1e-4)
    looped = faded_together([piece] * 24, range(0, 24 * 47, 47), FRAMES)
    assert likeness(looped, 47) > 0.9
    assert max(likeness(still, lag) for lag in range(15, 300)) < 0.75


def test_a_part_is_taken_where_it_agrees_with_what_plays_already() -> None:
    """A piece that is one slow swell joins a copy of itself at about the same height, and not just anywhere."""
    swell = torch.linspace(-6, 0, LENGTH).expand(2, 4, -1).clone()
    layout = Layout(used=62, places=33, starts=(0, 25), frames=87)
    for seed in range(5):
        first, second = agreeing([swell, swell], layout, torch.Generator().manual_seed(seed))
        assert (first[0, :, 25:] - second[0, :, :37]).abs().mean() < 0.9, (
            "anywhere would be 1.6 at most, 0.8 on average"
        )


def test_an_onset_detector_finds_nothing_at_the_joins_of_a_steady_sound() -> None:
    for seed in range(3):
        steady = noisy(seed, bands=64)
        steady[0] = steady[0] / 4 - 2
        sound, _ = joined(steady, seed)
        assert onset_frames(flux(sound)) == []


def bursts(times: list[float], seconds: float = 2.0) -> Tensor:
    """Soft noise in which louder noise sets in at some times, in seconds, and dies away."""
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(round(seconds * 48_000)) / 48_000
    level = torch.full_like(time, 0.003)
    for start in times:
        level += torch.where(time >= start, (-(time - start) / 0.08).clamp(max=0).exp(), 0.0) * 0.3
    return level * torch.randn(len(time), generator=generator)


def test_the_detector_finds_each_attack_once_and_none_in_steady_noise_or_a_tone() -> None:
    times = [0.3, 0.62, 0.75, 1.5]
    assert onsets(bursts(times)) == pytest.approx([t * 93.75 for t in times], abs=3)
    assert onsets(bursts([])) == []
    assert onsets(0.3 * torch.sin(0.05 * torch.arange(96_000))) == []


def test_what_chance_would_do_is_the_binomial_distribution_s_tail() -> None:
    assert binomial_tail(0, 10, 0.2) == 1.0
    assert binomial_tail(1, 2, 0.5) == pytest.approx(0.75)
    assert binomial_tail(10, 10, 0.2) == pytest.approx(0.2**10)
    assert binomial_tail(450, 2000, 0.2) == pytest.approx(0.0033, abs=0.001)
