"""The command line's words with a run: orders and their answers, following, deleting, and what each ends with."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from distill_engine import run_folder
from distill_engine.commands import runs
from distill_engine.errors import DistillError, NotFoundError
from distill_engine.events import RunFailed, RunStopped
from distill_engine.run_folder import RunFolder
from distill_engine.run_lock import lock_holder
from tests.engine.run_logs import epoch, living, new_run, prepared, started, step_done, write_log

STOPPED = RunStopped(step=10, epoch=1, reason="anna@box", checkpoint="checkpoints/step-00000010.safetensors")

FOLLOW = "import sys; from distill_engine.commands.runs import follow; follow.main(sys.argv[1:], standalone_mode=False)"


def ran(command: object, *arguments: str, typed: str = "") -> Result:
    import click

    assert isinstance(command, click.Command)
    return CliRunner().invoke(command, [*arguments], input=typed)


def refusal(result: Result) -> DistillError:
    assert isinstance(result.exception, DistillError), result.exception
    return result.exception


@pytest.fixture
def ended() -> RunFolder:
    folder = new_run()
    write_log(folder, [started(), prepared(), *epoch(1, 0.5), STOPPED])
    return folder


@pytest.fixture
def alive() -> Iterator[RunFolder]:
    folder = new_run()
    write_log(folder, [started(), prepared(), *epoch(1, 0.5)])
    worker = living(folder)
    yield folder
    worker.kill()
    worker.communicate()


@pytest.fixture
def deaf() -> Iterator[RunFolder]:
    folder = new_run()
    write_log(folder, [started(), prepared()])
    worker = living(folder, "deaf")
    yield folder
    worker.kill()
    worker.communicate()


def test_runs_as_json_is_a_list_with_name_id_state_step_and_epoch(ended: RunFolder) -> None:
    new_run("another")
    listed = json.loads(ran(runs.runs, "--json").stdout)
    assert {run["name"] for run in listed} == {"strings", "another"}
    told = next(run for run in listed if run["name"] == "strings")
    assert (told["id"], told["state"], told["step"], told["epoch"]) == (ended.info().id, "stopped", 10, 1)


def test_runs_in_words_is_a_table(ended: RunFolder) -> None:
    lines = ran(runs.runs).stdout.splitlines()
    assert lines[0].split()[:2] == ["name", "state"]
    assert lines[1].split()[:2] == [ended.name, "stopped"]


def test_show_tells_a_run_in_sentences_and_as_one_object(ended: RunFolder) -> None:
    assert "It was stopped by anna@box" in ran(runs.show, ended.name).stdout
    told = json.loads(ran(runs.show, ended.name, "--json").stdout)
    assert (told["name"], told["state"], told["step"], told["validation_loss"]) == ("strings", "stopped", 10, 0.5)


def test_telling_of_runs_loads_no_torch(ended: RunFolder) -> None:
    statements = (
        "import sys; from distill_engine.commands import machine, runs\n"
        f"for words in (['{ended.name}'], ['{ended.name}', '--json']):\n"
        "    runs.show.main(words, standalone_mode=False); runs.follow.main(words, standalone_mode=False)\n"
        "runs.runs.main([], standalone_mode=False); runs.stop.main(words[:1], standalone_mode=False)\n"
        "print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", statements], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "False"


def test_a_run_that_is_not_there_is_not_found() -> None:
    for command in (runs.show, runs.follow, runs.stop, runs.pause, runs.checkpoint, runs.delete):
        assert isinstance(refusal(ran(command, "nothing")), NotFoundError)


def test_follow_prints_every_line_once_and_ends_with_the_run(ended: RunFolder) -> None:
    followed = ran(runs.follow, ended.name, "--json")
    assert followed.exit_code == 0
    assert followed.stdout == ended.events_file.read_text()


def test_follow_ends_with_one_where_the_run_failed() -> None:
    folder = new_run()
    write_log(folder, [started(), RunFailed(message="no memory", hint="", log="")])
    followed = ran(runs.follow, folder.name)
    assert followed.exit_code == 1
    assert "failed: no memory" in followed.stderr


def test_follow_shows_what_a_living_run_does_until_it_is_stopped(alive: RunFolder) -> None:
    follower = subprocess.Popen([sys.executable, "-c", FOLLOW, alive.name, "--json"], stdout=subprocess.PIPE, text=True)
    assert follower.stdout is not None
    first = follower.stdout.readline()
    assert ran(runs.stop, alive.name).exit_code == 0
    rest = follower.stdout.read()
    follower.communicate(timeout=30)
    assert first + rest == alive.events_file.read_text()
    assert json.loads(rest.splitlines()[-1])["type"] == "RunStopped"


def test_stop_tells_that_it_was_heard_and_what_was_saved_where(alive: RunFolder) -> None:
    stopped = ran(runs.stop, alive.name)
    assert stopped.exit_code == 0
    assert stopped.stderr.splitlines() == [
        "run strings heard stop",
        "done: saved checkpoints/step-9 as Stop asks for",
    ]
    assert stopped.stdout == f"{alive.path}/checkpoints/step-9\n"
    assert lock_holder(alive) is None, "the worker is gone, so that the run can be resumed at once"


def test_stop_now_asks_for_a_checkpoint_alone(alive: RunFolder) -> None:
    assert "StopNow asks for" in ran(runs.stop, alive.name, "--now").stderr


def test_stop_of_a_run_that_has_ended_says_so_and_is_no_failure(ended: RunFolder) -> None:
    stopped = ran(runs.stop, ended.name)
    assert stopped.exit_code == 0
    assert "run strings was stopped" in stopped.stderr
    assert not ended.commands_file.exists()


def test_stop_of_a_run_that_died_says_so_and_is_no_failure() -> None:
    folder = new_run()
    write_log(folder, [started(), prepared(), step_done(3)])
    stopped = ran(runs.stop, folder.name)
    assert stopped.exit_code == 0
    assert "died silently after step 3" in stopped.stderr


def test_a_stop_without_an_answer_says_what_one_can_do_next(deaf: RunFolder) -> None:
    error = refusal(ran(runs.stop, deaf.name, "--timeout", "0.3"))
    assert "has not heard stop" in error.message
    assert f"distill-engine stop {deaf.name} --now" in error.hint
    assert f"kill {lock_holder(deaf)}" in error.hint


def test_checkpoint_prints_where_it_lies(alive: RunFolder) -> None:
    done = ran(runs.checkpoint, alive.name)
    assert done.exit_code == 0
    assert done.stdout == f"{alive.path}/checkpoints/step-7\n"
    assert lock_holder(alive) is not None


def test_an_order_that_is_refused_is_a_failure_with_the_reason(alive: RunFolder) -> None:
    assert refusal(ran(runs.pause, alive.name)).message == "run strings refused pause: nothing is learnt yet"


def test_pause_and_checkpoint_of_a_run_that_has_ended_are_failures(ended: RunFolder) -> None:
    for command in (runs.pause, runs.checkpoint):
        assert "isn't running" in refusal(ran(command, ended.name)).message


def test_delete_asks_and_then_removes_the_whole_folder(ended: RunFolder) -> None:
    (ended.path / "previews" / "step-1").mkdir(parents=True)
    (ended.path / "previews" / "step-1" / "a.wav").write_bytes(b"x" * 1000)
    kept = ran(runs.delete, ended.name, typed="n\n")
    assert kept.exit_code == 1
    assert ended.path.is_dir()
    assert ran(runs.delete, ended.name, typed="y\n").exit_code == 0
    assert not ended.path.exists()
    assert run_folder.list_runs() == []


def test_a_living_run_is_not_deleted_even_with_yes(alive: RunFolder) -> None:
    assert "is being trained by process" in refusal(ran(runs.delete, alive.name, "--yes")).message
    assert alive.events_file.exists()


def test_deleting_leaves_what_a_link_in_the_run_leads_to(ended: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    (ended.path / "previews").symlink_to(tmp_path)
    assert ran(runs.delete, ended.name, "--yes").exit_code == 0
    assert (tmp_path / "mine").exists()
    assert not ended.path.exists()


def test_a_follower_tells_that_the_run_it_follows_was_deleted(alive: RunFolder) -> None:
    follower = subprocess.Popen([sys.executable, "-c", FOLLOW, alive.name], stderr=subprocess.PIPE, text=True)
    assert follower.stderr is not None
    first = follower.stderr.readline()
    shutil.rmtree(alive.path)
    rest = follower.stderr.read()
    follower.communicate(timeout=30)
    assert "run strings on cpu" in first
    assert "the run's folder is gone" in rest
    assert follower.returncode == 1


def test_leaving_a_run_one_follows_ends_the_following_and_never_the_run(alive: RunFolder) -> None:
    follower = subprocess.Popen([sys.executable, "-c", FOLLOW, alive.name], stderr=subprocess.PIPE, text=True)
    assert follower.stderr is not None
    assert "run strings on cpu" in follower.stderr.readline()
    follower.send_signal(signal.SIGINT)
    said = follower.stderr.read()
    follower.communicate(timeout=30)
    assert follower.returncode == 130
    assert "run strings goes on" in said
    assert lock_holder(alive) is not None
