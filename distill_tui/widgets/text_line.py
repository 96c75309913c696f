"""A line to type into that takes keys in the order they were pressed.

Textual inserts a letter at once but runs an editing key's action only after it went up to the app and back; where a
slow link brings several keys together, a backspace would delete the letter typed after it.
"""

from __future__ import annotations

from textual.binding import NoBinding
from textual.events import Key
from textual.widgets import Input


class TextLine(Input):
    """An input of one line; its own keys act as soon as they come."""

    async def _on_key(self, event: Key) -> None:
        try:
            binding = self._bindings.get_bindings_for_key(event.key)[0]
        except NoBinding:
            await super()._on_key(event)
            return
        event.stop()
        event.prevent_default()
        await self.app.run_action(binding.action, self)
