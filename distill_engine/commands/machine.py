"""Commands about the machine: what it can do for Distill, and what the cache takes of it."""

from __future__ import annotations

import json as json_module

import click

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")


@click.command()
@_as_json
def doctor(as_json: bool) -> None:
    """Say what this machine and terminal can do for Distill, and what to do where they fall short."""
    import msgspec

    from distill_engine import doctor as checks

    if as_json:
        click.echo(msgspec.json.encode(list(checks.examine())).decode())
        return
    for finding in checks.examine():
        click.echo(checks.in_words(finding))


@click.group(invoke_without_command=True)
@_as_json
@click.pass_context
def cache(context: click.Context, as_json: bool) -> None:
    """Say what the cache of spectrograms takes; `cache clear` empties it."""
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
    click.echo(f"removed {counted(removed.files, 'file')}, {size(removed.bytes)}", err=True)
