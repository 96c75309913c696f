"""Sound into files: generations of a model, and a recording sent through the representation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distill_engine.audio.io import WRITABLE_FORMATS, write_recording
from distill_engine.audio.spectrogram import analyse, synthesise
from distill_engine.audio.waveform import load_waveform
from distill_engine.errors import UsageError
from distill_engine.generation import generate, reconstruct
from distill_engine.library import LibraryEntry
from distill_engine.models.persistence import load_model
from distill_engine.training.config import ComplexSpectrogramConfig
from distill_engine.words import shown


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to generate: `count` sounds of `duration` seconds from `seed` on, into `out` (empty: this folder).

    Files that are there already are replaced only where `overwrite` asks for it.
    """

    duration: float = 4.0
    seed: int = 0
    count: int = 1
    out: Path | None = None
    file_format: str | None = None
    overwrite: bool = False


def render(entry: LibraryEntry, request: Request) -> Iterator[Path]:
    """Write the sounds one after another, yielding each path once it is whole.

    Raises:
        ModelFileError: the model can't be read.
        UsageError: `out` is one file for several sounds, or of a format that isn't known, or a file is there already.
    """
    targets = _targets(entry.name, request)
    _check_free(targets, request)
    loaded = load_model(entry.path)
    for number, path in enumerate(targets):
        waveform = generate(
            loaded.model,
            loaded.normalisation,
            loaded.spectrogram,
            seconds=request.duration,
            seed=request.seed + number,
        )
        write_recording(path, waveform.numpy(), loaded.spectrogram.sample_rate, path.suffix[1:].lower())
        yield path


def round_trip(source: Path, target: Path, entry: LibraryEntry | None) -> None:
    """Write `source`, mixed to mono at 48 kHz, as it comes back from the representation, and from a model if named.

    `target` becomes a float WAV with as many samples as `source` has at 48 kHz.

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
    waveform = load_waveform(source)
    if entry is None:
        config = ComplexSpectrogramConfig()
        spectrogram = analyse(waveform, config)
    else:
        loaded = load_model(entry.path)
        config = loaded.spectrogram
        spectrogram = reconstruct(loaded.model, analyse(waveform, config), loaded.normalisation)
    write_recording(target, synthesise(spectrogram, config, len(waveform)).numpy(), config.sample_rate, "wav")


def _targets(name: str, request: Request) -> list[Path]:
    out = request.out
    if out is not None and request.count == 1 and not out.is_dir() and out.suffix:
        return [out.with_suffix(_suffix(request, out))]
    if out is not None and out.suffix[1:].lower() in WRITABLE_FORMATS and not out.is_dir():
        raise UsageError(f"--out {shown(str(out))} is one file for {request.count} sounds", "name a folder")
    folder = out or Path()
    suffix = f".{request.file_format or 'wav'}"
    return [folder / f"{name}-{request.seed + number}{suffix}" for number in range(request.count)]


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
            f"{shown(out.name)} ends in no format that can be written", f"the formats are {', '.join(WRITABLE_FORMATS)}"
        )
    if request.file_format not in (None, given):
        raise UsageError(
            f"--format {request.file_format} and --out {shown(out.name)} disagree", "leave one of them out"
        )
    return out.suffix
