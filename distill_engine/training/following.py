"""What a rank other than 0 does: it hears what rank 0 says, and takes its part of the same steps."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from distill_engine.errors import RankLostError
from distill_engine.launched import Place
from distill_engine.training.computing import as_configured, give_memory_back
from distill_engine.training.dataset import PieceLoader, training_loader
from distill_engine.training.rank_start import join, read_task, say_ready, store_of
from distill_engine.training.ranks import End, Rest, State, Step
from distill_engine.training.state import fresh_state
from distill_engine.training.step import Rates, Stepper


class Following:
    """A rank's own weights, optimiser and rows of each batch; averages, the best weights and progress are rank 0's."""

    def __init__(self, here: Place, url: str) -> None:
        """Wait for rank 0's task, make ready and join."""
        store = store_of(here, url)
        task = read_task(store, here.local)
        torch.set_num_threads(task.threads)
        self._config = task.config
        self._device = torch.device(task.config.device)
        self._state = fresh_state(task.config, self._device)
        self._state.ema = {}
        self._batches = _Batches(training_loader(task.items, task.normalisation, task.config, here.rank))
        say_ready(store, here.rank)
        self._ranks = join(store, here.rank, task.config, _Others(here.rank))
        self._stepper = Stepper(self._state, task.config, self._ranks)

    def obey(self) -> None:
        """Do what rank 0 says until it says that all is done.

        Raises:
            RankLostError: rank 0 or another rank is gone.
        """
        with as_configured(self._config):
            self._obey()

    def _obey(self) -> None:
        resting = False
        while not isinstance(word := self._ranks.hear(), End):
            if resting:
                self._state.move_to(self._device)
                resting = False
            match word:
                case Step():
                    batch = self._batches.at(word.epoch, word.batch).to(self._device)
                    self._stepper.take(batch, word.number, Rates(learning=word.learning, kl=word.kl))
                case State():
                    self._ranks.receive_state(self._state, word)
                case Rest():
                    self._batches.rest()
                    self._state.move_to(torch.device("cpu"))
                    give_memory_back()
                    resting = True


class _Batches:
    """Batches by their number; those asked for in order are read in order."""

    def __init__(self, loader: PieceLoader) -> None:
        self._loader = loader
        self._next = (-1, -1)
        self._coming: Iterator[Tensor] = iter(())

    def rest(self) -> None:
        """Have nothing on a GPU until the next one is asked for."""
        self._next, self._coming = (-1, -1), iter(())
        self._loader.rest()

    def at(self, epoch: int, batch: int) -> Tensor:
        """Return a batch of an epoch, both counted from 0."""
        if self._next != (epoch, batch):
            self._coming = self._loader.epoch(epoch, first_batch=batch)
        self._next = (epoch, batch + 1)
        return next(self._coming)


class _Others:
    """What a rank other than 0 knows of the others: that they answer, or don't."""

    def __init__(self, rank: int) -> None:
        self._rank = rank

    def look(self) -> None:
        """Rank 0 looks after all."""

    def blame(self, error: RuntimeError) -> RankLostError:
        return RankLostError(f"rank {self._rank} was left alone: {error}")
