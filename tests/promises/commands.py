"""Commands of `distill-engine`, each process of them forked off one that has loaded torch already.

So a run of a second costs a second, and the code is the real one, from the command line down.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

from distill_engine.events import AnyEvent, decode
from distill_engine.run_folder import RunFolder
from distill_engine.training.config import Value
from tests.engine.program import small
from tests.promises.faults import FaultyDisk

PATIENCE = 240.0

RUN: dict[str, Value] = {
    "max_epochs": 2,
    "checkpoint_keep": 2,
    "batch_size": 4,
    "checkpoint_interval": 1,
    "preview_recordings": 1,
    "preview_samples": 1,
    "preview_seconds": 0.5,
}
"""A run of a second that prepares, trains, saves twice, previews and leaves a model."""

_CONTEXT = multiprocessing.get_context("forkserver")
# All that a run comes to import, so that each costs its own work and nothing else.
_CONTEXT.set_forkserver_preload(
    [
        "distill_engine.worker",
        "distill_engine.start",
        "distill_engine.console",
        "psutil",
        "soundfile",
        "torch._dynamo",
        "tests.promises.commands",
    ]
)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The requests to the disk that are refused, from number `first` on, and with what."""

    first: int = 0
    count: int = 0
    number: int = errno.EIO

    def __str__(self) -> str:
        return f"{errno.errorcode[self.number]} on request {self.first} ({self.count} in a row)"


def _nothing(_home: Path) -> Sequence[str]:
    return ()


@dataclass(frozen=True, kw_only=True)
class World:
    """What is otherwise for commands than usual: a disk with a fault, no rights of root's, a clock that jumps."""

    fault: Fault = Fault()
    powerless: bool = False
    jumping: bool = False
    look: Callable[[Path], Sequence[str]] = _nothing
    """Asked before each request to the disk that is refused: what is broken in the home now."""


USUAL = World()


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What commands came to: exit statuses, words, requests to the disk, and what was found broken meanwhile."""

    statuses: tuple[int, ...]
    words: str
    asked: int
    refused: int
    first_refused: str
    broken: tuple[str, ...]

    @property
    def went_well(self) -> bool:
        return not any(self.statuses)

    def check_words(self) -> Self:
        """Check that all of it was said in sentences, and return it."""
        assert "Traceback" not in self.words, self
        assert "something broke" not in self.words, self
        assert self.went_well or "distill-engine: " in self.words or "failed: " in self.words, self
        return self


class Given:
    """Commands on their way, one after the other until one fails, in a process of their own."""

    def __init__(self, home: Path, *commands: Sequence[str | Path], world: World = USUAL) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._ours, theirs = _CONTEXT.Pipe()
        texts = [[*map(str, command)] for command in commands]
        self.process = _CONTEXT.Process(target=_give, args=(theirs, home, texts, world), daemon=True)
        self.process.start()
        theirs.close()

    @property
    def is_over(self) -> bool:
        """Whether what came of them is there."""
        return self._ours.poll(0)

    def ran(self) -> Ran:
        """Return what came of them, in sentences, once they have ended."""
        try:
            assert self._ours.poll(PATIENCE), f"no end after {PATIENCE:g} s"
            ran = self._ours.recv()
        finally:
            self.process.kill()
            self.process.join()
        assert isinstance(ran, Ran)
        return ran.check_words()


def training(dataset: Path, name: str = "run", settings: Mapping[str, Value] = {}) -> list[str]:
    """Return the command of a small run."""
    return ["train", str(dataset), "--name", name, *small(**RUN | {**settings})]


def events(home: Path, run: str = "run") -> list[AnyEvent]:
    """Return what a run told until now."""
    log = RunFolder(home / "state/runs" / run).events_file
    lines = log.read_bytes().splitlines(keepends=True) if log.exists() else []
    return [event for line in lines if line.endswith(b"\n") and (event := decode(line)) is not None]


def await_event(home: Path, kind: type[AnyEvent], given: Given, run: str = "run") -> None:
    """Wait until a run that is being trained has told of something."""
    deadline = time.monotonic() + PATIENCE
    while not any(isinstance(event, kind) for event in events(home, run)):
        assert not given.is_over, given.ran()
        assert time.monotonic() < deadline, f"no {kind.__name__} after {PATIENCE:g} s"
        time.sleep(0.02)


def _give(answer: Connection, home: Path, commands: list[list[str]], world: World) -> None:
    from distill_engine import cli

    os.environ |= {"DISTILL_HOME": str(home), "OMP_NUM_THREADS": "1"}
    broken: list[str] = []
    disk = FaultyDisk(
        str(home),
        first=world.fault.first,
        count=world.fault.count,
        number=world.fault.number,
        on_refusal=lambda: broken.extend(world.look(home)),
    )
    disk.install()
    if world.powerless:
        _drop_power()
    if world.jumping:
        _let_the_clock_jump()
    words, statuses = io.TextIOWrapper(io.BytesIO(), "utf-8"), []
    with contextlib.redirect_stdout(words), contextlib.redirect_stderr(words):
        for arguments in commands:
            statuses.append(_status_of(cli.main, arguments))
            if statuses[-1]:
                break
    words.seek(0)
    answer.send(
        Ran(
            statuses=tuple(statuses),
            words=words.read(),
            asked=disk.asked,
            refused=disk.refused,
            first_refused=disk.first_refused,
            broken=tuple(broken),
        )
    )


def _status_of(main: Callable[[], None], arguments: list[str]) -> int:
    sys.argv = ["distill-engine", *arguments]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException as error:
        sys.stderr.write(f"Traceback: {error!r}\n")
        return -1
    return 0


def _drop_power() -> None:
    """Let rights on files hold for root too: no capability is left."""
    version_3, itself = 0x20080522, 0
    header = (ctypes.c_uint32 * 2)(version_3, itself)
    assert ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()) == 0


def _let_the_clock_jump() -> None:
    """Let the time of day be days off, back and forth, each time it is asked for."""
    real, draw = time.time, random.Random(0)
    time.time = lambda: real() + draw.choice((-1, 1)) * draw.uniform(0, 3e5)
