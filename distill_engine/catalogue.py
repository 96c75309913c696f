"""Models in words: the list of the library as a table, and one model in full."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime

from distill_engine.errors import DistillError
from distill_engine.library import LibraryEntry
from distill_engine.models.model_info import Distance, LatentAxis, ModelInfo
from distill_engine.slider_presets import load_presets
from distill_engine.words import columns, counted, duration, shown, size

_AXIS_HEADINGS = ("slider", "correlation", "safe range")
_HEADINGS = ("name", "id", "recordings", "epochs", "distance", "size", "saved")


def table(entries: Sequence[LibraryEntry]) -> str:
    """Return the models as aligned columns under their headings, and below them what is wrong with those that are."""
    if not entries:
        return "there are no models yet: distill-engine train DATASET makes one"
    broken = [entry for entry in entries if entry.info is None]
    lines = columns([_HEADINGS, *(_row(entry) for entry in entries)])
    return "\n".join([*lines, *(f"{shown(entry.name)} can't be used: {entry.problem}" for entry in broken)])


def details(entry: LibraryEntry) -> str:
    """Return all that is known of a model, a line each."""
    if entry.info is None:
        return f"{shown(entry.name)} can't be used: {entry.problem}\n  {entry.path}"
    info = entry.info
    facts = [
        ("name", shown(entry.name)),
        ("id", info.id),
        ("file", f"{shown(str(entry.path))}, {size(entry.size)}"),
        ("trained on", _material(info)),
        ("trained for", f"{counted(info.training.epochs, 'epoch')}, {counted(info.training.steps, 'step')}"),
        ("validation loss", _number(info.training.best_validation_loss, "{:.4g}")),
        ("distance", _distance(info.training.preview)),
        ("least possible", _distance(info.training.floor)),
        ("latent", f"{info.architecture.latent_dim} dimensions for a second of sound"),
        ("sliders", _sliders(info) or f"none yet: distill-engine analyze {shlex.quote(shown(entry.name))} finds them"),
        ("presets", _presets(info.id)),
        ("finished", info.training.finished or "unknown"),
    ]
    return "\n".join(f"{name + ':':17}{value}" for name, value in facts)


def _presets(model_id: str) -> str:
    try:
        return ", ".join(map(shown, load_presets(model_id))) or "none"
    except DistillError as error:
        return error.message


def axes_table(axes: Sequence[LatentAxis]) -> str:
    """Return a model's axes as aligned columns under their headings: how well each does what it says, and how far."""
    if not axes:
        return "no axes: the recordings show no spread"
    return "\n".join(columns([_AXIS_HEADINGS, *map(_axis_row, axes)]))


def axes_in_words(names: Sequence[str]) -> str:
    """Return what an analysis found in a few words, such as "sliders for brightness and loudness, and 14 numbered"."""
    named = [name for name in names if not name.startswith("axis ")]
    others = len(names) - len(named)
    if not named:
        return counted(others, "numbered slider") if others else "no sliders"
    told = f"{', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else named[0]
    return f"sliders for {told}" + (f", and {others} numbered" if others else "")


def _axis_row(axis: LatentAxis) -> tuple[str, ...]:
    follows = f"{axis.correlation:.2f}" if axis.is_named else ""
    reach = f"{axis.low:+g} to {axis.high:+g}" if axis.low < axis.high else "none known"
    return (axis.name, follows, reach)


def _sliders(info: ModelInfo) -> str:
    named = [f"{axis.name} {axis.low:+g} to {axis.high:+g}" for axis in info.latent_axes if axis.is_named]
    others = len(info.latent_axes) - len(named)
    return "; ".join([*([", ".join(named)] if named else []), *([f"{others} numbered"] if others else [])])


def _row(entry: LibraryEntry) -> tuple[str, ...]:
    saved = datetime.fromtimestamp(entry.modified).isoformat(" ", "minutes")
    if entry.info is None:
        return (shown(entry.name), "", "broken", "", "", size(entry.size), saved)
    training = entry.info.training
    distance = _number(training.preview.lsd if training.preview else None, "{:.1f} dB")
    material = f"{training.recordings}, {duration(training.seconds)}"
    return (shown(entry.name), entry.id[:8], material, f"{training.epochs:,}", distance, size(entry.size), saved)


def _material(info: ModelInfo) -> str:
    training = info.training
    return f"{counted(training.recordings, 'recording')}, {duration(training.seconds)}, of {shown(training.dataset)}"


def _distance(distance: Distance | None) -> str:
    if distance is None or distance.lsd is None:
        return "not measured"
    parts = ((distance.lsd, "dB LSD"), (distance.sc, "SC"), (distance.band, "dB in bands"))
    return ", ".join(f"{value:.2f} {unit}" for value, unit in parts if value is not None)


def _number(value: float | None, layout: str) -> str:
    return "not measured" if value is None else layout.format(value)
