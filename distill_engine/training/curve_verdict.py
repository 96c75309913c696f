"""Has it trained enough? What a run's learning curves come to: a word, a sentence, its evidence and what to do.

Epochs in, a verdict out, without clock, file or weights: the same epochs always come to the same verdict, so that a
resumed run which reads its own log goes on where it was, and no verdict ever has a part in training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from distill_engine.events import EpochDone
from distill_engine.run_words import latent_in_words
from distill_engine.training.learning_curves import (
    COLLAPSED_SPREAD,
    LEAST_EPOCHS,
    LEAST_FOR_FLAT,
    TRAINING,
    WORTH,
    Curves,
    Kind,
    Numbers,
)
from distill_engine.words import counted


@dataclass(frozen=True, kw_only=True)
class CurveVerdict:
    """What the curves up to `epoch` come to. The texts begin small and end without a full stop, as a warning's do."""

    kind: Kind
    epoch: int
    step: int
    words: str
    """One sentence."""

    evidence: str
    """The numbers behind it."""

    suggestion: str


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a run stands: the kind that holds, and the one that the last `count` epochs spoke for instead."""

    kind: Kind | None = None
    instead: Kind | None = None
    count: int = 0


def after_epoch(standing: Standing, epochs: Sequence[EpochDone]) -> Standing:
    """Return where a run stands after the last of its epochs: another kind holds once several in a row spoke for it.

    What can't be told leaves things as they are.
    """
    curves = Curves(epochs)
    kind = curves.kind(standing.kind)
    if kind == standing.kind or (kind == "early" and standing.kind is not None):
        return Standing(kind=standing.kind)
    count = standing.count + 1 if kind == standing.instead else 1
    if standing.kind is None or curves.is_broken or count >= _patience(kind, len(epochs)):
        return Standing(kind=kind)
    return Standing(kind=standing.kind, instead=kind, count=count)


def verdict_of(kind: Kind, epochs: Sequence[EpochDone]) -> CurveVerdict:
    """Return the verdict of this kind in words, as the epochs bear it out."""
    words, evidence, suggestion = _TOLD[kind](Curves(epochs))
    last = epochs[-1]
    return CurveVerdict(
        kind=kind, epoch=last.epoch, step=last.step, words=words, evidence=evidence, suggestion=suggestion
    )


def standing_after(epochs: Sequence[EpochDone]) -> Standing:
    """Return where a run stands after all of these epochs."""
    standing = Standing()
    for count in range(1, len(epochs) + 1):
        standing = after_epoch(standing, epochs[:count])
    return standing


def is_due_anew(standing: Standing, epochs: Sequence[EpochDone]) -> bool:
    """Tell whether a verdict that still holds is to be told with new numbers: each time a run is half as long again."""
    if standing.kind in (None, "early") or len(epochs) <= LEAST_EPOCHS:
        return False
    return int(math.log(len(epochs), 1.5)) > int(math.log(len(epochs) - 1, 1.5))


def _patience(kind: Kind, epochs: int) -> int:
    """Return how many epochs in a row must speak for a kind: a fortieth of a long run's."""
    return max(2 if kind in ("learning", "diverging") else 3, epochs // 40)


def _early(curves: Curves) -> tuple[str, str, str]:
    if curves.count < LEAST_EPOCHS:
        evidence = f"{curves.count} of the {LEAST_EPOCHS} epochs that a verdict needs are done"
    else:
        evidence = f"{curves.name} scatters by {_percent(curves.half.noise)} from epoch to epoch"
    return "it is too early to tell", evidence, ""


def _learning(curves: Curves) -> tuple[str, str, str]:
    trend = next((one for one in (curves.recent, curves.half) if one.falls), None)
    name = curves.name
    if trend is None:
        name, trend = TRAINING, curves.training
    words = f"it is still learning: {name} falls by {_percent(trend.per_ten)} every ten epochs"
    if name != curves.name:
        words += f"; {curves.name} is too noisy to show as much"
    elif curves.count >= LEAST_FOR_FLAT:
        words += f"; half as long again would bring about {_percent(trend.gain)}"
    return words, _since_a_third(curves), "more epochs help"


def _flat(curves: Curves) -> tuple[str, str, str]:
    most = min(curves.recent.at_most, curves.half.at_most, curves.long.at_most)
    seen = (
        f"half as long again would bring less than {_percent(max(0.01, most))}"
        if most < WORTH
        else f"no gain shows through its noise of {_percent(curves.half.noise)}"
    )
    words = f"it no longer improves: {curves.name} was best in epoch {curves.best.epoch:,}, and {seen}"
    if curves.has_validation and curves.training.falls:
        helps = "more epochs help only what it knows already; more recordings or stronger augmentation help the rest"
    else:
        helps = "more epochs won't help; more recordings, or a lower learning_rate, may"
    return words, _since_a_third(curves), f"{helps}; the best is kept"


def _overfitting(curves: Curves) -> tuple[str, str, str]:
    since, rise = curves.epochs[curves.rise.place], curves.rise
    words = (
        f"it overfits: validation has risen by {_percent(math.expm1(rise.rise))} since about epoch {since.epoch:,} "
        f"while training went on falling; the best, of epoch {curves.best.epoch:,}, is kept"
    )
    before = slice(max(0, rise.place - 3), rise.place + 3)
    evidence = (
        f"validation went from {_level(curves.validation[before])} to {_level(curves.validation[-6:])}, "
        f"scattering by {_percent(rise.trend.noise)}; "
        f"{TRAINING} from {_level(curves.train[before])} to {_level(curves.train[-6:])}"
    )
    return words, evidence, "stop it; more recordings, stronger augmentation or more dropout would take it further"


def _collapsing(curves: Curves) -> tuple[str, str, str]:
    last = curves.epochs[-1]
    if last.output_spread is not None and last.output_spread < COLLAPSED_SPREAD:
        words = "it collapses: its reconstructions come to be all alike"
    else:
        words = "it collapses: its latent carries next to nothing of the sound"
    evidence = [] if last.active_dimensions is None else [latent_in_words(last)]
    if last.output_spread is not None:
        evidence.append(f"reconstructions differ by {_percent(last.output_spread)} of what the recordings do")
    helps = "a lower loss.kl.weight, a longer loss.kl.ramp_fraction or more loss.kl.free_bits keeps the latent in use"
    return words, "; ".join(evidence), helps


def _diverging(curves: Curves) -> tuple[str, str, str]:
    helps = "lower learning_rate or regularization.gradient_clip"
    if np.isfinite(curves.judged).any():
        helps += f"; the best, of epoch {curves.best.epoch:,}, is kept"
    last = curves.epochs[-1]
    if not curves.is_broken:
        lowest = curves.epochs[int(np.nanargmin(curves.train))]
        words = (
            f"it diverges: {TRAINING} has risen by {_percent(math.expm1(curves.risen))} since epoch {lowest.epoch:,}"
        )
        return words, f"{TRAINING} went from {_loss(lowest.train_loss)} to {_loss(last.train_loss)}", helps
    if last.skipped_steps and last.train_loss is not None:
        evidence = f"{counted(last.skipped_steps, 'step')} of epoch {last.epoch:,} had to be left out"
    else:
        evidence = f"in epoch {last.epoch:,} {TRAINING} was {_loss(last.train_loss)}"
        evidence += f", validation {_loss(last.validation_loss)}" if curves.has_validation else ""
    return "it diverges: its numbers don't stay finite", evidence, helps


_TOLD: dict[Kind, Callable[[Curves], tuple[str, str, str]]] = {
    "early": _early,
    "learning": _learning,
    "flat": _flat,
    "overfitting": _overfitting,
    "collapsing": _collapsing,
    "diverging": _diverging,
}


def _since_a_third(curves: Curves) -> str:
    """Return where the curves are now, and where they were before the last third of the run."""
    third, few = max(LEAST_EPOCHS, math.ceil(curves.count / 3)), max(2, curves.count // 12)
    then, now = slice(-third, few - third), slice(-few, None)
    told = [f"{curves.name} went from {_level(curves.judged[then])} to {_level(curves.judged[now])}"]
    if curves.has_validation:
        told.append(f"{TRAINING} from {_level(curves.train[then])} to {_level(curves.train[now])}")
    return f"over {third} epochs {', '.join(told)}; {curves.name} scatters by {_percent(curves.recent.noise)}"


def _level(logs: Numbers) -> str:
    return _loss(float(np.exp(np.nanmean(logs))))


def _loss(loss: float | None) -> str:
    return "not finite" if loss is None else f"{loss:.4g}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
