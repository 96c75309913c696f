"""Pieces of spectrograms become one of any length, without a seam.

The decision: what is faded is power, as with two sounds that play at once; fading logarithms would dip wherever two
pieces differ. Frequencies are weighted by the power that has them.

New sound joins where it is least heard. A model knows pieces of a second; laid end to end on a grid, whatever a piece
does comes back at the grid's pace, an attack as well as a swell. So of each piece only two thirds are used, which ones
is chosen among those places that agree best with what plays already (as WSOLA does with waveforms, Verhelst and
Roelands 1993), and the pieces begin at uneven distances: nothing is in step with the joins.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LOUDEST = 4.0
"""Nepers over full scale: beyond is no sound, and squared powers would leave the numbers there are."""

_USED_SHARE = 2 / 3
_SHORTEST_HOP, _LONGEST_HOP = 3 / 8, 1 / 2
"""Of what is used of a piece: how far apart two of them begin."""

_AGREEING_SHARE = 1 / 3
"""The best places of a piece, of which one is drawn: always to take the best would make short loops."""

_LOUDNESS = 0.6
"""Amplitude to loudness (Stevens 1957): pieces must agree where they are heard."""

_FRAMES_AT_ONCE = 4096


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which part of each piece is used, and where it is laid."""

    used: int
    """Frames that are used of a piece."""

    places: int
    """How many places of a piece they may begin at."""

    starts: tuple[int, ...]
    """The frames of the whole at which pieces begin."""

    frames: int

    @property
    def joins(self) -> tuple[float, ...]:
        """The frames at which one piece and the next are equally loud."""
        return tuple((one + other + self.used - 1) / 2 for one, other in itertools.pairwise(self.starts))


def lay_out(length: int, frames: int, seed: int) -> Layout:
    """Return where pieces of `length` frames are to begin so that they cover `frames`."""
    generator = torch.Generator().manual_seed(seed)
    used = max(2, round(_USED_SHARE * length))
    shortest, longest = max(1, round(_SHORTEST_HOP * used)), max(1, round(_LONGEST_HOP * used))
    starts = [0]
    while starts[-1] + used < frames:
        starts.append(starts[-1] + int(torch.randint(shortest, longest + 1, (1,), generator=generator)))
    return Layout(used=used, places=max(1, length - used + 1), starts=tuple(starts), frames=frames)


def agreeing(pieces: Iterable[Tensor], layout: Layout, generator: torch.Generator) -> Iterable[Tensor]:
    """Yield of each raw piece [2, n_mels, length] the part that goes on best from the part before, [2, n_mels, used].

    The first piece is used from its beginning: that is where it has its own attack, if any.
    """
    before: Tensor | None = None
    for number, piece in enumerate(pieces):
        place = 0
        if before is not None:
            hop = layout.starts[number] - layout.starts[number - 1]
            place = _place(before[..., hop:], (_LOUDNESS * piece[0]).exp(), layout.places, generator)
        used = piece[..., place : place + layout.used]
        before = (_LOUDNESS * used[0]).exp()
        yield used


def _place(playing: Tensor, loudness: Tensor, places: int, generator: torch.Generator) -> int:
    """Return a place of a piece [n_mels, length] from which it agrees with what is `playing` [n_mels, overlap]."""
    beginnings = loudness.unfold(-1, playing.shape[-1], 1)[:, :places]
    apart = (beginnings - playing[:, None]).abs().mean((0, 2)).cpu()
    best = apart.argsort(stable=True)[: max(1, round(_AGREEING_SHARE * places))]
    return int(best[torch.randint(len(best), (1,), generator=generator)])


def faded_together(pieces: Iterable[Tensor], starts: Sequence[int], frames: int) -> Tensor:
    """Fade raw pieces [2, n_mels, length], each beginning at its start, into one raw spectrogram [2, n_mels, frames].

    Fades are raised cosines; the powers of the pieces that cover a frame count by theirs.
    """
    joined = fade = weight = torch.empty(0)
    for start, piece in zip(starts, pieces, strict=True):
        if not start:
            channels, bands, length = piece.shape
            fade = torch.sin((torch.arange(length, device=piece.device) + 0.5) * (math.pi / length)).square()
            joined, weight = piece.new_zeros(channels, bands, frames), piece.new_zeros(frames)
        end = min(frames, start + piece.shape[-1])
        part, fading = piece[..., : end - start], fade[: end - start]
        power = fading * (2 * part[0].clamp(max=LOUDEST)).exp()
        joined[0, :, start:end] += power
        joined[1, :, start:end] += power * part[1]
        weight[start:end] += fading
    for part, fading in zip(joined.split(_FRAMES_AT_ONCE, -1), weight.split(_FRAMES_AT_ONCE), strict=True):
        part[1] /= part[0]
        part[0] = (part[0] / fading).log() / 2
    return joined
