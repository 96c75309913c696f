"""Bad numbers: NaN and infinity put into the real tensors and figures of a real training, at steps drawn at random.

Whatever they are put into, once or again and again, training has gone on from good numbers or ended as diverged within
ten steps (twice ten, where it goes back and meets them again), and what was good is kept. Nothing that isn't finite is
ever found in a checkpoint or a model.
"""

from __future__ import annotations

import itertools
import math
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from distill_engine.audio import cache as cache_files
from distill_engine.axes import give_axes
from distill_engine.datasets import scan
from distill_engine.errors import DistillError, DivergedError
from distill_engine.events import Answer, AnyCommand, EpochDone, StopNow, WarningRaised
from distill_engine.models.persistence import load_model, save_model, save_model_from_checkpoint
from distill_engine.models.vae import ConvVAE
from distill_engine.training import checkpoint, loop
from distill_engine.training.config import TrainingConfig
from distill_engine.training.loop import Outcome, Start, prepare, train
from distill_engine.training.state import TrainingState, fresh_state
from tests.engine.runs import SmallRun, small_config, write_dataset
from tests.promises.trial import Figure, Size

Place = Literal["batch", "gradient", "weights", "optimiser", "average", "best", "best loss", "sums"]
PLACES: Sequence[Place] = ("batch", "gradient", "optimiser", "average", "weights", "best", "best loss", "sums")
SHORT: Sequence[tuple[Place, bool]] = (("batch", True), ("optimiser", True), ("average", False))
VALUES = (math.nan, math.inf, -math.inf)
WITHIN = 10
EPOCHS = {1: (3, 5), 2: (4, 8)}
"""By the size of a batch, where an epoch is of eight or four steps: for what is put there once, and for what lasts."""


@dataclass(frozen=True, kw_only=True)
class Injection:
    """What is put where, so many steps after an epoch was judged, and whether before every later step too."""

    place: Place
    value: float
    after: int
    lasting: bool
    batch_size: int

    @property
    def epochs(self) -> int:
        """How many epochs it takes to see what comes of it."""
        return EPOCHS[self.batch_size][self.lasting]


class Poisoner:
    """Orders that never come; asked for before every step, it injects then and looks how the training fares."""

    def __init__(self, injection: Injection, draw: random.Random) -> None:
        self.state: TrainingState | None = None
        self.begun: int | None = None
        self._bad_since: int | None = None
        self.longest = 0
        self.injected = 0
        self._injection = injection
        self._draw = draw
        self._seen = 0

    def watching(self) -> AbstractContextManager[object]:
        """Within this context the next training's state is found as it is made."""

        def seen(config: TrainingConfig, device: torch.device, weights: dict[str, Tensor] | None) -> TrainingState:
            self.state = fresh_state(config, device, weights)
            self.state.model.register_forward_pre_hook(self._into_batch)
            for parameter in self.state.model.parameters():
                parameter.register_hook(self._into_gradient)
            return self.state

        return patch.object(loop, "fresh_state", seen)

    def waiting(self) -> bool:
        """Look, then inject: nothing else happens between two steps."""
        assert self.state is not None
        step = self.state.progress.step + 1
        if step != self._seen:  # an epoch's end asks again
            self._seen = step
            self._look(step)
            if self.begun is None and self.state.progress.best_step:
                self.begun = step + self._injection.after
            if self._is_due():
                self._inject(self.state)
        return False

    def _is_due(self) -> bool:
        if self.begun is None:
            return False
        return self._seen >= self.begun if self._injection.lasting else self._seen == self.begun

    def _look(self, step: int) -> None:
        assert self.state is not None
        good = self.state.progress.sound and not bad_parts(self.state)
        if not good and self._bad_since is None:
            self._bad_since = step - 1
        self.longest = max(self.longest, step - self._bad_since if self._bad_since is not None else 0)
        if good:
            self._bad_since = None

    def _inject(self, state: TrainingState) -> None:
        match self._injection.place:
            case "weights":
                self._into(list(state.model.parameters()))
            case "optimiser":
                self._into([tensor for kept in state.optimizer.state.values() for tensor in kept.values()])
            case "average":
                self._into(list(state.ema.values()))
            case "best":
                self._into(list(state.best.values()))
            case "best loss":
                state.progress.best_loss = self._injection.value
                self.injected += 1
            case "sums":
                part = self._draw.choice(["magnitude", "frequency", "stft", "kl"])
                setattr(state.progress.sums, part, self._injection.value)
                self.injected += 1
            case _:
                pass  # by hooks, within the step

    @torch.no_grad()
    def _into(self, tensors: Sequence[Tensor]) -> None:
        """Put the value at a random place of a random tensor, if there is any."""
        if tensors:
            flat = self._draw.choice(tensors).view(-1)
            flat[self._draw.randrange(len(flat))] = self._injection.value
            self.injected += 1

    def _within(self, place: Place) -> bool:
        assert self.state is not None
        return self._injection.place == place and self.state.model.training and self._is_due()

    def _into_batch(self, _model: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        if self._within("batch"):
            self._into([arguments[0]])

    def _into_gradient(self, gradient: Tensor) -> Tensor | None:
        if not self._within("gradient") or self._draw.random() > 0.2:
            return None
        bad = gradient.clone()
        self._into([bad])
        return bad

    def stop_waits(self, *, now_only: bool = False) -> bool:
        del now_only
        return False

    def take(self) -> AnyCommand | None:
        return None

    def wait(self) -> AnyCommand:
        return StopNow(id="", time=0.0, sender="test")

    def answer(self, command: AnyCommand, answer: Answer, words: str, path: str = "") -> None:
        """Nobody waits for one."""

    def stop_asked(self) -> bool:
        return False


def bad_parts(state: TrainingState) -> list[str]:
    """Return which parts of the state hold a number that isn't finite."""
    tensors = {
        "weights": list(state.model.parameters()),
        "optimiser": [tensor for kept in state.optimizer.state.values() for tensor in kept.values()],
        "average": list(state.ema.values()),
        "best": list(state.best.values()),
    }
    return [name for name, ones in tensors.items() if not all(bool(one.sum().isfinite()) for one in ones)]


@dataclass(frozen=True, kw_only=True)
class Came:
    """What came of a poisoned training: how it ended, None where it diverged, and the folder of what it left."""

    outcome: Outcome | None
    run: SmallRun
    poisoner: Poisoner


def numbers(size: Size, folder: Path) -> Iterator[Figure]:
    """Poison small trainings, each in one place; then the statistics they begin with, and those of a model."""
    dataset = write_dataset(folder / "recordings")
    draw = random.Random(f"numbers {size.seed}")
    counts = {"recovered": 0, "diverged": 0, "injected": 0, "files": 0, "longest": 0}
    for number, injection in enumerate(injections(size, draw)):
        came = poisoned(injection, SmallRun(folder=folder / f"run-{number}", dataset=dataset), draw)
        try:
            counts["files"] += hold_to_promise(injection, came)
        except AssertionError as broken:
            raise AssertionError(f"{injection}: {broken}") from broken
        counts["diverged" if came.outcome is None else "recovered"] += 1
        counts["injected"] += came.poisoner.injected
        counts["longest"] = max(counts["longest"], came.poisoner.longest)
        shutil.rmtree(came.run.folder)
    yield Figure(what="bad numbers put into trainings", count=counts["injected"])
    yield Figure(what="poisoned trainings that recovered", count=counts["recovered"])
    yield Figure(what="poisoned trainings that ended as diverged, with the best kept", count=counts["diverged"])
    yield Figure(what="steps at most from a bad number to good ones again", count=counts["longest"])
    yield Figure(what="checkpoints and models of theirs read, all numbers finite", count=counts["files"])
    yield Figure(what="poisoned statistics found out in the cache", count=poison_statistics(dataset, folder, draw))
    if size.whole:
        yield Figure(what="models that keep what they had when a latent overflows", count=overflow(dataset, folder))


def injections(size: Size, draw: random.Random) -> Iterator[Injection]:
    """Draw what to inject: into every place, once and lasting, every value, with epochs of four steps and of eight."""
    if not size.whole:
        for place, lasting in SHORT:
            yield Injection(place=place, value=math.nan, after=draw.randint(0, 4), lasting=lasting, batch_size=2)
        return
    for place, lasting, value, batch_size in itertools.product(PLACES, (False, True), VALUES, EPOCHS):
        yield Injection(place=place, value=value, after=draw.randint(0, 8), lasting=lasting, batch_size=batch_size)


def poisoned(injection: Injection, run: SmallRun, draw: random.Random) -> Came:
    """Train with an injection until it ends one way or the other."""
    poisoner = Poisoner(injection, draw)
    config = small_config(
        max_epochs=injection.epochs,
        batch_size=injection.batch_size,
        ema_decay=0.9,
        checkpoint_interval=2,
        checkpoint_keep=9,
    )
    with poisoner.watching():
        try:
            outcome = _trained(run, config, poisoner)
        except DivergedError:
            return Came(outcome=None, run=run, poisoner=poisoner)
    return Came(outcome=outcome, run=run, poisoner=poisoner)


def _trained(run: SmallRun, config: TrainingConfig, orders: Poisoner, start: Start | None = None) -> Outcome:
    return train(
        scan(run.dataset),
        config,
        name="small",
        model_id="0" * 32,
        checkpoints=run.folder / "checkpoints",
        previews=run.folder / "previews",
        cache=run.folder.parent / "cache",
        start=start or Start(),
        report=run.events.append,
        orders=orders,
    )


def hold_to_promise(injection: Injection, came: Came) -> int:
    """Check what a poisoned training came to and left; return how many files were read."""
    poisoner, state = came.poisoner, came.poisoner.state
    assert state is not None
    assert poisoner.begun is not None
    assert poisoner.injected, "nothing was injected"
    assert poisoner.longest <= WITHIN, f"{poisoner.longest} steps with bad numbers"
    went_back = [event for event in came.run.reported(WarningRaised) if event.kind == "diverging"]
    if came.outcome is None:
        assert injection.lasting, "one bad number ended the training"
        assert len(went_back) == 1
        assert state.progress.step - poisoner.begun < 2 * WITHIN, "it went on for long"
        assert state.progress.best_step < poisoner.begun + WITHIN, "what was judged after it is kept as the best"
    else:
        assert came.outcome.progress.epoch == injection.epochs
        assert not bad_parts(state)
        assert all(event.train_loss is not None for event in came.run.reported(EpochDone))
    return _all_finite(came.run)


def _all_finite(run: SmallRun) -> int:
    """Read every checkpoint, and make a model of the newest and read it; return how many files that were."""
    saved = checkpoint.list_checkpoints(run.folder / "checkpoints")
    assert saved, "nothing is left to go on from"
    for path in saved:
        for name, tensor in safetensors.torch.load_file(path).items():
            assert tensor.isfinite().all(), f"{name} in {path.name}"
    newest, rejected = checkpoint.take_newest(run.folder / "checkpoints")
    assert newest is not None
    assert not rejected, rejected
    best = newest.info.progress.best_loss
    assert best is not None
    assert math.isfinite(best)
    model = run.folder / "model.distill"
    save_model_from_checkpoint(newest.path, model)
    load_model(model)
    return len(saved) + 1


def poison_statistics(dataset: Path, folder: Path, draw: random.Random) -> int:
    """Put bad numbers into the sums that normalisation is made of, on disk; return how many times that was found."""
    config, found = small_config(), scan(dataset)
    cache = folder / "statistics"

    def prepared() -> Any:  # noqa: ANN401
        return prepare(found, config, cache, lambda _event: None, lambda: False)[0]

    good = prepared()
    for value in VALUES:
        item = draw.choice(good.training)
        sums = cache_files.read_sums(item.entry)
        place = draw.randrange(sums.size)
        content = bytearray(item.entry.path.read_bytes())
        start = content.index(sums.tobytes()) + place * sums.itemsize
        content[start : start + sums.itemsize] = np.float32(value).tobytes()
        item.entry.path.write_bytes(content)
        assert prepared().normalisation == good.normalisation, f"{value} among the sums of a cached spectrogram"
    return len(VALUES)


def overflow(dataset: Path, folder: Path) -> int:
    """Analyse a model whose latents leave the finite numbers: it stays as it was; return how many models that were."""
    run = SmallRun(folder=folder / "overflow", dataset=dataset)
    outcome = run.train(small_config(max_epochs=1))
    assert outcome.checkpoint is not None
    path = run.folder / "model.distill"
    save_model_from_checkpoint(outcome.checkpoint, path)
    loaded = load_model(path)
    with torch.no_grad():
        for parameter in _last_of_encoder(loaded.model):
            parameter.fill_(3e38)
    save_model(path, loaded.model, loaded.info)
    before = path.read_bytes()
    try:
        give_axes(path, scan(dataset), small_config())
    except DistillError:
        pass
    else:
        assert load_model(path).info.latent_mean, "an analysis that found nothing said so nowhere"
    assert path.read_bytes() == before
    return 1


def _last_of_encoder(model: ConvVAE) -> list[Tensor]:
    return [parameter for name, parameter in model.encoder.named_parameters() if name.startswith("to_mu")]
