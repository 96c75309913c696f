"""Models in words: the list of the library as a table, and one model in full."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from distill_engine.library import LibraryEntry
from distill_engine.models.model_info import Distance, ModelInfo
from distill_engine.words import duration, shown, size

_HEADINGS = ("name", "id", "recordings", "epochs", "distance", "size", "saved")


def table(entries: Sequence[LibraryEntry]) -> str:
    """Return the models as aligned columns under their headings; what a broken one's problem is stands in its row."""
    if not entries:
        return "there are no models yet: distill-engine train DATASET makes one"
    rows = [_HEADINGS, *(_row(entry) for entry in entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


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
        ("trained for", f"{info.training.epochs:,} epochs, {info.training.steps:,} steps"),
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
        return (shown(entry.name), "", shown(entry.problem), "", "", size(entry.size), saved)
    training = entry.info.training
    distance = _number(training.preview.lsd if training.preview else None, "{:.1f} dB")
    material = f"{training.recordings}, {duration(training.seconds)}"
    return (shown(entry.name), entry.id[:8], material, f"{training.epochs:,}", distance, size(entry.size), saved)


def _material(info: ModelInfo) -> str:
    training = info.training
    return f"{training.recordings} recordings, {duration(training.seconds)}, of {shown(training.dataset)}"


def _distance(distance: Distance | None) -> str:
    if distance is None or distance.lsd is None:
        return "not measured"
    return f"{distance.lsd:.2f} dB LSD, {distance.sc:.2f} SC, {distance.band:.2f} dB in bands"


def _number(value: float | None, layout: str) -> str:
    return "not measured" if value is None else layout.format(value)
