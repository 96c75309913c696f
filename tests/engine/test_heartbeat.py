"""Where a file system has no locks: a beating file keeps a second worker away, and a silent one doesn't."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

import pytest

from distill_engine import heartbeat
from distill_engine.errors import DistillError
from distill_engine.run_folder import RunFolder
from distill_engine.run_lock import RunLock, lock_holder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """Return a run folder on a file system that answers as one without locks does."""

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", no_locks)
    monkeypatch.setattr(fcntl, "fcntl", no_locks)
    monkeypatch.setattr(heartbeat, "SETTLING_SECONDS", 0.01)
    return RunFolder(tmp_path)


def test_a_beating_file_keeps_a_second_worker_away_and_is_gone_after_it(folder: RunFolder) -> None:
    assert lock_holder(folder) is None
    with RunLock(folder):
        assert lock_holder(folder) == os.getpid()
        assert folder.heartbeat_file.stat().st_mode & 0o777 == 0o600
        with pytest.raises(DistillError, match=str(os.getpid())):
            RunLock(folder)
    assert lock_holder(folder) is None
    with RunLock(folder):
        pass
    assert [path.name for path in folder.path.iterdir()] == ["lock"]


def test_a_file_that_has_been_silent_for_long_is_taken_over(folder: RunFolder) -> None:
    folder.lock_file.touch()
    folder.heartbeat_file.write_text("4711 abc")
    assert lock_holder(folder) == 4711
    long_ago = folder.heartbeat_file.stat().st_mtime - heartbeat.STALE_SECONDS - 1
    os.utime(folder.heartbeat_file, (long_ago, long_ago))
    assert lock_holder(folder) is None
    with RunLock(folder):
        assert lock_holder(folder) == os.getpid()


def test_the_file_beats_as_long_as_it_is_held(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.01)
    with RunLock(folder):
        os.utime(folder.heartbeat_file, (1.0, 1.0))
        for _ in range(1000):
            if lock_holder(folder) == os.getpid():
                break
            time.sleep(0.01)
        assert lock_holder(folder) == os.getpid()
