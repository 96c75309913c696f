"""From an empty home to a sound of one's own, by keys alone, over a terminal that is lost on the way."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from distill_engine.events import decode
from distill_engine.run_folder import RunFolder, list_runs
from distill_engine.run_lock import lock_holder
from tests.engine.runs import write_dataset
from tests.tui.terminal import PATIENCE, Terminal

SIXTEEN_COLOURS = {"TERM": "xterm"}


@pytest.mark.parametrize(("size", "environment"), [((120, 36), {}), ((80, 24), SIXTEEN_COLOURS)])
def test_a_person_gets_from_a_folder_to_a_sound_though_the_link_drops(
    tmp_path: Path, home: Path, size: tuple[int, int], environment: dict[str, str]
) -> None:
    folder = tmp_path / "strings"
    folder.mkdir()
    write_dataset(folder, 6)
    with Terminal(size=size, environment=environment) as terminal:
        _choose(terminal, folder)
        _set(terminal, "max_epochs", "100000")
        _set(terminal, "n_mels", "32")
        terminal.press("s")
        terminal.wait_for(r"\[3 Training\]")
        terminal.wait_for(r"[1-9]\d* of 100,000 epochs")
        terminal.hang_up()
        assert terminal.wait_for_end() == 0
    (run,) = list_runs()
    assert lock_holder(run) is not None
    _wait_for_more(run)

    with Terminal(size=size, environment=environment) as terminal:
        terminal.wait_for("while you were away")
        terminal.press("S")
        terminal.wait_for("Stop strings")
        terminal.press("y")
        terminal.wait_for(r"done \d\d:\d\d:\d\d")
        terminal.press("4")
        terminal.wait_for(r"strings +\d")
        terminal.press("m")
        terminal.wait_for("Generate from strings")
        terminal.press("enter")
        terminal.wait_for(r"made strings-0\.wav")
        terminal.press("q")
        assert terminal.wait_for_end() == 0
    assert lock_holder(run) is None
    assert _is_gapless(run)
    assert (home / "data" / "models" / "strings.distill").is_file()
    assert (home / "data" / "generated" / "strings" / "strings-0.wav").stat().st_size > 100_000


def _choose(terminal: Terminal, folder: Path) -> None:
    """Add a folder and take it for the next run."""
    terminal.wait_for("No folder of recordings is known yet")
    terminal.press("a")
    terminal.wait_for("Folder of recordings")
    terminal.type(str(folder))
    terminal.wait_for("6 recordings in it")
    terminal.press("enter")
    terminal.wait_for("6 recordings, 6 used")
    terminal.press("u")
    terminal.wait_for(r"\[2 Config\]")


def _set(terminal: Terminal, name: str, value: str) -> None:
    """Find a field by its name and type another value into it."""
    terminal.type(f"/{name}\r\r\x15{value}\r")
    terminal.settle()
    assert re.search(rf"{name}\s+{value}", terminal.text), terminal.text
    terminal.press("escape")
    terminal.settle()


def _wait_for_more(run: RunFolder) -> None:
    """Wait until a run nobody watches has gone on."""
    before, deadline = run.events_file.stat().st_size, time.monotonic() + PATIENCE
    while run.events_file.stat().st_size < before + 2000:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_gapless(run: RunFolder) -> bool:
    events = [decode(line) for line in run.events_file.read_bytes().splitlines()]
    return [event.seq for event in events if event] == list(range(1, len(events) + 1))
