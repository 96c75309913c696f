"""The pace of drawing: down while output waits for the terminal, up again when it drains."""

from __future__ import annotations

import pytest

from distill_tui.link import CALM_DRAWINGS, PACES, Pace, notice


class Terminal:
    """So many writes wait for it."""

    waiting = 0


def pace_of(terminal: Terminal, *, eco: bool = False) -> tuple[Pace, list[float]]:
    told: list[float] = []
    return Pace(lambda: terminal.waiting, eco=eco, on_change=told.append), told


def test_a_link_that_keeps_up_is_drawn_on_twice_a_second_and_with_eco_once() -> None:
    assert [pace_of(Terminal(), eco=eco)[0].seconds for eco in (False, True)] == [0.5, 1.0]


def test_what_waits_for_a_moment_is_let_drain_at_the_usual_pace() -> None:
    terminal = Terminal()
    pace, told = pace_of(terminal)
    for waiting in (1, 0, 2, 0):
        terminal.waiting = waiting
        assert pace.before_drawing() is (waiting == 0)
    assert told == []


def test_nothing_is_drawn_while_output_waits_and_from_the_second_time_the_pace_steps_down() -> None:
    terminal = Terminal()
    pace, told = pace_of(terminal)
    assert pace.before_drawing()
    terminal.waiting = 3
    assert [pace.before_drawing() for _ in range(6)] == [False] * 6
    assert told == [*PACES[1:]]
    assert pace.is_slowed


def test_a_link_that_has_recovered_is_drawn_on_as_often_as_before() -> None:
    terminal = Terminal()
    pace, told = pace_of(terminal, eco=True)
    terminal.waiting = 1
    pace.before_drawing()
    pace.before_drawing()
    terminal.waiting = 0
    assert all(pace.before_drawing() for _ in range(CALM_DRAWINGS))
    assert told == [2.0, 0.0]
    assert not pace.is_slowed


def test_a_notice_is_handed_through_tmux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    assert notice("bells: finished") == "\x1b]9;bells: finished\x07"
    monkeypatch.setenv("TMUX", "/tmp/tmux-1000/default,1,0")
    assert notice("bells: finished") == "\x1bPtmux;\x1b\x1b]9;bells: finished\x07\x1b\\"
