"""How fast this machine prepares, trains and makes sound: figures, each beside a baseline of the same process.

Seconds of one run don't compare with those of another, on another day or another machine; what is measured in turns,
in one process, on the same data, does. So every figure that can has its baseline next to it, and it is the ratio that
is to be kept. How each group is measured stands beside its figures, in `METHODS`.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from distill_engine.bench_gpu import gpu
from distill_engine.bench_loop import loop
from distill_engine.bench_preparing import preparing
from distill_engine.bench_runs import runs
from distill_engine.bench_steps import steps
from distill_engine.figures import Figure
from distill_engine.training.config import TrainingConfig
from distill_engine.training.hardware import decided
from distill_engine.words import columns

METHODS = {
    "preparing": "seconds of sound that come into the cache in a second; baseline: one thread",
    "steps": "pieces a second of the bare step on batches that lie ready; baseline: fp32, eager, contiguous",
    "compiling": "a bare step compiled, its baseline eager; and the time to compile it",
    "loop": "pieces a second of whole epochs, pieces cut and events written; baseline, in turns: the bare step",
    "loader": "the loop; baseline: steps that torch's DataLoader of four processes feeds from the same cache",
    "gpu": "what a second of steady training makes of the GPU; peaks are measured by a copy and a product of matrices",
    "runs": "seconds from the command to the first step told, and of sound made in a second",
}

Say = Callable[[str], object]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchResult:
    """All figures, and on what they were measured."""

    device: str
    precision: str
    memory_format: str
    threads: int
    torch: str
    figures: tuple[Figure, ...]

    def as_data(self) -> dict[str, object]:
        """Return the result for JSON."""
        return dataclasses.asdict(self) | {"figures": [figure.as_data() for figure in self.figures], "methods": METHODS}

    def in_words(self) -> str:
        """Return the result as a table, a group after another with its method."""
        lines = [
            f"on {self.device}, {self.precision}, {self.memory_format}; {self.threads} threads, torch {self.torch}",
        ]
        for group, method in METHODS.items():
            rows = [figure.row() for figure in self.figures if figure.group == group]
            if rows:
                lines += ["", f"{group}: {method}", *(f"  {line}" for line in columns(rows))]
        return "\n".join(lines)


def measure(say: Say) -> BenchResult:
    """Measure on made-up recordings, with the usual settings; takes three minutes on two cores; `say` follows."""
    with tempfile.TemporaryDirectory(prefix="distill-bench-") as scratch:
        return _measure(Path(scratch), say)


def _measure(scratch: Path, say: Say) -> BenchResult:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or no product could be made the same bits later
    config = decided(TrainingConfig(), scratch / "cache")
    say("preparing")
    found = list(preparing(scratch / "preparing"))
    say("steps")
    found += steps(config, scratch / "steps")
    say("whole epochs")
    found += loop(config, scratch / "loop")
    if config.device != "cpu":
        say("the GPU")
        found += gpu(config, scratch / "gpu")
    say("two runs, and sound from the model of one")
    found += runs(scratch / "runs")
    return BenchResult(
        device=torch.cuda.get_device_name(config.device) if config.device != "cpu" else "cpu",
        precision=config.precision,
        memory_format=config.memory_format,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        figures=tuple(found),
    )
