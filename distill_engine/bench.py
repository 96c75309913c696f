"""How much of the bare step's speed the whole loop keeps: both in one process, in turns, on the same batches.

Bare is the project's own step on batches that lie ready in memory. The loop is `train_epoch` as a run has it: windows
cut from the cache, the event of each step written to a log on disk. What they share, the machine and its heat, cancels
out in the ratio; the seconds of one run don't compare with those of another.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from distill_engine.datasets import scan
from distill_engine.demo_recordings import write_recordings
from distill_engine.run_folder import EventLog, RunFolder
from distill_engine.training.config import TrainingConfig, replaced
from distill_engine.training.dataset import PieceLoader
from distill_engine.training.hardware import decided
from distill_engine.training.loop import prepare, train_epoch
from distill_engine.training.meter import StepMeter
from distill_engine.training.state import TrainingState, fresh_state
from distill_engine.training.step import Rates, Stepper, StepResult

ROUNDS = 6
EPOCHS_A_TURN = 4
"""Long enough, about a dozen steps, that a hiccup of the machine is a small part of a turn."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchResult:
    """Pieces of a second per second of training, bare and in the loop: medians over the rounds, taken in turns."""

    device: str
    precision: str
    threads: int
    bare_pieces_per_second: float
    loop_pieces_per_second: float
    ratio: float
    """The share of the bare step's speed that the loop keeps: the median of what each round alone comes to."""

    event_share: float
    """What writing a step's event takes, of the time a bare step takes."""

    def as_data(self) -> dict[str, object]:
        """Return the result for JSON."""
        return dataclasses.asdict(self)

    def in_words(self) -> str:
        """Return the result as four lines."""
        return (
            f"bare step  {self.bare_pieces_per_second:9,.1f} pieces/s on {self.device}, {self.precision}\n"
            f"whole loop {self.loop_pieces_per_second:9,.1f} pieces/s\n"
            f"ratio      {self.ratio:9.3f}\n"
            f"event      {100 * self.event_share:9.3f} % of a step"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Round:
    """Seconds that one turn of each took, right after each other."""

    bare: float
    loop: float


def measure() -> BenchResult:
    """Measure on recordings made up for it, with the usual settings; takes half a minute on two cores."""
    with tempfile.TemporaryDirectory(prefix="distill-bench-") as scratch:
        return _measure(Path(scratch))


def _measure(scratch: Path) -> BenchResult:
    recordings = scratch / "recordings"
    write_recordings(recordings)
    config = decided(replaced(TrainingConfig(), {"max_epochs": 10_000}))
    _, loader, _ = prepare(scan(recordings), config, scratch / "cache", lambda _event: None, lambda: False)
    state = fresh_state(config, torch.device(config.device))
    (scratch / "run").mkdir()
    log = EventLog(RunFolder(scratch / "run"))
    bare, stepper = _bare(state, loader, config), Stepper(state, config)

    def loop() -> None:
        train_epoch(
            state,
            loader,
            config,
            stepper=stepper,
            total_steps=config.max_epochs * loader.batches_per_epoch,
            report=log.append,
            should_stop=lambda: False,
        )

    bare()  # the first steps of a process also allocate and choose kernels
    rounds = [_round(bare, loop, loop_first=bool(number % 2)) for number in range(ROUNDS)]
    bare_seconds = statistics.median(one.bare for one in rounds)
    step_seconds = bare_seconds / (EPOCHS_A_TURN * loader.batches_per_epoch)
    event_seconds = _seconds_of_an_event(log)
    log.close()
    pieces = EPOCHS_A_TURN * loader.pieces_per_epoch
    return BenchResult(
        device=config.device,
        precision=config.precision,
        threads=torch.get_num_threads(),
        bare_pieces_per_second=pieces / bare_seconds,
        loop_pieces_per_second=pieces / statistics.median(one.loop for one in rounds),
        ratio=statistics.median(one.bare / one.loop for one in rounds),
        event_share=event_seconds / step_seconds,
    )


def _round(bare: Callable[[], None], loop: Callable[[], None], *, loop_first: bool) -> Round:
    """Take one turn of each, in the order asked for: a machine that slows down must not always slow the same."""
    if loop_first:
        loop_seconds, bare_seconds = _seconds(loop), _seconds(bare)
    else:
        bare_seconds, loop_seconds = _seconds(bare), _seconds(loop)
    return Round(bare=bare_seconds, loop=loop_seconds)


def _bare(state: TrainingState, loader: PieceLoader, config: TrainingConfig) -> Callable[[], None]:
    stepper = Stepper(state, config)
    rates = Rates(learning=config.learning_rate, kl=config.loss.kl.weight)
    batches = [batch.to(config.device) for batch in loader.epoch(0)]

    def epoch() -> None:
        state.model.train()
        for batch in batches:
            stepper.take(batch, 1, rates)

    return epoch


def _seconds_of_an_event(log: EventLog, count: int = 2000) -> float:
    """Return what one step's event takes to be gathered, written out and handed to the system."""
    result = StepResult(
        step=1,
        rates=Rates(learning=0.001, kl=0.0001),
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


def _seconds(epoch: Callable[[], None]) -> float:
    start = time.perf_counter()
    for _ in range(EPOCHS_A_TURN):
        epoch()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start
