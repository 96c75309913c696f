"""How fast steps are on batches that lie ready on the device: by batch size, way of computing, and compiled."""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from distill_engine.audio.preprocessing import PreparedCorpus
from distill_engine.datasets import scan
from distill_engine.demo_recordings import write_recordings
from distill_engine.figures import Figure, in_turns, median_ratio
from distill_engine.training.compiling import measured
from distill_engine.training.computing import as_configured
from distill_engine.training.config import TrainingConfig, replaced
from distill_engine.training.dataset import PieceLoader
from distill_engine.training.loop import prepare
from distill_engine.training.speeds import MOST_PIECES, has_native_bf16
from distill_engine.training.state import fresh_state
from distill_engine.training.step import Rates, Stepper

ROUNDS = 5
SIZES = (32, 256)
STEADY_SECONDS = 1.0
"""About how long a turn is: a hiccup of the machine must be a small part of it."""

RATES = Rates(learning=1e-3, kl=1e-3)


def steps(config: TrainingConfig, scratch: Path) -> Iterator[Figure]:
    """Yield the figures, for a decided configuration."""
    with as_configured(config):
        _, loader = material(config, scratch)
        for size in SIZES:
            yield from _by_way(config, loader, size)
        yield from _compiled(config, scratch)


def material(config: TrainingConfig, scratch: Path) -> tuple[PreparedCorpus, PieceLoader]:
    """Return made-up recordings, prepared, and the loader of their pieces."""
    recordings = scratch / "recordings"
    write_recordings(recordings)
    corpus, loader, _ = prepare(scan(recordings), config, scratch / "cache", lambda _event: None, lambda: False)
    return corpus, loader


class Bare:
    """A state and its step on one batch that lies ready; an eager one is launched piece by piece, as is common."""

    def __init__(self, config: TrainingConfig, loader: PieceLoader, size: int, *, eager: bool = False) -> None:
        self.config = config
        self._eager = eager
        self._state = fresh_state(config, torch.device(config.device))
        self._state.model.train()
        self._stepper = Stepper(self._state, config)
        pieces = torch.cat(list(itertools.islice(loader.epoch(0), math.ceil(size / loader.batch_size))))
        self.batch = pieces.repeat(math.ceil(size / len(pieces)), 1, 1, 1)[:size].to(config.device)

    def turn(self, count: int = 1) -> None:
        """Take so many steps."""
        for number in range(count):
            self.step(1 + number)

    def step(self, number: int) -> Tensor:
        """Take one, and return its row."""
        take = self._stepper.eager if self._eager else self._stepper.take
        return take(self.batch, number, RATES)

    def finish(self) -> None:
        """Wait until the device is done."""
        if self.batch.is_cuda:
            torch.cuda.synchronize(self.batch.device)

    def steps_for(self, seconds: float) -> int:
        """Return how many steps take about so long; at least one."""
        start = time.perf_counter()
        self.turn(2)
        self.finish()
        return max(1, round(2 * seconds / (time.perf_counter() - start)))

    def work(self) -> tuple[float, float]:
        """Return a step's multiplications and additions, and the bytes that weights and batch alone make it move."""
        one = torch.zeros((), device=self.batch.device)
        with FlopCounterMode(display=False) as counter:
            self._stepper.masked(self.batch, one, one, one)
        weights = sum(tensor.nbytes for tensor in self._state.tensors())
        return float(counter.get_total_flops()), float(2 * weights + self.batch.nbytes)

    def busy_share(self, count: int) -> float:
        """Return which share of the time so many steps keep the device busy, by its own clock and the host's."""
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiled:
            begin.record()
            self.turn(count)
            end.record()
            self.finish()
        kernels = sum(event.self_device_time_total for event in profiled.key_averages())
        return float(kernels / 1e3 / begin.elapsed_time(end))


def _by_way(config: TrainingConfig, loader: PieceLoader, size: int) -> Iterator[Figure]:
    """Yield the speed of each way of computing; the plainest, eager, is the baseline of all."""
    ways = [("fp32", "contiguous"), ("fp32", "channels_last")]
    if config.device != "cpu" or has_native_bf16():
        ways += [("bf16", "contiguous"), ("bf16", "channels_last")]
    set_so = [replaced(config, {"precision": one, "memory_format": other}) for one, other in ways]
    made = [Bare(one, loader, size, eager=number == 0) for number, one in enumerate(set_so)]
    for bare in made:
        bare.turn()  # the first step of each also allocates and chooses kernels
    made[0].finish()
    count = made[0].steps_for(STEADY_SECONDS)
    seconds = in_turns([functools.partial(bare.turn, count) for bare in made], ROUNDS, made[0].finish)
    plain = size * count / median(seconds[0])
    for (precision, memory_format), taken in zip(ways, seconds, strict=True):
        yield Figure(
            group="steps",
            name=f"batch {size}, {precision}, {memory_format}",
            value=plain * median_ratio(seconds[0], taken),
            unit="pieces/s",
            baseline=plain,
        )


def _compiled(config: TrainingConfig, scratch: Path) -> Iterator[Figure]:
    """Yield what compiling comes to; nothing where it can't be done."""
    try:
        found = measured(config, scratch / "cache")
    except Exception:  # of whatever is amiss with the compiler
        return
    size = min(config.batch_size, MOST_PIECES)
    yield Figure(
        group="compiling",
        name=f"batch {size}, compiled",
        value=size / found.compiled,
        unit="pieces/s",
        baseline=size / found.plain,
    )
    yield Figure(group="compiling", name="to compile", value=found.warm_up, unit="s")
    yield Figure(group="compiling", name="difference of losses", value=100 * found.difference, unit="%")
