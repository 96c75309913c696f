"""Reading a log at once and line by line: whatever is odd in it, each event comes once, and the rest comes too."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from distill_engine.event_reader import CHUNK, EventReader
from distill_engine.events import LONGEST_LINE, AnyEvent, WarningRaised, encode
from distill_engine.run_folder import RunFolder
from tests.engine.run_logs import new_run

UNKNOWN = b'{"type":"MoodChanged","seq":%d,"time":1.0}\n'


def line(seq: int, message: str = "m") -> bytes:
    return encode(WarningRaised(seq=seq, time=100.0 + seq, kind="k", message=message, evidence="", suggestion=""))


def written(*lines: bytes) -> RunFolder:
    run = new_run()
    run.events_file.write_bytes(b"".join(lines))
    return run


def all_of(reader: EventReader) -> list[AnyEvent]:
    """Return all that is there now."""
    events: list[AnyEvent] = []
    while batch := reader.read():
        events += batch
    return events


@pytest.mark.parametrize(
    ("odd", "unreadable"),
    [
        (UNKNOWN % 51, 0),
        (b"\n", 1),
        (b"garbage\n", 1),
        (b'{"type":"WarningRaised","seq":51,"time":1.0,"message":"\xff"}\n', 1),
        (line(51).rstrip() + line(52), 1),
        (b'{"type":{},"seq":51}\n', 1),
        (b'{"type":"WarningRaised","more":' + b"[" * 100_000 + b"\n", 1),
        (b'{"type":"WarningRaised","seq":51,"time":1e300}\n', 1),
        (b"x" * (2 * LONGEST_LINE + 1) + b"\n", 3),
        (b'{"type":"RunUnpaused","seq":51,"time":1.0,"step":1,"epoch":0}'.replace(b",", b",\n") + b"\n", 5),
    ],
    ids=[
        "unknown",
        "empty",
        "garbage",
        "no text",
        "two in a line",
        "no type",
        "deep",
        "no moment",
        "vast",
        "one over lines",
    ],
)
def test_an_odd_line_among_others_is_passed_over_alone(odd: bytes, unreadable: int) -> None:
    lines_before = [line(seq) for seq in range(1, 51)]
    count = odd.count(b"\n")
    lines_after = [line(seq) for seq in range(51 + count, 101)]
    reader = EventReader(written(*lines_before, odd, *lines_after))
    assert [event.seq for event in all_of(reader)] == [*range(1, 51), *range(51 + count, 101)]
    assert reader.unreadable == unreadable
    assert reader.last is not None
    assert reader.last.seq == 100


@pytest.mark.parametrize("after", [0, 1, 49, 50, 51, 4999, 5000])
@pytest.mark.parametrize("kind", [line, lambda seq: line(seq) if seq % 100 else UNKNOWN % seq], ids=["known", "newer"])
def test_from_a_number_on_only_later_events_come_wherever_it_lies(kind: Callable[[int], bytes], after: int) -> None:
    reader = EventReader(written(*map(kind, range(1, 5001))), after)
    known = [seq for seq in range(after + 1, 5001) if kind(seq) == line(seq)]
    assert [event.seq for event in all_of(reader)] == known


def test_a_torn_line_comes_once_it_is_whole() -> None:
    run = written(line(1), line(2), line(3)[:20])
    reader = EventReader(run)
    assert [event.seq for event in all_of(reader)] == [1, 2]
    with run.events_file.open("ab") as file:
        file.write(line(3)[20:] + line(4))
    assert [event.seq for event in all_of(reader)] == [3, 4]


def test_lines_written_anew_with_the_same_numbers_come_again() -> None:
    run = written(*map(line, range(1, 11)))
    reader = EventReader(run)
    assert len(all_of(reader)) == 10
    later = [line(seq).replace(b'"time":10', b'"time":99') for seq in range(6, 11)]
    run.events_file.write_bytes(b"".join([*map(line, range(1, 6)), *later[:-1]]))
    assert [(event.seq, event.time) for event in all_of(reader)] == [(seq, 990.0 + seq) for seq in range(6, 10)]


def test_after_a_long_line_as_much_is_read_at_once_as_before_it() -> None:
    short = [line(seq) for seq in range(3, 40_000)]
    reader = EventReader(written(line(1), line(2, "x" * 4 * CHUNK), *short))
    batches = [reader.read() for _ in range(20)]
    assert [event.seq for batch in batches for event in batch][:3] == [1, 2, 3]
    longest = max(len(batch) for batch in batches[3:])
    assert 0 < longest <= CHUNK // len(short[0]) + 1
