"""Training pieces in another level and tone each time they are drawn: the augmentation that teaches the most.

A piece keeps what it is, louder or softer, through a smooth curve as of an equaliser. Its log-magnitudes only move, so
this costs next to nothing and needs no copy in the cache; frequencies stay as they are. What a model so trained makes
of recordings it never saw is a fifth nearer to them, and of those it learnt from no farther (the table: sound.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_KNOTS = 6
"""Points of the curve over the bands, with straight lines between: features of about two octaves."""

_STREAM = 0xC010  # tells these draws from any others that start from the run's seed
_DB_PER_NEPER = 20 / math.log(10)


@dataclass(frozen=True, kw_only=True)
class Colouring:
    """How far level and tone may go, in dB up or down, and the seed of what is drawn."""

    level_db: float
    tone_db: float
    seed: int

    def drawn(self, epoch: int, pieces: int) -> Tensor | None:
        """Return what is drawn for each piece of an epoch, [pieces, 1, draws] from -1 to 1; None for no colouring.

        Equal for equal seed and epoch.
        """
        if not (self.level_db or self.tone_db):
            return None
        random = np.random.default_rng(np.random.SeedSequence([_STREAM, self.seed, epoch]))
        return torch.from_numpy(random.uniform(-1.0, 1.0, (pieces, 1, 1 + _KNOTS)).astype(np.float32))

    def apply(self, pieces: Tensor, draws: Tensor, magnitude_scale: float) -> Tensor:
        """Return normalised pieces [B, 2, n_mels, time], each coloured as its `draws` [B, 1, draws] have it.

        `magnitude_scale` is the normalisation's, nepers to 1. Silence stays silence, and what falls to it loses its
        frequency, as analysis would have it.
        """
        level, knots = draws[..., :1] * self.level_db, draws[..., 1:] * self.tone_db
        tone = torch.nn.functional.interpolate(knots, size=pieces.shape[2], mode="linear", align_corners=True)
        moved = (level + tone).transpose(1, 2) / (_DB_PER_NEPER * magnitude_scale)
        magnitude, frequency = pieces.unbind(1)
        magnitude = torch.where(magnitude > 0, (magnitude + moved).clamp(min=0.0), magnitude)
        return torch.stack((magnitude, torch.where(magnitude > 0, frequency, 0.0)), dim=1)
