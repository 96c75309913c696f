"""Tell from a file's headers alone whether bytes are missing from it.

libsndfile reads a cut WAV, AIFF, Ogg or MP3 file without a word, as a shorter recording. So what the header promises
is compared with what is there. Only a promise that can be trusted counts: writers to a pipe leave sizes of zero or of
"very much", and such a file isn't truncated. Whatever isn't understood here is left to the decoder to judge.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

# Writers that can't go back fill in about 2 GiB (sox, arecord) or 4 GiB (ffmpeg) for "until the end".
_OPEN_ENDED = ((0x7EFF0000, 0x80000000), (0xFFFF0000, 0xFFFFFFFF))
_MAX_CHUNKS = 10_000
_OGG_PAGE = 65_307  # bytes of the largest page: 27 of header, 255 of lacing, 255 times 255 of body
_MP3_FRAME = 2_881  # bytes of the largest frame of layer III, padding included


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """One chunk of an IFF-like file."""

    name: bytes
    start: int
    """Byte in the file at which its content starts."""
    size: int
    """Bytes of content as promised."""


def missing_from(path: Path) -> str:
    """Return what is missing as a clause for people ("truncated: …"), or "" where nothing is known to be.

    Raises OSError where the file can't be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(12)
        if head[:4] in {b"RIFF", b"RIFX", b"RF64", b"BW64"} and head[8:12] == b"WAVE":
            return _missing_from_wav(file, size, head[:4])
        if head[:4] == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"}:
            return _missing_from_aiff(file, size)
        if head[:4] == b"OggS":
            return _missing_from_ogg(file, size)
        if head[:4] == b"fLaC":
            return _missing_from_flac(file, size)
        if head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0):
            return _missing_from_mp3(file, size, head)
        return ""


def _missing_from_wav(file: BinaryIO, size: int, kind: bytes) -> str:
    """Source: the RIFF layout of IBM and Microsoft (1991), and EBU Tech 3306 for the 64-bit sizes of RF64."""
    order: Literal["<", ">"] = ">" if kind == b"RIFX" else "<"
    long_size = 0
    for chunk in _chunks(file, size, order):
        if chunk.name == b"ds64" and chunk.size >= 16:
            long_size = _unpacked(file, chunk.start + 8, "<Q")
        if chunk.name == b"data":
            promised = long_size if kind in {b"RF64", b"BW64"} and chunk.size == 0xFFFFFFFF else chunk.size
            if promised == 0 and long_size == 0 and size - chunk.start > 4096:
                return "unfinished: its header says it holds no sound, though data follow it"
            return _shortfall(promised, size - chunk.start)
    return "truncated: it ends before its sound begins" if size < 44 else ""


def _missing_from_aiff(file: BinaryIO, size: int) -> str:
    """Source: Apple's Audio Interchange File Format 1.3 (1989)."""
    for chunk in _chunks(file, size, ">"):
        if chunk.name == b"SSND":
            return _shortfall(chunk.size, size - chunk.start)
    return ""


def _chunks(file: BinaryIO, size: int, order: Literal["<", ">"]) -> Iterator[Chunk]:
    position = 12
    for _ in range(_MAX_CHUNKS):
        if position + 8 > size:
            return
        file.seek(position)
        name, length = struct.unpack(f"{order}4sI", file.read(8))
        yield Chunk(name=name, start=position + 8, size=length)
        position += 8 + length + length % 2


def _shortfall(promised: int, there: int) -> str:
    if promised <= there or any(low <= promised <= high for low, high in _OPEN_ENDED):
        return ""
    return f"truncated: its header promises {promised:,} bytes of sound, {max(0, there):,} are there"


def _missing_from_flac(file: BinaryIO, size: int) -> str:
    """Source: RFC 9639: the last 36 bits before STREAMINFO's checksum count the samples, 0 where unknown.

    A cut FLAC file makes the decoder fail, so only the count that libsndfile can't do without is looked at.
    """
    if size > 4096 and _unpacked(file, 18, ">Q") & 0xFFFFFFFFF == 0:
        return "unfinished: its header doesn't say how long it is, as when it was written to a pipe"
    return ""


def _missing_from_ogg(file: BinaryIO, size: int) -> str:
    """Source: RFC 3533: a page's header, and the flag that its stream's last page carries."""
    start = max(0, size - 2 * _OGG_PAGE)
    file.seek(start)
    tail = file.read(2 * _OGG_PAGE)
    for at in _page_starts(tail):
        segments = tail[at + 27 : at + 27 + tail[at + 26]]
        end = at + 27 + tail[at + 26] + sum(segments)
        if len(segments) < tail[at + 26] or end > len(tail):
            return "truncated: it breaks off within a page of its Ogg stream"
        return "" if tail[at + 5] & 0x04 else "truncated: the end of its Ogg stream is missing"
    return ""


def _page_starts(tail: bytes) -> Iterator[int]:
    """Yield where pages start, the last first. A capture pattern inside sound is told by its version and flags."""
    at = tail.rfind(b"OggS")
    while at >= 0:
        if len(tail) - at >= 27 and tail[at + 4] == 0 and tail[at + 5] < 8:
            yield at
        at = tail.rfind(b"OggS", 0, at)


def _missing_from_mp3(file: BinaryIO, size: int, head: bytes) -> str:
    """Compare with the bytes that a Xing or Info header counts; a file without one promises nothing.

    Source: the "Xing VBR header" of the MP3 Tech pages, and LAME's description of its Info tag.
    """
    start = 0
    if head[:3] == b"ID3" and len(head) >= 10:  # four bytes of seven bits each; the header's own ten aren't counted
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        start += 10 if head[5] & 0x10 else 0
    file.seek(start)
    frame = file.read(_MP3_FRAME)
    tag = max(frame.find(b"Xing", 0, 64), frame.find(b"Info", 0, 64))
    if tag < 0 or len(frame) < tag + 16 or not frame[tag + 7] & 0x02:
        return ""
    counted = tag + (12 if frame[tag + 7] & 0x01 else 8)
    promised = int.from_bytes(frame[counted : counted + 4], "big")
    # Encoders differ in whether they count the frame that the header stands in.
    return _shortfall(promised, size - start) if promised > size - start + _MP3_FRAME else ""


def _unpacked(file: BinaryIO, position: int, layout: str) -> int:
    file.seek(position)
    data = file.read(struct.calcsize(layout))
    return int(struct.unpack(layout, data)[0]) if len(data) == struct.calcsize(layout) else 0
