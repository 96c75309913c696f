"""The spectrogram cache on disk: names, one file a recording and setting, what it holds, and clearing it.

The decision: a file is a safetensors file with a header of fixed size. The size lets it be written in one pass while
its length isn't known yet, the layout lets anybody open it, and a window of frames is one contiguous read. A file's
name is the digest of all it was made from, so a name that exists is right, whoever wrote it; torch isn't needed here.

Tensors: `spectrogram` F16 [frames, 2, n_mels], raw; `sums` F32 [frames, 2], each frame's sum and sum of squares of the
magnitudes above the floor; `active` I32 [runs, 2], first frame and frame after the last of each stretch with sound.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_engine import atomic
from distill_engine.errors import DistillError
from distill_engine.small_files import UNREADABLE, opened

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

HEADER_BYTES = 2048
SPECTROGRAMS = "spectrograms"
CORPORA = "corpora"
_SUFFIX = ".safetensors"
_KEY_CHARACTERS = 40

Runs = tuple[tuple[int, int], ...]
"""Stretches of frames: the first, and the one after the last."""


@dataclass(frozen=True, kw_only=True)
class CacheSummary:
    """How much the cache holds, or how much was removed from it."""

    files: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class CacheEntry:
    """One file of the cache, found whole: its size is what its header says."""

    path: Path
    frames: int
    n_mels: int
    active: Runs
    """Stretches with sound, each long enough for a training piece, apart and in order."""


def content_key(parts: Mapping[str, Any]) -> str:
    """Return the name for what is made from `parts`: equal parts, after a trip through JSON too, give equal names."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=_KEY_CHARACTERS // 2).hexdigest()


def spectrogram_path(cache: Path, key: str) -> Path:
    """Return where the spectrogram of this key lies or will lie."""
    return cache / SPECTROGRAMS / f"{key}{_SUFFIX}"


def corpus_path(cache: Path, key: str, name: str) -> Path:
    """Return where the index or the statistics (`name`) of a corpus lie or will lie."""
    return cache / CORPORA / f"{key}.{name}.json"


def header(key: str, *, frames: int, n_mels: int, runs: int) -> bytes:
    """Return the `HEADER_BYTES` that start a file of these sizes."""
    tensors = {"__metadata__": {"format": "distill-spectrogram", "key": key}}
    end = 0
    for name, (dtype, shape, size) in _layout(frames, n_mels, runs).items():
        tensors[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}  # type: ignore[dict-item]
        end += size
    text = json.dumps(tensors, separators=(",", ":")).encode().ljust(HEADER_BYTES - 8)
    assert len(text) == HEADER_BYTES - 8
    return len(text).to_bytes(8, "little") + text


def find_entry(cache: Path, key: str) -> CacheEntry | None:
    """Return the entry of this key; None where there is no such file, or it is cut short or otherwise damaged."""
    path = spectrogram_path(cache, key)
    try:
        with os.fdopen(opened(path), "rb") as file:
            return _read_entry(path, key, file.read(HEADER_BYTES), os.fstat(file.fileno()))
    except (OSError, *UNREADABLE, KeyError, TypeError):
        return None


def read_sums(entry: CacheEntry) -> npt.NDArray[np.float32]:
    """Return [frames, 2]: each frame's sum and sum of squares, over its bands, of the magnitude above the floor."""
    import numpy as np  # noqa: PLC0415

    start = HEADER_BYTES + _layout(entry.frames, entry.n_mels, 0)["spectrogram"][2]
    try:
        return np.fromfile(entry.path, np.float32, entry.frames * 2, offset=start).reshape(-1, 2)
    except OSError as error:
        raise vanished(entry) from error


def vanished(entry: CacheEntry) -> DistillError:
    """Return the error for an entry that was there a moment ago."""
    return DistillError(
        f"the spectrogram {entry.path.name} has vanished from the cache",
        "was the cache cleared meanwhile? Start again: what is missing is made anew",
    )


def cache_summary(cache: Path) -> CacheSummary:
    """Return how many files the spectrogram cache in this folder has, and how many bytes they take."""
    sizes = [size for path in _own_files(cache) if (size := _size(path)) is not None]
    return CacheSummary(files=len(sizes), bytes=sum(sizes))


def clear_cache(cache: Path) -> CacheSummary:
    """Remove the spectrogram cache's files, and nothing else; return what went.

    A process that has a file mapped keeps it, and one that is writing a file can finish it: only temporary files that
    nobody has touched for an hour go too. The folders stay, since another process may be about to write there.
    """
    removed = [size for path in _own_files(cache) if (size := _remove(path)) is not None]
    remove_abandoned(cache)
    return CacheSummary(files=len(removed), bytes=sum(removed))


def remove_abandoned(cache: Path) -> None:
    """Remove the temporary files that killed processes left behind."""
    for folder in (cache / SPECTROGRAMS, cache / CORPORA):
        atomic.remove_abandoned(folder)


def _layout(frames: int, n_mels: int, runs: int) -> dict[str, tuple[str, list[int], int]]:
    """Return type, shape and bytes of each tensor, in the order of the file."""
    return {
        "spectrogram": ("F16", [frames, 2, n_mels], frames * 2 * n_mels * 2),
        "sums": ("F32", [frames, 2], frames * 2 * 4),
        "active": ("I32", [runs, 2], runs * 2 * 4),
    }


def _read_entry(path: Path, key: str, start: bytes, status: os.stat_result) -> CacheEntry | None:
    described = json.loads(start[8:])
    frames, _, n_mels = described["spectrogram"]["shape"]
    runs, _ = described["active"]["shape"]
    if not all(isinstance(count, int) and 0 < count < 1 << 40 for count in (frames, n_mels, runs)):
        return None
    sizes = [size for _, _, size in _layout(frames, n_mels, runs).values()]
    whole = start == header(key, frames=frames, n_mels=n_mels, runs=runs)
    if not whole or status.st_size != HEADER_BYTES + sum(sizes):
        return None
    entry = CacheEntry(
        path=path, frames=frames, n_mels=n_mels, active=_read_runs(path, HEADER_BYTES + sum(sizes[:2]), frames)
    )
    return entry if _can_be_sums(read_sums(entry)) else None


def _can_be_sums(sums: npt.NDArray[np.float32]) -> bool:
    """Tell whether these may be sums and sums of squares: a statistic of a whole corpus is made of them."""
    import numpy as np  # noqa: PLC0415

    return bool(np.isfinite(sums).all() and (sums[:, 1] >= 0).all())


def _read_runs(path: Path, offset: int, frames: int) -> Runs:
    import numpy as np  # noqa: PLC0415

    runs = np.fromfile(path, np.int32, offset=offset).reshape(-1, 2).tolist()
    if not runs or not all(0 <= start < stop <= frames for start, stop in runs):
        raise ValueError(f"{path} has no stretches of sound within its {frames} frames")
    return tuple((start, stop) for start, stop in runs)


def _own_files(cache: Path) -> Iterator[Path]:
    """Yield the files that this module's names lead to, and no temporary one."""
    for folder, suffix in ((SPECTROGRAMS, _SUFFIX), (CORPORA, ".json")):
        for path in sorted((cache / folder).glob(f"*{suffix}")):
            name = path.name.partition(".")[0]
            if len(name) == _KEY_CHARACTERS and not set(name) - set("0123456789abcdef"):
                yield path


def _remove(path: Path) -> int | None:
    size = _size(path)
    if size is not None:
        path.unlink(missing_ok=True)
    return size


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
