"""How fast recordings become spectrograms on disk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from distill_engine.audio.io import write_recording
from distill_engine.audio.preprocessing import PreparedCorpus, preprocess_complex_spectrograms
from distill_engine.datasets import Scan, scan
from distill_engine.figures import Figure
from distill_engine.side_by_side import torch_threads
from distill_engine.training.config import TrainingConfig, replaced

RECORDINGS, SECONDS, RATE = 8, 60.0, 48_000
"""Eight minutes of sound: long enough that starting costs nothing beside it."""


def preparing(scratch: Path) -> Iterator[Figure]:
    """Yield the figures: recordings as they are, altered copies, what a core does, and what is there already."""
    recordings = scratch / "recordings"
    _write(recordings)
    found = scan(recordings)
    threads = torch.get_num_threads()
    plain, altered = _config(0), _config(2)
    corpus, seconds = _prepared(found, plain, scratch / "all")
    with torch_threads(1):
        _, alone = _prepared(found, plain, scratch / "one")
    rate, of_one = _sound(corpus) / seconds, _sound(corpus) / alone
    yield Figure(group="preparing", name="recordings", value=rate, unit="s/s", baseline=of_one)
    yield Figure(group="preparing", name="a core", value=rate / threads, unit="s/s")
    both, more_seconds = _prepared(found, altered, scratch / "all")  # the recordings themselves are there by now
    copies = _sound(both) - _sound(corpus)
    yield Figure(group="preparing", name="altered copies", value=copies / more_seconds, unit="s/s")
    _, hit = _prepared(found, altered, scratch / "all")
    yield Figure(group="preparing", name="all of it found in the cache", value=hit, unit="s")


def _config(copies: int) -> TrainingConfig:
    return replaced(TrainingConfig(), {"augmentation.copies": copies, "val_fraction": 0.0})


def _write(folder: Path) -> None:
    """Write tones in noise; how fast they are prepared doesn't depend on what they are."""
    time_axis = np.arange(round(SECONDS * RATE)) / RATE
    for number in range(RECORDINGS):
        noise = np.random.default_rng(number).standard_normal(len(time_axis))
        tone = np.sin(2 * np.pi * 110 * (1 + number) * time_axis)
        write_recording(folder / f"{number}.flac", (0.3 * tone + 0.03 * noise).astype(np.float32), RATE, "flac")


def _prepared(found: Scan, config: TrainingConfig, cache: Path) -> tuple[PreparedCorpus, float]:
    start = time.perf_counter()
    corpus = preprocess_complex_spectrograms(found, config, cache)
    return corpus, time.perf_counter() - start


def _sound(corpus: PreparedCorpus) -> float:
    """Return how many seconds of sound a corpus holds."""
    hop = TrainingConfig().complex_spectrogram.hop_length
    return sum(item.entry.frames for item in corpus.training) * hop / RATE
