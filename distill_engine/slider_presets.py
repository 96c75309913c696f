"""Presets: slider values of a model under a name, kept in `data/presets/<model id>.json` beside the library.

They go by the model's id, so they follow a model that is renamed, and a copy of it finds them too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from distill_engine import atomic, home
from distill_engine.errors import DistillError, UsageError
from distill_engine.generation_limits import LARGEST_SEED
from distill_engine.names import checked_name, nearest_words
from distill_engine.small_files import LARGE, UNREADABLE, read_small
from distill_engine.words import shown

_MODEL_ID = re.compile(r"[0-9a-f]{32}")


class SliderPreset(Struct, frozen=True, kw_only=True):
    """Settings of a sound, under a name."""

    name: str
    sliders: Mapping[str, float]
    """Slider values by the axes' names, in standard deviations of the corpus."""

    seed: Annotated[int, Meta(ge=0, le=LARGEST_SEED)]
    evolution: Annotated[float, Meta(ge=0, le=1)]


def load_presets(model_id: str) -> dict[str, SliderPreset]:
    """Return a model's presets by name, in the order of names; none where it has none.

    Raises:
        DistillError: the file that holds them can't be read.
    """
    path = _file(model_id)
    try:
        presets = msgspec.json.decode(read_small(path, LARGE), type=list[SliderPreset])
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DistillError(f"the presets in {shown(str(path))} can't be read: {error.strerror}") from None
    except UNREADABLE as error:
        raise DistillError(
            f"the presets in {shown(str(path))} can't be read: {error}", "mend the file, or move it out of the way"
        ) from None
    return {preset.name: preset for preset in sorted(presets, key=lambda preset: preset.name.casefold())}


def steered_presets(model_id: str) -> list[str]:
    """Return the names of a model's presets that set sliders: they sound otherwise once the model has other sliders.

    None where the file that holds them can't be read, which is told where one is asked for.
    """
    try:
        return [name for name, preset in load_presets(model_id).items() if preset.sliders]
    except DistillError:
        return []


def find_preset(model_id: str, name: str) -> SliderPreset:
    """Return a model's preset of that name.

    Raises:
        UsageError: there is none; the hint names those there are.
        DistillError: the file that holds them can't be read.
    """
    presets = load_presets(model_id)
    if name not in presets:
        raise UsageError(
            f"the model has no preset {shown(name)!r}", nearest_words(name, list(map(shown, presets)), "presets")
        )
    return presets[name]


def save_preset(model_id: str, preset: SliderPreset) -> None:
    """Keep a preset; one of the same name is replaced.

    Raises:
        UsageError: the name can't be one.
        DistillError: the file can't be read or written.
    """
    checked_name(preset.name)
    _write(model_id, load_presets(model_id) | {preset.name: preset})


def delete_preset(model_id: str, name: str) -> None:
    """Forget a preset. One that is gone already is fine; DistillError where the file can't be read or written."""
    presets = load_presets(model_id)
    if presets.pop(name, None):
        _write(model_id, presets)


def _write(model_id: str, presets: Mapping[str, SliderPreset]) -> None:
    path = _file(model_id)
    try:
        atomic.write_bytes(path, msgspec.json.format(msgspec.json.encode(list(presets.values()))) + b"\n")
    except OSError as error:
        raise DistillError(f"{shown(str(path))} can't be written: {error.strerror}") from None


def _file(model_id: str) -> Path:
    if not _MODEL_ID.fullmatch(model_id):
        raise ValueError(f"a model's id has 32 hexadecimal digits, unlike {model_id!r}")
    return home.data_folder() / "presets" / f"{model_id}.json"
