"""Reading a log of any size around a place in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distill_engine.errors import StopRequestedError
from distill_tui.runs import log_file
from distill_tui.runs.log_file import LONGEST, Page


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A hundred numbered lines."""
    path = tmp_path / "worker.log"
    path.write_text("".join(f"line {number}\n" for number in range(100)))
    return path


def texts(page: Page) -> list[str]:
    return [line.text for line in page.lines]


def test_the_last_page_ends_with_the_last_line(log: Path) -> None:
    page = log_file.last_page(log, 3)
    assert texts(page) == ["line 97", "line 98", "line 99"]
    assert page.is_last


def test_moving_down_and_up_again_comes_back(log: Path) -> None:
    first = log_file.page_at(log, 0, 5)
    down = log_file.moved(log, first, 7, 5)
    assert texts(down) == [f"line {number}" for number in range(7, 12)]
    assert not down.is_last
    assert log_file.moved(log, down, -7, 5) == first


def test_moving_beyond_either_end_stops_there(log: Path) -> None:
    first = log_file.page_at(log, 0, 5)
    assert log_file.moved(log, first, -3, 5) == first
    assert log_file.moved(log, first, 1000, 5) == log_file.last_page(log, 5)


def test_a_page_asked_for_near_the_end_is_full_all_the_same(log: Path) -> None:
    place = log_file.last_page(log, 1).start
    assert texts(log_file.page_at(log, place, 3)) == ["line 97", "line 98", "line 99"]


def test_a_log_shorter_than_a_page_is_shown_whole(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_bytes(b"one\ntwo without an end")
    assert texts(log_file.last_page(path, 10)) == ["one", "two without an end"]


def test_no_log_and_an_empty_one_are_told_apart(tmp_path: Path) -> None:
    assert log_file.last_page(tmp_path / "none", 10).size is None
    (tmp_path / "empty").touch()
    assert log_file.last_page(tmp_path / "empty", 10) == Page(size=0)


def test_control_characters_are_escaped_and_tabs_are_room(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_bytes(b"50 %\r60 %\x1b[2J\tx \xff\n")
    (line,) = log_file.last_page(path, 10).lines
    assert "\x1b" not in line.text
    assert line.text.startswith("50 %\\r60 %\\x1b[2J ")
    assert line.text.endswith("x \\xff")


def test_a_line_of_many_megabytes_is_read_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_bytes(b"begin\n" + b"x" * (5 * LONGEST + 7) + b"\nend\n")
    page = log_file.page_at(path, 0, 4)
    assert [len(line.text) for line in page.lines] == [5, LONGEST, LONGEST, LONGEST]
    assert log_file.moved(path, log_file.moved(path, page, 2, 4), -2, 4) == page
    assert log_file.last_page(path, 1).lines[0].text == "end"


def test_a_log_of_terabytes_opens_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    with path.open("wb") as file:
        file.write(b"begin\n")
        file.truncate(1 << 42)  # a hole, that takes no room on the disk
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast words\n")
    page = log_file.last_page(path, 2)
    assert page.lines[-1].text == "last words"
    assert page.size == (1 << 42) + 12


def test_a_search_finds_the_next_line_in_either_direction_and_either_case(log: Path) -> None:
    start = log_file.found(log, "LINE 5", 0)
    assert start is not None
    assert log_file.page_at(log, start, 1).lines[0].text == "line 5"
    following = log_file.found(log, "line 5", start + 1)
    assert following is not None
    assert log_file.page_at(log, following, 1).lines[0].text == "line 50"
    assert log_file.found(log, "line 5", following, backwards=True) == start
    assert log_file.found(log, "line 5", start, backwards=True) is None
    assert log_file.found(log, "nowhere", 0) is None


def test_a_text_across_two_pieces_is_found_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    piece = log_file._SEARCHED_AT_ONCE
    before = b"." * 99 + b"\n"
    lines = before * (piece // 100) + b"." * (piece % 100 - 3)
    path.write_bytes(lines + b"needle\n" + before * (piece // 100) + b"." * 90 + b"\n")
    place = log_file.found(path, "needle", 0)
    assert place is not None
    assert "needle" in log_file.page_at(path, place, 1).lines[0].text
    assert log_file.found(path, "needle", path.stat().st_size, backwards=True) == place


def test_a_search_tells_how_far_it_is_and_stops_when_asked(log: Path) -> None:
    places: list[int] = []
    log_file.found(log, "nowhere", 0, on_progress=places.append)
    assert places == [0]
    with pytest.raises(StopRequestedError):
        log_file.found(log, "nowhere", 0, should_stop=lambda: True)


def test_a_log_that_was_cut_meanwhile_is_shown_as_it_is_now(log: Path) -> None:
    page = log_file.last_page(log, 5)
    log.write_text("fresh\n")
    assert texts(log_file.moved(log, page, 1, 5)) == ["fresh"]
