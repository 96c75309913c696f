"""Pictures of a sound's file: both of them, or a reason in words."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from distill_engine.errors import DistillError
from distill_tui.pictures import BANDS, COLUMNS, pictures_of
from tests.engine.recordings import good


def test_a_sound_has_two_pictures_in_one_scale_of_time(tmp_path: Path) -> None:
    drawn = asyncio.run(pictures_of(good(tmp_path / "a.wav", frames=48_000)))
    assert drawn.waveform.seconds == drawn.mel.seconds == 1.0
    assert (len(drawn.waveform.low), drawn.mel.decibels.shape) == (COLUMNS, (BANDS, COLUMNS))


@pytest.mark.parametrize("name", ["gone.wav", "x" * 300 + ".wav"])
def test_a_file_that_is_gone_or_never_could_be_is_told_in_words(name: str, tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="its file is gone"):
        asyncio.run(pictures_of(tmp_path / name))
