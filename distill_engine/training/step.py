"""One optimisation step, and the learning rate it takes.

All randomness of a step (the latent's noise, dropout) comes from torch's default generator, seeded anew from seed and
step. A step is thus a pure function of weights, batch and its number, and no generator's state outlives it: a resumed
run needs none to go on bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from distill_engine.models.losses import vae_losses
from distill_engine.models.vae import ConvVAE
from distill_engine.training.config import TrainingConfig

# The cosine ends here rather than at zero: the last epochs still learn something.
FINAL_RATE_FRACTION = 0.01


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What a step came to: the losses as in `Losses`, the gradient's norm before clipping, whether weights changed."""

    loss: float
    magnitude: float
    frequency: float
    stft: float
    kl: float
    gradient_norm: float
    taken: bool


def train_step(
    model: ConvVAE,
    optimizer: torch.optim.Optimizer,
    batch: Tensor,
    config: TrainingConfig,
    *,
    step: int,
    rate: float,
    kl_weight: float,
    bf16: bool,
) -> StepResult:
    """Take one step on `batch` [B, 2, n_mels, time]; leave the weights alone where loss or gradient aren't finite."""
    torch.manual_seed(step_seed(config.seed, step))
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(batch.device.type, torch.bfloat16, enabled=bf16):
        recon, mu, logvar = model(batch)
    losses = vae_losses(recon, batch, mu, logvar, config.loss, kl_weight)
    losses.total.backward()
    clip = config.regularization.gradient_clip or math.inf
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    # One transfer for all numbers of the step: on a GPU each would be a wait of its own.
    parts = (losses.total, losses.magnitude, losses.frequency, losses.stft, losses.kl, norm)
    loss, magnitude, frequency, stft, kl, gradient_norm = torch.stack(
        [part.detach().float() for part in parts]
    ).tolist()
    taken = math.isfinite(loss) and math.isfinite(gradient_norm)
    if taken:
        optimizer.step()
    return StepResult(
        loss=loss,
        magnitude=magnitude,
        frequency=frequency,
        stft=stft,
        kl=kl,
        gradient_norm=gradient_norm,
        taken=taken,
    )


def step_seed(seed: int, step: int) -> int:
    """Return the seed of one step's randomness: distinct for every step of a run, unlike those of a run seeded next."""
    return (seed * 0x9E3779B97F4A7C15 + step) % 2**63


def learning_rate(config: TrainingConfig, step: int, total_steps: int) -> float:
    """Return the rate of `step`, counted from 1: a linear warm-up, then constant or half a cosine over what is left."""
    if step <= config.warmup_steps:
        return config.learning_rate * step / config.warmup_steps
    if config.learning_rate_schedule == "constant":
        return config.learning_rate
    done = min(1.0, (step - config.warmup_steps) / max(1, total_steps - config.warmup_steps))
    fraction = FINAL_RATE_FRACTION + (1 - FINAL_RATE_FRACTION) * 0.5 * (1 + math.cos(math.pi * done))
    return config.learning_rate * fraction
