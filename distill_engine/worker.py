"""The process of a run: open its folder, train, report, say how it ended. One of the two places that catch everything.

What a run does stands in its folder (`config.toml`, `run.json`), not in arguments: a new run and a resumed one take the
same way, and whoever starts a worker needs nothing but the folder. `python -m distill_engine.worker RUN` is the process
of a run in the background.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec
import torch

from distill_engine import atomic, home
from distill_engine.control import Control
from distill_engine.datasets import Scan, scan
from distill_engine.errors import DatasetError, DistillError, StopRequestedError
from distill_engine.events import (
    PROTOCOL,
    Event,
    PreprocessProgress,
    RunFailed,
    RunFinished,
    RunRestarted,
    RunStarted,
    RunStopped,
    StopNow,
)
from distill_engine.library import free_name, list_models
from distill_engine.models.model_info import SUFFIX
from distill_engine.models.persistence import load_model, save_model_from_checkpoint
from distill_engine.run_folder import EventLog, RunFolder, RunInfo, RunLock, answered_commands
from distill_engine.sampling import sampled
from distill_engine.training import checkpoint
from distill_engine.training.config import TrainingConfig
from distill_engine.training.config_file import load_config, save_config
from distill_engine.training.hardware import decided, gpu_uuids
from distill_engine.training.loop import Outcome, Start, train
from distill_engine.words import encodable

ENDINGS = {
    "epochs": "all epochs done",
    "minutes": "max_minutes reached",
    "early": "validation no longer improved",
}

Report = Callable[[Event], None]


def work(folder: RunFolder, show: Callable[[Event], None]) -> int:
    """Train the run until it ends, showing each event as it is written; return the exit status.

    Raises:
        DistillError: another process is training it.
    """
    with RunLock(folder):
        log = EventLog(folder)
        one_at_a_time = threading.Lock()  # samples come from a thread of their own

        def report(event: Event) -> None:
            with one_at_a_time:
                show(log.append(event))

        try:
            return _reported(folder, Control(folder, report), log.last_seq > 0, report)
        finally:
            log.close()


def _reported(folder: RunFolder, control: Control, restarted: bool, report: Report) -> int:
    """Train and report how it ended, whatever happens."""
    logging.captureWarnings(True)
    logging.basicConfig(filename=folder.worker_log, level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    status = 0
    with control.heeding_signals():
        try:
            ending = _train(folder, control, restarted, report)
        except DistillError as error:
            ending = RunFailed(message=error.message, hint=error.hint, log=str(folder.worker_log))
            status = error.exit_status
        except Exception as error:  # the run must say how it ended, whatever it was
            logging.getLogger(__name__).error(traceback.format_exc())
            message, hint = _in_words(error)
            hint = f"{hint}; details are in {folder.worker_log}"
            ending = RunFailed(message=message, hint=hint, log=str(folder.worker_log))
            status = 1
        control.refuse_the_rest()
        report(ending)
    return 128 + control.signal if isinstance(ending, RunStopped) and control.signal else status


def _train(folder: RunFolder, control: Control, restarted: bool, report: Report) -> Event:
    """Train, and return the event that tells how it ended."""
    info, config = _decided(folder)
    torch.set_num_threads(info.threads)
    start = _begin(folder, info, config, restarted, report)
    if restarted:
        atomic.remove_leftovers(folder.checkpoints)
        control.refuse_stale(answered_commands(folder))
    try:
        with sampled(report, gpu_uuids(config.device)):
            outcome = train(
                _scan(Path(info.dataset), report, control.stop_asked),
                config,
                name=info.name,
                model_id=info.id,
                checkpoints=folder.checkpoints,
                previews=folder.previews,
                cache=home.cache_folder(),
                start=start,
                report=report,
                orders=control,
            )
    except StopRequestedError:
        return _stopped(folder, info, Outcome.before_training(control.stopping), control)
    if outcome.ending == "stopped" or outcome.checkpoint is None:
        return _stopped(folder, info, outcome, control)
    return RunFinished(
        step=outcome.progress.step,
        epoch=outcome.progress.epoch,
        reason=ENDINGS[outcome.ending],
        model=str(_save_model(info, outcome.checkpoint)),
        best_epoch=outcome.progress.best_epoch,
        best_loss=outcome.progress.best_loss,
    )


def _decided(folder: RunFolder) -> tuple[RunInfo, TrainingConfig]:
    """Decide what was left to this machine, and keep it: a resumed run computes as it began."""
    info, config = folder.info(), load_config(folder.config_file, TrainingConfig())
    chosen = decided(config)
    if chosen != config:
        save_config(folder.config_file, chosen)
    settled = msgspec.structs.replace(
        info,
        device=chosen.device,
        precision=chosen.precision,
        threads=info.threads or torch.get_num_threads(),
    )
    if settled != info:
        folder.write_info(settled)
    return settled, chosen


def _begin(folder: RunFolder, info: RunInfo, config: TrainingConfig, restarted: bool, report: Report) -> Start:
    """Report that the run begins or goes on; return where from."""
    newest, rejected = checkpoint.newest_valid(folder.checkpoints) if restarted else (None, [])
    step = checkpoint.read_info(newest).progress.step if newest else 0
    if restarted:
        event: Event = RunRestarted(
            protocol=PROTOCOL,
            pid=os.getpid(),
            host=socket.gethostname(),
            device=config.device,
            precision=config.precision,
            max_epochs=config.max_epochs,
            from_step=step,
            checkpoint=f"{folder.checkpoints.name}/{newest.name}" if newest else "",
            rejected=rejected,
        )
    else:
        event = RunStarted(
            protocol=PROTOCOL,
            run=folder.name,
            pid=os.getpid(),
            host=socket.gethostname(),
            device=config.device,
            precision=config.precision,
            max_epochs=config.max_epochs,
        )
    report(event)
    return Start(resume=newest) if newest else _start(info)


def _start(info: RunInfo) -> Start:
    if not info.start_from:
        return Start()
    loaded = load_model(Path(info.start_from))
    return Start(weights=dict(loaded.model.state_dict()), normalisation=loaded.normalisation)


def _scan(dataset: Path, report: Report, should_stop: Callable[[], bool]) -> Scan:
    found = scan(
        dataset,
        cache=home.cache_folder(),
        on_progress=lambda done, total, file: report(
            PreprocessProgress(stage="scanning", done=done, total=total, file=encodable(file))
        ),
        should_stop=should_stop,
    )
    if not found.used:
        raise DatasetError(f"nothing in {dataset} can be trained on", f"see distill-engine scan {dataset}")
    return found


def _stopped(folder: RunFolder, info: RunInfo, outcome: Outcome, control: Control) -> RunStopped:
    """Keep what the order asks for, answer it, and return the run's last event."""
    order, saved = outcome.order, outcome.checkpoint
    name = f"{folder.checkpoints.name}/{saved.name}" if saved else ""
    model = str(_save_model(info, saved)) if saved and not isinstance(order, StopNow) else ""
    words = f"saved {name}" if name else "there was nothing to save yet"
    if order is not None:
        control.answer(order, "done", f"{words}, and the model {model}" if model else words, name)
    return RunStopped(
        step=outcome.progress.step,
        epoch=outcome.progress.epoch,
        reason=order.sender if order else ENDINGS[outcome.ending],
        checkpoint=name,
        model=model,
    )


def _save_model(info: RunInfo, saved: Path) -> Path:
    """Make the run's model of a checkpoint: one model a run, so its own of an earlier stretch is replaced."""
    own = next((entry.path for entry in list_models() if entry.id == info.id), None)
    path = own or home.models_folder() / f"{free_name(info.name)}{SUFFIX}"
    save_model_from_checkpoint(saved, path)
    return path


def _in_words(error: Exception) -> tuple[str, str]:
    match error:
        case torch.OutOfMemoryError() | MemoryError():
            return "the memory doesn't suffice", "a smaller batch_size needs less"
        case OSError(strerror=str(reason), filename=name):
            return f"{name or 'a file'}: {reason}", "what was saved until then is kept, and resume goes on from there"
        case _:
            return f"something broke inside Distill: {type(error).__name__}: {error}", "please report it"


def main() -> None:
    """Train the run whose folder is the only argument, showing nothing."""
    try:
        sys.exit(work(RunFolder(Path(sys.argv[1])), lambda _event: None))
    except DistillError as error:
        sys.exit(f"{error.message}: {error.hint}")


if __name__ == "__main__":
    main()
