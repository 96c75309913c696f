"""Pictures of sound for a terminal: the least and greatest sample, and the level of each mel band, by columns of time.

The decision: a column that lasts a third of a second or less is looked at whole, a longer one in eight places, a window
of the analysis (43 ms) each, spread evenly over it. So a minute is exact on 180 columns, and an hour takes a few times
as long as a minute; MP3 and Vorbis, which can't be read from the middle, are decoded up to the last column all the
same. Nothing is resampled: the file's own rate is looked at through windows that last as long as the analysis'.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from distill_engine.audio.checks import decibels
from distill_engine.audio.io import read_header, read_stretches
from distill_engine.audio.mel_scale import mel_filters, mel_spaced
from distill_engine.errors import StopRequestedError
from distill_engine.training.config import ComplexSpectrogramConfig

Samples = npt.NDArray[np.float32]
ShouldStop = Callable[[], bool]

FLOOR_DB = -90.0
"""The least level of a mel picture, against a sine at full scale."""

LOOKS = 8
"""In how many places a column is looked at that is too long to be looked at whole."""

HIGHEST_HZ = ComplexSpectrogramConfig.sample_rate / 2
WINDOW_SECONDS = ComplexSpectrogramConfig.n_fft / ComplexSpectrogramConfig.sample_rate
HOP_SECONDS = ComplexSpectrogramConfig.hop_length / ComplexSpectrogramConfig.sample_rate

_SAMPLES_AT_ONCE = 1 << 17  # of overlapping windows, each of which is a copy: 2 MB of them
_TINY = 1e-30


@dataclass(frozen=True, kw_only=True, eq=False)
class WaveformPicture:
    """The shape of a sound: how far its samples swing in each column of time."""

    low: Samples
    """[columns]: the least sample of any channel, -1.0 at full scale, beyond it where a file goes there."""
    high: Samples
    """[columns]: the greatest."""
    start: float
    """Seconds into the recording at which the first column begins."""
    seconds: float
    """How long all columns last together."""
    peak_db: float
    """dBFS of the largest sample looked at."""
    rms_db: float
    """dBFS of the root mean square of all samples looked at."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MelPicture:
    """The spectrum of a sound: how loud each mel band is in each column of time."""

    decibels: Samples
    """[rows, columns]: mean power against a sine at full scale, in dB, not below FLOOR_DB; row 0 is the lowest band."""
    hertz: Samples
    """[rows]: where each band is highest, in Hz."""
    start: float
    """Seconds into the recording at which the first column begins."""
    seconds: float
    """How long all columns last together."""


def waveform_picture(
    path: Path,
    columns: int,
    *,
    start: float = 0.0,
    seconds: float | None = None,
    should_stop: ShouldStop = lambda: False,
) -> WaveformPicture:
    """Draw the recording from `start` seconds on, to its end or for so many `seconds`.

    Samples that aren't finite count as silence. `should_stop()` is asked every few milliseconds.

    Raises:
        RecordingError: the file can't be opened or decoded.
        StopRequestedError: it was asked to stop.
    """
    recording = _recording(path)
    return _waveform(recording, _edges(recording, columns, start, seconds), should_stop)


def mel_picture(
    path: Path,
    columns: int,
    rows: int,
    *,
    start: float = 0.0,
    seconds: float | None = None,
    should_stop: ShouldStop = lambda: False,
) -> MelPicture:
    """Draw the channels' mean, with `rows` bands from 0 Hz to 24 kHz: those of the analysis with as many of them.

    A column is the mean of windows a hop (11 ms) apart at most, but of no more than eight. Bands above half the
    recording's rate are at the floor. Otherwise as `waveform_picture`.
    """
    recording = _recording(path)
    return _mel(recording, _edges(recording, columns, start, seconds), rows, should_stop)


def pictures_of(samples: Samples, rate: int, columns: int, rows: int) -> tuple[WaveformPicture, MelPicture]:
    """Draw mono samples [n] at hand, at `rate` Hz, whole."""
    sound = _Sound(
        frames=len(samples),
        rate=rate,
        read=lambda stretches: (samples[start:stop, None] for start, stop in stretches),
    )
    edges = _edges(sound, columns, 0.0, None)
    return _waveform(sound, edges, lambda: False), _mel(sound, edges, rows, lambda: False)


def picture_of_spectrogram(log_magnitudes: Samples, seconds: float, columns: int, rows: int) -> MelPicture:
    """Draw a spectrogram at hand: the natural logarithms of its magnitudes, [n_mels, frames], over so many seconds.

    Columns are mean powers, rows sums over the bands they stand for; there are no more of either than it has.
    """
    bands, frames = log_magnitudes.shape
    rows, columns = min(rows, bands), min(columns, frames)
    if min(rows, columns) < 1:
        raise ValueError(f"a spectrogram of {bands} bands and {frames} frames can't be drawn on {columns} x {rows}")
    firsts = np.arange(columns) * frames // columns
    lengths = np.diff([*firsts, frames])
    power = np.add.reduceat(np.exp(2.0 * log_magnitudes), firsts, axis=1) / lengths
    lowest = np.arange(rows) * bands // rows
    power = np.add.reduceat(power, lowest, axis=0)
    hertz = np.add.reduceat(mel_spaced(bands + 2, HIGHEST_HZ)[1:-1], lowest) / np.diff([*lowest, bands])
    return MelPicture(
        decibels=np.maximum(10.0 * np.log10(np.maximum(power, _TINY)), FLOOR_DB).astype(np.float32),
        hertz=hertz.astype(np.float32),
        start=0.0,
        seconds=seconds,
    )


@dataclass(frozen=True, kw_only=True)
class _Sound:
    """Where samples come from."""

    frames: int
    rate: int
    read: Callable[[Iterable[tuple[int, int]]], Iterator[Samples]]
    """Of each stretch (first frame, frame to stop before) its samples [frames, channels], fewer at the end."""


def _recording(path: Path) -> _Sound:
    header = read_header(path)
    return _Sound(frames=header.frames, rate=header.sample_rate, read=lambda stretches: read_stretches(path, stretches))


def _edges(sound: _Sound, columns: int, start: float, seconds: float | None) -> list[int]:
    """Return the frames between which the columns lie, columns + 1 of them."""
    if columns < 1 or start < 0 or not (seconds is None or seconds > 0):
        raise ValueError(f"columns, start and seconds can't be {columns}, {start} and {seconds}")
    first = min(round(start * sound.rate), sound.frames)
    length = sound.frames - first if seconds is None else min(round(seconds * sound.rate), sound.frames - first)
    return [first + column * length // columns for column in range(columns + 1)]


def _waveform(sound: _Sound, edges: Sequence[int], should_stop: ShouldStop) -> WaveformPicture:
    low, high = np.full((2, len(edges) - 1), np.inf, np.float32) * np.array([[1], [-1]], np.float32)
    squares, count = 0.0, 0
    looks = list(_looks(edges, _window_length(sound.rate)))
    for (column, _), read in zip(looks, sound.read(stretch for _, stretch in looks), strict=True):
        _heed(should_stop)
        if read.size:
            samples = _finite(read)
            low[column] = min(low[column], samples.min())
            high[column] = max(high[column], samples.max())
            squares += float(np.square(samples, dtype=np.float64).sum())
            count += samples.size
    low, high = _finite(low), _finite(high)  # nothing was read of a column behind the end
    return WaveformPicture(
        low=low,
        high=high,
        start=edges[0] / sound.rate,
        seconds=(edges[-1] - edges[0]) / sound.rate,
        peak_db=decibels(float(max(-low.min(), high.max()))),
        rms_db=decibels(math.sqrt(squares / max(count, 1))),
    )


def _looks(edges: Sequence[int], window: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield where each column is looked at, in order: its number, and the first frame and that to stop before."""
    for column, (first, stop) in enumerate(itertools.pairwise(edges)):
        if stop - first <= LOOKS * window:
            yield column, (first, max(stop, first + 1))
            continue
        for middle in _middles(first, stop, LOOKS):
            yield column, (middle - window // 2, middle - window // 2 + window)


def _mel(sound: _Sound, edges: Sequence[int], rows: int, should_stop: ShouldStop) -> MelPicture:
    if rows < 1:
        raise ValueError(f"a mel picture can't have {rows} rows")
    tools = _tools(sound.rate, rows)
    columns = len(edges) - 1
    looks = _windows_in_a_column((edges[-1] - edges[0]) / columns / sound.rate)
    middles = [middle for first, stop in itertools.pairwise(edges) for middle in _middles(first, stop, looks)]
    firsts = np.array(middles) - tools.length // 2
    groups = _read_together(firsts, tools.length)
    stretches = ((max(int(group[0]), 0), int(group[-1]) + tools.length) for group in groups)
    powers = []
    for group, read in zip(groups, sound.read(stretches), strict=True):
        _heed(should_stop)
        powers.append(tools.powers(_windows(_finite(read).mean(axis=1), group, tools.length)))
    mean = np.concatenate(powers).reshape(columns, looks, rows).mean(axis=1)
    return MelPicture(
        decibels=np.maximum(10.0 * np.log10(np.maximum(mean, _TINY)), FLOOR_DB).T.astype(np.float32),
        hertz=mel_spaced(rows + 2, HIGHEST_HZ)[1:-1].astype(np.float32),
        start=edges[0] / sound.rate,
        seconds=(edges[-1] - edges[0]) / sound.rate,
    )


def _windows_in_a_column(seconds: float) -> int:
    return min(max(math.ceil(seconds / HOP_SECONDS - 1e-6), 1), LOOKS)


def _middles(first: int, stop: int, count: int) -> list[int]:
    """Return the middles of `count` equal parts."""
    return [first + (2 * part + 1) * (stop - first) // (2 * count) for part in range(count)]


def _read_together(firsts: npt.NDArray[np.int64], length: int) -> list[npt.NDArray[np.int64]]:
    """Return the first frames of windows in groups: those that touch, as far as they are read at once."""
    most = max(_SAMPLES_AT_ONCE // length, 1)
    touching = np.split(firsts, np.flatnonzero(np.diff(firsts) > length) + 1)
    return [group[at : at + most] for group in touching for at in range(0, len(group), most)]


def _windows(mono: Samples, firsts: npt.NDArray[np.int64], length: int) -> Samples:
    """Return the windows [len(firsts), length] of samples read from the first of them on; outside lies silence."""
    padded = np.zeros(int(firsts[-1] - firsts[0]) + length, np.float32)
    before = max(-int(firsts[0]), 0)
    padded[before : before + len(mono)] = mono
    windows: Samples = np.lib.stride_tricks.sliding_window_view(padded, length)[firsts - firsts[0]]
    return windows


@dataclass(frozen=True, kw_only=True)
class _Tools:
    length: int
    """Samples of a window."""
    transformed: int
    """Samples of a transform: a power of two, the rest of it silence."""
    window: Samples
    """[length]: periodic Hann, scaled so that a sine at full scale has a power of 1 over all bins."""
    filters: Samples
    """[bins up to 24 kHz, rows]"""

    def powers(self, windows: Samples) -> Samples:
        """Return the power of windows [n, length] by band [n, rows]."""
        spectrum = np.fft.rfft(windows * self.window, n=self.transformed)[:, : len(self.filters)]
        powers: Samples = (np.square(spectrum.real) + np.square(spectrum.imag)) @ self.filters
        return powers


def _tools(rate: int, rows: int) -> _Tools:
    length = _window_length(rate)
    transformed = 1 << (length - 1).bit_length()
    window = 0.5 - 0.5 * np.cos(2 * math.pi * np.arange(length) / length)
    # By Parseval, a sine of amplitude 1 has this power over the bins of positive frequency.
    sine = transformed * np.square(window).sum() / 4
    bins = min(transformed // 2, math.floor(HIGHEST_HZ * transformed / rate)) + 1
    return _Tools(
        length=length,
        transformed=transformed,
        window=(window / math.sqrt(sine)).astype(np.float32),
        filters=mel_filters(rows, bins, rate / transformed, HIGHEST_HZ).T.astype(np.float32),
    )


def _window_length(rate: int) -> int:
    return max(round(WINDOW_SECONDS * rate), 2)


def _finite(samples: Samples) -> Samples:
    return np.where(np.isfinite(samples), samples, np.float32(0.0))


def _heed(should_stop: ShouldStop) -> None:
    if should_stop():
        raise StopRequestedError
