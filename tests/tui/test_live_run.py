"""Following a run for the screens: the end of the log first, the history behind it, and on after the run's end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from distill_engine.events import RunRestarted
from distill_engine.replay import read_recorded, write_beginning
from distill_engine.run_folder import RunFolder
from distill_tui.live_run import LiveRun, RunView
from tests.engine.test_replay import playing, recorded_in
from tests.recorded_runs import unpacked, unpacked_long

PATIENCE = 30.0


async def views_until(folder: RunFolder, is_enough: Callable[[RunView], bool], pace: float = 0.0) -> list[RunView]:
    """Follow a run until a view is enough; return all views until then."""
    views: list[RunView] = []
    enough = asyncio.Event()

    def publish(view: RunView) -> None:
        views.append(view)
        if is_enough(view):
            enough.set()

    task = asyncio.create_task(LiveRun(folder, publish, lambda: pace).watch())
    try:
        await asyncio.wait_for(enough.wait(), PATIENCE)
    finally:
        task.cancel()
        await asyncio.wait([task])
    return views


def is_whole(view: RunView) -> bool:
    return not view.filling


def test_a_long_run_shows_its_last_step_before_its_history_is_there() -> None:
    folder = unpacked_long(20_000)
    views = asyncio.run(views_until(folder, is_whole))
    assert (views[0].state.step, views[0].state.phase, views[0].history) == (20_000, "finished", None)
    assert all(view.state.step == 20_000 for view in views)
    history = views[-1].history
    assert history is not None
    assert len(history.steps) == 20_000
    assert history.steps.column("step")[-1] == 20_000


def test_a_run_that_died_is_shown_as_it_ended() -> None:
    views = asyncio.run(views_until(unpacked("killed"), is_whole))
    assert views[-1].state.phase == "died"
    assert views[-1].holder is None


def test_a_living_run_is_followed_to_its_end() -> None:
    folder = unpacked("healthy")
    with playing(folder, 60):
        views = asyncio.run(views_until(folder, lambda view: view.state.is_over and not view.filling))
    assert views[0].holder is not None
    assert views[-1].state.phase == "finished"
    steps = [view.state.step for view in views]
    assert steps == sorted(steps)


def test_views_come_no_faster_than_the_pace_but_for_the_first_that_of_the_whole_history_and_the_last() -> None:
    folder = unpacked("healthy")
    with playing(folder, 60):
        views = asyncio.run(views_until(folder, lambda view: view.state.is_over, pace=1000.0))
    assert [(view.filling, view.state.is_over) for view in views] == [(True, False), (False, False), (False, True)]


def test_a_run_that_goes_on_after_its_worker_died_is_followed_again() -> None:
    folder = unpacked("restarted")
    recorded = read_recorded(recorded_in(folder))
    died = next(index for index, event in enumerate(recorded) if isinstance(event, RunRestarted))
    write_beginning(folder, recorded, died)

    async def watch() -> list[RunView]:
        seen_dead = asyncio.Event()

        def goes_on(view: RunView) -> bool:
            if view.state.phase == "died" and not view.filling:
                seen_dead.set()
            return view.state.restarts > 0

        following = asyncio.create_task(views_until(folder, goes_on))
        await seen_dead.wait()
        with playing(folder, died):
            return await following

    last = asyncio.run(watch())[-1]
    assert last.holder is not None
    assert not last.state.is_over
