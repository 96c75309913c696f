"""What a run is between two steps: weights, optimiser, averages, the best so far, and where in the data it stands."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import torch
from torch import Tensor

from distill_engine.models.losses import weighted
from distill_engine.models.vae import ConvVAE
from distill_engine.training.computing import memory_format
from distill_engine.training.config import LossConfig, TrainingConfig
from distill_engine.training.latent_use import LatentUse
from distill_engine.training.muon import Muon


@dataclass(frozen=True, kw_only=True)
class LossMeans:
    """Means over an epoch: the loss, and its parts unweighted."""

    loss: float
    magnitude: float
    frequency: float
    stft: float
    kl: float
    latent: LatentUse | None = None
    """What the latent does, where that was measured too."""


class Sums(msgspec.Struct, kw_only=True):
    """Losses added up over `count` steps or batches, to be told as means. Steps that were not taken don't count.

    `waited` and `used` are the seconds for which pieces were waited for, and in which they were learnt from.
    """

    count: int = 0
    magnitude: float = 0.0
    frequency: float = 0.0
    stft: float = 0.0
    kl: float = 0.0
    waited: float = 0.0
    used: float = 0.0

    @property
    def waiting(self) -> float | None:
        """The share of the time that pieces were waited for; None where no time was taken."""
        return self.waited / (self.waited + self.used) if self.used else None

    def add(self, magnitude: float, frequency: float, stft: float, kl: float, count: int = 1) -> None:
        """Add a step's or batch's parts, `count` times."""
        self.count += count
        self.magnitude += count * magnitude
        self.frequency += count * frequency
        self.stft += count * stft
        self.kl += count * kl

    def means(self, config: LossConfig) -> LossMeans:
        """Return the means, weighed with the final KL weight so that all epochs compare; not finite for no steps."""
        count = self.count or math.nan
        parts = (self.magnitude / count, self.frequency / count, self.stft / count, self.kl / count)
        magnitude, frequency, stft, kl = parts
        loss = weighted(*parts, config, config.kl.weight)
        return LossMeans(loss=loss, magnitude=magnitude, frequency=frequency, stft=stft, kl=kl)


class Progress(msgspec.Struct, kw_only=True):
    """The plain numbers of a run's state.

    `step` counts the steps of the whole run, `epoch` the finished epochs, `batch` the batches done of the one under
    way. `unjudged` is set between an epoch's last step and its judgement, so that a run stopped there judges it when
    it goes on. `best_loss` is None until an epoch was judged; `rate_factor` is below 1 after training went back once.
    `horizon` is the number of steps the schedules reckon with, 0 until the first epoch was judged.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    sums: Sums = msgspec.field(default_factory=Sums)
    unjudged: bool = False
    skipped_in_row: int = 0
    rate_factor: float = 1.0
    horizon: int = 0
    best_loss: float | None = None
    best_epoch: int = 0
    best_step: int = 0

    @property
    def sound(self) -> bool:
        """Whether the last step was taken: weights after one that wasn't may be what made it fail."""
        return self.skipped_in_row == 0

    def is_better(self, loss: float) -> bool:
        """Tell whether an epoch's loss is the best so far; one that isn't finite neither is, nor is one to beat."""
        best = self.best_loss
        return math.isfinite(loss) and (best is None or not math.isfinite(best) or loss < best)


@dataclass(kw_only=True)
class TrainingState:
    """Everything a checkpoint holds. `ema` and `best` map the names of the model's weights to tensors.

    `best` is empty until an epoch was judged.
    """

    model: ConvVAE
    optimizer: Muon
    ema: dict[str, Tensor] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)

    def judged_weights(self) -> dict[str, Tensor]:
        """Return the weights validation and previews use, and a model is made of: the average, where one is kept."""
        return self.ema or dict(self.model.state_dict())

    @contextlib.contextmanager
    def evaluating(self, weights: Mapping[str, Tensor]) -> Iterator[ConvVAE]:
        """Yield the model, in evaluation mode, computing with `weights`, its own if empty; put it back afterwards."""
        own = {name: tensor.clone() for name, tensor in self.model.state_dict().items()} if weights else {}
        if weights:
            self.model.load_state_dict(weights)
        self.model.eval()
        try:
            yield self.model
        finally:
            if own:
                self.model.load_state_dict(own)
            self.model.train()

    def move_to(self, device: torch.device) -> None:
        """Bring everything to `device`."""
        self.model.to(device)
        self.optimizer.load_state_dict(self.optimizer.state_dict())
        self.ema = {name: tensor.to(device) for name, tensor in self.ema.items()}
        self.best = {name: tensor.to(device) for name, tensor in self.best.items()}

    def share_of_new_weights(self, decay: float) -> float:
        """Return how far the average moves towards the weights: `1 - decay`, early on more, to forget the beginning."""
        step = self.progress.step + 1
        return 1 - min(decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def tensors(self) -> list[Tensor]:
        """Return all that a step changes: weights, averages and the optimiser's, the very tensors."""
        kept = [value for state in self.optimizer.state.values() for value in state.values()]
        return [*self.model.parameters(), *self.ema.values(), *kept]

    def size(self) -> Tensor:
        """Return the greatest norm of what a step changes, [] on the device: not finite where a number in it isn't."""
        return greatest_norm(self.tensors())

    def is_finite(self) -> bool:
        """Tell whether every number is one to go on from; this waits for the device."""
        sums = self.progress.sums
        parts = (sums.magnitude, sums.frequency, sums.stft, sums.kl)
        return all(map(math.isfinite, parts)) and math.isfinite(self.size()) and self.has_finite_best()

    def has_finite_best(self) -> bool:
        """Tell whether the best weights are a model's, or none are kept yet; this waits for the device."""
        return not self.best or math.isfinite(greatest_norm(list(self.best.values())))

    def take_best_of(self, other: TrainingState) -> None:
        """Let the best so far be another state's."""
        mine, its = self.progress, other.progress
        self.best = other.best
        mine.best_loss, mine.best_epoch, mine.best_step = its.best_loss, its.best_epoch, its.best_step

    def keep_best(self, loss: float) -> None:
        """Remember the judged weights as the best so far; a `loss` that isn't finite is none to beat."""
        self.best = {name: tensor.detach().clone() for name, tensor in self.judged_weights().items()}
        progress = self.progress
        progress.best_loss = loss if math.isfinite(loss) else None
        progress.best_epoch, progress.best_step = progress.epoch, progress.step


@torch.no_grad()
def greatest_norm(tensors: Sequence[Tensor]) -> Tensor:
    """Return the greatest norm of several tensors, [] on their device: not finite where a number in them isn't."""
    return torch.stack(torch._foreach_norm(list(tensors))).max()


def fresh_state(
    config: TrainingConfig, device: torch.device, weights: dict[str, Tensor] | None = None
) -> TrainingState:
    """Return the state before the first step: weights drawn from the seed, or copies of `weights`."""
    spectrogram = config.complex_spectrogram
    torch.manual_seed(config.seed)
    model = ConvVAE(config.latent_dim, spectrogram.n_mels, spectrogram.time_frames, config.regularization.dropout)
    if weights is not None:
        model.load_state_dict(weights)
    model.to(device, memory_format=memory_format(config))  # type: ignore[call-overload]
    optimizer = Muon(
        model.parameters(),
        lr=config.learning_rate,
        weight_decay=config.regularization.weight_decay,
        bf16=config.precision == "bf16",
    )
    state = TrainingState(model=model, optimizer=optimizer)
    if config.ema_decay:
        state.ema = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    return state
