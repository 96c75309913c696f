"""Give a model its latent axes: its recordings are found in the cache, encoded, and the file gets what is found.

A model trained here has a run, which knows the recordings and which of them were kept for validation. Any other is told
a folder, and all of it counts.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from torch import Tensor

from distill_engine import home
from distill_engine.audio.preprocessing import preprocess_complex_spectrograms
from distill_engine.datasets import Scan
from distill_engine.models.analysis import OnProgress, analyse_model
from distill_engine.models.model_info import ModelInfo
from distill_engine.models.persistence import LoadedModel, load_model, rewrite_info
from distill_engine.training.config import TrainingConfig
from distill_engine.training.dataset import PieceLoader

PIECES = 512
"""Pieces encoded, of a large corpus fewer than it has, of a small one several that overlap."""

_BATCH = 64


def give_axes(
    path: Path,
    scan: Scan,
    config: TrainingConfig,
    *,
    on_progress: OnProgress = lambda _done, _total, _next: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> ModelInfo:
    """Analyse the model at `path` by its recordings and write its axes into its file; return what it says then.

    `config` tells how the recordings were split for training. Raises StopRequestedError after a yes of `should_stop`,
    DatasetError where nothing can be encoded, ModelFileError where the file isn't what it was any more; in all these
    cases the file stays as it is.
    """
    loaded = load_model(path)
    pieces = _pieces(loaded, scan, config, should_stop)
    found = analyse_model(loaded, pieces, on_progress=on_progress, should_stop=should_stop)
    info = msgspec.structs.replace(loaded.info, latent_mean=found.mean, latent_rest=found.rest, latent_axes=found.axes)
    rewrite_info(path, info)
    return info


def _pieces(
    loaded: LoadedModel, scan: Scan, config: TrainingConfig, should_stop: Callable[[], bool]
) -> Iterator[Tensor]:
    """Return batches of the recordings' own pieces, without copies, as the model sees them."""
    unaltered = dataclasses.replace(
        config,
        complex_spectrogram=loaded.spectrogram,
        augmentation=dataclasses.replace(config.augmentation, copies=0),
    )
    corpus = preprocess_complex_spectrograms(scan, unaltered, home.cache_folder(), should_stop=should_stop)
    loader = PieceLoader(
        corpus.training,
        loaded.normalisation,
        batch_size=_BATCH,
        time_frames=loaded.model.time_frames,
        shuffle=True,
    )
    epochs = (loader.epoch(epoch) for epoch in itertools.count())
    return itertools.islice(itertools.chain.from_iterable(epochs), PIECES // _BATCH)
