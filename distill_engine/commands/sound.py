"""Commands that make sound: from a model, and of a recording sent through the representation."""

from __future__ import annotations

from pathlib import Path

import click

from distill_engine.audio.io import WRITABLE_FORMATS
from distill_engine.commands.shared import FiniteRange
from distill_engine.generation_limits import LARGEST_SEED, LONGEST_SECONDS, MOST_SOUNDS, SHORTEST_SECONDS


@click.command()
@click.argument("name", metavar="MODEL")
@click.option(
    "--duration",
    type=FiniteRange(SHORTEST_SECONDS, LONGEST_SECONDS),
    default=4.0,
    show_default=True,
    help="Seconds of each sound; an hour takes 1.6 GB of memory.",
)
@click.option("--seed", type=click.IntRange(0, LARGEST_SEED), default=0, show_default=True)
@click.option(
    "--count", type=click.IntRange(1, MOST_SOUNDS), default=1, show_default=True, help="How many, from that seed on."
)
@click.option("--out", type=click.Path(path_type=Path), help="A file, or a folder for several.  [default: here]")
@click.option("--format", "file_format", type=click.Choice(WRITABLE_FORMATS), help="[default: as --out ends, else wav]")
@click.option("--force", is_flag=True, help="Replace what is there.")
def generate(
    name: str, duration: float, seed: int, count: int, out: Path | None, file_format: str | None, force: bool
) -> None:
    """Make new sound from MODEL."""
    from distill_engine import library

    entry = library.find_model(name)
    from distill_engine.rendering import Request, render

    request = Request(duration=duration, seed=seed, count=count, out=out, file_format=file_format, overwrite=force)
    for path in render(entry, request):
        click.echo(path)


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
    from distill_engine.rendering import round_trip

    round_trip(source, target, entry)
    click.echo(target)
