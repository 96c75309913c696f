"""A run's events at the terminal: what the status line keeps when there is little room, and what plain lines tell."""

from __future__ import annotations

import io
import os
import pty
import re
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

import pytest

from distill_engine.console import Lines, Terminal
from distill_engine.events import (
    CommandAnswered,
    EpochDone,
    Event,
    PreprocessDone,
    PreprocessProgress,
    RunPaused,
    RunStarted,
    RunStopped,
    RunUnpaused,
    StepDone,
)
from distill_engine.words import cells, columns, cut

STEPS_PER_EPOCH = 1_000


def begin(max_epochs: int = 200) -> list[Event]:
    return [
        RunStarted(
            time=1.0, protocol=1, run="a", pid=1, host="box", device="cpu", precision="fp32", max_epochs=max_epochs
        ),
        PreprocessDone(
            time=2.0,
            found=3,
            used=3,
            skipped=[],
            seconds=60.0,
            training_pieces=4_000,
            validation_pieces=4,
            steps_per_epoch=STEPS_PER_EPOCH,
        ),
    ]


def step(number: int, time: float) -> StepDone:
    return StepDone(
        time=time,
        step=number,
        epoch=1 + (number - 1) // STEPS_PER_EPOCH,
        loss=0.412345,
        loss_min=0.4,
        loss_max=0.5,
        magnitude=0.1,
        frequency=0.1,
        stft=0.1,
        kl=1.0,
        learning_rate=1e-3,
        kl_weight=1e-4,
        gradient_norm=1.0,
        pieces_per_second=181.4,
    )


def epoch(number: int, time: float, seconds_left: float) -> EpochDone:
    return EpochDone(
        time=time,
        epoch=number,
        step=number * STEPS_PER_EPOCH,
        train_loss=0.4,
        train_magnitude=0.1,
        train_frequency=0.1,
        train_stft=0.1,
        train_kl=1.0,
        validation_loss=0.451234,
        validation_magnitude=0.1,
        validation_frequency=0.1,
        validation_stft=0.1,
        validation_kl=1.0,
        best=True,
        seconds_left=seconds_left,
    )


@contextmanager
def terminal_of(columns: int) -> Iterator[tuple[TextIO, int]]:
    """Yield a terminal's stream for writing, and the descriptor where it is read."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    with open(theirs, "w", encoding="utf-8") as stream:  # noqa: PTH123
        yield stream, ours
    os.close(ours)


def status_line(events: Sequence[Event], columns: int) -> str:
    """Return the line that stands at the end, as a fresh view draws it: the last event is never held back."""
    with terminal_of(columns) as (stream, ours):
        view = Terminal(stream)
        for event in events[:-1]:
            view._note(event)
        view.show(events[-1])
        return os.read(ours, 10_000).decode().removeprefix("\r\x1b[K")


def plain_lines(events: Sequence[Event], most_seconds: float = 0.0) -> list[str]:
    stream = io.StringIO()
    view = Lines(stream, most_seconds)
    for event in events:
        view.show(event)
    return stream.getvalue().splitlines()


def left(events: Sequence[Event], most_seconds: float = 0.0) -> str:
    """Return the time left that the plain line a minute after the last event tells."""
    (found,) = re.findall(r", ([^,]*) left$", plain_lines(events, most_seconds)[-1])
    return str(found)


LATE = [*begin(), epoch(123, 100.0, 725.0), step(123_456, 110.0)]


def test_at_80_columns_losses_rate_and_time_left_stay_and_the_bar_goes() -> None:
    line = status_line(LATE, 80)
    assert cells(line) < 80
    assert line == "epoch 124/200 · loss 0.4123 · validation 0.4512 · 181 p/s · 11 min 55 s left"


def test_where_there_is_room_the_steps_and_a_bar_are_drawn_too() -> None:
    line = status_line(LATE, 160)
    assert re.fullmatch(
        r"epoch 124/200 [━─]{20} · step 123,456/200,000 · loss 0.4123 · .* 181 pieces/s · .* left", line
    )
    narrow = status_line(LATE, 90)
    assert "pieces/s" in narrow
    assert cells(narrow) < 90


@pytest.mark.parametrize("columns", [10, 20, 40, 60, 79, 80, 81, 100, 120, 200])
def test_no_status_line_is_wider_than_the_terminal(columns: int) -> None:
    wide = PreprocessProgress(time=3.0, stage="preparing", done=1, total=30, file="録音データ" * 20)
    for events in (LATE, [wide]):
        assert cells(status_line(events, columns)) < columns


def test_before_the_first_epoch_is_over_the_time_left_is_reckoned_from_the_steps() -> None:
    assert " left" not in status_line([*begin(10), step(1, 10.0)], 200)
    assert status_line([*begin(10), step(1, 10.0), step(101, 20.0)], 200).endswith("16 min 30 s left")


def test_a_limit_of_minutes_bounds_what_is_reckoned() -> None:
    events = [*begin(10), step(1, 10.0), step(101, 20.0), step(701, 80.0)]
    assert left(events) == "15 min 30 s"
    assert left(events, most_seconds=120.0) == "50.0 s"


def test_time_left_counts_by_the_events_own_times_and_not_while_paused() -> None:
    passed = [*begin(), epoch(1, 100.0, 500.0)]
    assert left([*passed, step(1_600, 170.0)]) == "7 min 10 s"
    paused = [
        RunPaused(time=110.0, step=1_100, epoch=1, reason="anna@box"),
        RunUnpaused(time=910.0, step=1_100, epoch=1),
    ]
    assert left([*passed, *paused, step(1_600, 970.0)]) == "7 min 10 s"


def test_plain_lines_tell_something_at_least_every_minute() -> None:
    steps = [step(number, 2.0 + number) for number in range(1, 200)]
    told = plain_lines([*begin(), *steps])
    assert [line.partition(", loss")[0] for line in told[2:]] == [
        f"epoch 1/200, step {number}/200,000" for number in (60, 120, 180)
    ]
    preparing = [
        PreprocessProgress(time=10.0 * n, stage="preparing", done=n, total=30, file="a.wav") for n in range(1, 14)
    ]
    assert plain_lines(preparing) == ["preparing 7/30", "preparing 13/30"]


def test_orders_and_endings_have_words() -> None:
    answers = [
        CommandAnswered(id="1", command="checkpoint", answer="heard", words=""),
        CommandAnswered(id="1", command="checkpoint", answer="done", words="saved at step 12"),
        CommandAnswered(id="2", command="preview", answer="refused", words="nothing is learnt yet"),
        RunPaused(step=1_200, epoch=1, reason="anna@box"),
        RunUnpaused(step=1_200, epoch=1),
        RunStopped(step=1_300, epoch=1, reason="anna@box", checkpoint="checkpoints/c", model="/models/a.distill"),
        RunStopped(step=1_300, epoch=1, reason="SIGTERM", checkpoint="checkpoints/c"),
        RunStopped(step=0, epoch=0, reason="SIGINT", checkpoint=""),
    ]
    assert plain_lines(answers) == [
        "checkpoint: saved at step 12",
        "preview refused: nothing is learnt yet",
        "paused by anna@box after step 1,200",
        "going on after step 1,200",
        "stopped by anna@box after step 1,300, saved in checkpoints/c",
        "model /models/a.distill",
        "stopped by SIGTERM after step 1,300, saved in checkpoints/c",
        "stopped by ctrl+c after step 0; there was nothing to save yet",
    ]


def test_a_stream_that_breaks_falls_silent() -> None:
    class Broken(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    view = Lines(Broken())
    for event in LATE:
        view.show(event)


def test_text_is_measured_and_cut_by_cells() -> None:
    assert [cells(text) for text in ("abc", "録音", "e\u0301", "🎹")] == [3, 4, 1, 2]
    assert [cut("a録音", width) for width in (0, 1, 2, 3, 9)] == ["", "a", "a", "a録", "a録音"]
    assert columns([("録", "x"), ("abc", "y")]) == ["録   x", "abc  y"]
