"""A run that can be killed and resumed, and what is asked of it each time and in the end."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.testing import assert_array_equal

from distill_engine.atomic import TEMPORARY_PREFIX
from distill_engine.audio.io import read_blocks
from distill_engine.event_log import last_event
from distill_engine.events import (
    AnyEvent,
    CheckpointSaved,
    EpochDone,
    PreprocessDone,
    PreviewSaved,
    RunFinished,
    RunRestarted,
    StepDone,
    decode,
)
from distill_engine.models.persistence import load_model
from distill_engine.run_folder import RunFolder
from distill_engine.run_history import History
from distill_engine.run_lock import lock_holder
from distill_engine.run_state import fold
from distill_engine.start import Wishes, new_run, plan_run
from distill_engine.training import checkpoint
from distill_engine.training.checkpoint import list_checkpoints
from distill_engine.training.config import Value
from tests.promises.workers import Warm, Worker, started

PATIENCE = 1800.0
LOOK_SECONDS = 0.0005


class Trained:
    """A run in a home of its own, whose worker can be started, killed and started again."""

    def __init__(self, home: Path, dataset: Path, settings: Mapping[str, Value]) -> None:
        self.home = home
        self.max_epochs = int(settings["max_epochs"])
        self.interval = int(settings["checkpoint_interval"])
        with patch.dict(os.environ, {"DISTILL_HOME": str(home)}):
            wishes = Wishes(settings=[f"{key}={value}" for key, value in settings.items()])
            self.folder: RunFolder = new_run(plan_run(dataset, wishes), "run")
        self._worker: Worker | None = None
        self._told_before = 0

    @property
    def model(self) -> Path:
        """The model that the run's end makes."""
        return self.home / "data" / "models" / "run.distill"

    @contextlib.contextmanager
    def running(self, warm: Warm | None) -> Iterator[None]:
        """Have a worker within this context, forked where it is warm: a later one where other threads are usual.

        The run must keep those it began with.
        """
        self._told_before = self._size()
        threads = 2 if self.folder.info().threads else 1
        self._worker = (warm.started if warm else started)(self.folder, self.home, threads)
        try:
            yield
        finally:
            self.kill()

    def finish(self) -> None:
        """Wait until the worker ends by itself."""
        assert self._worker is not None
        assert self._worker.wait(PATIENCE) == 0, self.folder.worker_log.read_text()

    def kill(self) -> bool:
        """End the worker as it stands; tell whether it lived."""
        assert self._worker is not None
        if self._worker.poll() is not None:
            return False
        os.kill(self._worker.pid, signal.SIGKILL)
        killed = self._worker.wait(PATIENCE) < 0
        assert lock_holder(self.folder) is None
        return killed

    def forget_recordings(self) -> None:
        """Let the next worker read and prepare them anew."""
        shutil.rmtree(self.home / "cache", ignore_errors=True)

    def remove(self) -> None:
        """Make room for another run."""
        shutil.rmtree(self.home)

    def program(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `distill-engine` at the run's home."""
        return subprocess.Popen(
            [sys.executable, "-m", "distill_engine", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "DISTILL_HOME": str(self.home)},
        )

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait while the worker lives, until a condition holds."""
        worker = self._worker
        assert worker is not None
        await_that(lambda: condition() or worker.poll() is not None)

    def wait_for_step(self, share: float) -> None:
        """Wait until the worker, just started, has made a share of the way that is left, and a step at least."""
        before = self.saved_step()
        self.wait_until(lambda: self.steps_per_epoch() is not None)
        target = before + 1 + share * (self.max_epochs * (self.steps_per_epoch() or 0) - before)
        self.wait_until(lambda: getattr(last_event(self.folder), "step", 0) >= target)

    def steps_per_epoch(self) -> int | None:
        """Return what the present worker has told of the recordings, None until it has."""
        return next(
            (event.steps_per_epoch for event in self.told_by_worker() if isinstance(event, PreprocessDone)), None
        )

    def told_by_worker(self) -> list[AnyEvent]:
        """Return what the present worker has told until now."""
        return self._events(self._told_before)

    def saved_step(self) -> int:
        """Return the step that the newest checkpoint holds."""
        saved = list_checkpoints(self.folder.checkpoints)
        return checkpoint.read_info(saved[0]).progress.step if saved else 0

    def events(self) -> list[AnyEvent]:
        """Return what was told until now."""
        return self._events(0)

    def _events(self, after: int) -> list[AnyEvent]:
        if not self._size():
            return []
        lines = self.folder.events_file.read_bytes()[after:].splitlines(keepends=True)
        return [event for line in lines if line.endswith(b"\n") and (event := decode(line)) is not None]

    def _size(self) -> int:
        return self.folder.events_file.stat().st_size if self.folder.events_file.exists() else 0

    def tensors(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Return those of the model and those of the last checkpoint."""
        newest = list_checkpoints(self.folder.checkpoints)[0]
        return safetensors.torch.load_file(self.model), safetensors.torch.load_file(newest)

    def check_what_is_left(self) -> int:
        """Check that a run just killed has lost no more than it may, and return how many steps that were."""
        events = self.events()
        assert_gapless(events)
        saved = [event.step for event in events if isinstance(event, CheckpointSaved)]
        newest, rejected = checkpoint.take_newest(self.folder.checkpoints)
        assert not rejected, rejected
        step = newest.info.progress.step if newest else 0
        assert step >= max(saved, default=0), "a checkpoint that was told of isn't there"
        reached = max((one.step for one in kept_steps(events)), default=0)
        per_epoch = max((event.steps_per_epoch for event in events if isinstance(event, PreprocessDone)), default=0)
        lost = max(0, reached - step)
        assert lost <= self.interval * per_epoch, f"{lost} steps lost"
        if self.model.exists():
            load_model(self.model)
        self._check_previews(events)
        return lost

    def _check_previews(self, events: Sequence[AnyEvent]) -> None:
        """Check that every preview that was told of is there, and no folder has one that is there by half."""
        told = {event.path: event for event in events if isinstance(event, PreviewSaved) and event.path}
        for path, preview in told.items():
            written = {f"{path}/{one.name}" for one in (self.folder.path / path).iterdir()}
            assert len(written) == 2 * len(preview.recordings) + len(preview.samples), path
            for sound in written:
                assert sum(len(block) for block in read_blocks(self.folder.path / sound)), sound

    def check_end(self) -> None:
        """Check that a finished run has left nothing behind that isn't told of."""
        events = self.events()
        assert [event.rejected for event in events if isinstance(event, RunRestarted) and event.rejected] == []
        for path in list_checkpoints(self.folder.checkpoints):
            checkpoint.load(path)
        leftovers = list(self.home.rglob(f"{TEMPORARY_PREFIX}*"))
        assert not leftovers, f"left over: {leftovers}"


def await_that(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(LOOK_SECONDS)


def has_temporary(folder: Path) -> bool:
    """Tell whether something in a folder is being written, or was when its writer died."""
    return folder.is_dir() and any(path.name.startswith(TEMPORARY_PREFIX) for path in folder.iterdir())


def assert_equal(run: Trained, alone: Trained) -> None:
    """Check that both have the same weights, and that what is told of the one is what is told of the other."""
    for one, other in zip(run.tensors(), alone.tensors(), strict=True):
        assert one.keys() == other.keys()
        assert [name for name in one if not torch.equal(one[name], other[name])] == []
    events, expected = run.events(), alone.events()
    assert_gapless(events)
    state, state_alone = fold(events), fold(expected)
    assert isinstance(state.ending, RunFinished)
    assert (state.phase, state.step, state.best) == (state_alone.phase, state_alone.step, state_alone.best)
    assert_equal_histories(_history(events), _history(expected))
    assert_equal_losses(kept_steps(events), kept_steps(expected))


def assert_gapless(events: Sequence[AnyEvent]) -> None:
    """Check that events are numbered from 1, none left out and none twice."""
    assert [event.seq for event in events] == [*range(1, len(events) + 1)]


def assert_equal_histories(told: History, alone: History) -> None:
    """Check that the columns of two runs tell the same."""
    assert all(before < after for before, after in pairwise(told.steps.column("step")))
    assert all(before.step <= after.step for before, after in pairwise(told.checkpoints))
    assert all(before.step <= after.step for before, after in pairwise(told.previews))
    for name in (field for field in EpochDone.__struct_fields__ if field in alone.epochs.names):
        if name not in ("time", "seconds_left", "waiting"):
            assert_array_equal(told.epochs.column(name), alone.epochs.column(name), name)
    assert told.steps.column("step")[-1] == alone.steps.column("step")[-1]
    assert len(told.epochs) == len(alone.epochs)


def assert_equal_losses(told: list[StepDone], alone: list[StepDone]) -> None:
    """Check that the losses of two runs add up to the same wherever both were told."""
    sums, sums_alone = _summed_losses(told), _summed_losses(alone)
    both = sorted(sums.keys() & sums_alone.keys())
    assert both[-1] == alone[-1].step == told[-1].step
    assert len(both) >= alone[-1].epoch  # the last step of each epoch at least
    assert [sums[step] for step in both] == pytest.approx([sums_alone[step] for step in both], rel=1e-9)


def kept_steps(events: Sequence[AnyEvent]) -> list[StepDone]:
    """Return what was told of steps and not taken back."""
    kept: list[StepDone] = []
    for event in events:
        match event:
            case StepDone():
                kept.append(event)
            case RunRestarted():
                kept = [one for one in kept if one.step <= event.from_step]
    return kept


def _history(events: list[AnyEvent]) -> History:
    made = History()
    made.append(events)
    kept = kept_steps(events)
    assert made.steps.column("step").tolist() == [one.step for one in kept]
    assert_array_equal(made.steps.column("loss"), np.array([one.loss for one in kept], np.float32))
    return made


def _summed_losses(steps: list[StepDone]) -> dict[int, float]:
    """Return by step the sum of the losses of all steps up to it, however they were told together."""
    numbers = [one.step for one in steps]
    counts = [after - before for before, after in pairwise([0, *numbers])]
    losses = accumulate(
        count * (math.nan if one.loss is None else one.loss) for count, one in zip(counts, steps, strict=True)
    )
    return dict(zip(numbers, losses, strict=True))
