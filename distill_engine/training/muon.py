"""The optimiser: Muon for matrices, AdamW for all else, in one object with one learning rate.

Adam learns little from the directions in which gradients are small; Muon gives all directions of a weight matrix the
same step, by the nearest orthogonal matrix to its momentum. On this network it comes as far as Adam in less than half
the steps, and further in the end (the table stands in sound.md). A convolution's kernel is taken as the matrix that
maps one layer's channels to the other's, with its taps beside each other.

Rate and `taken` may be numbers or tensors on the device: nothing here is read back, so a step can be captured whole.
"""

from __future__ import annotations

import contextlib
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

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

Number = float | Tensor


class Muon(torch.optim.Optimizer):
    """Steps all parameters by the groups' `lr`, after a decay of the weights by `lr * weight_decay`.

    The state of a matrix is its `momentum` alone; of anything else AdamW's. Equal on a CPU for equal gradients and
    number of threads, bit for bit.

    K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024 (kellerjordan.github.io).
    """

    def __init__(self, params: Iterable[Tensor], *, lr: Number, weight_decay: float = 0.0, bf16: bool = False) -> None:
        """`bf16` lets a CPU that has such arithmetic use it for its products, in half of the time."""
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})
        self._bf16 = bf16

    @torch.no_grad()
    def step(self, closure: None = None, *, taken: Number = 1.0) -> None:  # type: ignore[override]
        """Take one step along the gradients that are there; with a `taken` of 0 none, though they must be finite."""
        assert closure is None
        for group in self.param_groups:
            rate = group["lr"] * taken
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["weight_decay"]:
                for parameter in parameters:
                    parameter.mul_(1 - rate * group["weight_decay"])
            self._step_matrices([one for one in parameters if _is_matrix(one)], rate, taken)
            self._step_others([one for one in parameters if not _is_matrix(one)], rate, taken)

    def _step_matrices(self, parameters: Sequence[Tensor], rate: Number, taken: Number) -> None:
        """Step by the orthogonalised look-ahead of the momentum (Nesterov 1983)."""
        updates = []
        for parameter in parameters:
            state, gradient = self.state[parameter], _gradient(parameter)
            if not state:
                state["momentum"] = torch.zeros_like(gradient)
            momentum = state["momentum"]
            move_towards([momentum], [gradient], (1 - _MOMENTUM) * taken)
            updates.append(gradient.lerp(momentum, _MOMENTUM))
        with quicker_products(wanted=self._bf16):
            directions = orthogonal(updates, rate)
        for parameter, direction in zip(parameters, directions, strict=True):
            parameter.sub_(direction)

    def _step_others(self, parameters: Sequence[Tensor], rate: Number, taken: Number) -> None:
        """Take AdamW's step (Loshchilov and Hutter 2019), its decay apart, of all parameters at once."""
        if not parameters:
            return
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["count"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
                state["mean"] = torch.zeros_like(parameter)
                state["square"] = torch.zeros_like(parameter)
        gradients = [_gradient(parameter) for parameter in parameters]
        counts, means, squares = ([self.state[one][name] for one in parameters] for name in ("count", "mean", "square"))
        first, second = _ADAM_DECAY
        if isinstance(taken, Tensor):
            torch._foreach_add_(counts, taken, alpha=1)  # without alpha it would be read as a number, by the host
        else:
            torch._foreach_add_(counts, taken)
        move_towards(means, gradients, (1 - first) * taken)
        move_towards(squares, list(torch._foreach_mul(gradients, gradients)), (1 - second) * taken)
        count = counts[0].clamp(min=1.0)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_mul_(roots, (1 - second**count).rsqrt())
        torch._foreach_add_(roots, _EPSILON)
        directions = torch._foreach_div(means, roots)
        torch._foreach_mul_(directions, rate / (1 - first**count))
        torch._foreach_sub_(list(parameters), directions)


def move_towards(these: list[Tensor], those: list[Tensor], share: Number) -> None:
    """Move tensors in their place by a share of the way to others; by none of it where the share is 0."""
    if isinstance(share, Tensor):
        way = torch._foreach_sub(those, these)
        torch._foreach_mul_(way, share)
        torch._foreach_add_(these, way)
    else:
        torch._foreach_lerp_(these, those, share)


def _gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def _is_matrix(parameter: Tensor) -> bool:
    return parameter.ndim > 1 and min(parameter.shape[:2]) >= _SMALLEST_SIDE


def orthogonal(updates: Sequence[Tensor], scale: Number = 1.0) -> list[Tensor]:
    """Return the nearest semi-orthogonal matrix to each of `updates` [a, b, ...], about, with an RMS of 0.2 `scale`.

    The shorter of the first two sides becomes the matrix's rows and all else its columns. Each of Jordan's steps maps
    X to p(X X^T) X, so the steps are taken on the small X X^T alone, in fp32, and applied to X at the end, all at once.
    Matrices with as many rows share their steps.
    """
    rows = [update.transpose(0, 1) if update.shape[0] > update.shape[1] else update for update in updates]
    matrices = [one.flatten(1) for one in rows]
    alike = defaultdict(list)
    for number, matrix in enumerate(matrices):
        alike[len(matrix)].append(number)
    results = list(updates)
    for numbers in alike.values():
        maps = _orthogonalising(torch.stack([matrices[number] @ matrices[number].T for number in numbers]))
        for number, towards in zip(numbers, maps, strict=True):
            size = _ADAM_LIKE * math.sqrt(max(matrices[number].shape))
            made = (towards * (size * scale) @ matrices[number]).view(rows[number].shape)
            results[number] = made.transpose(0, 1) if rows[number] is not updates[number] else made
    return results


@contextlib.contextmanager
def quicker_products(*, wanted: bool) -> Iterator[None]:
    """Let a CPU make products of fp32 matrices by its bf16 arithmetic, in fp32's format; elsewhere this means nothing.

    It loses some 1e-5 of their size. Matrices rounded to bf16 would not do: X X^T would then have negative eigenvalues,
    which the steps blow up without bound, and what they make of small singular values would drown in the last product.
    """
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    if wanted:
        matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        matmul.fp32_precision = before


def _orthogonalising(gram: Tensor) -> Tensor:
    """Return for each X X^T of [n, r, r] the matrix that makes X orthogonal by a product from the left."""
    first, third, fifth = _QUINTIC
    norm = gram.diagonal(dim1=1, dim2=2).sum(1).sqrt()[:, None, None] + 1e-7
    gram = gram / norm.square()
    whole = torch.eye(gram.shape[1], device=gram.device).expand_as(gram)
    for _ in range(_STEPS):
        step = torch.baddbmm(gram, gram, gram, beta=third, alpha=fifth)
        step.diagonal(dim1=1, dim2=2).add_(first)
        whole, gram = step @ whole, step @ gram @ step
    return whole / norm
