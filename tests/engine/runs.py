"""Small real runs for tests: a few recordings of about two seconds, a coarse spectrogram, a few steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

from distill_engine.datasets import scan
from distill_engine.events import Answer, AnyCommand, Event, StopNow
from distill_engine.models.vae import ConvVAE
from distill_engine.training.config import TrainingConfig, Value, replaced
from distill_engine.training.loop import Outcome, Start, train
from tests.engine.recordings import good

E = TypeVar("E", bound=Event)

SMALL: dict[str, Value] = {
    "max_epochs": 4,
    "batch_size": 2,
    "warmup_steps": 2,
    "ema_decay": 0.0,
    "latent_dim": 8,
    "complex_spectrogram.n_mels": 32,
    "complex_spectrogram.hop_length": 1024,
    "device": "cpu",
    "precision": "fp32",
    "memory_format": "contiguous",
    "augmentation.copies": 1,
    "augmentation.level_db": 0.0,
    "augmentation.tone_db": 0.0,
    "preview_interval": 100,
    "preview_minutes": 0.0,
    "preview_recordings": 0,
    "preview_samples": 0,
    "checkpoint_minutes": 0.0,
    "checkpoint_interval": 100,
}


def small_config(**changes: Value) -> TrainingConfig:
    """Return settings of a run of seconds; a double underscore in a name stands for the dot of a dotted key."""
    return replaced(TrainingConfig(), {**SMALL, **{name.replace("__", "."): value for name, value in changes.items()}})


def write_dataset(folder: Path, count: int = 3) -> Path:
    """Write a few different recordings; return the folder."""
    for number in range(count):
        good(folder / f"{number}.wav", seed=number, frames=80_000 + 8_000 * number)
    return folder


class Faults:
    """Makes the network's output NaN on the calls one names: a real model with a real fault in it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, faulty: range) -> None:
        self.calls = 0
        forward = ConvVAE.forward

        def faulty_forward(model: ConvVAE, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
            recon, mu, logvar = forward(model, x, noise)
            if model.training:
                self.calls += 1
                if self.calls in faulty:
                    recon = recon * float("nan")
            return recon, mu, logvar

        monkeypatch.setattr(ConvVAE, "forward", faulty_forward)


class StopAfter:
    """Orders to stop once so many steps were taken, or never."""

    def __init__(self, steps: int | None) -> None:
        self._left = steps
        register_optimizer_step_post_hook(self._count)

    def _count(self, *_: object) -> None:
        if self._left is not None:
            self._left -= 1

    def waiting(self) -> bool:
        return self._left is not None and self._left <= 0

    def stop_waits(self, *, now_only: bool = False) -> bool:
        del now_only
        return self.waiting()

    def take(self) -> AnyCommand | None:
        return self.wait() if self.waiting() else None

    def wait(self) -> AnyCommand:
        return StopNow(id="", time=0.0, sender="test")

    def answer(self, command: AnyCommand, answer: Answer, words: str, path: str = "") -> None:
        """Nobody waits for one."""

    def stop_asked(self) -> bool:
        return False


@dataclass
class SmallRun:
    """A run without a worker around it: what it reported, and where its files are."""

    folder: Path
    dataset: Path
    events: list[Event] = field(default_factory=list)
    report: Callable[[Event], None] | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)

    def train(
        self, config: TrainingConfig, *, stop_after_steps: int | None = None, start: Start | None = None
    ) -> Outcome:
        """Train until the end, or until so many steps were taken."""
        return train(
            scan(self.dataset),
            config,
            name="small",
            checkpoints=self.folder / "checkpoints",
            previews=self.folder / "previews",
            cache=self.folder.parent / "cache",
            start=start or Start(),
            report=self.report or self.events.append,
            model_id="0" * 32,
            orders=StopAfter(stop_after_steps),
        )

    def reported(self, kind: type[E]) -> list[E]:
        """Return the events of one type."""
        return [event for event in self.events if isinstance(event, kind)]
