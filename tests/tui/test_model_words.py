"""Models in words: every name escaped, every line within its width, and what isn't known said to be so."""

from __future__ import annotations

import msgspec
import pytest

from distill_engine.library import find_model
from distill_engine.words import cells
from distill_tui.format import wrapped
from distill_tui.library.model_story import settings_in, story_of
from distill_tui.library.model_words import details, local_minute
from distill_tui.screens.model_rows import COLUMNS, rows
from tests.recorded_runs import unpacked
from tests.tui.models_made import SUMMARY, write_model


@pytest.mark.parametrize("width", [20, 36, 56, 80])
def test_no_line_is_wider_than_its_room_and_nothing_is_lost(width: int) -> None:
    write_model("a very long name \x1b[31m of 雨の音 " + "x" * 60, "abc1")
    entry = find_model("abc1")
    lines = ["".join(words for words, _ in line) for line in details(entry, width)]
    assert max(map(cells, lines)) <= width
    said = "".join(lines).replace(" ", "")
    for words in ("\\x1b[31m", "雨の音", "x" * 60, entry.id):
        assert words in said
    assert "\x1b" not in said


def test_lines_break_at_spaces_and_only_otherwise_within_words() -> None:
    assert wrapped("one two three", 8) == ["one two", "three"]
    assert wrapped("one twothree", 5) == ["one", "twoth", "ree"]
    assert wrapped("exact fit", 9) == ["exact fit"]
    assert wrapped("雨雨雨", 4) == ["雨雨", "雨"]
    assert wrapped("", 5) == [""]


def test_a_model_without_measurements_says_so_and_sorts_behind_the_others() -> None:
    write_model("bare", "abc1", msgspec.structs.replace(SUMMARY, preview=None, floor=None, best_validation_loss=None))
    write_model("whole", "abc2")
    bare, whole = rows([find_model("bare"), find_model("whole")])
    column = [one.title for one in COLUMNS].index("distance (least)")
    assert (bare.cells[column].text, whole.cells[column].text) == ("not measured", "7.8 dB (3.5)")
    assert isinstance(whole.cells[column].order, float)
    assert not isinstance(bare.cells[column].order, float)
    assert sum("not measured" in "".join(text for text, _ in line) for line in details(find_model("bare"), 60)) == 2


def test_a_time_that_cannot_be_one_is_no_error() -> None:
    assert local_minute(1e30) == ""
    assert local_minute(0.0) == ""
    write_model("odd", "abc1", msgspec.structs.replace(SUMMARY, finished="some\x07 day"))
    assert any("some\\x07 day" in "".join(text for text, _ in line) for line in details(find_model("odd"), 60))


def test_settings_that_differ_from_the_usual_come_first_and_unknown_ones_are_told_too() -> None:
    settings = settings_in("batch_size = 32\nmax_epochs = 7\nseed = 0\n[new]\nthing = [1, 'a\\u001b']\n")
    assert [(one.key, one.value, one.usual, one.differs) for one in settings] == [
        ("max_epochs", "7", "200", True),
        ("new.thing", "[1, 'a\\\\u001b']", "", True),
        ("batch_size", "32", "32", False),
        ("seed", "0", "0", False),
    ]
    assert settings_in("not TOML") == settings_in("") == ()


def test_a_run_is_found_by_the_id_it_shares_with_its_model() -> None:
    unpacked("stopped")
    run = unpacked("healthy")
    broken_run = run.path.with_name("broken")
    broken_run.mkdir()
    (broken_run / "run.json").write_text("{")
    write_model("renamed", run.info().id)
    story = story_of(find_model("renamed"))
    assert story.run == run
    assert [epoch.epoch for epoch in story.epochs] == [*range(1, len(story.epochs) + 1)]
    assert story.epochs
    write_model("other", "abc1")
    assert story_of(find_model("other")).run is None
