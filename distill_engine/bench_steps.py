"""How fast steps are: bare, by batch size and way of computing, in the whole loop, and beside a DataLoader's.

Bare is the project's own step on batches that lie ready on the device. The loop is `train_epoch` as a run has it:
pieces cut from the cache, an event written to a log on disk twenty times a second at most.
"""

from __future__ import annotations

import functools
import itertools
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from distill_engine.audio.preprocessing import PreparedCorpus
from distill_engine.datasets import scan
from distill_engine.demo_recordings import write_recordings
from distill_engine.figures import Figure, in_turns, median_ratio
from distill_engine.run_folder import EventLog, RunFolder
from distill_engine.training.compiling import measured
from distill_engine.training.config import TrainingConfig, replaced
from distill_engine.training.dataset import PieceLoader
from distill_engine.training.frame_stores import Mapped
from distill_engine.training.loop import prepare, train_epoch
from distill_engine.training.meter import StepMeter
from distill_engine.training.speeds import MOST_PIECES, has_native_bf16
from distill_engine.training.state import fresh_state
from distill_engine.training.step import Rates, Stepper, StepResult

ROUNDS = 5
SIZES = (32, 256)
STEADY_SECONDS = 1.0
"""About how long a turn is: a hiccup of the machine must be a small part of it."""

_RATES = Rates(learning=1e-3, kl=1e-3)
_LARGEST_MATRIX, _COPIED_BYTES = 8192, 2**30


def steps(config: TrainingConfig, scratch: Path) -> Iterator[Figure]:
    """Yield the figures of steps and of the loop, for a decided configuration."""
    corpus, loader = _material(config, scratch)
    for size in SIZES:
        yield from _by_way(config, loader, size)
    yield from _compiled(config, scratch)
    yield from _loop(config, corpus, loader, scratch)


def gpu(config: TrainingConfig, scratch: Path) -> Iterator[Figure]:
    """Yield what steady training makes of a GPU: busy share, host syncs a report, shares of its peaks."""
    _, loader = _material(config, scratch)
    for size in SIZES:
        bare, name = _Bare(config, loader, size), f"batch {size}"
        bare.turn()
        count = bare.steps_for(STEADY_SECONDS)
        seconds = min(in_turns([functools.partial(bare.turn, count)], ROUNDS, bare.finish)[0])
        flops, moved = bare.work()
        rates = {"TFLOP/s": (flops / 1e12, _peak_flops(config)), "GB/s at least": (moved / 1e9, _peak_bytes(config))}
        for unit, (of_step, peak) in rates.items():
            yield Figure(group="gpu", name=name, value=of_step * count / seconds, unit=unit, baseline=peak)
        yield Figure(group="gpu", name=f"{name}, busy", value=100 * bare.busy_share(count), unit="% of the time")
        yield Figure(group="gpu", name=f"{name}, host syncs", value=float(bare.syncs(count)), unit=f"in {count} steps")


def _material(config: TrainingConfig, scratch: Path) -> tuple[PreparedCorpus, PieceLoader]:
    recordings = scratch / "recordings"
    write_recordings(recordings)
    corpus, loader, _ = prepare(scan(recordings), config, scratch / "cache", lambda _event: None, lambda: False)
    return corpus, loader


class _Bare:
    """A state and its step on one batch that lies ready."""

    def __init__(self, config: TrainingConfig, loader: PieceLoader, size: int) -> None:
        self.config = config
        self._state = fresh_state(config, torch.device(config.device))
        self._state.model.train()
        self._stepper = Stepper(self._state, config)
        pieces = torch.cat(list(itertools.islice(loader.epoch(0), math.ceil(size / loader.batch_size))))
        self.batch = pieces.repeat(math.ceil(size / len(pieces)), 1, 1, 1)[:size].to(config.device)

    def turn(self, count: int = 1) -> None:
        """Take so many steps."""
        for number in range(count):
            self._stepper.take(self.batch, 1 + number, _RATES)

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

    def syncs(self, count: int) -> int:
        """Return how often the host waits for the device in so many steps."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                self.turn(count)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        return sum("synchroniz" in str(one.message) for one in caught)


def _by_way(config: TrainingConfig, loader: PieceLoader, size: int) -> Iterator[Figure]:
    """Yield the speed of each way of computing; the plainest is the baseline of all."""
    ways = [("fp32", "contiguous"), ("fp32", "channels_last")]
    if config.device != "cpu" or has_native_bf16():
        ways += [("bf16", "contiguous"), ("bf16", "channels_last")]
    made = [_Bare(replaced(config, {"precision": one, "memory_format": other}), loader, size) for one, other in ways]
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


def _loop(config: TrainingConfig, corpus: PreparedCorpus, loader: PieceLoader, scratch: Path) -> Iterator[Figure]:
    state = fresh_state(config, torch.device(config.device))
    stepper = Stepper(state, config)
    (scratch / "run").mkdir(parents=True)
    log = EventLog(RunFolder(scratch / "run"))
    batches = list(loader.epoch(0))
    state.model.train()

    def bare() -> None:
        for batch in batches:
            stepper.take(batch, 1, _RATES)

    def loop() -> None:
        train_epoch(
            state, loader, config, stepper=stepper, total_steps=10**6, report=log.append, should_stop=lambda: False
        )

    feeding = _feeding(corpus, config, loader.pieces_per_epoch)

    def loaded() -> None:
        for batch in feeding:
            stepper.take(batch.to(config.device, non_blocking=True), 1, _RATES)

    def finish() -> None:
        if config.device != "cpu":
            torch.cuda.synchronize()

    bare()
    finish()
    start = time.perf_counter()
    bare()
    finish()
    often = max(1, round(STEADY_SECONDS / (time.perf_counter() - start)))
    turns: Sequence[Callable[[], None]] = [_repeated(one, often) for one in (bare, loop, loaded)]
    of_bare, of_loop, of_loader = in_turns(turns, ROUNDS, finish)
    pieces = often * loader.pieces_per_epoch
    speed = pieces / median(of_loop)
    step = median(of_bare) / often / loader.batches_per_epoch
    yield Figure(
        group="loop", name="the loop", value=speed, unit="pieces/s", baseline=speed / median_ratio(of_bare, of_loop)
    )
    yield Figure(group="loop", name="an event", value=100 * _seconds_of_an_event(log) / step, unit="% of a bare step")
    yield Figure(
        group="loader",
        name="DataLoader",
        value=speed * median_ratio(of_loop, of_loader),
        unit="pieces/s",
        baseline=speed,
    )
    log.close()


def _repeated(turn: Callable[[], None], often: int) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(often):
            turn()

    return repeated


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
        rates=_RATES,
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


def _peak_flops(config: TrainingConfig) -> float:
    """Return the TFLOP/s that a product of large matrices comes to."""
    dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
    one = torch.randn(_LARGEST_MATRIX, _LARGEST_MATRIX, device=config.device, dtype=dtype)
    seconds = in_turns([lambda: one @ one], ROUNDS, torch.cuda.synchronize)[0]
    return 2 * _LARGEST_MATRIX**3 / min(seconds) / 1e12


def _peak_bytes(config: TrainingConfig) -> float:
    """Return the GB/s, read and written, that a copy within the device comes to."""
    one = torch.empty(_COPIED_BYTES, dtype=torch.uint8, device=config.device)
    other = torch.empty_like(one)
    seconds = in_turns([lambda: other.copy_(one)], ROUNDS, torch.cuda.synchronize)[0]
    return 2 * _COPIED_BYTES / min(seconds) / 1e9
