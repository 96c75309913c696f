"""What `auto` comes to on this machine: the device, the numbers it computes in, and how they lie in memory."""

from __future__ import annotations

from pathlib import Path

import torch

from distill_engine.errors import ConfigError
from distill_engine.training.config import TrainingConfig, replaced
from distill_engine.training.speeds import fastest, measured


def decided(config: TrainingConfig, cache: Path) -> TrainingConfig:
    """Return `config` with all decided that it leaves to the machine.

    The device is a GPU where there is one. On a GPU precision is bf16 where it is native, and maps lie channels last.
    On a CPU both are what came out fastest in a short measurement, which is kept under `cache`.

    Raises:
        ConfigError: the device asked for isn't there.
    """
    config = replaced(config, {"device": found_device(config.device)})
    if "auto" not in (config.precision, config.memory_format):
        return config
    if config.device == "cpu":
        best = fastest(measured(config, cache))
        return replaced(config, {"precision": best.precision, "memory_format": best.memory_format})
    native = torch.cuda.get_device_capability(config.device) >= (8, 0)
    usual = {"precision": "bf16" if native else "fp32", "memory_format": "channels_last"}
    left = {key: value for key, value in usual.items() if getattr(config, key) == "auto"}
    return replaced(config, left)


def gpu_uuids(device: str) -> list[str]:
    """Return the uuids of the GPUs in use, as the driver names them; none on a CPU."""
    return [] if device == "cpu" else [f"GPU-{torch.cuda.get_device_properties(device).uuid}"]


def found_device(asked: str) -> str:
    """Return the device that `device` of the configuration comes to: cpu, cuda or cuda:N.

    Raises:
        ConfigError: it isn't there.
    """
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked == "cpu":
        return asked
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number = int(asked.partition(":")[2] or 0)
    if number >= count:
        there = f"the GPUs here are 0 to {count - 1}" if count else "no GPU can be used here"
        raise ConfigError(f"device is {asked}, but {there}", "set device to auto or cpu", "device")
    return asked
