"""Two hands on one thing: a run, a corpus, a model, and a program that is another version than the run's."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from distill_engine.events import PROTOCOL, EpochDone, RunFinished, RunRestarted, RunStopped
from distill_engine.run_folder import RunFolder
from tests.engine.runs import write_dataset
from tests.engine.writer import Writer, new_run
from tests.promises.commands import Given, await_event, events, training
from tests.promises.disk import lost_files
from tests.promises.surroundings import ENDLESS
from tests.promises.trial import Figure, Size
from tests.tui.terminal import DASHBOARD, Terminal

Line = dict[str, Any]


def hands(size: Size, folder: Path) -> Iterator[Figure]:
    """Let two want the same thing at once, in each way there is."""
    dataset = write_dataset(folder / "recordings", count=2)
    draw = random.Random(size.seed)
    for _ in range(size.of(1, 10)):
        _two_workers(_emptied(folder / "home"), dataset, draw)
    yield Figure(what="pairs of workers on one run, of which one trained", count=size.of(1, 10))
    _two_versions(_emptied(folder / "home"))
    yield Figure(what="commands to runs of older and newer versions", count=2 * len(_READING) + 2)
    if not size.whole:
        return
    alone = folder / "alone"
    assert Given(alone, training(dataset)).ran().went_well
    for _ in range(10):
        _two_trainings(_emptied(folder / "home"), dataset, alone, draw)
    yield Figure(what="pairs of trainings on one corpus, with the same bytes in the cache and the models", count=10)
    _start_deleted(_emptied(folder / "home"), dataset, alone)
    counted: Counter[str] = Counter()
    for number in range(60):
        _model_in_use(_emptied(folder / "home"), dataset, alone, draw, number, counted)
    yield Figure(what="models renamed or deleted while they were used", count=61)
    for what, count in sorted(counted.items()):
        yield Figure(what=f"of them, the user {what}", count=count)
    _two_dashboards(_emptied(folder / "home"), dataset)
    yield Figure(what="dashboards on one run that saw all of six orders", count=2)


def _emptied(home: Path) -> Path:
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    return home


def _two_workers(home: Path, dataset: Path, draw: random.Random) -> None:
    """Resume one run twice at the same moment: one trains it, the other says who does."""
    assert Given(home, training(dataset)).ran().went_well
    more = ["resume", "run", "--set", "max_epochs=4"]
    first = Given(home, more)
    time.sleep(draw.choice((0.0, draw.uniform(0.0, 0.3))))
    second = Given(home, more)
    both = [first.ran(), second.ran()]
    trained = [ran for ran in both if ran.went_well and "has finished" not in ran.words]
    assert len(trained) == 1, both
    other = next(ran for ran in both if ran is not trained[0])
    assert "is being trained by process" in other.words or "has finished" in other.words, both
    told = events(home)
    assert [event.seq for event in told] == [*range(1, len(told) + 1)]
    assert sum(isinstance(event, RunRestarted) for event in told) == 1
    assert isinstance(told[-1], RunFinished)


def _two_trainings(home: Path, dataset: Path, alone: Path, draw: random.Random) -> None:
    """Train twice at once on the same recordings, of which nothing is in the cache yet, under one name."""
    first = Given(home, training(dataset))
    time.sleep(draw.choice((0.0, draw.uniform(0.0, 0.3))))
    second = Given(home, training(dataset))
    assert first.ran().went_well
    assert second.ran().went_well
    assert {path.name for path in (home / "data/models").iterdir()} == {"run.distill", "run-2.distill"}
    assert not [*lost_files(home, alone)], [*lost_files(home, alone)]
    other = _emptied(home / "other")
    for part in ("cache", "state/runs", "data/models"):
        shutil.copytree(home / part, other / part)
    (other / "state/runs/run").rename(other / "state/runs/first")
    (other / "state/runs/run-2").rename(other / "state/runs/run")
    (other / "data/models/run-2.distill").replace(other / "data/models/run.distill")
    assert not [*lost_files(other, alone)], [*lost_files(other, alone)]


def _model_in_use(
    home: Path, dataset: Path, alone: Path, draw: random.Random, number: int, counted: Counter[str]
) -> None:
    """Rename or delete a model in the moment in which another command uses it: that succeeds, or says what is wrong."""
    models = home / "data/models"
    models.mkdir(parents=True)
    shutil.copy(alone / "data/models/run.distill", models / "first.distill")
    shutil.copytree(alone / "cache", home / "cache")
    uses = (
        ["generate", "first", "--duration", "0.5", "--count", "3", "--out", str(home / "sounds")],
        [*training(dataset, "second", {"latent_dim": 8}), "--from", "first"],
        ["model", "export", "first", str(home / "exported.distill")],
        ["model", "show", "first"],
        ["models"],
    )
    takes = (["model", "rename", "first", "other"], ["model", "delete", "first", "--yes"])
    if draw.random() < 0.3:
        taking = Given(home, takes[number % 2])
        time.sleep(draw.uniform(0.0, 0.05))
        using = Given(home, uses[number % len(uses)])
    else:
        using = Given(home, uses[number % len(uses)])
        time.sleep(draw.uniform(0.0, 0.3))
        taking = Given(home, takes[number % 2])
    assert taking.ran().went_well
    ran = using.ran()
    counted["succeeded" if ran.went_well else "was told in a sentence"] += 1
    assert ran.went_well or "first" in ran.words, ran


def _start_deleted(home: Path, dataset: Path, alone: Path) -> None:
    """Delete the model from which a run goes on that trains, and stop and resume that run: it needs it no more."""
    models = home / "data/models"
    models.mkdir(parents=True)
    shutil.copy(alone / "data/models/run.distill", models / "first.distill")
    run = Given(home, [*training(dataset, settings=ENDLESS), "--from", "first"])
    await_event(home, EpochDone, run)
    assert Given(home, ["model", "delete", "first", "--yes"], ["stop", "run", "--now"]).ran().went_well
    assert run.ran().went_well
    epochs = sum(isinstance(event, EpochDone) for event in events(home))
    assert Given(home, ["resume", "run", "--set", f"max_epochs={epochs + 2}"]).ran().went_well
    assert isinstance(events(home)[-1], RunFinished)


def _two_dashboards(home: Path, dataset: Path) -> None:
    """Watch one run from two terminals and order it about from both: each sees what the other asked for."""
    run = Given(home, training(dataset, settings=ENDLESS))
    await_event(home, EpochDone, run)
    command, environment = (*DASHBOARD, "--run", "run"), {"DISTILL_HOME": str(home)}
    with Terminal(command, environment=environment) as one, Terminal(command, environment=environment) as other:
        for terminal in (one, other):
            terminal.wait_for("training")
        for commander in (one, other, one):
            commander.press("p")
            for terminal in (one, other):
                terminal.wait_for("paused by")
            commander.press("p")
            for terminal in (one, other):
                terminal.wait_for(" so far")
        assert Given(home, ["stop", "run", "--now"]).ran().went_well
        for terminal in (one, other):
            terminal.wait_for("stopped by")
            terminal.press("q")
            assert terminal.wait_for_end() == 0
            assert b"Traceback" not in terminal.raw
    assert run.ran().went_well
    assert isinstance(events(home)[-1], RunStopped)


_READING = (
    ["runs"],
    ["runs", "--json"],
    ["show", "run"],
    ["show", "run", "--json"],
    ["follow", "run"],
    ["follow", "run", "--json"],
)


def _two_versions(home: Path) -> None:
    """Read runs whose log an older or a newer version writes, and order them about while they live."""
    for change in (_older, _newer):
        run = RunFolder(home / "state/runs/run")
        _write_run(run, change)
        ran = Given(home, *_READING).ran()
        assert ran.went_well, ran
        assert "something broke" not in ran.words
        shutil.rmtree(run.path)
    _newer_worker(Path(os.environ["DISTILL_HOME"]))
    _older_worker()


def _write_run(run: RunFolder, change: Callable[[Line], Iterator[Line]]) -> None:
    """Write a run that finished, as another version would have."""
    run.path.mkdir(parents=True)
    run.run_file.write_text(
        json.dumps(
            {"id": "0" * 32, "name": "run", "dataset": "/x", "created": 1.0, "preset": "auto", "seed": 0}
            | {"versions": {}, "invented_later": [1, 2]}
        )
    )
    run.config_file.write_text("max_epochs = 2\n")
    place = {"pid": 1, "host": "box", "device": "cpu", "precision": "fp32", "max_epochs": 2}
    losses = {f"{side}_{part}": 0.5 for side in ("train", "validation") for part in _PARTS}
    lines: list[Line] = [
        {"type": "RunStarted", "protocol": PROTOCOL, "run": "run", **place},
        {"type": "EpochDone", "epoch": 1, "step": 3, **losses, "best": True, "seconds_left": 1.0},
        {"type": "CheckpointSaved", "step": 3, "epoch": 1, "path": "checkpoints/x", "bytes": 1},
        {"type": "RunFinished", "step": 3, "epoch": 2, "reason": "x", "model": "m", "best_epoch": 1, "best_loss": 0.5},
    ]
    changed = [line for one in lines for line in change(one)]
    run.events_file.write_text(
        "".join(
            json.dumps({"type": line["type"], "seq": seq, "time": 1.7e9 + seq} | line) + "\n"
            for seq, line in enumerate(changed, 1)
        )
    )


_PARTS = ("loss", "magnitude", "frequency", "stft", "kl")


def _older(line: Line) -> Iterator[Line]:
    """Yield a line without what was added to it since: what may be left out."""
    yield line | ({"protocol": PROTOCOL - 1} if "protocol" in line else {})


def _newer(line: Line) -> Iterator[Line]:
    """Yield a line of the next protocol: fields more, kinds more, and one that means something else now."""
    yield line | {"invented_later": {"deep": [1, None]}} | ({"protocol": PROTOCOL + 1} if "protocol" in line else {})
    if line["type"] == "EpochDone":
        yield {"type": "Invented", "epoch": "two"}
        yield {"type": "StepDone", "step": "three", "epoch": 1}


def _newer_worker(home: Path) -> None:
    """Order about a worker that answers as no version does today."""
    run = new_run("newer")
    with Writer(run) as worker:
        worker.do("start", 'line {"type":"Invented","seq":2,"time":1.0}')
        asking = Given(home, ["pause", "newer", "--timeout", "3"])
        worker.do("hear", 'line {"type":"CommandAnswered","seq":4,"time":1.0,"id":"?","answer":"delegated"}')
        ran = asking.ran()
        assert not ran.went_well
        assert "has not carried it out" in ran.words, ran


def _older_worker() -> None:
    """Give a worker an order that it has never heard of: it refuses it."""
    run = new_run("older")
    with Writer(run) as worker:
        worker.do("start")
        with run.commands_file.open("ab") as commands:
            commands.write(b'{"type":"dance","id":"1","time":1.0,"sender":"me","tempo":120}\n')
        worker.do("look")
        answers = [line for line in run.events_file.read_text().splitlines() if '"CommandAnswered"' in line]
        assert len(answers) == 1, answers
        assert '"refused"' in answers[0], answers
