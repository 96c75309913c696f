"""Commands that make sound: from a model, and of a recording sent through the representation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from distill_engine.audio.io import WRITABLE_FORMATS
from distill_engine.commands.shared import FiniteRange, say, tell_path
from distill_engine.errors import UsageError
from distill_engine.generation_limits import (
    LARGEST_SEED,
    LONGEST_SECONDS,
    MOST_SOUNDS,
    SHORTEST_SECONDS,
    USUAL_EVOLUTION,
)
from distill_engine.names import checked_name
from distill_engine.words import shown

if TYPE_CHECKING:
    from distill_engine.library import LibraryEntry

_path = click.Path(path_type=Path)


@click.command()
@click.argument("name", metavar="MODEL")
@click.option(
    "--duration",
    type=FiniteRange(SHORTEST_SECONDS, LONGEST_SECONDS),
    default=4.0,
    show_default=True,
    help="Seconds of each sound; an hour takes 1.6 GB of memory.",
)
@click.option(
    "--seed", type=click.IntRange(0, LARGEST_SEED), help="The same makes the same sound, on one machine.  [default: 0]"
)
@click.option(
    "--count", type=click.IntRange(1, MOST_SOUNDS), default=1, show_default=True, help="How many, from that seed on."
)
@click.option(
    "--slider", "sliders", multiple=True, metavar="NAME=VALUE", help="Such as brightness=+2; may be repeated."
)
@click.option(
    "--evolution",
    type=FiniteRange(0, 1),
    help=f"From 0, a sound that stays as it is, to 1, a restless one.  [default: {USUAL_EVOLUTION:g}]",
)
@click.option("--from", "start", metavar="FILE", type=_path, help="Begin from a recording.")
@click.option("--between", nargs=2, metavar="FILE FILE", type=_path, help="Go from one recording's sound to another's.")
@click.option("--blend", default="", metavar="MODEL=SHARE", help="Mix in another model's sound, such as bells=0.3.")
@click.option("--preset", "preset_name", default="", metavar="NAME", help="Sliders, seed and evolution kept earlier.")
@click.option("--save-preset", "kept_name", default="", metavar="NAME", help="Keep those of this sound.")
@click.option("--out", type=_path, help="A file, or a folder for several.  [default: here]")
@click.option("--format", "file_format", type=click.Choice(WRITABLE_FORMATS), help="[default: as --out ends, else wav]")
@click.option(
    "--bits", type=click.Choice(("16", "24", "32")), help="Of a sample: WAV 16, 24, 32 (floating point); FLAC 16, 24."
)
@click.option("--rate", type=click.Choice(("44100", "48000", "96000")), default="48000", show_default=True, help="Hz.")
@click.option("--force", is_flag=True, help="Replace what is there.")
def generate(
    name: str,
    duration: float,
    seed: int | None,
    count: int,
    sliders: tuple[str, ...],
    evolution: float | None,
    start: Path | None,
    between: tuple[Path, Path] | None,
    blend: str,
    preset_name: str,
    kept_name: str,
    out: Path | None,
    file_format: str | None,
    bits: str | None,
    rate: str,
    force: bool,
) -> None:
    """Make new sound from MODEL.

    A sound whose peak is over -1 dBFS is turned down to it; none is turned up. Each file's tags say how it was made.
    """
    from distill_engine import library
    from distill_engine.slider_presets import SliderPreset, find_preset, save_preset

    entry = library.find_model(name)
    first, last = _recordings(start, between)
    preset = find_preset(entry.id, preset_name) if preset_name else None
    if kept_name:
        checked_name(kept_name)
    settings = SliderPreset(
        name=kept_name or preset_name,
        sliders={**(preset.sliders if preset else {}), **_slider_values(sliders)},
        seed=seed if seed is not None else preset.seed if preset else 0,
        evolution=evolution if evolution is not None else preset.evolution if preset else USUAL_EVOLUTION,
    )
    known_as = kept_name or (preset_name if settings == preset else "")
    mixed_in = _blend(blend)
    from distill_engine.console import drawn_progress
    from distill_engine.rendering import Blend, Request, render

    request = Request(
        duration=duration,
        seed=settings.seed,
        count=count,
        sliders=settings.sliders,
        evolution=settings.evolution,
        start=first,
        end=last,
        blend=Blend(entry=mixed_in[0], share=mixed_in[1]) if mixed_in else None,
        preset=known_as,
        out=out,
        file_format=file_format,
        bits=int(bits) if bits else None,
        rate=int(rate),
        overwrite=force,
    )
    for path in render(entry, request, say, showing=drawn_progress):
        tell_path(path)
    if kept_name:
        save_preset(entry.id, settings)
        say(f"kept as preset {shown(kept_name)}")


def _recordings(start: Path | None, between: tuple[Path, Path] | None) -> tuple[Path | None, Path | None]:
    """Return the recording to begin from and the one to go to.

    Raises:
        UsageError: both options were given, or one of the files isn't there.
    """
    if start and between:
        raise UsageError("--from and --between both say where to begin", "leave one of them out")
    first, last = between or (start, None)
    for path in (first, last):
        if path and not path.is_file():
            raise UsageError(f"there is no recording {shown(str(path))}", "name a sound file")
    return first, last


def _slider_values(given: tuple[str, ...]) -> dict[str, float]:
    """Return the values of `NAME=VALUE`, the last of a name; UsageError for what isn't that."""
    values = {}
    for text in given:
        name, _, value = text.rpartition("=")
        try:
            values[name.strip()] = float(value)
        except ValueError:
            name = ""
        if not name:
            raise UsageError(f"--slider {shown(text)} isn't a name and a number", "such as --slider brightness=+2")
    return values


def _blend(text: str) -> tuple[LibraryEntry, float] | None:
    """Return the model of `MODEL=SHARE` and its share; UsageError for what isn't that."""
    if not text:
        return None
    from distill_engine import library

    name, _, value = text.rpartition("=")
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not name or not 0 <= share <= 1:
        raise UsageError(f"--blend {shown(text)} isn't a model and a share from 0 to 1", "such as --blend bells=0.3")
    return library.find_model(name), share


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--model", "name", metavar="MODEL", default="", help="Through this model too.")
def roundtrip(source: Path, target: Path, name: str) -> None:
    """Hear the best that any model could make of a recording.

    The recording IN is mixed to mono and sent through the representation that models work on and back; OUT becomes a
    WAV file in floating point at 48 kHz, in place of what was there.
    """
    from distill_engine import library

    entry = library.find_model(name) if name else None
    from distill_engine.console import drawn_progress
    from distill_engine.rendering import round_trip

    round_trip(source, target, entry, showing=drawn_progress)
    tell_path(target)
