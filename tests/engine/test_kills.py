"""A run killed with SIGKILL at any moments and resumed ends as one left alone: the same tensors, the same story.

The full figure, on real recordings, takes four minutes and is asked for by `DISTILL_TEST_KILLS=20`: so many kills over
three runs of sixty epochs. `DISTILL_TEST_KILLS_SEED` draws other moments.
"""

from __future__ import annotations

import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.testing import assert_array_equal

from distill_engine import run_folder
from distill_engine.atomic import TEMPORARY_PREFIX
from distill_engine.events import (
    AnyEvent,
    EpochDone,
    PreprocessDone,
    PreprocessProgress,
    RunFinished,
    RunRestarted,
    StepDone,
    decode,
)
from distill_engine.run_folder import RunFolder, lock_holder
from distill_engine.run_history import History
from distill_engine.run_state import fold
from distill_engine.start import Wishes, new_run, plan_run
from distill_engine.training.checkpoint import list_checkpoints, read_info
from distill_engine.training.config import Value
from tests.engine.recordings import good
from tests.engine.runs import SMALL, write_dataset

KILLS = int(os.environ.get("DISTILL_TEST_KILLS", "0"))
SEED = int(os.environ.get("DISTILL_TEST_KILLS_SEED", "0"))
PATIENCE = 600.0
LOOK_SECONDS = 0.0005

Stage = Literal["starting", "preparing", "training", "saving", "ending"]

SAVING: dict[str, Value] = {"checkpoint_minutes": 0.0, "checkpoint_interval": 3, "augmentation.copies": 1}
QUICK: dict[str, Value] = SMALL | SAVING | {"max_epochs": 15, "batch_size": 8, "preview_interval": 7}
REAL: dict[str, Value] = SAVING | {"max_epochs": 60, "batch_size": 4, "preview_interval": 25, "device": "cpu"}


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When to kill: in which stage of the run, and how far into it, from 0 to 1."""

    stage: Stage
    share: float


class Trained:
    """A run in a home of its own, whose worker can be started, killed and started again."""

    def __init__(self, home: Path, dataset: Path, settings: Mapping[str, Value], patch: pytest.MonkeyPatch) -> None:
        with patch.context() as context:
            context.setenv("DISTILL_HOME", str(home))
            wishes = Wishes(settings=[f"{key}={value}" for key, value in settings.items()])
            self.folder: RunFolder = new_run(plan_run(dataset, wishes), "run")
        self.home = home
        self.max_epochs = int(settings["max_epochs"])
        self._worker: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start a worker: a later one where other threads are usual, for the run must keep those it began with."""
        threads = "2" if self.folder.info().threads else "1"
        with self.folder.worker_log.open("ab") as log:
            self._worker = subprocess.Popen(
                [sys.executable, "-m", "distill_engine.process", str(self.folder.path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "DISTILL_HOME": str(self.home), "OMP_NUM_THREADS": threads},
                start_new_session=True,
            )

    def finish(self) -> None:
        """Wait until the worker ends by itself."""
        assert self._worker is not None
        assert self._worker.wait(PATIENCE) == 0, self.folder.worker_log.read_text()

    def kill(self) -> None:
        """End the worker as it stands."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.wait()

    def kill_at(self, moment: Moment, kills_left: int) -> Stage:
        """Start the worker, let it come to a moment and kill it; return the stage it died in."""
        told = len(self.events())
        match moment.stage:
            case "starting":
                self.start()
                time.sleep(3 * moment.share)
                self.kill()
            case "preparing":
                shutil.rmtree(self.home / "cache", ignore_errors=True)
                self.start()
                self._kill_when(lambda: _has_temporary(self.home / "cache" / "spectrograms"))
            case "training" | "saving":
                before = self.step()
                self.start()
                self._await_step(before, moment.share / (kills_left + 1))
                if moment.stage == "saving":
                    self._kill_when(lambda: _has_temporary(self.folder.checkpoints))
                time.sleep(0.2 * moment.share)
                self.kill()
            case "ending":
                self.start()
                self._kill_when(lambda: _has_temporary(self.home / "data" / "models"))
        assert lock_holder(self.folder) is None
        return self._stage_of_death(self.events()[told:])

    def step(self) -> int:
        """Return the step that the newest checkpoint holds."""
        saved = list_checkpoints(self.folder.checkpoints)
        return read_info(saved[0]).progress.step if saved else 0

    def events(self) -> list[AnyEvent]:
        """Return what was told until now."""
        if not self.folder.events_file.exists():
            return []
        lines = self.folder.events_file.read_bytes().splitlines(keepends=True)
        return [event for line in lines if line.endswith(b"\n") and (event := decode(line)) is not None]

    def tensors(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Return those of the model and those of the last checkpoint."""
        model = self.home / "data" / "models" / "run.distill"
        newest = list_checkpoints(self.folder.checkpoints)[0]
        return safetensors.torch.load_file(model), safetensors.torch.load_file(newest)

    def _await_step(self, before: int, share: float) -> None:
        """Wait until the worker has made a share of the way that is left; a run that has ended is let be."""
        self._await(lambda: self._prepared() is not None)
        prepared = self._prepared()
        assert prepared is not None
        target = before + 1 + share * (self.max_epochs * prepared.steps_per_epoch - before)
        self._await(lambda: getattr(run_folder.last_event(self.folder), "step", 0) >= target)

    def _prepared(self) -> PreprocessDone | None:
        """Return what the present worker has told of the recordings."""
        told = None
        for event in self.events():
            match event:
                case RunRestarted():
                    told = None
                case PreprocessDone():
                    told = event
        return told

    def _await(self, condition: Callable[[], bool]) -> None:
        assert self._worker is not None
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self._worker.poll() is None, self.folder.worker_log.read_text()
            assert time.monotonic() < deadline
            time.sleep(10 * LOOK_SECONDS)

    def _kill_when(self, condition: Callable[[], bool]) -> None:
        """Kill the worker while a condition holds: it is stopped before one looks again."""
        assert self._worker is not None
        deadline = time.monotonic() + PATIENCE
        while True:
            assert self._worker.poll() is None, self.folder.worker_log.read_text()
            assert time.monotonic() < deadline
            if condition():
                self._worker.send_signal(signal.SIGSTOP)
                if condition():
                    return self.kill()
                self._worker.send_signal(signal.SIGCONT)
            time.sleep(LOOK_SECONDS)

    def _stage_of_death(self, told: list[AnyEvent]) -> Stage:
        """Return what the worker was at when it died, by what it told and what it was writing."""
        if _has_temporary(self.folder.checkpoints):
            return "saving"
        if _has_temporary(self.home / "data" / "models"):
            return "ending"
        if any(isinstance(event, PreprocessDone) for event in told):
            return "training"
        return "preparing" if any(isinstance(event, PreprocessProgress) for event in told) else "starting"


def _has_temporary(folder: Path) -> bool:
    return folder.is_dir() and any(path.name.startswith(TEMPORARY_PREFIX) for path in folder.iterdir())


def moments(kills: int, draw: random.Random) -> list[Moment]:
    """Draw moments to kill at, in any order but for that at which the model is written: it comes last."""
    stages: list[Stage] = ["preparing", "saving", "training", "training", "saving", "starting"]
    between = [stages[number % len(stages)] for number in range(kills - 1)]
    draw.shuffle(between)
    between.append("ending")
    return [Moment(stage=stage, share=draw.random()) for stage in between]


def kill_and_resume(run: Trained, kills: int, draw: random.Random) -> list[Stage]:
    """Train a run to its end, killing it so many times; return the stages it died in."""
    planned = moments(kills, draw)
    died_in = [run.kill_at(moment, kills - number) for number, moment in enumerate(planned, start=1)]
    run.start()
    run.finish()
    return died_in


def assert_equal(run: Trained, alone: Trained) -> None:
    """Check that both have the same weights, and that what is told of the one is what is told of the other."""
    for one, other in zip(run.tensors(), alone.tensors(), strict=True):
        assert one.keys() == other.keys()
        assert [name for name in one if not torch.equal(one[name], other[name])] == []
    events, expected = run.events(), alone.events()
    assert [event.seq for event in events] == [*range(1, len(events) + 1)]
    state, state_alone = fold(events), fold(expected)
    assert isinstance(state.ending, RunFinished)
    assert (state.phase, state.step, state.best) == (state_alone.phase, state_alone.step, state_alone.best)
    assert_equal_histories(_history(events), _history(expected))
    assert_equal_losses(_kept_steps(events), _kept_steps(expected))


def assert_equal_histories(told: History, alone: History) -> None:
    assert all(before < after for before, after in pairwise(told.steps.column("step")))
    assert all(before.step <= after.step for before, after in pairwise(told.checkpoints))
    assert all(before.step <= after.step for before, after in pairwise(told.previews))
    for name in (field for field in EpochDone.__struct_fields__ if field in alone.epochs.names):
        if name not in ("time", "seconds_left", "waiting"):
            assert_array_equal(told.epochs.column(name), alone.epochs.column(name), name)
    assert told.steps.column("step")[-1] == alone.steps.column("step")[-1]
    assert len(told.epochs) == len(alone.epochs)


def assert_equal_losses(told: list[StepDone], alone: list[StepDone]) -> None:
    sums, sums_alone = _summed_losses(told), _summed_losses(alone)
    both = sorted(sums.keys() & sums_alone.keys())
    assert both[-1] == alone[-1].step == told[-1].step
    assert len(both) >= alone[-1].epoch  # the last step of each epoch at least
    assert [sums[step] for step in both] == pytest.approx([sums_alone[step] for step in both], rel=1e-9)


def _history(events: list[AnyEvent]) -> History:
    made = History()
    made.append(events)
    kept = _kept_steps(events)
    assert made.steps.column("step").tolist() == [one.step for one in kept]
    assert_array_equal(made.steps.column("loss"), np.array([one.loss for one in kept], np.float32))
    return made


def _kept_steps(events: list[AnyEvent]) -> list[StepDone]:
    """Return what was told of steps and not taken back."""
    kept: list[StepDone] = []
    for event in events:
        match event:
            case StepDone():
                kept.append(event)
            case RunRestarted():
                kept = [one for one in kept if one.step <= event.from_step]
    return kept


def _summed_losses(steps: list[StepDone]) -> dict[int, float]:
    """Return by step the sum of the losses of all steps up to it, however they were told together."""
    numbers = [one.step for one in steps]
    counts = [after - before for before, after in pairwise([0, *numbers])]
    losses = accumulate(
        count * (math.nan if one.loss is None else one.loss) for count, one in zip(counts, steps, strict=True)
    )
    return dict(zip(numbers, losses, strict=True))


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Trained]]:
    """Return what makes a run of a name; no worker outlives the test."""
    made: list[Trained] = []

    def make(name: str, dataset: Path, settings: Mapping[str, Value]) -> Trained:
        made.append(Trained(tmp_path / name, dataset, settings, monkeypatch))
        return made[-1]

    yield make
    for run in made:
        run.kill()


def test_a_run_killed_at_any_moments_ends_as_one_left_alone(tmp_path: Path, trained: Callable[..., Trained]) -> None:
    dataset = tmp_path / "recordings"
    for number in range(6):
        good(dataset / f"{number}.wav", seed=number, frames=300_000 + 48_000 * number)
    alone, killed = trained("alone", dataset, QUICK), trained("killed", dataset, QUICK)
    alone.start()
    died_in = kill_and_resume(killed, 6, random.Random(SEED))
    assert {"preparing", "saving", "training", "ending"} <= {*died_in}
    alone.finish()
    assert_equal(killed, alone)


def test_a_run_that_ends_early_and_is_killed_while_its_model_is_written_trains_no_further(
    tmp_path: Path, trained: Callable[..., Trained]
) -> None:
    settings = SMALL | {"max_epochs": 50, "early_stop_epochs": 2, "learning_rate": 0.1}
    dataset = write_dataset(tmp_path / "recordings")
    alone, killed = trained("alone", dataset, settings), trained("killed", dataset, settings)
    alone.start()
    assert kill_and_resume(killed, 1, random.Random(SEED)) == ["ending"]
    alone.finish()
    assert_equal(killed, alone)


@pytest.mark.skipif(not KILLS, reason="takes four minutes; DISTILL_TEST_KILLS=20 asks for it")
def test_many_kills_of_real_runs_change_nothing(
    tmp_path: Path, corpus: Path, trained: Callable[..., Trained], capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = tmp_path / "recordings"
    dataset.mkdir()
    for path in sorted(corpus.iterdir(), key=lambda path: path.stat().st_size)[6:12]:
        shutil.copy(path, dataset)
    alone = trained("alone", dataset, REAL)
    alone.start()
    for number in range(3):
        run = trained(f"killed-{number}", dataset, REAL)
        kills = KILLS // 3 + (number < KILLS % 3)
        died_in = kill_and_resume(run, kills, random.Random(f"{SEED}-{number}"))
        if number == 0:
            alone.finish()
        assert_equal(run, alone)
        with capsys.disabled():
            ended = msgspec.structs.asdict(fold(run.events()))
            print(f"\nrun {number}: {kills} kills, in {died_in}; {ended['step']} steps, best {ended['best']}")  # noqa: T201
