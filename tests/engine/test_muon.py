"""The optimiser: orthogonal steps for matrices, AdamW's for the rest, and a state that comes back."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from distill_engine.training.muon import Muon, orthogonal, quicker_products


def _parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))))


def _stepped(parameter: nn.Parameter, *, steps: int = 1, decay: float = 0.0) -> Tensor:
    """Return how far a parameter moves in so many steps along gradients drawn from a seed."""
    before = parameter.detach().clone()
    optimizer = Muon([parameter], lr=0.01, weight_decay=decay)
    for step in range(steps):
        parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(step))
        optimizer.step()
    return parameter.detach() - before


@pytest.mark.parametrize("shape", [(20, 96), (96, 20), (32, 16, 3, 3), (16, 32, 3, 3)])
def test_a_matrix_moves_as_far_in_all_its_directions(shape: tuple[int, ...]) -> None:
    moved = _stepped(_parameter(*shape))
    rows = moved if shape[0] <= shape[1] else moved.transpose(0, 1)
    singular = torch.linalg.svdvals(rows.flatten(1))
    assert singular.max() < 2.5 * singular.min()
    assert 0.7 * 0.002 < moved.square().mean().sqrt().item() < 1.3 * 0.002


@pytest.mark.parametrize("shape", [(7,), (32, 2, 3, 3), (2, 32, 3, 3), (3, 64)])
def test_what_is_no_matrix_moves_as_with_adamw(shape: tuple[int, ...]) -> None:
    ours, theirs = _parameter(*shape), _parameter(*shape)
    before = theirs.detach().clone()
    optimizer = torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.1)
    for step in range(5):
        theirs.grad = torch.randn(shape, generator=torch.Generator().manual_seed(step))
        optimizer.step()
    assert torch.allclose(_stepped(ours, steps=5, decay=0.1), theirs.detach() - before, atol=1e-6)


def test_decay_pulls_a_matrix_towards_zero() -> None:
    free, held = _parameter(20, 96), _parameter(20, 96)
    start = free.detach().clone()
    assert torch.allclose(_stepped(held, decay=0.5), _stepped(free) - 0.01 * 0.5 * start, atol=1e-6)


def test_a_parameter_without_a_gradient_stays() -> None:
    parameter = _parameter(20, 96)
    before = parameter.detach().clone()
    Muon([parameter], lr=0.01, weight_decay=0.1).step()
    assert torch.equal(parameter, before)


def test_a_state_that_comes_back_goes_on_to_the_same_bits() -> None:
    first, second = ([_parameter(20, 96), _parameter(7)] for _ in range(2))
    one = Muon(first, lr=0.01)
    _step(one, first, 0)
    other = Muon(second, lr=0.01)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    with torch.no_grad():
        for mine, theirs in zip(second, first, strict=True):
            mine.copy_(theirs)
    for optimizer, parameters in ((one, first), (other, second)):
        _step(optimizer, parameters, 1)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(second, first, strict=True))


def _step(optimizer: Muon, parameters: list[nn.Parameter], seed: int) -> None:
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
    optimizer.step()


@pytest.mark.parametrize(("rows", "columns"), [(20, 960), (128, 2304)])
def test_quicker_products_give_the_same_direction_also_of_a_matrix_that_hardly_has_some(
    rows: int, columns: int
) -> None:
    random = torch.Generator().manual_seed(0)
    wide = torch.randn(rows, 3, generator=random) @ torch.randn(3, columns, generator=random)
    update = wide + 1e-3 * torch.randn(rows, columns, generator=random)
    (exact,) = orthogonal([update])
    with quicker_products(wanted=True):
        (quick,) = orthogonal([update])
    assert torch.linalg.matrix_norm(quick - exact, 2) < 0.02 * torch.linalg.matrix_norm(exact, 2)
