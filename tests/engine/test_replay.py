"""A recorded run plays as a worker would write it: lock, pace, orders."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from distill_engine.client import command
from distill_engine.events import Checkpoint, Event, Pause, Preview, RunFinished, RunStopped, StepDone, Stop, Unpause
from distill_engine.replay import read_recorded, write_beginning
from distill_engine.run_folder import RunFolder
from distill_engine.run_lock import lock_holder
from tests.recorded_runs import unpacked

PATIENCE = 30.0


def recorded_in(folder: RunFolder) -> Path:
    """Return where the recorded log lies, once it is out of the way of the one that is played."""
    recorded = folder.path / "recorded.jsonl"
    if not recorded.exists():
        folder.events_file.rename(recorded)
    return recorded


@contextlib.contextmanager
def playing(folder: RunFolder, begun: int) -> Iterator[subprocess.Popen[bytes]]:
    recorded = recorded_in(folder)
    write_beginning(folder, read_recorded(recorded), begun)
    arguments = [str(folder.path), str(recorded), str(begun)]
    player = subprocess.Popen(
        [sys.executable, "-P", "-m", "distill_engine.replay", *arguments], cwd=Path(__file__).parents[2]
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while lock_holder(folder) is None and time.monotonic() < deadline:
            assert player.poll() is None
            time.sleep(0.02)
        yield player
    finally:
        player.kill()
        player.wait()


def told(folder: RunFolder) -> list[Event]:
    return [*read_recorded(folder.events_file)]


def test_it_plays_to_the_end_as_recorded_with_the_times_of_now() -> None:
    folder = unpacked("healthy")
    recorded = read_recorded(folder.events_file)
    begun = len(recorded) - 10
    with playing(folder, begun) as player:
        player.wait(PATIENCE)
    events = told(folder)
    assert [type(event) for event in events] == [type(event) for event in recorded]
    assert [event.seq for event in events] == list(range(1, len(recorded) + 1))
    assert isinstance(events[-1], RunFinished)
    assert abs(events[-1].time - time.time()) < PATIENCE
    assert lock_holder(folder) is None


@pytest.mark.parametrize("paused_first", [False, True])
def test_a_stop_ends_it_with_an_answer_and_its_last_line(paused_first: bool) -> None:
    folder = unpacked("healthy")
    begun = sum(1 for event in read_recorded(folder.events_file) if event.seq <= 40)
    with playing(folder, begun) as player:
        if paused_first:
            assert asyncio.run(command(folder, Pause, PATIENCE)).answer == "done"
            steps = [event for event in told(folder) if isinstance(event, StepDone)]
            time.sleep(0.3)
            assert [event for event in told(folder) if isinstance(event, StepDone)] == steps
        answer = asyncio.run(command(folder, Stop, PATIENCE))
        player.wait(PATIENCE)
    assert answer.answer == "done"
    assert answer.path.startswith("checkpoints/step-")
    assert isinstance(told(folder)[-1], RunStopped)


def test_other_orders_are_answered_and_it_goes_on() -> None:
    folder = unpacked("healthy")
    with playing(folder, 40):
        answers = [
            asyncio.run(command(folder, kind, PATIENCE)).answer for kind in (Checkpoint, Preview, Pause, Unpause)
        ]
        assert answers == ["done", "refused", "done", "done"]
        before = len(told(folder))
        deadline = time.monotonic() + PATIENCE
        while len(told(folder)) == before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(told(folder)) > before
