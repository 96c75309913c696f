"""The protocol's lines: what stands where, and what a reader of another version makes of them."""

from __future__ import annotations

import json
import typing
from typing import Any

import msgspec
import pytest

from distill_engine.events import Answer, AnyEvent, Event, RunStarted, StepDone, WarningRaised, decode, encode

KINDS: tuple[type[Event], ...] = typing.get_args(AnyEvent)


def example(kind: type[Event]) -> Event:
    """Return an event with a value in every field."""
    values: dict[Any, Any] = {str: "x", int: 3, int | None: 3, float: 0.5, bool: True, Answer: "done"}
    hints = typing.get_type_hints(kind)  # without the limits of numbers and words
    fields: dict[str, Any] = {
        name: values.get(hints[name], [] if "list" in str(hints[name]) else 0.25) for name in kind.__struct_fields__
    }
    return kind(**fields)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_event_is_one_flat_line_that_reads_back(kind: type[Event]) -> None:
    event = example(kind)
    line = encode(event)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert list(json.loads(line))[:3] == ["type", "seq", "time"]
    assert json.loads(line)["type"] == kind.__name__
    assert decode(line) == event


def test_the_line_of_a_start_is_the_one_other_programs_rely_on() -> None:
    event = RunStarted(
        seq=1, time=2.0, protocol=1, run="a", pid=4711, host="box", device="cpu", precision="bf16", max_epochs=4
    )
    assert encode(event) == (
        b'{"type":"RunStarted","seq":1,"time":2.0,"protocol":1,"run":"a","pid":4711,"host":"box","device":"cpu",'
        b'"precision":"bf16","max_epochs":4}\n'
    )


def test_unknown_types_are_passed_over_and_unknown_fields_ignored() -> None:
    assert decode(b'{"type":"MoodChanged","seq":4,"time":1.0,"mood":"blue"}') is None
    warning = decode(
        b'{"type":"WarningRaised","seq":4,"time":1.0,"kind":"k","message":"m","evidence":"","suggestion":"","new":[1]}'
    )
    assert isinstance(warning, WarningRaised)
    assert warning.message == "m"


def test_numbers_that_are_not_finite_become_null() -> None:
    event = typing.cast("StepDone", example(StepDone))
    line = encode(msgspec.structs.replace(event, loss=float("nan"), loss_max=float("inf")))
    back = decode(line)
    assert isinstance(back, StepDone)
    assert (back.loss, back.loss_max, back.loss_min) == (None, None, 0.25)


@pytest.mark.parametrize("line", [b"", b"{", b'{"type":"StepDone","seq":1}', b"\xff"])
def test_a_broken_line_is_an_error_not_an_event(line: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decode(line)
