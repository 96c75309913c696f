"""The history: what it keeps row by row, what a restart takes back, and how it stays flat however long the run."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from distill_engine.events import (
    CommandAnswered,
    Event,
    GpuSample,
    RunFailed,
    RunPaused,
    RunRestarted,
    RunStopped,
    RunUnpaused,
    StepDone,
    SystemSample,
)
from distill_engine.run_history import Answered, History, Table
from tests.engine.run_logs import (
    epoch_done,
    old_heard,
    prepared,
    previewed,
    reached,
    restarted,
    saved,
    started,
    step_done,
    warned,
)

NAMES = ("time", "step", "loss", "loss_min", "loss_max", "gradient_norm")


def numbered(events: Sequence[Event]) -> list[Event]:
    return [msgspec.structs.replace(event, seq=seq, time=100.0 + seq) for seq, event in enumerate(events, 1)]


def unknown_loss(step: int) -> StepDone:
    return msgspec.structs.replace(step_done(step), loss=None)


def sample(*gpus: int) -> SystemSample:
    return SystemSample(
        cpu=50.0,
        memory_used=1,
        memory_total=2,
        worker_cpu=100.0,
        worker_memory=1,
        gpus=[
            GpuSample(index=index, name="g", load=90.0, memory_used=1, memory_total=2, power=None, temperature=None)
            for index in gpus
        ],
    )


def answered(answer_id: str) -> CommandAnswered:
    return CommandAnswered(id=answer_id, command="checkpoint", answer="done", words="")


def lost_stretch() -> list[Event]:
    """Two epochs with a checkpoint after the first, then what a kill loses."""
    return [
        started(),
        prepared(),
        step_done(5),
        step_done(10),
        warned("early"),
        epoch_done(1, 0.6),
        previewed(1),
        reached(1),
        old_heard(1),
        saved(1),
        step_done(20),
        answered("a"),
        epoch_done(2, 0.4),
        reached(2, "flat"),
        old_heard(2),
        previewed(2),
        warned("late"),
        RunPaused(step=20, epoch=2, reason="asked"),
        RunUnpaused(step=20, epoch=2),
        step_done(25),
        RunFailed(message="m", hint="", log=""),
    ]


def assert_equal_tables(one: Table, other: Table) -> None:
    assert one.names == other.names
    assert len(one) == len(other)
    for name in one.names:
        assert_array_equal(one.column(name), other.column(name), name)


def assert_equal_histories(one: History, other: History) -> None:
    for name in ("steps", "epochs", "samples"):
        assert_equal_tables(getattr(one, name), getattr(other, name))
    assert one.gpus.keys() == other.gpus.keys()
    for index, table in one.gpus.items():
        assert_equal_tables(table, other.gpus[index])
    for name in (
        "previews",
        "checkpoints",
        "verdicts",
        "old_recordings",
        "analyses",
        "warnings",
        "pauses",
        "answers",
        "restarts",
        "endings",
    ):
        assert getattr(one, name) == getattr(other, name)


def test_a_history_is_the_same_however_the_events_are_cut_into_batches() -> None:
    events = numbered(
        [*lost_stretch(), sample(0), restarted(10), unknown_loss(15), sample(0, 1), step_done(16), epoch_done(2, 0.5)]
    )
    whole, single = History(), History()
    whole.append(events)
    for event in events:
        single.append([event])
    assert_equal_histories(whole, single)


def test_a_history_takes_back_the_lost_stretch() -> None:
    history = History()
    history.append(numbered([*lost_stretch(), sample(), restarted(10), unknown_loss(15)]))
    assert history.steps.column("step").tolist() == [5, 10, 15]
    assert history.steps.column("time").tolist() == [103, 104, 124]
    assert math.isnan(history.steps.column("loss")[2])
    assert history.epochs.column("validation_loss").tolist() == [0.6]
    assert [one.step for one in history.previews] == [10]
    assert [one.step for one in history.checkpoints] == [10]
    assert [one.kind for one in history.verdicts] == ["learning"]
    assert [one.epoch for one in history.old_recordings] == [1]
    assert [one.event.message for one in history.warnings] == ["early"]
    assert history.pauses == []


def test_what_the_machine_and_the_process_did_stays() -> None:
    history = History()
    history.append([*lost_stretch(), sample(), restarted(10), RunStopped(step=10, epoch=1, reason="", checkpoint="c")])
    assert len(history.samples) == 1
    assert [type(one) for one in history.restarts] == [RunRestarted]
    assert [type(one) for one in history.endings] == [RunFailed, RunStopped]
    assert history.answers == [Answered(event=answered("a"), step=20)]


def test_a_warning_after_a_restart_stands_at_the_step_the_run_went_back_to() -> None:
    history = History()
    history.append([*lost_stretch(), restarted(10)])
    history.append([warned("again")])
    assert [one.step for one in history.warnings] == [10, 10]


def test_numbers_of_epochs_are_kept_exactly_and_steps_beyond_what_float32_can_count() -> None:
    history = History()
    history.append([epoch_done(1, 0.1), step_done(2**24 + 1), step_done(2**24 + 3)])
    assert history.epochs.column("validation_loss").tolist() == [0.1]
    assert history.steps.column("step").tolist() == [2**24 + 1, 2**24 + 3]


def test_a_number_too_great_for_a_column_is_infinite_and_no_warning_is_given() -> None:
    table = Table(("step", "loss"), np.float32)
    table.extend([step_done(1, 1e300)])
    assert table.column("loss").tolist() == [math.inf]


def test_a_gpu_that_shows_up_late_stands_row_for_row_with_the_machine() -> None:
    history = History()
    history.append([sample(), sample(1)])
    history.append([sample(0, 1)])
    assert len(history.samples) == 3
    assert [math.isnan(load) for load in history.gpus[0].column("load")] == [True, True, False]
    assert [math.isnan(load) for load in history.gpus[1].column("load")] == [True, False, False]


def test_a_column_is_read_only_and_shows_the_rows_so_far() -> None:
    table = Table(NAMES)
    assert table.column("loss").tolist() == []
    table.extend([step_done(1, 0.5), step_done(2, 0.25)])
    seen = table.column("loss")
    table.extend([step_done(number) for number in range(3, 5000)])
    assert seen.tolist() == [0.5, 0.25]
    assert len(table.column("loss")) == len(table) == 4999
    with pytest.raises(ValueError, match="read-only"):
        seen[0] = 1.0


def test_a_revision_tells_whether_rows_that_were_there_changed() -> None:
    table = Table(NAMES, capacity=4)
    table.extend([step_done(number) for number in range(1, 5)])
    table.cut(4)
    assert table.revision == 0
    table.cut(3)
    assert table.revision == 1
    table.extend([step_done(4)])
    assert table.revision == 1
    table.extend([step_done(5)])
    assert table.revision == 2


def full(capacity: int, losses: Sequence[float | None]) -> Table:
    """Return a table of so many steps, from 1 on, whose gradient's norm is their loss."""
    table = Table(NAMES, capacity=capacity)
    table.extend(
        [
            msgspec.structs.replace(
                step_done(step), time=100.0 + step, loss=loss, loss_min=loss, loss_max=loss, gradient_norm=loss
            )
            for step, loss in enumerate(losses, 1)
        ]
    )
    return table


def test_a_full_table_merges_neighbours_into_mean_least_and_greatest_at_the_later_step() -> None:
    table = full(4, [1.0, 3.0, 8.0, 4.0, 5.0])
    assert table.column("loss").tolist() == [2.0, 6.0, 5.0]
    assert table.column("loss_min").tolist() == [1.0, 4.0, 5.0]
    assert table.column("loss_max").tolist() == [3.0, 8.0, 5.0]
    assert table.column("gradient_norm").tolist() == [3.0, 8.0, 5.0]
    assert table.column("step").tolist() == [2, 4, 5]
    assert table.column("time").tolist() == [102, 104, 105]


def test_a_merged_row_is_open_only_where_both_were() -> None:
    table = full(4, [None, 3.0, None, None, 5.0])
    for name in ("loss", "loss_min", "loss_max"):
        assert_array_equal(table.column(name), [3.0, math.nan, 5.0])


@pytest.mark.parametrize("spike", [0, 1, 70_000, 140_000, 149_999])
def test_a_spike_is_never_lost_and_memory_stays_flat(spike: int) -> None:
    losses: list[float | None] = [0.5] * 150_000
    losses[spike] = 99.0
    table = full(1 << 14, losses)
    assert 1 << 13 <= len(table) <= 1 << 14
    steps, greatest = table.column("step"), table.column("loss_max")
    assert greatest.max() == table.column("gradient_norm").max() == 99.0
    assert np.all(np.diff(steps) > 0)
    assert steps[-1] == 150_000
    at = int(greatest.argmax())
    assert (steps[at - 1] if at else 0) < spike + 1 <= steps[at]


def test_rows_are_the_finer_the_later_they_are() -> None:
    steps = full(16, [0.5] * 100).column("step")
    widths = np.diff(steps)
    assert np.all(widths[:-1] >= widths[1:])
    assert widths[-1] == 1


def test_a_table_is_merged_alike_however_its_rows_came() -> None:
    draw = random.Random(0)
    events = [step_done(step, draw.random()) for step in range(1, 1000)]
    whole, cut = Table(NAMES, capacity=64), Table(NAMES, capacity=64)
    whole.extend(events)
    while events:
        count = draw.randrange(1, 200)
        cut.extend(events[:count])
        del events[:count]
    assert_equal_tables(whole, cut)


def test_a_restart_takes_back_merged_rows_that_reach_beyond_it() -> None:
    table = full(4, [1.0, 3.0, 8.0, 4.0, 5.0])
    table.cut(int(np.searchsorted(table.column("step"), 3, side="right")))
    assert table.column("step").tolist() == [2]
