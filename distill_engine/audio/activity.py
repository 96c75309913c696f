"""Where a recording sounds: silent stretches don't become training pieces.

The decision: levels are taken from the waveform before noise is added to it, or a copy's silences would be learnt as
noise; and a recording is judged against its own loudest frame, so that a quiet one isn't silent all through.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distill_engine.audio.cache import Runs
from distill_engine.training.config import ComplexSpectrogramConfig

_BELOW_LOUDEST_DB = 60.0
_SILENCE_DB = (-90.0, -70.0)  # the threshold's limits: above the noise of 16 bits, below what one hears of a decay
_SILENCE_SECONDS = 0.5
_ATTACK_SECONDS, _DECAY_SECONDS = 0.05, 0.1  # kept around sound


class FrameLevels:
    """The level of each frame of a signal that comes in blocks: RMS over one hop, centred as the analysis' frames."""

    def __init__(self, hop_length: int) -> None:
        self._hop = hop_length
        self._held = torch.zeros(hop_length // 2)
        self._powers = bytearray()
        self._samples = 0

    def push(self, samples: Tensor) -> None:
        """Take the next samples [n]."""
        self._samples += len(samples)
        held = torch.cat((self._held, samples))
        whole = len(held) // self._hop * self._hop
        self._powers += held[:whole].view(-1, self._hop).double().square().mean(dim=1).numpy().data
        self._held = held[whole:].clone()

    def finish(self) -> npt.NDArray[np.float64]:
        """Return the levels [samples // hop + 1] in dB against full scale, -200 for no sound at all."""
        frames = self._samples // self._hop + 1
        last = float(self._held.double().square().sum()) / self._hop
        powers = np.append(np.frombuffer(self._powers, np.float64), last)[:frames]
        levels: npt.NDArray[np.float64] = 10 * np.log10(np.maximum(powers, 1e-20))
        return levels


def active_runs(levels_db: npt.NDArray[np.float64], config: ComplexSpectrogramConfig) -> Runs:
    """Return the stretches with sound, given the level of each frame [frames] in dB against full scale.

    A frame is silent 60 dB below the loudest one, or below the nearest of -90 and -70 dB; only silence of half a second
    or more counts. Stretches are widened to hold a piece, so `levels_db` needs at least `time_frames` frames. A
    recording that is silent all through is one stretch: whether to use it was decided elsewhere.
    """
    threshold = float(np.clip(levels_db.max() - _BELOW_LOUDEST_DB, *_SILENCE_DB))
    per_second = config.sample_rate / config.hop_length
    before, after = round(_ATTACK_SECONDS * per_second), round(_DECAY_SECONDS * per_second)
    heard = _stretches(levels_db > threshold) or ((0, len(levels_db)),)
    joined = _joined(heard, gap=round(_SILENCE_SECONDS * per_second))
    return runs_within(
        tuple((start - before, stop + after) for start, stop in joined), 0, len(levels_db), config.time_frames
    )


def runs_within(runs: Runs, first: int, stop: int, least: int) -> Runs:
    """Return what of the runs lies in the frames from `first` to before `stop`, each run widened to `least` frames.

    Runs that touch after that become one. Nothing is left where the range itself is shorter than `least`.
    """
    if stop - first < least:
        return ()
    clipped = ((max(a, first), min(b, stop)) for a, b in runs if b > first and a < stop)
    widened = []
    for a, b in clipped:
        start = min(max(a - max(0, least - (b - a)) // 2, first), stop - least) if b - a < least else a
        widened.append((start, max(b, start + least)))
    return _joined(tuple(widened), gap=0)


def _stretches(heard: npt.NDArray[np.bool_]) -> Runs:
    """Return the runs of True."""
    edges = np.flatnonzero(np.diff(heard, prepend=False, append=False))
    return tuple((int(start), int(stop)) for start, stop in edges.reshape(-1, 2))


def _joined(runs: Runs, gap: int) -> Runs:
    """Return the runs, in order, with those not further apart than `gap` made one (0: those that touch or overlap)."""
    joined: list[tuple[int, int]] = []
    for start, stop in runs:
        if joined and start - joined[-1][1] <= gap:
            joined[-1] = joined[-1][0], max(stop, joined[-1][1])
        else:
            joined.append((start, stop))
    return tuple(joined)
