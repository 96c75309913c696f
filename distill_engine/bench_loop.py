"""How fast whole epochs are, beside the bare step, and beside steps that a DataLoader feeds.

The loop is `train_epoch` as a run has it: pieces cut from the cache, an event written to a log on disk twenty times a
second at most.
"""

from __future__ import annotations

import functools
import math
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from distill_engine.audio.preprocessing import PreparedCorpus
from distill_engine.bench_steps import RATES, ROUNDS, SIZES, STEADY_SECONDS, material
from distill_engine.event_log import EventLog
from distill_engine.events import Event
from distill_engine.figures import Figure, in_turns, median_ratio
from distill_engine.run_folder import RunFolder
from distill_engine.training.computing import as_configured
from distill_engine.training.config import TrainingConfig, replaced
from distill_engine.training.dataset import PieceLoader, training_loader
from distill_engine.training.frame_stores import Mapped
from distill_engine.training.loop import train_epoch
from distill_engine.training.meter import StepMeter
from distill_engine.training.state import TrainingState, fresh_state
from distill_engine.training.step import Stepper, StepResult

_PIECES, _PIECES_ON_A_GPU = 512, 36_000
"""Of an epoch, at least: such as a few minutes of recordings give, and an hour with nine copies of each."""

_MOST_FED = 4096
"""Pieces of a turn of a DataLoader's, which would take minutes over all of them."""


def loop(config: TrainingConfig, scratch: Path) -> Iterator[Figure]:
    """Yield the figures, for a decided configuration; on a GPU for each batch size."""
    with as_configured(config):
        corpus, _ = material(config, scratch)
        for size in SIZES if config.device != "cpu" else SIZES[:1]:
            yield from _of_size(replaced(config, {"batch_size": size}), corpus, scratch / f"loop-{size}")


def _of_size(config: TrainingConfig, corpus: PreparedCorpus, scratch: Path) -> Iterator[Figure]:
    scratch.mkdir(parents=True)
    log = EventLog(RunFolder(scratch))
    ways = _Ways(config, corpus, log.append)
    often = ways.for_a_while()
    turns = [functools.partial(way, often) for way in (ways.bare, ways.loop, ways.fed, ways.fed_as_usual)]
    of_bare, of_loop, of_fed, of_usual = in_turns(turns, ROUNDS, ways.finish)
    size, pieces = f"batch {config.batch_size}", ways.pieces
    speed = often * pieces / median(of_loop)
    bare = speed / median_ratio(of_bare, of_loop)
    fed, fed_as_usual = (speed * ways.share_fed * median_ratio(of_loop, one) for one in (of_fed, of_usual))
    event = 100 * _seconds_of_an_event(log) * bare / config.batch_size
    epoch = f"{size}, an epoch of {pieces:,} pieces"
    yield Figure(group="loop", name=f"{size}, the loop", value=speed, unit="pieces/s", baseline=bare)
    yield Figure(group="loop", name=epoch, value=pieces / speed, unit="s")
    yield Figure(group="loop", name=f"{size}, an event", value=event, unit="% of a bare step")
    yield Figure(group="loader", name=f"{size}, the same steps", value=speed, unit="pieces/s", baseline=fed)
    yield Figure(group="loader", name=f"{size}, eager in fp32", value=speed, unit="pieces/s", baseline=fed_as_usual)
    if config.device != "cpu":
        before = ways.reports
        syncs = _syncs(ways.loop)
        yield Figure(group="gpu", name=f"{size}, host syncs", value=syncs / (ways.reports - before), unit="a report")
    log.close()


class _Ways:
    """The ways to take an epoch's steps, each so many times over."""

    def __init__(self, config: TrainingConfig, corpus: PreparedCorpus, report: Callable[[Event], object]) -> None:
        self.reports = 0
        self._config = config
        self._report = report
        self._loader = _long_loader(corpus, config)
        self.pieces = self._loader.pieces_per_epoch
        fed = min(self.pieces, _MOST_FED)
        self.share_fed = fed / self.pieces
        self._feeding = _feeding(corpus, config, fed)
        self._batch = next(self._loader.epoch(0))
        self._state, self._stepper = _made(config)
        _, self._plain = _made(replaced(config, {"precision": "fp32", "memory_format": "contiguous"}))

    def for_a_while(self) -> int:
        """Return how many epochs make a turn, after a first one that doesn't count."""
        self.bare()
        self.finish()
        start = time.perf_counter()
        self.bare()
        self.finish()
        return max(1, round(STEADY_SECONDS / (time.perf_counter() - start)))

    def bare(self, often: int = 1) -> None:
        """Take steps on one batch that lies ready."""
        for _ in range(often * self._loader.batches_per_epoch):
            self._stepper.take(self._batch, 1, RATES)

    def loop(self, often: int = 1) -> None:
        """Train as a run does."""
        for _ in range(often):
            train_epoch(
                self._state,
                self._loader,
                self._config,
                stepper=self._stepper,
                total_steps=10**6,
                report=self._counted,
                should_stop=lambda: False,
            )

    def fed(self, often: int = 1) -> None:
        """Take the same steps on what a DataLoader brings, which is `share_fed` of an epoch."""
        for _ in range(often):
            for batch in self._feeding:
                self._stepper.take(self._there(batch), 1, RATES)

    def fed_as_usual(self, often: int = 1) -> None:
        """Take steps as one writes them at first, in fp32 and looking at the loss."""
        for _ in range(often):
            for batch in self._feeding:
                self._plain.eager(self._there(batch), 1, RATES)

    def finish(self) -> None:
        """Wait until the device is done."""
        if self._config.device != "cpu":
            torch.cuda.synchronize()

    def _there(self, batch: Tensor) -> Tensor:
        return batch.to(self._config.device, non_blocking=True)

    def _counted(self, event: Event) -> None:
        self.reports += 1
        self._report(event)


def _made(config: TrainingConfig) -> tuple[TrainingState, Stepper]:
    state = fresh_state(config, torch.device(config.device))
    state.model.train()
    return state, Stepper(state, config)


def _long_loader(corpus: PreparedCorpus, config: TrainingConfig) -> PieceLoader:
    """Return the loader of the epochs: of all recordings, often enough to last."""
    once = training_loader(corpus.training, corpus.normalisation, config).pieces_per_epoch
    wanted = _PIECES if config.device == "cpu" else _PIECES_ON_A_GPU
    items = corpus.training * math.ceil(wanted / once)
    return training_loader(items, corpus.normalisation, config)


def _syncs(turn: Callable[[], None]) -> int:
    """Return how often the host waits for the device meanwhile."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            turn()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(one.message) for one in caught)


class _Pieces(Dataset[Tensor]):
    """What the loop learns from, a window at a time, as one would write it for a DataLoader."""

    def __init__(self, corpus: PreparedCorpus, config: TrainingConfig, count: int) -> None:
        self._corpus, self._count = corpus, count
        self._length = config.complex_spectrogram.time_frames
        self._items = corpus.training
        self._store = Mapped([item.entry for item in self._items], self._length)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Tensor:
        item = index % len(self._items)
        first, stop = self._items[item].runs[0]
        start = first + (index * 7919) % (stop - first - self._length + 1)
        (frames,) = self._store.batches(np.array([item]), np.array([start]), 1)
        return self._corpus.normalisation.normalise(frames[0].permute(1, 2, 0).float()).contiguous()


def _feeding(corpus: PreparedCorpus, config: TrainingConfig, count: int) -> DataLoader[Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of more processes than cores: it is what people use
        return DataLoader(
            _Pieces(corpus, config, count),
            batch_size=config.batch_size,
            num_workers=4,
            pin_memory=config.device != "cpu",
            persistent_workers=True,
        )


def _seconds_of_an_event(log: EventLog, count: int = 2000) -> float:
    """Return what one event of steps takes to be gathered, written out and handed to the system."""
    result = StepResult(
        step=1,
        rates=RATES,
        loss=0.123456789,
        magnitude=0.123456789,
        frequency=0.123456789,
        stft=0.123456789,
        kl=12.3456789,
        gradient_norm=0.123456789,
    )
    meter = StepMeter(log.append, 1, 32)
    start = time.perf_counter()
    for _ in range(count):
        meter.add(result)
        meter.flush()
    return (time.perf_counter() - start) / count
