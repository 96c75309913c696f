"""The network: a convolutional variational autoencoder of two-channel spectrograms.

All arithmetic of its shape (pad to a multiple of 32, divide by 32, 512 channels deep) stands here and nowhere else. It
keeps no running statistics: group normalisation sees one piece at a time, so training and evaluation compute the same,
a batch of one works, and the weights are the model's whole state, which is what makes a resumed run exact.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = (2, 32, 64, 128, 256, 512)
"""Channels before, between and after the five layers; the decoder runs through them backwards."""

REDUCTION = 2 ** (len(CHANNELS) - 1)
"""How many times smaller the deepest grid is than the padded input, along each axis: 32."""

_NORM_GROUPS = 8
_LEAK = 0.2
_LOGVAR_CENTRE, _LOGVAR_REACH = -3.0, 7.0
_INITIAL_MAGNITUDE = 0.75


def padded_size(n_mels: int, time_frames: int) -> tuple[int, int]:
    """Return `(n_mels, time_frames)` rounded up to multiples of 32."""
    return n_mels + (-n_mels) % REDUCTION, time_frames + (-time_frames) % REDUCTION


def spatial_size(n_mels: int, time_frames: int) -> tuple[int, int]:
    """Return the deepest grid's size: `(4, 3)` for 128 bands and 94 frames."""
    height, width = padded_size(n_mels, time_frames)
    return height // REDUCTION, width // REDUCTION


def flatten_size(spatial: tuple[int, int]) -> int:
    """Return how many numbers the deepest grid holds: 512 times its area."""
    return CHANNELS[-1] * spatial[0] * spatial[1]


class ConvEncoder(nn.Module):
    """Five stride-2 convolutions, then a mean and a log-variance for each latent dimension.

    The first layer has a bias and no normalisation, and the bias starts spread out: without either, a piece twice as
    strong would look the same to all that follow, since group normalisation takes out any common factor.
    """

    def __init__(self, latent_dim: int, spatial: tuple[int, int], dropout: float = 0.0) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        pairs = list(itertools.pairwise(CHANNELS))
        first = nn.Conv2d(*pairs[0], 3, stride=2, padding=1)
        self.layers = nn.Sequential(first, nn.LeakyReLU(_LEAK), *(_encoder_layer(*pair) for pair in pairs[1:]))
        self.dropout = nn.Dropout(dropout)
        _init_convolutions(self.layers)
        assert first.bias is not None
        nn.init.normal_(first.bias, std=_INITIAL_MAGNITUDE)
        self.flatten_dim = 0
        self._init_linear(flatten_size(spatial))

    def _init_linear(self, flatten_dim: int) -> None:
        """Size the two linear layers for `flatten_dim` numbers; layers that fit already are kept as they are."""
        if flatten_dim == self.flatten_dim:
            return
        like = next(self.layers.parameters())
        self.flatten_dim = flatten_dim
        self.to_mu = nn.Linear(flatten_dim, self.latent_dim, device=like.device, dtype=like.dtype)
        self.to_logvar = nn.Linear(flatten_dim, self.latent_dim, device=like.device, dtype=like.dtype)
        for linear, gain in ((self.to_mu, 1.0), (self.to_logvar, 0.1)):
            nn.init.normal_(linear.weight, std=gain / math.sqrt(flatten_dim))
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map `x` [B, 2, n_mels, time], padded here to a multiple of 32, to `mu` and `logvar` [B, latent_dim], fp32.

        The log-variance is bent smoothly into (-10, 4): a hard clamp would leave what is outside without a gradient.
        """
        height, width = padded_size(x.shape[-2], x.shape[-1])
        x = functional.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2]))
        flat = self.dropout(self.layers(x).flatten(1))
        if flat.shape[1] != self.flatten_dim:
            raise ValueError(
                f"a spectrogram padded to {height} x {width} flattens to {flat.shape[1]} numbers, "
                f"and this encoder is sized for {self.flatten_dim}"
            )
        bent = torch.tanh(self.to_logvar(flat).float() / _LOGVAR_REACH)
        return self.to_mu(flat).float(), _LOGVAR_CENTRE + _LOGVAR_REACH * bent


class ConvDecoder(nn.Module):
    """The encoder mirrored: a linear layer, then five transposed convolutions; magnitude >= 0, frequency in (-1, 1)."""

    def __init__(self, latent_dim: int, spatial: tuple[int, int], dropout: float = 0.0) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        backwards = CHANNELS[::-1]
        hidden = (_decoder_layer(*pair) for pair in itertools.pairwise(backwards[:-1]))
        last = nn.ConvTranspose2d(*backwards[-2:], 4, stride=2, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential(*hidden, last)
        _init_convolutions(self.layers)
        _init_output(last)
        self.spatial = (0, 0)
        self._init_linear(spatial)

    def _init_linear(self, spatial: tuple[int, int]) -> None:
        """Size the linear layer for a deepest grid of `spatial`; a layer that fits already is kept as it is."""
        if spatial == self.spatial:
            return
        like = next(self.layers.parameters())
        self.spatial = spatial
        self.from_latent = nn.Linear(self.latent_dim, flatten_size(spatial), device=like.device, dtype=like.dtype)
        nn.init.normal_(self.from_latent.weight, std=1 / math.sqrt(self.latent_dim))
        nn.init.zeros_(self.from_latent.bias)

    def forward(self, z: Tensor) -> Tensor:
        """Map `z` [B, latent_dim] to [B, 2, 32 * spatial[0], 32 * spatial[1]], fp32."""
        deepest = self.from_latent(z).unflatten(1, (CHANNELS[-1], *self.spatial))
        magnitude, frequency = self.layers(self.dropout(deepest)).float().split(1, dim=1)
        return torch.cat((functional.softplus(magnitude), torch.tanh(frequency)), dim=1)


class ConvVAE(nn.Module):
    """The whole model, about 5.5 million weights at its default size.

    It takes every spectrogram that pads to the size it was made for: 97 to 128 bands and 65 to 96 frames by default.
    """

    def __init__(self, latent_dim: int = 128, n_mels: int = 128, time_frames: int = 94, dropout: float = 0.0) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.n_mels = n_mels
        self.time_frames = time_frames
        spatial = spatial_size(n_mels, time_frames)
        self.encoder = ConvEncoder(latent_dim, spatial, dropout)
        self.decoder = ConvDecoder(latent_dim, spatial, dropout)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map a normalised spectrogram [B, 2, n_mels, time] to `mu` and `logvar` [B, latent_dim].

        Raises ValueError for one that pads to another size than the model's.
        """
        self._check_size(x)
        mu, logvar = self.encoder(x)
        return mu, logvar

    def decode(self, z: Tensor) -> Tensor:
        """Map `z` [B, latent_dim] to a normalised spectrogram [B, 2, n_mels, time_frames]."""
        spectrogram: Tensor = self.decoder(z)
        return spectrogram[..., : self.n_mels, : self.time_frames]

    def forward(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return `recon` [as x], `mu` and `logvar` [B, latent_dim] of `x` [B, 2, n_mels, time], all fp32.

        While training, the decoder gets mu + sigma * noise; in evaluation it gets mu. The noise is `noise` [as mu], or
        comes from torch's default generator. Raises ValueError as `encode` does.
        """
        mu, logvar = self.encode(x)
        z = mu
        if self.training:
            z = mu + torch.exp(0.5 * logvar) * (torch.randn_like(mu) if noise is None else noise)
        recon: Tensor = self.decoder(z)
        return recon[..., : x.shape[-2], : x.shape[-1]], mu, logvar

    def _check_size(self, x: Tensor) -> None:
        made_for = tuple(side * REDUCTION for side in self.decoder.spatial)
        padded = padded_size(x.shape[-2], x.shape[-1])
        if padded != made_for:
            raise ValueError(
                f"a spectrogram of {x.shape[-2]} bands x {x.shape[-1]} frames pads to {padded[0]} x {padded[1]}, "
                f"and this model is made for {made_for[0]} x {made_for[1]}"
            )


def _encoder_layer(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(_NORM_GROUPS, outputs), nn.LeakyReLU(_LEAK))


def _decoder_layer(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(_NORM_GROUPS, outputs), nn.LeakyReLU(_LEAK))


def _init_convolutions(layers: nn.Module) -> None:
    """Draw kernels that keep the variance through a leaky rectifier (He et al. 2015, arXiv 1502.01852)."""
    for module in layers.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, a=_LEAK, nonlinearity="leaky_relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _init_output(last: nn.ConvTranspose2d) -> None:
    """Start near no frequency offset and the mean of magnitudes whose RMS is 1, with just enough spread to learn."""
    assert last.bias is not None
    nn.init.normal_(last.weight, std=0.02)
    with torch.no_grad():
        last.bias[0] = math.log(math.expm1(_INITIAL_MAGNITUDE))
