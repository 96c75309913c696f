"""What the helper process does for each request; `service` has the process around it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from distill_engine.audio.augmentation import CopyParameters, augment, draw_copies
from distill_engine.audio.io import write_recording
from distill_engine.audio.loudness import equally_loud
from distill_engine.audio.pictures import picture_of_spectrogram, pictures_of
from distill_engine.audio.waveform import SAMPLE_RATE, stream_waveform
from distill_engine.errors import StopRequestedError, UsageError
from distill_engine.generation import Wish, generate, spectrogram_of
from distill_engine.library import find_model
from distill_engine.models.persistence import LoadedModel, load_model
from distill_engine.rendering import Request, render
from distill_engine.service_messages import (
    AnyRequest,
    AugmentedPictures,
    AugmentedPicturesDrawn,
    Compare,
    Compared,
    Explore,
    Explored,
    Generate,
    Generated,
    Progress,
    Steering,
    Wanted,
)
from distill_engine.training.config import NOISE_OFF_DB
from distill_engine.words import counted, shown

ShouldStop = Callable[[], bool]


def answer(request: AnyRequest, report: Callable[[Progress], None], should_stop: ShouldStop) -> Wanted:
    """Do what is asked, and return what came of it.

    Raises:
        DistillError: it can't be done.
        StopRequestedError: `should_stop()` said yes; what was finished by then stays.
    """
    match request:
        case Generate():
            return _generate(request, report, should_stop)
        case Explore():
            return _explore(request, should_stop)
        case Compare():
            return _compare(request, report, should_stop)
        case AugmentedPictures():
            return _draw(request, should_stop)


def _generate(request: Generate, report: Callable[[Progress], None], should_stop: ShouldStop) -> Generated:
    wanted = Request(
        duration=request.seconds,
        seed=request.seed,
        count=request.count,
        out=request.folder / f"{request.name}.{request.format}" if request.name else request.folder,
        file_format=request.format,
        overwrite=request.overwrite,
        sliders=request.sliders,
        evolution=request.evolution,
        preset=request.preset,
    )
    paths: list[Path] = []
    sounds = render(find_model(str(request.model)), wanted, should_stop=should_stop)
    request.folder.mkdir(parents=True, exist_ok=True)  # else a name with a dot in it would be taken for a file's
    for number in range(request.count):
        _heed(should_stop)
        report(Progress(words=f"sound {number + 1} of {request.count}", done=number, total=request.count))
        paths.append(next(sounds))
    return Generated(paths=paths)


def _explore(request: Explore, should_stop: ShouldStop) -> Explored:
    loaded = _loaded(request.model)
    spectrogram = spectrogram_of(loaded, _wish(request.steering, request.seconds), should_stop)
    mel = picture_of_spectrogram(spectrogram[0].numpy(), request.seconds, request.columns, request.rows)
    return Explored(mel=mel)


def _compare(request: Compare, report: Callable[[Progress], None], should_stop: ShouldStop) -> Compared:
    """Make both sounds before either is written: no time of a file may tell one from the other."""
    loaded = _loaded(request.model)
    sounds = []
    for number, steering in enumerate((request.a, request.b)):
        _heed(should_stop)
        report(Progress(words=f"sound {number + 1} of 2", done=number, total=2))
        sounds.append(generate(loaded, _wish(steering, request.seconds), should_stop).numpy())
    rate = loaded.spectrogram.sample_rate
    made = Compared(a=request.folder / "A.wav", b=request.folder / "B.wav")
    request.folder.mkdir(parents=True, exist_ok=True)
    for path, sound in zip((made.a, made.b), equally_loud(sounds, rate), strict=True):
        write_recording(path, sound, rate, "wav")
    return made


def _wish(steering: Steering, seconds: float) -> Wish:
    return Wish(seconds=seconds, seed=steering.seed, sliders=steering.sliders, evolution=steering.evolution)


def _loaded(path: Path) -> LoadedModel:
    """Return a model that stays loaded until others were asked for or its file is another."""
    path = find_model(str(path)).path
    status = path.stat()
    return _kept(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=2)
def _kept(path: Path, _modified: int, _size: int) -> LoadedModel:
    return load_model(path)


def _draw(request: AugmentedPictures, should_stop: ShouldStop) -> AugmentedPicturesDrawn:
    copy = _copy(request)
    blocks = augment(_heeding(stream_waveform(request.path), should_stop), copy)
    samples = _beginning(blocks, round(request.most_seconds * SAMPLE_RATE)).numpy()
    waveform, mel = pictures_of(samples, SAMPLE_RATE, request.columns, request.rows)
    return AugmentedPicturesDrawn(waveform=waveform, mel=mel, words=in_words(copy))


def _copy(request: AugmentedPictures) -> CopyParameters:
    copies = draw_copies(
        request.augmentation,
        seed=request.seed,
        digest=request.digest,
        rms_db=request.rms_db,
        seconds=request.recording_seconds,
    )
    if request.copy > len(copies):
        raise UsageError(
            f"these settings make {counted(len(copies), 'copy', 'copies')} of {shown(request.path.name)}",
            "augmentation.copies says how many, as far as the ranges hold so many that differ",
        )
    return copies[request.copy - 1] if request.copy else CopyParameters()


def in_words(copy: CopyParameters) -> str:
    """Return what a copy's parameters do to a recording; the noise's level is that in the copy, after the gain."""
    changes = []
    if copy.speed_steps:
        changes.append(f"{abs(float(copy.speed - 1)) * 100:.1f} % {'faster' if copy.speed > 1 else 'slower'}")
    if copy.gain_db:
        changes.append(f"{abs(copy.gain_db):.1f} dB {'louder' if copy.gain_db > 0 else 'softer'}")
    if copy.noise_db > NOISE_OFF_DB:
        changes.append(f"noise at {copy.noise_db + copy.gain_db:.0f} dB")
    if copy.shift_samples:
        milliseconds = abs(copy.shift_samples) / SAMPLE_RATE * 1000
        changes.append(f"{milliseconds:.1f} ms {'later' if copy.shift_samples > 0 else 'earlier'}")
    return ", ".join(changes) or "as recorded"


def _beginning(blocks: Iterator[Tensor], most: int) -> Tensor:
    """Return the signal [n], no more than `most` samples of it."""
    taken: list[Tensor] = [torch.zeros(0)]
    for block in blocks:
        taken.append(block)
        if sum(map(len, taken)) >= most:
            break
    return torch.cat(taken)[:most]


def _heeding(blocks: Iterator[Tensor], should_stop: ShouldStop) -> Iterator[Tensor]:
    for block in blocks:
        _heed(should_stop)
        yield block


def _heed(should_stop: ShouldStop) -> None:
    if should_stop():
        raise StopRequestedError
