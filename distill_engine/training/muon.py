"""The optimiser: Muon for matrices, AdamW for all else, in one object with one learning rate.

Adam learns little from the directions in which gradients are small; Muon gives all directions of a weight matrix the
same step, by the nearest orthogonal matrix to its momentum. On this network it comes as far as Adam in less than half
the steps, and further in the end (the table stands in sound.md). A convolution's kernel is taken as the matrix that
maps one layer's channels to the other's, with its taps beside each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

_SMALLEST_SIDE = 16
"""Kernels from or to fewer channels than this are the spectrogram's own two: Adam's, as Jordan (2024) advises."""

_MOMENTUM = 0.95
_ADAM_DECAY = (0.9, 0.999)
_EPSILON = 1e-8

_STEPS = 5
_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Brings every singular value from (0, 1] to about 1, between 0.7 and 1.2, in five steps (Jordan 2024)."""

_ADAM_LIKE = 0.2
"""The root mean square of an AdamW step by its rate; with it one rate suits both (Liu et al. 2025, 2502.16982)."""


class Muon(torch.optim.Optimizer):
    """Steps all parameters by the groups' `lr`, after a decay of the weights by `lr * weight_decay`.

    The state of a matrix is its `momentum` alone; of anything else AdamW's. Equal on a CPU for equal gradients and
    number of threads, bit for bit.

    K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024 (kellerjordan.github.io).
    """

    def __init__(self, params: Iterable[Tensor], *, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step along the gradients that are there."""
        assert closure is None
        for group in self.param_groups:
            rate = group["lr"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                parameter.mul_(1 - rate * group["weight_decay"])
                direction = _muon_direction if _is_matrix(parameter) else _adam_direction
                parameter.add_(direction(self.state[parameter], parameter.grad), alpha=-rate)


def _is_matrix(parameter: Tensor) -> bool:
    return parameter.ndim > 1 and min(parameter.shape[:2]) >= _SMALLEST_SIDE


def _muon_direction(state: dict[str, Tensor], gradient: Tensor) -> Tensor:
    """Return the orthogonalised look-ahead of the momentum (Nesterov 1983)."""
    if not state:
        state["momentum"] = torch.zeros_like(gradient)
    momentum = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
    return _orthogonal(gradient.lerp(momentum, _MOMENTUM))


def _adam_direction(state: dict[str, Tensor], gradient: Tensor) -> Tensor:
    """Return AdamW's step by a rate of 1 (Loshchilov and Hutter 2019), its decay apart."""
    if not state:
        state["step"] = torch.zeros((), dtype=torch.float32)
        state["mean"] = torch.zeros_like(gradient)
        state["square"] = torch.zeros_like(gradient)
    state["step"] += 1
    first, second = _ADAM_DECAY
    mean = state["mean"].lerp_(gradient, 1 - first)
    square = state["square"].lerp_(gradient.square(), 1 - second)
    steps = float(state["step"])
    direction: Tensor = (mean / (1 - first**steps)) / ((square / (1 - second**steps)).sqrt() + _EPSILON)
    return direction


def _orthogonal(update: Tensor) -> Tensor:
    """Return the nearest semi-orthogonal matrix to `update` [a, b, ...], about, scaled to an RMS of 0.2.

    The shorter of the first two sides becomes the matrix's rows and all else its columns. Each of Jordan's steps maps
    X to p(X X^T) X, so the steps are taken on the small X X^T alone and applied to X at the end, all at once: in fp32
    as fast as his in bf16, and the same to five digits.
    """
    turned = update.shape[0] > update.shape[1]
    rows = update.transpose(0, 1) if turned else update
    matrix = rows.flatten(1)
    matrix = matrix / (matrix.norm() + 1e-7)
    first, third, fifth = _QUINTIC
    gram = matrix @ matrix.T
    whole = torch.eye(len(gram), device=gram.device)
    for _ in range(_STEPS):
        step = torch.addmm(third * gram, gram, gram, alpha=fifth)
        step.diagonal().add_(first)
        whole, gram = step @ whole, step @ gram @ step
    scale = _ADAM_LIKE * math.sqrt(max(matrix.shape))
    result: Tensor = (whole @ matrix * scale).view(rows.shape)
    return result.transpose(0, 1) if turned else result
