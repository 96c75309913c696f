"""Recorded runs as every reader meets them: what each folds to, how it is told, and that a follower misses nothing."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from click.testing import CliRunner

from distill_engine.client import follow
from distill_engine.commands import runs
from distill_engine.events import AnyEvent, CommandAnswered, Event, RunFailed, WarningRaised
from distill_engine.run_folder import RunFolder
from distill_engine.run_history import History
from distill_engine.run_reading import glance, outline, read
from distill_engine.run_state import CHECKPOINTS_REMEMBERED, Phase, RunState, fold
from tests.recorded_runs import LONG_STEPS, LONG_STEPS_PER_EPOCH, RECORDINGS, Recorded, unpacked, unpacked_long

NAMES: tuple[Recorded, ...] = get_args(Recorded)
PHASES: dict[Recorded, Phase] = {
    "healthy": "finished",
    "stopped": "stopped",
    "diverged": "failed",
    "killed": "died",
    "restarted": "finished",
    "newer": "finished",
}
UNKNOWN = ("RoomMeasured", "AxisNamed", "ModelSigned")
TOLD: dict[Recorded, str] = {
    "healthy": "finished",
    "stopped": "stopped by anna@box",
    "diverged": "diverged",
    "killed": "resume killed goes on after step 18",
    "restarted": "It was resumed once",
    "newer": "finished",
}


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> Recorded:
    recorded: Recorded = request.param
    return recorded


@pytest.fixture
def long() -> Iterator[RunFolder]:
    """Yield the long run, and don't leave its hundred megabytes behind."""
    run = unpacked_long()
    yield run
    shutil.rmtree(run.path)


def followed(run: RunFolder, after: int = 0) -> list[AnyEvent]:
    """Return all that a follower gets until the end."""

    async def until_end() -> list[AnyEvent]:
        events: list[AnyEvent] = []
        async with asyncio.timeout(60), follow(run, after) as queue:
            while (batch := await queue.get()) is not None:
                events += batch
        return events

    return asyncio.run(until_end())


def told(command: str, *arguments: str) -> str:
    result = CliRunner().invoke(getattr(runs, command), [*arguments])
    assert result.exception is None, result.exception
    return result.stdout


def history(events: Sequence[Event]) -> History:
    made = History()
    made.append(events)
    return made


def test_all_recorded_runs_are_small_and_tell_nothing_of_where_they_were_made() -> None:
    assert {path.name for path in RECORDINGS.iterdir() if path.is_dir()} == set(NAMES)
    files = [path for path in RECORDINGS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000
    for path in files:
        assert b"/tmp" not in path.read_bytes()
        assert str(Path.cwd()).encode() not in path.read_bytes()


def test_each_folds_to_how_it_ended(name: Recorded) -> None:
    run = unpacked(name)
    assert fold(followed(run)).phase == PHASES[name]
    assert read(run).state.phase == PHASES[name]
    assert outline(run).state.phase == PHASES[name]
    assert glance(run).state.phase == PHASES[name]


def test_a_follower_gets_every_event_once_in_order_and_then_the_end(name: Recorded) -> None:
    run = unpacked(name)
    *lines, _torn = run.events_file.read_bytes().split(b"\n")
    written = [json.loads(line) for line in lines]
    known = [line["seq"] for line in written if line["type"] not in UNKNOWN]
    events = followed(run)
    assert [event.seq for event in events if event.seq] == known
    assert [line["seq"] for line in written] == list(range(1, len(written) + 1))
    assert [type(event) for event in events if not event.seq] == ([RunFailed] if name == "killed" else [])
    half = len(written) // 2
    later = [event.seq for event in events if event.seq > half or not event.seq]
    assert [event.seq for event in followed(run, after=half)] == later


def test_runs_and_show_tell_each(name: Recorded) -> None:
    run = unpacked(name)
    listed = json.loads(told("runs", "--json"))
    assert [(one["name"], one["state"]) for one in listed] == [(run.name, PHASES[name])]
    assert listed[0]["step"] == read(run).state.step > 0
    assert TOLD[name] in told("show", name)
    assert json.loads(told("show", name, "--json"))["state"] == PHASES[name]


def test_what_was_left_out_of_training_is_told_also_by_a_newer_protocol(name: Recorded) -> None:
    state = read(unpacked(name)).state
    assert state.prepared is not None
    assert [one.file for one in state.prepared.skipped] == ["torn.wav"]


def test_the_newer_run_folds_to_what_the_healthy_one_does() -> None:
    healthy, newer = (read(unpacked(name)) for name in ("healthy", "newer"))
    assert newer.unreadable == 0

    def compared(state: RunState) -> RunState:
        best, epoch = state.best, state.last_epoch
        assert epoch is not None
        epoch = msgspec.structs.replace(epoch, seq=0)
        return RunState(best=best, last_epoch=epoch, phase=state.phase, step=state.step, epoch=state.epoch)

    assert compared(newer.state) == compared(healthy.state)


def test_the_restarted_run_shows_nothing_of_the_stretch_it_lost() -> None:
    events, healthy = followed(unpacked("restarted")), followed(unpacked("healthy"))
    kept, alone, state = history(events), history(healthy), fold(events)
    assert len(kept.restarts) == 1
    assert all(before < after for before, after in pairwise(kept.steps.column("step")))
    assert kept.epochs.column("epoch").tolist() == [*range(1, state.max_epochs + 1)]
    # It had the healthy one's settings, and resuming is exact.
    for name in ("train_loss", "validation_loss"):
        assert kept.epochs.column(name).tolist() == alone.epochs.column(name).tolist()
    assert state.best == fold(healthy).best


def test_the_killed_run_is_the_restarted_ones_first_stretch() -> None:
    killed = read(unpacked("killed")).state
    restarted = read(unpacked("restarted")).state
    assert restarted.last_restart is not None
    assert restarted.last_restart.seq == killed.seq + 1
    assert killed.step > restarted.last_restart.from_step


def test_the_stopped_run_answered_every_order() -> None:
    events = followed(unpacked("stopped"))
    answers = [(event.command, event.answer) for event in events if isinstance(event, CommandAnswered)]
    orders = ["checkpoint", "preview", "pause", "checkpoint", "unpause", "stop"]
    assert answers == [(order, answer) for order in orders for answer in ("heard", "done")]
    state = fold(events)
    assert not state.awaiting
    assert state.last_preview is not None
    assert state.last_checkpoint is not None


def test_the_diverged_run_went_back_once_and_kept_its_checkpoint() -> None:
    events = followed(unpacked("diverged"))
    assert [event.kind for event in events if isinstance(event, WarningRaised)].count("diverging") == 1
    state = fold(events)
    assert state.last_checkpoint is not None
    assert state.best is not None
    assert state.last_step is not None
    assert state.last_step.loss is None


def test_a_run_of_300_000_steps_is_read_followed_and_folded_without_growing_but_in_its_columns(
    long: RunFolder,
) -> None:
    events = followed(long)
    assert [event.seq for event in events] == [*range(1, len(events) + 1)]
    state, columns = fold(events), history(events)
    assert (state.phase, state.step, state.epoch) == ("finished", LONG_STEPS, LONG_STEPS // LONG_STEPS_PER_EPOCH)
    assert len(columns.steps) == LONG_STEPS
    assert columns.steps.column("step")[-1] == LONG_STEPS
    assert len(columns.epochs) == state.epoch
    assert len(state.at_checkpoints) == CHECKPOINTS_REMEMBERED
    assert len(msgspec.json.encode(state)) < 100_000
    assert read(long).state == state
    assert outline(long).state.step == state.step
    seen = glance(long).state
    assert (seen.phase, seen.step, seen.epoch) == (state.phase, state.step, state.epoch)
    assert (seen.last_step, seen.last_epoch) == (state.last_step, state.last_epoch)
    assert (seen.last_checkpoint, seen.started, seen.prepared) == (state.last_checkpoint, state.started, state.prepared)
    assert seen.total_steps == state.total_steps > 0
