"""What may be asked of a model at once: the limits that the command line and the dashboard check a wish against."""

from __future__ import annotations

SHORTEST_SECONDS = 0.1
LONGEST_SECONDS = 3600.0
"""An hour takes 1.6 GB of memory, of which 0.6 are torch's and the model's, and minutes of two cores."""

MOST_SOUNDS = 1000
LARGEST_SEED = 2**32 - 1

USUAL_EVOLUTION = 0.5
"""From 0, a sound that stays where it begins, to 1, one that is somewhere else each second."""
