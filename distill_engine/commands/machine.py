"""Commands about the machine: what it can do for Distill, how fast it is, and what the cache takes of it."""

from __future__ import annotations

import json as json_module
import sys

import click

from distill_engine.commands.shared import as_json_option, say


@click.command()
@as_json_option
def doctor(as_json: bool) -> None:
    """Say what this machine and terminal can do for Distill.

    Where they fall short, it says what to do.
    """
    import msgspec

    from distill_engine import doctor as checks

    if as_json:
        click.echo(msgspec.json.encode(list(checks.examine())).decode())
        return
    for finding in checks.examine():
        click.echo(checks.in_words(finding))


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
        click.echo(f"{counted(summary.files, 'file')}, {size(summary.bytes)} in {home.cache_folder()}")


@cache.command("clear")
def cache_clear() -> None:
    """Remove all cached spectrograms; they are made anew when next needed."""
    from distill_engine import home
    from distill_engine.audio.cache import clear_cache
    from distill_engine.words import counted, size

    removed = clear_cache(home.cache_folder())
    say(f"removed {counted(removed.files, 'file')}, {size(removed.bytes)}")


@click.command()
@as_json_option
def bench(as_json: bool) -> None:
    """Measure how fast this machine trains."""
    from distill_engine.bench import measure

    result = measure()
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
