"""The level of a sound that is written: turned down where its peak would come too near to full scale, never up.

One rule for all formats: so a sound is as loud in each of them, and what a lossy one or a player's converter adds to a
peak still has room.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

CEILING_DB = -1.0
"""Against full scale, the highest peak that is written."""


def made_safe(samples: npt.NDArray[np.float32]) -> float:
    """Turn samples down, all alike and in their place, if their peak is over `CEILING_DB`; return by how many dB."""
    peak = max(float(samples.max(initial=0.0)), -float(samples.min(initial=0.0)))
    over = 20 * math.log10(peak) - CEILING_DB if peak > 0 else 0.0
    if over <= 0:
        return 0.0
    samples *= np.float32(10 ** (-over / 20))
    return over
