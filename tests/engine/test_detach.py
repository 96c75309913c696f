"""Runs in the background: they outlive the terminal they came from, take orders, and say why they don't start."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from distill_engine.run_folder import RunFolder
from distill_engine.run_lock import lock_holder
from tests.engine.program import (
    ENDLESS,
    Program,
    emptied_after,
    ended,
    in_terminal,
    parsed,
    read_until,
    small,
    types,
    until,
)
from tests.engine.runs import write_dataset


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    with emptied_after(tmp_path / "home") as home:
        program = Program(home)
        yield program
        program.kill_what_is_left()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("recordings"))


def worker_of(program: Program, name: str) -> int | None:
    return lock_holder(RunFolder(program.run_folder(name)))


def test_a_detached_run_finishes_though_its_terminal_was_closed_by_force(program: Program, dataset: Path) -> None:
    arguments: tuple[str | Path, ...] = ("train", dataset, "--name=a", "--detach", *small(max_epochs=40))
    with in_terminal(program, *arguments) as (process, terminal):
        said = read_until(terminal, b"ends it with a model").decode()
        worker = worker_of(program, "a")
        assert worker is not None
        assert os.getsid(worker) == worker != process.pid
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGHUP)
        os.close(terminal)
    assert f"run a goes on in the background, as process {worker}" in said
    followed = program.run("follow", "a", "--json")
    assert followed.status == 0
    assert followed.out == (program.run_folder("a") / "events.jsonl").read_text()
    events = parsed(followed.out)
    assert (types(events)[-1], events[-1]["epoch"]) == ("RunFinished", 40)
    assert program.model("a").is_file()


def test_a_detached_run_takes_orders_and_each_is_answered(program: Program, dataset: Path) -> None:
    started = program.run("train", dataset, "--name=a", "--detach", "--json", *small(**ENDLESS))
    assert (started.status, started.err) == (0, "")
    run = json.loads(started.out)
    assert (run["name"], run["path"]) == ("a", str(program.run_folder("a")))
    assert run["pid"] == worker_of(program, "a")
    (listed,) = json.loads(program.run("runs", "--json").out)
    assert (listed["id"], listed["pid"]) == (run["id"], run["pid"])
    follower = program.start("follow", "a", "--json")
    until(follower, "StepDone")

    saved = program.run("checkpoint", "a")
    assert saved.status == 0
    assert Path(saved.out.strip()).is_file()

    assert program.run("pause", "a").status == 0
    (listed,) = json.loads(program.run("runs", "--json").out)
    assert listed["state"] == "paused"
    assert program.run("resume", "a", "--set=max_epochs=7").refusal(1)[0].startswith("run a is being trained")
    unpaused = program.run("resume", "a")
    assert (unpaused.status, unpaused.out) == (0, "")
    assert "done: " in unpaused.err

    stopped = program.run("stop", "a")
    assert stopped.status == 0
    assert Path(stopped.out.strip()).is_file()
    assert program.model("a").is_file()
    assert worker_of(program, "a") is None
    assert types(parsed(ended(follower).out))[-1] == "RunStopped"
    again = program.run("stop", "a")
    assert (again.status, again.out) == (0, "")
    assert "run a was stopped" in again.err
    assert "isn't running" in program.run("pause", "a").refusal(1)[0]


def test_a_run_resumed_in_the_background_goes_on_there(program: Program, dataset: Path) -> None:
    process = program.start("train", dataset, "--name=a", "--json", *small(**ENDLESS))
    until(process, "StepDone")
    process.send_signal(signal.SIGINT)
    assert ended(process).status == 130
    epochs = program.events("a")[-1]["epoch"] + 2
    resumed = program.run("resume", "a", "--detach", f"--set=max_epochs={epochs}")
    assert (resumed.status, resumed.out) == (0, "a\n")
    assert "distill-engine follow a shows it" in resumed.err
    followed = program.run("follow", "a")
    assert followed.status == 0
    assert "stopped by ctrl+c after step" in followed.err
    last = program.events("a")[-1]
    assert (last["type"], last["epoch"]) == ("RunFinished", epochs)


def test_a_run_whose_folder_is_moved_away_says_so_there_and_makes_it_not_anew(program: Program, dataset: Path) -> None:
    process = program.start("train", dataset, "--name=a", "--json", *small(**ENDLESS, checkpoint_interval=20))
    until(process, "EpochDone")
    folder, moved = program.run_folder("a"), program.run_folder("elsewhere")
    folder.rename(moved)
    result = ended(process)
    assert result.status == 1
    last = parsed((moved / "events.jsonl").read_text())[-1]
    assert last["type"] == "RunFailed"
    assert last["message"] == f"the run's folder is gone: {folder}"
    assert not folder.exists()


def test_a_run_that_cannot_begin_in_the_background_says_why(program: Program, dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libtorch is from another planet')\n")
    paths = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    failed = program.run("train", dataset, "--name=a", "--detach", *small(), environment={"PYTHONPATH": paths})
    message, hint = failed.refusal(1)
    assert message == "the worker of run a ended before it began"
    assert "libtorch is from another planet" in hint


def test_a_mistake_in_the_settings_is_told_before_anything_is_started(program: Program, dataset: Path) -> None:
    settings = program.home / "config" / "settings.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("notify_comand = 'true'\n")
    message, hint = program.run("train", dataset, "--detach", *small()).refusal(2)
    assert "notify_comand" in message
    assert "notify_command" in hint
    assert not (program.home / "state").exists()
    assert program.run("resume", "a").status == 2
