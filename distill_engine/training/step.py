"""One optimisation step, and the learning rate it takes.

All randomness of a step (the latent's noise, dropout) is drawn anew from seed and step. A step is thus a pure function
of weights, batch and its number, and no generator's state outlives it: a resumed run needs none to go on bit for bit.
Where several ranks share the batch (see `ranks`) each draws the noise of all of it and takes its own rows, so that
every sample has the noise that it would have in one process. Dropout is then drawn by step and rank, and isn't what one
process would draw; compiled code draws its own as well.

Nothing of a step is read back by it: what it came to is a row of numbers on the device, whether it was finite is
decided there, and its rates come as numbers on the device. So on a GPU the whole of it, from the batch to the averaged
weights, is captured once as a CUDA graph and launched at one go; the host never waits for it (see `readings`). With
several ranks it is launched piece by piece: a graph with communication in it was never tried, for want of two GPUs.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distill_engine.models.losses import vae_losses
from distill_engine.training.computing import autocast, give_memory_back, memory_format
from distill_engine.training.config import TrainingConfig
from distill_engine.training.muon import move_towards
from distill_engine.training.ranks import ALONE, Ranks, Rest, Step

if TYPE_CHECKING:
    from distill_engine.training.state import TrainingState

# The cosine ends here rather than at zero: the last epochs still learn something.
FINAL_RATE_FRACTION = 0.01

_WARM_UP_STEPS = 3
"""Before a capture: what libraries allocate and choose at first must not become part of it."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What a step takes besides its batch: the learning rate, and the weight of the divergence."""

    learning: float
    kl: float


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What a step came to: the losses as in `Losses`, the gradient's norm before clipping, whether weights changed."""

    step: int
    rates: Rates
    loss: float
    magnitude: float
    frequency: float
    stft: float
    kl: float
    gradient_norm: float

    @property
    def taken(self) -> bool:
        """Whether the step changed the weights: it doesn't where the loss or the gradient isn't finite."""
        return math.isfinite(self.loss) and math.isfinite(self.gradient_norm)


FIGURES = 6
"""Numbers in a step's row on the device, those of `StepResult` from `loss` on."""


class Stepper:
    """Takes the steps of a training state, eager or, on a GPU, as one graph captured for each shape of batch.

    A batch that a GPU's memory doesn't hold goes through in parts, twice as many each time, and their gradients add up.
    The losses are then means over the parts', which differs a little from those of a batch at once.
    """

    def __init__(
        self,
        state: TrainingState,
        config: TrainingConfig,
        ranks: Ranks = ALONE,
        on_parts: Callable[[int], object] = lambda _parts: None,
    ) -> None:
        """`on_parts` is told in how many parts a batch goes from now on."""
        self._state = state
        self._config = config
        self._ranks = ranks
        self._on_parts = on_parts
        self._parts = 1
        self._device = torch.device(config.device)
        self._format = memory_format(config)
        self._model = torch.compile(state.model, dynamic=False) if config.compile == "on" else state.model
        self._captured: dict[torch.Size, _Captured] = {}

    def take(self, batch: Tensor, step: int, rates: Rates) -> Tensor:
        """Take step number `step` on `batch` [B, 2, n_mels, time] of the device; return its row of `FIGURES`.

        Where loss or gradient aren't finite, weights, optimiser and average stay as they are. The row is the caller's.

        Raises:
            RankLostError: another rank is gone; weights, optimiser and average are as they were.
            torch.OutOfMemoryError: there is no room for one piece, or for a rank's share of the batch.
        """
        while True:
            try:
                return self._taken(batch, step, rates)
            except torch.OutOfMemoryError:
                if self._ranks.count > 1 or self._parts >= len(batch):
                    raise
                self._parts = min(2 * self._parts, len(batch))
                self.forget()
                self._state.optimizer.zero_grad(set_to_none=True)
            give_memory_back()
            self._on_parts(self._parts)

    def _taken(self, batch: Tensor, step: int, rates: Rates) -> Tensor:
        progress = self._state.progress
        self._ranks.tell(
            Step(number=step, epoch=progress.epoch, batch=progress.batch, learning=rates.learning, kl=rates.kl)
        )
        if self._device.type == "cpu":
            return self.eager(batch, step, rates)
        average = self._state.share_of_new_weights(self._config.ema_decay)
        if self._ranks.count > 1:
            noise = self._noise(len(batch), step)
            return self.masked(batch, rates.learning, rates.kl, average, noise)
        captured = self._captured_for(batch)  # which draws too: only now is the step's own randomness begun
        torch.manual_seed(step_seed(self._config.seed, step))
        return captured.replay(batch, rates, average)

    def eager(self, batch: Tensor, step: int, rates: Rates) -> Tensor:
        """Take a step alone, launched piece by piece and looking at its numbers, which costs a GPU's host a wait."""
        average = self._state.share_of_new_weights(self._config.ema_decay)
        row = self._gradients(batch, rates.kl, self._noise(len(batch), step))
        if is_taken(row):
            self._apply(rates.learning, average, 1.0)
        return row

    def forget(self) -> None:
        """Let go of what was captured: the state has other tensors from now on, or its memory is needed."""
        self._captured.clear()

    def rest(self) -> None:
        """Let go of what was captured, and let the other ranks free their GPUs until the next step."""
        self.forget()
        self._ranks.tell(Rest())

    def begin_anew(self) -> None:
        """Go on from another state: let go of what was captured, and let the other ranks have it too."""
        self.forget()
        self._ranks.send_state(self._state)

    def _noise(self, share: int, step: int) -> Tensor:
        """Begin the step's randomness; return this rank's rows [share, latent_dim] of the batch's noise."""
        ranks, config = self._ranks, self._config
        torch.manual_seed(step_seed(config.seed, step))
        noise = torch.randn(share * ranks.count, config.latent_dim, device=self._device)
        if ranks.count > 1:
            torch.manual_seed(step_seed(step_seed(config.seed, step), ranks.number))  # of what dropout draws
        return noise[share * ranks.number :][:share]

    def masked(
        self,
        batch: Tensor,
        learning: float | Tensor,
        kl: float | Tensor,
        average: float | Tensor,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Take a step without looking at any number: one that isn't to be taken moves everything by nothing.

        Without `noise` [B, latent_dim] it is drawn.
        """
        row = self._gradients(batch, kl, noise)
        taken = is_taken(row).float()
        for parameter in self._state.model.parameters():
            if parameter.grad is not None:
                parameter.grad.nan_to_num_(0.0, 0.0, 0.0)
        self._apply(learning, average, taken)
        return row

    def _gradients(self, batch: Tensor, kl: float | Tensor, noise: Tensor | None) -> Tensor:
        """Leave the clipped gradients with the weights; return the row."""
        state, config = self._state, self._config
        batch = batch.contiguous(memory_format=self._format)
        if noise is None:
            noise = torch.randn(len(batch), config.latent_dim, device=self._device)
        state.optimizer.zero_grad(set_to_none=True)
        rows = []
        for part, own in zip(batch.tensor_split(self._parts), noise.tensor_split(self._parts), strict=True):
            with autocast(config, self._device):
                recon, mu, logvar = self._model(part, own)
            losses = vae_losses(recon, part, mu, logvar, config.loss, kl, self._ranks.mean)
            share = len(part) / len(batch)
            (losses.total * share).backward()
            rows.append(torch.cat((losses.total.detach()[None], losses.parts().detach())).float() * share)
        self._ranks.add_gradients(state.model.parameters())
        clip = config.regularization.gradient_clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(state.model.parameters(), clip)
        return torch.cat((torch.stack(rows).sum(0), norm.detach().float()[None]))

    @torch.no_grad()
    def _apply(self, learning: float | Tensor, average: float | Tensor, taken: float | Tensor) -> None:
        state = self._state
        for group in state.optimizer.param_groups:
            group["lr"] = learning
        state.optimizer.step(taken=taken)
        if state.ema:
            current = state.model.state_dict()
            move_towards(list(state.ema.values()), [current[name] for name in state.ema], average * taken)

    def _captured_for(self, batch: Tensor) -> _Captured:
        if batch.shape not in self._captured:
            self._captured[batch.shape] = _Captured(self._state, batch, self.masked)
        return self._captured[batch.shape]


class _Captured:
    """A step as a CUDA graph: its inputs lie at fixed places, and its row too."""

    def __init__(
        self, state: TrainingState, like: Tensor, masked: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    ) -> None:
        self._batch = like.clone()
        self._learning, self._kl, self._average = (torch.zeros((), device=like.device) for _ in range(3))
        inputs = (self._batch, self._learning, self._kl, self._average)
        side = torch.cuda.Stream(like.device)
        self._graph = torch.cuda.CUDAGraph()
        with _left_as_it_was(state):
            side.wait_stream(torch.cuda.current_stream(like.device))
            with torch.cuda.stream(side):
                for _ in range(_WARM_UP_STEPS):
                    masked(*inputs)
            torch.cuda.current_stream(like.device).wait_stream(side)
            state.optimizer.zero_grad(set_to_none=True)
            with torch.cuda.graph(self._graph):
                self._row = masked(*inputs)

    def replay(self, batch: Tensor, rates: Rates, average: float) -> Tensor:
        self._batch.copy_(batch)
        self._learning.fill_(rates.learning)
        self._kl.fill_(rates.kl)
        self._average.fill_(average)
        self._graph.replay()
        return self._row.clone()


@contextlib.contextmanager
def _left_as_it_was(state: TrainingState) -> Iterator[None]:
    """Put back what steps taken for trial change, the tensors staying the same; what they made begins at nothing."""
    kept = state.tensors()
    copies = [tensor.detach().clone() for tensor in kept]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor in state.tensors():
                tensor.zero_()
            for tensor, copy in zip(kept, copies, strict=True):
                tensor.copy_(copy)


def is_taken(row: Tensor) -> Tensor:
    """Return whether a step of this row changes the weights, as a tensor [] of the same device."""
    return row[0].isfinite() & row[-1].isfinite()


def step_seed(seed: int, step: int) -> int:
    """Return the seed of one step's randomness: distinct for every step of a run, unlike those of a run seeded next."""
    return (seed * 0x9E3779B97F4A7C15 + step) % 2**63


def learning_rate(config: TrainingConfig, step: int, total_steps: int) -> float:
    """Return the rate of `step`, counted from 1: a linear warm-up, then constant or half a cosine over what is left."""
    if step <= config.warmup_steps:
        return config.learning_rate * step / config.warmup_steps
    if config.learning_rate_schedule == "constant":
        return config.learning_rate
    done = min(1.0, (step - config.warmup_steps) / max(1, total_steps - config.warmup_steps))
    fraction = FINAL_RATE_FRACTION + (1 - FINAL_RATE_FRACTION) * 0.5 * (1 + math.cos(math.pi * done))
    return config.learning_rate * fraction
