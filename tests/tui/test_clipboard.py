"""The lines that play and fetch a file, and copying them."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from textual.app import App, ComposeResult

from distill_tui import clipboard
from distill_tui.widgets.copied import CopiedLine

ODD = "a b'c\"d$(e)`f`;g*[h]\\i ü—ж.wav"


@pytest.fixture
def over_ssh(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("USER", "ann")
    monkeypatch.setenv("SSH_CONNECTION", "203.0.113.7 51034 198.51.100.4 22")
    return monkeypatch


@pytest.mark.usefixtures("over_ssh")
def test_over_ssh_the_lines_name_user_host_and_path() -> None:
    assert clipboard.fetch_line(Path("/runs/a.wav")) == "scp ann@198.51.100.4:/runs/a.wav ."
    assert (
        clipboard.play_line(Path("/runs/a.wav"))
        == "ssh ann@198.51.100.4 cat /runs/a.wav | ffplay -autoexit -nodisp -i -"
    )


def test_another_port_is_named_as_each_program_wants_it(over_ssh: pytest.MonkeyPatch) -> None:
    over_ssh.setenv("SSH_CONNECTION", "203.0.113.7 51034 198.51.100.4 2222")
    assert clipboard.fetch_line(Path("/a.wav")).startswith("scp -P 2222 ann@")
    assert clipboard.play_line(Path("/a.wav")).startswith("ssh -p 2222 ann@")


def test_an_ipv6_address_stands_in_brackets_only_where_a_path_follows(over_ssh: pytest.MonkeyPatch) -> None:
    over_ssh.setenv("SSH_CONNECTION", "2001:db8::7 51034 2001:db8::4 22")
    assert shlex.split(clipboard.fetch_line(Path("/a.wav")))[1] == "ann@[2001:db8::4]:/a.wav"
    assert shlex.split(clipboard.play_line(Path("/a.wav")))[1] == "ann@2001:db8::4"


def test_a_forwarded_connection_is_named_by_the_machines_name(over_ssh: pytest.MonkeyPatch) -> None:
    over_ssh.setenv("SSH_CONNECTION", "127.0.0.1 51034 127.0.0.1 22")
    assert f"ann@{os.uname().nodename}:" in clipboard.fetch_line(Path("/a.wav"))


def test_without_ssh_the_file_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    assert clipboard.fetch_line(Path("/my runs/a.wav")) == "'/my runs/a.wav'"
    assert clipboard.play_line(Path("/my runs/a.wav")) == "ffplay -autoexit -nodisp '/my runs/a.wav'"


@pytest.mark.usefixtures("over_ssh")
def test_an_odd_name_passes_the_local_shell_and_the_remote_one(tmp_path: Path) -> None:
    file = tmp_path / ODD
    file.write_text("sound")
    player = tmp_path / "ssh"
    player.write_text('#!/bin/sh\nshift\nexec sh -c "$*"\n')  # what sshd does with its words
    player.chmod(0o700)
    local, _, _ = clipboard.play_line(file).partition(" | ")
    heard = subprocess.run(
        ["sh", "-c", local], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, stdout=subprocess.PIPE, check=True
    )
    assert heard.stdout == b"sound"
    _, remote = shlex.split(clipboard.fetch_line(file))[1].split(":", 1)
    assert subprocess.run(["sh", "-c", f"cat {remote}"], stdout=subprocess.PIPE, check=True).stdout == b"sound"


@pytest.mark.usefixtures("over_ssh")
def test_what_cant_be_typed_is_matched_and_never_in_the_line(tmp_path: Path) -> None:
    file = tmp_path / "line\nbreak\x1b.wav"
    file.write_text("sound")
    line = clipboard.fetch_line(file)
    assert line.isprintable()
    _, remote = shlex.split(line)[1].split(":", 1)
    assert subprocess.run(["sh", "-c", f"cat {remote}"], stdout=subprocess.PIPE, check=True).stdout == b"sound"


def test_a_line_is_copied_by_the_terminals_own_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    words, app = asyncio.run(_copied("scp ann@box:/a.wav ."))
    assert app.clipboard == "scp ann@box:/a.wav ."
    assert words == "copied by OSC 52; if that didn't arrive, here it is:"


def test_inside_tmux_its_buffer_gets_the_line_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path / "tmux", f'echo "$@" >{tmp_path}/words; cat >{tmp_path}/buffer')
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,1,0")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    words, _ = asyncio.run(_copied("a line"))
    assert (tmp_path / "words").read_text() == "load-buffer -w -\n"
    assert (tmp_path / "buffer").read_text() == "a line"
    assert words == "copied by OSC 52 and into tmux's buffer; if neither arrived, here it is:"


@pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux")
def test_a_real_tmux_has_the_line_in_its_buffer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = tmp_path / "tmux"
    tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
    subprocess.run([*tmux, "new-session", "-d", "sleep 100"], check=True)
    try:
        monkeypatch.setenv("TMUX", f"{socket},1,0")
        words, _ = asyncio.run(_copied("scp 'ann@box:/a b.wav' ."))
        held = subprocess.run([*tmux, "show-buffer"], stdout=subprocess.PIPE, check=True, text=True)
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)
    assert held.stdout == "scp 'ann@box:/a b.wav' ."
    assert "into tmux's buffer" in words


@pytest.mark.parametrize("script", ["exit 1", "exec sleep 100"])
def test_a_tmux_that_refuses_or_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    _program(tmp_path / "tmux", script)
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,1,0")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(clipboard, "TMUX_SECONDS", 0.2)
    words, _ = asyncio.run(_copied("a line"))
    assert words == "copied by OSC 52, not into tmux's buffer; if it didn't arrive, here it is:"


def test_what_is_too_long_for_a_clipboard_is_not_sent() -> None:
    words, app = asyncio.run(_copied("x" * (clipboard.MOST_BYTES + 1)))
    assert app.clipboard == ""
    assert words == "too long for a clipboard; here it is:"


def test_a_path_that_is_no_text_cannot_be_copied_and_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    words, app = asyncio.run(_copied(clipboard.play_line(Path(os.fsdecode(b"/tmp/caf\xe9.wav")))))
    assert app.clipboard == ""
    assert words == "a name in it isn't UTF-8, so it can't be copied; here it is:"


def test_a_line_that_is_no_text_is_shown_escaped() -> None:
    line = os.fsdecode(b"ffplay /tmp/caf\xe9.wav")

    async def visit() -> str:
        app = CopiedApp()
        async with app.run_test() as pilot:
            app.copied.show_line("here it is:", line)
            await pilot.pause()
            return app.copied.text

    assert asyncio.run(visit()) == "here it is:\nffplay /tmp/caf\\xe9.wav"


class CopiedApp(App[None]):
    """The widget alone."""

    def __init__(self) -> None:
        super().__init__()
        self.copied = CopiedLine()

    def compose(self) -> ComposeResult:
        yield self.copied


async def _copied(text: str) -> tuple[str, App[object]]:
    app: App[object] = App()
    async with app.run_test():
        return await clipboard.copy(app, text), app


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
