"""Follow a run for all screens: drain the engine's queue, fold, and publish what it comes to a few times a second.

The end of the log is told first, so that a long run is on the screen at once; its history fills in behind.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from distill_engine import api

if TYPE_CHECKING:
    from distill_engine.api import History, RunFolder, RunInfo, RunState

REVIVAL_SECONDS = 1.0
"""How often a run that is over is asked whether it goes on."""


@dataclass(frozen=True, kw_only=True)
class RunView:
    """What is known of the run that is watched. A new one is made whenever there is something new to draw."""

    folder: RunFolder
    info: RunInfo | None
    state: RunState
    history: History | None
    """Grows in place, the same object from view to view; None until the first part of it was read."""

    filling: bool
    """Whether the history isn't all there yet."""

    holder: int | None
    """The process that trains it, None for none."""

    problem: str = ""
    """Why the run can't be read, where it can't."""

    @property
    def name(self) -> str:
        """The run's name."""
        return self.folder.name


class LiveRun:
    """One run being followed. `publish` gets a new view on the event loop, `pace()` seconds apart at least."""

    def __init__(self, folder: RunFolder, publish: Callable[[RunView], None], pace: Callable[[], float]) -> None:
        self.folder = folder
        self._publish = publish
        self._pace = pace
        self._published = 0.0
        self._waiting: asyncio.TimerHandle | None = None
        self._view: RunView | None = None

    async def watch(self) -> None:
        """Follow until cancelled: through the end of the run, on when it is resumed, and while it can't be read."""
        try:
            while True:
                try:
                    await self._begin()
                    while True:
                        await self._follow()
                        await self._until_revived()
                except OSError as error:
                    self._tell_problem(f"it can't be read: {error.strerror or error}")
                    await asyncio.sleep(REVIVAL_SECONDS)
        finally:
            if self._waiting:
                self._waiting.cancel()

    def _tell_problem(self, problem: str) -> None:
        if self._view is None:
            self._view = RunView(
                folder=self.folder, info=None, state=api.RunState(), history=None, filling=False, holder=None
            )
        if self._view.problem != problem:
            self._view = replace(self._view, problem=problem)
            self._publish_now()

    async def _begin(self) -> None:
        reading = await asyncio.to_thread(api.glance, self.folder)
        self._view = RunView(
            folder=self.folder,
            info=reading.info,
            problem=reading.problem,
            state=reading.state,
            history=None,
            filling=True,
            holder=reading.holder,
        )
        self._publish_now()

    async def _follow(self) -> None:
        """Take in all batches until the run ends."""
        history = await asyncio.to_thread(_new_history)
        state, glanced = api.RunState(), self._seen.state
        async with api.follow(self.folder) as queue:
            while (batch := await queue.get()) is not None:
                state = api.fold(batch, state)
                history.append(batch)
                # The end of a run that died stands in no file: until the follower tells it, the glance knows more.
                behind = state.seq < glanced.seq or (state.seq == glanced.seq and glanced.is_over)
                self._change(state=glanced if behind else state, history=history, filling=behind)
                await asyncio.sleep(0)  # a long history must not keep a key waiting
        self._change(state=state, history=history, filling=False, holder=None)
        self._publish_now()

    async def _until_revived(self) -> None:
        while (holder := await asyncio.to_thread(api.lock_holder, self.folder)) is None:
            await asyncio.sleep(REVIVAL_SECONDS)
        self._change(holder=holder)

    @property
    def _seen(self) -> RunView:
        assert self._view is not None
        return self._view

    def _change(self, **changes: object) -> None:
        was_filling = self._seen.filling
        self._view = replace(self._seen, **changes)  # type: ignore[arg-type]
        is_whole_now = was_filling and not self._view.filling
        if self._waiting is None or is_whole_now:
            wait = self._published + self._pace() - time.monotonic()
            if wait <= 0 or is_whole_now:
                self._publish_now()
            else:
                self._waiting = asyncio.get_running_loop().call_later(wait, self._publish_now)

    def _publish_now(self) -> None:
        if self._waiting:
            self._waiting.cancel()
            self._waiting = None
        self._published = time.monotonic()
        self._publish(self._seen)


def _new_history() -> History:
    """Import numpy in a thread: 0.1 s in which a key may be pressed."""
    return api.History()
