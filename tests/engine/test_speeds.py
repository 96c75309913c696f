"""What is fastest on this processor: each way that is open is tried once, and what came of it is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill_engine.training.config import replaced
from distill_engine.training.hardware import decided
from distill_engine.training.speeds import FOLDER, Speed, fastest, has_native_bf16, measured
from tests.engine.runs import small_config

OPEN = replaced(small_config(), {"precision": "auto", "memory_format": "auto"})


def _kept(cache: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in (cache / FOLDER).iterdir())


def test_all_ways_that_are_open_are_measured_and_what_they_came_to_is_kept(tmp_path: Path) -> None:
    speeds = measured(OPEN, tmp_path)
    ways = {(speed.precision, speed.memory_format) for speed in speeds}
    precisions = {"fp32", "bf16"} if has_native_bf16() else {"fp32"}
    assert ways == {(one, other) for one in precisions for other in ("contiguous", "channels_last")}
    assert all(speed.pieces_per_second > 0 for speed in speeds)
    assert measured(OPEN, tmp_path) == speeds, "read, for no two measurements are alike to the last digit"
    assert len(_kept(tmp_path)) == 1


def test_what_is_asked_for_is_not_measured_otherwise(tmp_path: Path) -> None:
    asked = replaced(OPEN, {"precision": "fp32", "memory_format": "channels_last"})
    assert decided(asked, tmp_path) == asked
    assert not (tmp_path / FOLDER).exists()
    speeds = measured(replaced(OPEN, {"precision": "fp32"}), tmp_path)
    assert {speed.precision for speed in speeds} == {"fp32"}


def test_a_run_gets_the_fastest_way_and_a_kept_file_that_is_damaged_is_made_anew(tmp_path: Path) -> None:
    best = fastest(measured(OPEN, tmp_path))
    config = decided(OPEN, tmp_path)
    assert (config.precision, config.memory_format) == (best.precision, best.memory_format)
    (path,) = (tmp_path / FOLDER).iterdir()
    path.write_bytes(b"{")
    assert decided(OPEN, tmp_path).precision in ("fp32", "bf16")
    assert path.read_bytes() != b"{"


def test_the_fastest_is_the_one_with_most_pieces_a_second() -> None:
    slow = Speed(precision="fp32", memory_format="contiguous", pieces_per_second=10.0)
    fast = Speed(precision="bf16", memory_format="contiguous", pieces_per_second=20.0)
    assert fastest([slow, fast]) == fastest([fast, slow]) == fast
    with pytest.raises(ValueError, match="empty"):
        fastest([])
