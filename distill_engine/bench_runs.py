"""How long a person waits: from the command to the first step, and for sound from a model."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from distill_engine.audio.spectrogram import analyse, synthesise
from distill_engine.demo_recordings import write_recordings
from distill_engine.errors import DistillError
from distill_engine.events import StepDone, decode
from distill_engine.figures import Figure
from distill_engine.generation import Wish, generate
from distill_engine.models.persistence import load_model
from distill_engine.training.config import ComplexSpectrogramConfig

SOUND_SECONDS = 60.0
_RATE = ComplexSpectrogramConfig.sample_rate


def runs(scratch: Path) -> Iterator[Figure]:
    """Yield the figures, from two runs of an epoch on the same recordings: the second finds all in the cache."""
    recordings = scratch / "recordings"
    write_recordings(recordings)
    first, again = (_to_the_first_step(recordings, scratch / "home", name) for name in ("first", "again"))
    yield Figure(group="runs", name="to the first step, nothing prepared", value=first, unit="s")
    yield Figure(group="runs", name="to the first step, all in the cache", value=again, unit="s", baseline=first)
    loaded = load_model(scratch / "home" / "data" / "models" / "first.distill")
    generate(loaded, Wish(seconds=1.0))  # the first one also makes tables
    start = time.perf_counter()
    sound = generate(loaded, Wish(seconds=SOUND_SECONDS))
    yield Figure(
        group="runs", name="generating", value=SOUND_SECONDS / (time.perf_counter() - start), unit="x real time"
    )
    start = time.perf_counter()
    config = ComplexSpectrogramConfig()
    synthesise(analyse(sound, config), config, len(sound))
    trip = len(sound) / _RATE / (time.perf_counter() - start)
    yield Figure(group="runs", name="there and back", value=trip, unit="x real time")


def _to_the_first_step(recordings: Path, home: Path, name: str) -> float:
    """Train an epoch as anybody would; return the seconds from the command to its first step."""
    settings = ("max_epochs=1", "preview_samples=0", "preview_recordings=0")
    command = [sys.executable, "-m", "distill_engine", "train", str(recordings), "--name", name]
    begun = time.time()
    done = subprocess.run(
        [*command, *(f"--set={setting}" for setting in settings)],
        env=os.environ | {"DISTILL_HOME": str(home), "OMP_NUM_THREADS": str(torch.get_num_threads())},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DistillError("a run of the benchmark failed", done.stderr.strip().rpartition("\n")[2])
    lines = (home / "state" / "runs" / name / "events.jsonl").read_bytes().splitlines()
    steps = (event for line in lines if isinstance(event := decode(line), StepDone))
    return next(steps).time - begun
