"""A run's folder: the names inside it, making one, finding one, its event log, and the lock its only writer holds.

The lock is a POSIX record lock, not flock: a forked helper doesn't inherit it, so a killed worker's run is free at
once, and a reader can ask who holds it (F_GETLK) without ever taking it. Such a lock falls with *any* close of the
file in its process, so only `RunLock` ever opens the file there. Where the file system has no locks, a heartbeat stands
in.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import msgspec
from msgspec import Meta

from distill_engine import atomic, heartbeat, home
from distill_engine.errors import DistillError, NotFoundError, RunGoneError, UsageError
from distill_engine.events import LONGEST_LINE, AnyEvent, Count, Event, Moment, decode, encode
from distill_engine.heartbeat import Heartbeat
from distill_engine.names import checked_name, nearest_words
from distill_engine.room import keep_room
from distill_engine.small_files import UNREADABLE, opened, read_small, written_stretches
from distill_engine.words import shown

RUN_FILE = "run.json"
EVENTS_FILE = "events.jsonl"

ROOM_KEPT = 1 << 16
"""Bytes: two hundred events, or as many orders."""

_BLOCK = 1 << 16


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was started with and must be resumed with; stands in `run.json`.

    `device`, `precision` and `threads` are empty, empty and 0 until the worker has decided them. They are kept, for
    other ones change the bytes of the result. `start_from` is the model training goes on from, or empty.
    """

    id: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
    name: str
    dataset: str
    created: Moment
    preset: str
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)]
    start_from: str = ""
    device: str = ""
    precision: str = ""
    threads: Annotated[int, Meta(ge=0, le=1 << 12)] = 0
    versions: dict[str, str]

    def __post_init__(self) -> None:
        try:
            checked_name(self.name)
        except UsageError as error:
            raise ValueError(error.message) from None


@dataclass(frozen=True)
class RunFolder:
    """The names inside a run's folder."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name: that of its folder."""
        return self.path.name

    @property
    def run_file(self) -> Path:
        """What the run was started with, as JSON."""
        return self.path / RUN_FILE

    @property
    def config_file(self) -> Path:
        """The run's own copy of its configuration, with what `auto` came to."""
        return self.path / "config.toml"

    @property
    def events_file(self) -> Path:
        """Every event, one line each."""
        return self.path / EVENTS_FILE

    @property
    def commands_file(self) -> Path:
        """Every command, one line each."""
        return self.path / "commands.jsonl"

    @property
    def worker_log(self) -> Path:
        """What a person isn't shown: tracebacks and libraries' warnings."""
        return self.path / "worker.log"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def previews(self) -> Path:
        """The folder of previews, one folder a preview."""
        return self.path / "previews"

    @property
    def lock_file(self) -> Path:
        """The file whose lock the only writer holds."""
        return self.path / "lock"

    @property
    def heartbeat_file(self) -> Path:
        """What stands in for the lock where the file system has none."""
        return self.path / "heartbeat"

    def inside(self, name: str) -> Path:
        """Return the file that an event names by its path relative to the run's folder.

        Raises:
            DistillError: it leads elsewhere; a log may come from anybody.
        """
        path = self.path / name
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # of names that can't be one, and links in a loop
            if path.resolve().is_relative_to(self.path.resolve()):
                return path
        raise DistillError(f"{name} isn't in the run's folder, so it isn't opened")

    def info(self) -> RunInfo:
        """Read `run.json`.

        Raises:
            DistillError: it is missing or broken.
        """
        try:
            return msgspec.json.decode(read_small(self.run_file), type=RunInfo)
        except (OSError, *UNREADABLE) as error:
            raise DistillError(f"{self.run_file} can't be read: {error}", "the run can't be resumed") from None

    def write_info(self, info: RunInfo) -> None:
        """Make `run.json` hold `info`."""
        atomic.write_bytes(self.run_file, msgspec.json.format(msgspec.json.encode(info), indent=2) + b"\n")


def create(name: str) -> RunFolder:
    """Make a new run folder; where the name is taken it gets `-2`, `-3`, and so on."""
    runs = home.runs_folder()
    wanted = checked_name(name)
    number = 1
    while True:
        folder = RunFolder(runs / (wanted if number == 1 else f"{wanted}-{number}"))
        try:
            folder.path.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise DistillError(f"no run folder can be made in {runs}: {error.strerror}", "see DISTILL_HOME") from None
        else:
            return folder


def make_inside(path: Path) -> None:
    """Make a folder inside a run's where it isn't there yet, and never the run's own anew: it may have been moved.

    Raises:
        RunGoneError: the run's folder is gone.
    """
    try:
        path.mkdir(exist_ok=True)
    except FileNotFoundError:
        raise RunGoneError(
            f"the run's folder is gone: {shown(str(path.parent))}",
            "it was deleted or moved, so nothing can be saved there",
        ) from None


def new_id() -> str:
    """Return a name for a run that no other run on any machine has."""
    return uuid.uuid4().hex


def list_runs() -> list[RunFolder]:
    """Return every run folder, the newest first."""
    runs = home.runs_folder()
    if not runs.is_dir():
        return []
    made: list[tuple[float, RunFolder]] = []
    for path in runs.iterdir():
        # One may be deleted at this moment, or be another user's.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            made.append(((path / RUN_FILE).stat().st_mtime, RunFolder(path)))
    return [folder for _, folder in sorted(made, key=lambda one: one[0], reverse=True)]


def find(run: str) -> RunFolder:
    """Return the run of that name, id or path.

    Raises:
        NotFoundError: there is none.
    """
    runs = list_runs()
    for folder in runs:
        if folder.name == run:
            return folder
    for candidate in (RunFolder(Path(run)), RunFolder(Path(run).parent)):
        if candidate.run_file.is_file() and os.sep in run:
            return RunFolder(candidate.path.resolve())
    for folder in runs:
        with contextlib.suppress(DistillError):  # another run's broken file must not hide this one
            if folder.info().id == run:
                return folder
    raise NotFoundError(f"there is no run {run!r}", nearest_words(run, [folder.name for folder in runs], "runs"))


def last_event(folder: RunFolder) -> AnyEvent | None:
    """Return the event on the last whole line; None where there is no line, or none that this version understands."""
    try:
        with os.fdopen(opened(folder.events_file), "rb") as file:
            line = _last_line(file.fileno())
    except FileNotFoundError:
        return None
    try:
        return decode(line)
    except ValueError:  # what a power cut left; a worker cuts it off
        return None


def answered_commands(folder: RunFolder) -> frozenset[str]:
    """Return the ids of all commands that were carried out or refused."""
    with folder.events_file.open("rb") as file:
        answers = [_answer(line) for line in file if line.startswith(b'{"type":"CommandAnswered"')]
    return frozenset(answer.id for answer in answers if answer is not None and answer.answer != "heard")


def _answer(line: bytes) -> _Answer | None:
    try:
        return msgspec.json.decode(line, type=_Answer)
    except UNREADABLE:  # another version's, or rubbish: neither may keep a run from going on
        return None


class _Answer(msgspec.Struct):
    id: str
    answer: str


class EventLog:
    """Appends events to a run's log, numbering them. Only the holder of the run's lock may make one.

    A line goes out in one write, so a reader sees whole lines but for a last one torn by a kill; opening the log cuts
    such a line off. Lines that the disk doesn't take wait in memory, in their order, and room is kept for some behind
    the end of the file, so that of a full disk one can be told.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.events_file
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        self.last_seq = self._mend()
        self._waiting: deque[bytes] = deque()
        self._writing = threading.Lock()
        self._room_to = 0
        self._torn_at = -1

    @property
    def is_behind(self) -> bool:
        """Whether lines wait for the disk."""
        return bool(self._waiting)

    def append(self, event: Event) -> Event:
        """Write the event with the next `seq` and the time, or let it wait for the disk; return it as numbered."""
        numbered = msgspec.structs.replace(event, seq=self.last_seq + 1, time=time.time())
        self.last_seq = numbered.seq
        self._waiting.append(encode(numbered))
        with contextlib.suppress(OSError):
            self.catch_up()
        return numbered

    def catch_up(self) -> None:
        """Write what waits; OSError where the disk doesn't take it."""
        with self._writing, self._named():
            while self._waiting:
                self._write(self._waiting[0])
                self._waiting.popleft()

    def sync(self) -> None:
        """Write what waits and make it durable; OSError where that can't be."""
        self.catch_up()
        with self._named():
            os.fsync(self._descriptor)

    def close(self) -> None:
        """As `sync`, and let go of the file and of the room behind its end."""
        try:
            self.sync()
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size)
        finally:
            os.close(self._descriptor)

    def _write(self, line: bytes) -> None:
        if self._torn_at >= 0:
            os.ftruncate(self._descriptor, self._torn_at)
            self._torn_at, self._room_to = -1, 0
        end = os.fstat(self._descriptor).st_size
        if end + len(line) + ROOM_KEPT // 2 > self._room_to:
            keep_room(self._descriptor, end, ROOM_KEPT)
            self._room_to = end + ROOM_KEPT
        written = os.write(self._descriptor, line)
        if written != len(line):
            self._torn_at = end
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Let what goes wrong tell the file: a descriptor has no name."""
        try:
            yield
        except OSError as error:
            error.filename = str(self._path)
            raise

    def _mend(self) -> int:
        """Cut off what follows the last line that is an event; return that event's `seq`, 0 where there is none.

        A kill leaves a torn line, a power cut perhaps a stretch of zeros, or one that was never written.
        """
        written = written_stretches(self._descriptor)
        os.ftruncate(self._descriptor, written[-1][1] if written else 0)
        while tail := _tail(self._descriptor):
            line = _last_line(self._descriptor)
            seq = _seq(line)
            if seq and tail.endswith(b"\n"):
                return seq
            bad = len(tail.rpartition(b"\n")[2]) or len(line) + 1
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - bad)
        return 0


def keep_room_for_commands(folder: RunFolder) -> None:
    """Let orders be written on a full disk too. Only the holder of the run's lock may ask for it."""
    descriptor = os.open(folder.commands_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        keep_room(descriptor, os.fstat(descriptor).st_size, ROOM_KEPT)
    finally:
        os.close(descriptor)


def _seq(line: bytes) -> int:
    """Return the number of the event on a line, 0 if it is none."""
    try:
        return msgspec.json.decode(line, type=_Numbered).seq
    except UNREADABLE:
        return 0


class _Numbered(msgspec.Struct):
    seq: Count


def _last_line(descriptor: int) -> bytes:
    """Return the last whole line of a file, empty where there is none."""
    return b"".join(_tail(descriptor).rpartition(b"\n")[0].rsplit(b"\n", 1)[-1:])


def _tail(descriptor: int) -> bytes:
    """Return the end of a file: all of it, or enough to hold its last whole line and what follows, if that is one."""
    start = size = os.fstat(descriptor).st_size
    blocks: list[bytes] = []
    ends = 0
    while ends < 2 and start > 0 and size - start < LONGEST_LINE:
        end, start = start, max(0, start - _BLOCK)
        blocks.append(os.pread(descriptor, end - start, start))
        ends += blocks[-1].count(b"\n")
    return b"".join(reversed(blocks))


class RunLock:
    """The right to write into a run folder, held until `release` or the end of the process, however it ends."""

    def __init__(self, folder: RunFolder) -> None:
        self._descriptor = open_lock(folder.lock_file)
        self._heartbeat: Heartbeat | None = None
        if not self._locked(folder):
            os.close(self._descriptor)
            raise trained_elsewhere(folder, lock_holder(folder))

    def _locked(self, folder: RunFolder) -> bool:
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            if error.errno not in heartbeat.NO_LOCKS:
                raise
            self._heartbeat = heartbeat.take(folder.heartbeat_file)
            return self._heartbeat is not None
        return True

    @property
    def is_heartbeat(self) -> bool:
        """Whether a heartbeat stands in for a lock that the file system hasn't got."""
        return self._heartbeat is not None

    def release(self) -> None:
        """Let another process write."""
        if self._heartbeat:
            self._heartbeat.stop()
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def open_lock(path: Path) -> int:
    """Open a file to lock, which is the user's alone: whoever may open it can also lock it, and let others wait."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:  # made by an earlier version, or unpacked
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, 0o600)
    return descriptor


def refuse_links(folder: RunFolder) -> None:
    """Raise DistillError where something in a run's folder is a link: a run's writing must not land elsewhere."""
    for place, folders, files in os.walk(folder.path):
        for name in (*folders, *files):
            path = Path(place, name)
            if path.is_symlink():
                raise DistillError(
                    f"run {folder.name} can't go on: in its folder {path.relative_to(folder.path)} is a link",
                    "what a run writes stays in its folder: put the file or folder itself there",
                )


def trained_elsewhere(folder: RunFolder, holder: int | None) -> DistillError:
    """Return what one is told who wants to train a run that `holder` trains."""
    message = f"run {folder.name} is being trained by process {holder}"
    return DistillError(message, "wait until it ends, or end it first")


def lock_holder(folder: RunFolder) -> int | None:
    """Return the process id that holds the run's lock, None where nobody does. Asks, and never takes it.

    A process on another machine is told by -1 or by an id that means nothing here: only that there is one is certain.
    The process that holds the lock itself must not ask.
    """
    # struct flock, see fcntl(2): Linux has type, whence, start, length, pid; macOS start, length, pid, type, whence.
    linux = sys.platform.startswith("linux")
    layout = "hhqqi4x" if linux else "qqihh"
    question = (fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0) if linux else (0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
    try:
        if not folder.lock_file.is_file():  # nor can anybody hold a pipe's
            return None
        descriptor = opened(folder.lock_file)  # to read, which is enough to ask: one may have no right to write
    except FileNotFoundError:
        return None
    except PermissionError:  # another user's
        return _holder_by_system(folder.lock_file) or heartbeat.holder(folder.heartbeat_file)
    try:
        answer = struct.unpack(layout, fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(layout, *question)))
    except OSError as error:
        if error.errno not in heartbeat.NO_LOCKS:
            raise
        return heartbeat.holder(folder.heartbeat_file)
    finally:
        os.close(descriptor)
    kind, holder = (answer[0], answer[4]) if linux else (answer[3], answer[2])
    return None if kind == fcntl.F_UNLCK else holder


def _holder_by_system(lock_file: Path) -> int | None:
    """Return who holds a lock that one may not open, as the system's list of locks tells, which only Linux has."""
    try:
        inode, locks = lock_file.stat().st_ino, Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    # Such as "1: POSIX  ADVISORY  WRITE 4711 fd:00:2531452 0 EOF". Some file systems tell another device than stat.
    held = (fields for line in locks if len(fields := line.split()) > 5 and fields[1] == "POSIX")
    return next((int(one[4]) or -1 for one in held if one[5].rpartition(":")[2] == str(inode)), None)
