"""Run folders: names, the event log's mending, and the lock's promises."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distill_engine import run_folder
from distill_engine.errors import DistillError, NotFoundError, UsageError
from distill_engine.event_log import EventLog, last_event
from distill_engine.events import WarningRaised
from distill_engine.run_folder import RunFolder, RunInfo, refuse_links
from distill_engine.run_lock import RunLock, lock_holder

HOLD = """
import sys, time, os
from pathlib import Path
from distill_engine.run_folder import RunFolder
from distill_engine.run_lock import RunLock
lock = RunLock(RunFolder(Path(sys.argv[1])))
if sys.argv[2:] and os.fork() == 0:
    time.sleep(60)
print("held", flush=True)
time.sleep(60)
"""


def note(text: str) -> WarningRaised:
    return WarningRaised(kind="note", message=text, evidence="", suggestion="")


def made(name: str = "a") -> RunFolder:
    folder = run_folder.create(name)
    folder.write_info(
        RunInfo(id=run_folder.new_id(), name=folder.name, dataset="/x", created=1.0, preset="auto", seed=0, versions={})
    )
    return folder


def holder(folder: RunFolder, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder.path), *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def ended(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_taken_name_gets_a_number_and_nothing_is_overwritten() -> None:
    first = made("strings")
    second, third = made("strings"), made("strings")
    assert [first.name, second.name, third.name] == ["strings", "strings-2", "strings-3"]


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "-x", "a\nb", "x" * 101])
def test_a_name_that_cannot_be_a_files_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        run_folder.create(name)


def test_a_run_is_found_by_name_id_and_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made("strings")
    assert run_folder.find("strings") == folder
    assert run_folder.find(folder.info().id).path == folder.path
    assert run_folder.find(str(folder.path)).path == folder.path
    monkeypatch.chdir(folder.path.parent.parent)
    assert run_folder.find("runs/strings").path == folder.path
    with pytest.raises(NotFoundError) as missing:
        run_folder.find("string")
    assert "strings" in missing.value.hint
    del tmp_path


def test_events_are_numbered_without_a_gap_across_restarts() -> None:
    folder = made()
    for text in ("one", "two"):
        log = EventLog(folder)
        log.append(note(text))
        log.append(note(text))
        log.close()
    lines = [json.loads(line) for line in folder.events_file.read_text().splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3, 4]


def test_a_last_line_torn_by_a_kill_is_cut_off() -> None:
    folder = made()
    log = EventLog(folder)
    log.append(note("whole"))
    log.close()
    whole = folder.events_file.read_bytes()
    with folder.events_file.open("ab") as file:
        file.write(b'{"type":"WarningRaised","seq":2,"ti')
    assert last_event(folder) is not None
    log = EventLog(folder)
    log.append(note("x" * 200_000))
    log.append(note("after a long line"))
    log.close()
    lines = folder.events_file.read_bytes()
    assert lines.startswith(whole)
    assert [json.loads(line)["seq"] for line in lines.splitlines()] == [1, 2, 3]
    last = last_event(folder)
    assert isinstance(last, WarningRaised)
    assert last.message == "after a long line"


def test_what_the_disk_does_not_take_waits_and_is_written_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made()
    log = EventLog(folder)
    log.append(note("one"))
    write = os.write
    answers = iter([3, 0, 0])

    def full(descriptor: int, data: bytes) -> int:
        taken = next(answers, len(data))
        if not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[:taken])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        assert log.append(note("two")).seq == 2
        assert log.append(note("three")).seq == 3
        assert log.is_behind
        with pytest.raises(OSError, match=r"events\.jsonl"):
            log.catch_up()
        log.catch_up()
    assert not log.is_behind
    log.close()
    lines = [json.loads(line) for line in folder.events_file.read_text().splitlines()]
    assert [(line["seq"], line["message"]) for line in lines] == [(1, "one"), (2, "two"), (3, "three")]


@pytest.mark.parametrize("rubbish", [b"\0" * 70_000 + b"\n", b"garbage\n", b"{}\n[]\n", b'{"seq":"x"}\n\0\0'])
def test_rubbish_after_the_last_event_is_cut_off_and_the_run_goes_on(rubbish: bytes) -> None:
    folder = made()
    log = EventLog(folder)
    log.append(note("whole"))
    log.close()
    whole = folder.events_file.read_bytes()
    folder.events_file.write_bytes(whole + rubbish)
    assert last_event(folder) is None
    log = EventLog(folder)
    assert folder.events_file.read_bytes() == whole
    log.append(note("next"))
    log.close()
    assert [json.loads(line)["seq"] for line in folder.events_file.read_bytes().splitlines()] == [1, 2]


def test_a_broken_run_beside_it_hides_no_other() -> None:
    folder, broken = made("good"), made("broken")
    broken.run_file.write_text("{")
    assert run_folder.find(folder.info().id) == folder
    with pytest.raises(NotFoundError):
        run_folder.find("nowhere")


def test_a_second_worker_is_refused_with_who_holds_the_run() -> None:
    folder = made()
    worker = holder(folder)
    try:
        with pytest.raises(DistillError, match=str(worker.pid)):
            RunLock(folder)
    finally:
        ended(worker)
    with RunLock(folder):
        pass


def test_a_living_helper_of_a_killed_worker_does_not_keep_the_run() -> None:
    folder = made()
    worker = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder.path), "helper"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "held\n"
    worker.kill()
    worker.wait()
    try:
        os.killpg(worker.pid, 0)  # the helper lives
        assert lock_holder(folder) is None
        with RunLock(folder):
            pass
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.stdout.close()


def test_asking_who_holds_a_run_never_takes_it() -> None:
    folder = made()
    assert lock_holder(folder) is None
    asking = (
        "import sys; from pathlib import Path\n"
        "from distill_engine.run_folder import RunFolder; from distill_engine.run_lock import lock_holder\n"
        "while True: lock_holder(RunFolder(Path(sys.argv[1])))"
    )
    reader = subprocess.Popen([sys.executable, "-c", asking, str(folder.path)])
    try:
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            RunLock(folder).release()
    finally:
        reader.kill()
        reader.wait()
    worker = holder(folder)
    try:
        assert lock_holder(folder) == worker.pid
        assert lock_holder(folder) == worker.pid
    finally:
        ended(worker)


def test_a_process_id_that_was_used_again_proves_nothing() -> None:
    folder = made()
    folder.lock_file.write_text(str(os.getpid()))
    assert lock_holder(folder) is None


def test_a_lock_is_for_the_user_alone_also_one_that_was_not() -> None:
    folder = run_folder.create("a")
    folder.lock_file.touch(0o666)
    with RunLock(folder):
        assert folder.lock_file.stat().st_mode & 0o777 == 0o600


def test_a_path_out_of_a_runs_folder_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    (folder.path / "previews").mkdir(parents=True)
    (folder.path / "previews" / "link").symlink_to(tmp_path)
    assert folder.inside("previews/a.wav") == folder.path / "previews" / "a.wav"
    for name in ("../a.wav", str(tmp_path / "a.wav"), "previews/link/a.wav", "\0"):
        with pytest.raises(DistillError, match="isn't in the run's folder"):
            folder.inside(name)


def test_a_run_with_a_link_in_its_folder_is_not_gone_on_with(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    (folder.path / "checkpoints").mkdir(parents=True)
    refuse_links(folder)
    (folder.path / "checkpoints" / "best").symlink_to(tmp_path)
    with pytest.raises(DistillError, match="checkpoints/best is a link"):
        refuse_links(folder)
