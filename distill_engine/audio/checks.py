"""Look at one recording whole: decode every sample, and say whether it can be trained on and what is odd about it.

The verdict depends on the file's content alone, so it may be kept. What only a comparison with other recordings can
tell (duplicates, an odd rate) isn't decided here.
"""

from __future__ import annotations

import codecs
import hashlib
import math
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distill_engine.audio import containers
from distill_engine.audio.io import open_sound, tidy_reason
from distill_engine.audio.tags import SoundTags, tags_in
from distill_engine.errors import StopRequestedError
from distill_engine.small_files import written_stretches
from distill_engine.words import counted, duration, shown, size

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import soundfile

CHECKS_VERSION = 2
"""Raised with every change to what is checked or said here: verdicts of other versions aren't believed."""

MIN_SAMPLES = 2_048
"""Samples at 48 kHz a recording must have: one window of the analysis."""
MODEL_RATE = 48_000
RATES = (4_000, 768_000)
"""Hz, the least and the greatest rate that is taken for meant."""
SILENT_DB = -80.0
"""dBFS: a recording that moves by less about its middle holds nothing to learn but its noise floor."""
LOUD_DB = 12.0
"""dBFS of the peak of a float recording above which it was probably saved without scaling."""
ABSURD_DB = 120.0
"""dBFS of the peak above which squares of the spectrum overflow."""
LOWEST_DB = -200.0
"""dBFS, what stands for no sound at all, so that every level is a finite number."""
_DC_OFFSET = 0.01  # of full scale, and at least a fifth of the recording's own RMS
_MOST_UNWRITTEN = 1 << 30  # bytes: holes of an honest recording are pauses
_MAGICS = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS", b"ID3")
_DIGEST_BLOCK = 1 << 20
_DECODE_SAMPLES = 1 << 19  # of all channels: a block decodes in a few ms, and a stop is asked for between two


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was found out about one recording."""

    frames: int = 0
    """Samples decoded, a channel."""
    sample_rate: int = 0
    """Hz; 0 where it couldn't be opened."""
    channels: int = 0
    format: str = ""
    """libsndfile's names of container and encoding, such as "WAV FLOAT"; "" where it couldn't be opened."""
    digest: str = ""
    """BLAKE2b of the file's bytes, 32 hex digits; "" where it couldn't be opened."""
    peak_db: float = LOWEST_DB
    """dBFS of the largest sample."""
    rms_db: float = LOWEST_DB
    """dBFS of the root mean square over all samples and channels."""
    generated: str = ""
    """What the model is called that made it, as its tags say; "" for a recording."""
    problem: str = ""
    """Why it can't be used, or ""."""
    warnings: tuple[str, ...] = ()
    """What is odd about it, though it is used."""


def check_recording(path: Path, should_stop: Callable[[], bool] = lambda: False) -> Verdict:
    """Read and decode the whole file and judge it; memory doesn't grow with its length.

    Whatever is wrong with the file is the verdict's `problem`; only StopRequestedError is raised, within a block.
    """
    import soundfile  # noqa: PLC0415

    try:
        if problem := _special_kind(path) or _unwritten(path) or containers.missing_from(path):
            return Verdict(problem=problem)
        with open_sound(path) as file:
            return _judge(file, digest_of(path, should_stop), should_stop)
    except OSError as error:
        return Verdict(problem=f"unreadable: {tidy_reason(error)}")
    except MemoryError:
        return Verdict(problem="unreadable: it asks for more memory than there is")
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        return Verdict(problem=f"unreadable: {_evident_content(path) or tidy_reason(error)}")


def _special_kind(path: Path) -> str:
    """Say what the path is where it is no ordinary file: opening a pipe would wait for ever."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return ""
    if stat.S_ISDIR(mode):
        return "a folder, not a recording"
    kinds = {stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
    return f"a {kinds.get(stat.S_IFMT(mode), 'special file')}, not a recording"


def _unwritten(path: Path) -> str:
    """Say so where most of a file was never written to the disk: to read a terabyte of nothing would take hours."""
    with path.open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        if length <= _MOST_UNWRITTEN:
            return ""
        unwritten = length - sum(stop - start for start, stop in written_stretches(file.fileno()))
    if unwritten <= _MOST_UNWRITTEN:
        return ""
    return f"{size(unwritten)} of its {size(length)} were never written to the disk"


def _evident_content(path: Path) -> str:
    """Say in plain words what a file is that libsndfile only calls "not recognised"; "" where that isn't plain."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return ""
    if not head:
        return "the file is empty"
    if not head.strip(b"\0"):
        return "it begins with nothing but zeros, as an unfinished copy does"
    if head.startswith(_MAGICS):
        return "it ends within its header" if len(head) < 44 else ""
    if head[4:8] == b"ftyp":
        return "it is an MP4 or M4A file under another name; convert it to WAV or FLAC"
    return "it holds text, not sound" if _is_text(head) else ""


def _is_text(head: bytes) -> bool:
    """Say whether these bytes may be the beginning of a text, in UTF-8."""
    if head.translate(None, bytes(range(32, 256)) + b"\t\n\r\f"):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # a letter may be cut at the end
    except UnicodeDecodeError:
        return False
    return True


def digest_of(path: Path, should_stop: Callable[[], bool] = lambda: False) -> str:
    """Return a verdict's `digest`; raises OSError, and StopRequestedError between blocks."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_DIGEST_BLOCK):
            _heed(should_stop)
            digest.update(block)
    return digest.hexdigest()


def _heed(should_stop: Callable[[], bool]) -> None:
    if should_stop():
        raise StopRequestedError


def _judge(file: soundfile.SoundFile, digest: str, should_stop: Callable[[], bool]) -> Verdict:
    import soundfile  # noqa: PLC0415

    levels = _Levels(full_scale=_full_scale(file.subtype), channels=file.channels)
    damage = ""
    try:
        _measure(file, levels, should_stop)
    except soundfile.SoundFileError as error:
        damage = tidy_reason(error)
    tags = tags_in(file.comment)
    return Verdict(
        frames=levels.frames,
        sample_rate=file.samplerate,
        channels=file.channels,
        format=f"{file.format} {file.subtype}",
        digest=digest,
        peak_db=decibels(levels.peak),
        rms_db=decibels(levels.rms),
        generated=tags.model or "a model without a name" if tags else "",
        problem=_problem(file, levels, damage),
        warnings=(*_origin(tags), *_warnings(levels)),
    )


def _measure(file: soundfile.SoundFile, levels: _Levels, should_stop: Callable[[], bool]) -> None:
    length = max(1, _DECODE_SAMPLES // file.channels)
    while not levels.not_finite:
        _heed(should_stop)
        block = file.read(length, dtype="float32", always_2d=True)
        if not len(block):
            return
        levels.add(block)


def _problem(file: soundfile.SoundFile, levels: _Levels, damage: str) -> str:
    low, high = RATES
    if not low <= file.samplerate <= high:
        return f"its header gives a rate of {file.samplerate:,} Hz, which is no recording's"
    if levels.not_finite:
        return "it holds samples that aren't finite numbers (NaN or infinity)"
    # MP3 headers only estimate, and an encoder's delay is cut from some and not from others.
    short = file.frames - levels.frames > (0.05 * file.frames + 4608 if file.format == "MP3" else 0)
    if damage or short:
        return f"truncated or damaged: {_what_is_left(file, levels, damage)}"
    return _emptiness(file, levels)


def _what_is_left(file: soundfile.SoundFile, levels: _Levels, damage: str) -> str:
    whole = duration(file.frames / file.samplerate)
    if damage:  # the block it happened in is lost, so how far the decoder came isn't known
        return f"not all of its {whole} can be decoded ({damage})"
    return f"only {duration(levels.frames / file.samplerate)} of its {whole} can be decoded"


def _emptiness(file: soundfile.SoundFile, levels: _Levels) -> str:
    if levels.frames == 0:
        return "it holds no sound: its length is 0"
    if levels.frames * MODEL_RATE < MIN_SAMPLES * file.samplerate:
        length = 1000 * levels.frames / file.samplerate
        return f"too short: {length:.1f} ms, and {1000 * MIN_SAMPLES / MODEL_RATE:.1f} ms are needed"
    if levels.swing == 0.0:
        return "silent: every sample has the same value"
    if decibels(levels.swing) < SILENT_DB:
        return f"silent: it never moves by more than {decibels(levels.swing):.0f} dBFS"
    if decibels(levels.peak) > ABSURD_DB:
        return f"its peak is {decibels(levels.peak):+.0f} dBFS, which is no recording's"
    return ""


def _origin(tags: SoundTags | None) -> tuple[str, ...]:
    """Say of a sound that it is no recording."""
    return (f"generated by the model {shown(tags.model)}: trained on, never kept for validation",) if tags else ()


def _warnings(levels: _Levels) -> tuple[str, ...]:
    found = []
    if levels.clipped:
        found.append(f"clipped: it stays at full scale in {counted(levels.clipped, 'place')}")
    offset = max(levels.means, key=abs, default=0.0)
    if abs(offset) > max(_DC_OFFSET, 0.2 * levels.rms):
        found.append(f"DC offset: its mean is {100 * offset:+.1f} % of full scale")
    if decibels(levels.peak) > LOUD_DB:
        found.append(f"far above full scale: its peak is {decibels(levels.peak):+.0f} dBFS, saved without scaling?")
    return tuple(found)


def decibels(amplitude: float) -> float:
    """Return an amplitude in dBFS (1.0 is 0 dB), not below LOWEST_DB."""
    return max(LOWEST_DB, 20.0 * math.log10(amplitude)) if amplitude > 0 else LOWEST_DB


def _full_scale(subtype: str) -> float:
    """Return what counts as full scale: the largest value of 8 or 16 bits, since more are often only filled up."""
    bits = 8 if subtype in {"PCM_S8", "PCM_U8"} else 16
    return 1.0 - 1.01 * 2.0 ** (1 - bits)


class _Levels:
    """What one pass over the samples finds out, a block at a time."""

    def __init__(self, *, full_scale: float, channels: int) -> None:
        import numpy as np  # noqa: PLC0415

        self.frames = 0
        self.clipped = 0
        self.not_finite = False
        self._full_scale = np.float32(full_scale)
        self._lowest = np.full(channels, np.inf)
        self._highest = np.full(channels, -np.inf)
        self._sums = np.zeros(channels)
        self._square = 0.0
        self._at_full_scale = np.zeros((3, channels), dtype=bool)

    def add(self, block: npt.NDArray[np.float32]) -> None:
        """Take in a block [frames, channels]."""
        import numpy as np  # noqa: PLC0415

        rows = np.ascontiguousarray(block.T)  # along rows the reductions are some ten times faster than down columns
        lowest, highest = rows.min(axis=1), rows.max(axis=1)
        if not (np.isfinite(lowest).all() and np.isfinite(highest).all()):  # both are NaN where any sample is
            self.not_finite = True
            return
        self.frames += len(block)
        self._lowest = np.minimum(self._lowest, lowest)
        self._highest = np.maximum(self._highest, highest)
        self._sums += rows.sum(axis=1, dtype=np.float64)
        self._square += float(np.square(rows, dtype=np.float64).sum())
        self._count_clipped(block)

    def _count_clipped(self, block: npt.NDArray[np.float32]) -> None:
        """Count starts of three and more samples in a row at full scale, in any channel and across blocks.

        One or two are where a wave was normalised to touch full scale; three in a row are cut off.
        """
        import numpy as np  # noqa: PLC0415

        if self.peak < self._full_scale:
            return
        marks = np.concatenate([self._at_full_scale, np.abs(block) >= self._full_scale])
        self._at_full_scale = marks[-3:]
        three = marks[:-2] & marks[1:-1] & marks[2:]
        self.clipped += int((three[1:] & ~three[:-1]).sum())

    @property
    def peak(self) -> float:
        """The largest magnitude so far."""
        return max(float(self._highest.max()), -float(self._lowest.min())) if self.frames else 0.0

    @property
    def swing(self) -> float:
        """Half of the way from the lowest to the highest sample, in the channel where that is longest."""
        return float((self._highest - self._lowest).max()) / 2 if self.frames else 0.0

    @property
    def rms(self) -> float:
        """Root mean square over all samples and channels."""
        return math.sqrt(self._square / max(1, self.frames * len(self._sums)))

    @property
    def means(self) -> list[float]:
        """Mean of each channel."""
        return [float(value) / max(1, self.frames) for value in self._sums]
