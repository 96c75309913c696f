"""Models in words: a line of the list each, and one in full beside it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from distill_engine import api
from distill_tui.widgets.listing import Cell, Column, Row

if TYPE_CHECKING:
    from distill_engine.api import LibraryEntry

Words = list[tuple[str, str]]

COLUMNS = (
    Column(title="name"),
    Column(title="recordings", width=10, right=True, rank=5),
    Column(title="length", width=11, right=True, rank=4),
    Column(title="of", width=12, rank=3),
    Column(title="epochs", width=7, right=True, rank=1),
    Column(title="distance (least)", width=16, right=True),
    Column(title="size", width=8, right=True, rank=2),
    Column(title="saved", width=16, rank=1),
)
_LABEL = 12


def rows(entries: Sequence[LibraryEntry]) -> list[Row]:
    """Return the models as lines under `COLUMNS`, each with its path as its key."""
    return [_row(entry) for entry in entries]


def _row(entry: LibraryEntry) -> Row:
    size = Cell(text=api.size(entry.size), order=entry.size)
    saved = Cell(text=local_minute(entry.modified), order=entry.modified)
    name = Cell(text=api.shown(entry.name))
    if entry.info is None:
        nothing = Cell(text="", order="")
        cells = (name, nothing, nothing, nothing, nothing, Cell(text="can't be used", order="~"), size, saved)
        return Row(key=str(entry.path), cells=cells, tone="warn")
    training = entry.info.training
    cells = (
        name,
        Cell(text=f"{training.recordings:,}", order=training.recordings),
        Cell(text=api.duration(training.seconds), order=training.seconds),
        Cell(text=api.shown(training.dataset)),
        Cell(text=f"{training.epochs:,}", order=training.epochs),
        _distance_cell(entry),
        size,
        saved,
    )
    return Row(key=str(entry.path), cells=cells)


def _distance_cell(entry: LibraryEntry) -> Cell:
    lsd, least = _lsd(entry)
    if lsd is None:
        return Cell(text="not measured", tone="dim", order="")
    return Cell(text=f"{lsd:.1f} dB" + (f" ({least:.1f})" if least is not None else ""), order=lsd)


def _lsd(entry: LibraryEntry) -> tuple[float | None, float | None]:
    """Return the distance of the model's reconstructions, and of the representation alone, in dB."""
    assert entry.info is not None
    training = entry.info.training
    return (
        training.preview.lsd if training.preview else None,
        training.floor.lsd if training.floor else None,
    )


def details(entry: LibraryEntry, width: int) -> list[Words]:
    """Return all that the model's header says but its configuration, in lines of at most `width` cells."""
    lines: list[Words] = [[(line, "strong")] for line in broken(api.shown(entry.name), width)]
    for label, text in _facts(entry):
        pieces = broken(text, width - _LABEL)
        lines += [
            [(f"{label if not number else '':{_LABEL}}", "dim"), (piece, "")] for number, piece in enumerate(pieces)
        ]
    if entry.info is None:
        lines[1:1] = [[(line, "warn")] for line in broken(f"It can't be used: {api.shown(entry.problem)}", width)]
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
    yield "validation", "not measured" if loss is None else f"{loss:.4g} at its best"
    yield "distance", _distance_words(entry)
    yield "latent", f"{info.architecture.latent_dim} dimensions for a second"
    if training.versions:
        told = [f"{name} {training.versions[name]}" for name in ("distill", "torch") if name in training.versions]
        yield "made with", api.shown(", ".join(told))
    yield "finished", _finished(training.finished) or local_minute(entry.modified)


def _distance_words(entry: LibraryEntry) -> str:
    lsd, least = _lsd(entry)
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


def broken(text: str, width: int) -> list[str]:
    """Return a text in lines of at most `width` cells, broken at spaces where there are some."""
    lines = []
    while api.cells(text) > max(1, width):
        piece = api.cut(text, max(1, width)) or text[0]
        space = piece.rfind(" ")
        if space > 0 and not text[len(piece) :].startswith(" "):
            piece = piece[: space + 1]
        lines.append(piece.rstrip())
        text = text[len(piece) :].lstrip()
    return [*lines, text]
