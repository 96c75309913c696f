"""Every event a run writes and every command it takes, as one typed message each: the protocol of a run folder.

An event is one flat JSON object on one line, its first fields `type`, `seq` and `time`. Fields are added, never
renamed or reused; a reader skips types it doesn't know and ignores fields it doesn't know. A number that isn't finite
is written as null, for JSON has no other word.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from distill_engine.small_files import UNREADABLE
from distill_engine.words import shown

PROTOCOL = 1

LONGEST_LINE = 1 << 24
"""Bytes of a line, at most: a longer one is none that a run has written."""

Answer = Literal["heard", "done", "refused"]

Count = Annotated[int, Meta(ge=0, le=1 << 53)]
"""A whole number that no column of numbers makes another one of."""

Moment = Annotated[float, Meta(ge=0, le=253_370_000_000)]
"""Seconds since the epoch, up to the year 9998."""

Word = Annotated[str, Meta(pattern=r"^[\w.:+ -]{0,100}\Z")]
"""What isn't a person's: a device, a machine, the kind of something. All else may hold any character."""

Span = Annotated[float, Meta(ge=-1e12, le=1e12)]
"""A length of time in seconds."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """A fact about a run. `seq` counts gapless from 1, `time` is in seconds since the epoch; the writer sets both."""

    seq: Count = 0
    time: Moment = 0.0


class RunStarted(Event, frozen=True, kw_only=True):
    """A run began: always its first event."""

    protocol: Count
    run: str
    pid: Count
    host: Word
    device: Word
    precision: Word
    max_epochs: Count


class RunRestarted(Event, frozen=True, kw_only=True):
    """A run goes on from a checkpoint: whatever was said of steps after `from_step` is taken back."""

    protocol: Count
    pid: Count
    host: Word
    device: Word
    precision: Word
    max_epochs: Count
    from_step: Count
    checkpoint: str
    rejected: list[str]


class PreprocessProgress(Event, frozen=True, kw_only=True):
    """Work outside training is so far: `done` of `total` files are finished, and `file` is the one under way.

    Stages are "scanning", "preparing" and, once a model is there, "analysing": that counts sounds, and `file` says what
    it listens for.
    """

    stage: Word
    done: Count
    total: Count
    file: str


class SkippedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file no training piece comes from, and the reason."""

    file: str
    reason: str


class PreprocessDone(Event, frozen=True, kw_only=True):
    """All recordings are accounted for: `found` files are `used` ones and the `skipped` ones, each with its reason."""

    found: Count
    used: Count
    skipped: list[SkippedFile]
    seconds: Span
    training_pieces: Count
    validation_pieces: Count
    steps_per_epoch: Count


class StepDone(Event, frozen=True, kw_only=True):
    """Steps since the last such event, told together: means, and the least and greatest loss so that no spike is lost.

    `step` counts from 1 over the whole run and is the last one meant. `pieces_per_second` is over the same stretch.
    """

    step: Count
    epoch: Count
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
    """An epoch is over. Losses use the final KL weight, so that epochs compare; null where there is no validation.

    What follows `seconds_left` may be null. `learning_rate` is its last step's; `skipped_steps` weren't finite and left
    out; `waiting` is the share of its time that steps waited for their pieces. The rest is measured on the validation,
    or on some training pieces where there is none: a dimension of the latent is active where the variance of its mean
    over the pieces is above 0.01 (Burda et al. 2015, arXiv 1509.00519), and `output_spread` is how unlike each other
    the reconstructions are, by the magnitudes' standard deviation over the pieces, with that of the pieces as 1.
    """

    epoch: Count
    step: Count
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
    seconds_left: Span
    learning_rate: float | None = None
    skipped_steps: Count | None = None
    waiting: float | None = None
    active_dimensions: Count | None = None
    latent_dimensions: Count | None = None
    output_spread: float | None = None


class VerdictReached(Event, frozen=True, kw_only=True):
    """What the curves up to an epoch come to, where that changed or was told long ago.

    `kind` is early, learning, flat, overfitting, collapsing or diverging; `words` are one sentence, `evidence` the
    numbers behind it, `suggestion` what to do.
    """

    epoch: Count
    step: Count
    kind: Word
    words: str
    evidence: str
    suggestion: str


class CheckpointSaved(Event, frozen=True, kw_only=True):
    """A checkpoint is on disk, read back and found whole. `path` is relative to the run folder."""

    step: Count
    epoch: Count
    path: str
    bytes: Count


class SoundLevel(msgspec.Struct, frozen=True, kw_only=True):
    """How loud a sound is: its highest peak, 1 for full scale, and its root mean square in dB of full scale."""

    peak: float
    rms: float


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
    original_level: SoundLevel | None = None
    reconstruction_level: SoundLevel | None = None


class PreviewSaved(Event, frozen=True, kw_only=True):
    """Sound to hear the model by. Distances are means over `recordings`; paths are relative to the run folder.

    `best` is true if it is of the best weights so far, those a model would be made of, and not of the latest.
    """

    step: Count
    epoch: Count
    path: str
    best: bool = False
    recordings: list[HeardRecording]
    samples: list[str]
    lsd: float | None
    sc: float | None
    band: float | None
    floor_lsd: float | None
    floor_sc: float | None
    floor_band: float | None
    sample_levels: list[SoundLevel] = []


class OldRecordingsHeard(Event, frozen=True, kw_only=True):
    """What became of those of its `recordings` that the model knew which the run began from: their mean loss.

    `before` is with the model as it came, `after` with the best weights so far; `words` are one sentence.
    """

    step: Count
    epoch: Count
    recordings: Count
    before: float | None
    after: float | None
    words: str


class ModelAnalysed(Event, frozen=True, kw_only=True):
    """The run's model has got its latent axes; `axes` are their names, those after what one hears before the numbered.

    `model` is the path of the `.distill` file.
    """

    model: str
    axes: list[str]


class WarningRaised(Event, frozen=True, kw_only=True):
    """Something a person should know, with what shows it and what to do."""

    kind: Word
    message: str
    evidence: str
    suggestion: str


class GpuSample(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU in use. Load in percent, memory in bytes, power in watts, heat in degrees Celsius; null if not told."""

    index: Annotated[int, Meta(ge=0, le=63)]
    name: str
    load: float | None
    memory_used: Count | None
    memory_total: Count | None
    power: float | None
    temperature: float | None


class SystemSample(Event, frozen=True, kw_only=True):
    """What the machine was doing: of the whole of it `cpu` in percent and memory in bytes, of the worker alone too.

    `worker_cpu` is in percent of one core, `worker_memory` the resident set with its helpers.
    """

    cpu: float
    memory_used: Count
    memory_total: Count
    worker_cpu: float
    worker_memory: Count
    gpus: list[GpuSample]


class CommandAnswered(Event, frozen=True, kw_only=True):
    """A command got an answer: `heard` once it is read, then `done` or `refused`, with words for a person.

    `path` is what was written for it, relative to the run folder, or empty.
    """

    id: str
    command: Word
    answer: Answer
    words: str
    path: str = ""


THE_DISK = "the disk"
"""The reason of a pause that nobody asked for: what can't be written now is waited for, and then the run goes on."""


class RunPaused(Event, frozen=True, kw_only=True):
    """Training waits until it is unpaused or stopped; where that was asked for it holds no GPU memory meanwhile."""

    step: Count
    epoch: Count
    reason: str


class RunUnpaused(Event, frozen=True, kw_only=True):
    """Training goes on."""

    step: Count
    epoch: Count


class RunStopped(Event, frozen=True, kw_only=True):
    """The run was asked to end and did; `resume` goes on from `checkpoint`, which is empty where no step was taken.

    `model` is the path of the `.distill` file it left, or empty.
    """

    step: Count
    epoch: Count
    reason: str
    checkpoint: str
    model: str = ""


REASONS = {
    "epochs": "all epochs done",
    "minutes": "max_minutes reached",
    "early": "validation no longer improved",
}
"""What a `RunFinished` says of why it came, by what ended the run."""


class RunFinished(Event, frozen=True, kw_only=True):
    """The run did all it was meant to; `model` is the path of the `.distill` file it left."""

    step: Count
    epoch: Count
    reason: str
    model: str
    best_epoch: Count
    best_loss: float | None


class RunFailed(Event, frozen=True, kw_only=True):
    """The run could not go on. `message` and `hint` are for a person; `log` is where the rest stands.

    `model` is the path of the `.distill` file it left all the same, or empty.
    """

    message: str
    hint: str
    log: str
    model: str = ""


AnyEvent = (
    RunStarted
    | RunRestarted
    | PreprocessProgress
    | PreprocessDone
    | StepDone
    | EpochDone
    | VerdictReached
    | CheckpointSaved
    | PreviewSaved
    | OldRecordingsHeard
    | ModelAnalysed
    | WarningRaised
    | SystemSample
    | CommandAnswered
    | RunPaused
    | RunUnpaused
    | RunStopped
    | RunFinished
    | RunFailed
)

Ending = RunStopped | RunFinished | RunFailed
"""The last event of each stretch."""

ENDINGS = (RunStopped, RunFinished, RunFailed)
"""Its types."""


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """An order to a run. `id` is what answers name it by; `time` in seconds since the epoch, `sender` for people."""

    id: str
    time: Moment
    sender: str


class Stop(Command, frozen=True, kw_only=True, tag="stop"):
    """End after the step under way, with a checkpoint, a preview and a model."""


class StopNow(Command, frozen=True, kw_only=True, tag="stop-now"):
    """End after the step under way, with a checkpoint alone."""


class Checkpoint(Command, frozen=True, kw_only=True, tag="checkpoint"):
    """Save a checkpoint after the step under way and go on."""


class Pause(Command, frozen=True, kw_only=True, tag="pause"):
    """Wait after the step under way, and free the GPU's memory."""


class Unpause(Command, frozen=True, kw_only=True, tag="unpause"):
    """Go on."""


class Preview(Command, frozen=True, kw_only=True, tag="preview"):
    """Make a preview after the step under way and go on."""


AnyCommand = Stop | StopNow | Checkpoint | Pause | Unpause | Preview

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_command_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


class _Typed(msgspec.Struct):
    type: str = ""


_type_decoder = msgspec.json.Decoder(_Typed)
_known = {kind.__struct_config__.tag for kind in AnyEvent.__args__}


def encode(message: Event | Command) -> bytes:
    """Return the message as one line of JSON, newline included."""
    return _encoder.encode(message) + b"\n"


def decode_command(line: bytes) -> AnyCommand | None:
    """Return the command that stands on one whole line; None for what this version doesn't know or can't read."""
    try:
        return _command_decoder.decode(line)
    except UNREADABLE:
        return None


def refusal_of_unknown(line: bytes) -> CommandAnswered | None:
    """Return the answer to an order that only another version knows; None for a line that is none."""
    try:
        order = msgspec.json.decode(line, type=_AnyOrder)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    words = "this run's worker is of another version of Distill, which doesn't know that"
    return CommandAnswered(id=order.id, command=shown(order.type), answer="refused", words=words)


class _AnyOrder(msgspec.Struct):
    id: str
    type: str


def command_name(command: AnyCommand) -> str:
    """Return what the command is called on the command line and in its answers, such as `stop-now`."""
    return str(type(command).__struct_config__.tag)


def decode(line: bytes) -> AnyEvent | None:
    """Return the event that stands on one whole line; None for a type this version doesn't know.

    Raises:
        ValueError: the line isn't JSON, or a known type lacks a field or has one of the wrong kind.
    """
    try:
        return _decoded(line)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _decoded(line: bytes) -> AnyEvent | None:
    try:
        return _decoder.decode(line)
    except msgspec.ValidationError:
        if _type_decoder.decode(line).type in _known:
            raise
        return None


def decode_all(lines: bytes) -> list[AnyEvent]:
    """Return the events that stand on whole lines, decoded at once: several times as fast as one by one.

    Raises:
        ValueError: there is a line for which `decode` raises or returns None.
    """
    try:
        return _decoder.decode_lines(lines)
    except RecursionError:
        raise ValueError("one is nested too deep") from None
