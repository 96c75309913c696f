"""Bad recordings of every kind, made with a seed: small real sounds in every container, spoilt in some way.

Each maker is a function from drawn numbers to bytes, or to something in a folder that is no ordinary file; a file's
name says how it was made, so that a sentence about it says enough to make it again.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from tests.engine.recordings import sound, wav_bytes

Samples = npt.NDArray[np.float32]
Draw = np.random.Generator

_CONTAINERS = (
    *(("WAV", subtype) for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")),
    *(("WAV", subtype) for subtype in ("ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32", "NMS_ADPCM_32")),
    *(("WAV", "MPEG_LAYER_III"), ("WAVEX", "PCM_24"), ("WAVEX", "FLOAT"), ("RF64", "PCM_16"), ("RF64", "DOUBLE")),
    *(("AIFF", subtype) for subtype in ("PCM_S8", "PCM_16", "PCM_24", "FLOAT", "IMA_ADPCM", "ULAW", "DWVW_16")),
    *(("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")),
    # Not what Distill reads by name, but libsndfile by content, whatever the name.
    *(("AU", "PCM_16"), ("CAF", "ALAC_16"), ("W64", "FLOAT"), ("VOC", "PCM_16"), ("PAF", "PCM_24"), ("NIST", "PCM_16")),
    *(("MAT5", "DOUBLE"), ("IRCAM", "FLOAT"), ("AVR", "PCM_16"), ("XI", "DPCM_16"), ("SDS", "PCM_16")),
)
_SUFFIXES = {"AIFF": ".aiff", "FLAC": ".flac", "OGG": ".ogg", "MP3": ".mp3"}
_MONO = frozenset({"GSM610", "G721_32", "NMS_ADPCM_32", "DWVW_16", "DPCM_16"})
_EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_HEADER = 200


def encoded(container: str, subtype: str, samples: Samples, rate: int = 48_000) -> bytes:
    """Return a whole file; samples [frames, channels]."""
    file = BytesIO()
    with soundfile.SoundFile(file, "w", rate, samples.shape[1], subtype, format=container) as written:
        written.write(samples)
    return file.getvalue()


def originals() -> dict[str, tuple[bytes, str]]:
    """Return good files of every container, by name: the content and its usual suffix."""
    made: dict[str, tuple[bytes, str]] = {}
    for container, subtype in _CONTAINERS:
        for channels in (1,) if subtype in _MONO else (1, 2):
            with contextlib.suppress(soundfile.LibsndfileError):  # not every build of it writes every one
                content = encoded(container, subtype, sound(14_400, channels, seed=len(made)))
                made[f"{container}-{subtype}-{channels}".lower()] = content, _SUFFIXES.get(container, ".wav")
    return made


# What may become of a file's bytes.


def _cut(content: bytes, draw: Draw) -> bytes:
    return content[: draw.integers(len(content))]


def _cut_in_header(content: bytes, draw: Draw) -> bytes:
    return content[: draw.integers(_HEADER)]


def _flipped(content: bytes, places: npt.NDArray[np.int64], draw: Draw) -> bytes:
    spoilt = bytearray(content)
    for place in places:
        spoilt[place] ^= 1 << int(draw.integers(8))
    return bytes(spoilt)


def _flipped_in_header(content: bytes, draw: Draw) -> bytes:
    return _flipped(content, draw.integers(min(_HEADER, len(content)), size=draw.integers(1, 9)), draw)


def _flipped_anywhere(content: bytes, draw: Draw) -> bytes:
    return _flipped(content, draw.integers(len(content), size=draw.integers(1, 200)), draw)


def _extreme_number(content: bytes, draw: Draw) -> bytes:
    """Put an extreme number of two, four or eight bytes somewhere into the header."""
    size, order = int(draw.choice([2, 4, 8])), draw.choice(["little", "big"])
    number = _EXTREMES[draw.integers(len(_EXTREMES))]
    number = number * 0x1_0000_0001 if size == 8 else number % (1 << 8 * size)
    place = int(draw.integers(4, min(_HEADER, len(content)) - size))
    return content[:place] + number.to_bytes(size, "little" if order == "little" else "big") + content[place + size :]


def _stretch_removed(content: bytes, draw: Draw) -> bytes:
    first, last = sorted(draw.integers(len(content), size=2))
    return content[:first] + content[last:]


def _stretch_twice(content: bytes, draw: Draw) -> bytes:
    first, last = sorted(draw.integers(len(content), size=2))
    return content[:last] + content[first:]


def _noise_within(content: bytes, draw: Draw) -> bytes:
    place = int(draw.integers(len(content)))
    return content[:place] + draw.bytes(int(draw.integers(1, 5_000))) + content[place:]


def _noise_behind(content: bytes, draw: Draw) -> bytes:
    return content + draw.bytes(int(draw.integers(1, 5_000)))


def _only_noise_behind_the_header(content: bytes, draw: Draw) -> bytes:
    kept = int(draw.integers(4, 64))
    return content[:kept] + draw.bytes(len(content) - kept)


def _nothing_behind_the_header(content: bytes, draw: Draw) -> bytes:
    kept = int(draw.integers(4, _HEADER))
    return content[:kept] + bytes(len(content) - kept)


def _picture_before(content: bytes, draw: Draw) -> bytes:
    """Put an ID3 tag of some megabytes before it, as a player's cover picture is."""
    size = int(draw.integers(1, 10_000_000))
    told = size if draw.integers(2) else int(draw.integers(1 << 28))
    length = bytes(told >> shift & 0x7F for shift in (21, 14, 7, 0))
    frame = b"APIC" + length + bytes(2) + b"\0image/png\0\3\0"
    return b"ID3\4\0\0" + length + (frame + draw.bytes(size))[:size] + content


_SPOILERS: tuple[Callable[[bytes, Draw], bytes], ...] = (
    *(_cut, _cut_in_header, _flipped_in_header, _flipped_in_header, _flipped_anywhere),
    *(_extreme_number, _extreme_number, _extreme_number, _stretch_removed, _stretch_twice),
    *(_noise_within, _noise_behind, _only_noise_behind_the_header, _nothing_behind_the_header, _picture_before),
)


def spoilt(count: int, draw: Draw) -> Iterator[tuple[str, bytes]]:
    """Yield so many files, name and content: each an original spoilt once or twice, under a suffix of any kind."""
    whole = list(originals().items())
    for number in range(count):
        name, (content, suffix) = whole[7 * number % len(whole)]
        hows = [_SPOILERS[chosen] for chosen in draw.integers(len(_SPOILERS), size=draw.choice([1, 1, 1, 2]))]
        for how in hows:
            content = how(content, draw) if len(content) > _HEADER else content
        if draw.integers(10) == 0:
            suffix = str(draw.choice([".wav", ".aif", ".flac", ".ogg", ".opus", ".mp3"]))
        yield f"{number:04d}-{name}{''.join(how.__name__ for how in hows)}{suffix}", content


# Headers that say what can't be.


def lying_headers() -> Iterator[tuple[str, bytes]]:
    """Yield files whose header says something absurd of rate, channels, bits or length, name and content."""
    good = wav_bytes(sound(6_000))
    places = {"channels": (22, "<H"), "rate": (24, "<I"), "bytes-a-second": (28, "<I"), "frame-bytes": (32, "<H")}
    places |= {"bits": (34, "<H"), "format-size": (16, "<I"), "riff-size": (4, "<I"), "data-size": (40, "<I")}
    places |= {"encoding": (20, "<H")}
    for field, (place, layout) in places.items():
        for number in (*_EXTREMES, 3, 8, 24, 1_025, 3_999, 44_101, 767_999, 1_000_003):
            if number < 1 << 8 * struct.calcsize(layout):
                field_bytes = struct.pack(layout, number)
                yield f"wav-{field}-{number}.wav", good[:place] + field_bytes + good[place + len(field_bytes) :]
    for hours in (1, 1_000_000_000):
        yield f"rf64-of-{hours}-hours.wav", _rf64(hours * 3_600 * 96_000)
    for frames in (1, 0xFFFFFFFF):
        content = bytearray(encoded("AIFF", "PCM_16", sound(6_000)))
        place = content.index(b"COMM") + 10
        content[place : place + 4] = struct.pack(">I", frames)
        yield f"aiff-of-{frames}-frames.aiff", bytes(content)
    flac = bytearray(encoded("FLAC", "PCM_16", sound(6_000)))
    for told in (1, 0xFFFFFFFFF):
        packed = struct.unpack_from(">Q", flac, 18)[0] & ~0xFFFFFFFFF | told
        struct.pack_into(">Q", flac, 18, packed)
        yield f"flac-of-{told}-frames.flac", bytes(flac)


def _rf64(size: int) -> bytes:
    plain = wav_bytes(sound(6_000))
    long_sizes = b"ds64" + struct.pack("<IQQQI", 28, size + 72, size, size // 2, 0)
    told = b"RF64\xff\xff\xff\xffWAVE" + long_sizes + plain[12:]
    place = told.index(b"data") + 4
    return told[:place] + b"\xff\xff\xff\xff" + told[place + 4 :]


# Samples that are no sound.


def longer_than_told() -> tuple[str, bytes]:
    """Return a sound MP3 with something behind it, as a player's tag: on such its decoder comments, past Python."""
    return "longer.mp3", encoded("MP3", "MPEG_LAYER_III", sound(48_000)) + bytes(3_000)


def odd_samples() -> Iterator[tuple[str, bytes]]:
    """Yield files whose samples are no sound, or hardly any, name and content."""
    kinds = {
        "nan": np.float32(np.nan),
        "infinity": np.float32(np.inf),
        "minus-infinity": np.float32(-np.inf),
        "huge": np.float32(3e38),
        "denormal": np.float32(1e-45),
        "silence": np.float32(0.0),
        "dc": np.float32(0.5),
    }
    for kind, value in kinds.items():
        for subtype in ("FLOAT", "DOUBLE"):
            yield f"all-{kind}-{subtype}.wav", encoded("WAV", subtype, np.full((9_000, 1), value))
            one = sound(9_000)
            one[4_321] = value
            yield f"one-{kind}-{subtype}.wav", encoded("WAV", subtype, one)
    for container, subtype in (("WAV", "PCM_16"), ("AIFF", "PCM_24"), ("FLAC", "PCM_16"), ("WAV", "IMA_ADPCM")):
        yield f"silence-{subtype}-{container}.wav", encoded(container, subtype, np.zeros((9_000, 1), np.float32))
        for frames in (0, 1, 2, 3, 2_047, 2_048):
            yield f"{frames}-samples-{subtype}-{container}.wav", encoded(container, subtype, sound(frames))
    for container, subtype in (("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")):
        for frames in (0, 1, 3):
            yield f"{frames}-samples.{container.lower()}", encoded(container, subtype, sound(frames))
    for channels in (3, 8, 64, 1_024):
        yield f"{channels}-channels.wav", encoded("WAV", "PCM_16", sound(3_000, channels))
    for rate in (1, 3_999, 4_000, 44_101, 767_999, 768_000, 768_001, 2_000_000_000):
        yield f"{rate}-hertz.wav", encoded("WAV", "PCM_16", sound(12_000), rate)


def not_sound() -> Iterator[tuple[str, bytes]]:
    """Yield files that only have a recording's name, name and content."""
    yield "empty.wav", b""
    yield "text.flac", b"Remember to record the rain.\n" * 100
    yield "zeros.wav", bytes(100_000)
    yield "page.mp3", b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
    yield "pointer.wav", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9000\n"
    yield "placeholder.wav", b"bplist00\xd4\x01\x02" + bytes(200)
    yield "archive.wav", b"PK\3\4" + bytes(20_000)
    yield "picture.ogg", b"\x89PNG\r\n\x1a\n" + bytes(20_000)
    yield "m4a.mp3", b"\0\0\0\x20ftypM4A " + bytes(20_000)
    yield "tag-alone.mp3", b"ID3\4\0\0\0\0\x07\x76" + bytes(1_014)
    yield "riff-of-no-wave.wav", b"RIFF\x24\0\0\0AVI LIST" + bytes(20_000)
    yield "chunks-without-end.wav", b"RIFF\xff\xff\xff\x7fWAVE" + b"note\0\0\0\0" * 20_000
    yield "a-huge-chunk.wav", b"RIFF\x24\0\0\0WAVELIST\xf0\xff\xff\x7f" + bytes(1_000)
    yield "sync-alone.mp3", b"\xff\xfb\x90\x64" * 5_000
    for magic in (b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS", b"ID3\4", b"\xff\xfb\x90\x64", b"caff"):
        yield f"only-{magic.hex()}.wav", magic
        yield f"noise-behind-{magic.hex()}.wav", magic + np.random.default_rng(len(magic)).bytes(5_000)


# What isn't an ordinary file, and names that are no ordinary names.


_ODD_NAMES = (
    "line\nbreak",
    "\x1b[2J\x1b[31m",
    "bell\a",
    "🎹🥁",
    "\u202egnp",
    "not utf-8 \udcff",
    " ",
    "[red]",
    "a" * 200,
)


def make_oddities(folder: Path, outside: Path) -> None:
    """Fill `folder` with what else lies in folders of recordings; what links lead to is put `outside`."""
    whole = wav_bytes(sound(6_000))
    (folder / "folder.wav").mkdir()
    (folder / "folder.flac").symlink_to(outside, target_is_directory=True)
    os.mkfifo(folder / "pipe.wav")
    (folder / "link-to-pipe.wav").symlink_to("pipe.wav")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "s.wav"))  # a socket's path has to be short
    (folder / "zero.wav").symlink_to("/dev/zero")
    (folder / "random.flac").symlink_to("/dev/urandom")
    (folder / "terminal.wav").symlink_to("/dev/tty")
    (folder / "memory.wav").symlink_to("/proc/self/mem")
    (folder / "loop.wav").symlink_to("loop.wav")
    (folder / "there.wav").symlink_to("back.wav")
    (folder / "back.wav").symlink_to("there.wav")
    (folder / "gone.wav").symlink_to("nowhere.wav")
    (folder / "too-long.wav").symlink_to("x" * 2_000)
    (folder / "above").symlink_to("..")
    (folder / "everything").symlink_to("/")
    (folder / "fork.wav").write_bytes(bytes(range(256)))
    os.mkfifo(folder / "._fork.wav")  # where libsndfile looks for the fork of a file that it doesn't know
    (folder / "._aiff.wav").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(80))
    (folder / ".rain.wav.icloud").write_bytes(b"bplist00" + bytes(160))
    (folder / "aiff.wav").write_bytes(encoded("AIFF", "PCM_16", sound(6_000)))
    (folder / "rights.wav").write_bytes(whole)
    (folder / "rights.wav").chmod(0)
    for name in _ODD_NAMES:
        (folder / f"{name}.wav").write_bytes(whole)
        (folder / f"{name} cut.wav").write_bytes(whole[:1_000])
    for name, content in (("sparse-zeros", b""), ("sparse-wav", whole), ("sparse-rf64", _rf64(1 << 40))):
        with (folder / f"{name}.wav").open("wb") as file:
            file.write(content)
            file.truncate(1 << 40)


def write_all(folder: Path, files: Iterator[tuple[str, bytes]]) -> int:
    """Write files of these names and contents; return how many."""
    count = 0
    for name, content in files:
        (folder / name).write_bytes(content)
        count += 1
    return count
