"""Slider values kept under names, by model."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill_engine.errors import DistillError, UsageError
from distill_engine.slider_presets import SliderPreset, delete_preset, find_preset, load_presets, save_preset

MODEL, OTHER = "0" * 32, "1" * 32
WARM = SliderPreset(name="warm", sliders={"brightness": -1.5}, seed=3, evolution=0.25)
BRIGHT = SliderPreset(name="Bright", sliders={}, seed=0, evolution=0.0)


def test_presets_are_kept_by_model_and_listed_by_name(home: Path) -> None:
    assert load_presets(MODEL) == {}
    save_preset(MODEL, WARM)
    save_preset(MODEL, BRIGHT)
    assert list(load_presets(MODEL).items()) == [("Bright", BRIGHT), ("warm", WARM)]
    assert load_presets(OTHER) == {}
    assert [path.name for path in (home / "data" / "presets").iterdir()] == [f"{MODEL}.json"]
    assert find_preset(MODEL, "warm") == WARM


def test_a_preset_of_the_same_name_is_replaced_and_one_deleted_is_gone() -> None:
    save_preset(MODEL, WARM)
    changed = SliderPreset(name="warm", sliders={"axis 2": 1.0}, seed=4, evolution=1.0)
    save_preset(MODEL, changed)
    assert load_presets(MODEL) == {"warm": changed}
    delete_preset(MODEL, "warm")
    delete_preset(MODEL, "warm")
    assert load_presets(MODEL) == {}


def test_one_that_is_not_there_is_told_with_those_that_are() -> None:
    save_preset(MODEL, WARM)
    with pytest.raises(UsageError, match="no preset 'worm'") as caught:
        find_preset(MODEL, "worm")
    assert caught.value.hint == "did you mean warm?"


def test_a_name_that_is_none_is_refused_and_a_damaged_file_is_told_and_left(home: Path) -> None:
    with pytest.raises(UsageError):
        save_preset(MODEL, SliderPreset(name="a\nb", sliders={}, seed=0, evolution=0.0))
    with pytest.raises(ValueError, match="32 hexadecimal digits"):
        load_presets("../../x")
    file = home / "data" / "presets" / f"{MODEL}.json"
    file.parent.mkdir(parents=True)
    file.write_text('[{"name": 1}]')
    for touch in (lambda: load_presets(MODEL), lambda: save_preset(MODEL, WARM)):
        with pytest.raises(DistillError, match="can't be read"):
            touch()
    assert file.read_text() == '[{"name": 1}]'


@pytest.mark.parametrize("change", ['"evolution": 7', '"evolution": 1e300', '"seed": 99999999999999999999999'])
def test_numbers_that_no_sound_can_have_are_told(home: Path, change: str) -> None:
    name = change.partition(":")[0]
    usual = {'"seed"': '"seed": 1', '"evolution"': '"evolution": 0.5'} | {name: change}
    path = home / "data" / "presets" / f"{MODEL}.json"
    path.parent.mkdir(parents=True)
    path.write_text(f'[{{"name": "x", "sliders": {{}}, {", ".join(usual.values())}}}]')
    with pytest.raises(DistillError, match="can't be read"):
        load_presets(MODEL)
