"""What steady training makes of a GPU, and what it gives up for the same bits each time.

The share of its peaks is that of what a product of large matrices and a copy within its memory come to.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import torch

from distill_engine.bench_steps import ROUNDS, SIZES, STEADY_SECONDS, Bare, material
from distill_engine.figures import Figure, in_turns
from distill_engine.training.computing import as_configured
from distill_engine.training.config import TrainingConfig, replaced
from distill_engine.training.dataset import PieceLoader

_LARGEST_MATRIX, _COPIED_BYTES = 8192, 2**30
_COMPARED_STEPS = 20


def gpu(config: TrainingConfig, scratch: Path) -> Iterator[Figure]:
    """Yield what steady training makes of a GPU: busy share, shares of its peaks, what the same bits each time cost."""
    with as_configured(config):
        _, loader = material(config, scratch)
        yield from _use_of_gpu(config, loader)
        yield from _graph_beside_eager(config, loader)
    same_bits = replaced(config, {"deterministic": True})
    usual: list[float] = []
    same: list[float] = []
    for _ in range(ROUNDS):
        for one, seconds in ((config, usual), (same_bits, same)):
            with as_configured(one):
                seconds.append(_seconds_of_steps(Bare(one, loader, config.batch_size)))
    speed, other = (config.batch_size / median(seconds) for seconds in (usual, same))
    yield Figure(group="gpu", name="deterministic", value=other, unit="pieces/s", baseline=speed)


def _seconds_of_steps(bare: Bare) -> float:
    """Return what a step takes in the long run."""
    bare.turn()
    count = bare.steps_for(STEADY_SECONDS)
    return min(in_turns([functools.partial(bare.turn, count)], 1, bare.finish)[0]) / count


def _graph_beside_eager(config: TrainingConfig, loader: PieceLoader) -> Iterator[Figure]:
    """Yield by how much the losses of steps differ that were captured and that were launched one by one."""
    captured, eager = (Bare(config, loader, config.batch_size, eager=one) for one in (False, True))
    rows = [torch.stack([bare.step(1 + number) for number in range(_COMPARED_STEPS)]) for bare in (captured, eager)]
    losses = [row[:, 0].double().cpu() for row in rows]
    furthest = float((losses[0] / losses[1] - 1).abs().max())
    yield Figure(
        group="gpu", name="graph beside eager", value=100 * furthest, unit=f"% of a loss, {_COMPARED_STEPS} steps"
    )


def _use_of_gpu(config: TrainingConfig, loader: PieceLoader) -> Iterator[Figure]:
    for size in SIZES:
        bare, name = Bare(config, loader, size), f"batch {size}"
        bare.turn()
        count = bare.steps_for(STEADY_SECONDS)
        seconds = min(in_turns([functools.partial(bare.turn, count)], ROUNDS, bare.finish)[0])
        flops, moved = bare.work()
        rates = {"TFLOP/s": (flops / 1e12, _peak_flops(config)), "GB/s at least": (moved / 1e9, _peak_bytes(config))}
        for unit, (of_step, peak) in rates.items():
            yield Figure(group="gpu", name=name, value=of_step * count / seconds, unit=unit, baseline=peak)
        yield Figure(group="gpu", name=f"{name}, busy", value=100 * bare.busy_share(count), unit="% of the time")


def _peak_flops(config: TrainingConfig) -> float:
    """Return the TFLOP/s that a product of large matrices comes to."""
    dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
    one = torch.randn(_LARGEST_MATRIX, _LARGEST_MATRIX, device=config.device, dtype=dtype)
    seconds = in_turns([lambda: one @ one], ROUNDS, torch.cuda.synchronize)[0]
    return 2 * _LARGEST_MATRIX**3 / min(seconds) / 1e12


def _peak_bytes(config: TrainingConfig) -> float:
    """Return the GB/s, read and written, that a copy within the device comes to."""
    one = torch.empty(_COPIED_BYTES, dtype=torch.uint8, device=config.device)
    other = torch.empty_like(one)
    seconds = in_turns([lambda: other.copy_(one)], ROUNDS, torch.cuda.synchronize)[0]
    return 2 * _COPIED_BYTES / min(seconds) / 1e9
