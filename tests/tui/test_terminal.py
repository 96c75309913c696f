"""The dashboard on a real pseudo-terminal: its first screen, its end, and what it leaves behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.engine.test_replay import playing
from tests.recorded_runs import unpacked
from tests.tui.terminal import DASHBOARD, DEMO, PATIENCE, Terminal
from tests.tui.visits import been_everywhere


@pytest.mark.parametrize("size", [(120, 36), (80, 24)])
def test_the_first_screen_names_the_four_screens(size: tuple[int, int]) -> None:
    with Terminal(size=size) as terminal:
        screen = terminal.wait_for("q leave")
    assert "[1 Datasets] 2 Config  3 Training  4 Library" in screen


def test_leaving_puts_the_terminal_right() -> None:
    with Terminal() as terminal:
        terminal.wait_for("q leave")
        terminal.settle()
        terminal.press("q")
        assert terminal.wait_for_end() == 0
        assert b"\x1b[?1049l" in terminal.raw
        assert b"\x1b[?25h" in terminal.raw


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_puts_the_terminal_right(kind: signal.Signals) -> None:
    with Terminal() as terminal:
        terminal.wait_for("q leave")
        terminal.settle()
        terminal.process.send_signal(kind)
        assert terminal.wait_for_end() == 0
        assert b"\x1b[?1049l" in terminal.raw


def test_a_lost_link_ends_it() -> None:
    with Terminal() as terminal:
        terminal.wait_for("q leave")
        terminal.settle()
        terminal.hang_up()
        assert terminal.wait_for_end() == 0


def test_no_library_of_torch_is_mapped() -> None:
    with Terminal() as terminal:
        terminal.wait_for("q leave")
        for key in "2341":
            terminal.press(key)
            terminal.settle()
        maps = Path(f"/proc/{terminal.process.pid}/maps")
        if not maps.exists():
            pytest.skip("only Linux tells which libraries a process has mapped")
        assert "torch" not in maps.read_text()


def test_too_small_a_terminal_says_so_and_a_larger_one_shows_all() -> None:
    with Terminal(size=(50, 12)) as terminal:
        assert "60" in terminal.wait_for("too small")
        terminal.resize(80, 24)
        assert "too small" not in terminal.wait_for("q leave")


def test_the_end_of_a_run_rings_and_notifies() -> None:
    folder = unpacked("healthy")
    with playing(folder, 40), Terminal() as terminal:
        terminal.wait_for("healthy: finished")
        terminal.settle()
        assert b"\x1b]9;healthy: finished\x07" in terminal.raw
        assert re.search(rb"\x07(?!.*\x1b\]9)", terminal.raw, re.DOTALL)


def test_a_live_run_sends_little_for_each_event_it_has_to_show() -> None:
    with Terminal(DEMO, environment={"COLORTERM": "truecolor"}) as terminal:
        terminal.wait_for(r"\[3 Training\]")
        terminal.wait_for("gradient norm")
        terminal.settle(quiet=0.2)
        epoch = int(terminal.wait_for(r"(\d+) of 200 epochs").split(" of 200 epochs")[0].split()[-1])
        before = terminal.bytes
        terminal.wait_for(rf"{epoch + 10} of 200 epochs")
        assert 0 < terminal.bytes - before < 60 * 300  # ten epochs are fifty steps, ten epochs' events and a few more


def test_output_that_does_not_drain_is_not_piled_up_and_it_says_so() -> None:
    with Terminal(DEMO, environment={"COLORTERM": "truecolor"}) as terminal:
        terminal.wait_for(r"\[3 Training\]")
        terminal.settle(quiet=0.2)
        for _ in range(40):  # the kernel keeps some 20 KB for a terminal that doesn't read
            terminal.send("\x0c")
        time.sleep(4.0)
        terminal.wait_for("slow link")


def test_a_screen_sends_what_differs_and_a_repaint_sends_all(home: Path) -> None:
    been_everywhere(home)
    with Terminal() as terminal:
        terminal.wait_for("q leave")
        for key in "23412341":
            terminal.press(key)
            terminal.settle()
        assert _sent(terminal, "1") == 0
        to_another, all_of_it = _sent(terminal, "2"), _sent(terminal, "\x0c")
        assert 0 < to_another < all_of_it


def _sent(terminal: Terminal, key: str) -> int:
    """Return how many bytes a key makes the dashboard send."""
    before = terminal.bytes
    terminal.press(key)
    terminal.settle()
    return terminal.bytes - before


def test_nothing_is_left_of_a_demo_that_was_killed(tmp_path: Path) -> None:
    with Terminal(DEMO, environment={"TMPDIR": str(tmp_path)}) as terminal:
        terminal.wait_for("training [0-9]+ %")
        assert list(tmp_path.iterdir())
        terminal.process.kill()
        deadline = time.monotonic() + PATIENCE
        while list(tmp_path.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert not list(tmp_path.iterdir())


def test_with_ascii_nothing_else_reaches_the_terminal_and_the_run_says_what_it_does() -> None:
    command = [*DEMO[:-1], DEMO[-1].replace("['--demo']", "['--demo', '--ascii']")]
    with Terminal(command, size=(80, 24)) as terminal:
        terminal.wait_for("training [0-9]+ %")
        for key in "v13l2143":
            terminal.press(key)
            terminal.settle()
        assert terminal.raw.isascii()


def test_keys_that_come_in_one_packet_act_one_after_the_other() -> None:
    with Terminal() as terminal:
        terminal.wait_for("q leave")
        terminal.settle()
        terminal.type("2/quiet\x7f\x7f\x7f\x7fkl\r")
        terminal.settle()
        terminal.wait_for(r"\[2 Config\]")
        screen = terminal.wait_for("qkl")
    assert "max_epochs" not in screen


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux isn't installed")
def test_it_works_within_tmux(tmp_path: Path) -> None:
    command = [
        "tmux",
        "-S",
        str(tmp_path / "socket"),
        "-f",
        os.devnull,
        "new-session",
        " ".join(map(_quoted, DASHBOARD)),
    ]
    with Terminal(command) as terminal:
        terminal.wait_for("q leave")
        terminal.settle()
        terminal.press("2")
        terminal.wait_for(r"\[2 Config\]")
        terminal.press("q")
        assert terminal.wait_for_end() == 0


def _quoted(word: str) -> str:
    return f"'{word}'"
