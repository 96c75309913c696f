"""A run's epochs, read without its steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill_engine.events import EpochDone, RunRestarted, decode, encode
from distill_engine.run_epochs import RunEpochs, run_epochs
from distill_engine.run_folder import RunFolder
from tests.recorded_runs import Recorded, unpacked, unpacked_long


def told(folder: RunFolder) -> list[EpochDone]:
    """Return the epochs of the log that no restart took back, read the slow way."""
    done: list[EpochDone] = []
    for line in folder.events_file.read_bytes().splitlines():
        event = decode(line)
        if isinstance(event, EpochDone):
            done.append(event)
        elif isinstance(event, RunRestarted):
            done = [one for one in done if one.step <= event.from_step]
    return done


@pytest.mark.parametrize("name", ["healthy", "stopped", "restarted", "newer"])
def test_the_epochs_are_those_that_no_restart_took_back(name: Recorded) -> None:
    folder = unpacked(name)
    epochs = run_epochs(folder)
    assert [*epochs.done] == told(folder)
    assert epochs.done
    assert 0 < epochs.started < epochs.done[0].time


def test_a_log_that_grows_is_read_on_from_where_it_was() -> None:
    folder = unpacked("restarted")
    log = folder.events_file.read_bytes()
    so_far: RunEpochs | None = None
    for stop in range(0, len(log), 997):
        with folder.events_file.open("r+b") as file:  # the same file, grown
            file.truncate(0)
            file.write(log[:stop])
        so_far = run_epochs(folder, so_far)
    folder.events_file.write_bytes(log)
    so_far = run_epochs(folder, so_far)
    assert [*so_far.done] == told(folder)
    assert so_far.read_to == len(log)


def test_a_long_log_is_read_in_pieces() -> None:
    folder = unpacked_long(20_000)
    epochs = run_epochs(folder)
    assert [one.epoch for one in epochs.done] == [*range(1, 21)]


def test_another_log_under_the_same_name_is_read_anew() -> None:
    folder = unpacked("healthy")
    so_far = run_epochs(folder)
    shorter = folder.events_file.read_bytes().splitlines(keepends=True)[:20]
    folder.events_file.unlink()
    folder.events_file.write_bytes(b"".join(shorter))
    assert [*run_epochs(folder, so_far).done] == told(folder)


def test_damaged_lines_and_a_torn_one_are_passed_over() -> None:
    folder = unpacked("healthy")
    whole = told(folder)
    with folder.events_file.open("ab") as file:
        file.write(b'{"type":"EpochDone","seq":oops}\n' + encode(whole[-1])[:-9])
    assert [*run_epochs(folder).done] == whole


def test_a_run_without_a_log_has_none(tmp_path: Path) -> None:
    assert run_epochs(RunFolder(tmp_path)) == RunEpochs()
