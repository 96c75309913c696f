"""What the sliders of a model do, what is said of them, and a blind vote: all without a screen."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
from msgspec.structs import replace as replaced

from distill_engine.audio.tags import SoundTags, write_tags
from distill_engine.models.model_info import MagnitudeRange, ModelInfo
from distill_engine.slider_presets import SliderPreset
from distill_tui.explore import drafts, kept
from distill_tui.explore.drafts import Draft
from distill_tui.explore.history import made_of
from distill_tui.explore.presets import left_out, preset_of, settings_of
from distill_tui.explore.slider_words import ASCII, Signs, about, difference, in_words, slider_line
from distill_tui.explore.sliders import (
    Direction,
    Settings,
    Slider,
    complaint_about,
    known_to,
    sliders_of,
    stepped,
    value_of,
    with_value,
)
from distill_tui.explore.vote import Candidate, Pair, rivals, shuffled, told
from tests.engine.recordings import good
from tests.tui.models_made import axes, model_id

INFO = ModelInfo(
    name="rain",
    normalisation=MagnitudeRange(magnitude_floor=-12.0, magnitude_scale=4.0),
    latent_mean=(0.0,) * 128,
    latent_axes=axes(128),
)
SLIDERS = sliders_of(INFO)
BRIGHTNESS, SECOND, EVOLUTION, LENGTH, SEED = SLIDERS


def test_a_model_without_axes_still_has_evolution_length_and_seed() -> None:
    bare = sliders_of(ModelInfo(name="bare", normalisation=INFO.normalisation))
    assert [slider.key for slider in bare] == ["evolution", "length", "seed"]
    assert [slider.key for slider in SLIDERS] == ["axis brightness", "axis axis 2", "evolution", "length", "seed"]


@pytest.mark.parametrize(
    ("slider", "at", "direction", "fine", "after"),
    [
        (BRIGHTNESS, 0.0, 1, False, 0.5),
        (BRIGHTNESS, 0.3, 1, False, 0.5),
        (BRIGHTNESS, 0.3, -1, False, 0.0),
        (BRIGHTNESS, 0.3, -1, True, 0.2),
        (BRIGHTNESS, 4.0, 1, False, 4.0),
        (EVOLUTION, 0.5, 1, True, 0.52),
        (EVOLUTION, 0.0, -1, False, 0.0),
        (LENGTH, 9.0, 1, False, 10.0),
        (LENGTH, 10.0, 1, False, 20.0),
        (LENGTH, 10.0, -1, False, 9.0),
        (LENGTH, 1.0, -1, False, 0.1),
        (LENGTH, 4.0, 1, True, 4.1),
        (SEED, 7, -1, False, 6),
        (SEED, 0, -1, False, 0),
    ],
)
def test_a_step_leads_to_the_next_round_value_and_never_past_the_end(
    slider: Slider, at: float, direction: Direction, fine: bool, after: float
) -> None:
    moved = stepped(with_value(Settings(), slider, at), slider, direction, fine=fine)
    assert value_of(moved, slider) == pytest.approx(after)


def test_a_slider_back_at_nothing_leaves_no_trace_in_the_settings() -> None:
    draft = drafts.moved(Draft(), BRIGHTNESS, 1, fine=False)
    assert draft.settings.sliders == {"brightness": 0.5}
    assert drafts.reset(draft, BRIGHTNESS).settings == Settings()


def test_moves_of_one_slider_are_undone_together_and_redone() -> None:
    draft = Draft()
    for slider in (BRIGHTNESS, BRIGHTNESS, BRIGHTNESS, SECOND):
        draft = drafts.moved(draft, slider, 1, fine=False)
    assert draft.settings.sliders == {"brightness": 1.5, "axis 2": 0.5}
    once = drafts.undone(draft)
    assert once.settings.sliders == {"brightness": 1.5}
    assert drafts.undone(drafts.undone(once)).settings == Settings()
    assert drafts.redone(drafts.redone(drafts.undone(once))).settings == draft.settings


def test_chance_draws_axes_that_are_not_locked_as_the_recordings_lie_and_within_their_safe_range() -> None:
    draft = drafts.lock_turned(drafts.moved(Draft(), BRIGHTNESS, -1, fine=False), BRIGHTNESS)
    found = [drafts.randomised(draft, SLIDERS, random.Random(seed)).settings for seed in range(200)]
    assert all(replace(settings, sliders={}) == Settings() for settings in found)
    assert {settings.sliders["brightness"] for settings in found} == {-0.5}
    moved = [settings.sliders.get("axis 2", 0.0) for settings in found]
    assert min(moved) == SECOND.low
    assert 2.0 < max(moved) <= SECOND.high
    assert 0.6 < sum(abs(value) <= 1 for value in moved) / len(moved) < 0.8, "of a normal draw it is about two thirds"


def test_all_sliders_are_put_back_and_seed_and_length_stay() -> None:
    draft = Draft(settings=Settings(sliders={"brightness": 2.0}, seed=5, evolution=0.2, seconds=9.0))
    assert drafts.reset_all(draft, SLIDERS).settings == replace(Settings(), seed=5, seconds=9.0)


def test_a_new_seed_is_another_one() -> None:
    draft = Draft(settings=Settings(seed=7))
    seeds = {drafts.with_new_seed(draft, random.Random(number)).settings.seed for number in range(50)}
    assert 7 not in seeds
    assert len(seeds) > 40


def drawn(value: float, signs: Signs, width: int = 56, *, is_locked: bool = False) -> str:
    settings = with_value(Settings(), BRIGHTNESS, value)
    return "".join(text for text, _ in slider_line(settings, BRIGHTNESS, width, signs, is_locked=is_locked))


def test_a_slider_shows_where_it_stands_and_without_colours_what_is_safe() -> None:
    line = drawn(0.0, ASCII)
    assert line.isascii()
    track = line.split()[1]
    assert track == "....=====O===......"
    assert drawn(1.0, ASCII).split()[1:] == ["....=====|=O=......", "+1.0"]
    assert drawn(2.0, ASCII).split()[2:] == ["+2.0", "!"]
    assert drawn(1.0, Signs(), is_locked=True).endswith("locked")


@pytest.mark.parametrize("width", [30, 48, 56, 76, 118])
def test_a_slider_is_never_wider_than_its_room(width: int) -> None:
    long = replace(BRIGHTNESS, name="a very long name of an axis \x1b[31m")
    settings = with_value(Settings(), long, -4.0)
    line = "".join(text for text, _ in slider_line(settings, long, width - 2, Signs(), is_locked=True))
    assert len(line) <= width - 2
    assert "\x1b" not in line
    assert "-4.0 !" in line


def test_what_a_slider_means_is_told_in_a_sentence() -> None:
    risen = "safe from -2.0 to +1.5 standard deviations; brightness rises with it, correlation 0.93"
    assert about(BRIGHTNESS, 0.0) == risen
    assert about(BRIGHTNESS, 2.0) == "beyond the range that is safe, -2.0 to +1.5: the sound may break up"
    assert about(SECOND, 0.0) == "safe from -1.2 to +3.0 standard deviations"


@pytest.mark.parametrize(
    ("slider", "text", "complaint"),
    [
        (BRIGHTNESS, "1.25", ""),
        (BRIGHTNESS, "5", "must be -4 to 4"),
        (BRIGHTNESS, "nan", "must be -4 to 4"),
        (replace(SECOND, most=4.6), "5", "must be -4 to 4.6"),
        (replace(SECOND, most=4.6), "4.6", ""),
        (LENGTH, "x", "must be a number"),
        (SEED, "1.5", "must be a whole number"),
        (SEED, "4294967296", "must be 0 to 4,294,967,295"),
    ],
)
def test_a_typed_value_is_complained_of(slider: Slider, text: str, complaint: str) -> None:
    assert complaint_about(slider, text) == complaint


def test_settings_from_elsewhere_lose_what_the_model_has_no_slider_for() -> None:
    foreign = Settings(sliders={"brightness": 9.0, "warmth\n": 1.0}, evolution=3.0)
    assert known_to(foreign, SLIDERS) == Settings(sliders={"brightness": 4.0}, evolution=1.0)
    assert left_out(foreign, SLIDERS) == "; the model has no slider warmth\\n now"
    assert left_out(Settings(), SLIDERS) == ""


def test_settings_become_a_preset_and_come_back_in_the_length_there_is() -> None:
    settings = Settings(sliders={"brightness": 1.0}, seed=4, evolution=0.3, seconds=20.0)
    assert settings_of(preset_of(settings, "warm"), Settings(seconds=2.0)) == replace(settings, seconds=2.0)
    assert in_words(settings) == "brightness +1.0, seed 4, evolution 0.30, 20.0 s"


def test_sliders_are_remembered_by_model_and_called_back_as_far_as_it_has_them() -> None:
    draft = Draft(
        settings=Settings(sliders={"brightness": 1.0, "gone": 2.0}, seed=3, evolution=0.5, seconds=8.0),
        locked=frozenset({"axis brightness", "axis gone"}),
    )
    noted = kept.noted({}, "abc", draft)
    back = kept.recalled(noted["abc"], SLIDERS)
    assert back.settings == replace(draft.settings, sliders={"brightness": 1.0})
    assert back.locked == {"axis brightness"}
    assert kept.recalled(noted.get("other"), SLIDERS) == Draft()
    for number in range(kept.MOST_MODELS):
        noted = kept.noted(noted, str(number), draft)
    assert len(noted) == kept.MOST_MODELS
    assert "abc" not in noted


def test_settings_are_compared_with_chance_the_step_before_and_what_the_model_has_of_presets() -> None:
    draft = drafts.moved(Draft(), BRIGHTNESS, 1, fine=False)
    presets = [SliderPreset(name="warm", sliders={"brightness": 2.0, "gone": 1.0}, seed=3, evolution=0.2)]
    random_one, before, warm = rivals(draft, SLIDERS, presets, random.Random(0))
    assert random_one.is_secret
    assert before.settings == Settings()
    assert (warm.title, warm.preset) == ("preset warm", "warm")
    assert warm.settings == Settings(sliders={"brightness": 2.0}, seed=3, evolution=0.2)
    assert len(rivals(Draft(), SLIDERS, [], random.Random(0))) == 1


def test_chance_decides_which_is_a_and_the_vote_tells() -> None:
    now = Candidate(title="what the sliders stand at", settings=Settings())
    preset = Candidate(title="preset warm", settings=Settings(seed=1), preset="warm")
    pairs = [shuffled(now, preset, random.Random(seed)) for seed in range(40)]
    assert {pair.a.title for pair in pairs} == {now.title, preset.title}
    assert all({pair.a.title, pair.b.title} == {now.title, preset.title} for pair in pairs)
    pair = Pair(a=preset, b=now)
    words = "\n".join("".join(text for text, _ in line) for line in told(pair, "A", 60))
    assert words == "A was preset warm, which you chose\nseed 1\nB was what the sliders stand at\nseed 0"
    assert pair.chosen("B") is now
    assert pair.chosen("") is None
    assert "no difference" in told(pair, "", 60)[-1][0][0]


def test_two_settings_are_told_by_what_differs() -> None:
    one = Settings(sliders={"brightness": 1.0, "warmth\n": -0.5, "axis 2": 0.3}, evolution=0.25)
    other = Settings(sliders={"brightness": 1.0, "axis 2": 1.0, "roughness": 2.0}, seed=3, seconds=9.0)
    assert difference(one, other) == "warmth\\n -0.5, axis 2 +0.3, roughness +0.0, seed 0, evolution 0.25"
    assert difference(one, replace(one, seconds=9.0)) == ""


def test_history_says_what_a_sound_was_made_of_besides_its_settings(tmp_path: Path) -> None:
    tags = SoundTags(model="rain", model_id=model_id("abc1"), seed=7, seconds=0.1)
    for name, written in {
        "a.wav": replaced(tags, start="bell.flac", blend={"bells": 0.3}),
        "b.wav": replaced(tags, start="bell.flac", end="drum.flac"),
        "c.wav": tags,
    }.items():
        with soundfile.SoundFile(tmp_path / name, "w", 48_000, 1) as file:
            write_tags(file, written)
            file.write([0.0] * 480)
    told = {made.path.name: made.beside for made in made_of(model_id("abc1"), tmp_path.iterdir())}
    assert told.pop("a.wav") == "begun from bell.flac, with 0.3 of bells"
    assert told == {"b.wav": "from bell.flac to drum.flac", "c.wav": ""}


def test_history_is_what_the_files_of_the_model_tell_the_newest_first(tmp_path: Path) -> None:
    tags = SoundTags(model="rain", model_id=model_id("abc1"), seed=7, seconds=0.1, sliders={"brightness": 1.5})
    for number, written in enumerate((tags, replaced(tags, model_id=model_id("fff1")), replaced(tags, preset="warm"))):
        path = tmp_path / f"rain-{number}.wav"
        with soundfile.SoundFile(path, "w", 48_000, 1) as file:
            write_tags(file, written)
            file.write([0.0] * 480)
        os.utime(path, (number, number))
    paths = [*tmp_path.iterdir(), good(tmp_path / "recording.wav"), tmp_path / "gone.wav"]
    newest, oldest = made_of(model_id("abc1"), paths)
    assert (newest.path.name, newest.preset, newest.time) == ("rain-2.wav", "warm", 2.0)
    assert oldest.path.name == "rain-0.wav"
    assert oldest.settings == Settings(sliders={"brightness": 1.5}, seed=7, evolution=tags.evolution, seconds=0.1)
