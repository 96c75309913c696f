"""What the recordings that a model knew lose, or win, where a run goes on from it.

They are the training recordings whose digests the model's file tells. Their loss is measured with the weights as they
come and with the best ones at the end, on the same pieces, in the same order and without any draw: a run's weights are
the same bytes as if nobody had measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from distill_engine.audio.preprocessing import PreparedCorpus
from distill_engine.events import WarningRaised
from distill_engine.models.model_info import recording_key
from distill_engine.training.config import TrainingConfig
from distill_engine.training.dataset import PieceLoader, Windows
from distill_engine.words import counted

MOST_PIECES = 128
"""How many pieces are measured on at most: about as much as a few steps take."""

UNCHANGED = 0.005
"""A change of the loss by a smaller part than this is none."""


@dataclass(frozen=True, kw_only=True)
class OldRecordings:
    """The old recordings of a run: how many, pieces of them, and their loss under the model as it came."""

    count: int
    loader: PieceLoader
    before: float


class _SomePieces(PieceLoader):
    """Draws of all its windows at most `MOST_PIECES`, evenly spaced."""

    def windows(self, epoch: int) -> Windows:
        """Return the windows, in order."""
        every = super().windows(epoch)
        count = len(every.items)
        chosen = np.arange(min(count, MOST_PIECES)) * count // min(count, MOST_PIECES)
        return Windows(items=every.items[chosen], starts=every.starts[chosen])


def old_pieces(
    known: tuple[str, ...], corpus: PreparedCorpus, config: TrainingConfig
) -> tuple[int, PieceLoader] | None:
    """Return how many of the recordings to train on the model knew, and pieces of them; None where it knew none."""
    old = frozenset(known)
    items = [item for item in corpus.training if item.copy == 0 and recording_key(item.recording.digest) in old]
    if not items:
        return None
    return len(items), _SomePieces(
        items,
        corpus.normalisation,
        batch_size=config.batch_size,
        time_frames=config.complex_spectrogram.time_frames,
        shuffle=False,
    )


def none_is_there(known: tuple[str, ...], corpus: PreparedCorpus) -> WarningRaised | None:
    """Return a warning where a model tells what it knows and none of that is in the folder any more."""
    there = {recording_key(item.recording.digest) for item in (*corpus.training, *corpus.validation)}
    if not known or there.intersection(known):
        return None
    return WarningRaised(
        kind="old-recordings",
        message="none of the recordings that the model knew is in the folder",
        evidence=f"it was trained on {counted(len(known), 'other recording')}, and may forget how they sound",
        suggestion="to keep them, put them into the folder too",
    )


def change_in_words(count: int, before: float, after: float) -> str:
    """Return what became of the loss, such as "…: loss 2.31 before, 2.52 now, 9 % worse"."""
    who = f"the {count:,} recordings that the model knew" if count != 1 else "the recording that the model knew"
    if not (math.isfinite(before) and math.isfinite(after)):
        return f"{who}: their loss can't be compared, for it isn't finite"
    change = (after - before) / before if before > 0 else 0.0
    verdict = "unchanged"
    if abs(change) >= UNCHANGED:
        verdict = f"{max(1, round(100 * abs(change)))} % {'worse' if change > 0 else 'better'}"
    return f"{who}: loss {before:.3g} before, {after:.3g} now, {verdict}"
