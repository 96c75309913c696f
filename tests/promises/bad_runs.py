"""Run folders of strangers: their logs, what they say of themselves, and the paths they name."""

from __future__ import annotations

import json
import random
import time
import zlib

from hypothesis import strategies as st

from distill_engine.run_folder import RunFolder
from distill_engine.run_history import History
from distill_engine.run_reading import glance, outline, read
from distill_tui.drafts.speeds import known_speeds
from distill_tui.format import run_in_brief
from distill_tui.live_run import RunView
from distill_tui.remembered import Seen
from distill_tui.runs.run_list import RunList
from distill_tui.runs.run_summary import changes_since, happenings, header, verdict_line
from tests.promises.hostile import damaged, each, mutations, spoilt, written
from tests.promises.strangers import RUN, good_events, good_run
from tests.promises.trial import Size
from tests.promises.watching import check_plain, commanded, watched

COMMANDS = (("show", RUN), ("show", RUN, "--json"), ("follow", RUN), ("follow", RUN, "--json"), ("runs", "--json"))


def bad_logs(size: Size) -> int:
    """Try logs of which events are other than they should be, or bytes; return how many."""
    run, events = good_run(), good_events()
    looks = _Looks(run)

    def tried(change: tuple[int, object]) -> None:
        place, event = change
        lines = [json.dumps(one).encode() for one in events]
        lines[place] = written(event)
        looks.at(b"\n".join(lines) + b"\n")

    changes = st.integers(0, len(events) - 1).flatmap(lambda place: st.tuples(st.just(place), mutations(events[place])))
    each(changes, size.of(10, 300), tried)
    spoilt_events = [(place, bad) for place, event in enumerate(events) for bad in spoilt(event)]
    for change in spoilt_events[:: size.of(len(spoilt_events) // 20, 4)]:
        tried(change)
    draw, good = random.Random(size.seed), b"".join(json.dumps(one).encode() + b"\n" for one in events)
    for _ in range(size.of(10, 300)):
        looks.at(damaged(draw, good))
    return looks.count


def bad_descriptions(size: Size) -> int:
    """Try run.json and config.toml of a run; return how many."""
    run = good_run("described")
    looks = _Looks(run)
    good = json.loads(run.run_file.read_bytes())

    def tried(document: object) -> None:
        run.run_file.write_bytes(written(document))
        looks.again()

    each(mutations(good), size.of(5, 150), tried)
    for document in [*spoilt(good)][:: size.of(40, 2)]:
        tried(document)
    draw, text = random.Random(size.seed), json.dumps(good).encode()
    for _ in range(size.of(3, 100)):
        run.run_file.write_bytes(damaged(draw, text))
        looks.again()
    run.run_file.write_bytes(text)
    config = run.config_file.read_bytes()
    for _ in range(size.of(3, 100)):
        run.config_file.write_bytes(damaged(draw, config))
        looks.again()
    return looks.count


class _Looks:
    """Looks at a run in all ways there are, a command at a time and the dashboard's parts each time."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self.count = 0

    def at(self, log: bytes) -> None:
        """Look at it with this log."""
        self._run.events_file.write_bytes(log)
        self.again()

    def again(self) -> None:
        """Look at it as it is."""
        command = COMMANDS[zlib.crc32(self._run.events_file.read_bytes()) % len(COMMANDS)]
        self.count += 1
        commanded(*(self._run.name if word == RUN else word for word in command))
        with watched():
            _as_the_dashboard_does(self._run)


def _as_the_dashboard_does(run: RunFolder) -> None:
    from distill_engine.event_reader import EventReader, missing_ending

    now = time.time()
    reader, history = EventReader(run), History()
    while batch := reader.read():
        history.append(batch)
    history.append(missing_ending(run, reader.last))
    whole = read(run, before=now - 86_400)
    for state in (glance(run).state, outline(run).state, whole.state):
        view = RunView(folder=run, info=whole.info, state=state, history=history, filling=False, holder=None)
        for words in _words_of(view, now):
            check_plain(words, "the dashboard")
    RunList().refreshed()
    known_speeds()


def _words_of(view: RunView, now: float) -> list[str]:
    lines = [*header(view, now, 80), verdict_line(view, 80)]
    told = [part for one in happenings(view) for part in (one.words, *one.details)]
    new = [change.words for change in changes_since(view, Seen(time=1_750_000_000.0, seq=0))]
    return [run_in_brief(view.state, view.name)[0], *told, *new, *(text for line in lines for text, _ in line)]
