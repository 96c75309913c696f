"""Several processes that train one model: what they learn is what one learns, and none is left behind."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from distill_engine.events import StepDone, WarningRaised
from distill_engine.training.config import Value
from distill_engine.training.rank_start import device_of
from tests.engine.program import ENDLESS, Program, emptied_after, ended, parsed, small, until
from tests.engine.runs import Faults, SmallRun, small_config, write_dataset

PATIENCE = 30.0


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    with emptied_after(tmp_path / "home") as home:
        made = Program(home)
        yield made
        made.kill_what_is_left()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("ranks") / "recordings")


def told(folder: Path, dataset: Path, **changes: Value) -> list[StepDone]:
    """Return each step of a run that goes back to its first weights after 30 steps, of which it couldn't take ten."""
    run = SmallRun(folder=folder, dataset=dataset)
    with pytest.MonkeyPatch.context() as monkeypatch:
        Faults(monkeypatch, range(21, 31))
        monkeypatch.setattr("distill_engine.training.meter.REPORTS_PER_SECOND", 1e9)
        run.train(small_config(**changes))
    assert [warning.kind for warning in run.reported(WarningRaised)] == ["not-finite", "diverging"]
    steps = run.reported(StepDone)
    assert [one.step for one in steps] == [*range(1, len(steps) + 1)]
    return [one for one in steps if one.loss is not None]


def followers(of: int) -> list[psutil.Process]:
    """Return the ranks that a worker started."""
    return [one for one in psutil.Process(of).children() if "distill_engine.training.follower" in one.cmdline()]


def test_two_processes_learn_what_one_learns_and_go_back_when_it_does(tmp_path: Path, dataset: Path) -> None:
    settings: dict[str, Value] = {
        "batch_size": 8,
        "max_epochs": 33,
        "warmup_steps": 50,
        "learning_rate": 2e-4,
        "augmentation__level_db": 6.0,
        "augmentation__tone_db": 6.0,
    }
    alone = told(tmp_path / "one", dataset, **settings)
    shared = told(tmp_path / "two", dataset, num_processes=2, **settings)
    assert [one.step for one in alone] == [*range(1, 21), *range(31, 34)]
    assert [one.loss for one in shared] == pytest.approx([one.loss for one in alone], rel=1e-4)
    for part in ("magnitude", "frequency", "stft", "kl", "gradient_norm"):
        expected = [getattr(one, part) for one in alone[:10]]  # later ones show how fast roundings grow, as any would
        assert [getattr(one, part) for one in shared[:10]] == pytest.approx(expected, rel=1e-4), part


def test_a_killed_process_ends_the_run_with_its_number_and_resume_goes_on(program: Program, dataset: Path) -> None:
    settings: dict[str, Any] = {**ENDLESS, "num_processes": 2, "checkpoint_interval": 1}
    run = program.start("train", dataset, "--name=run", "--json", *small(**settings))
    until(run, "CheckpointSaved")
    (follower,) = followers(run.pid)
    follower.kill()
    out, _ = run.communicate(timeout=PATIENCE)
    failed = parsed(out)[-1]
    assert (run.returncode, failed["type"]) == (1, "RunFailed")
    assert failed["message"] == "rank 1 of 2 is gone: it was ended by SIGKILL"
    assert "resume" in failed["hint"]

    # The other way round: a follower doesn't outlive its worker.
    again = program.start("resume", "run", "--json")
    restarted, *_, step = until(again, "StepDone")
    assert 0 < restarted["from_step"] < step["step"]
    left = followers(again.pid)
    again.kill()
    ended(again)
    assert len(left) == 1
    assert psutil.wait_procs(left, timeout=PATIENCE)[1] == []


def test_processes_that_torchrun_starts_train_together_and_heed_a_signal_to_all(
    program: Program, dataset: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    worker, follower = (
        program.start(
            "train",
            dataset,
            "--name=run",
            "--json",
            *small(**ENDLESS),
            environment={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    )
    until(worker, "StepDone")
    for process in (worker, follower):
        process.send_signal(signal.SIGUSR1)
    stopped, followed = ended(worker), ended(follower)
    assert stopped.status == 128 + signal.SIGUSR1
    assert parsed(stopped.out)[-1]["type"] == "RunStopped"
    assert parsed(stopped.out)[-1]["checkpoint"]
    assert (followed.status, followed.out, followed.err) == (0, "", "")


def test_every_process_on_gpus_has_one_of_its_own() -> None:
    config = small_config(num_processes=2, device="cuda:1")
    assert [device_of(config, local) for local in range(2)] == ["cuda:1", "cuda:2"]
    assert device_of(small_config(device="cuda"), 3) == "cuda:3"
    assert device_of(small_config(), 3) == "cpu"
