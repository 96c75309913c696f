"""A run's folder: the names inside it, what it was started with, making one, finding one.

Its log stands in `event_log`, the right to write into it in `run_lock`.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from distill_engine import atomic, home
from distill_engine.errors import DistillError, NotFoundError, RunGoneError, UsageError
from distill_engine.events import Moment
from distill_engine.names import checked_name, nearest_words
from distill_engine.small_files import UNREADABLE, read_small
from distill_engine.words import shown

RUN_FILE = "run.json"
EVENTS_FILE = "events.jsonl"


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
