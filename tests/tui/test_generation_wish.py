"""What is typed about sounds to generate is checked against the engine's own limits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from distill_engine.audio.io import WRITABLE_FORMATS
from distill_tui.library.generation_wish import COUNT, FOLDER, FORMAT, KEYS, SECONDS, SEED, Draft, first_draft, in_words
from distill_tui.library.generation_wish import next_format as following
from distill_tui.remembered import Generating

SOUNDS = Path("/sounds")


def draft(texts: Mapping[str, str], folder: Path = SOUNDS) -> Draft:
    first = first_draft(Generating(), folder, 3)
    return Draft(texts={**first.texts, **texts}, usual_folder=folder)


def test_what_is_offered_can_be_taken_as_it_is() -> None:
    wish = draft({COUNT: "2"}).wish
    assert wish is not None
    assert wish.paths("rain") == [Path("/sounds/rain-3.wav"), Path("/sounds/rain-4.wav")]
    assert in_words(wish, "rain\x1b") == "rain\\x1b-3.wav to rain\\x1b-4.wav, 8.0 s of sound"


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        (SECONDS, "", "must be a number"),
        (SECONDS, "nan", "must be 0.1 to 3,600"),
        (SECONDS, "inf", "must be 0.1 to 3,600"),
        (SECONDS, "0.05", "must be 0.1 to 3,600"),
        (COUNT, "1.5", "must be a whole number"),
        (COUNT, "0", "must be 1 to 1,000"),
        (SEED, "-1", "must be 0 to 4,294,967,295"),
        (FORMAT, "aiff", "must be wav, flac, ogg or mp3"),
        (FOLDER, " ", "must not be empty"),
    ],
)
def test_what_cannot_be_is_complained_of_and_is_no_wish(key: str, text: str, words: str) -> None:
    wrong = draft({key: text})
    assert wrong.complaints == {key: words}
    assert wrong.wish is None


def test_a_folder_that_can_be_shown_but_not_typed_is_meant_while_its_text_is_left_alone() -> None:
    folder = Path(os.fsdecode(b"/sounds/\xff\n"))
    kept, changed = draft({}, folder).wish, draft({FOLDER: "~/x"}, folder).wish
    assert kept is not None
    assert changed is not None
    assert kept.folder == folder
    assert changed.folder == Path.home() / "x"


def test_formats_go_round_in_both_directions() -> None:
    assert [following(one, 1) for one in WRITABLE_FORMATS] == [*WRITABLE_FORMATS[1:], WRITABLE_FORMATS[0]]
    assert following(WRITABLE_FORMATS[0], -1) == WRITABLE_FORMATS[-1]
    assert following("nonsense", 1) == WRITABLE_FORMATS[0]
    assert set(KEYS) == set(draft({}).texts)
