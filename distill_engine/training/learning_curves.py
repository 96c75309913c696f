"""A run's learning curves: where they are heading, how sure that is, and which verdict they speak for.

Losses are looked at by their logarithms along the logarithm of the epoch, for learning curves fall as powers of time
(Hestness et al. 2017, arXiv 1712.00409): all that is said is then relative, and windows are shares of the run. How sure
one can be is taken from the curve's own noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from distill_engine.events import EpochDone

Kind = Literal["early", "learning", "flat", "overfitting", "collapsing", "diverging"]
Numbers = npt.NDArray[np.float64]

TRAINING = "the training loss"

LEAST_EPOCHS = 8
"""So many are needed before anything but a divergence is told."""

LEAST_FOR_FLAT = 20
"""So many before a curve may be called flat: until then a slow start looks like an end."""

WORTH = 0.02
"""Less than this share of the loss, for half as long again, isn't worth the time."""

OVERFIT_RISE = 0.03
DIVERGING_RISE = 0.15
"""By which share of its best a loss must have risen at least."""

SKIPPED = 0.1
"""From this share of steps left out on, an epoch counts as one that diverges."""

COLLAPSED_DIMENSIONS = 0.05
COLLAPSED_SPREAD = 0.1
"""Below these, of the latent's dimensions and of the recordings' own spread, little of the sound gets through."""

_SURE = 3.0
"""Standard errors from which on a trend is taken to be one."""

_MOST_CORRELATED = 0.9
_CLIPPED = 2.5
_TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class Trend:
    """Where a curve is heading, by a straight line through logarithms.

    `gain` is the share of the loss that half as long again would take off, if it goes on like that; less than 0 where
    it rises. `error` is its standard error, `noise` the share by which epochs lie off the line, and `inflation` by how
    much neighbours that are alike make a mean less sure than as many independent ones would.
    """

    gain: float
    error: float
    noise: float
    inflation: float
    per_ten: float
    """The share that ten more epochs would take off."""

    @property
    def falls(self) -> bool:
        """Whether the curve falls beyond doubt."""
        return self.gain > _SURE * self.error

    @property
    def rises(self) -> bool:
        """Whether the curve rises beyond doubt."""
        return -self.gain > _SURE * self.error

    @property
    def at_most(self) -> float:
        """The greatest gain that is still likely: that a curve rises makes it no surer that it rests."""
        return max(0.0, self.gain) + 2 * self.error


NO_TREND = Trend(gain=0.0, error=math.inf, noise=math.inf, inflation=1.0, per_ten=0.0)


def trend(log_losses: Numbers, epochs: Numbers) -> Trend:
    """Return the trend of logarithms of losses over their epochs.

    Least squares over the logarithm of the epoch, with residuals clipped so that one odd epoch counts little. The
    error allows for neighbours that are alike (first-order autocorrelation), which a curve that bends also looks like.
    """
    if len(log_losses) < 4:
        return NO_TREND
    x = np.log(epochs)
    x = x - x.mean()
    square = float((x * x).sum())
    y = log_losses
    for _ in range(3):
        slope = float((x * y).sum()) / square
        line = y.mean() + slope * x
        off = log_losses - line
        limit = _CLIPPED * max(_TINY, 1.4826 * float(np.median(np.abs(off))))
        y = line + off.clip(-limit, limit)
    off = y - y.mean() - slope * x
    variance = max(_TINY, float((off * off).sum()) / (len(y) - 2))
    alike = min(_MOST_CORRELATED, max(0.0, float((off[1:] * off[:-1]).sum()) / max(_TINY, float((off * off).sum()))))
    error = math.sqrt(variance / square * (1 + alike) / (1 - alike))
    slope = min(50.0, slope)  # a curve that explodes must not overflow
    more = math.log1p(further(epochs) / epochs[-1])
    return Trend(
        gain=-math.expm1(slope * more),
        error=error * more,
        noise=math.sqrt(variance),
        inflation=math.sqrt((1 + alike) / (1 - alike)),
        per_ten=-math.expm1(slope * math.log1p(10 / epochs[-1])),
    )


def further(epochs: Numbers) -> float:
    """Return for how many epochs more a trend's gain is told: half as many as are done, ten at least."""
    return max(10.0, float(epochs[-1]) / 2)


@dataclass(frozen=True, kw_only=True)
class Rise:
    """How far validation lies above its lowest level: `rise` as a logarithm with its standard error, `place` where.

    Levels are means over a sixth of the run, of six epochs at least, so that one lucky epoch is no level.
    """

    rise: float
    error: float
    place: int
    trend: Trend
    """Since the lowest level."""


class Curves:
    """A run's epochs as curves, and the kind of verdict they speak for."""

    def __init__(self, epochs: Sequence[EpochDone]) -> None:
        self.epochs = epochs
        self.count = len(epochs)

    @cached_property
    def number(self) -> Numbers:
        """The numbers of the epochs."""
        return np.array([one.epoch for one in self.epochs], dtype=np.float64)

    @cached_property
    def train(self) -> Numbers:
        """Logarithms of the training losses, NaN where one wasn't finite."""
        return _logs([one.train_loss for one in self.epochs])

    @cached_property
    def train_magnitude(self) -> Numbers:
        """The same of their greatest part, which no weight that climbs has a share in."""
        return _logs([one.train_magnitude for one in self.epochs])

    @cached_property
    def validation(self) -> Numbers:
        """The same of the validation losses; empty where nothing validates."""
        told = [one.validation_loss for one in self.epochs]
        return _logs(told) if any(loss is not None for loss in told) else np.zeros(0)

    @property
    def has_validation(self) -> bool:
        """Whether there is any."""
        return len(self.validation) > 0

    @property
    def judged(self) -> Numbers:
        """The curve by which the best epoch is chosen."""
        return self.validation if self.has_validation else self.train

    @property
    def name(self) -> str:
        """What that curve is called."""
        return "validation" if self.has_validation else TRAINING

    @property
    def best(self) -> EpochDone:
        """The best epoch: the one whose weights are kept."""
        return self.epochs[int(np.nanargmin(self.judged))]

    def over(self, curve: Numbers, share: float) -> Trend:
        """Return the trend of a curve over the last share of the run, of eight epochs at least."""
        window = max(LEAST_EPOCHS, math.ceil(share * self.count))
        logs, epochs = curve[-window:], self.number[-window:]
        told = np.isfinite(logs)
        return trend(logs[told], epochs[told])

    @cached_property
    def recent(self) -> Trend:
        """The trend of the judged curve over the last third, which soonest shows a change."""
        return self.over(self.judged, 1 / 3)

    @cached_property
    def half(self) -> Trend:
        """Its trend over the last half: by half as unsure as over the last third."""
        return self.over(self.judged, 1 / 2)

    @cached_property
    def long(self) -> Trend:
        """Its trend over the last two thirds, which noise disturbs least."""
        return self.over(self.judged, 2 / 3)

    @cached_property
    def training(self) -> Trend:
        """The trend of the training loss over the last third."""
        return self.over(self.train, 1 / 3)

    @cached_property
    def rate_falls(self) -> bool:
        """Whether the learning rate is on its way down: a curve that rests then often falls again."""
        rates = [one.learning_rate for one in self.epochs]
        if len(rates) < 2 or rates[-1] is None or rates[-2] is None:
            return False
        return 0.1 * max(rate for rate in rates if rate is not None) < rates[-1] < rates[-2]

    # Kinds.

    def kind(self, before: Kind | None) -> Kind:
        """Return what the curves speak for; "early" where nothing can be told.

        What held `before` holds on over a wider range than the one in which it begins.
        """
        if self.is_broken or self._diverges:
            return "diverging"
        if int(np.isfinite(self.judged).sum()) < LEAST_EPOCHS:
            return "early"
        speaks: tuple[tuple[Kind, Callable[[], bool]], ...] = (
            ("collapsing", lambda: self._is_collapsed(before == "collapsing")),
            ("overfitting", lambda: self._overfits(before == "overfitting")),
            ("learning", lambda: self._falls(before == "learning")),
            ("flat", lambda: self._is_flat),
            ("learning", lambda: before != "flat" and self._falls_in_doubt),
        )
        return next((kind for kind, is_so in speaks if is_so()), "early")

    @cached_property
    def is_broken(self) -> bool:
        """Whether an epoch of the last three had losses that weren't finite, or two in a row left steps out."""
        recent = self.judged[-3:], self.train[-3:]
        return bool(any(np.isnan(curve).any() for curve in recent) or all(self._leaves_out(n) for n in (-1, -2)))

    def _leaves_out(self, place: int) -> bool:
        if self.count < 2 or (skipped := self.epochs[place].skipped_steps) is None:
            return False
        before = self.epochs[place - 1].step if self.count >= 1 - place else 0
        return skipped >= SKIPPED * max(1, self.epochs[place].step - before)

    @cached_property
    def risen(self) -> float:
        """By how much the training loss rose from its best, as a logarithm, by medians of three epochs; 0 at least."""
        return max(0.0, min(_rise(self.train), _rise(self.train_magnitude)))

    @cached_property
    def _diverges(self) -> bool:
        if self.count < 5:
            return False
        still = _medians(self.train)[-2:]
        noise = _scatter(self.train)
        return self.risen > max(math.log1p(DIVERGING_RISE), 6 * noise) and bool(still[1] >= still[0] - noise)

    def _is_collapsed(self, was: bool) -> bool:
        easier = 1.5 if was else 1.0
        last = self.epochs[-1]
        if self.active_share < easier * COLLAPSED_DIMENSIONS:
            return True
        if last.output_spread is None or last.output_spread >= easier * COLLAPSED_SPREAD:
            return False
        # At the beginning all that comes out is alike: it must have been otherwise, or nothing be learnt any more.
        widest = max(one.output_spread or 0.0 for one in self.epochs)
        return widest > 2 * last.output_spread or self.training.at_most < WORTH

    @property
    def active_share(self) -> float:
        """The share of the latent's dimensions that were active last; 1 where it wasn't measured."""
        last = self.epochs[-1]
        if last.active_dimensions is None or not last.latent_dimensions:
            return 1.0
        return last.active_dimensions / last.latent_dimensions

    @cached_property
    def rise(self) -> Rise:
        """How far validation lies above its lowest level."""
        window = max(6, self.count // 6)
        told = np.flatnonzero(np.isfinite(self.validation))
        if len(told) < 3 * window:
            return Rise(rise=0.0, error=math.inf, place=0, trend=NO_TREND)
        logs = self.validation[told]
        means = np.convolve(logs, np.ones(window) / window, "valid")
        lowest = int(means[: len(logs) - 2 * window + 1].argmin())
        since = trend(logs[lowest:], self.number[told[lowest:]])
        return Rise(
            rise=float(means[-1] - means[lowest]),
            error=since.noise * math.sqrt(2 / window) * since.inflation,
            place=int(told[lowest + window // 2]),
            trend=since,
        )

    def _overfits(self, was: bool) -> bool:
        rise = self.rise
        if rise.rise <= (0.5 if was else 1.0) * max(math.log1p(OVERFIT_RISE), 5 * rise.error):
            return False
        if self.count - rise.place < max(10, self.count // 6) or self.recent.falls:
            return False
        return (was or rise.trend.rises) and self._training_fell_since(rise.place)

    def _training_fell_since(self, place: int) -> bool:
        then = self.train[max(0, place - 3) : place + 3]
        return bool(np.nanmean(self.train[-6:]) < np.nanmean(then) - 0.005)

    def _falls(self, was: bool) -> bool:
        """Tell whether the judged curve falls beyond doubt, by enough to be worth the time."""
        worth = (0.5 if was else 1.0) * WORTH
        if self.recent.falls and self.recent.gain > worth:
            return True
        return self.half.falls and self.half.gain > worth and self.recent.at_most > WORTH and not self.recent.rises

    @cached_property
    def _falls_in_doubt(self) -> bool:
        """Whether training falls where validation, of few recordings, is too noisy to show whether it does."""
        doubt = self.has_validation and self.recent.at_most > WORTH and not self.recent.rises
        return doubt and self.training.falls and self.training.gain > WORTH

    @cached_property
    def _is_flat(self) -> bool:
        if self.count < LEAST_FOR_FLAT or (self.rate_falls and self.training.falls and self.training.gain > WORTH):
            return False
        if min(self.recent.at_most, self.half.at_most, self.long.at_most) < WORTH:
            return True
        if self.training.at_most < WORTH:
            return self.half.gain < 2 * self.half.error
        # Nothing shows through a lot of noise, over many epochs.
        rests = self.half.gain < self.half.error and self.long.gain < self.long.error
        return rests and self.count >= 5 * LEAST_EPOCHS


def _logs(losses: Sequence[float | None]) -> Numbers:
    numbers = np.array([math.nan if loss is None else loss for loss in losses], dtype=np.float64)
    numbers[~np.isfinite(numbers)] = np.nan
    return np.log(np.maximum(numbers, _TINY))


def _medians(logs: Numbers) -> Numbers:
    """Return the medians of three neighbours each."""
    return np.median(np.lib.stride_tricks.sliding_window_view(logs, 3), axis=1)


def _rise(logs: Numbers) -> float:
    medians = _medians(logs)
    return float(medians[-1] - np.nanmin(medians))


def _scatter(logs: Numbers) -> float:
    """Return how far an epoch lies off its neighbours, from second differences, which a slope leaves at zero."""
    return 1.4826 * float(np.nanmedian(np.abs(np.diff(logs, 2)))) / math.sqrt(6)
