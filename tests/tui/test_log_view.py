"""The worker's log as one sees it."""

from __future__ import annotations

import asyncio

import pytest

from distill_engine.run_folder import RunFolder
from distill_tui.screens.log_view import LogView
from tests.recorded_runs import unpacked
from tests.tui.shown_views import SIZES, Shown, opened

LINES = 500


def run_with_log(text: str) -> RunFolder:
    folder = unpacked("healthy")
    folder.worker_log.write_text(text)
    return folder


def numbered() -> RunFolder:
    return run_with_log("".join(f"line {number} of the log\n" for number in range(LINES)))


def rows(shown: Shown[LogView]) -> list[str]:
    return [line.rstrip() for line in shown.view._lines.text.split("\n")]


def head(shown: Shown[LogView]) -> str:
    return shown.view._head.text


@pytest.mark.parametrize("size", SIZES)
def test_the_end_of_the_log_is_shown_and_fills_the_room(size: tuple[int, int]) -> None:
    async def visit() -> None:
        async with opened(numbered(), "l", LogView, size) as shown:
            await shown.until(lambda: rows(shown)[-1] == f"  line {LINES - 1} of the log")
            assert len(rows(shown)) == shown.view._lines.size.height > size[1] - 8
            assert "worker.log" in head(shown)
            assert "follows its end" in head(shown)

    asyncio.run(visit())


def test_what_is_added_at_the_end_is_shown_by_itself_but_not_while_one_looks_further_up() -> None:
    async def visit() -> None:
        folder = numbered()
        async with opened(folder, "l", LogView) as shown:
            await shown.until(lambda: "line 499" in rows(shown)[-1])
            with folder.worker_log.open("a") as log:
                log.write("something new\n")
            await shown.until(lambda: rows(shown)[-1] == "  something new")
            await shown.press("g")
            await shown.until(lambda: rows(shown)[0] == "  line 0 of the log")
            with folder.worker_log.open("a") as log:
                log.write("something else\n")
            await shown.press("j")
            await shown.until(lambda: rows(shown)[0] == "  line 1 of the log")
            await shown.press("G")
            await shown.until(lambda: rows(shown)[-1] == "  something else")

    asyncio.run(visit())


def test_keys_move_by_lines_and_pages_however_fast_they_come() -> None:
    async def visit() -> None:
        async with opened(numbered(), "l", LogView) as shown:
            await shown.until(lambda: rows(shown)[-1] != "")
            await shown.press("g", "j", "j", "j", "k", "pagedown", "pagedown", "pageup")
            page = shown.view._lines.size.height - 1
            await shown.until(lambda: rows(shown)[0] == f"  line {2 + page} of the log")
            assert "%" in head(shown)

    asyncio.run(visit())


@pytest.mark.parametrize("size", SIZES)
def test_a_search_goes_up_from_the_end_and_n_and_shift_n_go_on(size: tuple[int, int]) -> None:
    async def visit() -> None:
        async with opened(numbered(), "l", LogView, size) as shown:
            await shown.until(lambda: rows(shown)[-1] != "")
            await shown.press("slash", *"LINE 7", "enter")
            await shown.until(lambda: "> line 79 of the log" in rows(shown))
            await shown.press("N")
            await shown.until(lambda: "> line 78 of the log" in rows(shown))
            await shown.press("n")
            await shown.until(lambda: "> line 79 of the log" in rows(shown))
            await shown.press("n")
            await shown.until(lambda: "isn't in the log below" in shown.said)
            assert shown.view.has_focus
            await shown.until(lambda: "> line 7 of the log" in rows(shown))
            assert "this is the first from its beginning" in shown.said
            await shown.press("N")
            await shown.until(lambda: "> line 79 of the log" in rows(shown))
            assert "isn't in the log above: this is the last" in shown.said

    asyncio.run(visit())


def test_what_stands_only_further_down_is_found_too() -> None:
    async def visit() -> None:
        async with opened(numbered(), "l", LogView) as shown:
            await shown.until(lambda: rows(shown)[-1] != "")
            await shown.press("g", "slash", *"line 400", "enter")
            await shown.until(lambda: "> line 400 of the log" in rows(shown))

    asyncio.run(visit())


def test_what_was_looked_for_is_marked_by_more_than_colour() -> None:
    async def visit() -> None:
        async with opened(numbered(), "l", LogView) as shown:
            await shown.press("slash", *"line 42 ", "enter")
            await shown.until(lambda: "> line 42 of the log" in rows(shown))
            strip = shown.view._lines.render_line(rows(shown).index("> line 42 of the log"))
            assert [segment.text for segment in strip if segment.style and segment.style.reverse] == ["line 42 "]

    asyncio.run(visit())


def test_a_search_for_nothing_there_says_so_and_esc_gives_up() -> None:
    async def visit() -> None:
        async with opened(numbered(), "l", LogView) as shown:
            await shown.press("slash", *"nowhere", "enter")
            await shown.until(lambda: "nowhere isn't in the log" in shown.said)
            await shown.press("slash", *"line", "escape")
            await shown.until(lambda: shown.view.has_focus)
            assert not any(line.startswith(">") for line in rows(shown))

    asyncio.run(visit())


def test_long_lines_are_cut_with_a_sign_and_shown_further_right_by_a_key() -> None:
    async def visit() -> None:
        async with opened(run_with_log("a" * 150 + "b" * 50 + "\nshort\n"), "l", LogView) as shown:
            await shown.until(lambda: rows(shown)[0].endswith("a>"))
            await shown.press("right", "right")
            await shown.until(lambda: rows(shown)[0].endswith("ab" + "b" * 49))
            assert "from column" in head(shown)
            await shown.press("left", "left", "left")
            await shown.until(lambda: rows(shown) == ["  " + "a" * 115 + ">", "  short"])

    asyncio.run(visit())


def test_an_empty_log_is_said_to_be_usual_and_a_missing_one_named() -> None:
    async def visit(folder: RunFolder) -> str:
        async with opened(folder, "l", LogView) as shown:
            await shown.until(lambda: len(rows(shown)) > 1)
            return "\n".join(rows(shown))

    folder = run_with_log("")
    assert "empty, as it is while all is well" in asyncio.run(visit(folder))
    folder.worker_log.unlink()
    assert "worker.log" in asyncio.run(visit(folder))


def test_control_characters_of_a_log_never_reach_the_terminal() -> None:
    async def visit() -> None:
        async with opened(run_with_log("50 %\r\x1b]0;title\x07 done\n"), "l", LogView) as shown:
            await shown.until(lambda: rows(shown)[0] == "  50 %\\r\\x1b]0;title\\x07 done")

    asyncio.run(visit())
