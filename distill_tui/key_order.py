"""Keys that come together, as over a slow link, act as if they had come apart: each once the one before has acted.

A key's action may open a line to type into; without this the letters that follow it in one packet would still go to
what had the focus before, where each of them may be a command.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.app import App
    from textual.events import Key
    from textual.message_pump import MessagePump

ROUNDS = 4
"""An action may post a message, whose handler opens a dialog, which focuses its input: so often is waited."""


class KeyOrder:
    """Hands keys on to the app, in their order."""

    def __init__(self, app: App[object]) -> None:
        self._app = app
        self._waiting: deque[Key] = deque()
        self._task: asyncio.Task[None] | None = None

    def put(self, key: Key) -> None:
        """Take a key from the terminal; must be called on the event loop."""
        self._waiting.append(key)
        if self._task is None:
            self._task = asyncio.create_task(self._hand_on(), name="keys")

    async def _hand_on(self) -> None:
        try:
            while self._waiting:
                self._app.post_message(self._waiting.popleft())
                for _ in range(ROUNDS):
                    await self._worked_off()
                    await asyncio.sleep(0)
        finally:
            self._task = None

    async def _worked_off(self) -> None:
        """Wait until all that has the focus has handled what was posted to it so far."""
        screen = self._app.screen
        focused = screen.focused
        pumps: list[MessagePump] = [self._app, screen, *(focused.ancestors_with_self if focused else ())]
        left = len(pumps)
        done = asyncio.Event()

        def count_down() -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                done.set()

        for pump in pumps:
            if not pump.call_later(count_down):  # it is closing
                count_down()
        await done.wait()
