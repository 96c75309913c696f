"""Kill anything, any time: runs killed at moments drawn at random, and resumed, end as one left alone.

A run's worker is killed ten times, at whatever it does, and then the export of its model is; dashboards and terminals
that watch another run go in all ways they can. In the end the tensors are the same, bit for bit, and so is the story.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGHUP
from typing import Literal

import safetensors.torch
import torch

from distill_engine.events import AnyEvent, CommandAnswered, PreprocessDone, PreprocessProgress, RunRestarted
from distill_engine.models.persistence import load_model
from distill_engine.run_lock import lock_holder
from distill_engine.training.checkpoint import list_checkpoints
from distill_engine.training.config import Value
from tests.engine.recordings import good
from tests.engine.runs import SMALL
from tests.promises.trained import (
    LOOK_SECONDS,
    PATIENCE,
    Trained,
    assert_equal,
    assert_gapless,
    await_that,
    has_temporary,
)
from tests.promises.trial import Figure, Size
from tests.promises.workers import Warm
from tests.tui.terminal import Terminal

Stage = Literal["starting", "scanning", "preparing", "stepping", "saving", "previewing", "ending"]
Way = Literal["killed", "hung up", "closed", "dropped"]

Settings = dict[str, Value]

PLAIN: Settings = SMALL | {
    "max_epochs": 16,
    "batch_size": 4,
    "checkpoint_interval": 2,
    "preview_interval": 3,
    "preview_recordings": 1,
    "preview_samples": 1,
    "preview_seconds": 1.0,
}
BRIEF: Settings = PLAIN | {"max_epochs": 8}
EARLY: Settings = PLAIN | {"max_epochs": 50, "early_stop_epochs": 2, "learning_rate": 0.1}
WATCHED: Settings = PLAIN | {"max_epochs": 10_000, "checkpoint_interval": 20, "preview_interval": 100}
ALL: Sequence[Settings] = (
    PLAIN,
    PLAIN | {"ema_decay": 0.9, "learning_rate_schedule": "constant", "val_fraction": 0.0},
    PLAIN | {"regularization.dropout": 0.3, "augmentation.level_db": 12.0, "augmentation.tone_db": 9.0},
    EARLY,
)

WHILE_TRAINING: Sequence[Stage] = ("saving", "previewing", "preparing", "stepping", "starting", "scanning")
BEFORE_TRAINING: Sequence[Stage] = ("starting", "scanning", "preparing")
"""All that a run can be killed at twice which ends nobody knows when; and ending."""

RUNS = 20
TRIES = 20
DASHBOARDS = 12
WAYS: Sequence[Way] = ("killed", "hung up", "closed", "dropped")


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When to kill: in which stage of the run, and how far into it, from 0 to 1."""

    stage: Stage
    share: float


def kills(size: Size, folder: Path) -> Iterator[Figure]:
    """Kill runs, each of a few settings, and hold each to one of the same settings that was left alone."""
    dataset = folder / "recordings"
    for number in range(3):
        good(dataset / f"{number}.wav", seed=number, frames=80_000 + 8_000 * number)
    draw = random.Random(f"kills {size.seed}")
    died_in: Counter[str] = Counter()
    lost: list[int] = []
    with Warm() as warm:
        for number, settings in enumerate(ALL if size.whole else [BRIEF]):
            alone = _left_alone(folder / "alone", dataset, settings, warm if not size.whole else None)
            for _ in range(number, size.of(1, RUNS), len(ALL)):
                run = Trained(folder / "killed", dataset, settings)
                for stage, steps in _killed_and_resumed(run, moments(size, settings, draw), warm):
                    died_in[stage] += 1
                    lost.append(steps)
                assert_equal(run, alone)
                if size.whole:
                    died_in["exporting"] += kill_export(run, draw)
                run.remove()
            alone.remove()
    yield Figure(what="kills of workers and exports survived", count=died_in.total())
    for during, count in sorted(died_in.items()):
        yield Figure(what=f"  of them while {during}", count=count)
    yield Figure(what="steps lost to a kill at most", count=max(lost))
    if size.whole:
        yield Figure(what="dashboards and terminals that went, unnoticed by the run", count=watched(folder, dataset))


def _left_alone(home: Path, dataset: Path, settings: Settings, warm: Warm | None) -> Trained:
    alone = Trained(home, dataset, settings)
    with alone.running(warm):
        alone.finish()
    return alone


def moments(size: Size, settings: Settings, draw: random.Random) -> list[Moment]:
    """Draw moments to kill at, in any order but for that at which the model is written: it comes last."""
    if not size.whole:
        stages: list[Stage] = ["saving", "previewing"]
    elif settings is EARLY:
        stages = [*BEFORE_TRAINING, *BEFORE_TRAINING, "starting", "preparing", "ending"]
    else:
        stages = [*WHILE_TRAINING, *WHILE_TRAINING[:3]]
    draw.shuffle(stages)
    return [Moment(stage=stage, share=draw.random()) for stage in [*stages, "ending"]]


def _killed_and_resumed(run: Trained, planned: Sequence[Moment], warm: Warm) -> Iterator[tuple[Stage, int]]:
    """Train a run to its end, killing it at each moment; yield the stage it died in and the steps that it lost."""
    for number, moment in enumerate(planned):
        for _ in range(TRIES):
            told = len(run.events())
            if moment.stage in ("scanning", "preparing"):
                run.forget_recordings()
            with run.running(None if moment.stage == "starting" else warm):
                come_to(run, moment, len(planned) - number)
                was_killed = run.kill()
            if was_killed:
                break  # else it was quicker than we: it ends once more
        else:
            raise AssertionError(f"it could not be killed while {moment.stage}")
        yield _stage_of_death(run, run.events()[told:]), run.check_what_is_left()
    with run.running(warm):
        run.finish()
    run.check_end()


def come_to(run: Trained, moment: Moment, kills_left: int) -> None:
    """Wait until the worker, just started, has come to a moment or to its end."""
    match moment.stage:
        case "starting":
            time.sleep(2.5 * moment.share)
        case "scanning" | "preparing":
            run.wait_until(lambda: _has_come_to(run, moment))
            time.sleep(0.01 * moment.share)
        case "stepping":
            run.wait_for_step(moment.share / (kills_left + 1))
            time.sleep(0.1 * moment.share)
        case "saving":
            run.wait_until(lambda: has_temporary(run.folder.checkpoints))
            time.sleep(0.1 * moment.share)
        case "previewing":
            run.wait_until(lambda: has_temporary(run.folder.previews))
            time.sleep(0.2 * moment.share)
        case "ending":
            run.wait_until(lambda: has_temporary(run.model.parent))
            time.sleep(0.03 * moment.share)


def _has_come_to(run: Trained, moment: Moment) -> bool:
    """Tell whether the worker has told that it is so far in scanning or preparing, or further."""
    for event in run.told_by_worker():
        match event:
            case PreprocessProgress(stage=moment.stage, done=done, total=total) if done >= moment.share * total:
                return True
            case PreprocessDone():
                return True
    return False


def _stage_of_death(run: Trained, told: Sequence[AnyEvent]) -> Stage:
    """Return what the worker was at when it died, by what it was writing and what it told."""
    writing: dict[Stage, Path] = {
        "saving": run.folder.checkpoints,
        "previewing": run.folder.previews,
        "ending": run.model.parent,
    }
    for written, folder in writing.items():
        if has_temporary(folder):
            return written
    if any(isinstance(event, PreprocessDone) for event in told):
        return "stepping"
    progress = [event.stage for event in told if isinstance(event, PreprocessProgress)]
    if not progress:
        return "starting"
    return "preparing" if "preparing" in progress else "scanning"


def kill_export(run: Trained, draw: random.Random) -> int:
    """Kill `model export` while it writes; return how many kills that took. One left alone then cleans up."""
    folder = run.home / "elsewhere"
    folder.mkdir()
    target = folder / "exported.distill"
    kills = 0
    while not kills:
        exporting = run.program("model", "export", "run", str(target), "--force")
        while exporting.poll() is None and not has_temporary(folder):
            time.sleep(LOOK_SECONDS)
        time.sleep(0.02 * draw.random())
        exporting.kill()
        kills += exporting.wait() < 0
    if target.exists():
        load_model(target)
    assert run.program("model", "export", "run", str(target), "--force").wait(PATIENCE) == 0
    assert target.read_bytes() == run.model.read_bytes()
    assert [path.name for path in folder.iterdir()] == [target.name]
    return kills


def watched(folder: Path, dataset: Path) -> int:
    """Let a run be started from a terminal that is then closed, and be watched by dashboards that all go in some way.

    Return how many went.
    """
    run = Trained(folder / "watched", dataset, WATCHED)
    environment = {"DISTILL_HOME": str(run.home), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "distill_engine", "resume", "run", "--detach"]
    with Terminal(command, environment=environment) as shell:
        shell.wait_for("goes on in the background")
    worker = lock_holder(run.folder)
    assert worker is not None
    for number in range(DASHBOARDS):
        with Terminal(environment=environment) as dashboard:
            dashboard.wait_for(r"\[3 Training\]")
            _go(dashboard, WAYS[number % len(WAYS)])
        _await_more(run)
        assert lock_holder(run.folder) == worker, "it has another worker, or none"
    await_that(lambda: len(list_checkpoints(run.folder.checkpoints)) > 1)
    assert not [event for event in run.events() if isinstance(event, CommandAnswered | RunRestarted)]
    assert run.program("stop", "run", "--now").wait(PATIENCE) == 0
    assert_gapless(run.events())
    _check_same_at(list_checkpoints(run.folder.checkpoints)[1], Trained(folder / "alone", dataset, WATCHED))
    return 1 + DASHBOARDS


def _await_more(run: Trained) -> None:
    told = len(run.events())
    await_that(lambda: len(run.events()) > told + 2)


def _check_same_at(saved: Path, alone: Trained) -> None:
    """Check that a run left alone comes to the same tensors where another has saved its own."""
    same = alone.folder.checkpoints / saved.name
    with alone.running(None):
        alone.wait_until(same.exists)
    tensors, expected = safetensors.torch.load_file(saved), safetensors.torch.load_file(same)
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in tensors.items())


def _go(dashboard: Terminal, way: Way) -> None:
    """Let a dashboard go, and wait until it has."""
    match way:
        case "killed":
            dashboard.process.kill()
        case "hung up":
            dashboard.process.send_signal(SIGHUP)
        case "closed":
            dashboard.hang_up()
        case "dropped":  # nobody reads any more, and only much later somebody notices
            dashboard.send("4231")
            time.sleep(3.0)
            dashboard.hang_up()
    dashboard.wait_for_end()
