"""Commands that make and go on with a run, and those that look at or prepare a folder of recordings for one."""

from __future__ import annotations

import asyncio
import itertools
import json as json_module
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from distill_engine.commands.shared import as_json_option, say, tell
from distill_engine.training.presets import PRESETS
from distill_engine.words import shown

if TYPE_CHECKING:
    from distill_engine.events import Event
    from distill_engine.launched import Place
    from distill_engine.run_folder import RunFolder
    from distill_engine.start import Plan, Wishes
    from distill_engine.training.config import TrainingConfig

F = TypeVar("F", bound=Callable[..., Any])

_detach_option = click.option("--detach", is_flag=True, help="Train in the background, with no terminal.")


def _settings_options(command: F) -> F:
    """Add the options that say what a run should be."""
    options = (
        click.option("--config", "config_file", type=click.Path(path_type=Path), help="Settings from a TOML file."),
        click.option("--preset", type=click.Choice(PRESETS), default="auto", show_default=True),
        click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--name", default=None, help="What to call the run and its model.  [default: the folder's name]")
@_settings_options
@click.option("--from", "start_from", metavar="MODEL", default="", help="Go on from a model's weights.")
@click.option("--dry-run", is_flag=True, help="Say what the run would be and what it would take; start nothing.")
@_detach_option
@as_json_option
def train(
    dataset: Path,
    name: str | None,
    config_file: Path | None,
    preset: str,
    settings: tuple[str, ...],
    start_from: str,
    dry_run: bool,
    detach: bool,
    as_json: bool,
) -> None:
    """Train a model on the recordings in DATASET."""
    from distill_engine.names import checked_name
    from distill_engine.settings import load_settings
    from distill_engine.start import Wishes, new_run

    if here := _started_together(detach):
        if here.rank:
            _follow(here, needed=not dry_run)
        settings = (*settings, f"num_processes={here.count}")
    load_settings()  # a mistake in them is told now, not when the run ends
    if name is not None:
        checked_name(name)
    plan = _planned(dataset, Wishes(preset=preset, config_file=config_file, settings=settings, start_from=start_from))
    if dry_run:
        _print_plan(plan, as_json)
        return
    _check_device(plan.config)
    _begin(new_run(plan, name), detach, as_json)


@click.command()
@click.argument("name", metavar="RUN")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated.")
@_detach_option
@as_json_option
def resume(name: str, settings: tuple[str, ...], detach: bool, as_json: bool) -> None:
    """Go on with RUN, from its newest checkpoint or its pause."""
    from distill_engine import run_folder
    from distill_engine.going_on import what_lets_go_on
    from distill_engine.run_lock import lock_holder
    from distill_engine.settings import load_settings
    from distill_engine.start import prepare_to_resume

    if (here := _started_together(detach)) and here.rank:
        _follow(here)
    load_settings()
    folder = run_folder.find(name)
    if not settings and lock_holder(folder) is not None:
        _unpause(folder, detach, as_json)
    elif prepare_to_resume(folder, settings):
        _begin(folder, detach, as_json)
    else:
        say(f"run {shown(folder.name)} has finished; {what_lets_go_on(folder)} lets it go on")


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@as_json_option
def scan(dataset: Path, as_json: bool) -> None:
    """Say what is in DATASET and what is wrong with it."""
    from distill_engine import datasets, home
    from distill_engine.console import scanning

    with scanning() as on_progress:
        found = datasets.scan(dataset, cache=home.cache_folder(), on_progress=on_progress)
    if as_json:
        click.echo(json_module.dumps(datasets.plain_data(found), indent=2))
    else:
        tell(datasets.describe(found))
    if not found.used:
        sys.exit(2)


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@_settings_options
@as_json_option
def preprocess(dataset: Path, config_file: Path | None, preset: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Prepare DATASET now, so that training starts at once."""
    from distill_engine import home
    from distill_engine.console import view_for
    from distill_engine.start import Wishes

    plan = _planned(dataset, Wishes(preset=preset, config_file=config_file, settings=settings))
    from distill_engine.training.loop import prepare

    prepare(plan.scan, plan.config, home.cache_folder(), _numbering(view_for(json=as_json).show), lambda: False)


def _planned(dataset: Path, wishes: Wishes) -> Plan:
    from distill_engine.console import scanning
    from distill_engine.start import plan_run

    with scanning() as on_progress:
        return plan_run(dataset, wishes, on_progress=on_progress)


def _print_plan(plan: Plan, as_json: bool) -> None:
    from distill_engine import home
    from distill_engine.start import describe_plan, plan_data
    from distill_engine.training.forecast import forecast
    from distill_engine.words import duration, size

    say("taking a few steps to see how fast this machine is")
    takes = forecast(plan.config, plan.estimate, plan.scan, home.cache_folder())
    if as_json:
        seconds = {
            "preparing": takes.preparing,
            "training": takes.training,
            "analysing": takes.analysing,
            "total": takes.total,
        }
        click.echo(json_module.dumps(plan_data(plan) | {"seconds": seconds, "run_bytes": takes.run_bytes}, indent=2))
        return
    spectrograms, model = plan.estimate.cache_bytes, plan.estimate.model_bytes
    sliders = f", {duration(takes.analysing)} to find its sliders" if takes.analysing else ""
    tell(describe_plan(plan))
    tell(
        f"about {size(spectrograms + takes.run_bytes + model)} of disk: {size(spectrograms)} for spectrograms, "
        f"{size(takes.run_bytes)} for the run at its fullest, {size(model)} for the model"
    )
    tell(
        f"about {duration(takes.total)}: {duration(takes.preparing)} to prepare what isn't in the cache, "
        f"{duration(takes.training)} to train{sliders}"
    )


def _started_together(detach: bool) -> Place | None:
    """Return this process's place among those that torchrun started together, if it did."""
    from distill_engine.errors import UsageError
    from distill_engine.launched import place

    here = place()
    if here is not None and detach:
        raise UsageError("--detach can't be used where several processes were started together", "leave it out")
    return here


def _follow(here: Place, *, needed: bool = True) -> NoReturn:
    """Be a rank other than 0, which takes part in training and does nothing else."""
    from distill_engine.training.follower import follow

    sys.exit(follow(here) if needed else 0)


def _check_device(config: TrainingConfig) -> None:
    """Tell of a device that isn't there before anything is started; only a GPU can be missing, and it takes torch."""
    if config.device.startswith("cuda"):
        from distill_engine.training.hardware import found_device

        found_device(config.device)


def _begin(folder: RunFolder, detach: bool, as_json: bool) -> None:
    """Let a run begin or go on: here until it ends, or in the background."""
    if detach:
        _start_in_background(folder, as_json)
        return
    from distill_engine.commands.foreground import work

    sys.exit(work(folder, as_json=as_json))


def _start_in_background(folder: RunFolder, as_json: bool) -> None:
    from distill_engine.client import start_worker
    from distill_engine.login_manager import login_manager_ends_processes

    if danger := login_manager_ends_processes():
        say(f"careful: {danger.replace('this process', 'the run')}")
    try:
        begun = asyncio.run(start_worker(folder))
    except KeyboardInterrupt:
        say(f"\nrun {shown(folder.name)} may begin all the same")
        _tell_ways(folder)
        sys.exit(130)
    _print_run(folder, begun.pid, as_json)


def _print_run(folder: RunFolder, pid: int, as_json: bool) -> None:
    """Print which run is in the background, and say how one gets at it."""
    if as_json:
        data = {"name": folder.name, "id": folder.info().id, "path": str(folder.path), "pid": pid}
        click.echo(json_module.dumps(data))
        return
    click.echo(shown(folder.name))
    say(f"run {shown(folder.name)} goes on in the background, as process {pid}")
    _tell_ways(folder)


def _tell_ways(folder: RunFolder) -> None:
    name = shlex.quote(shown(folder.name))
    say(f"  distill-engine follow {name} shows it")
    say(f"  distill-engine stop {name} ends it with a model")


def _unpause(folder: RunFolder, detach: bool, as_json: bool) -> None:
    """Let a living run go on that was paused."""
    from distill_engine.commands.runs import ordered, tell_done
    from distill_engine.console import json_line
    from distill_engine.events import Unpause
    from distill_engine.run_lock import lock_holder

    answer = ordered(folder, Unpause)
    if detach and as_json:
        _print_run(folder, lock_holder(folder) or 0, as_json)
    elif as_json:
        click.echo(json_line(answer), nl=False)
    else:
        tell_done(folder, answer)


def _numbering(show: Callable[[Event], object]) -> Callable[[Event], None]:
    """Return what shows events numbered and with their time, as a run's log would have them."""
    import msgspec

    numbers = itertools.count(1)

    def show_numbered(event: Event) -> None:
        show(msgspec.structs.replace(event, seq=next(numbers), time=time.time()))

    return show_numbered
