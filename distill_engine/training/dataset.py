"""What the loop is fed with: batches of windows out of the spectrogram cache, in an order that can be repeated.

The decision: which windows an epoch has, and in which order, is a pure function of seed and epoch, worked out at its
start in one go. There is no state to save: a resumed run asks for the same epoch from a later batch on. Files are
mapped and windows copied out of them, without worker processes: a batch takes a few milliseconds.

`AudioTrainingDataset` and `create_data_loaders` give plain waveforms for uses outside the loop; the loop has no part
in them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from distill_engine.audio import cache
from distill_engine.audio.cache import CacheEntry
from distill_engine.audio.preprocessing import PreparedCorpus, PreparedItem
from distill_engine.audio.spectrogram import Normalisation
from distill_engine.audio.waveform import SAMPLE_RATE, load_waveform
from distill_engine.datasets import Recording, Scan
from distill_engine.split import split_recordings
from distill_engine.training.colouring import Colouring
from distill_engine.training.config import TrainingConfig

_ORDER_STREAM = 0x0D15  # tells these draws from any others that start from the run's seed


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Windows in the order they are drawn: for each, which item it is of, and its first frame."""

    items: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]


class PieceLoader:
    """Batches of training or validation pieces; `epoch` may be called as often as one likes, in any order.

    A training epoch draws from each item about as many windows as its frames with sound hold pieces, spread over them
    evenly and at random; its last batch is filled with further windows, and `colouring` gives each another level and
    tone. Validation windows are the same each epoch, evenly spaced and in order, and the last batch may be smaller.
    """

    def __init__(
        self,
        items: Sequence[PreparedItem],
        normalisation: Normalisation,
        *,
        batch_size: int,
        time_frames: int,
        seed: int = 0,
        shuffle: bool,
        colouring: Colouring | None = None,
    ) -> None:
        if not items:
            raise ValueError("a loader needs at least one item")
        self._frames = [_mapped(item.entry) for item in items]
        self._places = _Places(items, time_frames)
        self._normalisation = normalisation
        self._time_frames = time_frames
        self._seed = seed
        self._shuffle = shuffle
        self._colouring = colouring
        self.batch_size = batch_size
        self.batches_per_epoch = math.ceil(self._places.pieces / batch_size)
        self.pieces_per_epoch = self.batches_per_epoch * batch_size if shuffle else self._places.pieces

    def epoch(self, epoch: int, first_batch: int = 0) -> Iterator[Tensor]:
        """Yield the epoch's batches from number `first_batch` (from 0) on: [B, 2, n_mels, time_frames] float32.

        They are normalised, contiguous and their own: changing one changes no other and nothing on disk.
        """
        windows = self.windows(epoch)
        for number in range(first_batch, math.ceil(len(windows.items) / self.batch_size)):
            chosen = slice(number * self.batch_size, (number + 1) * self.batch_size)
            batch = self._batch(windows.items[chosen], windows.starts[chosen])
            if self._colouring is not None:
                batch = self._colouring.apply(batch, self._normalisation.magnitude_scale, epoch, number)
            yield batch

    def windows(self, epoch: int) -> Windows:
        """Return all windows of an epoch, in order."""
        if not self._shuffle:
            return self._places.even()
        random = np.random.default_rng(np.random.SeedSequence([_ORDER_STREAM, self._seed, epoch]))
        return self._places.drawn(random, self.pieces_per_epoch)

    def _batch(self, items: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]) -> Tensor:
        windows = zip(items.tolist(), starts.tolist(), strict=True)
        batch = torch.stack([self._frames[item][start : start + self._time_frames] for item, start in windows])
        # [B, time, 2, n_mels] on disk, so that a window is read in one go; the model wants time last.
        return self._normalisation.normalise(batch.permute(0, 2, 3, 1).float()).contiguous()


class _Places:
    """All first frames that windows may have, of all items in one line, and how many windows each item gives."""

    def __init__(self, items: Sequence[PreparedItem], time_frames: int) -> None:
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
    size, time_frames = config.batch_size, config.complex_spectrogram.time_frames
    augmentation = config.augmentation
    training = PieceLoader(
        prepared.training,
        prepared.normalisation,
        batch_size=size,
        time_frames=time_frames,
        seed=config.seed,
        shuffle=True,
        colouring=Colouring(level_db=augmentation.level_db, tone_db=augmentation.tone_db, seed=config.seed),
    )
    if not prepared.validation:
        return training, None
    validation = PieceLoader(
        prepared.validation, prepared.normalisation, batch_size=size, time_frames=time_frames, shuffle=False
    )
    return training, validation


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


def _mapped(entry: CacheEntry) -> Tensor:
    """Return the raw spectrogram [frames, 2, n_mels] float16, mapped: read where used, and kept if the file goes.

    torch maps a file from its start and keeps no descriptor, so thousands stay under a process' limit of open files.
    """
    count = entry.frames * 2 * entry.n_mels
    skipped = cache.HEADER_BYTES // 2
    try:
        values = torch.from_file(str(entry.path), shared=False, size=skipped + count, dtype=torch.float16)
    except RuntimeError as error:
        raise cache.vanished(entry) from error
    return values[skipped:].view(entry.frames, 2, entry.n_mels)
