"""How the processes that train a model together come together, and how they part.

Rank 0 is the run's worker. It prepares the recordings alone and leaves a task in a store that all can read: settings,
and where in the cache the spectrograms lie. The others take it from there, say that they are ready, and all join.

On one machine rank 0 starts the others, as children that end when it does. torchrun, or a batch script in its manner,
starts all of them, on machines that share a disk with the cache.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec
import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from distill_engine.audio.cache import CacheEntry, Runs
from distill_engine.audio.preprocessing import PreparedCorpus, PreparedItem
from distill_engine.audio.spectrogram import Normalisation
from distill_engine.errors import ConfigError, RankLostError, StopRequestedError
from distill_engine.launched import Place, place
from distill_engine.spawning import command_of, environment
from distill_engine.training.config import TrainingConfig, replaced
from distill_engine.training.ranks import ALONE, End, Ranks, Watch

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

ANSWER_SECONDS = 120.0
"""Within a step every rank waits so long for the others at most. One that was killed is told of at once, for its
connections close; this is for one whose machine lost its power, or that hangs."""

JOIN_SECONDS = 300.0
"""So long the others may take until they are ready: loading torch from a slow disk takes most of it."""

LEFT_ALONE = 75
"""Exit status of a rank that ended only because another one had."""

_FOREVER = datetime.timedelta(days=365)
_POLL_SECONDS = 0.05
_BLAME_SECONDS = 3.0
_TASK, _READY = "task", "ready"
_RESUMES = "what was saved is kept, and resume goes on from there"

_log = logging.getLogger(__name__)


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A prepared item as far as a loader needs it; the path in bytes, for it may be no text."""

    path: bytes
    frames: int
    n_mels: int
    active: Runs
    runs: Runs

    @property
    def entry(self) -> CacheEntry:
        """The spectrogram in the cache."""
        path = Path(os.fsdecode(self.path))
        return CacheEntry(path=path, frames=self.frames, n_mels=self.n_mels, active=self.active)

    @property
    def usable_frames(self) -> int:
        """How many frames the runs have."""
        return sum(stop - start for start, stop in self.runs)


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What a rank needs to know to take part."""

    config: TrainingConfig
    items: tuple[Item, ...]
    normalisation: Normalisation
    threads: int


@contextlib.contextmanager
def together(corpus: PreparedCorpus, config: TrainingConfig, should_stop: Callable[[], bool]) -> Iterator[Ranks]:
    """Yield rank 0 of `config.num_processes`, once all others are there; they end with the context.

    Raises:
        ConfigError: there are fewer GPUs than processes, or another number of them was started together.
        RankLostError: one of them ended.
        StopRequestedError: as `should_stop` asked.
    """
    here = place()
    _check_number(config, here)
    if config.num_processes == 1:
        yield ALONE
        return
    task = Task(
        config=config,
        items=tuple(_item(one) for one in corpus.training),
        normalisation=corpus.normalisation,
        threads=torch.get_num_threads(),
    )
    with tempfile.TemporaryDirectory(prefix="distill-ranks-", ignore_cleanup_errors=True) as folder:
        others = _Started(here) if here else _Children(Path(folder), config.num_processes)
        try:
            ranks = _gathered(others, task, should_stop)
            yield ranks
            ranks.tell(End())
        except BaseException:
            others.kill()
            give_up(config)
            raise
        others.kill()
        leave()


def device_of(config: TrainingConfig, local: int) -> str:
    """Return the device of the rank with this number on its machine: GPUs are taken one after the other."""
    if config.device == "cpu":
        return "cpu"
    return f"cuda:{int(config.device.partition(':')[2] or 0) + local}"


def read_task(store: Store, local: int) -> Task:
    """Return the task that rank 0 leaves, as soon as it does, with this rank's device in its configuration."""
    store.wait([_TASK], _FOREVER)
    task = msgspec.json.decode(store.get(_TASK), type=Task)
    config = replaced(task.config, {"device": device_of(task.config, local)})
    return msgspec.structs.replace(task, config=config)


def say_ready(store: Store, rank: int) -> None:
    """Tell rank 0 that this one joins now."""
    store.set(f"{_READY}/{rank}", "")


def join(store: Store, rank: int, config: TrainingConfig, watch: Watch) -> Ranks:
    """Join the others, all of whom do it now."""
    answer = datetime.timedelta(seconds=ANSWER_SECONDS)
    try:
        dist.init_process_group("gloo", store=store, rank=rank, world_size=config.num_processes, timeout=answer)
        words = dist.new_group(backend="gloo", timeout=_FOREVER)
        tensors = dist.group.WORLD
        if config.device != "cpu":
            torch.cuda.set_device(torch.device(device_of(config, 0)))
            tensors = dist.new_group(backend="nccl", timeout=answer)
    except RuntimeError as error:
        raise watch.blame(error) from error
    return Ranks(number=rank, count=config.num_processes, tensors=tensors, words=words, watch=watch)


def leave() -> None:
    """Let go of the others."""
    if dist.is_initialized():
        dist.destroy_process_group()


def give_up(config: TrainingConfig) -> None:
    """Let go of others that may be gone: what GPUs have begun together can't be waited for then."""
    if config.device != "cpu" and dist.is_initialized():
        dist.distributed_c10d._abort_process_group()
    else:
        leave()


def store_of(here: Place, url: str = "env://") -> Store:
    """Return the store at `url`, by default the one that torchrun's variables tell of, as soon as it can be reached."""
    timeout = _FOREVER if here.rank else datetime.timedelta(seconds=JOIN_SECONDS)
    store, _, _ = next(rendezvous(url, here.rank, here.count, timeout=timeout))
    return cast("Store", store)


class _Started:
    """The other ranks where something else started and watches them."""

    def __init__(self, here: Place) -> None:
        self._here, self._count = here, here.count

    def store(self) -> Store:
        try:
            return store_of(self._here)
        except RuntimeError as error:
            raise RankLostError("the other ranks didn't come", f"{error}; {_RESUMES}") from None

    def look(self) -> None:
        """Nothing tells until they don't answer."""

    def blame(self, error: RuntimeError) -> RankLostError:
        who = "rank 1" if self._count == 2 else f"one of the ranks 1 to {self._count - 1}"
        _log.error("%s", error)
        return RankLostError(
            f"{who} of {self._count} is gone or doesn't answer", f"{_RESUMES}; its own output tells more"
        )

    def kill(self) -> None:
        """Whatever started them sees to that."""


class _Children:
    """The other ranks as children of this process. Each reads from a pipe that closes when this process ends."""

    def __init__(self, folder: Path, count: int) -> None:
        if sys.platform == "linux":
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # nobody outside has a part in it
        self._folder, self._count = folder, count
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def store(self) -> Store:
        path = self._folder / "store"
        store = store_of(Place(rank=0, count=self._count, local=0), f"file://{path}")
        for rank in range(1, self._count):
            with self._output(rank).open("wb") as output:
                self._processes[rank] = subprocess.Popen(
                    command_of("training.follower", str(path), str(rank), str(self._count)),
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    env=environment(),
                )
        return store

    def look(self) -> None:
        if self._ended():
            raise self._lost()

    def blame(self, error: RuntimeError) -> RankLostError:
        deadline = time.monotonic() + _BLAME_SECONDS
        while not self._ended() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        if self._ended():
            return self._lost()
        _log.error("%s", error)
        who = "rank 1" if self._count == 2 else f"one of the ranks 1 to {self._count - 1}"
        return RankLostError(f"{who} of {self._count} lives, but doesn't answer", _RESUMES)

    def kill(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
            assert process.stdin is not None
            process.stdin.close()

    def _output(self, rank: int) -> Path:
        return self._folder / f"rank-{rank}.log"

    def _ended(self) -> dict[int, int]:
        statuses = {rank: process.poll() for rank, process in self._processes.items()}
        return {rank: status for rank, status in statuses.items() if status is not None}

    def _lost(self) -> RankLostError:
        """Return what is to be told of the rank that ended, and of several the one that did so by itself."""
        ended = self._ended()
        rank = min(ended, key=lambda rank: (ended[rank] == LEFT_ALONE, rank))
        status, words = ended[rank], self._output(rank).read_text(errors="replace").strip()
        if words:
            _log.error("rank %d: %s", rank, words)
        how = f"its exit status was {status}" if status >= 0 else f"it was ended by {signal.Signals(-status).name}"
        hint = f"{words.splitlines()[-1]}; {_RESUMES}" if words else _RESUMES
        return RankLostError(f"rank {rank} of {self._count} is gone: {how}", hint)


def _gathered(others: _Started | _Children, task: Task, should_stop: Callable[[], bool]) -> Ranks:
    """Leave the task, wait until all others are ready, and join them."""
    store = others.store()
    store.set(_TASK, msgspec.json.encode(task).decode())
    ready = [f"{_READY}/{rank}" for rank in range(1, task.config.num_processes)]
    deadline = time.monotonic() + JOIN_SECONDS
    while not store.check(ready):
        others.look()
        if should_stop():
            raise StopRequestedError
        if time.monotonic() > deadline:
            raise RankLostError(f"not all ranks were ready after {JOIN_SECONDS:g} s", _RESUMES)
        time.sleep(_POLL_SECONDS)
    return join(store, 0, task.config, others)


def _item(prepared: PreparedItem) -> Item:
    entry = prepared.entry
    return Item(
        path=os.fsencode(entry.path.absolute()),
        frames=entry.frames,
        n_mels=entry.n_mels,
        active=entry.active,
        runs=prepared.runs,
    )


def _check_number(config: TrainingConfig, here: Place | None) -> None:
    count = config.num_processes
    if here is not None and here.count != count:
        raise ConfigError(
            f"num_processes is {count}, but {here.count} processes were started together",
            "a run goes on with as many as it began with",
            "num_processes",
        )
    if here is None and count > 1 and config.device != "cpu":
        first, there = int(config.device.partition(":")[2] or 0), torch.cuda.device_count()
        if first + count > there:
            raise ConfigError(
                f"num_processes is {count}, but from {config.device} on there are {there - first} GPUs",
                "each process takes one: lower num_processes, or set device to cpu",
                "num_processes",
            )
