"""All that a front end and the engine's helper process say to each other: one message a line of JSON, over pipes.

A request has an id of its own. It is followed by `Progress` with the same id, any number of them, and then by exactly
one answer: what it asked for, `Refused`, or `Cancelled` where a `Cancel` came in time. Paths travel absolute, for the
helper works in another folder, and percent-encoded, for their names may be no text.
"""

from __future__ import annotations

import base64
import math
import os
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec
import numpy as np

from distill_engine.audio.pictures import MelPicture, WaveformPicture
from distill_engine.generation_limits import USUAL_EVOLUTION
from distill_engine.training.config import AugmentationConfig


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", eq=False):
    """What all have: the id of the request that it is or belongs to, which `Service` sets."""

    id: int = 0


class Steering(msgspec.Struct, frozen=True, kw_only=True):
    """What a sound is made with, but for its model, its length and what is done with it; as in `generation.Wish`."""

    seed: int = 0
    sliders: dict[str, float] = {}
    """By the axis' name, in standard deviations of the corpus."""
    evolution: float = USUAL_EVOLUTION
    """From 0, still, to 1, restless."""


class Generate(Message, frozen=True, kw_only=True):
    """Make new sounds of a model: files `NAME-SEED.FORMAT` in `folder`, which is made where it isn't there.

    ValueError for a length that isn't above 0 or a count below 1. An hour takes 1.6 GB of memory and minutes.
    """

    model: Path
    """A `.distill` file."""
    folder: Path
    seconds: float = 4.0
    """Length of each sound."""
    seed: int = 0
    """Of the first sound; each later one has the next."""
    count: int = 1
    format: Literal["wav", "flac", "ogg", "mp3"] = "wav"
    overwrite: bool = False
    """Whether files that are there already are replaced; else they are a refusal."""
    sliders: dict[str, float] = {}
    """As in `Steering`."""
    evolution: float = USUAL_EVOLUTION
    preset: str = ""
    """The name of the preset that these settings are, for the files' tags."""
    name: str = ""
    """What a single sound's file is called instead, without its suffix."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.seconds > 0 and self.count >= 1):
            raise ValueError(f"{self.count} sounds of {self.seconds} seconds can't be made")


class Generated(Message, frozen=True, kw_only=True):
    """The sounds that a `Generate` made."""

    paths: list[Path]


class Explore(Message, frozen=True, kw_only=True):
    """Draw the spectrogram that a model makes of some settings; nothing is synthesised, so it is there at once.

    ValueError for a length that isn't above 0 or no room to draw in.
    """

    model: Path
    """A `.distill` file; it stays loaded for the next question."""
    steering: Steering
    seconds: float
    columns: int
    rows: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.seconds > 0 and min(self.columns, self.rows) >= 1):
            raise ValueError(f"{self.seconds} seconds can't be drawn on {self.columns} columns and {self.rows} rows")


class Explored(Message, frozen=True, kw_only=True):
    """The picture that an `Explore` asked for."""

    mel: MelPicture


class Compare(Message, frozen=True, kw_only=True):
    """Make two sounds that are to be told apart by ear alone: `A.wav` and `B.wav` in `folder`, equally loud.

    Nothing in either file says what made it. Which is which is for the front end to know.
    """

    model: Path
    folder: Path
    a: Steering
    b: Steering
    seconds: float


class Compared(Message, frozen=True, kw_only=True):
    """The files that a `Compare` made."""

    a: Path
    b: Path


class AugmentedPictures(Message, frozen=True, kw_only=True):
    """Draw a copy of a recording, as the run with these settings would make it: the same bits.

    `digest`, `rms_db` and `recording_seconds` are those of the scan's Recording. ValueError for no room to draw in.
    """

    path: Path
    digest: str
    rms_db: float
    recording_seconds: float
    augmentation: AugmentationConfig
    seed: int
    """The configuration's `seed`."""
    copy: int
    """1 for the first copy, 0 for the recording itself."""
    columns: int
    rows: int
    """Mel bands."""
    most_seconds: float = 60.0
    """No more than this of the copy's beginning is drawn, so that an hour's takes no longer than a minute's."""

    def __post_init__(self) -> None:
        if min(self.columns, self.rows) < 1 or self.copy < 0 or not self.most_seconds > 0:
            raise ValueError(f"copy {self.copy} can't be drawn on {self.columns} columns and {self.rows} rows")


class AugmentedPicturesDrawn(Message, frozen=True, kw_only=True):
    """The picture that a `AugmentedPictures` asked for."""

    waveform: WaveformPicture
    mel: MelPicture
    words: str
    """What was done to the recording: "2.2 % faster, 1.3 dB louder, noise at -68 dB, 3.2 ms later"."""


class Cancel(Message, frozen=True, kw_only=True):
    """Give up the request with this id; what it has finished by then stays."""


class Progress(Message, frozen=True, kw_only=True):
    """What the helper does for a request: `done` of `total` are finished, both 0 while that isn't known."""

    words: str
    """Such as "loading torch", safe to print."""
    done: int = 0
    total: int = 0


class Refused(Message, frozen=True, kw_only=True):
    """A request that can't be met: a sentence, and a hint on what to do about it."""

    message: str
    hint: str = ""


class Cancelled(Message, frozen=True, kw_only=True):
    """The last word of a request that was given up."""


AnyRequest = Generate | Explore | Compare | AugmentedPictures
Wanted = Generated | Explored | Compared | AugmentedPicturesDrawn
AnyAnswer = Wanted | Refused | Cancelled


def encode(message: Message) -> bytes:
    """Return the message as one line of JSON, newline included."""
    return _encoder.encode(message) + b"\n"


def decode_request(line: bytes) -> AnyRequest | Cancel:
    """Return what a front end said; msgspec.DecodeError where this version doesn't know it."""
    return _request_decoder.decode(line)


def decode_answer(line: bytes) -> AnyAnswer | Progress:
    """Return what the helper said; msgspec.DecodeError where this version doesn't know it."""
    return _answer_decoder.decode(line)


def _plain(value: object) -> object:
    match value:
        case Path():
            return quote_from_bytes(os.fsencode(value.absolute()))
        case np.ndarray():
            return value.shape, value.astype("<f4").tobytes()
    raise NotImplementedError(type(value))


def _typed(kind: type, plain: Any) -> object:  # noqa: ANN401 - what the hook is handed
    if kind is Path:
        return Path(os.fsdecode(unquote_to_bytes(plain)))
    shape, numbers = plain
    return np.frombuffer(base64.b64decode(numbers), "<f4").reshape(shape)


_encoder = msgspec.json.Encoder(enc_hook=_plain)
_request_decoder: msgspec.json.Decoder[AnyRequest | Cancel] = msgspec.json.Decoder(AnyRequest | Cancel, dec_hook=_typed)
_answer_decoder: msgspec.json.Decoder[AnyAnswer | Progress] = msgspec.json.Decoder(
    AnyAnswer | Progress, dec_hook=_typed
)
