"""A glance at a log's end: what it tells of a run of any length, and what lies too far back for it."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from distill_engine.events import Event, RunFailed, RunStopped
from distill_engine.run_folder import RunFolder
from distill_engine.run_reading import GLANCE_BYTES, glance, outline, read
from tests.engine.run_logs import (
    epoch,
    epoch_done,
    living,
    new_run,
    prepared,
    previewed,
    restarted,
    saved,
    started,
    step_done,
    warned,
    write_log,
)

STOPPED = RunStopped(step=20, epoch=2, reason="anna@box", checkpoint="checkpoints/step-00000020.safetensors")
FILLING = [warned("x" * 1000)] * (2 * GLANCE_BYTES // 1000)


def logged(events: Sequence[Event]) -> RunFolder:
    folder = new_run()
    write_log(folder, events)
    return folder


@pytest.mark.parametrize("seed", range(10))
def test_a_glance_at_a_short_log_agrees_with_a_whole_reading(seed: int) -> None:
    draw = random.Random(seed)
    events: list[Event] = [started(), prepared()]
    for number in range(1, draw.randrange(2, 12)):
        events += epoch(number, draw.random(), best=draw.random() < 0.5)
        events += draw.sample([saved(number), previewed(number), warned("a spike")], draw.randrange(4))
    folder = logged([*events, STOPPED])
    seen, whole = glance(folder).state, read(folder).state
    assert (seen.phase, seen.step, seen.epoch, seen.best) == (whole.phase, whole.step, whole.epoch, whole.best)
    assert (seen.last_step, seen.last_epoch) == (whole.last_step, whole.last_epoch)
    assert (seen.last_checkpoint, seen.last_preview) == (whole.last_checkpoint, whole.last_preview)
    assert (seen.warnings, seen.total_steps) == (whole.warnings, whole.total_steps)
    assert (seen.seq, seen.time, seen.started) == (whole.seq, whole.time, whole.started)


def test_a_glance_at_a_long_log_tells_of_its_end_and_of_how_it_began() -> None:
    folder = logged([started(), prepared(), *epoch(1, 0.5), saved(1), *FILLING, previewed(1), step_done(13)])
    worker = living(folder)
    try:
        reading = glance(folder)
    finally:
        worker.kill()
        worker.communicate()
    seen, whole = reading.state, read(folder).state
    assert (seen.phase, seen.step, seen.epoch, reading.holder) == ("training", 13, 1, worker.pid)
    assert (seen.last_step, seen.last_preview) == (whole.last_step, whole.last_preview)
    assert (seen.run, seen.started, seen.prepared, seen.total_steps) == ("strings", 1000.0, whole.prepared, 40)
    assert (seen.last_epoch, seen.last_checkpoint, seen.best) == (None, None, None)
    assert whole.last_checkpoint is not None


def test_a_glance_takes_back_what_a_restart_does() -> None:
    events = [*FILLING, *epoch(1, 0.5), saved(1), *epoch(2, 0.4), previewed(2), step_done(23), restarted(10)]
    seen = glance(logged([started(), prepared(), *events, prepared(), step_done(12)])).state
    assert (seen.step, seen.epoch, seen.restarts, seen.last_preview) == (12, 1, 1, None)
    assert seen.last_epoch is not None
    assert seen.last_epoch.epoch == 1


def test_a_glance_goes_further_back_where_one_line_is_longer_than_it_reaches() -> None:
    folder = logged([started(), prepared(), epoch_done(1, 0.5), warned("x" * 2 * GLANCE_BYTES)])
    with folder.events_file.open("ab") as file:
        file.write(b'{"type":"WarningRaised","seq":5,"message":"' + b"x" * 2 * GLANCE_BYTES)
    seen = glance(folder).state
    assert (seen.seq, seen.warnings_raised) == (4, 1)


def test_a_glance_tells_that_nobody_trains_a_run_whose_end_is_missing() -> None:
    folder = logged([started(), prepared(), *FILLING, step_done(13)])
    seen = glance(folder).state
    assert (seen.phase, seen.step) == ("died", 13)
    assert isinstance(seen.ending, RunFailed)
    assert seen.ending.message == "the worker ended without a word"


def test_a_glance_at_a_run_without_a_log_or_without_a_line_in_it_tells_that_it_is_starting() -> None:
    folder = new_run()
    assert (glance(folder).state.phase, glance(folder).state.seq) == ("starting", 0)
    folder.events_file.write_bytes(b'{"type":"RunStarted","se')
    assert (glance(folder).state.phase, glance(folder).state.seq) == ("starting", 0)


def test_a_run_that_died_after_its_first_line_is_not_taken_for_one_that_nobody_began() -> None:
    folder = logged([started()])
    for state in (glance(folder).state, outline(folder).state, read(folder).state):
        assert isinstance(state.ending, RunFailed)
        assert state.ending.message == "the worker ended without a word"
