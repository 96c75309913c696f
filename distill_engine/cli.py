"""`distill-engine`: the engine's command line. Data goes to stdout, words to stderr.

What needs torch is imported inside the command that needs it: help and lists answer at once. `main` is one of the two
places that catch everything: a person reads a sentence and a hint, never a traceback.
"""

from __future__ import annotations

import contextlib
import io
import json as json_module
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from distill_engine.errors import DistillError, StopRequestedError
from distill_engine.words import shown

if TYPE_CHECKING:
    from distill_engine.start import Plan, Wishes

FORMATS = ("wav", "flac", "ogg", "mp3")
PRESETS = ("auto", "conservative", "balanced", "aggressive")

F = TypeVar("F", bound=Callable[..., Any])

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")


class _InOrder(click.Group):
    """Lists commands in the order in which one comes to need them, not by the alphabet."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="distill", prog_name="distill-engine")
def cli() -> None:
    """Train a small generative model on your own recordings, and use its sound."""


def _settings(command: F) -> F:
    """Add the options that say what a run should be."""
    options = (
        click.option("--config", "config_file", type=click.Path(path_type=Path), help="Settings from a TOML file."),
        click.option("--preset", type=click.Choice(PRESETS), default="auto", show_default=True),
        click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@cli.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--name", default="", help="What to call the run and its model.  [default: the folder's name]")
@_settings
@click.option("--from", "start_from", metavar="MODEL", default="", help="Go on from a model's weights.")
@click.option("--dry-run", is_flag=True, help="Say what the run would be and what it would take; start nothing.")
@_as_json
def train(
    dataset: Path,
    name: str,
    config_file: Path | None,
    preset: str,
    settings: tuple[str, ...],
    start_from: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train a model on the recordings in DATASET."""
    from distill_engine.start import Wishes

    plan = _planned(dataset, Wishes(preset=preset, config_file=config_file, settings=settings, start_from=start_from))
    if dry_run:
        _print_plan(plan, as_json)
        return
    _train(plan, name, as_json)


def _planned(dataset: Path, wishes: Wishes) -> Plan:
    from distill_engine.console import scanning
    from distill_engine.start import plan_run

    with scanning() as on_progress:
        return plan_run(dataset, wishes, on_progress=on_progress)


def _train(plan: Plan, name: str, as_json: bool) -> None:
    from distill_engine.start import new_run
    from distill_engine.training.hardware import decided

    decided(plan.config)  # a device that isn't there is told before anything is started
    _work(new_run(plan, name).path, as_json)


def _work(run: Path, as_json: bool) -> None:
    from distill_engine.console import view_for
    from distill_engine.run_folder import RunFolder
    from distill_engine.worker import work

    if not as_json:
        _say(f"run folder {shown(str(run))}")
    status = work(RunFolder(run), view_for(json=as_json).show)
    if status > 128 and not as_json:
        _say(f"distill-engine resume {shlex.quote(shown(run.name))} goes on from there")
    sys.exit(status)


def _print_plan(plan: Plan, as_json: bool) -> None:
    from distill_engine.start import describe_plan, plan_data

    click.echo(json_module.dumps(plan_data(plan), indent=2) if as_json else describe_plan(plan))


@cli.command()
@click.argument("run")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated.")
@_as_json
def resume(run: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Go on with a RUN from its newest checkpoint."""
    from distill_engine import run_folder
    from distill_engine.start import prepare_to_resume

    folder = run_folder.find(run)
    if prepare_to_resume(folder, settings):
        _work(folder.path, as_json)
    else:
        _say(f"run {shown(folder.name)} has finished; --set max_epochs=N or max_minutes=N lets it go on")


@cli.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@_as_json
def scan(dataset: Path, as_json: bool) -> None:
    """Say what is in DATASET and what is wrong with it."""
    from distill_engine import datasets, home
    from distill_engine.console import scanning

    with scanning() as on_progress:
        found = datasets.scan(dataset, cache=home.cache_folder(), on_progress=on_progress)
    click.echo(json_module.dumps(datasets.plain_data(found), indent=2) if as_json else datasets.describe(found))
    if not found.used:
        sys.exit(2)


@cli.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@_settings
@_as_json
def preprocess(dataset: Path, config_file: Path | None, preset: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Prepare DATASET now, so that training starts at once."""
    from distill_engine import home
    from distill_engine.console import view_for
    from distill_engine.start import Wishes

    plan = _planned(dataset, Wishes(preset=preset, config_file=config_file, settings=settings))
    from distill_engine.training.loop import prepare

    prepare(plan.scan, plan.config, home.cache_folder(), view_for(json=as_json).show, lambda: False)


@cli.group(invoke_without_command=True)
@_as_json
@click.pass_context
def cache(context: click.Context, as_json: bool) -> None:
    """Say how much room prepared sound takes, or clear it."""
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
    """Remove all prepared sound; it is made anew when next needed."""
    from distill_engine import home
    from distill_engine.audio.cache import clear_cache
    from distill_engine.words import counted, size

    removed = clear_cache(home.cache_folder())
    click.echo(f"removed {counted(removed.files, 'file')}, {size(removed.bytes)}", err=True)


@cli.command()
@_as_json
def models(as_json: bool) -> None:
    """List the models in the library."""
    import msgspec

    from distill_engine import library

    entries = library.list_models()
    if as_json:
        click.echo(msgspec.json.encode([library.describe(entry) for entry in entries]))
        return
    from distill_engine import catalogue

    click.echo(catalogue.table(entries))


@cli.group()
def model() -> None:
    """Look at, rename, delete, import or export one model."""


@model.command()
@click.argument("name", metavar="MODEL")
@_as_json
def show(name: str, as_json: bool) -> None:
    """Say all that is known of MODEL."""
    import msgspec

    from distill_engine import library

    entry = library.find_model(name)
    if as_json:
        click.echo(msgspec.json.encode(library.describe(entry)))
        return
    from distill_engine import catalogue

    click.echo(catalogue.details(entry))


@model.command()
@click.argument("name", metavar="MODEL")
@click.argument("new_name")
def rename(name: str, new_name: str) -> None:
    """Give MODEL another name."""
    from distill_engine import library

    before = library.find_model(name)
    _say(f"{shown(before.name)} is now {library.rename(before, new_name).name}")


@model.command()
@click.argument("name", metavar="MODEL")
@click.option("--yes", is_flag=True, help="Don't ask.")
def delete(name: str, yes: bool) -> None:
    """Delete MODEL."""
    from distill_engine import library
    from distill_engine.words import size

    entry = library.find_model(name)
    if not yes and not _agreed(f"delete {shown(str(entry.path))}, {size(entry.size)}?"):
        raise DistillError(f"{shown(entry.name)} was not deleted", "--yes deletes it without asking")
    library.delete(entry)
    _say(f"deleted {shown(entry.name)}")


@model.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--name", default="", help="What to call it.  [default: the file's name]")
def import_model(source: Path, name: str) -> None:
    """Copy the .distill file SOURCE into the library."""
    from distill_engine import library

    entry = library.import_model(source, name)
    _say(f"imported as {entry.name}")


@model.command()
@click.argument("name", metavar="MODEL")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace what is there.")
def export(name: str, target: Path, force: bool) -> None:
    """Copy MODEL to the file or into the folder TARGET."""
    from distill_engine import library

    click.echo(library.export(library.find_model(name), target, overwrite=force))


@cli.command()
@click.argument("name", metavar="MODEL")
@click.option("--duration", type=click.FloatRange(0.1, 3600), default=4.0, show_default=True, help="Seconds.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option(
    "--count", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many, from that seed on."
)
@click.option("--out", type=click.Path(path_type=Path), help="A file, or a folder for several.  [default: here]")
@click.option("--format", "file_format", type=click.Choice(FORMATS), help="[default: as --out ends, else wav]")
def generate(name: str, duration: float, seed: int, count: int, out: Path | None, file_format: str | None) -> None:
    """Make new sound from MODEL."""
    from distill_engine import library

    entry = library.find_model(name)
    from distill_engine.rendering import Request, render

    for path in render(entry, Request(duration=duration, seed=seed, count=count, out=out, file_format=file_format)):
        click.echo(path)


@cli.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--model", "name", metavar="MODEL", default="", help="Through this model too.")
def roundtrip(source: Path, target: Path, name: str) -> None:
    """Hear the best that any model could make of a recording.

    The recording IN is mixed to mono and sent through the representation that models work on and back; OUT becomes a
    WAV file in floating point at 48 kHz.
    """
    from distill_engine import library

    entry = library.find_model(name) if name else None
    from distill_engine.rendering import round_trip

    round_trip(source, target, entry)
    click.echo(target)


@cli.command()
@_as_json
def bench(as_json: bool) -> None:
    """Measure how fast this machine trains."""
    from distill_engine.bench import measure

    result = measure()
    click.echo(json_module.dumps(result.as_data()) if as_json else result.in_words())


@cli.command()
def demo() -> None:
    """Try all of it on made-up sounds, in under two minutes."""
    from distill_engine.demo import run_demo

    sys.exit(run_demo())


def main() -> None:
    """Run the command line; end with the exit status that fits."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a model's name may hold what a terminal can't show
    try:
        cli.main(prog_name="distill-engine", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _complain(*_usage(error))
        sys.exit(error.exit_code)
    except DistillError as error:
        _complain(error.message, error.hint)
        sys.exit(error.exit_status)
    except (KeyboardInterrupt, StopRequestedError, click.exceptions.Abort):
        _complain("stopped", "")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a list went away: nothing is wrong, and nothing can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # no traceback reaches a user
        _complain(f"something broke inside Distill: {type(error).__name__}: {error}", _kept_traceback())
        sys.exit(1)


def _say(text: str) -> None:
    """Write words for a person; where the terminal is gone, a command still ends as it would have."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def _complain(message: str, hint: str) -> None:
    _say("\n".join([f"distill-engine: {message}", *(f"  {line}" for line in hint.splitlines())]))


def _usage(error: click.ClickException) -> tuple[str, str]:
    """Return click's complaint in the form of our own: a sentence and a hint."""
    message, _, more = error.format_message().rstrip(".").partition(". ")
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = more or f"see {context.command_path if context else 'distill-engine'} --help"
    return message[:1].lower() + message[1:], hint[:1].lower() + hint[1:]


def _agreed(question: str) -> bool:
    """Ask; where nobody can answer, that is no."""
    click.echo(f"{question} [y/N] ", nl=False, err=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        click.echo(err=True)
    return answer.strip().lower() in {"y", "yes"}


def _kept_traceback() -> str:
    import traceback

    from distill_engine import home

    path = home.state_folder() / "distill-engine.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(traceback.format_exc())
    except OSError:
        return "please report it"
    return f"please report it; details are in {path}"


if __name__ == "__main__":
    main()
