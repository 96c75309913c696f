"""What one of several processes that train a model together knows, and what it says to the others.

Each rank learns from its rows of every batch. Losses are means over all rows, so every rank computes the same ones;
gradients are added up in one piece; and so all take the same step. Only rank 0 decides anything. It is the run's worker
and goes its way as if it were alone; before each step it tells the others which one it is, and they wait for its word
as long as it has other things to do. There is no barrier and nothing is decided twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast

import msgspec
import torch
import torch.distributed as dist
from torch import Tensor

from distill_engine.errors import RankLostError
from distill_engine.training import checkpoint
from distill_engine.training.state import TrainingState

_WORD_BYTES = 256
"""Every word is sent with so many: whoever listens must know how long it is."""


class Step(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Take a step on this batch of this epoch, at these rates."""

    number: int
    epoch: int
    batch: int
    learning: float
    kl: float


class State(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Weights and optimiser follow, in so many bytes: go on from them."""

    size: int


class Rest(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The run pauses: leave the GPU to others until the next step."""


class End(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """There is no further step."""


Word = Step | State | Rest | End


class Watch(Protocol):
    """Knows how the other ranks are."""

    def look(self) -> None:
        """Raise RankLostError if one of them has ended: asked before every step."""

    def blame(self, error: RuntimeError) -> RankLostError:
        """Return which of them made a communication fail."""


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """One rank, of `count` in all. Every method raises RankLostError where another rank is gone.

    `tensors` carries what a step adds up, on the device; `words` what rank 0 says, on the CPU.
    """

    number: int = 0
    count: int = 1
    tensors: dist.ProcessGroup | None = None
    words: dist.ProcessGroup | None = None
    watch: Watch | None = None

    def mean(self, here: Tensor) -> Tensor:
        """Return the mean over all ranks of a mean over this one's rows; it may be derived from."""
        if self.count == 1:
            return here
        return cast(Tensor, _Mean.apply(here, self))  # type: ignore[no-untyped-call]

    def add_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each gradient by the sum of all ranks' gradients."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        self.add(flat)
        for gradient, added in zip(gradients, flat.split([one.numel() for one in gradients]), strict=True):
            gradient.copy_(added.view_as(gradient))

    def add(self, tensor: Tensor) -> None:
        """Replace a tensor by the sum of all ranks' tensors."""
        with self._heard():
            dist.all_reduce(tensor, group=self.tensors)

    def tell(self, word: Word) -> None:
        """Say a word to all others; one that isn't rank 0 says nothing."""
        if self.count == 1 or self.number:
            return
        assert self.watch is not None
        self.watch.look()
        self._broadcast(msgspec.json.encode(word).ljust(_WORD_BYTES))

    def send_state(self, state: TrainingState) -> None:
        """Let the others go on from rank 0's weights and optimiser."""
        if self.count == 1 or self.number:
            return
        content = checkpoint.packed(state)
        self.tell(State(size=len(content)))
        self._broadcast(content)

    def hear(self) -> Word:
        """Return the next word of rank 0, as soon as it comes."""
        word: Word = msgspec.json.decode(self._broadcast(bytes(_WORD_BYTES)), type=Word)
        return word

    def receive_state(self, state: TrainingState, word: State) -> None:
        """Bring a state to rank 0's."""
        checkpoint.unpack(state, self._broadcast(bytes(word.size)))

    def _broadcast(self, content: bytes) -> bytes:
        """Return rank 0's content, which is as long as every other's."""
        tensor = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        with self._heard():
            dist.broadcast(tensor, 0, group=self.words)
        return tensor.numpy().tobytes()

    @contextlib.contextmanager
    def _heard(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # what torch's communication raises
            assert self.watch is not None
            raise self.watch.blame(error) from error


ALONE = Ranks()


class _Mean(torch.autograd.Function):
    """The mean over ranks.

    Every rank derives the same loss by its own share of it, so that the gradients of all are still to be added up.
    """

    @staticmethod
    def forward(ctx: Any, here: Tensor, ranks: Ranks) -> Tensor:  # noqa: ANN401 - torch names no type for it
        ctx.count = ranks.count
        total = here.detach().clone()
        ranks.add(total)
        return total / ranks.count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        return gradients[0] / ctx.count, None
