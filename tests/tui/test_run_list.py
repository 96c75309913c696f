"""The list of runs, and what differs between their settings."""

from __future__ import annotations

import os
import time
from pathlib import Path

from msgspec.structs import replace as changed

from distill_engine import api
from distill_engine.events import encode
from distill_engine.run_folder import RunFolder
from distill_tui.runs.run_list import RunList, differing, settings_of, usual_settings
from tests.engine.run_logs import epoch, step_done
from tests.engine.writer import Writer, new_run
from tests.recorded_runs import unpacked, unpacked_long


def test_every_run_is_told_and_none_that_is_gone() -> None:
    healthy, stopped = unpacked("healthy"), unpacked("stopped")
    runs = RunList()
    assert {reading.folder.name: reading.state.phase for reading in runs.refreshed()} == {
        "healthy": "finished",
        "stopped": "stopped",
    }
    for path in (*stopped.path.iterdir(),):
        path.unlink()
    stopped.path.rmdir()
    assert [reading.folder for reading in runs.refreshed()] == [healthy]


def test_a_run_is_read_again_only_when_its_log_has_changed() -> None:
    folder = unpacked("restarted")
    runs = RunList()
    (before,) = runs.refreshed()
    (again,) = runs.refreshed()
    assert again is before
    lines = folder.events_file.read_bytes().splitlines(keepends=True)
    folder.events_file.write_bytes(b"".join(lines[:20]))
    (now,) = runs.refreshed()
    assert now.state.seq < before.state.seq
    assert now.state.phase == "died"


def test_a_run_that_nobody_began_is_told_to_be_so_after_a_while() -> None:
    folder, runs = new_run("forgotten"), RunList()
    assert [reading.state.phase for reading in runs.refreshed()] == ["starting"]
    long_ago = time.time() - 3600
    status = folder.run_file.stat()
    os.utime(folder.run_file, (status.st_atime, long_ago))
    assert [reading.state.phase for reading in runs.refreshed()] == ["died"]


def test_a_run_whose_files_cant_be_read_is_told_with_its_problem() -> None:
    folder = unpacked("healthy")
    folder.run_file.write_text("no JSON")
    (reading,) = RunList().refreshed()
    assert "can't be read" in reading.problem


def test_a_log_that_cant_be_read_is_told_and_hides_no_other_run() -> None:
    folder, other = unpacked("healthy"), unpacked("stopped")
    folder.events_file.unlink()
    folder.events_file.mkdir()
    readings = {reading.folder: reading for reading in RunList().refreshed()}
    assert "can't be read" in readings[folder].problem
    assert readings[other].state.phase == "stopped"


def test_only_what_differs_is_told_and_the_dataset_counts() -> None:
    one, other = unpacked("healthy"), unpacked("stopped")
    _change(other, "max_epochs", "77")
    settings = [settings_of(one), settings_of(other)]
    assert "max_epochs" in differing(settings)
    assert "latent_dim" not in differing(settings)
    assert differing([settings[0], settings[0]]) == []
    assert {"dataset", "start from"} <= settings[0].keys()


def test_a_run_alone_is_compared_with_the_usual_settings() -> None:
    folder = unpacked("healthy")
    usual = usual_settings()
    settings = settings_of(folder)
    for key in differing([{key: settings[key] for key in usual if key in settings}, usual]):
        assert settings.get(key) != usual[key]


def _change(folder: RunFolder, key: str, value: str) -> None:
    path: Path = folder.config_file
    lines = [f"{key} = {value}" if line.startswith(f"{key} =") else line for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines))


def test_of_a_living_run_only_what_is_new_is_read_again() -> None:
    folder, runs = new_run("living"), RunList()
    with Writer(folder) as writer:
        writer.do("start", *(f"line {encode(event).decode().strip()}" for event in epoch(1, 0.25)))
        (before,) = runs.refreshed()
        assert api.best_loss(before.state) == 0.25
        with folder.events_file.open("r+b") as file:  # nobody can read this part again
            file.write(b" " * (before.read_to - 1))
        writer.do("line " + encode(changed(step_done(11), seq=99)).decode().strip())
        (now,) = runs.refreshed()
    assert now.state.step == 11
    assert api.best_loss(now.state) == 0.25


def test_a_long_log_is_told_by_its_end_first_and_has_a_refresh_for_itself() -> None:
    long = unpacked_long(6_000)
    log = long.events_file.read_bytes()
    long.events_file.write_bytes(log[: log.rindex(b'{"type":"RunFinished"')])
    killed = unpacked("killed")
    runs = RunList(at_once=100_000)
    first, second = ({one.folder: one.state for one in runs.refreshed()} for _ in range(2))
    assert first[killed].best is not None
    assert first[long].step == second[long].step == 6_000
    assert first[long].best is None
    best = second[long].best
    assert best is not None
    assert best.epoch == 1
