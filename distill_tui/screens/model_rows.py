"""The models as lines of the Library's list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from distill_engine import api
from distill_tui.library.model_words import local_minute, lsd_and_least
from distill_tui.widgets.listing import Cell, Column, Row

if TYPE_CHECKING:
    from distill_engine.api import LibraryEntry

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
    lsd, least = lsd_and_least(entry)
    if lsd is None:
        return Cell(text="not measured", tone="dim", order="")
    return Cell(text=f"{lsd:.1f} dB" + (f" ({least:.1f})" if least is not None else ""), order=lsd)
