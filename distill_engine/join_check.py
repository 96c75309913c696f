"""Can an onset detector find where pieces were joined? Counted over many sounds, against what chance would hit.

An onset near a join proves nothing: joins come every 0.3 s, and a sound may set in at any time. So those near joins are
counted, and the verdict is how likely so many are if onsets fell anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from distill_engine.audio.onsets import HOP, flux, heard_spectrogram, onset_frames
from distill_engine.generation import Wish, generate, layout_of
from distill_engine.models.persistence import LoadedModel

NEAR_FRAMES = 2
"""An onset is at a join if it is within so many frames, 21 ms: two attacks less far apart are heard as one."""


@dataclass(frozen=True, kw_only=True)
class JoinCheck:
    """What was found at the joins of some sounds, and elsewhere."""

    onsets: int
    at_joins: int
    """Of the onsets, those near a join."""

    share: float
    """Of all frames, those near a join."""

    flux_ratio: float
    """The mean rise of the spectrum near joins, against that elsewhere: 1 where joins are like any other place."""

    @property
    def chance(self) -> float:
        """How likely so many onsets are at joins by chance alone; under 0.01, joins are heard."""
        return binomial_tail(self.at_joins, self.onsets, self.share)


def check_joins(loaded: LoadedModel, wishes: Iterable[Wish]) -> JoinCheck:
    """Make sounds, and look for onsets at their joins."""
    return count_at_joins((generate(loaded, wish), _join_samples(loaded, wish)) for wish in wishes)


def count_at_joins(sounds: Iterable[tuple[Tensor, Tensor]]) -> JoinCheck:
    """Look for onsets in sounds, each a waveform [n] and the samples [joins] at which it was joined."""
    found = at_joins = 0
    near_everywhere, rises = [], []
    for waveform, joins in sounds:
        rise = flux(heard_spectrogram(waveform))
        near = ((torch.arange(len(rise))[:, None] - joins[None] / HOP).abs() <= NEAR_FRAMES).any(1)
        onsets = onset_frames(rise)
        found += len(onsets)
        at_joins += int(near[onsets].sum())
        near_everywhere.append(near)
        rises.append(rise)
    near, rise = torch.cat(near_everywhere), torch.cat(rises)
    return JoinCheck(
        onsets=found,
        at_joins=at_joins,
        share=float(near.float().mean()),
        flux_ratio=float(rise[near].mean() / rise[~near].mean().clamp(min=1e-12)),
    )


def _join_samples(loaded: LoadedModel, wish: Wish) -> Tensor:
    """Return the samples [joins] at which a sound's pieces meet."""
    layout = layout_of(loaded.model, loaded.spectrogram, wish.seconds, wish.seed)
    return torch.tensor(layout.joins) * loaded.spectrogram.hop_length


def binomial_tail(hits: int, tries: int, share: float) -> float:
    """Return the probability of `hits` or more in so many tries, each a hit with the probability `share`."""
    if hits <= 0:
        return 1.0
    return min(1.0, sum(math.exp(_log_binomial(k, tries, share)) for k in range(hits, tries + 1)))


def _log_binomial(hits: int, tries: int, share: float) -> float:
    ways = math.lgamma(tries + 1) - math.lgamma(hits + 1) - math.lgamma(tries - hits + 1)
    return ways + hits * math.log(max(share, 1e-12)) + (tries - hits) * math.log(max(1 - share, 1e-12))
