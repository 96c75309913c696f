"""Recordings made for tests: steady noise with a tone in it, and what may be wrong with a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from distill_engine.audio.io import write_recording

Samples = npt.NDArray[np.float32]


def sound(frames: int = 12_000, channels: int = 1, seed: int = 0) -> Samples:
    """Return [frames, channels] of a tone in noise, peaking below 0.6."""
    noise = np.random.default_rng(seed).uniform(-0.2, 0.2, (frames, channels))
    tone: Samples = np.sin(0.05 * np.arange(frames))[:, None].astype(np.float32)
    return noise.astype(np.float32) + np.float32(0.3) * tone


def good(path: Path, seed: int = 0, frames: int = 12_000, rate: int = 48_000) -> Path:
    """Write a recording that nothing is wrong with, in the format of the path's suffix."""
    write_recording(path, sound(frames, seed=seed), rate)
    return path


def cut(path: Path, share: float = 0.6) -> Path:
    """Cut the end off a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def wav_bytes(frames: Samples, *, riff_size: int | None = None, data_size: int | None = None) -> bytes:
    """Return a 16-bit WAV at 48 kHz put together by hand, with sizes that may be told wrongly."""
    data = np.round(frames * 32767).astype("<i2").tobytes()
    channels = frames.shape[1]
    layout = b"".join(
        value.to_bytes(size, "little")
        for value, size in ((1, 2), (channels, 2), (48_000, 4), (96_000 * channels, 4), (2 * channels, 2), (16, 2))
    )
    chunks = b"fmt " + (16).to_bytes(4, "little") + layout
    chunks += b"data" + (len(data) if data_size is None else data_size).to_bytes(4, "little") + data
    return b"RIFF" + (4 + len(chunks) if riff_size is None else riff_size).to_bytes(4, "little") + b"WAVE" + chunks
