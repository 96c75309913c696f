"""The fold: what a person reads of a run at any moment, and what a restart takes back."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from typing import Literal

import msgspec
import pytest

from distill_engine import run_state
from distill_engine.events import (
    CheckpointSaved,
    CommandAnswered,
    EpochDone,
    Event,
    GpuSample,
    PreprocessDone,
    PreprocessProgress,
    PreviewSaved,
    RunFailed,
    RunFinished,
    RunPaused,
    RunRestarted,
    RunStarted,
    RunStopped,
    RunUnpaused,
    StepDone,
    SystemSample,
    WarningRaised,
)
from distill_engine.run_state import Best, RunState, apply, fold
from tests.engine.run_logs import reached


def numbered(events: Iterable[Event]) -> list[Event]:
    return [msgspec.structs.replace(event, seq=seq, time=100.0 + seq) for seq, event in enumerate(events, 1)]


def started() -> RunStarted:
    return RunStarted(protocol=1, run="a", pid=7, host="box", device="cpu", precision="fp32", max_epochs=4)


def restarted(from_step: int) -> RunRestarted:
    return RunRestarted(
        protocol=1,
        pid=8,
        host="box",
        device="cpu",
        precision="fp32",
        max_epochs=6,
        from_step=from_step,
        checkpoint="checkpoints/x" if from_step else "",
        rejected=[],
    )


def progress(stage: str) -> PreprocessProgress:
    return PreprocessProgress(stage=stage, done=1, total=3, file="a.wav")


def prepared() -> PreprocessDone:
    return PreprocessDone(
        found=3, used=3, skipped=[], seconds=6.0, training_pieces=20, validation_pieces=2, steps_per_epoch=10
    )


def step(number: int, loss: float | None = 0.5) -> StepDone:
    return StepDone(
        step=number,
        epoch=(number - 1) // 10 + 1,
        loss=loss,
        loss_min=loss,
        loss_max=None,
        magnitude=0.1,
        frequency=0.1,
        stft=0.1,
        kl=1.0,
        learning_rate=0.001,
        kl_weight=0.01,
        gradient_norm=1.0,
        pieces_per_second=20.0,
    )


def epoch(number: int, loss: float, *, best: bool, validated: bool = True) -> EpochDone:
    return EpochDone(
        epoch=number,
        step=10 * number,
        train_loss=loss - 0.1 if validated else loss,
        train_magnitude=0.1,
        train_frequency=0.1,
        train_stft=0.1,
        train_kl=1.0,
        validation_loss=loss if validated else None,
        validation_magnitude=None,
        validation_frequency=None,
        validation_stft=None,
        validation_kl=None,
        best=best,
        seconds_left=9.0,
    )


def checkpoint(number: int) -> CheckpointSaved:
    return CheckpointSaved(step=number, epoch=number // 10, path=f"checkpoints/{number}", bytes=1)


def preview(number: int) -> PreviewSaved:
    return PreviewSaved(
        step=number,
        epoch=number // 10,
        path=f"previews/{number}",
        recordings=[],
        samples=[],
        lsd=None,
        sc=None,
        band=None,
        floor_lsd=None,
        floor_sc=None,
        floor_band=None,
    )


def warning(message: str) -> WarningRaised:
    return WarningRaised(kind="k", message=message, evidence="", suggestion="")


def answered(command_id: str, answer: Literal["heard", "done", "refused"]) -> CommandAnswered:
    return CommandAnswered(id=command_id, command="stop", answer=answer, words="")


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


def epoch_one() -> list[Event]:
    return [started(), progress("scanning"), progress("preparing"), prepared(), step(5), step(10)]


def test_a_run_goes_through_its_phases() -> None:
    paused = RunPaused(step=5, epoch=0, reason="asked")
    stopped = RunStopped(step=5, epoch=0, reason="stop", checkpoint="checkpoints/5")
    events = [*epoch_one()[:5], paused, sample(), RunUnpaused(step=5, epoch=0), stopped, restarted(5)]
    state, phases = RunState(), []
    for event in numbered(events):
        state = apply(state, event)
        phases.append(state.phase)
    assert phases[:5] == ["starting", "scanning", "preparing", "training", "training"]
    assert phases[5:] == ["paused", "paused", "training", "stopped", "starting"]


def test_a_pause_while_preparing_ends_where_it_began() -> None:
    pause, unpause = RunPaused(step=0, epoch=0, reason=""), RunUnpaused(step=0, epoch=0)
    assert fold([started(), progress("preparing"), pause, pause]).phase == "paused"
    assert fold([started(), progress("preparing"), pause, pause, unpause]).phase == "preparing"


def test_the_state_says_what_the_run_is_and_how_far_it_has_come() -> None:
    state = fold(numbered([*epoch_one(), epoch(1, 0.6, best=True), step(15)]))
    assert (state.run, state.pid, state.device, state.max_epochs, state.total_steps) == ("a", 7, "cpu", 4, 40)
    assert (state.step, state.epoch, state.seq, state.started, state.time) == (15, 1, 8, 101.0, 108.0)
    assert state.best == Best(value=0.6, epoch=1, step=10)
    assert not state.is_over


def test_without_validation_the_best_is_judged_by_the_training_loss() -> None:
    state = fold([epoch(1, 0.6, best=True, validated=False), epoch(2, 0.7, best=False, validated=False)])
    assert state.best == Best(value=0.6, epoch=1, step=10)


@pytest.mark.parametrize(
    ("ending", "phase"),
    [
        (RunStopped(seq=7, time=9.0, step=10, epoch=1, reason="stop", checkpoint=""), "stopped"),
        (RunFinished(seq=7, time=9.0, step=40, epoch=4, reason="", model="m", best_epoch=1, best_loss=0.1), "finished"),
        (RunFailed(seq=7, time=9.0, message="m", hint="", log=""), "failed"),
        (RunFailed(seq=0, time=9.0, message="m", hint="", log=""), "died"),
    ],
)
def test_how_a_run_ended(ending: RunStopped | RunFinished | RunFailed, phase: str) -> None:
    state = fold([*numbered(epoch_one()), ending])
    assert (state.phase, state.ended, state.ending, state.is_over) == (phase, 9.0, ending, True)
    assert state.seq == (ending.seq or 6)
    resumed = apply(state, restarted(10))
    assert (resumed.phase, resumed.ended, resumed.ending, resumed.restarts) == ("starting", 0.0, None, 1)


def test_a_command_awaits_its_answer_until_it_is_done_or_refused() -> None:
    state = fold([answered("a", "heard"), answered("b", "heard"), answered("a", "done"), answered("c", "refused")])
    assert [one.id for one in state.awaiting] == ["b"]


def lost_stretch() -> list[Event]:
    """Two epochs with a checkpoint after the first, then a better epoch, a preview and a warning that a kill loses."""
    return [
        *epoch_one(),
        warning("early"),
        epoch(1, 0.6, best=True),
        preview(10),
        checkpoint(10),
        step(20),
        epoch(2, 0.4, best=True),
        preview(20),
        warning("late"),
        step(25),
    ]


def test_a_restart_takes_back_all_of_later_steps() -> None:
    state = fold(numbered([*lost_stretch(), restarted(10)]))
    assert (state.step, state.epoch, state.max_epochs, state.pid) == (10, 1, 6, 8)
    assert state.best == Best(value=0.6, epoch=1, step=10)
    assert state.last_step is not None
    assert state.last_epoch is not None
    assert state.last_preview is not None
    assert (state.last_step.step, state.last_epoch.epoch, state.last_preview.step) == (10, 1, 10)
    assert [one.event.message for one in state.warnings] == ["early"]
    assert state.warnings_raised == 1


def test_a_restart_takes_back_a_later_verdict_and_keeps_the_one_before() -> None:
    events = [*epoch_one(), epoch(1, 0.6, best=True), reached(1), checkpoint(10), epoch(2, 0.4, best=True)]
    state = fold(numbered([*events, reached(2, "flat"), restarted(10)]))
    assert state.verdict is not None
    assert (state.verdict.epoch, state.verdict.kind) == (1, "learning")
    assert fold(numbered([*events, restarted(0)])).verdict is None


def test_a_restart_from_the_beginning_leaves_nothing_of_the_steps_before() -> None:
    state = fold(numbered([*lost_stretch(), restarted(0)]))
    assert (state.step, state.epoch, state.best, state.last_step, state.last_preview) == (0, 0, None, None, None)
    assert state.last_checkpoint is None
    assert (state.run, state.started) == ("a", 101.0)


def test_a_restart_from_a_checkpoint_whose_event_was_lost_takes_nothing_back() -> None:
    state = fold(numbered([*lost_stretch(), restarted(25)]))
    assert (state.step, state.epoch) == (25, 2)
    assert state.best == Best(value=0.4, epoch=2, step=20)


def test_a_second_restart_can_go_back_further_than_the_first() -> None:
    events = [*lost_stretch(), checkpoint(25), step(30), restarted(25), step(28), restarted(10)]
    state = fold(numbered(events))
    assert (state.step, state.best, state.restarts) == (10, Best(value=0.6, epoch=1, step=10), 2)
    assert [one.step for one in state.at_checkpoints] == [10]


def test_what_is_told_of_the_same_step_after_a_checkpoint_is_kept() -> None:
    state = fold(
        numbered([*epoch_one(), checkpoint(10), epoch(1, 0.6, best=True), preview(10), step(15), restarted(10)])
    )
    assert state.best == Best(value=0.6, epoch=1, step=10)
    assert state.last_preview is not None
    assert state.epoch == 1


def test_a_state_stays_small_however_long_the_run() -> None:
    events = [one for number in range(1, 400) for one in (step(number), checkpoint(number), warning("w"))]
    state = fold(numbered([*events, *(answered(str(number), "heard") for number in range(400))]))
    assert len(state.warnings) == run_state.WARNINGS_KEPT
    assert state.warnings_raised == 399
    assert len(state.awaiting) == run_state.AWAITING_KEPT
    assert len(state.at_checkpoints) == run_state.CHECKPOINTS_REMEMBERED
    assert all(not one.at_checkpoints for one in state.at_checkpoints)


def test_an_event_of_a_kind_the_fold_does_not_know_changes_nothing_but_where_it_is() -> None:
    class MoodChanged(Event, frozen=True, kw_only=True):
        mood: str

    before = fold(numbered(epoch_one()))
    after = apply(before, MoodChanged(seq=7, time=200.0, mood="blue"))
    assert after == msgspec.structs.replace(before, seq=7, time=200.0)


@pytest.mark.parametrize("seed", range(10))
def test_a_fold_comes_to_what_applying_each_event_does(seed: int) -> None:
    draw = random.Random(seed)
    events: list[Event] = [*epoch_one()]
    for number in range(11, 60):
        events += [step(number, draw.random())] * draw.randrange(4)
        events += draw.sample([checkpoint(number), warning("w"), sample(), restarted(number - 5)], draw.randrange(2))
    events = numbered(events)
    states = [*itertools.accumulate(events, apply, initial=RunState())]
    assert fold(events) == states[-1]
    assert fold(events[30:], states[30]) == states[-1]
    assert fold(iter(events)) == states[-1]
