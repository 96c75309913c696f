"""A run's events for the person at the terminal: a status line that is drawn over, plain lines elsewhere, or JSON.

Showing never disturbs a run: once the terminal is gone or the pipe is closed, a view falls silent.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol, TextIO

from distill_engine.events import (
    CheckpointSaved,
    EpochDone,
    Event,
    PreprocessDone,
    PreprocessProgress,
    PreviewSaved,
    RunFailed,
    RunFinished,
    RunRestarted,
    RunStarted,
    RunStopped,
    StepDone,
    WarningRaised,
    encode,
)
from distill_engine.words import counted, duration, shown, size

BAR_WIDTH = 20
REDRAWS_PER_SECOND = 10
_SIGNALS = {"SIGINT": "Ctrl+C", "SIGHUP": "the end of the terminal", "SIGTERM": "the system"}


class View(Protocol):
    """Shows events as they come."""

    def show(self, event: Event) -> None:
        """Show one event."""


class JsonView:
    """Writes every event as the line that stands in the run's log."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream: BinaryIO | None = stream

    def show(self, event: Event) -> None:
        """Write one line and flush it."""
        if self._stream is None:
            return
        try:
            self._stream.write(encode(event))
            self._stream.flush()
        except OSError:
            self._stream = None


class Lines:
    """Writes what happened as plain lines, and nothing else: for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream
        self._steps_per_epoch = 0
        self._max_epochs = 0

    def show(self, event: Event) -> None:
        """Write the event's line, where it has one."""
        self._note(event)
        for line in self._lines(event):
            self._write(line + "\n")

    def _note(self, event: Event) -> None:
        match event:
            case RunStarted() | RunRestarted():
                self._max_epochs = event.max_epochs
            case PreprocessDone():
                self._steps_per_epoch = event.steps_per_epoch

    def _lines(self, event: Event) -> list[str]:
        return [self._epoch(event)] if isinstance(event, EpochDone) else in_words(event)

    def _epoch(self, event: EpochDone) -> str:
        validation = f", validation {_loss(event.validation_loss)}" if event.validation_loss is not None else ""
        best = " (best)" if event.best else ""
        return (
            f"epoch {event.epoch:,}/{self._max_epochs:,}, step {event.step:,}: "
            f"loss {_loss(event.train_loss)}{validation}{best}, {duration(event.seconds_left)} left"
        )

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._stream = None


class Terminal(Lines):
    """Draws one status line over and over; what should stay on the screen is written above it."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        unicode = (getattr(stream, "encoding", "") or "").lower().replace("-", "") == "utf8"
        self._full, self._empty, self._dot = ("━", "─", " · ") if unicode else ("#", ".", " | ")
        self._drawn_at = 0.0
        self._validation = ""

    def show(self, event: Event) -> None:
        """Draw the event into the status line, or write it above."""
        self._note(event)
        match event:
            case PreprocessProgress():
                self._draw(
                    f"{event.stage} {self._bar(event.done, event.total)} {event.done}/{event.total}  {event.file}"
                )
            case StepDone():
                self._draw(self._status(event))
            case EpochDone():
                validation = event.validation_loss
                self._validation = "" if validation is None else f" (validation {_loss(validation)})"
                self._left, self._left_at = event.seconds_left, time.monotonic()
            case CheckpointSaved():
                pass
            case _:
                for line in self._lines(event):
                    self._write(f"\r\x1b[K{line}\n")

    _left: float | None = None
    _left_at = 0.0

    def _status(self, event: StepDone) -> str:
        total = self._max_epochs * self._steps_per_epoch
        left = ""
        if self._left is not None:
            left = f"{self._dot}{duration(max(0.0, self._left - (time.monotonic() - self._left_at)))} left"
        return (
            f"epoch {event.epoch:,}/{self._max_epochs:,}{self._dot}step {event.step:,}/{total:,} "
            f"{self._bar(event.step, total)} loss {_loss(event.loss)}{self._validation}{self._dot}"
            f"{event.pieces_per_second:,.0f} pieces/s{left}"
        )

    def _bar(self, done: int, total: int) -> str:
        filled = round(BAR_WIDTH * min(1.0, done / total)) if total else 0
        return self._full * filled + self._empty * (BAR_WIDTH - filled)

    def clear(self) -> None:
        """Take the status line away."""
        self._write("\r\x1b[K")

    def _draw(self, text: str) -> None:
        now = time.monotonic()
        if now - self._drawn_at < 1 / REDRAWS_PER_SECOND:
            return
        self._drawn_at = now
        width = shutil.get_terminal_size().columns - 1
        self._write(f"\r\x1b[K{shown(text)[:width]}")


def view_for(*, json: bool) -> View:
    """Return the view that fits: JSON lines on stdout where asked for, else words on stderr."""
    if json:
        return JsonView(sys.stdout.buffer)
    return Terminal(sys.stderr) if sys.stderr.isatty() else Lines(sys.stderr)


@contextlib.contextmanager
def scanning() -> Iterator[Callable[[int, int, str], None]]:
    """Yield what draws the progress of a scan on the terminal, or nothing where there is none."""
    terminal = Terminal(sys.stderr) if sys.stderr.isatty() else None

    def on_progress(done: int, total: int, name: str) -> None:
        if terminal:
            terminal.show(PreprocessProgress(stage="scanning", done=done, total=total, file=name))

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
    skipped = [f"  skipped {shown(one.file)}: {one.reason}" for one in event.skipped]
    return [
        f"{counted(event.found, 'recording')} found, {event.used} used, {len(event.skipped)} skipped; "
        f"{duration(event.seconds)} of sound, {counted(event.training_pieces, 'training piece')} an epoch, "
        f"{event.validation_pieces} for validation",
        *skipped,
    ]


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
def _(event: WarningRaised) -> list[str]:
    return ["; ".join(part for part in (f"note: {event.message}", event.evidence, event.suggestion) if part)]


@in_words.register
def _(event: RunStopped) -> list[str]:
    saved = f", saved in {event.checkpoint}" if event.checkpoint else "; there was nothing to save yet"
    return [f"stopped by {_SIGNALS.get(event.reason, event.reason)} after step {event.step:,}{saved}"]


@in_words.register
def _(event: RunFinished) -> list[str]:
    best = f"best was epoch {event.best_epoch:,} with a loss of {_loss(event.best_loss)}"
    return [f"finished after epoch {event.epoch:,}, {event.reason}; {best}", f"model {shown(event.model)}"]


@in_words.register
def _(event: RunFailed) -> list[str]:
    return [f"failed: {event.message}", *(f"  {line}" for line in event.hint.splitlines())]


def _loss(loss: float | None) -> str:
    return "not finite" if loss is None else f"{loss:.4g}"
