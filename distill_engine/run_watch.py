"""What a run's own events give reason to say: verdicts on its curves, and causes of trouble.

It sees each event on its way to the log, measures nothing and steers nothing: training never depends on it. Verdicts
come from the epochs alone, which a resumed run reads from its log; a cause is told once in each stretch of a run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import fmean

from distill_engine.events import (
    EpochDone,
    Event,
    PreprocessDone,
    PreviewSaved,
    RunFinished,
    RunPaused,
    RunRestarted,
    RunStopped,
    SoundLevel,
    SystemSample,
    VerdictReached,
    WarningRaised,
)
from distill_engine.run_words import latent_in_words
from distill_engine.training.curve_verdict import (
    Standing,
    after_epoch,
    is_due_anew,
    standing_after,
    verdict_of,
)
from distill_engine.training.learning_curves import LEAST_EPOCHS
from distill_engine.words import counted

DEAD_SHARE = 0.25
"""Below this share of active dimensions the rest of a latent is told to be dead."""

DEAD_EPOCHS = 3
"""For so many epochs in a row."""

SAMPLES = 15
"""How many samples of the machine, two seconds apart, a GPU is judged by."""

STARVED_LOAD = 50.0
STARVED_WAITING = 0.3
"""A GPU is starved that is busy for less, in percent, while steps wait for pieces for more of their time."""

SILENT_RMS = -70.0
HEARD_RMS = -60.0
"""In dB of full scale: a sound below the one is silent, a recording above the other isn't."""

CLIPPING_RATIO = 10 ** (1 / 20)
"""A sound that reaches full scale clips if its recording's peak is lower by this factor, of 1 dB."""


class RunWatch:
    """Watches one stretch of a run."""

    def __init__(self, epochs: Sequence[EpochDone] = ()) -> None:
        """Begin with the epochs that stand in the log already."""
        self._epochs = list(epochs)
        self._standing = Standing()
        self._told: VerdictReached | None = None
        self._gpu = _GpuFeed()
        self._heard_before: set[str] = set()
        self._raised: set[str] = set()

    def told(self, event: Event) -> list[Event]:
        """Return the event with what is to be said because of it, in the order in which that is to be told."""
        match event:
            case RunRestarted():
                self._take_back(event.from_step)
            case EpochDone():
                self._epochs.append(event)
                return [event, *self._verdict(), *self._once(self._dead_latent()), *self._once(self._gpu.fed(event))]
            case PreviewSaved():
                return [event, *self._once(self._preview(event))]
            case SystemSample():
                self._gpu.sample(event)
            case PreprocessDone() | RunPaused():
                self._gpu.forget()
            case RunFinished() | RunStopped():
                return [*self._closing_verdict(), event]
        return [event]

    def _take_back(self, from_step: int) -> None:
        self._epochs = [one for one in self._epochs if one.step <= from_step]
        self._standing = standing_after(self._epochs)

    def _verdict(self) -> Iterator[Event]:
        before, self._standing = self._standing, after_epoch(self._standing, self._epochs)
        if self._standing.kind != before.kind or is_due_anew(self._standing, self._epochs):
            yield self._reached()

    def _closing_verdict(self) -> Iterator[Event]:
        """Say where the run stood at its end, unless the last epoch's verdict says so."""
        if self._epochs and (self._told is None or self._told.epoch != self._epochs[-1].epoch):
            yield self._reached()

    def _reached(self) -> VerdictReached:
        verdict = verdict_of(self._standing.kind or "early", self._epochs)
        self._told = VerdictReached(
            epoch=verdict.epoch,
            step=verdict.step,
            kind=verdict.kind,
            words=verdict.words,
            evidence=verdict.evidence,
            suggestion=verdict.suggestion,
        )
        return self._told

    def _once(self, causes: Iterator[WarningRaised]) -> Iterator[WarningRaised]:
        for cause in causes:
            if cause.kind not in self._raised:
                self._raised.add(cause.kind)
                yield cause

    def _dead_latent(self) -> Iterator[WarningRaised]:
        recent = self._epochs[-DEAD_EPOCHS:]
        if len(self._epochs) >= LEAST_EPOCHS and all(_is_dead(epoch) for epoch in recent):
            yield WarningRaised(
                kind="dead-latent",
                message="most of the latent is dead: it carries nothing of the sound",
                evidence=latent_in_words(recent[-1]),
                suggestion="a lower loss.kl.weight brings it to life; a smaller latent_dim would do as well as it is",
            )

    def _preview(self, preview: PreviewSaved) -> Iterator[WarningRaised]:
        """Tell what is wrong with a run's last preview, or with two in a row: an early one may be anything."""
        wrong = [*silence(preview), *clipping(preview)]
        yield from (one for one in wrong if preview.best or one.kind in self._heard_before)
        self._heard_before = {one.kind for one in wrong}


def silence(preview: PreviewSaved) -> Iterator[WarningRaised]:
    """Yield the warning that sounds of a preview are silent where recordings aren't."""
    sounds = _sounds(preview)
    silent = [made for made, heard in sounds if made.rms < SILENT_RMS and (heard is None or heard.rms > HEARD_RMS)]
    if silent:
        yield WarningRaised(
            kind="preview-silent",
            message=f"{len(silent)} of {counted(len(sounds), 'sound')} in the preview can't be heard",
            evidence=f"the loudest of them is at {max(made.rms for made in silent):.0f} dB of full scale",
            suggestion="if later ones are silent too, a lower learning_rate or loss.kl.weight helps",
        )


def clipping(preview: PreviewSaved) -> Iterator[WarningRaised]:
    """Yield the warning that sounds of a preview go past full scale where recordings don't."""
    sounds = _sounds(preview)
    clipping = [
        made for made, heard in sounds if made.peak >= 1 and made.peak > CLIPPING_RATIO * (heard.peak if heard else 1)
    ]
    if clipping:
        loudest = max(made.peak for made in clipping)
        yield WarningRaised(
            kind="preview-clips",
            message=f"{len(clipping)} of {counted(len(sounds), 'sound')} in the preview would clip and are turned down",
            evidence=f"the highest peak was {loudest:.2f}, {20 * math.log10(loudest):.1f} dB past full scale",
            suggestion="young models do that; if later ones do it too, a lower augmentation.level_db helps",
        )


def _sounds(preview: PreviewSaved) -> list[tuple[SoundLevel, SoundLevel | None]]:
    """Return each sound's level beside its recording's, or beside the loudest one's for what has none."""
    heard = [one for one in preview.recordings if one.reconstruction_level and one.original_level]
    originals = [one.original_level for one in heard if one.original_level]
    loudest = max(originals, key=lambda level: level.peak) if originals else None
    reconstructed = [(one.reconstruction_level, one.original_level) for one in heard if one.reconstruction_level]
    return [*reconstructed, *((level, loudest) for level in preview.sample_levels)]


def _is_dead(epoch: EpochDone) -> bool:
    active, dimensions = epoch.active_dimensions, epoch.latent_dimensions
    return active is not None and bool(dimensions) and active < DEAD_SHARE * (dimensions or 0)


class _GpuFeed:
    """Whether GPUs are fed: how busy they were, and how long steps waited, since this was last asked of enough."""

    def __init__(self) -> None:
        self._loads: list[float] = []
        self._waits: list[float] = []

    def forget(self) -> None:
        """Begin anew: what the machine did until now was no training."""
        self._loads, self._waits = [], []

    def sample(self, sample: SystemSample) -> None:
        """Take in how busy the GPUs are."""
        loads = [gpu.load for gpu in sample.gpus if gpu.load is not None]
        if loads:
            self._loads.append(fmean(loads))

    def fed(self, epoch: EpochDone) -> Iterator[WarningRaised]:
        """Take in an epoch; yield the warning that GPUs starve, where there is enough to tell it by and they do."""
        if epoch.waiting is not None:
            self._waits.append(epoch.waiting)
        if len(self._loads) < SAMPLES or not self._waits:
            return
        load, waiting = fmean(self._loads), fmean(self._waits)
        self.forget()
        if load < STARVED_LOAD and waiting > STARVED_WAITING:
            yield WarningRaised(
                kind="gpu-starved",
                message="the GPU waits for its pieces",
                evidence=f"it is busy for {load:.0f} % of the time, and steps wait for {100 * waiting:.0f} % of theirs",
                suggestion="a cache on a faster disk (DISTILL_HOME) or fewer other programs on the processor help",
            )
