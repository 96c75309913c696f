"""Read and write recordings through soundfile: blockwise, so that an hour takes no more memory than a minute.

soundfile and numpy are imported on use, because commands that only list files must start at once. What a file holds
is told by its content; its suffix only says whether it is worth opening.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_engine import atomic
from distill_engine.errors import DistillError
from distill_engine.words import counted, shown

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import soundfile

    from distill_engine.audio.tags import SoundTags

RECORDING_SUFFIXES = frozenset({".wav", ".wave", ".aif", ".aiff", ".aifc", ".flac", ".ogg", ".oga", ".opus", ".mp3"})
_BLOCK_SAMPLES = 1 << 22  # of all channels together: 16 MiB, whatever a header says of channels and rate
# MP3 of low or varying bit rate, and Vorbis from the second seek on: samples were seen to be wrong by 0.4 to 0.9.
_WRONG_AFTER_A_SEEK = ("MPEG", "VORBIS")
_CUT_SECONDS = 1.0
# What libsndfile says to programmers, or of something else than the file in question.
_PLAINER = {
    "internal error : SF_INFO struct incomplete": "its header gives no rate, or no number of channels",
    "file does not exist or is not a regular file (possibly a pipe?)": "its decoder finds no sound in it",
    "unspecified internal error": "its decoder can't make sense of it",
    "unknown error in flac decoder": "its decoder can't make sense of it",
    "internal psf_fseek() failed": "its decoder loses its way",
    "embedding not supported for this file format": "something stands before its sound, such as a tag",
}
_RIFF_BYTES, _CHUNK_BYTES = 12, 8
_PEAK_TIME_OFFSET = 12  # after the chunk's name, size and version
_WRITE_FRAMES = 1 << 14  # libsndfile crashes the process on one long Ogg write (60 s)
_WRITABLE = {"wav": "FLOAT", "flac": "PCM_24", "ogg": "VORBIS", "mp3": "MPEG_LAYER_III"}
WRITABLE_FORMATS = tuple(_WRITABLE)
_MOST_CHANNELS = {"wav": 1024, "flac": 8, "ogg": 255, "mp3": 2}
_FLOAT_SUBTYPES = frozenset({"FLOAT", "DOUBLE"})
_SYSTEM_REFUSED = 2  # libsndfile's SF_ERR_SYSTEM
_MORE_THAN_A_BLOCK_OF_A_DISK = 1 << 17


class RecordingError(DistillError):
    """A recording that can't be read or written."""


@dataclass(frozen=True, kw_only=True)
class RecordingHeader:
    """What a recording says of itself."""

    frames: int
    """Samples in a channel; for MP3 what its header or its length in bytes suggests."""
    sample_rate: int
    """Hz."""
    channels: int
    format: str
    """libsndfile's name of the container, such as WAV, WAVEX, AIFF, FLAC, OGG or MP3."""
    subtype: str
    """libsndfile's name of the encoding, such as PCM_16, FLOAT, VORBIS or OPUS."""


def looks_like_recording(path: Path) -> bool:
    """Say whether the name's suffix is one of a recording; the file isn't touched."""
    return path.suffix.lower() in RECORDING_SUFFIXES


def read_header(path: Path) -> RecordingHeader:
    """Return what the file's header says; RecordingError where it can't be opened."""
    with _opened(path) as file:
        return _header(file)


def read_blocks(path: Path, seconds: float = 30.0, start_frame: int = 0) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the recording from `start_frame` on as blocks [frames, channels] float32, one after the other.

    A block lasts `seconds`, or less where it would exceed 16 MiB; put together, blocks of any length are the same. Full
    scale is 1.0, and float or lossy files may go beyond. A start at or past the end yields nothing. What comes before
    it is decoded too where a format needs that. RecordingError where the file can't be opened or decoded.
    """
    if start_frame < 0 or not seconds > 0:
        raise ValueError(f"start_frame must be 0 or more and seconds above 0, not {start_frame} and {seconds}")
    with _opened(path) as file:
        if start_frame and _only_forwards(file):
            yield from _from(start_frame, _blocks(path, file, seconds, 0))
        else:
            yield from _blocks(path, file, seconds, start_frame)


def read_stretches(path: Path, stretches: Iterable[tuple[int, int]]) -> Iterator[npt.NDArray[np.float32]]:
    """Yield of each stretch (its first frame, 0 or more, and that to stop before) the samples [frames, channels].

    Stretches come in the order of their beginnings. Of each there are fewer frames where the recording ends sooner, and
    no more than 16 MiB of them. RecordingError where the file can't be opened or decoded.
    """
    with _opened(path) as file:
        if _only_forwards(file):
            yield from _cut(_blocks(path, file, _CUT_SECONDS, 0), file.channels, stretches)
            return
        for start, stop in stretches:
            yield _stretch(path, file, start, stop)


def _only_forwards(file: soundfile.SoundFile) -> bool:
    """Say whether a place in it is only reached by decoding what is before."""
    return file.subtype.startswith(_WRONG_AFTER_A_SEEK) or not file.seekable()


def _from(start: int, blocks: Iterable[npt.NDArray[np.float32]]) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the blocks without their first `start` frames."""
    for block in blocks:
        if start < len(block):
            yield block[start:]
        start = max(0, start - len(block))


def write_recording(
    path: Path,
    samples: npt.NDArray[Any],
    sample_rate: int,
    format: str = "",  # noqa: A002 - the word the command line has for it
    subtype: str = "",
    tags: SoundTags | None = None,
) -> int:
    """Write samples [n] or [n, channels] whole or not at all; return how many were held at full scale.

    `format` is wav, flac, ogg or mp3, by default what the path's suffix says (wav where it has none); `subtype` is one
    of libsndfile's names, by default float for wav, 24 bits for flac, Vorbis for ogg; `tags` say how a sound that is no
    recording was made. Float files keep every value. All
    others know nothing beyond full scale (1.0): there a sample beyond is held at it, the level of the rest isn't
    changed, and no value wraps around. RecordingError for another format, a rate or number of channels the format
    hasn't got, samples that aren't finite, and a place that can't be written.
    """
    import numpy as np  # noqa: PLC0415

    chosen, encoding = _chosen_format(path, format, subtype)
    frames = samples[:, None] if samples.ndim == 1 else samples
    if frames.ndim != 2:
        raise ValueError(f"samples must be [n] or [n, channels], not {list(samples.shape)}")
    if not np.isfinite(frames).all():
        raise RecordingError(f"{shown(str(path))} wasn't written: its samples aren't all finite numbers")
    _check_format(path, chosen, encoding, sample_rate, frames.shape[1])
    return _write_whole(path, frames, sample_rate, chosen, encoding, tags)


def tidy_reason(error: Exception) -> str:
    """Return what libsndfile or the system said as a clause without file names and punctuation around it."""
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    words = str(getattr(error, "error_string", error)).strip().rstrip(".!")
    words = re.sub(r"^Error\s*(in \w+ file\.|:)\s*", "", words)
    if words == "System error":  # all that libsndfile keeps of the system's answer
        return "the system refused to read or write; the disk may be full"
    lowered = words if words[1:2].isupper() else words[:1].lower() + words[1:]
    return _PLAINER.get(lowered) or shown(lowered) or "libsndfile can't decode it"


def open_sound(path: Path) -> soundfile.SoundFile:
    """Open for reading, telling the format by content; raises OSError or soundfile.SoundFileError."""
    import soundfile  # noqa: PLC0415

    # As bytes: soundfile encodes a str strictly, and fails on a name that isn't UTF-8.
    return soundfile.SoundFile(os.fsencode(path))


def _opened(path: Path) -> soundfile.SoundFile:
    import soundfile  # noqa: PLC0415

    try:
        with path.open("rb"):
            pass  # libsndfile says "System error" for whatever the system answers
        return open_sound(path)
    except (OSError, soundfile.SoundFileError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> RecordingError:
    return RecordingError(
        f"{shown(str(path))} can't be read as a recording: {tidy_reason(error)}",
        "Distill reads WAV, AIFF, FLAC, Ogg Vorbis, Opus and MP3",
    )


def _header(file: soundfile.SoundFile) -> RecordingHeader:
    return RecordingHeader(
        frames=file.frames,
        sample_rate=file.samplerate,
        channels=file.channels,
        format=file.format,
        subtype=file.subtype,
    )


def _blocks(path: Path, file: soundfile.SoundFile, seconds: float, start: int) -> Iterator[npt.NDArray[np.float32]]:
    import soundfile  # noqa: PLC0415

    length = max(1, min(math.ceil(seconds * file.samplerate), _BLOCK_SAMPLES // file.channels))
    if start >= file.frames:
        return
    try:
        if start:  # some encodings know no way back, not even to where they are
            file.seek(start)
        while len(block := file.read(length, dtype="float32", always_2d=True)):
            yield block
    except soundfile.SoundFileError as error:
        raise _unreadable(path, error) from error


def _stretch(path: Path, file: soundfile.SoundFile, start: int, stop: int) -> npt.NDArray[np.float32]:
    import soundfile  # noqa: PLC0415

    start = min(start, file.frames)
    length = max(0, min(stop - start, _BLOCK_SAMPLES // file.channels))
    try:
        if file.tell() != start:
            file.seek(start)
        samples: npt.NDArray[np.float32] = file.read(length, dtype="float32", always_2d=True)
        return samples
    except soundfile.SoundFileError as error:
        raise _unreadable(path, error) from error


def _cut(
    blocks: Iterator[npt.NDArray[np.float32]], channels: int, stretches: Iterable[tuple[int, int]]
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the stretches of a recording read through, as `_stretch` would have them."""
    import numpy as np  # noqa: PLC0415

    held, first = np.zeros((0, channels), np.float32), 0
    for start, wanted in stretches:
        stop = min(wanted, start + _BLOCK_SAMPLES // channels)
        while first + len(held) < stop and (block := next(blocks, None)) is not None:
            passed = min(max(start - first, 0), len(held))
            held, first = np.concatenate((held[passed:], block)), first + passed
        yield held[max(start - first, 0) : max(stop - first, 0)]


def _chosen_format(path: Path, name: str, subtype: str) -> tuple[str, str]:
    chosen = (name or path.suffix.lstrip(".") or "wav").lower()
    if chosen not in _WRITABLE:
        raise RecordingError(
            f"Distill doesn't write {shown(chosen)!r} files", f"choose one of {', '.join(sorted(_WRITABLE))}"
        )
    return chosen, (subtype or _WRITABLE[chosen]).upper()


def _check_format(path: Path, chosen: str, encoding: str, sample_rate: int, channels: int) -> None:
    import soundfile  # noqa: PLC0415

    if not soundfile.check_format(chosen, encoding):
        known = ", ".join(soundfile.available_subtypes(chosen))
        raise RecordingError(f"{shown(encoding)} isn't an encoding of {chosen} files", f"choose one of {known}")
    if sample_rate <= 0 or not 0 < channels <= _MOST_CHANNELS[chosen]:
        raise RecordingError(
            f"{shown(str(path))} can't be written with {counted(channels, 'channel')} at {sample_rate} Hz",
            f"a {chosen} file holds 1 to {_MOST_CHANNELS[chosen]} channels",
        )


def _write_whole(
    path: Path, frames: npt.NDArray[Any], sample_rate: int, chosen: str, encoding: str, tags: SoundTags | None
) -> int:
    import soundfile  # noqa: PLC0415

    from distill_engine.audio.tags import write_tags  # noqa: PLC0415 - only sounds that are made have any

    try:
        with (
            atomic.replacing(path) as temporary,
            _in_the_systems_words(temporary),
            soundfile.SoundFile(
                os.fsencode(temporary), "w", sample_rate, frames.shape[1], encoding, format=chosen.upper()
            ) as file,
        ):
            if tags:
                write_tags(file, tags)
            beyond = _write_blocks(file, frames, held=encoding not in _FLOAT_SUBTYPES)
            file.close()
            _forget_the_hour(temporary)
            return beyond
    except (OSError, soundfile.SoundFileError) as error:
        raise RecordingError(
            f"{shown(str(path))} couldn't be written: {tidy_reason(error)}",
            f"it was to hold {counted(frames.shape[1], 'channel')} at {sample_rate} Hz as {chosen}",
        ) from error


@contextlib.contextmanager
def _in_the_systems_words(path: Path) -> Iterator[None]:
    """Ask the system again where it refused to write: libsndfile keeps nothing of its answer."""
    import soundfile  # noqa: PLC0415

    try:
        yield
    except soundfile.LibsndfileError as error:
        if error.code != _SYSTEM_REFUSED:
            raise
        with path.open("ab") as file:
            file.write(bytes(_MORE_THAN_A_BLOCK_OF_A_DISK))
        raise OSError(errno.EIO, os.strerror(errno.EIO)) from error


def _forget_the_hour(path: Path) -> None:
    """Zero the time of writing that libsndfile keeps in a float file's PEAK chunk: equal sounds make equal files."""
    with path.open("r+b") as file:
        if file.read(_RIFF_BYTES)[:4] != b"RIFF":
            return
        place = _RIFF_BYTES
        while len(head := file.read(_CHUNK_BYTES)) == _CHUNK_BYTES and not head.startswith(b"data"):
            if head.startswith(b"PEAK"):
                file.seek(place + _PEAK_TIME_OFFSET)
                file.write(bytes(4))
                return
            size = int.from_bytes(head[4:], "little")
            place += _CHUNK_BYTES + size + size % 2
            file.seek(place)


def _write_blocks(file: soundfile.SoundFile, frames: npt.NDArray[Any], *, held: bool) -> int:
    import numpy as np  # noqa: PLC0415

    beyond = 0
    for start in range(0, len(frames), _WRITE_FRAMES):
        block = np.ascontiguousarray(frames[start : start + _WRITE_FRAMES], dtype=np.float32)
        if held:
            beyond += int((np.abs(block) > 1.0).sum())
            block = np.clip(block, -1.0, 1.0)
        file.write(block)
    return beyond
