"""Keep what libraries say on their own off the terminal, and out of data for a script.

mpg123 comments on odd MP3 files, libsndfile on a few others, past Python and onto the descriptors of the standard
output and error: into the line that shows progress, or between lines of JSON. So those lead nowhere, and what Python
says goes on to where they led.
"""

from __future__ import annotations

import os
import sys
from typing import TextIO


def hush_libraries() -> None:
    """Call it once, at the start of a program; processes it starts must be told where their words go."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None:  # as where the descriptor was closed
            moved = _moved(stream, nowhere)
            setattr(sys, name, moved)
            setattr(sys, f"__{name}__", moved)
    os.close(nowhere)


def _moved(stream: TextIO, nowhere: int) -> TextIO:
    """Return a stream to where this one led, and let its descriptor lead nowhere."""
    stream.flush()
    kept = os.dup(stream.fileno())
    os.dup2(nowhere, stream.fileno())
    buffering = 1 if getattr(stream, "line_buffering", False) else -1
    return open(kept, "w", buffering, stream.encoding, stream.errors)  # noqa: PTH123 - a descriptor is opened
