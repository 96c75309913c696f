"""Commands about the library: list its models; look at, rename, delete, import and export one."""

from __future__ import annotations

from pathlib import Path

import click

from distill_engine.commands.shared import agreed, as_json_option, say, tell, tell_data, tell_path
from distill_engine.errors import DistillError
from distill_engine.words import shown


@click.command()
@as_json_option
def models(as_json: bool) -> None:
    """List the models in the library."""
    from distill_engine import library

    entries = library.list_models()
    if as_json:
        tell_data([library.describe(entry) for entry in entries])
        return
    from distill_engine import catalogue

    tell(catalogue.table(entries))


@click.group()
def model() -> None:
    """Look at, rename, delete, import or export one model."""


@model.command()
@click.argument("name", metavar="MODEL")
@as_json_option
def show(name: str, as_json: bool) -> None:
    """Say all that is known of MODEL."""
    from distill_engine import library

    entry = library.find_model(name)
    if as_json:
        tell_data(library.describe(entry))
        return
    from distill_engine import catalogue

    tell(catalogue.details(entry))


@model.command()
@click.argument("name", metavar="MODEL")
@click.argument("new_name")
def rename(name: str, new_name: str) -> None:
    """Give MODEL another name."""
    from distill_engine import library

    before = library.find_model(name)
    say(f"{shown(before.name)} is now {library.rename(before, new_name).name}")


@model.command()
@click.argument("name", metavar="MODEL")
@click.option("--yes", is_flag=True, help="Don't ask.")
def delete(name: str, yes: bool) -> None:
    """Delete MODEL."""
    from distill_engine import library
    from distill_engine.words import size

    entry = library.find_model(name)
    if not yes and not agreed(f"delete {shown(str(entry.path))}, {size(entry.size)}?"):
        raise DistillError(f"{shown(entry.name)} was not deleted", "--yes deletes it without asking")
    library.delete(entry)
    say(f"deleted {shown(entry.name)}")


@model.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--name", default=None, help="What to call it.  [default: the file's name]")
def import_model(source: Path, name: str | None) -> None:
    """Copy the .distill file SOURCE into the library."""
    from distill_engine import library

    say(f"imported as {library.import_model(source, name).name}")


@model.command()
@click.argument("name", metavar="MODEL")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace what is there.")
def export(name: str, target: Path, force: bool) -> None:
    """Copy MODEL to the file or into the folder TARGET."""
    from distill_engine import library

    tell_path(library.export(library.find_model(name), target, overwrite=force))
