"""What `auto` comes to on this machine: the device, and the numbers it computes in."""

from __future__ import annotations

import torch

from distill_engine.errors import ConfigError
from distill_engine.training.config import TrainingConfig, replaced


def decided(config: TrainingConfig) -> TrainingConfig:
    """Return `config` with `device` and `precision` decided: a GPU where there is one, bf16 where it is native.

    Raises:
        ConfigError: the device asked for isn't there.
    """
    device = _device(config.device)
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if _has_native_bf16(device) else "fp32"
    return replaced(config, {"device": device, "precision": precision})


def gpu_uuids(device: str) -> list[str]:
    """Return the uuids of the GPUs in use, as the driver names them; none on a CPU."""
    return [] if device == "cpu" else [f"GPU-{torch.cuda.get_device_properties(device).uuid}"]


def _device(asked: str) -> str:
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


def _has_native_bf16(device: str) -> bool:
    if device == "cpu":
        return bool(torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("amx_bf16"))
    return torch.cuda.get_device_capability(device) >= (8, 0)
