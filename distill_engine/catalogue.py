"""Models in words: the list of the library as a table, and one model in full."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from distill_engine.library import LibraryEntry
from distill_engine.models.model_info import Distance, ModelInfo
from distill_engine.words import columns, counted, duration, shown, size

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
        ("finished", info.training.finished or "unknown"),
    ]
    return "\n".join(f"{name + ':':17}{value}" for name, value in facts)


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
    return f"{distance.lsd:.2f} dB LSD, {distance.sc:.2f} SC, {distance.band:.2f} dB in bands"


def _number(value: float | None, layout: str) -> str:
    return "not measured" if value is None else layout.format(value)
