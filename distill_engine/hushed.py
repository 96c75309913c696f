"""Keep what libraries say on their own off the terminal, and out of data for a script.

mpg123 comments on odd MP3 files, libsndfile on a few others, past Python and onto the descriptors of the standard
output and error: into the line that shows progress, or between lines of JSON. So those lead nowhere, and what Python
says goes on to where they led.
"""

from __future__ import annotations

import os
import sys
from typing import IO, Any, TextIO


def hush_libraries() -> None:
    """Call it once, at the start of a program; processes it starts must be told where their words go."""
    for name in ("stdout", "stderr"):
        if _has_descriptor(stream := getattr(sys, name)):
            moved = _moved(stream)
            setattr(sys, name, moved)
            setattr(sys, f"__{name}__", moved)


def _has_descriptor(stream: TextIO | None) -> bool:
    """Tell whether a stream leads to a descriptor; one that was closed at the start, or put in its place, doesn't."""
    try:
        return stream is not None and stream.fileno() >= 0
    except OSError:
        return False


def lead_nowhere(stream: IO[Any]) -> None:
    """Let a stream's descriptor lead nowhere: whatever is still held for it goes there."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a descriptor is wanted
        os.dup2(nowhere.fileno(), stream.fileno())


def _moved(stream: TextIO) -> TextIO:
    """Return a stream to where this one led, and let its descriptor lead nowhere."""
    stream.flush()
    kept = os.dup(stream.fileno())
    lead_nowhere(stream)
    buffering = 1 if getattr(stream, "line_buffering", False) else -1
    return open(kept, "w", buffering, stream.encoding, stream.errors)  # noqa: PTH123 - a descriptor is opened
