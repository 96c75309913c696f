"""Where the spectrograms lie while they are trained on, and how windows are cut out of them.

On a CPU the cache's files are mapped: they take no memory of their own, and a second run shares them. On a GPU they lie
in its memory in half precision, where a batch is one gather and the host sends nothing; where they take too much of it
they stay mapped, and batches are cut on a thread and sent ahead, through pinned memory, while steps go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distill_engine.audio import cache
from distill_engine.audio.cache import CacheEntry

_MOST_OF_FREE_MEMORY = 0.5
"""Of a GPU's free memory the spectrograms may take so much; steps need the rest."""

Numbers = npt.NDArray[np.int64]


class FrameStore(Protocol):
    """Spectrograms of items, to cut windows of a fixed length from."""

    @property
    def device(self) -> torch.device:
        """Where windows come out."""

    def batches(self, items: Numbers, starts: Numbers, size: int) -> Iterator[Tensor]:
        """Yield the windows of these items from these frames on, so many at a time: float16 [B, frames, 2, n_mels]."""

    def rest(self) -> None:
        """Have nothing in a GPU's memory until `come_back`, or until windows are asked for again."""

    def come_back(self) -> None:
        """Have there what windows are cut from; OutOfMemoryError where there is no room."""


class Mapped:
    """Files of the cache, mapped."""

    device = torch.device("cpu")

    def __init__(self, entries: Sequence[CacheEntry], length: int) -> None:
        self._frames = [_mapped(entry) for entry in entries]
        self._length = length

    def batches(self, items: Numbers, starts: Numbers, size: int) -> Iterator[Tensor]:
        """Yield windows, read as they are asked for."""
        windows = list(zip(items.tolist(), starts.tolist(), strict=True))
        for first in range(0, len(windows), size):
            chosen = windows[first : first + size]
            yield torch.stack([self._frames[item][start : start + self._length] for item, start in chosen])

    def rest(self) -> None:
        """Do nothing: the system takes what it needs."""

    def come_back(self) -> None:
        """Do nothing."""


class Resident:
    """All frames in one tensor on a device: windows are gathered there."""

    def __init__(self, entries: Sequence[CacheEntry], length: int, device: torch.device) -> None:
        self.device = device
        counts = torch.tensor([entry.frames for entry in entries])
        self._firsts = counts.cumsum(0) - counts
        self._within = torch.arange(length, device=device)
        n_mels = entries[0].n_mels
        self._frames = torch.empty(int(counts.sum()), 2, n_mels, dtype=torch.float16, device=device)
        for entry, first in zip(entries, self._firsts.tolist(), strict=True):
            self._frames[first : first + entry.frames].copy_(_mapped(entry))

    def batches(self, items: Numbers, starts: Numbers, size: int) -> Iterator[Tensor]:
        """Yield windows; the host sends where they begin once, for all of them."""
        self.come_back()
        firsts = (self._firsts[torch.from_numpy(items)] + torch.from_numpy(starts)).to(self.device)
        for first in range(0, len(firsts), size):
            yield self._frames[firsts[first : first + size, None] + self._within]

    def rest(self) -> None:
        """Keep the frames in the machine's memory meanwhile."""
        self._frames = self._frames.cpu()

    def come_back(self) -> None:
        """Bring the frames to the device."""
        self._frames = self._frames.to(self.device)


class SentAhead:
    """Windows of mapped files that are on their way to a GPU while those before them are learnt from."""

    def __init__(self, entries: Sequence[CacheEntry], length: int, device: torch.device) -> None:
        self.device = device
        self._mapped = Mapped(entries, length)
        self._stream = torch.cuda.Stream(device)

    def batches(self, items: Numbers, starts: Numbers, size: int) -> Iterator[Tensor]:
        """Yield windows, the next ones being cut and sent already."""
        cut = self._mapped.batches(items, starts, size)
        with ThreadPoolExecutor(1, "sending") as pool:
            ahead = pool.submit(self._sent, cut)
            while (sent := ahead.result()) is not None:
                ahead = pool.submit(self._sent, cut)
                now = torch.cuda.current_stream(self.device)
                now.wait_stream(self._stream)
                sent.record_stream(now)
                yield sent

    def rest(self) -> None:
        """Do nothing: what was sent is gone when it was learnt from."""

    def come_back(self) -> None:
        """Do nothing."""

    def _sent(self, cut: Iterator[Tensor]) -> Tensor | None:
        batch = next(cut, None)
        if batch is None:
            return None
        with torch.cuda.stream(self._stream):
            return batch.pin_memory().to(self.device, non_blocking=True)


def store_for(entries: Sequence[CacheEntry], length: int, device: torch.device) -> FrameStore:
    """Return the store that suits a device, for windows of `length` frames."""
    if device.type == "cpu":
        return Mapped(entries, length)
    needed = sum(2 * 2 * entry.n_mels * entry.frames for entry in entries)
    free, _ = torch.cuda.mem_get_info(device)
    fits = needed <= _MOST_OF_FREE_MEMORY * free
    return Resident(entries, length, device) if fits else SentAhead(entries, length, device)


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
