"""A model and some numbers become sound: reconstructions of a spectrogram, and new sound from the prior.

A model knows pieces of a second. Longer sound is made of pieces that overlap by half and are faded into each other *as
spectrograms*; the waveform is synthesised once, over all of it, so there is no seam to hear.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from distill_engine.audio.spectrogram import Normalisation, synthesise
from distill_engine.models.vae import ConvVAE
from distill_engine.training.config import ComplexSpectrogramConfig

PIECES_PER_ANCHOR = 4
"""Generated sound travels from one drawn latent to the next in this many half-overlapping pieces, two seconds."""

_BATCH = 64
_FRAMES_AT_ONCE = 4096


@torch.inference_mode()
def reconstruct(model: ConvVAE, spectrogram: Tensor, normalisation: Normalisation) -> Tensor:
    """Send a raw spectrogram [2, n_mels, frames] of any length through the model; return one of the same shape.

    The model must be evaluating: in training it leaves activations out at random.
    """
    assert not model.training
    frames, length = spectrogram.shape[-1], model.time_frames
    hop, count = _layout(length, frames)
    padded = torch.nn.functional.pad(normalisation.normalise(spectrogram), (0, (count - 1) * hop + length - frames))
    pieces = padded.unfold(-1, length, hop).permute(2, 0, 1, 3)
    made = (piece for batch in pieces.split(_BATCH) for piece in model(batch.contiguous())[0].float())
    return _denormalised(faded_together(made, hop, count)[..., :frames], normalisation)


@torch.inference_mode()
def generate(
    model: ConvVAE, normalisation: Normalisation, config: ComplexSpectrogramConfig, *, seconds: float, seed: int
) -> Tensor:
    """Draw a path from the prior and return its sound: mono [round(seconds * 48000)], the same for the same seed.

    The model must be evaluating. A second of sound takes 0.3 MB of memory while it is made, with the usual spectrogram.
    """
    assert not model.training
    samples = round(seconds * config.sample_rate)
    frames = samples // config.hop_length + 1
    hop, count = _layout(model.time_frames, frames)
    device = next(model.parameters()).device
    path = latent_path(count, model.latent_dim, seed).to(device)
    made = (piece for batch in path.split(_BATCH) for piece in model.decode(batch).float())
    raw = _denormalised(faded_together(made, hop, count)[..., :frames], normalisation)
    return synthesise(raw, config, samples, seed).cpu()


def _layout(length: int, frames: int) -> tuple[int, int]:
    """Return how far apart pieces of `length` frames begin, and how many of them cover `frames`."""
    hop = length // 2
    return hop, 1 + max(0, math.ceil((frames - length) / hop))


def _denormalised(spectrogram: Tensor, normalisation: Normalisation) -> Tensor:
    """Turn normalised [2, n_mels, frames] raw in its place, part by part: it may be an hour's."""
    for part in spectrogram.split(_FRAMES_AT_ONCE, dim=-1):
        part.copy_(normalisation.denormalise(part))
    return spectrogram


def latent_path(count: int, latent_dim: int, seed: int) -> Tensor:
    """Return `count` latents [count, latent_dim] on a path through draws from the standard normal.

    Between two draws the path is a spherical interpolation (Shoemake 1985): a straight line would pass nearer to zero
    than nearly all draws lie, where a model makes an average of everything.
    """
    generator = torch.Generator().manual_seed(seed)
    anchors = torch.randn(1 + math.ceil((count - 1) / PIECES_PER_ANCHOR) + 1, latent_dim, generator=generator)
    places = torch.arange(count, dtype=torch.float32) / PIECES_PER_ANCHOR
    index = places.long()
    fraction = (places - index)[:, None]
    start, end = anchors[index], anchors[index + 1]
    cosine = torch.nn.functional.cosine_similarity(start, end, dim=-1)[:, None].clamp(-0.9999, 0.9999)
    angle = torch.arccos(cosine)
    return (torch.sin((1 - fraction) * angle) * start + torch.sin(fraction * angle) * end) / torch.sin(angle)


def faded_together(pieces: Iterable[Tensor], hop: int, count: int) -> Tensor:
    """Join `count` pieces [2, n_mels, length], each starting `hop` after the one before, by linear fades.

    Returns:
        [2, n_mels, (count - 1) * hop + length]; every frame is a weighted mean of the pieces that cover it.
    """
    joined = fade = weight = torch.empty(0)
    for number, piece in enumerate(pieces):
        if not number:
            channels, bands, length = piece.shape
            fade = torch.minimum(torch.arange(1, length + 1), torch.arange(length, 0, -1)).to(piece)
            joined = piece.new_zeros(channels, bands, (count - 1) * hop + length)
            weight = piece.new_zeros(joined.shape[-1])
        place = slice(number * hop, number * hop + len(fade))
        joined[..., place] += fade * piece
        weight[place] += fade
    return joined.div_(weight)
