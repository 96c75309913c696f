"""Runs from outside, as any front end sees them: follow one, give it an order and await the answer, start a worker.

Nothing here disturbs a run: following reads its log and asks for its lock, an order is one line added to a file, and a
worker is started into a session of its own, where no lost terminal reaches it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable

from distill_engine import run_folder
from distill_engine.errors import DistillError
from distill_engine.event_reader import EventReader, missing_ending
from distill_engine.events import (
    ENDINGS,
    AnyCommand,
    AnyEvent,
    CommandAnswered,
    RunFailed,
    RunRestarted,
    RunStarted,
    WarningRaised,
    command_name,
    encode,
)
from distill_engine.names import user_name
from distill_engine.run_folder import RunFolder
from distill_engine.run_lock import lock_holder, trained_elsewhere
from distill_engine.run_state import FOLDER_GONE
from distill_engine.spawning import command_of, environment
from distill_engine.start import Plan, new_run
from distill_engine.words import counted, shown

Events = asyncio.Queue[list[AnyEvent] | None]

POLL_SECONDS = 0.075
"""How far behind a follower may be, but for the time that reading takes."""

LOOK_SECONDS = 0.5
"""How often a silent run's lock is asked for."""

BATCHES_WAITING = 8
"""A reader slower than the run makes the follower wait, not grow."""

READ_APART = 1 << 15
"""More bytes than this are decoded in a thread: 0.1 ms of work isn't worth one."""

BEGIN_SECONDS = 180.0
"""How long a worker may take until it writes its first event: loading torch from a slow disk takes most of it."""


class NotRunningError(DistillError):
    """No worker lives to take an order."""


@contextlib.asynccontextmanager
async def follow(run: RunFolder, after: int = 0) -> AsyncIterator[Events]:
    """Yield a queue of batches of the run's events with a `seq` greater than `after`: history first, then live.

    None is the end: the run ended, its worker died or its folder is gone. Of the latter two a `RunFailed` tells, which
    is the last event before the None, has `seq` 0 and stands in no file. The worker of the run must be another process.
    """
    queue: Events = asyncio.Queue(maxsize=BATCHES_WAITING)
    task = asyncio.create_task(_feed(queue, run, after), name=f"follow {run.name}")
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()


async def _feed(queue: Events, run: RunFolder, after: int) -> None:
    """Fill the queue until the run ends."""
    try:
        await _tell(queue, run, EventReader(run, after))
    except FileNotFoundError:
        await queue.put([_failed(run, FOLDER_GONE, "it was deleted or moved, or its disk is away")])
    except OSError as error:
        await queue.put([_failed(run, f"the run's log can't be read: {error.strerror}", "the run itself may go on")])
    except Exception:
        await queue.put(None)  # nobody must wait for ever; whoever leaves `follow` gets the error
        raise
    await queue.put(None)


async def _tell(queue: Events, run: RunFolder, reader: EventReader) -> None:
    """Put batches as they come, until nothing more will.

    Raises:
        FileNotFoundError: the run's folder is gone.
        OSError: the log can't be read.
    """
    look_at, warned = 0.0, False
    while True:
        if events := await _news(reader, run):
            await queue.put(events)
            continue
        if reader.unreadable and not warned:
            warned = True
            await queue.put([_unreadable(run, reader.unreadable)])
        if isinstance(reader.last, ENDINGS) or time.monotonic() >= look_at:
            look_at = time.monotonic() + LOOK_SECONDS
            if lock_holder(run) is None and await _tell_end(queue, run, reader):
                return
        await asyncio.sleep(POLL_SECONDS)


async def _tell_end(queue: Events, run: RunFolder, reader: EventReader) -> bool:
    """Put what a worker that is no more wrote at last, or else could not write; return whether that was all."""
    over = isinstance(reader.last, ENDINGS)
    if not over:
        await asyncio.sleep(POLL_SECONDS)  # a folder being deleted may lose its lock before its log
    if events := await _news(reader, run):
        await queue.put(events)
        return False
    ending = missing_ending(run, reader.last)
    if ending:
        await queue.put([*ending])
    return over or bool(ending)


async def _news(reader: EventReader, run: RunFolder) -> list[AnyEvent]:
    """Return what was written since last time, none also where there is no log yet.

    Raises:
        FileNotFoundError: the run's folder is gone.
        OSError: the log can't be read.
    """
    try:
        unread = reader.unread()
        if unread > READ_APART:
            return await asyncio.to_thread(reader.read)
        return reader.read() if unread else []
    except FileNotFoundError:
        if reader.last is None and run.run_file.exists():
            return []
        raise


async def command(
    run: RunFolder,
    kind: type[AnyCommand],
    timeout: float,
    *,
    on_heard: Callable[[CommandAnswered], object] = lambda _answer: None,
    sender: str = "",
) -> CommandAnswered:
    """Give the run an order and return its answer, `done` or `refused`; `on_heard` is called once it was read.

    Raises:
        NotRunningError: no worker lives, or it ended before it answered.
        DistillError: the deadline passed, or the order can't be written.
    """
    if lock_holder(run) is None:
        raise NotRunningError(
            f"run {run.name} isn't running", f"distill-engine show {run.name} says how it ended and what to do next"
        )
    order = kind(id=run_folder.new_id(), time=time.time(), sender=sender or _sender())
    deadline = time.monotonic() + timeout
    heard = False
    try:
        reader = EventReader.at_end(run)
        _append(run, encode(order))
        while time.monotonic() < deadline:
            holder = lock_holder(run)  # asked before reading: what was answered by then is then surely read
            events = await _news(reader, run)
            for event in events:
                if isinstance(event, CommandAnswered) and event.id == order.id:
                    if event.answer != "heard":
                        return event
                    heard = True
                    on_heard(event)
            if holder is None and not events:
                raise NotRunningError(
                    f"run {run.name} ended before it answered {command_name(order)}",
                    f"distill-engine show {run.name} says how it ended",
                )
            await asyncio.sleep(POLL_SECONDS)
    except OSError as error:
        raise DistillError(f"the answer of run {run.name} can't be read: {error.strerror}") from None
    raise _late(run, command_name(order), timeout, heard)


def _append(run: RunFolder, line: bytes) -> None:
    """Add a line in one write, so that two senders never mix.

    Raises:
        DistillError: it can't be written.
    """
    try:
        descriptor = os.open(run.commands_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666)
        try:
            written = os.write(descriptor, _after_a_torn_line(run) + line)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DistillError(f"{run.commands_file} can't be written: {error.strerror}", _by_signal(run)) from None
    if written < len(line):
        raise DistillError(f"{run.commands_file} can't be written: the disk is full", _by_signal(run))


def _after_a_torn_line(run: RunFolder) -> bytes:
    """Return what ends a line that another sender could only write in part; nothing where there is none."""
    with run.commands_file.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return b"" if file.read(1) in (b"", b"\n") else b"\n"


def _late(run: RunFolder, name: str, timeout: float, heard: bool) -> DistillError:
    told = "heard" if heard else "has not heard"
    end = "but has not carried it out" if heard else "yet"
    return DistillError(
        f"after {timeout:g} s run {run.name} {told} {name} {end}",
        f"it still may: distill-engine follow {run.name} tells; {_by_signal(run)}",
    )


def _by_signal(run: RunFolder) -> str:
    holder = lock_holder(run)
    if not holder or holder < 0:
        return f"distill-engine show {run.name} says on which machine it runs"
    return (
        f"kill {holder} asks it to save and end, kill -9 {holder} ends it at once, "
        "and resume goes on from the newest checkpoint"
    )


def _sender() -> str:
    return f"{os.environ.get('USER') or user_name()}@{socket.gethostname()}"


async def start_run(plan: Plan, name: str | None = None) -> RunFolder:
    """Make the plan's run and a worker of its own for it; return once the run has begun.

    Raises:
        UsageError: the name can't be one.
        DistillError: it did not begin.
    """
    run = await asyncio.to_thread(new_run, plan, name)
    await start_worker(run)
    return run


async def start_worker(run: RunFolder, timeout: float = BEGIN_SECONDS) -> RunStarted | RunRestarted:
    """Start a worker that outlives this process and its terminal; return the event by which the run begins or goes on.

    Raises:
        DistillError: it did not begin, with the reason.
    """
    if (holder := lock_holder(run)) is not None:
        raise trained_elsewhere(run, holder)
    try:
        return await _begun(run, timeout)
    except OSError as error:
        raise DistillError(
            f"no worker of run {run.name} can be started: {error.strerror}", error.filename or ""
        ) from None


async def _begun(run: RunFolder, timeout: float) -> RunStarted | RunRestarted:
    """Start a worker and wait for its first word. Raises as `start_worker`, and OSError."""
    reader = EventReader.at_end(run)
    log_size = run.worker_log.stat().st_size if run.worker_log.exists() else 0
    worker = _spawned(run)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        ended = worker.poll() is not None  # asked before reading: its last words are then surely read
        for event in await _news(reader, run):
            if isinstance(event, RunStarted | RunRestarted):
                if event.pid != worker.pid:
                    raise trained_elsewhere(run, event.pid)
                return event
            if isinstance(event, RunFailed):
                raise DistillError(event.message, event.hint)
        if ended:
            hint = _last_words(run, log_size, worker.returncode)
            raise DistillError(f"the worker of run {run.name} ended before it began", hint)
        await asyncio.sleep(POLL_SECONDS)
    raise DistillError(
        f"the worker of run {run.name} has not begun after {timeout:g} s",
        f"it is process {worker.pid} and may still begin: distill-engine follow {run.name} tells",
    )


def _spawned(run: RunFolder) -> subprocess.Popen[bytes]:
    """Start a worker in a session of its own: no controlling terminal, input from nowhere, output to its log."""
    with run.worker_log.open("ab") as log:
        worker = subprocess.Popen(
            command_of("process", str(run.path.absolute())),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",  # so that no disk is kept from being unmounted
            env=environment(),
            start_new_session=True,
        )
    # Where this process lives on, an ended worker must not stay a zombie; asyncio's own children die with their loop.
    threading.Thread(target=worker.wait, name=f"wait for {run.name}", daemon=True).start()
    return worker


def _last_words(run: RunFolder, log_size: int, status: int) -> str:
    """Return why a worker ended, as far as its log tells behind what it held before, or its exit status."""
    with contextlib.suppress(OSError), run.worker_log.open("rb") as file:
        file.seek(log_size)
        lines = file.read().decode("utf-8", "replace").split("\n")
        if told := [line for line in lines if line.strip()]:
            return f"{shown(told[-1])}; details are in {run.worker_log}"  # no traceback, but what it came to
    return f"it was ended by signal {-status}" if status < 0 else f"its exit status was {status}"


def _failed(run: RunFolder, message: str, hint: str) -> RunFailed:
    return RunFailed(time=time.time(), message=message, hint=hint, log=str(run.worker_log))


def _unreadable(run: RunFolder, count: int) -> WarningRaised:
    return WarningRaised(
        time=time.time(),
        kind="unreadable",
        message=f"{counted(count, 'line')} of the log can't be read",
        evidence=str(run.events_file),
        suggestion="a newer version of Distill may have written them",
    )
