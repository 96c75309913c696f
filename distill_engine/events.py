"""Every event a run writes, as one typed message each: the protocol of `events.jsonl`.

An event is one flat JSON object on one line, its first fields `type`, `seq` and `time`. Fields are added, never
renamed or reused; a reader skips types it doesn't know and ignores fields it doesn't know. A number that isn't finite
is written as null, for JSON has no other word.
"""

from __future__ import annotations

from typing import Any

import msgspec

PROTOCOL = 1


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """A fact about a run. `seq` counts gapless from 1, `time` is in seconds since the epoch; the writer sets both."""

    seq: int = 0
    time: float = 0.0


class RunStarted(Event, frozen=True, kw_only=True):
    """A run began: always its first event."""

    protocol: int
    run: str
    pid: int
    host: str
    device: str
    precision: str
    max_epochs: int


class RunRestarted(Event, frozen=True, kw_only=True):
    """A run goes on from a checkpoint: whatever was said of steps after `from_step` is taken back."""

    protocol: int
    pid: int
    host: str
    device: str
    precision: str
    max_epochs: int
    from_step: int
    checkpoint: str
    rejected: list[str]


class PreprocessProgress(Event, frozen=True, kw_only=True):
    """Scanning or preparing came to a file: `done` of `total` are finished, `file` is the one under way."""

    stage: str
    done: int
    total: int
    file: str


class SkippedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file no training piece comes from, and the reason."""

    file: str
    reason: str


class PreprocessDone(Event, frozen=True, kw_only=True):
    """All recordings are accounted for: `found` files are `used` ones and the `skipped` ones, each with its reason."""

    found: int
    used: int
    skipped: list[SkippedFile]
    seconds: float
    training_pieces: int
    validation_pieces: int
    steps_per_epoch: int


class StepDone(Event, frozen=True, kw_only=True):
    """Steps since the last such event, told together: means, and the least and greatest loss so that no spike is lost.

    `step` counts from 1 over the whole run and is the last one meant. `pieces_per_second` is over the same stretch.
    """

    step: int
    epoch: int
    loss: float | None
    loss_min: float | None
    loss_max: float | None
    magnitude: float | None
    frequency: float | None
    stft: float | None
    kl: float | None
    learning_rate: float
    kl_weight: float
    gradient_norm: float | None
    pieces_per_second: float


class EpochDone(Event, frozen=True, kw_only=True):
    """An epoch is over. Losses use the final KL weight, so that epochs compare; null where there is no validation."""

    epoch: int
    step: int
    train_loss: float | None
    train_magnitude: float | None
    train_frequency: float | None
    train_stft: float | None
    train_kl: float | None
    validation_loss: float | None
    validation_magnitude: float | None
    validation_frequency: float | None
    validation_stft: float | None
    validation_kl: float | None
    best: bool
    seconds_left: float


class CheckpointSaved(Event, frozen=True, kw_only=True):
    """A checkpoint is on disk, read back and found whole. `path` is relative to the run folder."""

    step: int
    epoch: int
    path: str
    bytes: int


class HeardRecording(msgspec.Struct, frozen=True, kw_only=True):
    """One recording of a preview: where original and reconstruction lie, how far apart they sound.

    `lsd` in dB, `sc` without unit, `band` in dB; under `floor_…` the same for the representation with no model between.
    """

    recording: str
    original: str
    reconstruction: str
    lsd: float
    sc: float
    band: float
    floor_lsd: float
    floor_sc: float
    floor_band: float


class PreviewSaved(Event, frozen=True, kw_only=True):
    """Sound to hear the model by. Distances are means over `recordings`; paths are relative to the run folder."""

    step: int
    epoch: int
    path: str
    recordings: list[HeardRecording]
    samples: list[str]
    lsd: float | None
    sc: float | None
    band: float | None
    floor_lsd: float | None
    floor_sc: float | None
    floor_band: float | None


class WarningRaised(Event, frozen=True, kw_only=True):
    """Something a person should know, with what shows it and what to do."""

    kind: str
    message: str
    evidence: str
    suggestion: str


class RunStopped(Event, frozen=True, kw_only=True):
    """The run was asked to end and did; `resume` goes on from `checkpoint`, which is empty where no step was taken."""

    step: int
    epoch: int
    reason: str
    checkpoint: str


class RunFinished(Event, frozen=True, kw_only=True):
    """The run did all it was meant to; `model` is the path of the `.distill` file it left."""

    step: int
    epoch: int
    reason: str
    model: str
    best_epoch: int
    best_loss: float | None


class RunFailed(Event, frozen=True, kw_only=True):
    """The run could not go on. `message` and `hint` are for a person; `log` is where the rest stands."""

    message: str
    hint: str
    log: str


AnyEvent = (
    RunStarted
    | RunRestarted
    | PreprocessProgress
    | PreprocessDone
    | StepDone
    | EpochDone
    | CheckpointSaved
    | PreviewSaved
    | WarningRaised
    | RunStopped
    | RunFinished
    | RunFailed
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_type_decoder = msgspec.json.Decoder(dict[str, Any])
_known = {kind.__struct_config__.tag for kind in AnyEvent.__args__}


def encode(event: Event) -> bytes:
    """Return the event as one line of JSON, newline included."""
    return _encoder.encode(event) + b"\n"


def decode(line: bytes) -> AnyEvent | None:
    """Return the event that stands on one whole line; None for a type this version doesn't know.

    Raises:
        ValueError: the line isn't JSON, or a known type lacks a field or has one of the wrong kind.
    """
    try:
        return _decoder.decode(line)
    except msgspec.ValidationError:
        if _type_decoder.decode(line).get("type") in _known:
            raise
        return None
