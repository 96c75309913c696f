"""The process of a run: open its folder, train, report, say how it ended. One of the two places that catch everything.

What a run does stands in its folder (`config.toml`, `run.json`), not in arguments: a new run and a resumed one take the
same way, and whoever starts a worker needs nothing but the folder. `distill_engine.process` holds the lock around it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import shlex
import socket
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec
import torch

from distill_engine import atomic, home
from distill_engine.axes import give_axes
from distill_engine.datasets import Scan, scan
from distill_engine.errors import DatasetError, DistillError, DivergedError, StopRequestedError
from distill_engine.event_log import EventLog, answered_commands, keep_room_for_commands
from distill_engine.events import (
    PROTOCOL,
    REASONS,
    Ending,
    Event,
    ModelAnalysed,
    PreprocessProgress,
    RunFailed,
    RunFinished,
    RunRestarted,
    RunStarted,
    RunStopped,
    StopNow,
    WarningRaised,
)
from distill_engine.launched import place
from distill_engine.library import free_name, list_models
from distill_engine.models.model_info import SUFFIX
from distill_engine.models.persistence import LoadedModel, load_model, save_model_from_checkpoint
from distill_engine.run_folder import RunFolder, RunInfo
from distill_engine.sampling import sampled
from distill_engine.slider_presets import steered_presets
from distill_engine.training import checkpoint
from distill_engine.training.checkpoint import LoadedCheckpoint
from distill_engine.training.compiling import settled
from distill_engine.training.computing import as_configured
from distill_engine.training.config import TrainingConfig
from distill_engine.training.config_file import load_config, save_config
from distill_engine.training.estimate import estimate
from distill_engine.training.hardware import decided, gpu_uuids
from distill_engine.training.loop import Outcome, Start, train
from distill_engine.training.run import in_run
from distill_engine.training.state import Progress
from distill_engine.versions import versions
from distill_engine.voice import Voice
from distill_engine.words import encodable, shown
from distill_engine.worker_log import log_to

LEAST_SECONDS = 120.0
"""A model that trained for less makes no sound worth half a minute of analysis; `analyze` does it all the same."""

Report = Callable[[Event], None]

_log = logging.getLogger(__name__)


def work(folder: RunFolder, show: Callable[[Event], None]) -> tuple[int, Ending]:
    """Train a run whose lock this process holds, showing each event; return the exit status and how it ended.

    Raises:
        OSError: the run's log or its end couldn't be written.
    """
    worker_log = log_to(folder.worker_log)
    log = EventLog(folder)
    keep_room_for_commands(folder)
    voice = Voice(folder, log, worker_log, show)
    try:
        with voice.control.heeding_signals():
            status, ending = _ended(folder, voice)
            voice.end(ending)
    finally:
        with contextlib.suppress(OSError):
            log.close()
    return status, ending


def _ended(folder: RunFolder, voice: Voice) -> tuple[int, Ending]:
    """Train; return the exit status and the event that tells how it ended, whatever happens."""
    try:
        try:
            ending = _train(folder, voice)
        except DivergedError as error:
            return 1, _failed(folder, error.message, error.hint, model=_model_of_newest(folder))
    except DistillError as error:
        return 1, _failed(folder, error.message, error.hint)
    except Exception as error:  # the run must say how it ended, whatever it was
        _log.error(traceback.format_exc())
        return 1, _failed(folder, *_in_words(error))
    signalled = voice.control.signal
    return 128 + signalled if isinstance(ending, RunStopped) and signalled else 0, ending


def _train(folder: RunFolder, voice: Voice) -> RunStopped | RunFinished:
    """Train, and return the event that tells how it ended."""
    info, config = _decided(folder)
    torch.set_num_threads(info.threads)
    with as_configured(config):
        return _train_as_decided(folder, info, config, voice)


def _train_as_decided(
    folder: RunFolder, info: RunInfo, config: TrainingConfig, voice: Voice
) -> RunStopped | RunFinished:
    control, report = voice.control, voice.report
    start = _begin(folder, info, config, voice.restarted, report)
    if voice.restarted:
        _warn_of_other_versions(info, report)
    so_far = start.resume.info.progress if start.resume else Progress()
    control.stands_at(so_far.step, so_far.epoch)
    if voice.restarted:
        control.refuse_stale(answered_commands(folder))
    try:
        with sampled(voice.sample, gpu_uuids(config.device)):
            found = _scan(Path(info.dataset), report, control.stop_asked)
            config = _compiled_or_not(folder, config, found, voice)
            outcome = train(
                found,
                config,
                name=info.name,
                model_id=info.id,
                checkpoints=folder.checkpoints,
                previews=folder.previews,
                cache=home.cache_folder(),
                start=start,
                report=report,
                orders=control,
                patiently=voice.patiently,
            )
    except StopRequestedError:
        saved = start.resume.path if start.resume else None
        outcome = Outcome(ending="stopped", progress=so_far, checkpoint=saved, order=control.stopping)
    ending = _left(info, outcome, voice)
    if ending.model and outcome.progress.seconds >= LEAST_SECONDS:
        analyse(Path(ending.model), Path(info.dataset), config, report, control.stop_waits)
    return ending


def _left(info: RunInfo, outcome: Outcome, voice: Voice) -> RunStopped | RunFinished:
    """Keep what the run's end promises, and return its last event."""
    checkpoint = outcome.checkpoint
    if outcome.ending == "stopped" or checkpoint is None:
        return _stopped(info, outcome, voice)
    return RunFinished(
        step=outcome.progress.step,
        epoch=outcome.progress.epoch,
        reason=REASONS[outcome.ending],
        model=str(voice.patiently(lambda: _save_model(info, checkpoint))),
        best_epoch=outcome.progress.best_epoch,
        best_loss=outcome.progress.best_loss,
    )


def analyse(
    model: Path, dataset: Path, config: TrainingConfig, report: Report, should_stop: Callable[[], bool]
) -> None:
    """Give the run's model its axes; what goes wrong, or a yes of `should_stop`, is a warning, for the model is kept.

    An order to stop has been answered by now, and its model is there: it takes another one to end the analysis.
    """
    try:
        recordings = scan(dataset, cache=home.cache_folder(), should_stop=should_stop)
        info = give_axes(model, recordings, config, on_progress=_telling(report), should_stop=should_stop)
    except Exception as error:  # a model without axes is still a model
        told = error.message if isinstance(error, DistillError) else "it was asked to end first"
        if not isinstance(error, DistillError | StopRequestedError):
            _log.error(traceback.format_exc())
            told = _in_words(error)[0]
        report(
            WarningRaised(
                kind="analysis",
                message="the model has no latent axes yet",
                evidence=told,
                suggestion=f"distill-engine analyze {shlex.quote(shown(model.stem))} finds them",
            )
        )
        return
    report(ModelAnalysed(model=str(model), axes=[axis.name for axis in info.latent_axes]))
    if moved := steered_presets(info.id):  # kept while an earlier stretch's model had sliders of its own
        report(
            WarningRaised(
                kind="presets",
                message="presets of this model may sound otherwise: its sliders have changed",
                evidence=", ".join(map(shown, moved)),
                suggestion="listen to them, and save those anew that you want",
            )
        )


def _telling(report: Report) -> Callable[[int, int, str], None]:
    """Return what reports how far the analysis is, in percent; one that listens to more than it meant to goes back."""
    last = -1

    def tell(done: int, total: int, what: str) -> None:
        nonlocal last
        if total and 100 * done // total != last:
            last = 100 * done // total
            report(PreprocessProgress(stage="analysing", done=done, total=total, file=what))

    return tell


def _decided(folder: RunFolder) -> tuple[RunInfo, TrainingConfig]:
    """Decide what was left to this machine, and keep it: a resumed run computes as it began."""
    info, config = folder.info(), load_config(folder.config_file, TrainingConfig())
    chosen = decided(config, home.cache_folder())
    if chosen != config:
        save_config(folder.config_file, chosen)
    here = 1 if place() else chosen.num_processes  # those started elsewhere have their share of cores already
    settled = msgspec.structs.replace(
        info,
        device=chosen.device,
        precision=chosen.precision,
        threads=info.threads or max(1, torch.get_num_threads() // here),
    )
    if settled != info:
        folder.write_info(settled)
    return settled, chosen


def _compiled_or_not(folder: RunFolder, config: TrainingConfig, found: Scan, voice: Voice) -> TrainingConfig:
    """Decide whether the network is compiled, and keep it; say why not where it was asked for."""
    steps = estimate(config, found.seconds, len(found.used)).steps
    chosen, reason = settled(config, steps, home.cache_folder())
    if chosen != config:
        voice.patiently(lambda: save_config(folder.config_file, chosen))
    if reason:
        voice.report(
            WarningRaised(
                kind="compile",
                message="the network isn't compiled",
                evidence=reason,
                suggestion="training goes on as it does without; compile=off asks for that",
            )
        )
    return chosen


def _begin(folder: RunFolder, info: RunInfo, config: TrainingConfig, restarted: bool, report: Report) -> Start:
    """Report that the run begins or goes on; return where from."""
    atomic.remove_leftovers(folder.path)
    newest, rejected = checkpoint.take_newest(folder.checkpoints) if restarted else (None, [])
    if restarted:
        event: Event = RunRestarted(
            protocol=PROTOCOL,
            pid=os.getpid(),
            host=socket.gethostname(),
            device=config.device,
            precision=config.precision,
            max_epochs=config.max_epochs,
            from_step=newest.info.progress.step if newest else 0,
            checkpoint=in_run(newest.path) if newest else "",
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
    return _again(info, newest) if newest else _start(info)


def _warn_of_other_versions(info: RunInfo, report: Report) -> None:
    """Say so where the run goes on with other versions than it began with: its bytes may then be others too."""
    now = versions()
    changed = [f"{name} {then}, now {now[name]}" for name, then in info.versions.items() if now.get(name, then) != then]
    if changed:
        report(
            WarningRaised(
                kind="versions",
                message="the run goes on with other versions than it began with",
                evidence="; ".join(changed),
                suggestion="it won't equal a run never interrupted; install those versions if that matters",
            )
        )


def _start(info: RunInfo) -> Start:
    if not info.start_from:
        return Start()
    loaded = load_model(Path(info.start_from))
    return _from_model(loaded)


def _again(info: RunInfo, newest: LoadedCheckpoint) -> Start:
    """Return where a resumed run goes on, with the model it began from where that is still there."""
    try:
        loaded = load_model(Path(info.start_from)) if info.start_from else None
    except DistillError:
        loaded = None
    began = newest.info.model
    if loaded is None or (loaded.info.architecture, loaded.info.normalisation) != (
        began.architecture,
        began.normalisation,
    ):  # gone, or another one by now
        return Start(resume=newest)
    return dataclasses.replace(_from_model(loaded), resume=newest)


def _from_model(loaded: LoadedModel) -> Start:
    return Start(
        weights=dict(loaded.model.state_dict()),
        normalisation=loaded.normalisation,
        known=loaded.info.training.known,
    )


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


def _stopped(info: RunInfo, outcome: Outcome, voice: Voice) -> RunStopped:
    """Keep what the order asks for, answer it, and return the run's last event."""
    order, saved = outcome.order, outcome.checkpoint
    name = in_run(saved) if saved else ""
    model = ""
    if saved and not isinstance(order, StopNow):
        model = str(voice.patiently(lambda: _save_model(info, saved)))
    words = f"saved {name}" if name else "there was nothing to save yet"
    if order is not None:
        voice.control.answer(order, "done", f"{words}, and the model {model}" if model else words, name)
    return RunStopped(
        step=outcome.progress.step,
        epoch=outcome.progress.epoch,
        reason=order.sender if order else REASONS[outcome.ending],
        checkpoint=name,
        model=model,
    )


def _failed(folder: RunFolder, message: str, hint: str, model: str = "") -> RunFailed:
    return RunFailed(message=message, hint=hint, log=str(folder.worker_log), model=model)


def _model_of_newest(folder: RunFolder) -> str:
    """Make a model of what a diverged run still has, so that one bad number doesn't end with none."""
    newest = checkpoint.newest_sound(folder.checkpoints)
    return str(_save_model(folder.info(), newest.path)) if newest else ""


def _save_model(info: RunInfo, saved: Path) -> Path:
    """Make the run's model of a checkpoint: one model a run, so its own of an earlier stretch is replaced."""
    own = next((entry.path for entry in list_models() if entry.id == info.id), None)
    path = own or home.models_folder() / f"{free_name(info.name)}{SUFFIX}"
    atomic.remove_abandoned(path.parent)
    save_model_from_checkpoint(saved, path)
    return path


def _in_words(error: Exception) -> tuple[str, str]:
    hint = "details are in worker.log, in the run's folder"
    match error:
        case torch.OutOfMemoryError() | MemoryError():
            return "the memory doesn't suffice", "a smaller batch_size needs less"
        case OSError(strerror=str(reason), filename=name):
            return f"{name or 'a file'}: {reason}", f"what was saved is kept, and resume goes on from there; {hint}"
        case _:
            return f"something broke inside Distill: {type(error).__name__}: {error}", f"please report it; {hint}"
