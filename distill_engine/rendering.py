"""Sound into files: generations of a model, and a recording sent through the representation."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distill_engine.audio.io import WRITABLE_FORMATS, write_recording
from distill_engine.audio.level import CEILING_DB, made_safe
from distill_engine.audio.loudness import loudness_db
from distill_engine.audio.spectrogram import analyse, synthesise
from distill_engine.audio.tags import SoundTags
from distill_engine.audio.waveform import SAMPLE_RATE, load_waveform, resampled
from distill_engine.errors import UsageError
from distill_engine.generation import REFINING_STEPS, ShouldStop, Wish, generate, latent_of, reconstruct
from distill_engine.generation_limits import LARGEST_SEED, USUAL_EVOLUTION
from distill_engine.library import LibraryEntry
from distill_engine.models.model_info import ModelInfo
from distill_engine.models.persistence import LoadedModel, load_model
from distill_engine.sliders import beyond_safe, check_sliders
from distill_engine.training.config import ComplexSpectrogramConfig
from distill_engine.words import shown

Samples = npt.NDArray[np.float32]

_SUBTYPES = {
    ("wav", 16): "PCM_16",
    ("wav", 24): "PCM_24",
    ("wav", 32): "FLOAT",
    ("flac", 16): "PCM_16",
    ("flac", 24): "PCM_24",
}
_HIGHEST_RATE = {"mp3": 48_000}


@dataclass(frozen=True, kw_only=True)
class Blend:
    """Another model whose sound is mixed in."""

    entry: LibraryEntry
    share: float
    """Of the power, from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to generate: `count` sounds of `duration` seconds from `seed` on, into `out` (empty: this folder).

    Files that are there already are replaced only where `overwrite` asks for it.
    """

    duration: float = 4.0
    seed: int = 0
    count: int = 1
    sliders: Mapping[str, float] = field(default_factory=dict)
    evolution: float = USUAL_EVOLUTION
    start: Path | None = None
    """A recording to begin from."""

    end: Path | None = None
    """A recording to go to."""

    blend: Blend | None = None
    preset: str = ""
    """What the settings are called, for the tags."""

    out: Path | None = None
    file_format: str | None = None
    bits: int | None = None
    """Of a sample in WAV (16, 24, 32 for floating point) and FLAC (16, 24); by default 32 and 24."""

    rate: int = SAMPLE_RATE
    overwrite: bool = False


OnProgress = Callable[[int, int, str], None]
"""Told how many seconds of a sound are done, of how many, and its file's name."""

Showing = Callable[[str], AbstractContextManager[OnProgress]]
"""Entered with what is being done, while it is."""


@contextlib.contextmanager
def _unseen(_doing: str) -> Iterator[OnProgress]:
    yield lambda _done, _total, _name: None


def render(
    entry: LibraryEntry,
    request: Request,
    say: Callable[[str], object] = lambda _words: None,
    *,
    showing: Showing = _unseen,
    should_stop: ShouldStop = lambda: False,
) -> Iterator[Path]:
    """Write the sounds one after another, yielding each path once it is whole.

    `say` is told what a person should know. A sound whose peak is over
    -1 dBFS is turned down to it, whatever the format; none is turned up.

    Raises:
        ModelFileError: a model can't be read.
        UsageError: `out` is one file for several sounds, or of a format that isn't known, or a file is there already;
            or a slider isn't there, or the format hasn't got such samples, or there are no seeds for so many; or
            nothing is to be heard in a recording to begin from or go to.
        DistillError: such a recording can't be read.
        StopRequestedError: `should_stop()` said yes; what is written by then stays.
    """
    if request.seed + request.count - 1 > LARGEST_SEED:
        raise UsageError(f"the last of {request.count} sounds would have a seed over {LARGEST_SEED}", "begin lower")
    targets = _targets(entry.name, request)
    _check_format(targets[0].suffix[1:].lower(), request)
    _check_free(targets, request)
    voices = _voices(entry, request)
    for voice in voices:
        for words in beyond_safe(voice.info, voice.sliders):
            say(words)
    for number, path in enumerate(targets):
        seed = request.seed + number
        with showing("making") as on_progress:
            show = functools.partial(_show, on_progress, path, request.duration)
            sound = _mixed(voices, request, seed, should_stop, show)
        sound = _at_rate(sound, request.rate)
        if over := made_safe(sound):
            say(f"{shown(path.name)} was turned down by {over:.1f} dB, so that its peak stays at {CEILING_DB:g} dBFS")
        kind = path.suffix[1:].lower()
        subtype = _SUBTYPES.get((kind, request.bits or 0), "")
        write_recording(path, sound, request.rate, kind, subtype, _tags(entry, request, seed))
        yield path


def _show(on_progress: OnProgress, path: Path, duration: float, seconds: float) -> None:
    on_progress(round(seconds), max(1, round(duration)), shown(path.name))


@dataclass(frozen=True, kw_only=True)
class _Voice:
    """A model that sounds, and how it does."""

    loaded: LoadedModel
    share: float
    sliders: Mapping[str, float]
    """Those of the request that it has."""

    start: Tensor | None
    end: Tensor | None
    """What the recordings of the request are to it: latents [latent_dim]."""

    @property
    def info(self) -> ModelInfo:
        return self.loaded.info


def _voices(entry: LibraryEntry, request: Request) -> list[_Voice]:
    """Load the models: two where one is mixed in. A slider moves those of them that have it."""
    loaded = load_model(entry.path)
    if request.blend is None:
        check_sliders(loaded.info, request.sliders, entry.name)
        return [_voice(loaded, 1.0, request)]
    other = load_model(request.blend.entry.path)
    names = {axis.name for model in (loaded, other) for axis in model.info.latent_axes}
    unknown = {name: value for name, value in request.sliders.items() if name not in names}
    check_sliders(loaded.info, unknown, entry.name)
    shares = (1.0 - request.blend.share, request.blend.share)
    return [_voice(model, share, request) for model, share in zip((loaded, other), shares, strict=True)]


def _voice(loaded: LoadedModel, share: float, request: Request) -> _Voice:
    return _Voice(
        loaded=loaded,
        share=share,
        sliders=_known_to(loaded.info, request.sliders),
        start=None if request.start is None else latent_of(loaded, request.start),
        end=None if request.end is None else latent_of(loaded, request.end),
    )


def _known_to(info: ModelInfo, sliders: Mapping[str, float]) -> Mapping[str, float]:
    known = {axis.name for axis in info.latent_axes}
    return {name: value for name, value in sliders.items() if name in known}


def _mixed(
    voices: list[_Voice],
    request: Request,
    seed: int,
    should_stop: ShouldStop,
    on_seconds: Callable[[float], object],
) -> Samples:
    """Return what all voices together sound like: as loud as the first, their powers in the shares asked for.

    Latent spaces of two models have nothing to do with each other, so nothing is mixed but sound.
    """
    sounds: list[Samples] = []
    for number, voice in enumerate(voices):

        def on_share(seconds: float, before: int = number) -> None:
            on_seconds((before * request.duration + seconds) / len(voices))

        sounds.append(generate(voice.loaded, _wish(voice, request, seed), should_stop, on_share).numpy())
    if len(sounds) == 1:
        return sounds[0]  # an hour has no room for copies
    loudness = [loudness_db(sound, SAMPLE_RATE) for sound in sounds]
    mixed = np.zeros_like(sounds[0])
    for voice, sound, level in zip(voices, sounds, loudness, strict=True):
        match = 10 ** ((loudness[0] - level) / 20) if math.isfinite(loudness[0] - level) else 1.0
        mixed += np.float32(math.sqrt(voice.share) * match) * sound
    louder = loudness_db(mixed, SAMPLE_RATE) - loudness[0]  # voices that have something in common add up to more
    return mixed * np.float32(10 ** (-louder / 20)) if math.isfinite(louder) else mixed


def _wish(voice: _Voice, request: Request, seed: int) -> Wish:
    return Wish(
        seconds=request.duration,
        seed=seed,
        sliders=voice.sliders,
        evolution=request.evolution,
        start=voice.start,
        end=voice.end,
    )


def _at_rate(sound: Samples, rate: int) -> Samples:
    if rate == SAMPLE_RATE:
        return sound
    seconds = torch.from_numpy(sound).split(SAMPLE_RATE)
    at_rate: Samples = torch.cat(list(resampled(seconds, Fraction(SAMPLE_RATE, rate)))).numpy()
    return at_rate


def _tags(entry: LibraryEntry, request: Request, seed: int) -> SoundTags:
    return SoundTags(
        model=entry.name,
        model_id=entry.id,
        seed=seed,
        seconds=request.duration,
        sliders=request.sliders,
        evolution=request.evolution,
        start=shown(request.start.name) if request.start else "",
        end=shown(request.end.name) if request.end else "",
        preset=request.preset,
        blend={request.blend.entry.name: request.blend.share} if request.blend else {},
    )


def round_trip(source: Path, target: Path, entry: LibraryEntry | None, *, showing: Showing = _unseen) -> None:
    """Write `source`, mixed to mono at 48 kHz, as it comes back from the representation, and from a model if named.

    `target` becomes a float WAV with as many samples as `source` has at 48 kHz. What a model makes of it is the best
    that its decoder comes to in a few steps from the encoder's guess (`generation.refined`).

    Raises:
        UsageError: `source` is no file; or `target` isn't named as a WAV file, or is `source` itself.
        DistillError: it can't be read, or `target` can't be written.
    """
    if source.is_dir():
        raise UsageError(f"{shown(str(source))} is a folder, not a recording", "name one of the files in it")
    if not source.is_file():
        raise UsageError(f"there is no recording {shown(str(source))}", "name a sound file to send through")
    if target.suffix.lower() != ".wav":
        raise UsageError(
            f"{shown(target.name)} isn't named as a WAV file, and that is what is written", "end it in .wav"
        )
    if target.exists() and target.samefile(source):
        raise UsageError(f"{shown(target.name)} is the recording itself", "name another file to write to")
    loaded = load_model(entry.path) if entry else None
    config = loaded.spectrogram if loaded else ComplexSpectrogramConfig()
    waveform = load_waveform(source)
    spectrogram = analyse(waveform, config)
    duration = len(waveform) / config.sample_rate
    if loaded:
        with showing("finding latents") as on_progress:
            show = functools.partial(_show, on_progress, source, duration)
            spectrogram = reconstruct(
                loaded.model,
                spectrogram,
                loaded.normalisation,
                REFINING_STEPS,
                lambda frames: show(frames * config.hop_length / config.sample_rate),
            )
    with showing("making") as on_progress:
        show = functools.partial(_show, on_progress, target, duration)
        sound = synthesise(
            spectrogram, config, len(waveform), on_samples=lambda samples: show(samples / config.sample_rate)
        )
    write_recording(target, sound.numpy(), config.sample_rate, "wav")


def _targets(name: str, request: Request) -> list[Path]:
    out = request.out
    if out is not None and request.count == 1 and not out.is_dir() and out.suffix:
        return [out.with_suffix(_suffix(request, out))]
    if out is not None and out.suffix[1:].lower() in WRITABLE_FORMATS and not out.is_dir():
        raise UsageError(f"--out {shown(str(out))} is one file for {request.count} sounds", "name a folder")
    folder = out or Path()
    suffix = f".{request.file_format or 'wav'}"
    return [folder / f"{name}-{request.seed + number}{suffix}" for number in range(request.count)]


def _check_format(kind: str, request: Request) -> None:
    depths = [bits for known, bits in _SUBTYPES if known == kind]
    if request.bits and request.bits not in depths:
        hint = f"--bits is one of {', '.join(map(str, depths))}" if depths else "--bits is for wav and flac"
        raise UsageError(f"{kind} files have no samples of {request.bits} bits", hint)
    if request.rate > _HIGHEST_RATE.get(kind, request.rate):
        raise UsageError(f"{kind} files can't have {request.rate} Hz", f"{_HIGHEST_RATE[kind]} Hz is the most")


def _check_free(targets: list[Path], request: Request) -> None:
    taken = [path for path in targets if path.exists()]
    if taken and not request.overwrite:
        more = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        raise UsageError(
            f"{shown(str(taken[0]))}{more} exists already", "name another place or seed, or have it replaced (--force)"
        )


def _suffix(request: Request, out: Path) -> str:
    given = out.suffix[1:].lower()
    if given not in WRITABLE_FORMATS:
        raise UsageError(
            f"{shown(out.name)} ends in no format that can be written, and is no folder yet",
            f"the formats are {', '.join(WRITABLE_FORMATS)}",
        )
    if request.file_format not in (None, given):
        raise UsageError(
            f"--format {request.file_format} and --out {shown(out.name)} disagree", "leave one of them out"
        )
    return out.suffix
