"""Work beside training: checkpoints written and previews made on a thread of their own, from a copy of the state.

On a GPU steps go on meanwhile, for it is the CPU that writes and synthesises. On a CPU there is nothing to win: both
would want the same cores, so there the work is done at once.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import torch

from distill_engine.training.state import TrainingState

Work = Callable[[TrainingState], object]


class Aside:
    """Does one thing after another. Used as a context: whatever ends it, what was begun is finished first."""

    def __init__(self, *, beside: bool) -> None:
        """`beside` tells whether work goes on beside training, or holds it up."""
        self._pool = ThreadPoolExecutor(1, "beside") if beside else None
        self._begun: deque[Future[object]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def do(self, work: Work, state: TrainingState) -> None:
        """Do `work` with `state` as it is now. What went wrong with earlier work is raised here."""
        if self._pool is None:
            work(state)
            return
        while self._begun and self._begun[0].done():
            self._begun.popleft().result()
        copied = copy.deepcopy(state)
        copied.move_to(torch.device("cpu"))
        self._begun.append(self._pool.submit(work, copied))

    def settle(self) -> None:
        """Wait until all that was begun is done; what went wrong with it is raised."""
        while self._begun:
            self._begun.popleft().result()
