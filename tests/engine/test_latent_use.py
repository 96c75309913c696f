"""Whether the latent is in use: active dimensions and the spread of what is decoded, of numbers one can reckon."""

from __future__ import annotations

import pytest
import torch

from distill_engine.training.latent_use import LatentMeter


def pieces(count: int, level: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return level * torch.rand(count, 2, 4, 6, generator=generator)


def test_a_dimension_is_active_whose_mean_varies_over_the_pieces_by_more_than_a_hundredth() -> None:
    unit = torch.tensor([-1.0, 1.0, -1.0, 1.0]) * (3 / 4) ** 0.5  # of variance 1
    mu = torch.stack([0.0 * unit + 7.0, 0.09 * unit, 0.11 * unit + 100.0, 1.0 * unit], dim=1)
    meter = LatentMeter()
    meter.add(mu[:3], pieces(3, 1.0), pieces(3, 1.0))
    meter.add(mu[3:], pieces(1, 1.0), pieces(1, 1.0))
    use = meter.use()
    assert use is not None
    assert (use.active, use.dimensions) == (2, 4)


@pytest.mark.parametrize("share", [0.0, 0.05, 1.0])
def test_the_spread_is_how_unlike_each_other_reconstructions_are_beside_the_pieces(share: float) -> None:
    true = pieces(8, 1.0)
    meter = LatentMeter()
    meter.add(torch.zeros(8, 4), 0.3 + share * true, true)
    use = meter.use()
    assert use is not None
    assert use.spread == pytest.approx(share, abs=1e-6)


def test_one_piece_alone_shows_nothing_and_pieces_all_alike_no_spread() -> None:
    meter = LatentMeter()
    meter.add(torch.zeros(1, 4), pieces(1, 1.0), pieces(1, 1.0))
    assert meter.use() is None
    meter.add(torch.zeros(1, 4), pieces(1, 1.0), pieces(1, 1.0))
    use = meter.use()
    assert use is not None
    assert use.spread is None


def test_numbers_that_are_not_finite_leave_no_spread() -> None:
    meter = LatentMeter()
    meter.add(torch.full((4, 4), torch.nan), pieces(4, torch.nan), pieces(4, 1.0))
    use = meter.use()
    assert use is not None
    assert (use.active, use.spread) == (0, None)
