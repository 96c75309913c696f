"""What the loop is fed with: batches of windows out of the spectrogram cache, in an order that can be repeated.

The decision: which windows an epoch has, and in which order, is a pure function of seed and epoch, worked out at its
start in one go. There is no state to save: a resumed run asks for the same epoch from a later batch on. Where the
spectrograms lie is `frame_stores`' business: a batch costs a few milliseconds on a CPU, and a GPU cuts its own.

`AudioTrainingDataset` and `create_data_loaders` give plain waveforms for uses outside the loop; the loop has no part
in them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from distill_engine.audio.cache import CacheEntry, Runs
from distill_engine.audio.preprocessing import PreparedCorpus
from distill_engine.audio.spectrogram import Normalisation
from distill_engine.audio.waveform import SAMPLE_RATE, load_waveform
from distill_engine.datasets import Recording, Scan
from distill_engine.split import split_recordings
from distill_engine.training.colouring import Colouring
from distill_engine.training.config import TrainingConfig
from distill_engine.training.frame_stores import store_for

_ORDER_STREAM = 0x0D15  # tells these draws from any others that start from the run's seed


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Windows in the order they are drawn: for each, which item it is of, and its first frame."""

    items: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]


class Item(Protocol):
    """What a loader needs of a `PreparedItem`: its spectrogram, and the frames that windows may be drawn from."""

    @property
    def entry(self) -> CacheEntry:
        """The spectrogram in the cache."""

    @property
    def runs(self) -> Runs:
        """Stretches of frames, each of at least one window."""

    @property
    def usable_frames(self) -> int:
        """How many frames the runs have."""


class PieceLoader:
    """Batches of training or validation pieces; `epoch` may be called as often as one likes, in any order.

    A training epoch draws from each item about as many windows as its frames with sound hold pieces, spread over them
    evenly and at random; its last batch is filled with further windows, and `colouring` gives each another level and
    tone. Validation windows are the same each epoch, evenly spaced and in order, and the last batch may be smaller.

    Of `ranks` processes each gets the rows of its `rank` out of every batch; together they have those that one would.
    """

    def __init__(
        self,
        items: Sequence[Item],
        normalisation: Normalisation,
        *,
        batch_size: int,
        time_frames: int,
        seed: int = 0,
        shuffle: bool,
        colouring: Colouring | None = None,
        device: str = "cpu",
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        if not items:
            raise ValueError("a loader needs at least one item")
        self._store = store_for([item.entry for item in items], time_frames, torch.device(device))
        self._places = _Places(items, time_frames)
        self._normalisation = normalisation
        self._seed = seed
        self._shuffle = shuffle
        self._colouring = colouring
        self._rank = rank
        self._share = batch_size // ranks
        self.batch_size = batch_size
        self.batches_per_epoch = math.ceil(self._places.pieces / batch_size)
        self.pieces_per_epoch = self.batches_per_epoch * batch_size if shuffle else self._places.pieces

    def rest(self) -> None:
        """Have nothing on a GPU until `come_back`, or until the next epoch is asked for."""
        self._store.rest()

    def come_back(self) -> None:
        """Have everything on the GPU again; OutOfMemoryError where it has no room."""
        self._store.come_back()

    def epoch(self, epoch: int, first_batch: int = 0) -> Iterator[Tensor]:
        """Yield the epoch's batches from number `first_batch` (from 0) on: [B, 2, n_mels, time_frames] float32.

        B is `batch_size`, of several ranks this one's share of it.

        They lie on the loader's device, normalised and contiguous, and are their own: changing one changes no other and
        nothing on disk.
        """
        windows = self.windows(epoch)
        own = self._own(len(windows.items), first_batch * self.batch_size)
        draws = self._colouring.drawn(epoch, len(windows.items)) if self._colouring else None
        coloured = draws[own].to(self._store.device).split(self._share) if draws is not None else None
        cut = self._store.batches(windows.items[own], windows.starts[own], self._share)
        for number, frames in enumerate(cut):
            # [B, time, 2, n_mels] in the store, so that a window is read in one go; the model wants time last.
            batch = self._normalisation.normalise(frames.permute(0, 2, 3, 1).float()).contiguous()
            if self._colouring is not None and coloured is not None:
                batch = self._colouring.apply(batch, coloured[number], self._normalisation.magnitude_scale)
            yield batch

    def _own(self, total: int, first: int) -> npt.NDArray[np.int64]:
        """Return which of an epoch's `total` windows this rank has, from number `first` on."""
        places = np.arange(first, total)
        own: npt.NDArray[np.int64] = places[places % self.batch_size // self._share == self._rank]
        return own

    def windows(self, epoch: int) -> Windows:
        """Return all windows of an epoch, in order and of all ranks."""
        if not self._shuffle:
            return self._places.even()
        random = np.random.default_rng(np.random.SeedSequence([_ORDER_STREAM, self._seed, epoch]))
        return self._places.drawn(random, self.pieces_per_epoch)


class _Places:
    """All first frames that windows may have, of all items in one line, and how many windows each item gives."""

    def __init__(self, items: Sequence[Item], time_frames: int) -> None:
        runs = [(index, start, stop) for index, item in enumerate(items) for start, stop in item.runs]
        table = np.array(runs, dtype=np.int64)
        choices = table[:, 2] - table[:, 1] - time_frames + 1
        assert (choices > 0).all(), "a run is shorter than a window"
        self._run_items, self._run_starts = table[:, 0], table[:, 1]
        self._run_places = np.concatenate(([0], np.cumsum(choices)))
        item_choices = np.bincount(table[:, 0], choices, len(items)).astype(np.int64)
        frames = np.array([item.usable_frames for item in items])
        counts = np.maximum(1, np.rint(frames / time_frames).astype(np.int64))
        self.pieces = int(counts.sum())
        # For every piece: the first of its item's places, how many those are, and which part of them is its own.
        self._first = np.repeat(np.cumsum(item_choices) - item_choices, counts)
        self._choices = np.repeat(item_choices, counts)
        self._counts = np.repeat(counts, counts)
        self._part = np.arange(self.pieces) - np.repeat(np.cumsum(counts) - counts, counts)

    def even(self) -> Windows:
        """Return the windows in the middle of each piece's part."""
        return self._at(np.arange(self.pieces), np.full(self.pieces, 0.5))

    def drawn(self, random: np.random.Generator, total: int) -> Windows:
        """Return one window from each piece's part and further ones up to `total`, shuffled."""
        further = random.integers(self.pieces, size=total - self.pieces)
        order = random.permutation(np.concatenate((np.arange(self.pieces), further)))
        return self._at(order, random.random(total))

    def _at(self, pieces: npt.NDArray[np.int64], within: npt.NDArray[np.float64]) -> Windows:
        """Return for each piece the window `within` (0 to 1) of its part."""
        choices = self._choices[pieces]
        offset = ((self._part[pieces] + within) / self._counts[pieces] * choices).astype(np.int64)
        place = self._first[pieces] + np.minimum(offset, choices - 1)
        run = np.searchsorted(self._run_places, place, side="right") - 1
        return Windows(items=self._run_items[run].copy(), starts=self._run_starts[run] + place - self._run_places[run])


def create_complex_data_loaders(
    prepared: PreparedCorpus, config: TrainingConfig
) -> tuple[PieceLoader, PieceLoader | None]:
    """Return the loaders for training and for validation; the second is None where nothing is kept for it."""
    training = training_loader(prepared.training, prepared.normalisation, config)
    if not prepared.validation:
        return training, None
    validation = PieceLoader(
        prepared.validation,
        prepared.normalisation,
        batch_size=config.batch_size,
        time_frames=config.complex_spectrogram.time_frames,
        shuffle=False,
        device=_device(config),
    )
    return training, validation


def training_loader(
    items: Sequence[Item], normalisation: Normalisation, config: TrainingConfig, rank: int = 0
) -> PieceLoader:
    """Return the loader of the training pieces that are one rank's among those of `config.num_processes`."""
    augmentation = config.augmentation
    return PieceLoader(
        items,
        normalisation,
        batch_size=config.batch_size,
        time_frames=config.complex_spectrogram.time_frames,
        seed=config.seed,
        shuffle=True,
        device=_device(config),
        colouring=Colouring(level_db=augmentation.level_db, tone_db=augmentation.tone_db, seed=config.seed),
        rank=rank,
        ranks=config.num_processes,
    )


def _device(config: TrainingConfig) -> str:
    return "cpu" if config.device == "auto" else config.device


class AudioTrainingDataset(Dataset[Tensor]):
    """Recordings as waveform pieces [1, 48000] float32: second after second, the last one filled with zeros."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._pieces = [
            (recording.path, second)
            for recording in recordings
            for second in range(max(1, math.ceil(round(recording.seconds, 6))))
        ]

    def __len__(self) -> int:
        return len(self._pieces)

    def __getitem__(self, index: int) -> Tensor:
        path, second = self._pieces[index]
        piece = load_waveform(path, 1.0, second)
        return torch.nn.functional.pad(piece, (0, SAMPLE_RATE - len(piece)))[None]


def create_data_loaders(scan: Scan, config: TrainingConfig) -> tuple[DataLoader[Tensor], DataLoader[Tensor] | None]:
    """Return loaders of waveform batches [B, 1, 48000] for training and validation, split as the loop's are by file.

    The training order is drawn from the configuration's seed. The second is None where nothing is kept for validation.
    """
    training, validation = split_recordings(scan.used, config.seed, config.val_fraction)
    order = torch.Generator().manual_seed(config.seed)
    first = DataLoader(AudioTrainingDataset(training), config.batch_size, shuffle=True, generator=order)
    return first, DataLoader(AudioTrainingDataset(validation), config.batch_size) if validation else None
