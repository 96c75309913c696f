"""Orders to a run: what training does with each, and that none changes what is learnt."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from distill_engine.control import Control
from distill_engine.datasets import scan
from distill_engine.events import (
    AnyCommand,
    Checkpoint,
    CheckpointSaved,
    Command,
    CommandAnswered,
    Event,
    Pause,
    PreprocessDone,
    Preview,
    PreviewSaved,
    RunPaused,
    RunUnpaused,
    StepDone,
    Stop,
    StopNow,
    Unpause,
    encode,
)
from distill_engine.run_folder import RunFolder
from distill_engine.training.loop import Outcome, Start, train
from tests.engine.runs import small_config, write_dataset

Script = dict[int, list[type[AnyCommand]]]
"""The orders to give once so many steps were reported; 0 stands for before training."""


class Commanded:
    """A run whose commands are written into its folder, as another process would, when it reports certain steps."""

    def __init__(self, folder: Path, script: Script) -> None:
        folder.mkdir(parents=True)
        self.folder = RunFolder(folder)
        self.events: list[Event] = []
        self._script = script
        self.control = Control(self.folder, self.report)

    def report(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, StepDone):
            self.give(event.step)

    def give(self, step: int) -> None:
        for kind in self._script.pop(step, []):
            send(self.folder, kind(id=f"{kind.__name__}-{step}", time=0.0, sender="me"))

    def train(self, dataset: Path, **changes: int) -> Outcome:
        self.give(0)
        return train(
            scan(dataset),
            small_config(**changes),
            name="small",
            model_id="0" * 32,
            checkpoints=self.folder.checkpoints,
            previews=self.folder.previews,
            cache=self.folder.path.parent / "cache",
            start=Start(),
            report=self.report,
            orders=self.control,
        )

    def answers(self) -> list[tuple[str, str]]:
        return [(event.id, event.answer) for event in self.events if isinstance(event, CommandAnswered)]

    def kinds(self) -> list[type[Event]]:
        return [type(event) for event in self.events]


def send(folder: RunFolder, command: Command) -> None:
    with folder.commands_file.open("ab") as file:
        file.write(encode(command))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "recordings")


@pytest.fixture
def commanded(tmp_path: Path) -> Callable[[str, Script], Commanded]:
    return lambda name, script: Commanded(tmp_path / name, script)


@pytest.fixture(autouse=True)
def every_step_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each step have its own event, so that a script can speak of any."""
    monkeypatch.setattr("distill_engine.training.meter.REPORTS_PER_SECOND", 1e9)


def test_orders_are_heard_within_a_step_and_change_nothing_that_is_learnt(
    dataset: Path, commanded: Callable[[str, Script], Commanded]
) -> None:
    alone = commanded("alone", {}).train(dataset, max_epochs=3)
    ordered = commanded("ordered", {2: [Checkpoint], 5: [Preview], 6: [Pause, Checkpoint, Unpause], 7: [Unpause]})
    outcome = ordered.train(dataset, max_epochs=3)
    assert outcome.ending == "epochs"
    for step in (2, 5, 6, 7):
        heard = next(n for n, (identity, _) in enumerate(ordered.answers()) if identity.endswith(f"-{step}"))
        assert ordered.answers()[heard][1] == "heard"
    done = [identity for identity, answer in ordered.answers() if answer == "done"]
    assert done == ["Checkpoint-2", "Preview-5", "Pause-6", "Checkpoint-6", "Unpause-6", "Unpause-7"]
    saved = [event.step for event in ordered.events if isinstance(event, CheckpointSaved)]
    assert saved == [2, 6, 12]
    assert [event.step for event in ordered.events if isinstance(event, PreviewSaved)] == [5, 12]
    assert ordered.kinds().index(RunPaused) < ordered.kinds().index(RunUnpaused)
    assert alone.checkpoint is not None
    assert outcome.checkpoint is not None
    one, other = (safetensors.torch.load_file(path) for path in (alone.checkpoint, outcome.checkpoint))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", [Stop, StopNow])
def test_a_stop_ends_after_the_step_with_what_it_promises(
    dataset: Path, commanded: Callable[[str, Script], Commanded], kind: type[AnyCommand]
) -> None:
    run = commanded("run", {3: [kind]})
    outcome = run.train(dataset, max_epochs=3)
    assert (outcome.ending, outcome.progress.step) == ("stopped", 3)
    assert isinstance(outcome.order, kind)
    assert outcome.checkpoint is not None
    assert (PreviewSaved in run.kinds()) == (kind is Stop)
    assert (outcome.preview is not None) == (kind is Stop)


def test_a_paused_run_can_be_stopped(dataset: Path, commanded: Callable[[str, Script], Commanded]) -> None:
    outcome = commanded("run", {4: [Pause, StopNow]}).train(dataset, max_epochs=3)
    assert (outcome.ending, outcome.progress.step) == ("stopped", 4)


def test_an_order_that_is_not_to_hurry_leaves_the_closing_preview_be(
    dataset: Path, commanded: Callable[[str, Script], Commanded]
) -> None:
    run = commanded("run", {4: [Stop, Checkpoint, Stop]})
    assert run.train(dataset, max_epochs=3).preview is not None


def test_waiting_is_no_training_time(
    dataset: Path, commanded: Callable[[str, Script], Commanded], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = commanded("run", {4: [Pause, Checkpoint, StopNow]})
    now = time.monotonic()
    clock = iter(range(10_000))
    wait = run.control.wait

    def wait_for_an_hour() -> AnyCommand:
        nonlocal now
        now += 3600
        return wait()

    monkeypatch.setattr(run.control, "wait", wait_for_an_hour)
    monkeypatch.setattr("distill_engine.training.run.time.monotonic", lambda: now + next(clock) * 1e-6)
    outcome = run.train(dataset, max_epochs=3)
    assert outcome.progress.seconds < 60


def test_while_preparing_a_pause_waits_and_what_needs_a_model_is_refused(
    dataset: Path, commanded: Callable[[str, Script], Commanded]
) -> None:
    run = commanded("run", {0: [Pause, Checkpoint, Preview, Unpause]})
    outcome = run.train(dataset, max_epochs=1)
    assert outcome.ending == "epochs"
    assert [answer for answer in run.answers() if answer[1] != "heard"] == [
        ("Pause-0", "done"),
        ("Checkpoint-0", "refused"),
        ("Preview-0", "refused"),
        ("Unpause-0", "done"),
    ]
    assert run.kinds().index(RunUnpaused) < run.kinds().index(PreprocessDone)


def test_commands_of_an_earlier_stretch_are_refused_unless_they_were_answered(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    events: list[Event] = []
    send(folder, Stop(id="answered", time=0.0, sender="me"))
    send(folder, Stop(id="stale", time=0.0, sender="me"))
    control = Control(folder, events.append, restarted=True)
    control.refuse_stale(frozenset({"answered"}))
    assert [(event.id, event.answer) for event in events if isinstance(event, CommandAnswered)] == [
        ("stale", "refused")
    ]
    assert control.take() is None
    send(folder, Stop(id="new", time=0.0, sender="me"))
    order = control.take()
    assert order is not None
    assert order.id == "new"


def test_an_order_of_another_version_is_refused_once(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    events: list[Event] = []
    control = Control(folder, events.append)
    folder.commands_file.write_bytes(b'{"type":"dance\\u001b","id":"1","tempo":120}\n')
    assert not control.waiting()
    assert not control.waiting()
    [answer] = [event for event in events if isinstance(event, CommandAnswered)]
    assert (answer.id, answer.command, answer.answer) == ("1", "dance\\x1b", "refused")


def test_who_waits_for_a_disk_turns_away_all_but_orders_to_stop(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    events: list[Event] = []
    control = Control(folder, events.append)
    send(folder, Checkpoint(id="save", time=0.0, sender="me"))
    assert not control.turn_away("it waits")
    send(folder, Stop(id="stop", time=0.0, sender="me"))
    assert control.turn_away("it waits")
    assert isinstance(control.take(), Stop)
    answers = [(event.id, event.answer) for event in events if isinstance(event, CommandAnswered)]
    assert answers == [("save", "heard"), ("save", "refused"), ("stop", "heard")]


def test_lines_that_are_torn_or_not_understood_harm_nothing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    control = Control(folder, lambda _event: None)
    folder.commands_file.write_bytes(b'nonsense\n{"type":"dance","id":"1"}\n{"type":"pause","id":"2","ti')
    assert control.take() is None
    with folder.commands_file.open("ab") as file:
        file.write(b'me":1.0,"sender":"me"}\n')
    assert isinstance(control.take(), Pause)
