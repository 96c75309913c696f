"""Compiling: the same losses, decided by what it costs and saves, and left out where it can't be done."""

from __future__ import annotations

import functools
from pathlib import Path

import msgspec
import pytest
import torch

from distill_engine.training.compiling import MOST_DIFFERENCE, Compiled, measured, settled
from distill_engine.training.speeds import FOLDER
from tests.engine.runs import small_config

ASKED, ON, OFF = (small_config(compile=choice) for choice in ("auto", "on", "off"))


def test_without_a_compiler_it_is_left_out_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", str(tmp_path / "none"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    for asked in (ASKED, ON):
        config, reason = settled(asked, 10**9, tmp_path / "cache")
        assert config == OFF
        assert reason.startswith("torch can't compile here: ")
        assert "\n" not in reason
    assert not (tmp_path / "cache" / FOLDER).exists(), "there may be a compiler the next time"


def test_it_is_compiled_where_that_saves_more_than_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network is traced, there and back, as for a compiler, and what is traced runs as it is: that is quicker."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    found = measured(ASKED, tmp_path)
    assert found.difference <= MOST_DIFFERENCE
    assert found.warm_up > 0
    assert settled(OFF, 10**9, tmp_path) == (OFF, "")
    (kept,) = (tmp_path / FOLDER).iterdir()

    def decided(plain: float, compiled: float, difference: float = 0.0) -> tuple[str, str]:
        """Return what comes of 1,000 steps where compiling takes ten seconds."""
        made = Compiled(plain=plain, compiled=compiled, warm_up=10.0, difference=difference)
        kept.write_bytes(msgspec.json.encode(made))
        config, reason = settled(ASKED, 1_000, tmp_path)
        return config.compile, reason

    assert decided(0.020, 0.009) == ("on", "")
    slower = "a step takes 11 ms compiled and 20 ms as it is, and compiling takes 10.0 s"
    assert decided(0.020, 0.011) == ("off", slower)
    assert settled(ON, 1_000, tmp_path) == (ON, ""), "asked for without weighing"
    other = "compiled steps compute something else: losses differ by 2.0%"
    assert decided(0.020, 0.009, 0.02) == decided(0.020, 0.009, 0.02) == ("off", other)
    assert settled(ON, 1_000, tmp_path) == (OFF, other)
