"""A model and some numbers become sound: reconstructions of a spectrogram, and new sound from the prior.

A model knows pieces of a second. Longer sound is made of pieces that overlap by half and are faded into each other *as
spectrograms*; the waveform is synthesised once, over all of it, so there is no seam to hear.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from distill_engine.audio.spectrogram import Normalisation, synthesise
from distill_engine.models.vae import ConvVAE
from distill_engine.training.config import ComplexSpectrogramConfig

PIECES_PER_ANCHOR = 4
"""Generated sound travels from one drawn latent to the next in this many half-overlapping pieces, two seconds."""

_BATCH = 64


@torch.inference_mode()
def reconstruct(model: ConvVAE, spectrogram: Tensor, normalisation: Normalisation) -> Tensor:
    """Send a raw spectrogram [2, n_mels, frames] of any length through the model; return one of the same shape."""
    frames = spectrogram.shape[-1]
    length = model.time_frames
    hop = length // 2
    count = 1 + max(0, math.ceil((frames - length) / hop))
    normal = normalisation.normalise(spectrogram)
    padded = torch.nn.functional.pad(normal, (0, (count - 1) * hop + length - frames))
    pieces = padded.unfold(-1, length, hop).permute(2, 0, 1, 3)
    was_training = model.training
    model.eval()
    made = torch.cat([model(batch.contiguous())[0].float() for batch in pieces.split(_BATCH)])
    model.train(was_training)
    return normalisation.denormalise(faded_together(made, hop)[..., :frames])


@torch.inference_mode()
def generate(
    model: ConvVAE, normalisation: Normalisation, config: ComplexSpectrogramConfig, *, seconds: float, seed: int
) -> Tensor:
    """Draw a path from the prior and return its sound: mono [round(seconds * 48000)], the same for the same seed."""
    samples = round(seconds * config.sample_rate)
    frames = samples // config.hop_length + 1
    hop = model.time_frames // 2
    count = 1 + max(0, math.ceil((frames - model.time_frames) / hop))
    device = next(model.parameters()).device
    path = latent_path(count, model.latent_dim, seed).to(device)
    pieces = torch.cat([model.decode(batch).float() for batch in path.split(_BATCH)])
    raw = normalisation.denormalise(faded_together(pieces, hop)[..., :frames])
    return synthesise(raw, config, samples, seed).cpu()


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


def faded_together(pieces: Tensor, hop: int) -> Tensor:
    """Join pieces [count, 2, n_mels, length], each starting `hop` after the one before, by linear fades.

    Returns:
        [2, n_mels, (count - 1) * hop + length]; every frame is a weighted mean of the pieces that cover it.
    """
    count, channels, bands, length = pieces.shape
    fade = torch.minimum(torch.arange(1, length + 1), torch.arange(length, 0, -1)).to(pieces)
    joined = pieces.new_zeros(channels, bands, (count - 1) * hop + length)
    weight = pieces.new_zeros(joined.shape[-1])
    for number, piece in enumerate(pieces):
        place = slice(number * hop, number * hop + length)
        joined[..., place] += fade * piece
        weight[place] += fade
    return joined / weight
