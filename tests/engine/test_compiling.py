"""Compiling: the same losses, decided by what it costs and saves, and left out where there is no compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from distill_engine.training.compiling import Compiled, settled
from distill_engine.training.speeds import FOLDER
from distill_engine.training.state import fresh_state
from distill_engine.training.step import Rates, Stepper
from tests.engine.runs import small_config

CONFIG = small_config()


def test_without_a_compiler_it_is_left_out_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", str(tmp_path / "none"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    for choice in ("auto", "on"):
        config, reason = settled(small_config(compile=choice), 10**9, tmp_path / "cache")
        assert config.compile == "off"
        assert reason.startswith("torch can't compile here: ")
        assert "\n" not in reason
    assert not (tmp_path / "cache" / FOLDER).exists(), "there may be a compiler the next time"
    assert settled(small_config(), 10**9, tmp_path) == (small_config(), "")


def test_it_is_compiled_where_that_saves_more_than_it_takes() -> None:
    found = Compiled(plain=0.010, compiled=0.008, warm_up=10.0)
    assert found.pays_over(5_001)
    assert not found.pays_over(4_999)


@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="there is no compiler here")
def test_compiled_steps_have_the_losses_of_plain_ones(tmp_path: Path) -> None:
    """In a process of its own, whose code compiled earlier lies elsewhere."""
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    subprocess.run(
        [sys.executable, "-c", "from tests.engine.test_compiling import compare; compare()"],
        env=environment,
        check=True,
    )


def compare() -> None:
    """Take the same steps both ways."""
    shape = (2, 2, CONFIG.complex_spectrogram.n_mels, CONFIG.complex_spectrogram.time_frames)
    batch = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    rows = []
    for choice in ("off", "on"):
        config = small_config(compile=choice)
        stepper = Stepper(fresh_state(config, torch.device("cpu")), config)
        rows.append(torch.stack([stepper.take(batch, step, Rates(learning=1e-3, kl=1e-3)) for step in (1, 2, 3)]))
    assert torch.allclose(rows[0], rows[1], rtol=1e-3), rows
