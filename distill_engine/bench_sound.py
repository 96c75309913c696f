"""How good the sound is, measured anew: the representation, a model trained on the spot, its samples, axes and joins.

The recordings one names are parted into those a model learns and those it never hears; a real run trains on the former
for so many minutes, with the usual settings, in a home of its own. All is judged by `audio.distance`, on at most the
first six seconds of each recording, in mono. Times are those of this machine and this run alone.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from distill_engine.audio.distance import SpectralDistance, spectral_distance
from distill_engine.audio.spectrogram import Normalisation, analyse, synthesise
from distill_engine.audio.waveform import SAMPLE_RATE, load_waveform
from distill_engine.datasets import scan
from distill_engine.errors import DatasetError, DistillError, UsageError
from distill_engine.generation import REFINING_STEPS, Wish, generate, latent_of, reconstruct
from distill_engine.join_check import JoinCheck, check_joins
from distill_engine.models.analysis import AxisCheck, check_axes
from distill_engine.models.persistence import LoadedModel, load_model
from distill_engine.training.config import ComplexSpectrogramConfig
from distill_engine.words import counted

SECONDS = 6.0
SINES = (110.0, 440.0, 3000.0)
JOINED_SOUNDS, JOINED_SECONDS, FEWEST_ONSETS = 8, 12.0, 10
"""Sounds for each of the evolutions, and for each of the recordings that they begin from."""

EVOLUTIONS = (0.0, 0.5, 1.0)
LEAST_SHARE = 0.8
"""Of the seeds: an axis counts whose sweep is monotone in so many."""

_CONFIG = ComplexSpectrogramConfig()
_SAMPLES = 64
_BANDS = 32

Say = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class Means:
    """Mean distances of some recordings from what became of them."""

    recordings: int
    lsd: float
    sc: float
    band: float

    @classmethod
    def of(cls, distances: Sequence[SpectralDistance]) -> Means:
        """Return the means of one distance a recording."""
        return cls(
            recordings=len(distances),
            lsd=fmean(one.lsd for one in distances),
            sc=fmean(one.sc for one in distances),
            band=fmean(one.band for one in distances),
        )

    def in_words(self) -> str:
        """Return them in a line."""
        measured = f"LSD {self.lsd:.2f} dB  SC {self.sc:.3f}  band {self.band:.2f} dB"
        return f"{measured}  ({counted(self.recordings, 'recording')})"


@dataclass(frozen=True, kw_only=True)
class SoundResult:
    """What `measure` found."""

    round_trip: Means
    times_real_time: float
    """Seconds of sound sent there and back in a second."""

    wobble_cents: dict[float, float]
    """Standard deviation of a sine's pitch that came back, by its frequency in Hz."""

    minutes: float
    steps: int
    training: Means
    held_out: Means
    frechet: float
    """Between log-mel statistics of the corpus's seconds and of as many drawn from the model."""

    axes: list[AxisCheck]
    joins: JoinCheck

    def _joins_in_words(self) -> str:
        joins = self.joins
        rise = f"the spectrum rises {joins.flux_ratio:.2f} times as much there as elsewhere"
        if joins.onsets < FEWEST_ONSETS:
            return f"{joins.at_joins} of {joins.onsets} onsets at joins, too few to tell; {rise}"
        return (
            f"{joins.at_joins} of {joins.onsets} onsets at joins, which are {joins.share:.0%} of the time: "
            f"{joins.chance:.0%} likely by chance; {rise}"
        )

    def as_data(self) -> dict[str, object]:
        """Return the result for JSON."""
        return dataclasses.asdict(self) | {"joins": dataclasses.asdict(self.joins) | {"chance": self.joins.chance}}

    def in_words(self) -> str:
        """Return the result as a line a figure."""
        wobbles = ", ".join(f"{cents:.3f} at {hertz:,.0f} Hz" for hertz, cents in self.wobble_cents.items())
        honest = sum(one.monotone >= LEAST_SHARE for one in self.axes)
        swept = ", ".join(f"{one.name} {one.monotone:.0%}" for one in self.axes)
        return (
            f"round trip  {self.round_trip.in_words()}, {self.times_real_time:.0f} x real time\n"
            f"sine wobble {wobbles}, in cents\n"
            f"training    {self.training.in_words()}, after {self.minutes:.1f} minutes, {self.steps:,} steps\n"
            f"held out    {self.held_out.in_words()}\n"
            f"samples     Fréchet distance {self.frechet:.1f} from the corpus\n"
            f"axes        {honest} monotone in {LEAST_SHARE:.0%} of the seeds or more: {swept or 'none has a name'}\n"
            f"joins       {self._joins_in_words()}"
        )


def measure(folder: Path, held_out: Sequence[str], minutes: float, say: Say) -> SoundResult:
    """Measure on the recordings of `folder`; those whose name without suffix is in `held_out` are kept from training.

    Where none is named, it is the third by name and every fifth from there. Takes `minutes` and three more on two
    cores; `say` follows.

    Raises:
        UsageError: a name isn't that of a recording, or nothing is left to train on.
        DistillError: the run failed.
    """
    paths = [one.path for one in scan(folder).used if not one.generated]
    unheard = _unheard(paths, held_out)
    say(f"the round trip of {len(paths)} recordings")
    waveforms = {path: load_waveform(path, SECONDS) for path in paths}
    distances, seconds = _round_trips(list(waveforms.values()))
    with tempfile.TemporaryDirectory(prefix="distill-bench-sound-") as scratch:
        heard = [path for path in paths if path not in unheard]
        loaded = _trained(heard, minutes, Path(scratch), say)
        say("reconstructions, samples, axes and joins")
        made = {path: _distance_of_model(loaded, waveform) for path, waveform in waveforms.items()}
        return SoundResult(
            round_trip=Means.of(distances),
            times_real_time=sum(map(len, waveforms.values())) / SAMPLE_RATE / seconds,
            wobble_cents={hertz: wobble_cents(_there_and_back(sine(hertz)), hertz) for hertz in SINES},
            minutes=minutes,
            steps=loaded.info.training.steps,
            training=Means.of([made[path] for path in heard]),
            held_out=Means.of([made[path] for path in unheard]),
            frechet=_frechet_of_samples(loaded, [waveforms[path] for path in heard]),
            axes=check_axes(loaded),
            joins=check_joins(loaded, _joined(loaded, heard)),
        )


def _joined(loaded: LoadedModel, recordings: Sequence[Path]) -> Iterator[Wish]:
    """Yield sounds to look for joins in: drawn ones, and some that begin from recordings, which have more onsets."""
    for seed in range(JOINED_SOUNDS):
        for evolution in EVOLUTIONS:
            yield Wish(seconds=JOINED_SECONDS, seed=seed, evolution=evolution)
    for seed, path in enumerate(recordings):
        yield Wish(seconds=JOINED_SECONDS, seed=seed, start=latent_of(loaded, path), evolution=0.3)


def _unheard(paths: Sequence[Path], names: Sequence[str]) -> list[Path]:
    if unknown := set(names) - {path.stem for path in paths}:
        raise UsageError(f"no usable recording is called {min(unknown)}", "name recordings without their suffix")
    unheard = [path for path in paths if path.stem in names] if names else sorted(paths)[2::5]
    if not unheard or len(unheard) == len(paths):
        raise DatasetError("there must be recordings to train on and others to hold out", "take a folder with three")
    return unheard


def _round_trips(waveforms: Sequence[Tensor]) -> tuple[list[SpectralDistance], float]:
    """Return how far each comes back, and the seconds that the ways there and back took."""
    _there_and_back(waveforms[0])  # the first one also makes tables and chooses kernels
    start = time.perf_counter()
    back = [_there_and_back(waveform) for waveform in waveforms]
    seconds = time.perf_counter() - start
    return [spectral_distance(one, other) for one, other in zip(waveforms, back, strict=True)], seconds


def _there_and_back(waveform: Tensor) -> Tensor:
    return synthesise(analyse(waveform, _CONFIG), _CONFIG, len(waveform))


def _trained(recordings: Iterable[Path], minutes: float, scratch: Path, say: Say) -> LoadedModel:
    """Train as anybody would, and return the model that the run leaves."""
    folder, home = scratch / "recordings", scratch / "home"
    folder.mkdir()
    for number, path in enumerate(recordings):  # two folders may hold the same name
        shutil.copy(path, folder / f"{number}-{path.name}")
    say(f"a run of {minutes:g} minutes")
    command = [sys.executable, "-m", "distill_engine", "train", str(folder), "--name", "bench"]
    limit = ["--set", f"max_minutes={minutes}"]
    environment = os.environ | {"DISTILL_HOME": str(home)}
    status = subprocess.run([*command, *limit], env=environment, stdout=sys.stdout, stderr=sys.stderr, check=False)
    if status.returncode:
        raise DistillError("the run failed", "its own words stand above")
    return load_model(home / "data" / "models" / "bench.distill")


def _distance_of_model(loaded: LoadedModel, waveform: Tensor) -> SpectralDistance:
    raw = analyse(waveform, loaded.spectrogram)
    made = reconstruct(loaded.model, raw, loaded.normalisation, REFINING_STEPS)
    return spectral_distance(waveform, synthesise(made, loaded.spectrogram, len(waveform)))


def _frechet_of_samples(loaded: LoadedModel, waveforms: Sequence[Tensor]) -> float:
    """Compare seconds of the corpus with seconds of sounds from the model, a sound a seed."""
    real = torch.cat([_statistics(analyse(waveform, _CONFIG), loaded.normalisation) for waveform in waveforms])
    drawn = (generate(loaded, Wish(seconds=4.0, seed=seed)) for seed in itertools.count())
    sounds = itertools.islice(drawn, _SAMPLES)
    made = torch.cat([_statistics(analyse(sound, _CONFIG), loaded.normalisation) for sound in sounds])
    return frechet_distance(real, made)


def _statistics(raw: Tensor, normalisation: Normalisation) -> Tensor:
    """Return of each second of a raw spectrogram the mean and the deviation of 32 bands' levels, [n, 64], in dB."""
    length = _CONFIG.time_frames
    level = normalisation.normalise(raw)[0] * normalisation.magnitude_scale * 20 / math.log(10)
    count = max(1, level.shape[1] // length)
    seconds = torch.nn.functional.pad(level, (0, max(0, length - level.shape[1])))[:, : count * length]
    bands = seconds.unflatten(1, (count, length)).unflatten(0, (_BANDS, -1)).mean(1)
    return torch.cat((bands.mean(2), bands.std(2))).T


def frechet_distance(one: Tensor, other: Tensor) -> float:
    """Return the Fréchet distance of two sets of vectors [n, d] and [m, d], each taken for a Gaussian, in their unit.

    The root of |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Dowson and Landau 1982; of audio, Kilgour et al. 2019).
    """
    one, other = one.double(), other.double()
    spreads = [torch.cov(values.T) for values in (one, other)]
    root = _root(spreads[0])
    shared = torch.linalg.eigvalsh(root @ spreads[1] @ root).clamp(min=0).sqrt().sum()
    means = (one.mean(0) - other.mean(0)).square().sum()
    squared = means + sum(spread.trace() for spread in spreads) - 2 * shared
    return math.sqrt(max(0.0, float(squared)))


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root


def sine(hertz: float, seconds: float = 2.0) -> Tensor:
    """Return a sine at half of full scale, mono [seconds * 48000]."""
    turns = hertz / SAMPLE_RATE * torch.arange(round(seconds * SAMPLE_RATE), dtype=torch.float64)
    return (0.5 * (2 * math.pi * turns).sin()).float()


def wobble_cents(waveform: Tensor, hertz: float) -> float:
    """Return the standard deviation of the pitch of a sine of `hertz`, heard through 30 ms, but for its ends."""
    turns = hertz / SAMPLE_RATE * torch.arange(len(waveform), dtype=torch.float64)
    turned = torch.polar(waveform.double(), -2 * math.pi * turns)
    heard = torch.hann_window(SAMPLE_RATE * 30 // 1000, dtype=torch.float64)
    parts = [
        torch.nn.functional.conv1d(part[None, None], heard[None, None])[0, 0] for part in (turned.real, turned.imag)
    ]
    step, edge = SAMPLE_RATE // 100, SAMPLE_RATE // 5
    smooth = torch.complex(*parts)
    apart = (smooth[step:] * smooth[:-step].conj()).angle() * SAMPLE_RATE / (2 * math.pi * step)
    cents = 1200 * torch.log2(1 + apart[edge:-edge] / hertz)
    return float(cents.std())
