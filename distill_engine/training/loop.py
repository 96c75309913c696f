"""The training run, from a scanned folder to a checkpoint that holds the best weights.

Batches are always cached two-channel spectrograms [B, 2, n_mels, time]. The loop's whole seam to the outside is
`report(event)` and the orders it asks for before each step; it never formats or draws, and it knows no signal, terminal
or process. An order interrupts the epoch under way, which then goes on at the same batch: epochs can be left and
entered anywhere.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from distill_engine.audio.preprocessing import PreparedCorpus, preprocess_complex_spectrograms
from distill_engine.audio.spectrogram import Normalisation
from distill_engine.datasets import Scan
from distill_engine.events import (
    AnyCommand,
    EpochDone,
    OldRecordingsHeard,
    PreprocessDone,
    PreprocessProgress,
    PreviewSaved,
    SkippedFile,
    Stop,
    StopNow,
    WarningRaised,
)
from distill_engine.models.losses import kl_weight, vae_losses
from distill_engine.patience import AT_ONCE, Patiently
from distill_engine.training import checkpoint
from distill_engine.training.aside import Aside
from distill_engine.training.checkpoint import Checkpoints, LoadedCheckpoint
from distill_engine.training.computing import autocast
from distill_engine.training.config import TrainingConfig
from distill_engine.training.dataset import PieceLoader, create_complex_data_loaders
from distill_engine.training.latent_use import LatentMeter, LatentUse
from distill_engine.training.meter import StepMeter, waits_counted
from distill_engine.training.old_recordings import OldRecordings, change_in_words, none_is_there, old_pieces
from distill_engine.training.orders import follow_orders
from distill_engine.training.preview import Previews
from distill_engine.training.rank_start import together
from distill_engine.training.readings import Readings
from distill_engine.training.recovery import DivergingError, go_back, heed_skip, look, refuse_if_unsound
from distill_engine.training.run import Orders, Report, Run, ShouldStop
from distill_engine.training.state import LossMeans, Progress, Sums, TrainingState, fresh_state
from distill_engine.training.step import Rates, Stepper, StepResult, learning_rate
from distill_engine.training.summary import Origin
from distill_engine.words import encodable

Ending = Literal["epochs", "minutes", "early", "stopped"]

LATENT_BATCHES = 4
"""How many batches of training pieces the latent is measured on where nothing validates: a few steps' time."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where training begins: from drawn weights, from a model's (`weights` and its `normalisation`), or from `resume`.

    `known` are the recordings that the model was trained on, as its file tells them. `resume` is the checkpoint to go
    on from; the weights are then those that the run began with, if they are still there.
    """

    weights: dict[str, Tensor] | None = None
    normalisation: Normalisation | None = None
    known: tuple[str, ...] = ()
    resume: LoadedCheckpoint | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How training ended: why, with which progress, and what it left (no checkpoint where no step was taken).

    `order` is the one that ended it, if any.
    """

    ending: Ending
    progress: Progress
    checkpoint: Path | None
    preview: PreviewSaved | None = None
    order: AnyCommand | None = None


def train(
    scan: Scan,
    config: TrainingConfig,
    *,
    name: str,
    model_id: str,
    checkpoints: Path,
    previews: Path,
    cache: Path,
    start: Start,
    report: Report,
    orders: Orders,
    patiently: Patiently = AT_ONCE,
) -> Outcome:
    """Prepare `scan`'s recordings and train on them until `config` or an order ends it.

    `config.device` and `config.precision` must be decided, not `auto`, and `as_configured` entered. Checkpoints and
    previews go to the folders of that name, spectrograms to `cache`; models made of a checkpoint are called `name` and
    have `model_id`. What a disk may refuse is done by `patiently`.

    Raises:
        DatasetError: no recording leaves anything to train on.
        DivergedError: losses or gradients kept leaving the finite numbers.
        RankLostError: one of several processes that train together is gone.
        StopRequestedError: it was stopped before training could begin.
    """
    normalisation = start.resume.normalisation if start.resume else start.normalisation
    corpus, training, validation = patiently(
        lambda: prepare(scan, config, cache, report, orders.stop_asked, normalisation)
    )
    state = fresh_state(config, torch.device(config.device), start.weights)
    old = _heard_before(state, start, corpus, config, report, orders)
    origin = Origin(name=name, model_id=model_id, scan=scan, corpus=corpus, config=config)
    if start.resume is not None:
        checkpoint.restore(state, start.resume)
        _warn_of_changed_corpus(start.resume, origin, report)
    with Aside(beside=works_beside(config)) as aside:
        with together(corpus, config, orders.stop_asked) as ranks:
            run = Run(
                config=config,
                training=training,
                validation=validation,
                origin=origin,
                stepper=Stepper(state, config, ranks, functools.partial(_tell_of_parts, report)),
                checkpoints=Checkpoints(checkpoints, config, state.progress),
                previews=Previews(previews, corpus, config, state.progress),
                aside=aside,
                report=report,
                orders=orders,
                patiently=patiently,
                started=time.monotonic() - state.progress.seconds - patiently.waited,
            )
            run.stepper.begin_anew()
            ending, order = _train_until_end(state, run, checkpoints, start.weights)
        aside.settle()
        return _finish(state, run, ending, order, old)


def _tell_of_parts(report: Report, parts: int) -> None:
    report(
        WarningRaised(
            kind="memory",
            message=f"the GPU's memory doesn't hold a batch: it goes through in {parts} parts from now on",
            evidence="",
            suggestion="training goes on, more slowly; a smaller batch_size needs less memory",
        )
    )


def works_beside(config: TrainingConfig) -> bool:
    """Tell whether previews and checkpoints are made while steps go on."""
    return config.device != "cpu"


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
    stepper: Stepper,
    total_steps: int,
    report: Report,
    should_stop: ShouldStop,
) -> bool:
    """Take the steps that are left of the epoch under way; return whether it came to its end, still to be judged."""
    progress, readings = state.progress, Readings()
    if progress.batch == 0:
        progress.sums = Sums()
    state.model.train()
    with StepMeter(report, progress.epoch + 1, config.batch_size) as meter:

        def heed(results: Iterable[StepResult]) -> None:
            for result in results:
                if result.taken:
                    progress.sums.add(result.magnitude, result.frequency, result.stft, result.kl)
                meter.add(result)
                heed_skip(state, result, report)

        is_left = False
        for batch in waits_counted(loader.epoch(progress.epoch, first_batch=progress.batch), progress.sums):
            if is_left := should_stop():
                break
            step = progress.step + 1
            rates = _rates(config, step, total_steps, progress.rate_factor)
            row = stepper.take(batch.to(config.device), step, rates)
            look(state, step, row)
            progress.step, progress.batch = step, progress.batch + 1
            heed(readings.add(row, step, rates))
        heed(readings.rest())
    refuse_if_unsound(state)
    if is_left:
        return False
    progress.epoch, progress.batch, progress.unjudged = progress.epoch + 1, 0, True
    return True


def _rates(config: TrainingConfig, step: int, total_steps: int, factor: float) -> Rates:
    return Rates(
        learning=factor * learning_rate(config, step, total_steps), kl=kl_weight(config.loss.kl, step, total_steps)
    )


@torch.inference_mode()
def validate_epoch(
    state: TrainingState,
    loader: PieceLoader,
    config: TrainingConfig,
    should_stop: ShouldStop = lambda: False,
    weights: Mapping[str, Tensor] | None = None,
) -> LossMeans | None:
    """Return the means over all pieces, with the judged weights or those given; None after a yes of `should_stop`."""
    sums, latent = Sums(), LatentMeter()
    parts, counts = [], []
    with state.evaluating(weights or state.ema) as model:
        device = next(model.parameters()).device  # the CPU where a pause ended in a stop
        for batch in loader.epoch(0):
            if should_stop():
                return None
            x = batch.to(device)
            with autocast(config, x.device):
                recon, mu, logvar = model(x)
            parts.append(vae_losses(recon, x, mu, logvar, config.loss, config.loss.kl.weight).parts())
            counts.append(len(batch))
            latent.add(mu, recon, x)
    for (magnitude, frequency, stft, kl), count in zip(torch.stack(parts).tolist(), counts, strict=True):
        sums.add(magnitude, frequency, stft, kl, count)
    return dataclasses.replace(sums.means(config.loss), latent=latent.use())


@torch.inference_mode()
def latent_use_in_training(state: TrainingState, loader: PieceLoader, config: TrainingConfig) -> LatentUse | None:
    """Return what the latent does with a few batches of training pieces: for runs without a validation."""
    latent = LatentMeter()
    with state.evaluating(state.ema) as model:
        for batch in itertools.islice(loader.epoch(0), LATENT_BATCHES):
            x = batch.to(config.device)
            with autocast(config, x.device):
                recon, mu, _ = model(x)
            latent.add(mu, recon, x)
    return latent.use()


def _train_until_end(
    state: TrainingState, run: Run, checkpoints: Path, first: dict[str, Tensor] | None
) -> tuple[Ending, Stop | StopNow | None]:
    while True:
        try:
            return _train_epochs(state, run)
        except DivergingError as diverging:
            run.aside.settle()
            go_back(state, run, checkpoints, first, diverging)


def _train_epochs(state: TrainingState, run: Run) -> tuple[Ending, Stop | StopNow | None]:
    """Train until the end; return why it is one, and the order that made it."""
    progress, config = state.progress, run.config
    while progress.epoch < config.max_epochs or progress.unjudged:
        # Asked before training on, so that a run resumed after its last save ends as it would have.
        if not progress.unjudged and 0 < config.early_stop_epochs <= progress.epoch - progress.best_epoch:
            return "early", None
        if progress.unjudged or train_epoch(
            state,
            run.training,
            config,
            stepper=run.stepper,
            total_steps=run.horizon(progress),
            report=run.report,
            should_stop=run.interrupted,
        ):
            _judge_epoch(state, run)
        if (order := follow_orders(state, run)) is not None:
            return "stopped", order
        if run.time_is_up():
            return "minutes", None
    return "epochs", None


def _judge_epoch(state: TrainingState, run: Run) -> None:
    """Validate, tell how the epoch went, keep the best; then preview and save where it is time. Left at an order."""
    progress = state.progress
    validation = None
    if run.validation is not None:
        validation = validate_epoch(state, run.validation, run.config, run.orders.stop_waits)
        if validation is None:
            return
    means = progress.sums.means(run.config.loss)
    judged = (validation or means).loss
    best = progress.is_better(judged)
    progress.unjudged = False
    if best:
        state.keep_best(judged)
    run.report(_epoch_done(state, run, means, validation, best))
    progress.horizon = run.foreseen_steps(progress)
    if progress.epoch == run.config.max_epochs or run.time_is_up():
        return  # the end previews and saves
    if run.previews.cadence.due(progress.epoch):
        run.previews.cadence.asked(progress.epoch)
        run.aside.do(run.preview, state)
    if run.checkpoints.due(progress):
        run.checkpoints.cadence.asked(progress.epoch)
        run.aside.do(run.save, state)


def _finish(
    state: TrainingState, run: Run, ending: Ending, order: Stop | StopNow | None, old: OldRecordings | None
) -> Outcome:
    """Leave what the ending promises: always a checkpoint, and a preview of the best weights unless told to hurry."""
    if not state.progress.step:
        return Outcome(ending=ending, progress=state.progress, checkpoint=None, order=order)
    if ending != "stopped" and not state.best:
        _judge_as_it_is(state, run)
    preview = None if isinstance(order, StopNow) else run.preview(state, best=True)
    if old is not None and not isinstance(order, StopNow):
        _tell_of_old(state, run, old)
    saved = run.save(state, preview)
    return Outcome(ending=ending, progress=state.progress, checkpoint=saved, preview=preview, order=order)


def _heard_before(
    state: TrainingState, start: Start, corpus: PreparedCorpus, config: TrainingConfig, report: Report, orders: Orders
) -> OldRecordings | None:
    """Measure what the model knew with `state`, which is as it came; None where nothing tells, or a stop waits."""
    if start.resume is None and (warning := none_is_there(start.known, corpus)) is not None:
        report(warning)
    old = old_pieces(start.known, corpus, config)
    if old is None:
        return None
    count, loader = old
    before = validate_epoch(state, loader, config, orders.stop_waits)
    return OldRecordings(count=count, loader=loader, before=before.loss) if before else None


def _tell_of_old(state: TrainingState, run: Run, old: OldRecordings) -> None:
    """Say what the old recordings lose with the weights that a model would be made of, unless a stop hurries."""
    hurries = functools.partial(run.orders.stop_waits, now_only=True)
    after = validate_epoch(state, old.loader, run.config, hurries, state.best)
    if after is None:
        return
    run.report(
        OldRecordingsHeard(
            step=state.progress.step,
            epoch=state.progress.epoch,
            recordings=old.count,
            before=old.before,
            after=after.loss,
            words=change_in_words(old.count, old.before, after.loss),
        )
    )


def _judge_as_it_is(state: TrainingState, run: Run) -> None:
    """Take the weights as they are for the best, where the time was up before the first epoch was."""
    validation = validate_epoch(state, run.validation, run.config) if run.validation else None
    state.keep_best((validation or state.progress.sums.means(run.config.loss)).loss)


def _epoch_done(
    state: TrainingState, run: Run, means: LossMeans, validation: LossMeans | None, best: bool
) -> EpochDone:
    progress, sums = state.progress, state.progress.sums
    latent = validation.latent if validation else latent_use_in_training(state, run.training, run.config)
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
        learning_rate=progress.rate_factor * learning_rate(run.config, progress.step, run.horizon(progress)),
        skipped_steps=max(0, run.training.batches_per_epoch - sums.count),
        waiting=sums.waiting,
        active_dimensions=latent.active if latent else None,
        latent_dimensions=latent.dimensions if latent else None,
        output_spread=latent.spread if latent else None,
    )


def _seconds_left(progress: Progress, run: Run) -> float:
    seconds = run.seconds()
    left = (run.total_steps - progress.step) * seconds / max(1, progress.step)
    limit = run.config.max_minutes * 60
    return max(0.0, min(left, limit - seconds) if limit else left)


def _report_prepared(
    scan: Scan, corpus: PreparedCorpus, training: PieceLoader, validation: PieceLoader | None, report: Report
) -> None:
    late = {one.name: one.reason for one in corpus.skipped}
    skipped = [(one.name, one.problem) for one in scan.skipped] + list(late.items())
    report(
        PreprocessDone(
            found=len(scan.recordings),
            used=len(scan.recordings) - len(skipped),
            skipped=[SkippedFile(file=encodable(name), reason=reason) for name, reason in skipped],
            seconds=sum(one.seconds for one in scan.used if one.name not in late),
            training_pieces=training.pieces_per_epoch,
            validation_pieces=validation.pieces_per_epoch if validation else 0,
            steps_per_epoch=training.batches_per_epoch,
        )
    )
    for note in corpus.notes:
        report(WarningRaised(kind="dataset", message=note, evidence="", suggestion=""))


def _warn_of_changed_corpus(resumed: LoadedCheckpoint, origin: Origin, report: Report) -> None:
    if resumed.info.corpus != origin.corpus_digest:
        report(
            WarningRaised(
                kind="corpus-changed",
                message="the recordings have changed since the checkpoint was saved",
                evidence="their contents or their number differ",
                suggestion="training goes on with what is there now; it won't equal a run never interrupted",
            )
        )
