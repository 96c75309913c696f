"""Latent axes: directions in a model's latent space along which its corpus spreads, and what each does to the sound.

The decision: principal axes are what one begins with, but they mix what a person hears apart. So sounds are drawn from
the corpus's own Gaussian, moved along each axis, synthesised and measured; a measure's direction is the one in which it
rises most surely, in every sound and not on average. Directions so found, uncorrelated with one another, are swept and
heard again, and one is named after its measure only where nearly every seed's sweep obeys it. What is left of the
spread becomes principal axes with numbers for names.

What was tried, on models of 24 recordings: of the first 16 principal axes the best follows loudness with a rank
correlation of 0.74, brightness 0.55, roughness 0.40, noisiness 0.36. Directions regressed on 256 drawn sounds rose at
every place of their range in 100, 88, 63 and 92 % of 24 fresh seeds, or weren't found at all in models that had trained
longer. Made uncorrelated all at once (Lowdin 1950), roughness and roll-off came and went from model to model; one after
the other, two models of eight and thirteen minutes on a core both have brightness, loudness, noisiness and roll-off.
Movement (Peeters's spectral variation) was swept and never named. Had frames counted by their magnitude, it would have
been fewer: the loudest of four pieces speaks for all, and where it can go no further the others don't matter.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from distill_engine.audio.descriptors import MEASURES, describe
from distill_engine.audio.spectrogram import synthesise
from distill_engine.errors import ModelFileError, StopRequestedError
from distill_engine.models.latent_spread import (
    Spread,
    normal_scores,
    rank_correlation,
    spread_of,
    surest_direction,
)
from distill_engine.models.model_info import LatentAxis
from distill_engine.models.persistence import LoadedModel
from distill_engine.side_by_side import one_thread_each
from distill_engine.words import shown

MOST_AXES = 16
"""Axes kept: they hold 85 % of the spread of a corpus of 24 recordings, and take a kilobyte each in the file."""

HONEST_SHARE = 0.85
"""An axis is named after a measure where, in at least this share of seeds, every step of its sweep raises it."""

SEEDS = 16
"""Sounds that are moved a step up and down along every principal axis, to learn which way a measure rises in all."""

_LEAST_TOLD = 0.7
"""How surely a measure must rise in seeds left out, in their deviations, to be swept; noise comes to 0."""

_MOST_SWEPT = 6
_POSITIONS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
"""The slider values that are swept: none is allowed beyond them."""

_ENDS = (1.0, 2.0, 3.0)
"""Where a slider's range may end, up and, negative, down."""

_SWEPT_SEEDS, _CHECKED_POSITIONS = 12, 5
_MOST_CONFIRMED = 4
_SWEPT_AT_MOST = len(_POSITIONS) + _MOST_CONFIRMED * _CHECKED_POSITIONS
_PIECES_A_SOUND = 4
"""A seed's sound goes through so many drawn latents, as a generated one does in four seconds."""

_DRAWN_TO_SEE, _MOST_UNLIKE = 128, 0.9
"""The quantile of how far off the encoder finds drawn sounds; half of a slider's sounds must be found nearer."""

_LEVEL_MARGIN_DB = 6.0
"""How far beyond the corpus's softest and loudest pieces a slider may lead."""

_ENOUGH_NAMED = 4
"""Fewer are worth as much listening again."""

_SEED_OF_DRAWS, _SEED_OF_SWEEPS, _SEED_OF_CHECKS = 1, 2, 3
_SEED_OF_PULLS, _SEED_OF_FRESH, _SEED_OF_MORE_PULLS = 4, 5, 6
_BATCH = 64

OnProgress = Callable[[int, int, str], None]
"""Told how much is done, of how much, and what comes next."""

ShouldStop = Callable[[], bool]


@dataclass(frozen=True, kw_only=True)
class LatentMap:
    """What an analysis finds: the corpus's Gaussian in latent space, as `ModelInfo` keeps it."""

    mean: tuple[float, ...]
    rest: float
    axes: tuple[LatentAxis, ...]


@dataclass(frozen=True, kw_only=True)
class AxisCheck:
    """How well an axis does what its name says, for seeds that had no part in naming it."""

    name: str
    monotone: float
    """The share of seeds in which every step of a sweep over the safe range raises the measure."""

    correlation: float
    """Spearman's correlation of slider and measure, the mean over the seeds."""


def analyse_model(
    loaded: LoadedModel,
    pieces: Iterable[Tensor],
    *,
    seeds: int = SEEDS,
    on_progress: OnProgress = lambda _done, _total, _next: None,
    should_stop: ShouldStop = lambda: False,
) -> LatentMap:
    """Find the axes of a model from normalised `pieces` [B, 2, n_mels, time_frames] of what it was trained on.

    At most `MOST_AXES`, and no more than the pieces show: of one piece, none. The named ones come first, the rest
    widest first; the same ones for the same model and pieces. Raises StopRequestedError after a yes of `should_stop`,
    asked before each sound.
    """
    count = _Count(on_progress, should_stop)
    ear = _Ear(loaded, count)
    latents, levels = ear.encoded(pieces)
    spread = spread_of(latents, MOST_AXES)
    if not len(spread.steps):
        return LatentMap(mean=_rounded(spread.mean), rest=_shortened(spread.rest), axes=())
    count.expect_more(_listening(spread, seeds))
    safety = _Safety.of(ear, spread, levels)
    named = _named(ear, spread, safety, seeds)
    steps = spread.turned(
        torch.stack([one.towards for one in named]) if named else spread.steps.new_zeros(0, len(spread.steps))
    )
    axes = [_axis(one.name, step, one.reach, one.correlation) for one, step in zip(named, steps, strict=False)]
    for step in steps[len(named) :]:
        axes.append(_axis(f"axis {len(axes) + 1}", step, safety.reach(ear, spread, step)))
    return LatentMap(mean=_rounded(spread.mean), rest=_shortened(spread.rest), axes=tuple(axes))


def check_axes(loaded: LoadedModel, *, seeds: int = 20, should_stop: ShouldStop = lambda: False) -> list[AxisCheck]:
    """Sweep the named axes of an analysed model anew, from fresh seeds, and listen whether they do what they say."""
    info = loaded.info
    if not info.latent_axes:
        return []
    ear = _Ear(loaded, _Count(lambda _done, _total, _next: None, should_stop))
    directions = torch.tensor([axis.direction for axis in info.latent_axes], dtype=torch.float64)
    deviations = torch.tensor([axis.deviation for axis in info.latent_axes], dtype=torch.float64)
    mean = torch.tensor(info.latent_mean, dtype=torch.float64)
    spread = Spread(mean=mean, steps=directions * deviations[:, None], rest=info.latent_rest)
    start = _starts(spread, seeds, _SEED_OF_CHECKS)
    checks = []
    for axis, step in zip(info.latent_axes, spread.steps, strict=True):
        if axis.name in MEASURES:
            positions = torch.linspace(axis.low, axis.high, _CHECKED_POSITIONS).tolist()
            heard = ear.swept(start, step, positions)[..., MEASURES.index(axis.name)]
            follows = _follows(positions, heard)
            checks.append(AxisCheck(name=axis.name, monotone=_monotone(heard), correlation=follows))
    return checks


class _Count:
    """Tells how far an analysis is, and ends it where that is asked for."""

    def __init__(self, on_progress: OnProgress, should_stop: ShouldStop) -> None:
        self._on_progress = on_progress
        self._should_stop = should_stop
        self._done = 0
        self._total = 0

    def expect_more(self, sounds: int) -> None:
        """Take in how many more sounds there will be at most."""
        self._total = self._done + sounds

    def heed(self) -> None:
        """Raise StopRequestedError where the analysis is to end."""
        if self._should_stop():
            raise StopRequestedError

    def one(self, what: str) -> None:
        """Tell that another sound was heard."""
        self.heed()
        self._done += 1
        self._on_progress(self._done, self._total, what)


class _Ear:
    """A model's encoder and decoder, and its sound."""

    def __init__(self, loaded: LoadedModel, count: _Count) -> None:
        self._loaded = loaded
        self.count = count

    @torch.inference_mode()
    def encoded(self, pieces: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the latents [n, latent_dim] of normalised pieces, and their levels in dB [n].

        Raises:
            ModelFileError: the model takes pieces to where no finite number is.
        """
        latents, levels = [], []
        for batch in pieces:
            self.count.heed()
            latents.append(self._loaded.model.encode(batch)[0])
            if not latents[-1].isfinite().all():
                raise ModelFileError(f"the model {shown(self._loaded.info.name)} makes numbers that aren't finite")
            levels.append(_levels(self._loaded.normalisation.denormalise(batch)))
        return torch.cat(latents), torch.cat(levels)

    @torch.inference_mode()
    def looked_at(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Decode `latents` [n, latent_dim]; return where the encoder finds what came out, and its levels in dB [n]."""
        return self.encoded(self._loaded.model.decode(batch) for batch in latents.float().split(_BATCH))

    def heard(self, latents: Tensor, what: str) -> Tensor:
        """Return the measures [n, len(MEASURES)] of sounds: latents [n, pieces, latent_dim], piece after piece."""
        measures = []
        with one_thread_each() as pool:  # one sound has little that two threads could share
            for heard in pool.map(self._measures, latents.float()):
                self.count.one(what)
                measures.append(heard)
        return torch.tensor(measures, dtype=torch.float64)

    def swept(self, start: Tensor, step: Tensor, positions: Sequence[float], what: str = "") -> Tensor:
        """Return the measures [seeds, positions, len(MEASURES)] of sounds that a slider moves from `start`."""
        moved = [self.heard(start + position * step, what) for position in positions]
        return torch.stack(moved, dim=1)

    @torch.inference_mode()
    def _measures(self, sound: Tensor) -> tuple[float, ...]:
        config, raw = self._loaded.spectrogram, self._loaded.normalisation.denormalise(self._loaded.model.decode(sound))
        joined = torch.cat(list(raw), dim=-1)
        samples = (joined.shape[-1] - 1) * config.hop_length
        return describe(synthesise(joined, config, samples), config.sample_rate).values()


@dataclass(frozen=True, kw_only=True)
class _Safety:
    """What sounds are like that the model knows: near to where the encoder finds them, about as loud as the corpus."""

    start: Tensor
    """[seeds, pieces, latent_dim]: where sliders are moved from."""

    fresh: Tensor
    """As many others, to confirm what was found by the first."""

    farthest: float
    softest: float
    loudest: float

    @classmethod
    def of(cls, ear: _Ear, spread: Spread, levels: Tensor) -> _Safety:
        """Measure it, from sounds drawn as generating draws them and the `levels` [n] of the corpus's pieces."""
        _, drawn = spread.draw(_DRAWN_TO_SEE, _SEED_OF_DRAWS)
        found, _ = ear.looked_at(drawn)
        return cls(
            start=_starts(spread, _SWEPT_SEEDS, _SEED_OF_SWEEPS),
            fresh=_starts(spread, _SWEPT_SEEDS, _SEED_OF_FRESH),
            farthest=float(spread.distance(found, drawn).quantile(_MOST_UNLIKE)),
            softest=float(levels.min()) - _LEVEL_MARGIN_DB,
            loudest=float(levels.max()) + _LEVEL_MARGIN_DB,
        )

    def reach(self, ear: _Ear, spread: Spread, step: Tensor) -> tuple[float, float]:
        """Return how far down and up a slider along `step` [latent_dim] may go before half of its sounds leave this."""
        down = itertools.takewhile(lambda end: self._holds(ear, spread, -end * step), _ENDS)
        up = itertools.takewhile(lambda end: self._holds(ear, spread, end * step), _ENDS)
        return 0.0 - max(down, default=0.0), max(up, default=0.0)

    def _holds(self, ear: _Ear, spread: Spread, move: Tensor) -> bool:
        there = self.start[:, 0] + move
        found, levels = ear.looked_at(there)
        near = float(spread.distance(found, there).median()) <= self.farthest
        return near and self.softest <= float(levels.median()) <= self.loudest


@dataclass(frozen=True, kw_only=True)
class _Named:
    """A direction [k] in the space of the steps' weights that does what its name says, in the range `reach`."""

    name: str
    towards: Tensor
    reach: tuple[float, float]
    correlation: float


def _named(ear: _Ear, spread: Spread, safety: _Safety, seeds: int) -> list[_Named]:
    """Return the directions that are worth a name, those that their measure follows best first.

    Measures are tried in turn, the surest first, each in what the directions named before leave free: so every one is
    the best that is uncorrelated with those, and none is bent for the sake of a later one. Where few come of it, as
    many sounds again are listened to, and directions found from all of them.
    """
    rises = _rises(ear, spread, seeds, _SEED_OF_PULLS)
    named = _named_by(rises, ear, spread, safety)
    if len(named) < _ENOUGH_NAMED:
        ear.count.expect_more(_listening(spread, seeds))
        rises = torch.cat((rises, _rises(ear, spread, seeds, _SEED_OF_MORE_PULLS)), dim=1)
        named = max(_named_by(rises, ear, spread, safety), named, key=len)
    return sorted(named, key=lambda one: -one.correlation)


def _named_by(rises: Tensor, ear: _Ear, spread: Spread, safety: _Safety) -> list[_Named]:
    """Return the directions that are found from `rises` [len(MEASURES), seeds, k] and hold what they promise."""
    named: list[_Named] = []
    free = torch.eye(len(spread.steps), dtype=torch.float64)
    swept = 0
    for place in _surest_first(rises):
        risen = rises[place] @ free.T
        if swept == _MOST_SWEPT or not len(free) or _told(risen) < _LEAST_TOLD:
            continue
        swept += 1
        named += _kept(ear, safety, spread, place, surest_direction(risen) @ free)
        free = _complement(torch.stack([one.towards for one in named])) if named else free
    return named


def _listening(spread: Spread, seeds: int) -> int:
    """Return how many sounds are heard at most to find directions and to sweep them."""
    return 2 * seeds * len(spread.steps) + _MOST_SWEPT * _SWEPT_SEEDS * _SWEPT_AT_MOST


def _surest_first(rises: Tensor) -> list[int]:
    """Return the places of measures, those first of which [len(MEASURES), seeds, k] tells most; equals as they stand.

    Nobody should meet a slider for roll-off in place of one for brightness.
    """
    told = [_told(measure) for measure in rises]
    return sorted(range(len(told)), key=lambda place: -round(told[place]))


def _complement(towards: Tensor) -> Tensor:
    """Return orthonormal directions [k - m, k] that have nothing of orthonormal `towards` [m, k]."""
    rest: Tensor = torch.linalg.svd(towards, full_matrices=True).Vh[len(towards) :]
    return rest


def _rises(ear: _Ear, spread: Spread, seeds: int, seed: int) -> Tensor:
    """Return by how much each measure rises in each seed's sound along each step: [len(MEASURES), seeds, k].

    The same sound is heard a deviation up and one down. So what sounds have apart from one another, far more than what
    a step changes in any of them, isn't in it. Where a measure has no value, nothing rises.
    """
    start, count = _starts(spread, seeds, seed), len(spread.steps)
    moved = start[:, None, None] + torch.stack([spread.steps, -spread.steps], dim=1)[None, :, :, None]
    heard = ear.heard(moved.flatten(0, 2), "listening").view(seeds * count * 2, -1)
    scores = torch.stack([normal_scores(values) for values in heard.T]).view(-1, seeds, count, 2)
    return ((scores[..., 0] - scores[..., 1]) / 2).nan_to_num()


def _told(rises: Tensor) -> float:
    """Return how surely a measure rises along the direction found from half of the seeds, in the other half.

    `rises` are [seeds, k]; it is the mean rise over its deviation among seeds, the mean of both ways round.
    """
    half = len(rises) // 2
    if half < 2:
        return 0.0
    halves = rises[:half], rises[half:]
    sure = []
    for fit, left in (halves, halves[::-1]):
        risen = left @ surest_direction(fit)
        sure.append(float(risen.mean() / risen.std().clamp(min=1e-6)))
    return sum(sure) / 2


def _kept(ear: _Ear, safety: _Safety, spread: Spread, place: int, towards: Tensor) -> list[_Named]:
    """Sweep a direction; return it with the widest range in which it does what its measure's name says, if any.

    The widest of several is the luckiest too: so it is confirmed with sounds that had no part in choosing it.
    """
    step, name = towards @ spread.steps, MEASURES[place]
    low, high = safety.reach(ear, spread, step)
    positions = [position for position in _POSITIONS if low <= position <= high]
    heard = ear.swept(safety.start, step, positions, f"sweeping {name}")[..., place]
    for reach in _ranges(positions, heard)[:_MOST_CONFIRMED]:
        again = torch.linspace(*reach, _CHECKED_POSITIONS).tolist()
        heard = ear.swept(safety.fresh, step, again, f"sweeping {name}")[..., place]
        if _monotone(heard) >= HONEST_SHARE:
            return [_Named(name=name, towards=towards, reach=reach, correlation=_follows(again, heard))]
    return []


def _ranges(positions: Sequence[float], heard: Tensor) -> list[tuple[float, float]]:
    """Return the ranges, 0 within, over which nearly all seeds' sweeps [seeds, positions] rise at every step.

    The widest is the first; of ranges as wide as one another it is the one that holds for the most.
    """
    found = {}
    for down, up in itertools.product(_ENDS, _ENDS):
        if -down in positions and up in positions:
            rising = _monotone(heard[:, positions.index(-down) : positions.index(up) + 1])
            if rising >= HONEST_SHARE:
                found[-down, up] = (down + up, rising)
    return sorted(found, key=lambda reach: found[reach], reverse=True)


def _starts(spread: Spread, seeds: int, seed: int) -> Tensor:
    """Return the latents [seeds, pieces, latent_dim] of so many sounds."""
    _, latents = spread.draw(seeds * _PIECES_A_SOUND, seed)
    return latents.view(seeds, _PIECES_A_SOUND, -1)


def _levels(raw: Tensor) -> Tensor:
    """Mean power of raw spectrograms [n, 2, n_mels, t] in dB of a full-scale sine's [n]; mel bands lose no power."""
    power = (2 * raw[:, 0].double()).exp().sum(1).mean(1)
    decibels: Tensor = 10 * power.clamp(min=1e-20).log10()
    return decibels


def _monotone(heard: Tensor) -> float:
    """The share of seeds in whose sweep [seeds, positions] each value is above the one before; nan is above nothing."""
    return float((heard[:, 1:] > heard[:, :-1]).all(1).double().mean())


def _follows(positions: Sequence[float], heard: Tensor) -> float:
    """Spearman's correlation of slider and measure [seeds, positions], the mean over seeds in which it has a value."""
    values = torch.tensor(positions, dtype=torch.float64)
    complete = heard[heard.isfinite().all(1)]
    return sum(rank_correlation(values, row) for row in complete) / max(1, len(complete))


def _axis(name: str, step: Tensor, reach: tuple[float, float], correlation: float = 0.0) -> LatentAxis:
    deviation = float(torch.linalg.vector_norm(step))
    return LatentAxis(
        name=name,
        direction=_rounded(step / deviation),
        deviation=_shortened(deviation),
        low=reach[0],
        high=reach[1],
        correlation=round(correlation, 3),
    )


def _rounded(values: Tensor) -> tuple[float, ...]:
    """Return numbers to four decimals: a ten-thousandth of a deviation is heard by no one, and headers stay small."""
    return tuple(round(value, 4) for value in values.tolist())


def _shortened(value: float) -> float:
    return float(f"{value:.5g}")
