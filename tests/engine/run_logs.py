"""Run folders with logs of real events for tests: written at once, at whatever times the test wants them to be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import msgspec

from distill_engine import run_folder
from distill_engine.events import (
    CheckpointSaved,
    EpochDone,
    Event,
    HeardRecording,
    OldRecordingsHeard,
    PreprocessDone,
    PreviewSaved,
    RunRestarted,
    RunStarted,
    SkippedFile,
    StepDone,
    SystemSample,
    VerdictReached,
    WarningRaised,
    encode,
)
from distill_engine.run_folder import RunFolder, RunInfo

STEPS_PER_EPOCH = 10

WORKER = """
import sys, time
from pathlib import Path
from distill_engine.control import Control
from distill_engine.events import *
from distill_engine.event_log import EventLog
from distill_engine.run_folder import RunFolder
from distill_engine.run_lock import RunLock
folder, deaf = RunFolder(Path(sys.argv[1])), "deaf" in sys.argv
with RunLock(folder):
    log = EventLog(folder)
    control = Control(folder, log.append)
    print("held", flush=True)
    while True:
        order = None if deaf else control.take()
        if isinstance(order, Checkpoint):
            control.answer(order, "done", "saved checkpoints/step-7", "checkpoints/step-7")
        elif isinstance(order, Pause):
            control.answer(order, "refused", "nothing is learnt yet")
        elif isinstance(order, Stop | StopNow):
            name = "checkpoints/step-9"
            control.answer(order, "done", f"saved {name} as {type(order).__name__} asks for", name)
            time.sleep(0.2)
            log.append(RunStopped(step=9, epoch=0, reason=order.sender, checkpoint=name))
            break
        time.sleep(0.01)
    log.close()
"""


def new_run(name: str = "strings", *, max_epochs: int = 4) -> RunFolder:
    """Make a run folder as one is before its worker begins."""
    folder = run_folder.create(name)
    folder.config_file.write_text(f"max_epochs = {max_epochs}\n")
    folder.write_info(
        RunInfo(
            id=run_folder.new_id(),
            name=folder.name,
            dataset="/recordings/strings",
            created=1000.0,
            preset="auto",
            seed=0,
            versions={},
        )
    )
    return folder


def write_log(folder: RunFolder, events: Sequence[Event], *, begin: float = 1000.0, seconds: float = 1.0) -> None:
    """Add events to a run's log, so many seconds apart; an event that has a time keeps it."""
    lines = folder.events_file.read_bytes() if folder.events_file.exists() else b""
    first = lines.count(b"\n") + 1
    for index, event in enumerate(events):
        time = event.time or begin + index * seconds
        lines += encode(msgspec.structs.replace(event, seq=first + index, time=time))
    folder.events_file.write_bytes(lines)


def living(folder: RunFolder, *arguments: str) -> subprocess.Popen[str]:
    """Start a process that holds the run and follows orders as a worker does, but trains nothing."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder.path), *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def started() -> RunStarted:
    return RunStarted(
        protocol=1, run="strings", pid=os.getpid(), host="box", device="cpu", precision="fp32", max_epochs=4
    )


def restarted(from_step: int, *, max_epochs: int = 4, rejected: Sequence[str] = ()) -> RunRestarted:
    return RunRestarted(
        protocol=1,
        pid=os.getpid(),
        host="box",
        device="cpu",
        precision="fp32",
        max_epochs=max_epochs,
        from_step=from_step,
        checkpoint=f"checkpoints/step-{from_step:08d}.safetensors" if from_step else "",
        rejected=[*rejected],
    )


def prepared(*skipped: SkippedFile) -> PreprocessDone:
    return PreprocessDone(
        found=3 + len(skipped),
        used=3,
        skipped=[*skipped],
        seconds=90.0,
        training_pieces=20,
        validation_pieces=4,
        steps_per_epoch=STEPS_PER_EPOCH,
    )


def step_done(step: int, loss: float = 0.5) -> StepDone:
    return StepDone(
        step=step,
        epoch=(step - 1) // STEPS_PER_EPOCH + 1,
        loss=loss,
        loss_min=loss,
        loss_max=loss,
        magnitude=0.1,
        frequency=0.1,
        stft=0.1,
        kl=1.0,
        learning_rate=0.001,
        kl_weight=0.001,
        gradient_norm=1.0,
        pieces_per_second=10.0,
    )


def epoch_done(epoch: int, validation: float | None, *, best: bool = True, seconds_left: float = 60.0) -> EpochDone:
    return EpochDone(
        epoch=epoch,
        step=epoch * STEPS_PER_EPOCH,
        train_loss=0.4,
        train_magnitude=0.1,
        train_frequency=0.1,
        train_stft=0.1,
        train_kl=1.0,
        validation_loss=validation,
        validation_magnitude=validation,
        validation_frequency=validation,
        validation_stft=validation,
        validation_kl=validation,
        best=best,
        seconds_left=seconds_left,
    )


def epoch(number: int, validation: float | None, *, best: bool = True) -> list[Event]:
    """Return the events of a whole epoch, with a sample of the machine among its steps."""
    first = (number - 1) * STEPS_PER_EPOCH + 1
    steps: list[Event] = [step_done(step) for step in range(first, first + STEPS_PER_EPOCH)]
    return [*steps[:5], sample(), *steps[5:], epoch_done(number, validation, best=best)]


def sample() -> SystemSample:
    return SystemSample(cpu=50.0, memory_used=1, memory_total=2, worker_cpu=100.0, worker_memory=1, gpus=[])


def reached(epoch: int, kind: str = "learning") -> VerdictReached:
    return VerdictReached(
        epoch=epoch,
        step=epoch * STEPS_PER_EPOCH,
        kind=kind,
        words=f"it is {kind}: validation falls",
        evidence="from 0.5 to 0.25",
        suggestion="let it train on",
    )


def old_heard(epoch: int) -> OldRecordingsHeard:
    return OldRecordingsHeard(
        step=epoch * STEPS_PER_EPOCH,
        epoch=epoch,
        recordings=5,
        before=2.31,
        after=2.52,
        words="the 5 recordings that the model knew: loss 2.31 before, 2.52 now, 9 % worse",
    )


def saved(epoch: int) -> CheckpointSaved:
    step = epoch * STEPS_PER_EPOCH
    return CheckpointSaved(step=step, epoch=epoch, path=f"checkpoints/step-{step:08d}.safetensors", bytes=12_300_000)


def previewed(epoch: int) -> PreviewSaved:
    step = epoch * STEPS_PER_EPOCH
    heard = HeardRecording(
        recording="a.wav",
        original="o.wav",
        reconstruction="r.wav",
        lsd=6.2,
        sc=0.3,
        band=2.0,
        floor_lsd=2.1,
        floor_sc=0.1,
        floor_band=0.5,
    )
    return PreviewSaved(
        step=step,
        epoch=epoch,
        path=f"previews/step-{step:08d}",
        recordings=[heard],
        samples=["s1.wav", "s2.wav"],
        lsd=6.2,
        sc=0.3,
        band=2.0,
        floor_lsd=2.1,
        floor_sc=0.1,
        floor_band=0.5,
    )


def warned(text: str) -> WarningRaised:
    return WarningRaised(kind="note", message=text, evidence="loss nan", suggestion="lower learning_rate")
