"""The doctor's findings: what they say of terminals, disks, locks, torch and the login manager."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from distill_engine import doctor, home
from distill_engine.commands import machine
from distill_engine.doctor import Finding
from distill_engine.login_manager import login_manager_ends_processes

SESSION = "0::/user.slice/user-1000.slice/session-3.scope\n"
USER_MANAGER = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/terminal.scope\n"


def system(
    root: Path,
    *,
    cgroup: str = SESSION,
    lingers: bool = False,
    files: dict[str, str] | None = None,
) -> Path:
    """Write the files by which a system with systemd tells how it treats processes of users who left."""
    (root / "run/systemd/system").mkdir(parents=True)
    (root / "var/lib/systemd/linger").mkdir(parents=True)
    if lingers:
        (root / "var/lib/systemd/linger/anna").touch()
    for name, text in ({"proc/self/cgroup": cgroup} | (files or {})).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def warning(root: Path, user: str = "anna") -> str:
    return login_manager_ends_processes(root, user)


def login(*lines: str) -> str:
    return "\n".join(("[Login]", *lines, ""))


def test_the_usual_login_manager_ends_nothing(tmp_path: Path) -> None:
    assert warning(system(tmp_path, files={"etc/systemd/logind.conf": login("#KillUserProcesses=no")})) == ""


def test_without_systemd_nothing_is_ended(tmp_path: Path) -> None:
    assert warning(tmp_path) == ""


def test_a_login_manager_that_ends_sessions_is_told_with_what_to_do(tmp_path: Path) -> None:
    told = warning(system(tmp_path, files={"etc/systemd/logind.conf": login("KillUserProcesses=yes")}))
    assert "when you log out" in told
    assert "loginctl enable-linger once" in told
    assert "systemd-run --user --scope" in told


def test_lingering_alone_does_not_save_the_processes_of_a_session(tmp_path: Path) -> None:
    files = {"etc/systemd/logind.conf": login("KillUserProcesses=yes")}
    told = warning(system(tmp_path, lingers=True, files=files))
    assert "enable-linger" not in told
    assert "systemd-run --user --scope" in told


def test_the_users_own_manager_outlives_the_session_only_with_lingering(tmp_path: Path) -> None:
    assert "loginctl enable-linger" in warning(system(tmp_path / "a", cgroup=USER_MANAGER))
    assert warning(system(tmp_path / "b", cgroup=USER_MANAGER, lingers=True)) == ""


def test_what_a_service_or_container_runs_is_not_ended(tmp_path: Path) -> None:
    files = {"etc/systemd/logind.conf": login("KillUserProcesses=yes")}
    assert warning(system(tmp_path, cgroup="0::/system.slice/slurmd.service/job_7\n", files=files)) == ""


@pytest.mark.parametrize(
    ("files", "ended"),
    [
        ({"etc/systemd/logind.conf": login("#KillUserProcesses=yes")}, True),
        ({"usr/lib/systemd/logind.conf": login("#KillUserProcesses=yes")}, True),
        ({"etc/systemd/logind.conf": "KillUserProcesses=yes\n"}, False),
        (
            {
                "etc/systemd/logind.conf": login("KillUserProcesses=yes"),
                "usr/lib/systemd/logind.conf.d/50-no.conf": login("KillUserProcesses=no"),
            },
            False,
        ),
        (
            {
                "etc/systemd/logind.conf.d/10-a.conf": login("KillUserProcesses=no"),
                "run/systemd/logind.conf.d/20-b.conf": login("KillUserProcesses = true"),
            },
            True,
        ),
        (
            {
                "etc/systemd/logind.conf.d/10-a.conf": login("KillUserProcesses=no"),
                "usr/lib/systemd/logind.conf.d/10-a.conf": login("KillUserProcesses=yes"),
            },
            False,
        ),
        ({"etc/systemd/logind.conf": login("KillUserProcesses=yes", "KillExcludeUsers=bert anna")}, False),
        ({"etc/systemd/logind.conf": login("KillUserProcesses=yes", "KillOnlyUsers=bert")}, False),
        ({"etc/systemd/logind.conf": login("KillUserProcesses=no", "KillOnlyUsers=anna")}, True),
    ],
)
def test_settings_are_weighed_as_the_login_manager_does(tmp_path: Path, files: dict[str, str], ended: bool) -> None:
    assert bool(warning(system(tmp_path, files=files))) == ended


def test_root_is_left_alone_unless_the_exceptions_are_emptied(tmp_path: Path) -> None:
    yes = "KillUserProcesses=yes"
    assert warning(system(tmp_path / "a", files={"etc/systemd/logind.conf": login(yes)}), "root") == ""
    emptied = {"etc/systemd/logind.conf": login(yes, "KillExcludeUsers=")}
    assert warning(system(tmp_path / "b", files=emptied), "root") != ""


def test_the_warning_becomes_a_finding_with_its_advice_as_the_hint(tmp_path: Path) -> None:
    files = {"etc/systemd/logind.conf": login("KillUserProcesses=yes")}
    finding = doctor.login_manager(warning(system(tmp_path, files=files)))
    assert finding.state == "problem"
    assert finding.words.startswith("the login manager ends a run")
    assert finding.hint.startswith("run loginctl enable-linger once")


@pytest.mark.parametrize(
    ("environment", "window", "state"),
    [
        ({"TERM": "xterm-256color"}, (120, 40), "ok"),
        ({"TERM": "xterm-256color"}, (79, 24), "note"),
        ({"TERM": "dumb"}, (120, 40), "problem"),
        ({}, (120, 40), "problem"),
        ({"TERM": "xterm"}, None, "note"),
    ],
)
def test_a_terminal_is_judged_by_its_kind_and_size(
    environment: dict[str, str], window: tuple[int, int] | None, state: str
) -> None:
    assert doctor.terminal(environment, window).state == state


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "16 million"),
        ({"TERM": "xterm-direct"}, "16 million"),
        ({"TERM": "tmux-256color"}, "256"),
        ({"TERM": "screen"}, "16, as far as TERM tells"),
        ({"TERM": "linux"}, "16, as far as TERM tells"),
        ({"TERM": "dumb"}, "none"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "none, as NO_COLOR asks for"),
    ],
)
def test_colours_are_what_the_terminal_says(environment: dict[str, str], words: str) -> None:
    assert doctor.colours(environment).words == words


def test_inside_tmux_the_hint_names_its_own_kind_of_terminal() -> None:
    assert "tmux-256color" in doctor.colours({"TERM": "screen", "TMUX": "/tmp/tmux-0/default,1,0"}).hint


def test_of_the_locales_variables_the_first_that_is_set_counts() -> None:
    assert doctor.text({"LANG": "de_DE.UTF-8"}).state == "ok"
    assert doctor.text({"LANG": "de_DE.utf8", "LC_ALL": "C"}).state == "note"
    assert doctor.text({}).words == "not UTF-8 (no locale is set)"


def test_tmux_screen_and_ssh_are_told() -> None:
    assert doctor.multiplexer({"TMUX": "x"}).words == "inside tmux"
    assert doctor.multiplexer({"STY": "x"}).words == "inside screen"
    assert doctor.connection({"SSH_CONNECTION": "10.0.0.7 5000 10.0.0.1 22"}).words == "SSH from 10.0.0.7"


def test_a_container_with_less_than_the_machine_is_believed(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text("3000000000\n")
    (tmp_path / "memory.current").write_text("2500000000\n")
    assert doctor.processor(tmp_path).words.startswith("0.5 of ")
    assert doctor.memory(tmp_path).words == "500.0 MB of 3.0 GB free"
    assert doctor.memory(tmp_path).state == "note"


def test_room_is_that_of_the_disk_a_folder_would_lie_on(tmp_path: Path) -> None:
    finding = doctor.room("runs", tmp_path / "not" / "there")
    assert str(tmp_path / "not" / "there") in finding.words
    assert "free" in finding.words
    assert not (tmp_path / "not").exists()


def test_a_folder_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert doctor.room("runs", tmp_path / "file" / "runs").state == "problem"


def test_locks_work_here_and_nothing_is_left_behind() -> None:
    runs = home.runs_folder()
    runs.mkdir(parents=True)
    finding = doctor.locks(runs)
    assert finding.state == "ok", finding
    assert list(runs.iterdir()) == []


def test_locks_that_cannot_be_tried_are_a_problem() -> None:
    finding = doctor.locks(Path("/proc/self/runs"))
    assert finding.state == "problem"
    assert "can't be tried" in finding.words


def test_torch_is_asked_in_a_process_of_its_own() -> None:
    finding = doctor.torch_itself(os.environ)
    assert finding.state in ("ok", "problem")
    assert finding.words.startswith("2.")


def test_a_torch_that_cannot_be_imported_is_told_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so.13: cannot open shared object file')")
    finding = doctor.torch_itself(dict(os.environ) | {"PYTHONPATH": str(tmp_path)})
    assert finding.state == "problem"
    assert "libcudart.so.13" in finding.words


def test_the_absence_of_a_gpu_is_said_plainly() -> None:
    findings = list(doctor.gpus())
    assert findings
    if findings[0].name == "gpu":
        assert findings[0].hint == "training runs on the processor"


def test_findings_stand_one_below_the_other_with_their_hints() -> None:
    good = doctor.in_words(Finding(name="text", state="ok", words="UTF-8"))
    bad = doctor.in_words(Finding(name="locks", state="problem", words="don't\nwork", hint="do this"))
    assert good == "ok       text          UTF-8"
    assert bad == f"problem  locks         don't\\nwork\n{'':23}do this"


def test_the_command_prints_a_line_a_check_or_one_list() -> None:
    runner = CliRunner()
    words = runner.invoke(machine.doctor, [])
    listed = runner.invoke(machine.doctor, ["--json"])
    assert (words.exit_code, listed.exit_code) == (0, 0)
    findings = msgspec.json.decode(listed.stdout, type=list[Finding])
    names = {finding.name for finding in findings}
    assert {"python", "terminal", "colours", "text", "torch", "runs", "models", "cache", "locks"} <= names
    for finding in findings:
        assert finding.name in words.stdout
