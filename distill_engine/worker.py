"""The process of a run: open its folder, train, report, say how it ended. One of the two places that catch everything.

What a run does stands in its folder (`config.toml`, `run.json`), not in arguments: a new run and a resumed one take the
same way, and whoever starts a worker needs nothing but the folder.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import msgspec
import torch

from distill_engine import home
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
)
from distill_engine.library import free_name
from distill_engine.models.model_info import SUFFIX
from distill_engine.models.persistence import load_model, save_model_from_checkpoint
from distill_engine.run_folder import EventLog, RunFolder, RunInfo, RunLock
from distill_engine.training import checkpoint
from distill_engine.training.config import TrainingConfig
from distill_engine.training.config_file import load_config, save_config
from distill_engine.training.hardware import decided
from distill_engine.training.loop import Outcome, Start, train
from distill_engine.words import encodable

ENDINGS = {
    "epochs": "all epochs done",
    "minutes": "max_minutes reached",
    "early": "validation no longer improved",
    "stopped": "stopped",
}


@dataclass
class StopSignals:
    """The signal that asked this process to end, 0 for none."""

    received: int = 0

    @contextlib.contextmanager
    def heeded(self) -> Iterator[None]:
        """Note SIGINT, SIGTERM and SIGHUP instead of dying of them; a second one ends the process as it always does."""
        kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        # What is ignored stays so: nohup means that a lost terminal ends nothing.
        asked = [kind for kind in kinds if signal.getsignal(kind) is not signal.SIG_IGN]
        before = {kind: signal.signal(kind, self._note) for kind in asked}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
        signal.signal(number, signal.SIG_DFL)


def work(folder: RunFolder, show: Callable[[Event], None]) -> int:
    """Train the run until it ends, showing each event as it is written; return the exit status.

    Raises:
        DistillError: another process is training it.
    """
    signals = StopSignals()
    with RunLock(folder), signals.heeded():
        log = EventLog(folder)

        def report(event: Event) -> None:
            show(log.append(event))

        try:
            return _reported(folder, log.last_seq > 0, signals, report)
        finally:
            log.close()


def _reported(folder: RunFolder, restarted: bool, signals: StopSignals, report: Callable[[Event], None]) -> int:
    """Train and report how it ended, whatever happens."""
    logging.captureWarnings(True)
    logging.basicConfig(filename=folder.worker_log, level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        ended = _train(folder, restarted, signals, report)
        report(ended)
    except StopRequestedError:
        ended = RunStopped(step=0, epoch=0, reason=_name(signals), checkpoint="")
        report(ended)
    except DistillError as error:
        report(RunFailed(message=error.message, hint=error.hint, log=str(folder.worker_log)))
        return error.exit_status
    except Exception as error:  # the run must say how it ended, whatever it was
        logging.getLogger(__name__).error(traceback.format_exc())
        message, hint = _in_words(error)
        report(
            RunFailed(message=message, hint=f"{hint}; details are in {folder.worker_log}", log=str(folder.worker_log))
        )
        return 1
    # A signal that came while the last files were written stopped nothing.
    return 128 + signals.received if isinstance(ended, RunStopped) and signals.received else 0


def _train(folder: RunFolder, restarted: bool, signals: StopSignals, report: Callable[[Event], None]) -> Event:
    """Train, and return the event that tells how it ended."""
    info, config = _decided(folder)
    torch.set_num_threads(info.threads)
    start = _begin(folder, info, config, restarted, report)

    def should_stop() -> bool:
        return signals.received != 0

    outcome = train(
        _scan(Path(info.dataset), report, should_stop),
        config,
        name=info.name,
        checkpoints=folder.checkpoints,
        previews=folder.previews,
        cache=home.cache_folder(),
        start=start,
        report=report,
        should_stop=should_stop,
    )
    return _ended(folder, outcome, signals)


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


def _begin(
    folder: RunFolder, info: RunInfo, config: TrainingConfig, restarted: bool, report: Callable[[Event], None]
) -> Start:
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


def _scan(dataset: Path, report: Callable[[Event], None], should_stop: Callable[[], bool]) -> Scan:
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


def _ended(folder: RunFolder, outcome: Outcome, signals: StopSignals) -> Event:
    progress, saved = outcome.progress, outcome.checkpoint
    if outcome.ending == "stopped" or saved is None:
        name = f"{folder.checkpoints.name}/{saved.name}" if saved else ""
        reason = _name(signals) or ENDINGS[outcome.ending]
        return RunStopped(step=progress.step, epoch=progress.epoch, reason=reason, checkpoint=name)
    path = home.models_folder() / f"{free_name(folder.name)}{SUFFIX}"
    save_model_from_checkpoint(saved, path)
    return RunFinished(
        step=progress.step,
        epoch=progress.epoch,
        reason=ENDINGS[outcome.ending],
        model=str(path),
        best_epoch=progress.best_epoch,
        best_loss=progress.best_loss,
    )


def _name(signals: StopSignals) -> str:
    return signal.Signals(signals.received).name if signals.received else ""


def _in_words(error: Exception) -> tuple[str, str]:
    match error:
        case torch.OutOfMemoryError() | MemoryError():
            return "the memory doesn't suffice", "a smaller batch_size needs less"
        case OSError(strerror=str(reason), filename=name):
            return f"{name or 'a file'}: {reason}", "what was saved until then is kept, and resume goes on from there"
        case _:
            return f"something broke inside Distill: {type(error).__name__}: {error}", "please report it"
