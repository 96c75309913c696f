"""Runs from outside: what a follower gets whatever happens to the run, orders and their answers, starting a worker."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import pytest

from distill_engine.client import (
    BATCHES_WAITING,
    Events,
    NotRunningError,
    command,
    follow,
    start_run,
    start_worker,
)
from distill_engine.errors import DistillError
from distill_engine.events import (
    AnyEvent,
    Checkpoint,
    CommandAnswered,
    Pause,
    RunFailed,
    RunFinished,
    RunRestarted,
    RunStarted,
    Stop,
    StopNow,
    WarningRaised,
)
from distill_engine.run_folder import RunFolder
from distill_engine.run_lock import lock_holder
from distill_engine.start import Wishes, plan_run
from tests.engine.runs import SMALL, write_dataset
from tests.engine.writer import Writer, lines_of, new_run

P = ParamSpec("P")
PATIENCE = 60.0


def in_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test in a loop of its own, and see to it that it ends and leaves no thread."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def patiently() -> None:
            async with asyncio.timeout(PATIENCE):
                await test(*args, **kwargs)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        before = threading.active_count()
        asyncio.run(patiently())
        deadline = time.monotonic() + PATIENCE
        while threading.active_count() > before:  # what waits for a worker lives as long as that
            assert time.monotonic() < deadline
            time.sleep(0.01)

    return run


async def taken(queue: Events, count: int) -> list[AnyEvent]:
    """Return events until there are so many."""
    events: list[AnyEvent] = []
    while len(events) < count:
        batch = await queue.get()
        assert batch is not None
        events += batch
    return events


async def rest(queue: Events) -> list[AnyEvent]:
    """Return events until the end."""
    events: list[AnyEvent] = []
    while (batch := await queue.get()) is not None:
        events += batch
    return events


async def all_of(run: RunFolder, after: int = 0) -> list[AnyEvent]:
    async with follow(run, after) as queue:
        return await rest(queue)


def a_line(seq: int, **fields: object) -> str:
    known = {"kind": "k", "message": "m", "evidence": "", "suggestion": ""}
    return json.dumps({"type": "WarningRaised", "seq": seq, "time": 1.0 + seq} | known | fields)


def seqs(events: list[AnyEvent]) -> list[int]:
    return [event.seq for event in events]


@in_a_loop
async def test_a_follower_that_comes_late_gets_every_event_once() -> None:
    run = new_run()
    with Writer(run) as writer:
        writer.do("start", "notes 50")
        async with follow(run) as queue:
            events = await taken(queue, 51)
            writer.do("notes 50", "finish")
            events += await taken(queue, 51)
            assert queue.empty()  # the lock is held: something may yet come
            writer.kill()
            events += await rest(queue)
    assert seqs(events) == list(range(1, 103))
    assert isinstance(events[-1], RunFinished)


@in_a_loop
async def test_a_follower_from_a_number_on_gets_only_later_events() -> None:
    run = new_run()
    with Writer(run) as writer:
        writer.do("start", "notes 8", "finish")
    assert seqs(await all_of(run, after=6)) == [7, 8, 9, 10]
    assert await all_of(run, after=10) == []


@in_a_loop
async def test_a_torn_line_is_waited_for() -> None:
    run = new_run()
    line = a_line(2)
    with Writer(run) as writer:
        writer.do("start", f"raw {line[:40]}")
        async with follow(run) as queue:
            assert seqs(await taken(queue, 1)) == [1]
            await asyncio.sleep(0.2)
            writer.do(f"raw {line[40:60]}")
            await asyncio.sleep(0.2)
            writer.do(f"raw {line[60:]}", "newline", "notes 1")
            assert seqs(await taken(queue, 2)) == [2, 3]


@in_a_loop
async def test_a_line_longer_than_any_chunk_is_read() -> None:
    run = new_run()
    with Writer(run) as writer:
        writer.do("start", "long 2000000", "notes 2", "finish")
    assert seqs(await all_of(run)) == [1, 2, 3, 4, 5]


@in_a_loop
async def test_a_worker_killed_in_the_middle_of_a_line_is_told_and_nothing_is_written() -> None:
    run = new_run()
    with Writer(run) as writer:
        async with follow(run) as queue:
            writer.do("start", "notes 3", 'raw {"type":"WarningRaised","se')
            await taken(queue, 4)
            before = run.events_file.read_bytes()
            writer.kill()
            (death,) = await rest(queue)
    assert isinstance(death, RunFailed)
    assert death.seq == 0
    assert "resume a" in death.hint
    assert run.events_file.read_bytes() == before


@in_a_loop
async def test_a_follower_goes_on_through_a_restart() -> None:
    run = new_run()
    with Writer(run) as writer:
        async with follow(run) as queue:
            writer.do("start", "notes 3", 'raw {"type":"WarningRaised","se')
            await taken(queue, 4)
            writer.do("restart 7", "notes 2")
            events = await taken(queue, 3)
    assert seqs(events) == [5, 6, 7]
    assert isinstance(events[0], RunRestarted)


@in_a_loop
async def test_a_run_resumed_after_a_kill_is_followed_from_where_one_was() -> None:
    run = new_run()
    with Writer(run) as writer:
        writer.do("start", "notes 3", 'raw {"type":"WarningRaised","se')
    seen = await all_of(run)
    assert seqs(seen) == [1, 2, 3, 4, 0]
    with Writer(run) as writer:
        writer.do("restart 0", "finish")
    later = await all_of(run, after=seen[-2].seq)
    assert seqs(later) == [5, 6]
    assert isinstance(later[0], RunRestarted)


@pytest.mark.parametrize("added", [0, 100])
@in_a_loop
async def test_a_file_that_loses_lines_is_followed_from_where_it_differs(added: int) -> None:
    """As after a power cut, when what was not yet on disk is gone; also where it has grown past its length since."""
    run = new_run()
    with Writer(run) as writer:
        async with follow(run) as queue:
            writer.do("start", "notes 9")
            await taken(queue, 10)
            writer.ask("keep 6", "restart 3", f"notes {added}", "finish")
            events = await taken(queue, added + 2)
    assert seqs(events) == list(range(7, 9 + added))
    assert isinstance(events[0], RunRestarted)


@in_a_loop
async def test_a_file_written_anew_beside_the_old_one_goes_on() -> None:
    run = new_run()
    with Writer(run) as writer:
        async with follow(run) as queue:
            writer.do("start", "notes 9")
            await taken(queue, 10)
            copy = run.path / "copy"
            shutil.copyfile(run.events_file, copy)
            with copy.open("a") as file:
                file.write(a_line(11) + "\n")
            copy.replace(run.events_file)
            assert seqs(await taken(queue, 1)) == [11]


@in_a_loop
async def test_types_and_fields_of_a_newer_version_are_passed_over() -> None:
    run = new_run()
    unknown = '{"type":"MoodChanged","seq":2,"time":1.0,"mood":"blue"}'
    with Writer(run) as writer:
        writer.do("start", f"line {unknown}", f"line {a_line(3, mood='blue')}", "finish")
    assert seqs(await all_of(run)) == [1, 3, 4]


@in_a_loop
async def test_a_log_of_many_lines_of_unknown_types_is_not_taken_for_a_silent_one() -> None:
    run = new_run()
    with Writer(run) as writer:
        writer.do("start")
        unknown = (f'{{"type":"MoodChanged","seq":{seq},"time":1.0,"mood":"blue"}}' for seq in range(2, 20_002))
        with run.events_file.open("a") as file:
            file.write("\n".join([*unknown, a_line(20_002), ""]))
        async with follow(run) as queue:
            assert seqs(await taken(queue, 2)) == [1, 20_002]


@in_a_loop
async def test_lines_that_cannot_be_read_are_told_and_passed_over() -> None:
    run = new_run()
    with Writer(run) as writer:
        writer.do(
            "start", "line garbage", 'line {"type":"StepDone","seq":3,"time":1.0,"step":"one"}', "notes 1", "finish"
        )
    events = await all_of(run)
    assert seqs(events) == [1, 4, 5, 0]
    told = events[-1]
    assert isinstance(told, WarningRaised)
    assert told.message.startswith("2 lines")


@in_a_loop
async def test_a_gap_in_the_numbers_does_not_hold_a_follower_up() -> None:
    run = new_run()
    with Writer(run) as writer:
        writer.do("start")
        async with follow(run) as queue:
            await taken(queue, 1)
            writer.do(f"line {a_line(5)}")
            assert seqs(await taken(queue, 1)) == [5]
            writer.do(f"line {a_line(5)}", f"line {a_line(6)}")
            assert seqs(await taken(queue, 1))[-1:] == [6]


@in_a_loop
async def test_a_folder_that_vanishes_is_told() -> None:
    run = new_run()
    with Writer(run) as writer:
        writer.do("start", "notes 3")
        async with follow(run) as queue:
            await taken(queue, 4)
            shutil.rmtree(run.path)
            (end,) = await rest(queue)
    assert isinstance(end, RunFailed)
    assert (end.seq, end.message) == (0, "the run's folder is gone")


@in_a_loop
async def test_a_run_that_never_was_is_told() -> None:
    (end,) = await all_of(RunFolder(Path("/nowhere/at/all")))
    assert isinstance(end, RunFailed)


@in_a_loop
async def test_a_log_that_cannot_be_read_is_told() -> None:
    run = new_run()
    run.events_file.mkdir()
    (end,) = await all_of(run)
    assert isinstance(end, RunFailed)
    assert "can't be read" in end.message


@in_a_loop
async def test_a_new_run_is_waited_for_and_an_old_one_that_nobody_began_is_told() -> None:
    run = new_run()
    async with follow(run) as queue:
        await asyncio.sleep(0.8)
        assert queue.empty()
        with Writer(run) as writer:
            writer.do("start")
            assert seqs(await taken(queue, 1)) == [1]
    old = new_run("old")
    os.utime(old.run_file, (1.0, 1.0))
    (end,) = await all_of(old)
    assert isinstance(end, RunFailed)
    assert end.message == "no worker has begun the run"


@in_a_loop
async def test_twenty_thousand_events_come_in_order() -> None:
    run = new_run()
    with Writer(run) as writer:
        async with follow(run) as queue:
            writer.ask("start", "notes 19999")
            events = await taken(queue, 20_000)
    assert seqs(events) == list(range(1, 20_001))


@in_a_loop
async def test_a_slow_reader_holds_the_follower_back_and_loses_nothing() -> None:
    run = new_run()
    with Writer(run) as writer:
        writer.do("start", "notes 60000", "finish")
    async with follow(run) as queue:
        while not queue.full():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        assert queue.qsize() == BATCHES_WAITING
        events = []
        while (batch := await queue.get()) is not None:
            assert len(batch) < 4000
            events += batch
            await asyncio.sleep(0)
    assert seqs(events) == list(range(1, 60_003))


@in_a_loop
async def test_a_follower_that_is_left_leaves_nothing_behind() -> None:
    """Also one that is left while it waits for room in its queue; `in_a_loop` looks for tasks and threads."""
    run = new_run()
    with Writer(run) as writer:
        writer.do("start", "notes 60000")
        async with follow(run) as queue:
            while not queue.full():
                await asyncio.sleep(0.01)
        follower = asyncio.create_task(all_of(run))
        await asyncio.sleep(0.1)
        follower.cancel()
        with pytest.raises(asyncio.CancelledError):
            await follower


@in_a_loop
async def test_what_breaks_in_the_body_of_a_follower_comes_out_as_it_is() -> None:
    run = new_run()
    with pytest.raises(KeyError):
        async with follow(run):
            raise KeyError


@in_a_loop
async def test_followers_do_not_disturb_each_other() -> None:
    run = new_run()
    with Writer(run) as writer:
        writer.do("start")
        followers = [asyncio.create_task(all_of(run, after)) for after in (0, 0, 500)]
        await asyncio.sleep(0.1)
        await asyncio.to_thread(writer.do, "notes 998", "finish", "release")
        all_seen = await asyncio.gather(*followers)
    assert [seqs(seen) for seen in all_seen] == [list(range(1, 1001)), list(range(1, 1001)), list(range(501, 1001))]


@in_a_loop
async def test_an_order_is_answered_after_it_was_heard() -> None:
    run = new_run()
    heard: list[CommandAnswered] = []
    with Writer(run) as writer:
        writer.do("start", "notes 10")
        writer.ask("hear", "done saved it")
        answer = await command(run, Checkpoint, PATIENCE, on_heard=heard.append, sender="me")
        assert (answer.answer, answer.command, answer.words) == ("done", "checkpoint", "saved it")
        writer.ask("hear", "refused not now")
        assert (await command(run, Pause, PATIENCE)).answer == "refused"
    assert [(one.id, one.answer) for one in heard] == [(answer.id, "heard")]
    first, second = (json.loads(line) for line in lines_of(run.commands_file))
    assert (first["type"], first["sender"]) == ("checkpoint", "me")
    assert "@" in second["sender"]


@in_a_loop
async def test_orders_of_several_at_once_are_each_answered() -> None:
    run = new_run()
    with Writer(run) as writer:
        writer.do("start")
        writer.ask(*["hear", "done"] * 5)
        answers = await asyncio.gather(*(command(run, Checkpoint, PATIENCE) for _ in range(5)))
    assert len({answer.id for answer in answers}) == 5


@in_a_loop
async def test_a_run_without_a_worker_takes_no_orders() -> None:
    run = new_run()
    with pytest.raises(NotRunningError) as error:
        await command(run, Stop, PATIENCE)
    assert "show a" in error.value.hint
    assert not run.commands_file.exists()


@in_a_loop
async def test_a_worker_that_ends_before_it_answers_is_told() -> None:
    run = new_run()
    with Writer(run) as writer:
        writer.do("start")
        asking = asyncio.create_task(command(run, Stop, PATIENCE, on_heard=lambda _: writer.kill()))
        writer.ask("hear")
        with pytest.raises(NotRunningError, match="ended before it answered stop"):
            await asking


@in_a_loop
async def test_a_deadline_that_passes_says_what_one_can_do() -> None:
    run = new_run()
    with Writer(run) as writer:
        writer.do("start")
        with pytest.raises(DistillError, match="has not heard stop-now yet") as unheard:
            await command(run, StopNow, 0.2)
        assert f"kill -9 {lock_holder(run)}" in unheard.value.hint
        writer.do("hear")
        asking = asyncio.create_task(command(run, Stop, 2.0))
        writer.ask("hear")
        with pytest.raises(DistillError, match="heard stop but has not carried it out"):
            await asking


@in_a_loop
async def test_an_order_that_cannot_be_written_is_told() -> None:
    run = new_run()
    run.commands_file.mkdir()
    with Writer(run) as writer:
        writer.do("start")
        with pytest.raises(DistillError, match="can't be written"):
            await command(run, Stop, PATIENCE)


def small_wishes(**changes: object) -> Wishes:
    return Wishes(settings=[f"{key}={str(value).lower()}" for key, value in (SMALL | changes).items()])


@in_a_loop
async def test_a_run_started_in_the_background_lives_in_a_session_of_its_own_and_heeds_orders(tmp_path: Path) -> None:
    plan = plan_run(write_dataset(tmp_path / "sounds"), small_wishes(max_epochs=100_000))
    run = await start_run(plan, "strings")
    pid = lock_holder(run)
    assert pid is not None
    assert os.getsid(pid) == pid
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    with pytest.raises(DistillError, match=str(pid)):
        await start_worker(run)
    async with follow(run) as queue:
        (first, *_) = await taken(queue, 1)
        assert isinstance(first, RunStarted)
        assert first.pid == pid
        answer = await command(run, StopNow, PATIENCE)
        assert answer.answer == "done"
        await rest(queue)
    while Path(f"/proc/{pid}").exists():  # a zombie would stay as long as we live
        await asyncio.sleep(0.01)
    assert isinstance(await start_worker(run), RunRestarted)
    second = lock_holder(run)
    assert (await command(run, StopNow, PATIENCE)).answer == "done"
    while Path(f"/proc/{second}").exists():
        await asyncio.sleep(0.01)


@in_a_loop
async def test_a_run_whose_last_line_is_long_is_not_taken_for_begun_by_its_old_start() -> None:
    run = new_run()
    with Writer(run) as writer:
        writer.do("start", "long 200000", "restart 0", "long 200000")
    run.run_file.unlink()
    with pytest.raises(DistillError, match=r"run\.json can't be read"):
        await start_worker(run)


@in_a_loop
async def test_a_run_that_is_not_there_can_have_no_worker() -> None:
    with pytest.raises(DistillError, match="No such file"):
        await start_worker(RunFolder(Path("/nowhere/at/all")))


@in_a_loop
async def test_a_run_that_cannot_begin_says_why(tmp_path: Path) -> None:
    plan = plan_run(write_dataset(tmp_path / "sounds"), small_wishes(device="cuda:63"))
    with pytest.raises(DistillError, match="cuda:63") as error:
        await start_run(plan)
    assert error.value.hint


@in_a_loop
async def test_a_worker_that_breaks_at_once_is_told_with_the_end_of_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run()
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # an interpreter without its library dies as it starts
    run.worker_log.write_text("an older story\n")
    with pytest.raises(DistillError, match="ended before it began") as error:
        await start_worker(run)
    assert "Python" in error.value.hint
    assert "story" not in error.value.hint
    assert "Traceback" not in error.value.hint
