"""The pictures of a sound's file, as every view that shows one asks for them.

They are made in a thread. Cancelling the worker that waits for them makes the thread give up, so that whoever goes on
to the next sound doesn't wait for the last.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distill_engine import api

if TYPE_CHECKING:
    from distill_engine.api import MelPicture, WaveformPicture

COLUMNS, BANDS = 320, 64
"""How fine pictures are made, whatever room there is for them: as a wide terminal shows them."""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Two pictures of one sound, in the same scale of time."""

    waveform: WaveformPicture
    mel: MelPicture


async def pictures_of(path: Path) -> Pictures:
    """Return the pictures of a sound's file. Raises DistillError where it is gone or can't be decoded."""
    given_up = threading.Event()
    try:
        return await asyncio.to_thread(_drawn, path, given_up.is_set)
    finally:
        given_up.set()


def _drawn(path: Path, should_stop: Callable[[], bool]) -> Pictures:
    if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises for what can't be a name
        raise api.DistillError("its file is gone")
    return Pictures(
        waveform=api.waveform_picture(path, COLUMNS, should_stop=should_stop),
        mel=api.mel_picture(path, COLUMNS, BANDS, should_stop=should_stop),
    )
