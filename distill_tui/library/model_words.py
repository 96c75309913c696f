"""A model in words: all that its header says, as it stands beside the list. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from distill_engine import api
from distill_tui.format import Words, number, paragraph, wrapped

if TYPE_CHECKING:
    from distill_engine.api import LibraryEntry

_LABEL = 12


def lsd_and_least(entry: LibraryEntry) -> tuple[float | None, float | None]:
    """Return the distance of the model's reconstructions, and of the representation alone, in dB."""
    assert entry.info is not None
    training = entry.info.training
    return (
        training.preview.lsd if training.preview else None,
        training.floor.lsd if training.floor else None,
    )


def details(entry: LibraryEntry, width: int) -> list[Words]:
    """Return all that the model's header says but its configuration, in lines of at most `width` cells."""
    lines: list[Words] = paragraph(api.shown(entry.name), width, "strong")
    for label, text in _facts(entry):
        pieces = wrapped(text, width - _LABEL)
        lines += [[(f"{'' if place else label:{_LABEL}}", "dim"), (piece, "")] for place, piece in enumerate(pieces)]
    if entry.info is None:
        lines[1:1] = paragraph(f"It can't be used: {api.shown(entry.problem)}", width, "warn")
    return lines


def _facts(entry: LibraryEntry) -> Iterator[tuple[str, str]]:
    yield "file", f"{api.shown(str(entry.path))}, {api.size(entry.size)}"
    if entry.info is None:
        yield "saved", local_minute(entry.modified)
        return
    info, training = entry.info, entry.info.training
    yield "id", info.id
    if info.name != entry.name:
        yield "trained as", api.shown(info.name)
    recordings = api.counted(training.recordings, "recording")
    yield "trained on", f"{recordings} of {api.shown(training.dataset)}, {api.duration(training.seconds)}"
    best = f" (best: {training.best_epoch:,})" if training.best_epoch else ""
    yield "trained for", f"{api.counted(training.epochs, 'epoch')}{best}, {api.counted(training.steps, 'step')}"
    loss = training.best_validation_loss
    yield "validation", "not measured" if loss is None else f"{number(loss)} at its best"
    yield "distance", _distance_words(entry)
    yield "latent", f"{info.architecture.latent_dim} dimensions for a second"
    if training.versions:
        told = [f"{name} {training.versions[name]}" for name in ("distill", "torch") if name in training.versions]
        yield "made with", api.shown(", ".join(told))
    yield "finished", _finished(training.finished) or local_minute(entry.modified)


def _distance_words(entry: LibraryEntry) -> str:
    lsd, least = lsd_and_least(entry)
    if lsd is None:
        return "not measured"
    return f"{lsd:.2f} dB LSD" + (f", and {least:.2f} at the least" if least is not None else "")


def local_minute(seconds: float) -> str:
    """Return a moment as the clock on the wall has it, such as "2026-11-25 09:27"; empty for none."""
    try:
        return datetime.fromtimestamp(seconds).isoformat(" ", "minutes") if seconds else ""
    except (ValueError, OverflowError, OSError):  # a file's time may be anything
        return ""


def _finished(text: str) -> str:
    """Return a time that a file tells in UTC as the clock on the wall had it; what isn't one as it stands."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return api.shown(text)
    return local_minute((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
