"""Folders that can't be written or read or are gone, clocks that jump, and names that are no names: in sentences."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from distill_engine.events import CheckpointSaved, RunPaused
from distill_engine.training.config import Value
from tests.engine.recordings import good
from tests.promises.commands import Given, World, await_event, events, training
from tests.promises.trial import Figure

Command = Sequence[str | Path]
ODD_NAME = "Geräusche  \n\x1b[31m [b]🎻[/b] %s"
ALLOWED_NAME = "Geräusche [b]🎻 %s $HOME"
ENDLESS: dict[str, Value] = {"max_epochs": 10_000, "checkpoint_minutes": 0.0}


def rights_clocks_and_names(folder: Path, dataset: Path) -> Iterator[Figure]:
    """Try each, and count the commands that were given."""
    given = 0
    for trial in (_without_rights, _rights_that_come_back, _folder_deleted, _clock_that_jumps, _odd_names):
        home = folder / "surroundings"
        given += trial(home, dataset)
        shutil.rmtree(home)
    yield Figure(what="commands given without rights or folders, by a jumping clock and with odd names", count=given)


def _without_rights(home: Path, dataset: Path) -> int:
    """Take rights of folders and files from commands: each says so and nothing is lost."""
    assert Given(home, training(dataset)).ran().went_well
    run, model = home / "state/runs/run", home / "data/models/run.distill"
    cases: list[tuple[Path, int, Command]] = [
        (home, 0o000, training(dataset)),
        (home / "state", 0o555, ["runs"]),
        (home / "state/runs", 0o555, training(dataset)),
        (home / "state/runs", 0o000, ["show", "run"]),
        (run, 0o555, ["delete", "run", "--yes"]),
        (run, 0o555, ["resume", "run", "--set", "max_epochs=3"]),
        (run / "events.jsonl", 0o000, ["follow", "run"]),
        (run / "events.jsonl", 0o444, ["resume", "run", "--set", "max_epochs=3"]),
        (run / "lock", 0o000, ["resume", "run", "--set", "max_epochs=3"]),
        (run / "config.toml", 0o000, ["resume", "run"]),
        (run / "run.json", 0o000, ["show", "run"]),
        (model, 0o000, ["generate", "run", "--duration", "0.5"]),
        (model, 0o000, ["models"]),
        (home / "data/models", 0o555, ["model", "rename", "run", "other"]),
        (home / "data/models", 0o555, ["model", "delete", "run", "--yes"]),
        (home / "data/models", 0o000, ["models"]),
        (dataset, 0o000, ["scan", dataset]),
        (next(dataset.iterdir()), 0o000, ["scan", dataset]),
        (home / "cache", 0o555, ["scan", dataset]),
        (home / "cache/spectrograms", 0o000, ["preprocess", dataset]),
        (home / "cache/spectrograms", 0o555, ["cache", "clear"]),
        (home, 0o555, ["generate", "run", "--out", home / "new/x.wav", "--duration", "0.5"]),
        (home, 0o555, ["model", "export", "run", home / "x.distill"]),
    ]
    kept = _contents(home)
    for path, rights, command in cases:
        with _without(path, rights):
            Given(home, command, world=World(powerless=True)).ran()
        assert _contents(home) >= kept, (path, command)
    return len(cases)


@contextlib.contextmanager
def _without(path: Path, rights: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(rights)
    try:
        yield
    finally:
        path.chmod(before)


def _contents(home: Path) -> set[tuple[str, int]]:
    """Return what is there, by name and size, but for what is only appended to or can be made anew."""
    made = ("cache", "state/distill-engine.log")
    return {
        (str(path), path.stat().st_size)
        for path in home.rglob("*")
        if path.is_file() and not str(path.relative_to(home)).startswith(made) and path.suffix not in (".log", ".jsonl")
    }


def _rights_that_come_back(home: Path, dataset: Path) -> int:
    """Take the rights of a folder from a run that needs it: it waits, and goes on when they are back."""
    assert Given(home, ["preprocess", dataset]).ran().went_well
    models = home / "data/models"
    models.mkdir(parents=True)
    models.chmod(0o555)
    run = Given(home, training(dataset), world=World(powerless=True))
    await_event(home, RunPaused, run)
    told = Given(home, ["show", "run"]).ran()
    assert "permission denied" in told.words, told
    models.chmod(0o755)
    assert run.ran().went_well
    assert (models / "run.distill").is_file()
    return 3


def _folder_deleted(home: Path, dataset: Path) -> int:
    """Delete the folder of a run that trains: the run says so, ends, and makes nothing anew."""
    run = Given(home, training(dataset, settings=ENDLESS))
    await_event(home, CheckpointSaved, run)
    shutil.rmtree(home / "state/runs/run")
    ran = run.ran()
    assert ran.statuses == (1,), ran
    assert "the run's folder is gone" in ran.words, ran
    assert not (home / "state/runs/run").exists()
    assert Given(home, ["follow", "run"]).ran().statuses == (3,)
    return 2


def _clock_that_jumps(home: Path, dataset: Path) -> int:
    """Let the time of day jump by days while a run trains and is told of: nothing depends on it."""
    jumping = World(jumping=True)
    ran = Given(home, training(dataset), ["show", "run"], ["runs"], ["follow", "run"], ["models"], world=jumping).ran()
    assert ran.went_well, ran
    assert [event.seq for event in events(home)] == [*range(1, len(events(home)) + 1)]
    assert not re.search(r"(^|\s)-\d", ran.words), ran  # no time that is less than nothing
    return 5


def _odd_names(home: Path, dataset: Path) -> int:
    """Give all that has a name one that a terminal would stumble over: nothing of it reaches the screen as it is."""
    odd_home, recordings = home / ODD_NAME, home / "x" / ODD_NAME
    for number, name in enumerate((f"{ODD_NAME}.wav", " .wav", "-rf.wav", "a\tb\u202e.wav")):
        good(recordings / name, seed=number, frames=80_000)
    del dataset
    train = training(recordings)
    commands: list[Command] = [
        ["scan", recordings],
        training(recordings, ALLOWED_NAME),
        [*train[:2], *train[4:]],
        ["runs"],
        ["show", ALLOWED_NAME],
        ["follow", ALLOWED_NAME],
        ["stop", ALLOWED_NAME],
        ["models"],
        ["model", "show", ALLOWED_NAME],
        ["generate", ALLOWED_NAME, "--duration", "0.5", "--out", home / ODD_NAME / "made.wav"],
        ["model", "export", ALLOWED_NAME, home / f"{ODD_NAME}.distill"],
        ["model", "import", home / f"{ODD_NAME}.distill"],
        ["model", "rename", ALLOWED_NAME, "🎻"],
        ["delete", ALLOWED_NAME, "--yes"],
    ]
    ran = Given(odd_home, *commands).ran()
    assert ran.went_well, ran
    assert "\x1b[31m" not in ran.words, ran
    assert "\u202e" not in ran.words, ran
    refusals: list[Command] = [
        ["train", recordings, "--name", ODD_NAME],
        ["model", "rename", "🎻", ODD_NAME],
        ["show", ODD_NAME],
    ]
    for command in refusals:
        refused = Given(odd_home, command).ran()
        assert not refused.went_well, refused
        assert "\x1b[31m" not in refused.words, refused
    return len(commands) + 3
