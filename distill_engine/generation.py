"""A model and some numbers become sound: reconstructions of a spectrogram, and new sound of any length.

A model knows pieces of a second. Longer sound is decoded from a path through latent space (`latent_path`) and joined
*as spectrograms* (`joining`); the waveform is synthesised once, over all of it, so there is no seam to hear.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from distill_engine.audio.spectrogram import Normalisation, analyse, synthesise
from distill_engine.audio.waveform import load_waveform
from distill_engine.errors import ModelFileError, StopRequestedError, UsageError
from distill_engine.generation_limits import USUAL_EVOLUTION
from distill_engine.joining import Layout, agreeing, faded_together, lay_out
from distill_engine.latent_path import Cloud, Route, latent_path
from distill_engine.models.persistence import LoadedModel
from distill_engine.models.vae import ConvVAE
from distill_engine.sliders import check_sliders
from distill_engine.training.config import ComplexSpectrogramConfig
from distill_engine.words import shown

REFINING_STEPS = 20
"""Of latents that stand for a recording's sound; see `refined`."""

_BATCH = 64
_LEARNING_RATE, _LAST_SHARE = 0.2, 0.2
_FREQUENCY_WEIGHT = 0.25
_HEARD = 1e-3
"""Of its peak: where a recording is first heard."""

ShouldStop = Callable[[], bool]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a sound should be."""

    seconds: float = 4.0
    seed: int = 0
    sliders: Mapping[str, float] = field(default_factory=dict)
    """Values by the axes' names, in standard deviations of the corpus."""

    evolution: float = USUAL_EVOLUTION
    """From 0, still, to 1, restless: how far and how fast the sound wanders."""

    start: Tensor | None = None
    """The latent [latent_dim] to begin from, such as `latent_of` a recording."""

    end: Tensor | None = None
    """The latent to go to, likewise."""


def generate(
    loaded: LoadedModel,
    wish: Wish,
    should_stop: ShouldStop = lambda: False,
    on_seconds: Callable[[float], object] = lambda _done: None,
) -> Tensor:
    """Make a sound: mono [round(seconds * 48000)], the same for the same wish.

    A second of sound takes 0.3 MB of memory while it is made, with the usual spectrogram. `on_seconds` is told how much
    of it is done. Raises as `spectrogram_of` does.
    """
    config = loaded.spectrogram
    spectrogram = spectrogram_of(loaded, wish, should_stop)

    def go_on(samples: int) -> None:
        if should_stop():
            raise StopRequestedError
        on_seconds(samples / config.sample_rate)

    return synthesise(spectrogram, config, _samples(wish.seconds, config), wish.seed, go_on).cpu()


@torch.no_grad()
def spectrogram_of(loaded: LoadedModel, wish: Wish, should_stop: ShouldStop = lambda: False) -> Tensor:
    """Return the raw spectrogram [2, n_mels, frames] that `generate` would synthesise.

    Raises:
        UsageError: the model has no such slider.
        ModelFileError: what it makes is no sound.
        StopRequestedError: `should_stop()`, asked after each minute or less, said yes.
    """
    check_sliders(loaded.info, wish.sliders)
    route = Route(seconds=wish.seconds, seed=wish.seed, evolution=wish.evolution, start=wish.start, end=wish.end)
    moved = _moved(loaded, wish.sliders)
    return _along(
        loaded.model, loaded.normalisation, loaded.spectrogram, Cloud.of(loaded.info), route, moved, should_stop
    )


@torch.no_grad()
def sample(
    model: ConvVAE,
    normalisation: Normalisation,
    config: ComplexSpectrogramConfig,
    cloud: Cloud,
    *,
    seconds: float,
    seed: int,
) -> Tensor:
    """Make a sound of the usual evolution from `cloud`: of a model that has no file yet."""
    route = Route(seconds=seconds, seed=seed, evolution=USUAL_EVOLUTION)
    still = torch.zeros(model.latent_dim)
    raw = _along(model, normalisation, config, cloud, route, still, lambda: False)
    return synthesise(raw, config, _samples(seconds, config), seed).cpu()


@torch.no_grad()
def latent_of(loaded: LoadedModel, recording: Path) -> Tensor:
    """Return the latent [latent_dim] of the first second that is heard of a recording, refined.

    Raises:
        UsageError: nothing is to be heard in it.
        DistillError: it can't be read.
    """
    config, length = loaded.spectrogram, loaded.model.time_frames
    waveform = load_waveform(recording)
    heard = (waveform.abs() > _HEARD * waveform.abs().max()).nonzero() if len(waveform) else waveform
    if not len(heard):
        raise UsageError(f"nothing is to be heard in {shown(recording.name)}", "name a recording with sound in it")
    first = int(heard[0])
    second = waveform[first : first + length * config.hop_length]
    piece = _padded(loaded.normalisation.normalise(analyse(second, config)), length)[None, ..., :length]
    return refined(loaded.model, loaded.model.encode(piece)[0], piece, REFINING_STEPS)[0]


@torch.no_grad()
def reconstruct(
    model: ConvVAE,
    spectrogram: Tensor,
    normalisation: Normalisation,
    refining_steps: int = 0,
    on_frames: Callable[[int], object] = lambda _done: None,
) -> Tensor:
    """Send a raw spectrogram [2, n_mels, frames] of any length through the model; return one of the same shape.

    Pieces overlap by half. With `refining_steps` it isn't what the encoder says of them that is decoded, but what
    `refined` makes of it. The model must be evaluating: in training it leaves activations out at random. `on_frames`
    is told how many of the frames are done, before each half a minute or less of them.
    """
    assert not model.training
    frames, length = spectrogram.shape[-1], model.time_frames
    hop = length // 2
    count = 1 + max(0, math.ceil((frames - length) / hop))
    padded = _padded(normalisation.normalise(spectrogram), (count - 1) * hop + length)
    pieces = padded.unfold(-1, length, hop).permute(2, 0, 1, 3)

    def made() -> Iterator[Tensor]:
        for number, batch in enumerate(pieces.split(_BATCH)):
            on_frames(min(number * _BATCH * hop, frames))
            latents = refined(model, model.encode(batch.contiguous())[0], batch, refining_steps)
            yield from _decoded(model, normalisation, latents)

    return faded_together(made(), range(0, count * hop, hop), frames)


def refined(model: ConvVAE, latents: Tensor, pieces: Tensor, steps: int) -> Tensor:
    """Move latents [n, latent_dim] by so many steps of Adam until they decode nearer to normalised `pieces`.

    The encoder's guess is where an optimiser begins, not where it ends (semi-amortised inference, Kim et al. 2018,
    arXiv 1802.02550). What is made smaller is the error in magnitude, and that in frequency where there is power.
    """
    if not steps:
        return latents
    latents, amplitude = latents.detach().clone().requires_grad_(), pieces[:, 0]
    optimizer = torch.optim.Adam([latents], lr=_LEARNING_RATE)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = _LEARNING_RATE * (1 - (1 - _LAST_SHARE) * step / steps)
        with torch.enable_grad():
            error = (model.decode(latents).float() - pieces).abs()
            loss = error[:, 0].mean((1, 2)) + _FREQUENCY_WEIGHT * (amplitude * error[:, 1]).mean((1, 2))
            (latents.grad,) = torch.autograd.grad(loss.sum(), latents)
        optimizer.step()
    return latents.detach()


def layout_of(model: ConvVAE, config: ComplexSpectrogramConfig, seconds: float, seed: int) -> Layout:
    """Return where the pieces of a sound of so many seconds lie, whatever they are."""
    return lay_out(model.time_frames, _samples(seconds, config) // config.hop_length + 1, seed)


def _along(
    model: ConvVAE,
    normalisation: Normalisation,
    config: ComplexSpectrogramConfig,
    cloud: Cloud,
    route: Route,
    moved: Tensor,
    should_stop: ShouldStop,
) -> Tensor:
    """Return the raw spectrogram [2, n_mels, frames] of a route, each of its latents moved by `moved` [latent_dim]."""
    assert not model.training
    layout = layout_of(model, config, route.seconds, route.seed)
    generator = torch.Generator().manual_seed(route.seed)
    times = torch.tensor(layout.starts) * (config.hop_length / config.sample_rate)
    latents = latent_path(cloud, route, times.clamp(max=route.seconds)) + moved
    device = next(model.parameters()).device

    def made() -> Iterator[Tensor]:
        for batch in latents.to(device).split(_BATCH):
            if should_stop():
                raise StopRequestedError
            yield from _decoded(model, normalisation, batch)

    return faded_together(agreeing(made(), layout, generator), layout.starts, layout.frames)


def _decoded(model: ConvVAE, normalisation: Normalisation, latents: Tensor) -> Tensor:
    """Return the raw pieces [n, 2, n_mels, frames] that latents [n, latent_dim] stand for.

    Raises:
        ModelFileError: they are no sound's, as of a model that was damaged.
    """
    pieces = normalisation.denormalise(model.decode(latents).float())
    if not pieces.isfinite().all():
        raise ModelFileError(
            "the model makes no sound: its weights lead out of the finite numbers", "get it again, or train it again"
        )
    return pieces


def _moved(loaded: LoadedModel, sliders: Mapping[str, float]) -> Tensor:
    """Return by how much [latent_dim] the sliders move a latent."""
    moved = torch.zeros(loaded.model.latent_dim)
    for axis in loaded.info.latent_axes:
        moved += sliders.get(axis.name, 0.0) * axis.deviation * torch.tensor(axis.direction)
    return moved


def _samples(seconds: float, config: ComplexSpectrogramConfig) -> int:
    return round(seconds * config.sample_rate)


def _padded(normalised: Tensor, frames: int) -> Tensor:
    """Return at least so many frames of a normalised spectrogram, silence after what there is."""
    return torch.nn.functional.pad(normalised, (0, max(0, frames - normalised.shape[-1])))
