"""The training run, from a scanned folder to a checkpoint that holds the best weights.

Batches are always cached two-channel spectrograms [B, 2, n_mels, time]. The loop's whole seam to the outside is two
callables, `report(event)` and `should_stop()`; it never formats or draws, and it knows no signal, terminal or process.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from distill_engine.audio.preprocessing import PreparedCorpus, preprocess_complex_spectrograms
from distill_engine.audio.spectrogram import Normalisation
from distill_engine.datasets import Scan
from distill_engine.errors import DivergedError
from distill_engine.events import (
    CheckpointSaved,
    EpochDone,
    Event,
    PreprocessDone,
    PreprocessProgress,
    SkippedFile,
    WarningRaised,
)
from distill_engine.models.losses import kl_weight, vae_losses
from distill_engine.training import checkpoint
from distill_engine.training.checkpoint import Checkpoints
from distill_engine.training.config import LossConfig, TrainingConfig
from distill_engine.training.dataset import PieceLoader, create_complex_data_loaders
from distill_engine.training.meter import StepMeter
from distill_engine.training.preview import Previews
from distill_engine.training.state import Progress, Sums, TrainingState, fresh_state
from distill_engine.training.step import StepResult, learning_rate, train_step
from distill_engine.training.summary import Origin, corpus_digest
from distill_engine.words import encodable

SKIPS_BEFORE_GOING_BACK = 10

Report = Callable[[Event], object]
ShouldStop = Callable[[], bool]
Ending = Literal["epochs", "minutes", "early", "stopped"]


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where training begins: from drawn weights, from a model's (`weights` and its `normalisation`), or from `resume`.

    `resume` is the checkpoint to go on from.
    """

    weights: dict[str, Tensor] | None = None
    normalisation: Normalisation | None = None
    resume: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How training ended: why, with which progress, and the checkpoint it left (none where no step was taken)."""

    ending: Ending
    progress: Progress
    checkpoint: Path | None


@dataclass(frozen=True, kw_only=True)
class LossMeans:
    """Means over an epoch; `loss` weighs the parts with the final KL weight, so that all epochs compare."""

    loss: float
    magnitude: float
    frequency: float
    stft: float
    kl: float


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What doesn't change while training goes on."""

    config: TrainingConfig
    corpus: PreparedCorpus
    training: PieceLoader
    validation: PieceLoader | None
    origin: Origin
    checkpoints: Checkpoints
    previews: Previews
    report: Report
    should_stop: ShouldStop
    started: float

    @property
    def total_steps(self) -> int:
        return self.config.max_epochs * self.training.batches_per_epoch

    def seconds(self) -> float:
        """Return how long the run has trained, earlier stretches included."""
        return time.monotonic() - self.started

    def time_is_up(self) -> bool:
        return 0 < self.config.max_minutes * 60 <= self.seconds()


class _DivergingError(Exception):
    """So many steps in a row had to be left out that the weights are taken to be at fault."""


def train(
    scan: Scan,
    config: TrainingConfig,
    *,
    name: str,
    checkpoints: Path,
    previews: Path,
    cache: Path,
    start: Start,
    report: Report,
    should_stop: ShouldStop,
) -> Outcome:
    """Prepare `scan`'s recordings and train on them until `config` or `should_stop` ends it.

    `config.device` and `config.precision` must be decided, not `auto`. Checkpoints and previews go to the folders of
    that name, spectrograms to `cache`; models made of a checkpoint are called `name`.

    Raises:
        DatasetError: no recording leaves anything to train on.
        DivergedError: losses or gradients kept leaving the finite numbers.
        StopRequestedError: it was stopped before the first step could be taken.
    """
    normalisation = checkpoint.normalisation_in(start.resume) if start.resume else start.normalisation
    corpus, training, validation = prepare(scan, config, cache, report, should_stop, normalisation)
    state = fresh_state(config, torch.device(config.device), start.weights)
    if start.resume is not None:
        info = checkpoint.restore(state, start.resume)
        _warn_of_changed_corpus(info.corpus, corpus, report)
    run = _Run(
        config=config,
        corpus=corpus,
        training=training,
        validation=validation,
        origin=Origin(name=name, scan=scan, corpus=corpus, config=config),
        checkpoints=Checkpoints(checkpoints, config, state.progress),
        previews=Previews(previews, corpus, config),
        report=report,
        should_stop=should_stop,
        started=time.monotonic() - state.progress.seconds,
    )
    ending = _train_until_end(state, run, checkpoints)
    if ending != "stopped":
        _judge_if_never_judged(state, run)
        _preview(state, run)
    saved = _save(state, run) if state.progress.step else None
    return Outcome(ending=ending, progress=state.progress, checkpoint=saved)


def prepare(
    scan: Scan,
    config: TrainingConfig,
    cache: Path,
    report: Report,
    should_stop: ShouldStop,
    normalisation: Normalisation | None = None,
) -> tuple[PreparedCorpus, PieceLoader, PieceLoader | None]:
    """Bring all spectrograms into the cache; return them and the loaders of training and validation pieces.

    A `normalisation` given, such as that of a model to go on from, stands in for the corpus's own. Raises as `train`.
    """

    def on_progress(done: int, total: int, file: str) -> None:
        report(PreprocessProgress(stage="preparing", done=done, total=total, file=encodable(file)))

    corpus = preprocess_complex_spectrograms(scan, config, cache, on_progress=on_progress, should_stop=should_stop)
    if normalisation is not None:
        corpus = dataclasses.replace(corpus, normalisation=normalisation)
    training, validation = create_complex_data_loaders(corpus, config)
    _report_prepared(scan, corpus, training, validation, report)
    return corpus, training, validation


def train_epoch(
    state: TrainingState,
    loader: PieceLoader,
    config: TrainingConfig,
    *,
    total_steps: int,
    report: Report,
    should_stop: ShouldStop,
) -> LossMeans | None:
    """Take the steps that are left of the epoch under way; return its means, None where stopped before the end."""
    progress = state.progress
    state.model.train()
    meter = StepMeter(report, progress.epoch + 1, config.batch_size)
    for batch in loader.epoch(progress.epoch, first_batch=progress.batch):
        if should_stop():
            meter.flush()
            return None
        step = progress.step + 1
        rate = progress.rate_factor * learning_rate(config, step, total_steps)
        weight = kl_weight(config.loss.kl, step, total_steps)
        result = train_step(
            state.model,
            state.optimizer,
            batch.to(config.device),
            config,
            step=step,
            rate=rate,
            kl_weight=weight,
            bf16=config.precision == "bf16",
        )
        _count(state, result, config)
        meter.add(result, step=step, rate=rate, kl_weight=weight)
        if not result.taken:
            _warn_of_skip(progress, result, report)
    meter.flush()
    means = _means(progress.sums, config.loss)
    progress.epoch, progress.batch, progress.sums = progress.epoch + 1, 0, Sums()
    return means


@torch.inference_mode()
def validate_epoch(state: TrainingState, loader: PieceLoader, config: TrainingConfig) -> LossMeans:
    """Return the means over all validation pieces, with the judged weights and the final KL weight."""
    sums = Sums()
    with state.judging() as model:
        for batch in loader.epoch(0):
            x = batch.to(config.device)
            with torch.autocast(x.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
                recon, mu, logvar = model(x)
            losses = vae_losses(recon, x, mu, logvar, config.loss, config.loss.kl.weight)
            sums.count += len(batch)
            sums.magnitude += len(batch) * losses.magnitude.item()
            sums.frequency += len(batch) * losses.frequency.item()
            sums.stft += len(batch) * losses.stft.item()
            sums.kl += len(batch) * losses.kl.item()
    return _means(sums, config.loss)


def _train_until_end(state: TrainingState, run: _Run, checkpoints: Path) -> Ending:
    while True:
        try:
            return _train_epochs(state, run)
        except _DivergingError:
            _go_back(state, run, checkpoints)


def _train_epochs(state: TrainingState, run: _Run) -> Ending:
    progress, config = state.progress, run.config
    while progress.epoch < config.max_epochs:
        means = train_epoch(
            state,
            run.training,
            config,
            total_steps=run.total_steps,
            report=run.report,
            should_stop=lambda: run.should_stop() or run.time_is_up(),
        )
        if means is None:
            return "stopped" if run.should_stop() else "minutes"
        _end_epoch(state, run, means)
        if 0 < config.early_stop_epochs <= progress.epoch - progress.best_epoch:
            return "early"
    return "epochs"


def _end_epoch(state: TrainingState, run: _Run, means: LossMeans) -> None:
    progress = state.progress
    validation = _validate(state, run)
    judged = (validation or means).loss
    best = progress.is_better(judged)
    if best:
        state.keep_best(judged)
    run.report(_epoch_done(state, run, means, validation, best))
    if run.previews.due(progress.epoch) and progress.epoch < run.config.max_epochs:
        _preview(state, run)
    if run.checkpoints.due(progress.epoch) and progress.epoch < run.config.max_epochs:
        _save(state, run)


def _validate(state: TrainingState, run: _Run) -> LossMeans | None:
    return validate_epoch(state, run.validation, run.config) if run.validation else None


def _judge_if_never_judged(state: TrainingState, run: _Run) -> None:
    """Take the weights as they are for the best where the time was up before the first epoch was."""
    if not state.best and state.progress.step:
        means = _validate(state, run) or _means(state.progress.sums, run.config.loss)
        state.keep_best(means.loss)


def _preview(state: TrainingState, run: _Run) -> None:
    with state.judging() as model:
        run.report(run.previews.make(model, state.progress.step, state.progress.epoch))


def _save(state: TrainingState, run: _Run) -> Path:
    progress = state.progress
    progress.seconds = run.seconds()
    path = run.checkpoints.save(state, run.origin.describe(state, run.previews.last), corpus_digest(run.corpus))
    size = path.stat().st_size
    relative = f"{path.parent.name}/{path.name}"
    run.report(CheckpointSaved(step=progress.step, epoch=progress.epoch, path=relative, bytes=size))
    return path


def _go_back(state: TrainingState, run: _Run, checkpoints: Path) -> None:
    """Return once to the newest checkpoint's weights, or the first ones, and go on from here with half the rate."""
    progress = state.progress
    if progress.rate_factor < 1:
        raise DivergedError(
            f"training diverged: {SKIPS_BEFORE_GOING_BACK} steps in a row were not finite, even at half the rate",
            "lower learning_rate, or gradient_clip; the checkpoint from before is kept",
        )
    path, _ = checkpoint.newest_valid(checkpoints)
    good = fresh_state(run.config, torch.device(run.config.device))
    if path is not None:
        checkpoint.restore(good, path)
    state.model.load_state_dict(good.model.state_dict())
    state.optimizer.load_state_dict(good.optimizer.state_dict())
    state.ema = good.ema
    progress.skipped_in_row, progress.rate_factor = 0, 0.5
    run.report(
        WarningRaised(
            kind="diverging",
            message=f"went back to {path.name if path else 'the first weights'} and halved the learning rate",
            evidence=f"{SKIPS_BEFORE_GOING_BACK} steps in a row, up to {progress.step}, were not finite",
            suggestion="if it comes again the run ends; a lower learning_rate helps",
        )
    )


def _count(state: TrainingState, result: StepResult, config: TrainingConfig) -> None:
    progress = state.progress
    progress.step += 1
    progress.batch += 1
    if not result.taken:
        progress.skipped_in_row += 1
        return
    progress.skipped_in_row = 0
    state.update_ema(config.ema_decay)
    sums = progress.sums
    sums.count += 1
    sums.magnitude += result.magnitude
    sums.frequency += result.frequency
    sums.stft += result.stft
    sums.kl += result.kl


def _warn_of_skip(progress: Progress, result: StepResult, report: Report) -> None:
    if progress.skipped_in_row == 1:
        report(
            WarningRaised(
                kind="not-finite",
                message=f"step {progress.step} was left out",
                evidence=f"loss {result.loss}, gradient norm {result.gradient_norm}",
                suggestion="one such step does no harm; if they come often, lower learning_rate",
            )
        )
    if progress.skipped_in_row == SKIPS_BEFORE_GOING_BACK:
        raise _DivergingError


def _means(sums: Sums, config: LossConfig) -> LossMeans:
    if not sums.count:
        return LossMeans(loss=math.nan, magnitude=math.nan, frequency=math.nan, stft=math.nan, kl=math.nan)
    magnitude, frequency = sums.magnitude / sums.count, sums.frequency / sums.count
    stft, kl = sums.stft / sums.count, sums.kl / sums.count
    loss = (
        config.reconstruction.magnitude_weight * magnitude
        + config.reconstruction.frequency_weight * frequency
        + config.stft.weight * stft
        + config.kl.weight * kl
    )
    return LossMeans(loss=loss, magnitude=magnitude, frequency=frequency, stft=stft, kl=kl)


def _epoch_done(
    state: TrainingState, run: _Run, means: LossMeans, validation: LossMeans | None, best: bool
) -> EpochDone:
    progress = state.progress
    return EpochDone(
        epoch=progress.epoch,
        step=progress.step,
        train_loss=means.loss,
        train_magnitude=means.magnitude,
        train_frequency=means.frequency,
        train_stft=means.stft,
        train_kl=means.kl,
        validation_loss=validation.loss if validation else None,
        validation_magnitude=validation.magnitude if validation else None,
        validation_frequency=validation.frequency if validation else None,
        validation_stft=validation.stft if validation else None,
        validation_kl=validation.kl if validation else None,
        best=best,
        seconds_left=_seconds_left(progress, run),
    )


def _seconds_left(progress: Progress, run: _Run) -> float:
    seconds = run.seconds()
    left = (run.total_steps - progress.step) * seconds / max(1, progress.step)
    limit = run.config.max_minutes * 60
    return max(0.0, min(left, limit - seconds) if limit else left)


def _report_prepared(
    scan: Scan, corpus: PreparedCorpus, training: PieceLoader, validation: PieceLoader | None, report: Report
) -> None:
    skipped = [(one.name, one.problem) for one in scan.skipped] + [(one.name, one.reason) for one in corpus.skipped]
    report(
        PreprocessDone(
            found=len(scan.recordings),
            used=len(scan.recordings) - len(skipped),
            skipped=[SkippedFile(file=encodable(name), reason=reason) for name, reason in skipped],
            seconds=scan.seconds,
            training_pieces=training.pieces_per_epoch,
            validation_pieces=validation.pieces_per_epoch if validation else 0,
            steps_per_epoch=training.batches_per_epoch,
        )
    )
    for note in corpus.notes:
        report(WarningRaised(kind="validation", message=note, evidence="", suggestion=""))


def _warn_of_changed_corpus(then: str, corpus: PreparedCorpus, report: Report) -> None:
    if then != corpus_digest(corpus):
        report(
            WarningRaised(
                kind="corpus-changed",
                message="the recordings have changed since the checkpoint was saved",
                evidence="their contents, number or augmentation differ",
                suggestion="training goes on with what is there now; it won't equal a run never interrupted",
            )
        )
