"""What a run will take: pieces, steps, memory and disk, by arithmetic alone and before anything is read.

It shares its rules with the data side. An item is one recording or one altered copy of it; copies are made of training
recordings only. An item of n frames gives max(1, round(n / time_frames)) pieces an epoch, and the last batch of an
epoch is filled up. Recordings are taken to be full of sound, and of one length where their lengths aren't given, so a
run, which leaves silent stretches out and plays copies faster or slower, has somewhat fewer or more pieces.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from distill_engine.training.config import ComplexSpectrogramConfig, TrainingConfig

_CHANNELS = (2, 32, 64, 128, 256, 512)  # the network's, which a cold module can't import; a test compares the two
_FLOAT_BYTES = 4
_CACHED_BYTES = 2  # the cache keeps float16
_HEADER_BYTES = 4096  # of a file of tensors, roughly
_STEP_EVENT_BYTES = 400
_PROGRAM_BYTES = 760 * 2**20  # Python with torch and its kernels at work, the data apart: measured on a CPU
_KEPT_ACTIVATIONS = 4  # of each output of a layer, alive at once in a step: measured on a CPU, fp32


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run will take. `steps` is the most: `max_minutes` and an early stop may end the run before."""

    training_pieces: int
    """Pieces of a second that one epoch trains on, altered copies included."""

    steps_per_epoch: int
    steps: int
    """Steps in the whole run."""

    pieces_learnt: int
    """Pieces that all these steps learn from."""

    parameters: int
    """Weights of the model."""

    memory_bytes: int
    """Memory while training: the process, the model, its optimiser, one batch on its way through.

    Measured on CPUs; spectrograms that lie in a GPU's memory come on top there.
    """

    cache_bytes: int
    """Disk for prepared spectrograms, of which other runs on the same recordings make use again."""

    run_bytes: int
    """Disk for the run's folder at its fullest: checkpoints, one more while it is written, previews, events."""

    model_bytes: int
    """Size of the finished `.distill` file."""

    @property
    def disk_bytes(self) -> int:
        """Disk for all of it."""
        return self.cache_bytes + self.run_bytes + self.model_bytes


def estimate(config: TrainingConfig, seconds: float, files: int, trained: Sequence[float] = ()) -> Estimate:
    """Return what a run with `config` takes on `files` usable recordings of `seconds` in all (both above 0).

    `trained` is the length in seconds of each one that is trained on, where that is known.
    """
    one_by_one = files > 1 and trained  # a single recording is split by time
    pieces = _pieces_of(config, trained) if one_by_one else training_pieces(config, seconds, files)
    steps_per_epoch = math.ceil(pieces / config.batch_size)
    steps = steps_per_epoch * config.max_epochs
    parameters = parameter_count(config)
    return Estimate(
        training_pieces=pieces,
        steps_per_epoch=steps_per_epoch,
        steps=steps,
        pieces_learnt=steps * config.batch_size,
        parameters=parameters,
        memory_bytes=_memory_bytes(config, parameters),
        cache_bytes=_cache_bytes(config, seconds, files),
        run_bytes=run_bytes(config, steps),
        model_bytes=parameters * _FLOAT_BYTES + _HEADER_BYTES,
    )


def training_pieces(config: TrainingConfig, seconds: float, files: int) -> int:
    """Return how many pieces an epoch trains on, altered copies included."""
    items, item_seconds = _training_part(config.val_fraction, seconds, files)
    return items * _pieces_of(config, [item_seconds])


def _pieces_of(config: TrainingConfig, lengths: Sequence[float]) -> int:
    """Return how many pieces recordings of these lengths in seconds and their copies give an epoch."""
    frames = (_frames(seconds, config.complex_spectrogram) for seconds in lengths)
    pieces = sum(max(1, round(count / config.complex_spectrogram.time_frames)) for count in frames)
    return (1 + config.augmentation.copies) * pieces


def parameter_count(config: TrainingConfig) -> int:
    """Return the number of weights of the model.

    Five 3x3 convolutions and their mirror images (the last one 4x4), group normalisation between them, and three linear
    layers between the deepest grid and the latent space: mean, log-variance, and back.
    """
    pairs = list(itertools.pairwise(_CHANNELS))
    kernels = 9 * sum(inputs * outputs for inputs, outputs in pairs)
    first, deeper = _CHANNELS[1], _CHANNELS[2:]
    encoder = kernels + first + 2 * sum(deeper)
    decoder = kernels + (16 - 9) * 2 * first + 2 + 2 * sum(_CHANNELS[1:-1])
    flat = _flat_size(config.complex_spectrogram)
    linear = 2 * (flat + 1) * config.latent_dim + (config.latent_dim + 1) * flat
    return encoder + decoder + linear


def _flat_size(config: ComplexSpectrogramConfig) -> int:
    return _CHANNELS[-1] * math.ceil(config.n_mels / 32) * math.ceil(config.time_frames / 32)


def _training_part(val_fraction: float, seconds: float, files: int) -> tuple[int, float]:
    """Return the number of recordings to train on and the length of each in seconds; one recording is split by time."""
    if files < 2:
        return files, seconds * (1 - val_fraction)
    return files - _validation_files(val_fraction, files), seconds / files


def _validation_files(val_fraction: float, files: int) -> int:
    """Return how many of two or more recordings are kept aside: at least one, and never all."""
    return min(max(round(files * val_fraction), 1), files - 1) if val_fraction else 0


def _frames(seconds: float, config: ComplexSpectrogramConfig) -> int:
    return max(config.time_frames, int(seconds * config.sample_rate) // config.hop_length + 1)  # short ones are padded


def _cache_bytes(config: TrainingConfig, seconds: float, files: int) -> int:
    """Size of every recording and of every copy of those trained on: a header, and float16 [frames, 2, n_mels]."""
    spectrogram = config.complex_spectrogram
    trained, _ = _training_part(config.val_fraction, seconds, files)
    frame_bytes = 2 * spectrogram.n_mels * _CACHED_BYTES
    item_bytes = _HEADER_BYTES + _frames(seconds / files, spectrogram) * frame_bytes
    return (files + trained * config.augmentation.copies) * item_bytes


def run_bytes(config: TrainingConfig, steps: float, seconds: float = math.inf) -> int:
    """Return the size of the folder of a run of so many steps at its fullest, that trains for `seconds`."""
    made = min(_checkpoints_in(config, seconds), config.max_epochs // config.checkpoint_interval) + 1
    kept = min(config.checkpoint_keep + 1, made)  # one more while it is written
    return round(kept * _checkpoint_bytes(config) + _preview_bytes(config, seconds) + steps * _STEP_EVENT_BYTES)


def _checkpoints_in(config: TrainingConfig, seconds: float) -> float:
    least = 60 * config.checkpoint_minutes
    return seconds // least if least and math.isfinite(seconds) else math.inf


def _checkpoint_bytes(config: TrainingConfig) -> int:
    """Weights, the optimiser's momentum, the best weights and the average."""
    tensors = 3 + (config.ema_decay > 0)
    return tensors * parameter_count(config) * _FLOAT_BYTES + _HEADER_BYTES


def previews_made(config: TrainingConfig, seconds: float = math.inf) -> float:
    """Return about how many previews a run of so many seconds makes, the last one included."""
    seconds = min(seconds, 60 * config.max_minutes or math.inf)
    by_time = seconds / (60 * config.preview_minutes) if config.preview_minutes else math.inf
    return min(config.max_epochs // config.preview_interval, by_time) + 1


def _preview_bytes(config: TrainingConfig, seconds: float) -> int:
    """Recordings, their reconstructions and samples as float WAV, at each interval and at the end."""
    sounds = 2 * config.preview_recordings + config.preview_samples
    previews = math.ceil(previews_made(config, seconds))
    sound_bytes = config.preview_seconds * config.complex_spectrogram.sample_rate * _FLOAT_BYTES
    return previews * sounds * math.ceil(sound_bytes)


def _memory_bytes(config: TrainingConfig, parameters: int) -> int:
    """The program; weights, gradients, momentum, the best weights and the average; a batch on its way through."""
    tensors = 4 + (config.ema_decay > 0)
    batch = config.batch_size * bytes_of_a_piece(config)
    return _PROGRAM_BYTES + tensors * parameters * _FLOAT_BYTES + batch


def bytes_of_a_piece(config: TrainingConfig) -> int:
    """Return what a step takes for each piece of its batch."""
    return _activations(config.complex_spectrogram) * _KEPT_ACTIVATIONS * _FLOAT_BYTES


def _activations(config: ComplexSpectrogramConfig) -> int:
    """Count the outputs of all layers for one piece: each layer has a quarter of the places of the one before."""
    area = math.ceil(config.n_mels / 32) * math.ceil(config.time_frames / 32) * 32**2
    encoder = sum(channels * area // (1 << 2 * depth) for depth, channels in enumerate(_CHANNELS[1:], start=1))
    decoder = sum(channels * area // (1 << 2 * depth) for depth, channels in enumerate(_CHANNELS[:-1]))
    return encoder + decoder
