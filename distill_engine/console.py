"""A run's events for the person at the terminal: a status line that is drawn over, plain lines elsewhere, or JSON.

Showing never disturbs a run: once the terminal is gone or the pipe is closed, a view falls silent.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol, TextIO

from distill_engine.catalogue import axes_in_words
from distill_engine.errors import ConfigError
from distill_engine.events import (
    CheckpointSaved,
    CommandAnswered,
    EpochDone,
    Event,
    ModelAnalysed,
    OldRecordingsHeard,
    PreprocessDone,
    PreprocessProgress,
    PreviewSaved,
    RunFailed,
    RunFinished,
    RunPaused,
    RunRestarted,
    RunStarted,
    RunStopped,
    RunUnpaused,
    StepDone,
    VerdictReached,
    WarningRaised,
    encode,
)
from distill_engine.hushed import lead_nowhere
from distill_engine.run_folder import RunFolder
from distill_engine.training.config import TrainingConfig
from distill_engine.training.config_file import load_config
from distill_engine.words import cells, counted, cut, duration, shown, shown_json, size

BAR_WIDTHS = (20, 10)
REDRAWS_PER_SECOND = 10
SILENT_SECONDS = 60.0
USUAL_WIDTH = 80
_CLEAR = "\r\x1b[K"


class View(Protocol):
    """Shows events as they come."""

    def show(self, event: Event) -> None:
        """Show one event."""


def json_line(event: Event) -> bytes:
    """Return an event as a line of JSON, the same as in the run's log but for what steers a terminal."""
    return shown_json(encode(event).removesuffix(b"\n")) + b"\n"


class JsonView:
    """Writes every event as it stands in the run's log, a line each."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream: BinaryIO | None = stream

    def show(self, event: Event) -> None:
        """Write one line and flush it."""
        if self._stream is None:
            return
        try:
            self._stream.write(json_line(event))
            self._stream.flush()
        except OSError:
            _let_go_of(self._stream)
            self._stream = None


def _let_go_of(stream: TextIO | BinaryIO) -> None:
    """Let go of a stream whose reader is gone: Python would end with 120 because of what is held for it."""
    with contextlib.suppress(OSError):
        lead_nowhere(stream)


class Lines:
    """Writes what happened as plain lines, and nothing else: for logs and pipes.

    It writes one at least for every minute of a run's own time, so that one sees that it lives.
    """

    def __init__(self, stream: TextIO, most_seconds: float = 0.0) -> None:
        self._stream: TextIO | None = stream
        self._steps_per_epoch = 0
        self._max_epochs = 0
        self._validation = ""
        self._left = TimeLeft(most_seconds)
        self._told_at = 0.0

    def show(self, event: Event) -> None:
        """Write the event's lines, where it has any."""
        self._note(event)
        lines = self._lines(event)
        self._told_at = self._told_at or event.time
        if not lines and event.time - self._told_at >= SILENT_SECONDS:
            lines = self._sign_of_life(event)
        for line in lines:
            self._told_at = event.time
            self._write(shown(line) + "\n")

    def _note(self, event: Event) -> None:
        self._left.note(event)
        match event:
            case RunStarted() | RunRestarted():
                self._max_epochs = event.max_epochs
            case PreprocessDone():
                self._steps_per_epoch = event.steps_per_epoch
            case EpochDone():
                self._validation = _validation(event)

    def _lines(self, event: Event) -> list[str]:
        return [self._epoch(event)] if isinstance(event, EpochDone) else in_words(event)

    def _sign_of_life(self, event: Event) -> list[str]:
        match event:
            case StepDone():
                left = self._time_left(event)
                return [", ".join([*self._position(event), f"loss {_loss(event.loss)}", _rate(event), *left])]
            case PreprocessProgress():
                return [f"{event.stage} {event.done:,}/{event.total:,}"]
            case _:
                return []

    def _epoch(self, event: EpochDone) -> str:
        losses = [f"loss {_loss(event.train_loss)}", *([_validation(event)] if _validation(event) else [])]
        best = " (best)" if event.best else ""
        left = [f"{duration(event.seconds_left)} left"] if event.seconds_left else []
        told = ", ".join([", ".join(losses) + best, *left])
        return f"epoch {event.epoch:,}/{self._max_epochs:,}, step {event.step:,}: {told}"

    def _position(self, event: StepDone) -> list[str]:
        return [f"epoch {event.epoch:,}/{self._max_epochs:,}", f"step {event.step:,}/{self._total_steps:,}"]

    def _time_left(self, event: StepDone) -> list[str]:
        left = self._left.seconds(event, self._total_steps)
        return [] if left is None else [f"{duration(left)} left"]

    @property
    def _total_steps(self) -> int:
        return self._max_epochs * self._steps_per_epoch

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            _let_go_of(self._stream)
            self._stream = None


class Terminal(Lines):
    """Draws one status line over and over; what should stay on the screen is written above it."""

    def __init__(self, stream: TextIO, most_seconds: float = 0.0) -> None:
        super().__init__(stream, most_seconds)
        unicode = (getattr(stream, "encoding", "") or "").lower().replace("-", "") == "utf8"
        self._full, self._empty, self._dot = ("━", "─", " · ") if unicode else ("#", ".", " | ")
        self._draw_at = 0.0

    def show(self, event: Event) -> None:
        """Draw the event into the status line, or write it above."""
        self._note(event)
        match event:
            case PreprocessProgress():
                self._draw(lambda width: self._progress(event, width))
            case StepDone():
                self._draw(lambda width: self._status(event, width))
            case EpochDone() | CheckpointSaved():
                pass
            case _:
                for line in self._lines(event):
                    self._write(f"{_CLEAR}{shown(line)}\n")

    def clear(self) -> None:
        """Take the status line away."""
        self._write(_CLEAR)

    def _progress(self, event: PreprocessProgress, width: int) -> str:
        count = f"{event.done:,}/{event.total:,}"
        bar = self._bar(event.done, event.total, min(BAR_WIDTHS[0], width // 4))
        return f"{event.stage} {bar} {count}  {event.file}"

    def _status(self, event: StepDone, width: int) -> str:
        """Return what fits: losses, rate and time left before the bar and the steps, and those in the words they need.

        The bar gets one of two lengths, for one that takes all the room there is would twitch with every number.
        """
        epoch, step = self._position(event)
        losses = [f"loss {_loss(event.loss)}", *([self._validation] if self._validation else [])]
        rate, left = _rate(event), self._time_left(event)
        for parts in (
            [epoch, step, *losses, rate, *left],
            [epoch, *losses, rate, *left],
            [epoch, *losses, rate.replace("pieces/s", "p/s"), *left],
        ):
            spare = width - cells(self._dot.join(parts))
            if spare >= 0:
                break
        bar = next((length for length in BAR_WIDTHS if length < spare), 0)
        if bar:
            parts[0] += " " + self._bar(event.step, self._total_steps, bar)
        return self._dot.join(parts)

    def _bar(self, done: int, total: int, width: int) -> str:
        filled = round(width * min(1.0, done / total)) if total else 0
        return self._full * filled + self._empty * (width - filled)

    def _draw(self, line: Callable[[int], str]) -> None:
        """Draw the line that is made for a width, unless the last was drawn just now."""
        now = time.monotonic()
        if now < self._draw_at or self._stream is None:
            return
        self._draw_at = now + 1 / REDRAWS_PER_SECOND
        width = _width(self._stream)
        self._write(_CLEAR + cut(shown(line(width)), width))


class TimeLeft:
    """How long a run still takes, by its events' own times, so that a run told afterwards is told as it was.

    The end of an epoch says so; before the first of a stretch it is reckoned from the stretch's own steps.
    """

    def __init__(self, most_seconds: float = 0.0) -> None:
        """Take the longest a run may train; 0 for no limit."""
        self._most_seconds = most_seconds
        self._begun: StepDone | None = None
        self._foreseen: EpochDone | None = None
        self._paused_at = 0.0
        self._paused = 0.0

    def note(self, event: Event) -> None:
        """Take in what the next events are to be judged by."""
        match event:
            case RunStarted() | RunRestarted():
                self._begun, self._foreseen, self._paused = None, None, 0.0
            case StepDone() if self._begun is None:
                self._begun = event
            case EpochDone():
                self._foreseen, self._paused = event, 0.0
            case RunPaused():
                self._paused_at = event.time
            case RunUnpaused():
                self._paused += event.time - self._paused_at

    def seconds(self, event: StepDone, total_steps: int) -> float | None:
        """Return how long the run takes from this step on, None where nothing tells yet."""
        if self._foreseen is not None:
            return max(0.0, self._foreseen.seconds_left - (event.time - self._foreseen.time - self._paused))
        if self._begun is None or event.step <= self._begun.step or not total_steps:
            return None
        passed = max(0.0, event.time - self._begun.time - self._paused)
        left = passed / (event.step - self._begun.step) * max(0, total_steps - event.step)
        return max(0.0, min(left, self._most_seconds - passed)) if self._most_seconds else left


def view_for(*, json: bool, most_seconds: float = 0.0) -> View:
    """Return the view that fits: JSON lines on stdout where asked for, else words on stderr.

    `most_seconds` is the longest the run may train, 0 for no limit.
    """
    if json:
        return JsonView(sys.stdout.buffer)
    return (Terminal if sys.stderr.isatty() else Lines)(sys.stderr, most_seconds)


def most_seconds(folder: RunFolder) -> float:
    """Return the longest a run may train by its own configuration; 0 where there is no limit, or it can't be read."""
    try:
        return 60 * load_config(folder.config_file, TrainingConfig()).max_minutes
    except ConfigError:
        return 0.0


def scanning() -> contextlib.AbstractContextManager[Callable[[int, int, str], None]]:
    """Yield what draws the progress of a scan on the terminal, or nothing where there is none."""
    return drawn_progress("scanning")


@contextlib.contextmanager
def drawn_progress(stage: str) -> Iterator[Callable[[int, int, str], None]]:
    """Yield what draws how far work is, outside a run: how much is done, of how much, and what is under way."""
    terminal = Terminal(sys.stderr) if sys.stderr.isatty() else None

    def on_progress(done: int, total: int, name: str) -> None:
        if terminal:
            terminal.show(PreprocessProgress(stage=stage, done=done, total=total, file=name))

    try:
        yield on_progress
    finally:
        if terminal:
            terminal.clear()


@functools.singledispatch
def in_words(event: Event) -> list[str]:
    """Return an event as lines for a person; none for what is only drawn, such as a step."""
    del event
    return []


@in_words.register
def _(event: RunStarted) -> list[str]:
    return [f"run {event.run} on {event.device}, {event.precision}"]


@in_words.register
def _(event: RunRestarted) -> list[str]:
    taken = f"going on after step {event.from_step:,}" if event.checkpoint else "starting anew"
    return [*(f"passed over: {reason}" for reason in event.rejected), f"{taken} on {event.device}"]


@in_words.register
def _(event: PreprocessDone) -> list[str]:
    skipped = [f"  skipped {one.file}: {one.reason}" for one in event.skipped]
    return [
        f"{counted(event.found, 'recording')} found, {event.used} used, {len(event.skipped)} skipped; "
        f"{duration(event.seconds)} of sound, {counted(event.training_pieces, 'training piece')} an epoch, "
        f"{event.validation_pieces} for validation",
        *skipped,
    ]


@in_words.register
def _(event: VerdictReached) -> list[str]:
    return ["; ".join(part for part in (f"verdict: {event.words}", event.suggestion) if part)]


@in_words.register
def _(event: CheckpointSaved) -> list[str]:
    return [f"saved {event.path}, {size(event.bytes)}"]


@in_words.register
def _(event: PreviewSaved) -> list[str]:
    if event.lsd is None or event.floor_lsd is None:
        return [f"preview in {event.path}"]
    least = f"{event.floor_lsd:.1f} dB is the least possible"
    return [f"preview in {event.path}: {event.lsd:.1f} dB from the recordings; {least}"]


@in_words.register
def _(event: OldRecordingsHeard) -> list[str]:
    return [event.words]


@in_words.register
def _(event: ModelAnalysed) -> list[str]:
    return [f"the model has {axes_in_words(event.axes)}"]


@in_words.register
def _(event: WarningRaised) -> list[str]:
    return ["; ".join(part for part in (f"note: {event.message}", event.evidence, event.suggestion) if part)]


@in_words.register
def _(event: CommandAnswered) -> list[str]:
    match event.answer:
        case "done":
            return [f"{event.command}: {event.words}"]
        case "refused":
            return [f"{event.command} refused: {event.words}"]
        case _:
            return []


@in_words.register
def _(event: RunPaused) -> list[str]:
    return [f"paused by {event.reason} after step {event.step:,}"]


@in_words.register
def _(event: RunUnpaused) -> list[str]:
    return [f"going on after step {event.step:,}"]


@in_words.register
def _(event: RunStopped) -> list[str]:
    by = "ctrl+c" if event.reason == "SIGINT" else event.reason
    saved = f", saved in {event.checkpoint}" if event.checkpoint else "; there was nothing to save yet"
    return [f"stopped by {by} after step {event.step:,}{saved}", *_model(event.model)]


@in_words.register
def _(event: RunFinished) -> list[str]:
    best = f"best was epoch {event.best_epoch:,} with a loss of {_loss(event.best_loss)}"
    return [f"finished after epoch {event.epoch:,}, {event.reason}; {best}", *_model(event.model)]


@in_words.register
def _(event: RunFailed) -> list[str]:
    return [f"failed: {event.message}", *(f"  {line}" for line in event.hint.splitlines()), *_model(event.model)]


def _model(path: str) -> list[str]:
    return [f"model {path}"] if path else []


def _validation(event: EpochDone) -> str:
    return "" if event.validation_loss is None else f"validation {_loss(event.validation_loss)}"


def _rate(event: StepDone) -> str:
    return f"{event.pieces_per_second:,.0f} pieces/s"


def _loss(loss: float | None) -> str:
    return "not finite" if loss is None else f"{loss:.4g}"


def _width(stream: TextIO) -> int:
    """Return how many cells a line of the terminal holds but for the last, behind which some begin a new line."""
    try:
        return (os.get_terminal_size(stream.fileno()).columns or USUAL_WIDTH) - 1
    except (OSError, ValueError):
        return USUAL_WIDTH - 1
