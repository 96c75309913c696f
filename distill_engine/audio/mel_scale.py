"""The mel scale in numpy, for what must answer before torch is loaded; `mel` has the same bands for torch.

Its formula stands in both rooms on purpose, its constants only here: what `mel` makes is kept in caches to the last
bit, and numpy's logarithm may differ from torch's in that bit.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

CORNER_HZ = 700.0
"""Below it bands are about equally wide, above it they widen with frequency."""

STEPS_PER_BIN = 32
"""How many points of a bin's width a filter is averaged over."""

Numbers = npt.NDArray[np.float64]


def mel_spaced(count: int, highest: float) -> Numbers:
    """Return `count` frequencies in Hz [count], from 0 to `highest`, equally far apart on the mel scale."""
    edges: Numbers = np.expm1(np.linspace(0.0, 1.0, count) * np.log1p(highest / CORNER_HZ)) * CORNER_HZ
    return edges


@functools.lru_cache(maxsize=8)
def mel_filters(bands: int, bins: int, bin_width: float, highest: float) -> Numbers:
    """Return each bin's share of power by band [bands, bins], of bands from 0 Hz to `highest`; every column sums to 1.

    Bins lie `bin_width` Hz apart, the first at 0 Hz. The lowest and the highest band are flat to the end.
    """
    edges = mel_spaced(bands + 2, highest)
    low, centre, high = (side[:, None] for side in (edges[:-2], edges[1:-1], edges[2:]))
    filters = np.zeros((bands, bins))
    for step in range(STEPS_PER_BIN):  # and not all at once: that would take 32 times the memory
        place = (step + 0.5) / STEPS_PER_BIN - 0.5
        points = np.clip((np.arange(bins) + place) * bin_width, edges[1], edges[-2])
        filters += np.maximum(np.minimum((points - low) / (centre - low), (high - points) / (high - centre)), 0.0)
    return filters / STEPS_PER_BIN
