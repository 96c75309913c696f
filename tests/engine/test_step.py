"""One step, taken in two ways: looking at its numbers, and without looking, as a captured graph must."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from distill_engine.training.config import TrainingConfig
from distill_engine.training.readings import Readings
from distill_engine.training.state import TrainingState, fresh_state
from distill_engine.training.step import Rates, Stepper, StepResult, _Captured, step_seed
from tests.engine.runs import small_config

CONFIG = small_config(device="cpu", precision="fp32", ema_decay=0.9)
RATES = Rates(learning=0.001, kl=0.001)


def _state(config: TrainingConfig = CONFIG) -> TrainingState:
    return fresh_state(config, torch.device("cpu"))


def _batch(seed: int) -> Tensor:
    spectrogram = CONFIG.complex_spectrogram
    shape = (4, 2, spectrogram.n_mels, spectrogram.time_frames)
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) - torch.tensor([0.0, 0.5])[:, None, None]


def _unseen(stepper: Stepper, state: TrainingState, batch: Tensor, step: int) -> Tensor:
    """Take a step as a graph does: all numbers on the device, none looked at."""
    torch.manual_seed(step_seed(CONFIG.seed, step))
    average = torch.tensor(state.share_of_new_weights(CONFIG.ema_decay))
    return stepper.masked(batch, torch.tensor(RATES.learning), torch.tensor(RATES.kl), average)


class NothingRead(TorchDispatchMode):
    """Raises where a tensor's value comes to the host, for which a GPU's would be waited for."""

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - torch names no type for it
        _types: object,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        assert func.overloadpacket not in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero), "a host read"
        return func(*args, **(kwargs or {}))


@pytest.fixture
def capturing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch capture without a GPU."""
    for name in ("stream", "graph"):
        monkeypatch.setattr(torch.cuda, name, lambda _one: contextlib.nullcontext())
    for name in ("Stream", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, lambda _device: SimpleNamespace(wait_stream=lambda _other: None))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)


def _result(row: Tensor, step: int) -> StepResult:
    (result,) = Readings().add(row, step, RATES)
    return result


def test_a_step_taken_unseen_is_the_one_that_is_looked_at() -> None:
    seen, unseen = _state(), _state()
    steppers = Stepper(seen, CONFIG), Stepper(unseen, CONFIG)
    for step in range(1, 6):
        one = _result(steppers[0].take(_batch(step), step, RATES), step)
        other = _result(_unseen(steppers[1], unseen, _batch(step), step), step)
        for state in (seen, unseen):
            state.progress.step = step
        assert one.taken
        assert one.loss == pytest.approx(other.loss, rel=1e-4)
        assert one.gradient_norm == pytest.approx(other.gradient_norm, rel=1e-3)
    for mine, theirs in zip(seen.tensors(), unseen.tensors(), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("first", [False, True])
def test_a_step_that_is_not_finite_moves_nothing_whether_it_is_looked_at_or_not(*, first: bool) -> None:
    state = _state()
    stepper = Stepper(state, CONFIG)
    if not first:
        stepper.take(_batch(1), 1, RATES)
    stepper.masked(_batch(1), torch.tensor(0.0), torch.tensor(0.0), torch.tensor(0.0))  # the optimiser's state is there
    before = copy.deepcopy(state.tensors())
    broken = _batch(2)
    broken[1, 0, 3, 3] = torch.nan
    rows = stepper.take(broken, 2, RATES), _unseen(stepper, state, broken, 2)
    assert not any(_result(row, 2).taken for row in rows)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(state.tensors(), before, strict=True))


def test_readings_come_in_the_order_of_the_steps() -> None:
    readings = Readings()
    results = [one for step in range(3) for one in readings.add(torch.full((6,), float(step)), step, RATES)]
    results += readings.rest()
    assert [(one.step, one.loss, one.gradient_norm) for one in results] == [(n, float(n), float(n)) for n in range(3)]
    assert readings.rest() == []


def test_a_step_taken_unseen_reads_nothing_back() -> None:
    state = _state()
    stepper = Stepper(state, CONFIG)
    for step in (1, 2):  # the first also makes what the optimiser keeps
        with NothingRead():  # type: ignore[no-untyped-call]
            _unseen(stepper, state, _batch(step), step)
    with NothingRead(), pytest.raises(AssertionError, match="a host read"):  # type: ignore[no-untyped-call]
        float(_batch(1).sum())


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.usefixtures("capturing")
def test_a_capture_leaves_the_state_as_it_was(before: int) -> None:
    state = _state()
    stepper = Stepper(state, CONFIG)
    for step in range(1, 1 + before):
        stepper.take(_batch(step), step, RATES)
    kept, copies = state.tensors(), copy.deepcopy(state.tensors())
    _Captured(state, _batch(3), stepper.masked)
    after = state.tensors()
    assert len(after) > len(kept) or before, "the optimiser's state is there now, and at nothing"
    assert all(one is other for one, other in zip(kept, after, strict=False))
    assert all(torch.equal(one, other) for one, other in zip(copies, after, strict=False))
    assert not any(one.any() for one in after[len(kept) :])


@pytest.mark.usefixtures("capturing")
def test_a_capture_that_finds_no_memory_leaves_the_state_as_it_was() -> None:
    state = _state()
    stepper = Stepper(state, CONFIG)
    stepper.take(_batch(1), 1, RATES)
    copies, calls = copy.deepcopy(state.tensors()), itertools.count()

    def full(*inputs: Tensor) -> Tensor:
        if next(calls) == 3:
            raise torch.OutOfMemoryError
        return stepper.masked(*inputs)

    with pytest.raises(torch.OutOfMemoryError):
        _Captured(state, _batch(2), full)
    assert all(torch.equal(one, other) for one, other in zip(copies, state.tensors(), strict=True))
