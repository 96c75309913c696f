"""Commands about runs: list, tell, follow, order about, delete. They work on a run's folder and load no torch."""

from __future__ import annotations

import asyncio
import shlex
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from distill_engine.commands.shared import FiniteRange, agreed, as_json_option, say, tell, tell_data, tell_path
from distill_engine.errors import DistillError
from distill_engine.words import shown

if TYPE_CHECKING:
    from distill_engine.events import AnyCommand, CommandAnswered, Event
    from distill_engine.run_folder import RunFolder
    from distill_engine.run_reading import Reading

DEADLINE_SECONDS = 60.0
LET_GO_SECONDS = 60.0
"""How long a worker that has answered a stop may take to write its last line and end."""

F = TypeVar("F", bound=Callable[..., Any])


def _deadline(command: F) -> F:
    return click.option(
        "--timeout",
        type=FiniteRange(0.1),
        default=DEADLINE_SECONDS,
        show_default=True,
        help="Seconds to wait for the answer.",
    )(command)


@click.command()
@as_json_option
def runs(as_json: bool) -> None:
    """List the runs, the newest first."""
    from distill_engine import run_folder, run_words

    readings, now = list(map(_outlined, run_folder.list_runs())), time.time()
    if as_json:
        tell_data([run_words.row(reading, now) for reading in readings])
    else:
        tell(run_words.table(readings, now))


def _outlined(folder: RunFolder) -> Reading:
    """Return what a list shows of a run; one that can't be read must not hide the others."""
    from distill_engine.run_reading import outline, unreadable

    try:
        return outline(folder)
    except OSError as error:
        return unreadable(folder, error)


@click.command()
@click.argument("name", metavar="RUN")
@as_json_option
def show(name: str, as_json: bool) -> None:
    """Tell RUN in sentences.

    They say how far it is and how good, what was saved, what was wrong, what changed since yesterday, and what to do
    next.
    """
    from distill_engine import run_folder, run_words
    from distill_engine.run_reading import read

    now = time.time()
    reading = read(run_folder.find(name), before=now - run_words.DAY)
    if as_json:
        tell_data(run_words.description(reading, now))
    else:
        tell(run_words.story(reading, now))


@click.command()
@click.argument("name", metavar="RUN")
@as_json_option
def follow(name: str, as_json: bool) -> None:
    """Show what RUN did and does, from its beginning until it ends."""
    from distill_engine import run_folder
    from distill_engine.events import RunFailed

    folder = run_folder.find(name)
    try:
        last = asyncio.run(_followed(folder, _shower(folder, as_json)))
    except KeyboardInterrupt:
        say(f"\nrun {shown(folder.name)} goes on")
        sys.exit(130)
    if isinstance(last, RunFailed):
        sys.exit(1)


@click.command()
@click.argument("name", metavar="RUN")
@click.option("--now", is_flag=True, help="With a checkpoint alone: no preview, no model.")
@_deadline
def stop(name: str, now: bool, timeout: float) -> None:
    """End RUN with checkpoint, preview and model.

    It ends after the step under way; `resume` goes on from there.
    """
    from distill_engine import run_folder
    from distill_engine.client import NotRunningError
    from distill_engine.event_log import last_event
    from distill_engine.events import Stop, StopNow
    from distill_engine.run_lock import lock_holder

    folder = run_folder.find(name)
    if lock_holder(folder) is None:
        if last_event(folder) is None:
            raise DistillError(f"run {shown(folder.name)} has no worker yet", "if it is just being started, ask again")
        say(_how_it_ended(folder))
        return
    try:
        answer = _answer(folder, StopNow if now else Stop, timeout)
    except NotRunningError:
        _end_as_wished(folder)
        return
    except DistillError as error:
        sooner = "" if now else f"distill-engine stop {shlex.quote(folder.name)} --now skips preview and model\n"
        raise DistillError(error.message, f"{sooner}{error.hint}") from None
    if answer.answer == "done":
        tell_done(folder, answer)
    _wait_until_let_go(folder)
    if answer.answer == "refused":
        _end_as_wished(folder)


@click.command()
@click.argument("name", metavar="RUN")
@_deadline
def pause(name: str, timeout: float) -> None:
    """Let RUN wait, with the GPU's memory free.

    It waits after the step under way, until `resume` lets it go on.
    """
    from distill_engine.events import Pause

    _order(name, Pause, timeout)


@click.command()
@click.argument("name", metavar="RUN")
@_deadline
def checkpoint(name: str, timeout: float) -> None:
    """Save a checkpoint of RUN after the step under way."""
    from distill_engine.events import Checkpoint

    _order(name, Checkpoint, timeout)


@click.command()
@click.argument("name", metavar="RUN")
@click.option("--yes", is_flag=True, help="Don't ask.")
def delete(name: str, yes: bool) -> None:
    """Delete RUN; its model stays in the library.

    Its checkpoints and previews go with it.
    """
    from distill_engine import run_folder, run_removal
    from distill_engine.words import size

    folder = run_folder.find(name)
    run_removal.refuse_living(folder)
    if not yes and not agreed(f"delete {shown(str(folder.path))}, {size(run_removal.size_of_run(folder))}?"):
        raise DistillError(f"{shown(folder.name)} was not deleted", "--yes deletes it without asking")
    run_removal.remove_run(folder)
    say(f"deleted {shown(folder.name)}")


async def _followed(folder: RunFolder, show_events: Callable[[list[Event]], None]) -> Event | None:
    """Show all events of a run until it ends; return the last one."""
    from distill_engine import client

    last: Event | None = None
    async with client.follow(folder) as queue:
        while (batch := await queue.get()) is not None:
            show_events([*batch])
            last = batch[-1]
    return last


def _shower(folder: RunFolder, as_json: bool) -> Callable[[list[Event]], None]:
    from distill_engine.console import json_line, most_seconds, view_for

    def write(events: list[Event]) -> None:
        # Unlike a run's own view this one has nothing else to do: a closed pipe ends the command.
        click.echo(b"".join(map(json_line, events)), nl=False)

    if as_json:
        return write
    view = view_for(json=False, most_seconds=most_seconds(folder))

    def show_each(events: list[Event]) -> None:
        for event in events:
            view.show(event)

    return show_each


def _order(name: str, kind: type[AnyCommand], timeout: float) -> None:
    """Give an order to the run of that name, and tell what came of it."""
    from distill_engine import run_folder

    folder = run_folder.find(name)
    tell_done(folder, ordered(folder, kind, timeout))


def ordered(folder: RunFolder, kind: type[AnyCommand], timeout: float = DEADLINE_SECONDS) -> CommandAnswered:
    """Give an order and return the answer once it is carried out.

    Raises:
        DistillError: it was refused, with the reason; or there was no answer.
    """
    answer = _answer(folder, kind, timeout)
    if answer.answer == "refused":
        raise DistillError(f"run {shown(folder.name)} refused {answer.command}: {answer.words}")
    return answer


def _answer(folder: RunFolder, kind: type[AnyCommand], timeout: float) -> CommandAnswered:
    from distill_engine import client

    def on_heard(answer: CommandAnswered) -> None:
        say(f"run {shown(folder.name)} heard {answer.command}")

    return asyncio.run(client.command(folder, kind, timeout, on_heard=on_heard))


def tell_done(folder: RunFolder, answer: CommandAnswered) -> None:
    """Say what was done, and print where what was saved lies."""
    say(f"done: {answer.words}")
    if answer.path:
        tell_path(folder.path / answer.path)


def _wait_until_let_go(folder: RunFolder) -> None:
    """Wait until the worker is gone, so that whoever asked for the end may resume or delete the run at once.

    What was asked for is done by then; its model may still be analysed for half a minute.
    """
    from distill_engine.run_lock import lock_holder

    deadline = time.monotonic() + LET_GO_SECONDS
    while lock_holder(folder) is not None and time.monotonic() < deadline:
        time.sleep(0.02)


def _end_as_wished(folder: RunFolder) -> None:
    """Tell the end of a run that ended by itself before it could follow the order to stop.

    Raises:
        DistillError: it failed.
    """
    from distill_engine.events import RunFailed
    from distill_engine.run_reading import outline

    state = outline(folder).state
    if state.phase in ("stopped", "finished"):
        say(_how_it_ended(folder))
        return
    why = f"{shown(state.ending.message)}\n" if isinstance(state.ending, RunFailed) else ""
    raise DistillError(_how_it_ended(folder), f"{why}distill-engine show {shlex.quote(folder.name)} tells more")


def _how_it_ended(folder: RunFolder) -> str:
    from distill_engine import run_words
    from distill_engine.run_reading import outline

    return run_words.ended_in_words(outline(folder), time.time())
