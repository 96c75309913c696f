"""The one fold: what a run's events come to. It stays small however long the run; `run_history` keeps all of it.

A restart takes back what was said of later steps than the checkpoint it goes on from. So that this needs no second
reading, a state remembers the ones it was in at the last few checkpoints.
"""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Literal, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from distill_engine.events import (
    THE_DISK,
    CheckpointSaved,
    CommandAnswered,
    EpochDone,
    Event,
    ModelAnalysed,
    OldRecordingsHeard,
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
    VerdictReached,
    WarningRaised,
)

WARNINGS_KEPT = 20
CHECKPOINTS_REMEMBERED = 8
AWAITING_KEPT = 100

Phase = Literal[
    "starting",
    "scanning",
    "preparing",
    "training",
    "analysing",
    "paused",
    "stopped",
    "finished",
    "failed",
    "died",
]
OVER: frozenset[Phase] = frozenset({"stopped", "finished", "failed", "died"})
"""The phases in which nothing more comes until the run is resumed."""

FOLDER_GONE = "the run's folder is gone"
"""What a follower's last word says where it lost sight of a run that may still train."""


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """The best epoch so far, and its loss: that of the validation, where there is one."""

    value: float
    epoch: int
    step: int


class Warned(msgspec.Struct, frozen=True, kw_only=True):
    """A warning, and the step the run had come to."""

    event: WarningRaised
    step: int


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """What a person needs to know of a run now. Numbers are 0, words empty and events None until they are told."""

    phase: Phase = "starting"
    phase_before_pause: Phase = "training"

    run: str = ""
    pid: int = 0
    host: str = ""
    device: str = ""
    precision: str = ""
    max_epochs: int = 0
    steps_per_epoch: int = 0

    step: int = 0
    """The last step told of."""
    epoch: int = 0
    """How many epochs are done."""
    best: Best | None = None

    seq: int = 0
    """The `seq` of the last event."""
    time: float = 0.0
    """When the last event was written."""
    started: float = 0.0
    """When the run began."""
    resumed: float = 0.0
    """When the present stretch began: equal to `started` for the first one."""
    ended: float = 0.0
    """When it ended; 0 while it goes on."""
    restarts: int = 0

    progress: PreprocessProgress | None = None
    """How far scanning or preparing has come; None before and after."""
    prepared: PreprocessDone | None = None
    last_step: StepDone | None = None
    last_epoch: EpochDone | None = None
    last_checkpoint: CheckpointSaved | None = None
    last_preview: PreviewSaved | None = None
    last_sample: SystemSample | None = None
    last_restart: RunRestarted | None = None
    verdict: VerdictReached | None = None
    """What the curves came to last."""
    old_recordings: OldRecordingsHeard | None = None
    analysed: ModelAnalysed | None = None
    """What the recordings that the model knew lost by the end of the present stretch; None where nothing tells."""
    pause: RunPaused | None = None
    """Why it is paused; None while it isn't."""
    ending: RunStopped | RunFinished | RunFailed | None = None

    warnings: tuple[Warned, ...] = ()
    """The latest ones, the oldest of them first."""
    warnings_raised: int = 0
    """How many there were."""
    awaiting: tuple[CommandAnswered, ...] = ()
    """Commands that were heard and are neither done nor refused."""
    at_checkpoints: tuple[RunState, ...] = ()
    """The states at the latest checkpoints, the oldest first; what a restart goes back to."""

    @property
    def total_steps(self) -> int:
        """How many steps the run would take in all, 0 until that is known."""
        return self.max_epochs * self.steps_per_epoch

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes until the run is resumed."""
        return self.phase in OVER

    @property
    def is_gone(self) -> bool:
        """Whether its folder was deleted or moved, or its disk is away."""
        return isinstance(self.ending, RunFailed) and self.ending.message == FOLDER_GONE


def waits_for_disk(state: RunState) -> bool:
    """Tell whether the run is paused because something can't be written: it goes on by itself."""
    return state.pause is not None and state.pause.reason == THE_DISK


def apply(state: RunState, event: Event) -> RunState:
    """Return the state after the event; an event of another kind leaves it as it was, but for `seq` and `time`."""
    return _after(event, state)


def fold(events: Iterable[Event], state: RunState | None = None) -> RunState:
    """Return the state after all `events`, from `state` on or from nothing."""
    return functools.reduce(apply, _telling(events), state or RunState())


def _telling(events: Iterable[Event]) -> Iterator[Event]:
    """Yield the events that matter: of steps in a row only the last, for it replaces all that the others told."""
    for kind, alike in itertools.groupby(events, type):
        yield from deque(alike, maxlen=1 if kind is StepDone else None)


@functools.singledispatch
def _after(event: Event, state: RunState) -> RunState:
    return replace(state, seq=event.seq, time=event.time)


@_after.register
def _(event: RunStarted, state: RunState) -> RunState:
    return RunState(
        run=event.run or state.run,
        pid=event.pid,
        host=event.host,
        device=event.device,
        precision=event.precision,
        max_epochs=event.max_epochs,
        seq=event.seq,
        time=event.time,
        started=event.time,
        resumed=event.time,
    )


@_after.register
def _(event: RunRestarted, state: RunState) -> RunState:
    return replace(
        _taken_back(state, event.from_step),
        phase="starting",
        pid=event.pid,
        host=event.host,
        device=event.device,
        precision=event.precision,
        max_epochs=event.max_epochs,
        seq=event.seq,
        time=event.time,
        started=state.started or event.time,
        resumed=event.time,
        ended=0.0,
        restarts=state.restarts + 1,
        progress=None,
        last_restart=event,
        old_recordings=None,
        analysed=None,
        pause=None,
        ending=None,
    )


@_after.register
def _(event: PreprocessProgress, state: RunState) -> RunState:
    phases: tuple[Phase, ...] = ("scanning", "analysing")
    phase: Phase = next((phase for phase in phases if phase == event.stage), "preparing")
    return replace(state, seq=event.seq, time=event.time, phase=phase, progress=event)


@_after.register
def _(event: PreprocessDone, state: RunState) -> RunState:
    return replace(
        state,
        seq=event.seq,
        time=event.time,
        phase="training",
        progress=None,
        prepared=event,
        steps_per_epoch=event.steps_per_epoch,
    )


@_after.register
def _(event: StepDone, state: RunState) -> RunState:
    return replace(
        state, seq=event.seq, time=event.time, phase="training", step=event.step, epoch=event.epoch - 1, last_step=event
    )


@_after.register
def _(event: EpochDone, state: RunState) -> RunState:
    return replace(
        state,
        seq=event.seq,
        time=event.time,
        phase="training",
        step=event.step,
        epoch=event.epoch,
        last_epoch=event,
        best=_best(event) or state.best,
    )


@_after.register
def _(event: VerdictReached, state: RunState) -> RunState:
    return replace(state, seq=event.seq, time=event.time, verdict=event)


@_after.register
def _(event: ModelAnalysed, state: RunState) -> RunState:
    return replace(state, seq=event.seq, time=event.time, analysed=event)


@_after.register
def _(event: OldRecordingsHeard, state: RunState) -> RunState:
    return replace(state, seq=event.seq, time=event.time, old_recordings=event)


@_after.register
def _(event: CheckpointSaved, state: RunState) -> RunState:
    saved = replace(state, seq=event.seq, time=event.time, step=event.step, epoch=event.epoch, last_checkpoint=event)
    earlier = [one for one in state.at_checkpoints if one.step < event.step][1 - CHECKPOINTS_REMEMBERED :]
    return replace(saved, at_checkpoints=(*earlier, replace(saved, at_checkpoints=())))


@_after.register
def _(event: PreviewSaved, state: RunState) -> RunState:
    return replace(state, seq=event.seq, time=event.time, last_preview=event)


@_after.register
def _(event: SystemSample, state: RunState) -> RunState:
    return replace(state, seq=event.seq, time=event.time, last_sample=event)


@_after.register
def _(event: WarningRaised, state: RunState) -> RunState:
    warnings = (*state.warnings, Warned(event=event, step=state.step))[-WARNINGS_KEPT:]
    raised = state.warnings_raised + 1
    seq = event.seq or state.seq  # 0: a reader's own, in no file
    return replace(state, seq=seq, time=event.time, warnings=warnings, warnings_raised=raised)


@_after.register
def _(event: CommandAnswered, state: RunState) -> RunState:
    others = tuple(one for one in state.awaiting if one.id != event.id)
    awaiting = (*others, event)[-AWAITING_KEPT:] if event.answer == "heard" else others
    return replace(state, seq=event.seq, time=event.time, awaiting=awaiting)


@_after.register
def _(event: RunPaused, state: RunState) -> RunState:
    before = state.phase_before_pause if state.phase == "paused" else state.phase
    step = max(state.step, event.step)  # 0 while preparing, though a resumed run is further
    return replace(
        state, seq=event.seq, time=event.time, phase="paused", phase_before_pause=before, pause=event, step=step
    )


@_after.register
def _(event: RunUnpaused, state: RunState) -> RunState:
    return replace(state, seq=event.seq, time=event.time, phase=state.phase_before_pause, pause=None)


@_after.register
def _(event: RunStopped, state: RunState) -> RunState:
    return replace(_ended(state, event, "stopped"), step=max(state.step, event.step))


@_after.register
def _(event: RunFinished, state: RunState) -> RunState:
    return replace(_ended(state, event, "finished"), step=max(state.step, event.step), epoch=event.epoch)


@_after.register
def _(event: RunFailed, state: RunState) -> RunState:
    return _ended(state, event, "failed" if event.seq else "died")


def _ended(state: RunState, event: RunStopped | RunFinished | RunFailed, phase: Phase) -> RunState:
    """Return the state at its end; an event without a `seq` was made by a reader, for a worker that left none."""
    return replace(
        state,
        seq=event.seq or state.seq,
        time=event.time if event.seq else state.time,
        phase=phase,
        ended=event.time,
        progress=None,
        pause=None,
        ending=event,
    )


def _best(event: EpochDone) -> Best | None:
    judged = event.train_loss if event.validation_loss is None else event.validation_loss
    if not event.best or judged is None:
        return None
    return Best(value=judged, epoch=event.epoch, step=event.step)


class _OfStep(Protocol):
    @property
    def step(self) -> int: ...


S = TypeVar("S", bound=_OfStep)


def _taken_back(state: RunState, from_step: int) -> RunState:
    """Return the state with nothing in it of later steps: each part as it was last told of an earlier one."""
    if state.step <= from_step:
        return state
    kept = tuple(one for one in state.at_checkpoints if one.step <= from_step)
    base = kept[-1] if kept else RunState()
    last_epoch = _not_later(from_step, state.last_epoch, base.last_epoch)
    warned_since = [one for one in state.warnings if one.event.seq > base.seq and one.step <= from_step]
    return replace(
        state,
        step=from_step,
        epoch=last_epoch.epoch if last_epoch else 0,
        best=_not_later(from_step, state.best, base.best),
        last_step=_not_later(from_step, state.last_step, base.last_step),
        last_epoch=last_epoch,
        last_checkpoint=_not_later(from_step, state.last_checkpoint, base.last_checkpoint),
        last_preview=_not_later(from_step, state.last_preview, base.last_preview),
        verdict=_not_later(from_step, state.verdict, base.verdict),
        warnings=(*base.warnings, *warned_since)[-WARNINGS_KEPT:],
        warnings_raised=base.warnings_raised + len(warned_since),
        at_checkpoints=kept,
    )


def _not_later(step: int, now: S | None, before: S | None) -> S | None:
    return now if now is None or now.step <= step else before
