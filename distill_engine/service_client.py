"""The helper process as a front end sees it: ask and await the answer; the loop is never blocked.

The process is started at the first question and kept. Its standard input is its life line: when this process dies in
whatever way, the helper ends. It has a session of its own, so that ctrl+c in the terminal isn't meant for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, overload

import msgspec

from distill_engine import home
from distill_engine.errors import DistillError
from distill_engine.service_messages import (
    AnyAnswer,
    AnyRequest,
    AugmentedPictures,
    AugmentedPicturesDrawn,
    Cancel,
    Cancelled,
    Compare,
    Compared,
    Explore,
    Explored,
    Generate,
    Generated,
    Message,
    Progress,
    Refused,
    Wanted,
    decode_answer,
    encode,
)
from distill_engine.spawning import command_of, environment

OnProgress = Callable[[Progress], object]

LONGEST_LINE = 1 << 26
"""Bytes of an answer: a mel picture of 256 rows and 10,000 columns has 14 MB."""

LARGEST_LOG = 1 << 20
"""Bytes after which the log begins afresh."""

GRACE_SECONDS = 3.0
"""How long the helper may take to end when it is no longer needed."""


class Service:
    """The helper process: started when first asked, kept, replaced if it died."""

    def __init__(self) -> None:
        self._helper: _Helper | None = None
        self._one_at_a_time = asyncio.Lock()

    @overload
    async def ask(self, request: Generate, on_progress: OnProgress = ...) -> Generated: ...

    @overload
    async def ask(self, request: Explore, on_progress: OnProgress = ...) -> Explored: ...

    @overload
    async def ask(self, request: Compare, on_progress: OnProgress = ...) -> Compared: ...

    @overload
    async def ask(self, request: AugmentedPictures, on_progress: OnProgress = ...) -> AugmentedPicturesDrawn: ...

    async def ask(self, request: AnyRequest, on_progress: OnProgress = lambda _progress: None) -> Wanted:
        """Return what was asked for. Several may wait; they are answered one after another, in the order asked.

        A task that is cancelled while it waits gives the request up; sounds that are written by then stay.

        Raises:
            DistillError: it was refused, or the helper can't be started, or died before it answered.
        """
        helper = await self._living()
        return await helper.ask(request, on_progress)

    async def close(self) -> None:
        """End the helper, also amid an answer; whoever waits for one gets DistillError. Safe when it never started."""
        async with self._one_at_a_time:
            if self._helper:
                await self._helper.end()
            self._helper = None

    async def _living(self) -> _Helper:
        async with self._one_at_a_time:
            if self._helper is None or self._helper.ended:
                self._helper = _Helper(await _started())
            return self._helper


class _Helper:
    """One process, and all who wait for an answer of it."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._requests, self._answers = process.stdin, process.stdout
        self._waiting: dict[int, tuple[asyncio.Future[AnyAnswer], OnProgress]] = {}
        self._ids = itertools.count(1)
        self._listening = asyncio.create_task(self._listen(), name="listen to the helper process")

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None or self._listening.done()

    async def ask(self, request: AnyRequest, on_progress: OnProgress) -> Wanted:
        number = next(self._ids)
        future: asyncio.Future[AnyAnswer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future, on_progress
        try:
            self._say(msgspec.structs.replace(request, id=number))
            answer = await future
        except asyncio.CancelledError:
            self._say(Cancel(id=number))
            raise
        finally:
            del self._waiting[number]
        match answer:
            case Refused():
                raise DistillError(answer.message, answer.hint)
            case Cancelled():  # nobody who still waits gave it up
                raise _death(0)
        return answer

    async def end(self) -> None:
        self._requests.close()
        await self._status()
        await asyncio.wait([self._listening])

    def _say(self, message: Message) -> None:
        """Send it; a helper that died in the meantime is told of by `_listen`."""
        if not self._requests.is_closing():
            self._requests.write(encode(message))

    async def _listen(self) -> None:
        """Hand out what the helper says until it ends, and tell all who still wait that it did."""
        try:
            while line := await self._answers.readline():
                self._take(decode_answer(line))
        finally:
            self._requests.close()
            error = _death(await self._status())
            for future, _ in self._waiting.values():
                if not future.done():
                    future.set_exception(error)

    def _take(self, message: AnyAnswer | Progress) -> None:
        future, on_progress = self._waiting.get(message.id, (None, None))
        if future is None or on_progress is None or future.done():
            return  # who asked has given up
        if not isinstance(message, Progress):
            future.set_result(message)
            return
        try:
            on_progress(message)
        except Exception as error:  # a matter between who asked and who shows it
            future.set_exception(error)

    async def _status(self) -> int:
        """Return the exit status of a process that should be ending, and is killed where it takes its time."""
        try:
            return await asyncio.wait_for(self._process.wait(), GRACE_SECONDS)
        except TimeoutError:  # and not sooner: a signal to a process that has ended takes its status from asyncio
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            return await self._process.wait()


async def _started() -> Process:
    """Start a helper.

    Raises:
        DistillError: the system refuses.
    """
    try:
        with _log() as log:
            return await asyncio.create_subprocess_exec(
                *command_of("service"),
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                cwd="/",  # so that no disk is kept from being unmounted
                env=environment(),
                start_new_session=True,
                limit=LONGEST_LINE,
            )
    except OSError as error:
        raise DistillError(f"the helper process can't be started: {error.strerror}", error.filename or "") from None


@contextlib.contextmanager
def _log() -> Iterator[IO[bytes] | int]:
    """Yield where a helper's own words go: nowhere if not to the log."""
    path = _log_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        log = path.open("ab")
    except OSError:
        yield DEVNULL
        return
    with log:
        if log.tell() > LARGEST_LOG:
            log.truncate(0)
        yield log


def _log_file() -> Path:
    return home.state_folder() / "service.log"


def _death(status: int) -> DistillError:
    if status == 0:
        how = "was closed before it answered"
    elif status == -signal.SIGKILL:
        how = "was killed, as happens where the memory runs out"
    else:
        how = f"was ended by signal {-status}" if status < 0 else f"ended with exit status {status}"
    return DistillError(
        f"the helper process {how}", f"ask again: another one is started; details may be in {_log_file()}"
    )
