"""The Gaussian of an encoded corpus: what is drawn from it, turned axes, and the way a measure rises."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from distill_engine.models.latent_spread import (
    normal_scores,
    rank_correlation,
    ranks,
    spread_of,
    surest_direction,
)


def corpus(count: int = 400, dimensions: int = 6) -> Tensor:
    """Return latents [count, dimensions] that spread less from dimension to dimension, and are mixed."""
    generator = torch.Generator().manual_seed(3)
    spread = torch.randn(count, dimensions, generator=generator) * 2.0 ** -torch.arange(dimensions)
    mixing: Tensor = torch.linalg.qr(torch.randn(dimensions, dimensions, generator=generator)).Q
    return 1 + spread @ mixing


def covariance(latents: Tensor) -> Tensor:
    found: Tensor = torch.cov(latents.double().T, correction=0)
    return found


def test_steps_are_the_principal_axes_of_the_corpus_the_widest_first() -> None:
    spread = spread_of(corpus(), 6)
    assert torch.allclose(spread.steps.T @ spread.steps, covariance(corpus()), atol=1e-6)
    lengths = spread.steps.norm(dim=1)
    assert (lengths[:-1] > lengths[1:]).all()
    assert spread.rest == 0


def test_what_is_drawn_spreads_as_the_corpus_does_along_the_steps_and_evenly_beside_them() -> None:
    spread = spread_of(corpus(), 3)
    _, drawn = spread.draw(20_000, seed=0)
    expected = spread.steps.T @ spread.steps
    along = torch.linalg.qr(spread.steps.T).Q
    expected = expected + spread.rest**2 * (torch.eye(6, dtype=torch.float64) - along @ along.T)
    assert torch.allclose(covariance(drawn), expected, atol=0.03)
    assert torch.trace(covariance(drawn)).item() == pytest.approx(torch.trace(covariance(corpus())).item(), rel=0.02)


def test_turned_axes_describe_the_same_gaussian() -> None:
    spread = spread_of(corpus(), 5)
    drawn = torch.randn(5, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    towards = torch.linalg.qr(drawn).Q.T
    turned = spread.turned(towards)
    assert torch.allclose(turned[:2], towards @ spread.steps)
    assert torch.allclose(turned.T @ turned, spread.steps.T @ spread.steps, atol=1e-9)
    assert torch.allclose(spread.turned(towards[:0]), spread.steps, atol=1e-9)


def test_the_sign_of_an_axis_does_not_depend_on_the_order_of_the_pieces() -> None:
    there, back = spread_of(corpus(), 4), spread_of(corpus().flip(0), 4)
    assert torch.allclose(there.steps, back.steps, atol=1e-6)


@pytest.mark.parametrize(("count", "steps"), [(1, 0), (2, 1), (3, 2)])
def test_few_pieces_show_few_axes(count: int, steps: int) -> None:
    spread = spread_of(corpus()[:count], 16)
    assert len(spread.steps) == steps
    assert spread.turned(spread.steps.new_zeros(0, steps)).shape == (steps, 6)
    _, drawn = spread.draw(5, seed=0)
    assert drawn.isfinite().all()


def test_equal_pieces_show_no_axis() -> None:
    spread = spread_of(torch.ones(10, 6), 16)
    assert len(spread.steps) == 0
    assert spread.rest == 0


def test_the_surest_direction_is_the_one_all_seeds_agree_on() -> None:
    generator = torch.Generator().manual_seed(5)
    way = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    rises = way + 0.1 * torch.randn(40, 4, generator=generator, dtype=torch.float64)
    rises[:, 3] += 3 + 5 * torch.randn(40, generator=generator, dtype=torch.float64)
    found = surest_direction(rises)
    assert torch.linalg.vector_norm(found) == pytest.approx(1.0)
    assert found @ way / 2**0.5 > 0.95
    assert surest_direction(torch.zeros(3, 4, dtype=torch.float64)).tolist() == [0.0] * 4


def test_normal_scores_keep_the_order_and_leave_out_what_has_no_value() -> None:
    scores = normal_scores(torch.tensor([1e9, torch.nan, -5.0, 2.0]))
    assert scores.isnan().tolist() == [False, True, False, False]
    assert scores[[2, 3, 0]].tolist() == pytest.approx([-0.967, 0.0, 0.967], abs=1e-3)


def test_ranks_of_equal_values_are_shared() -> None:
    assert ranks(torch.tensor([2.0, 1.0, 2.0, 5.0])).tolist() == [0.5, 0.125, 0.5, 0.875]


def test_rank_correlation_is_spearmans() -> None:
    rising = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert rank_correlation(rising, rising.exp()) == pytest.approx(1.0)
    assert rank_correlation(rising, -rising) == pytest.approx(-1.0)
    assert rank_correlation(rising, torch.tensor([1.0, 3.0, 2.0, 4.0])) == pytest.approx(0.8)
    assert rank_correlation(rising, torch.zeros(4)) == 0
