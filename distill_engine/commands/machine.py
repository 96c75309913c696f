"""Commands about the machine: what it can do for Distill, how fast it is, and what the cache takes of it."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path

import click

from distill_engine.commands.shared import FiniteRange, as_json_option, say, tell, tell_data


@click.command()
@as_json_option
def doctor(as_json: bool) -> None:
    """Say what this machine and terminal can do for Distill.

    Where they fall short, it says what to do.
    """
    from distill_engine import doctor as checks

    if as_json:
        tell_data(list(checks.examine()))
        return
    for finding in checks.examine():
        tell(checks.in_words(finding))


@click.group(invoke_without_command=True)
@as_json_option
@click.pass_context
def cache(context: click.Context, as_json: bool) -> None:
    """Say what the cache of spectrograms takes, or clear it."""
    if context.invoked_subcommand is not None:
        return
    from distill_engine import home
    from distill_engine.audio.cache import cache_summary
    from distill_engine.words import counted, size

    summary = cache_summary(home.cache_folder())
    if as_json:
        data = {"path": str(home.cache_folder()), "files": summary.files, "bytes": summary.bytes}
        click.echo(json_module.dumps(data))
    else:
        tell(f"{counted(summary.files, 'file')}, {size(summary.bytes)} in {home.cache_folder()}")


@cache.command("clear")
def cache_clear() -> None:
    """Remove all cached spectrograms; they are made anew when next needed."""
    from distill_engine import home
    from distill_engine.audio.cache import clear_cache
    from distill_engine.words import counted, size

    removed = clear_cache(home.cache_folder())
    say(f"removed {counted(removed.files, 'file')}, {size(removed.bytes)}")


@click.group(invoke_without_command=True)
@as_json_option
@click.pass_context
def bench(context: click.Context, as_json: bool) -> None:
    """Measure how fast this machine trains, or how good the sound is."""
    if context.invoked_subcommand is not None:
        return
    from distill_engine.bench import measure

    result = measure(say)
    click.echo(json_module.dumps(result.as_data()) if as_json else result.in_words())


@bench.command("sound")
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--hold-out", "held_out", metavar="NAME", multiple=True, help="Not trained on.  [default: a fifth]")
@click.option("--minutes", type=FiniteRange(0.1, 1000.0), default=10.0, show_default=True, help="Of training.")
@as_json_option
def bench_sound(folder: Path, held_out: tuple[str, ...], minutes: float, as_json: bool) -> None:
    """Measure the sound on the recordings in FOLDER.

    First the round trip through the representation; then a model trained on them, with the usual settings: how near
    it comes to recordings it learnt and to those it never heard, its samples, its axes, its joins.
    """
    from distill_engine.bench_sound import measure

    result = measure(folder, held_out, minutes, say)
    click.echo(json_module.dumps(result.as_data()) if as_json else result.in_words())


@click.command()
def demo() -> None:
    """Try all of it on made-up sounds, in under two minutes."""
    from distill_engine.commands.foreground import work
    from distill_engine.demo import new_demo_run, what_to_hear

    run = new_demo_run(say)
    status = work(run, as_json=False)
    if status == 0:
        say(what_to_hear(run))
    sys.exit(status)
