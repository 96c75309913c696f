"""Which recordings are kept aside for validation: content and seed alone decide, so a run and its estimate agree."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distill_engine.datasets import Recording


def split_recordings(
    recordings: Sequence[Recording], seed: int, val_fraction: float
) -> tuple[tuple[Recording, ...], tuple[Recording, ...]]:
    """Return the recordings to train on and those to validate with, each in the order given.

    Equal files stay together. About `val_fraction` of the distinct files go to validation: at least one and never
    all, but none where `val_fraction` is 0 or there are fewer than two. Which ones depends on seed and content alone.
    What a model generated is trained on like the rest, but it doesn't count here and nothing is judged by it.
    """
    digests = {recording.digest for recording in recordings if not recording.generated}
    if val_fraction == 0 or len(digests) < 2:
        return tuple(recordings), ()
    wanted = min(max(round(len(digests) * val_fraction), 1), len(digests) - 1)
    ranked = sorted(digests, key=lambda digest: hashlib.blake2b(f"{seed}:{digest}".encode()).digest())
    chosen = set(ranked[:wanted])
    return (
        tuple(recording for recording in recordings if recording.digest not in chosen),
        tuple(recording for recording in recordings if recording.digest in chosen),
    )
