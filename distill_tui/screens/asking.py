"""Questions that files raise: a line that is asked for until it works, and whether a file may be replaced.

Both are awaited in a worker of whoever asks; what blocks is done in a thread.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from textual import work
from textual.binding import BindingType

from distill_engine import api
from distill_tui.screens.dialogs import Prompt, Question

if TYPE_CHECKING:
    from distill_tui.app import DistillApp

T = TypeVar("T")


class Attempt(Prompt, Generic[T]):
    """A line that stays until what was typed worked or one gives up: nothing typed is lost, or taken for a command."""

    def __init__(
        self, label: str, value: str, attempt: Callable[[str], T], *, complaint: Callable[[str], str], suffix: str
    ) -> None:
        super().__init__(label, value, complaint=complaint, suffix=suffix)
        self._attempt = attempt
        self._is_trying = False
        self.result: T | None = None

    @work
    async def take(self, text: str) -> None:
        """Try the text in a thread; return it once that works."""
        if not text:
            self.dismiss("")
        if not text or self._is_trying:
            return
        self._is_trying = True
        try:
            self.result = await asyncio.to_thread(self._attempt, text)
        except api.DistillError as error:
            self.complain(api.shown(f"{error.message}; {error.hint}" if error.hint else error.message))
        except (OSError, ValueError) as error:  # ValueError: a path with a character that none can have
            self.complain(api.shown(f"that can't be: {getattr(error, 'strerror', None) or error}"))
        else:
            self.dismiss(text)
        finally:
            self._is_trying = False


async def asked(
    app: DistillApp,
    label: str,
    value: str,
    attempt: Callable[[str], T],
    complaint: Callable[[str], str] = lambda _text: "",
    *,
    suffix: str = "",
) -> T | None:
    """Ask for a line and try it, in a thread, until it works or one gives up.

    With a `suffix` it is a path, of a folder or of a file that ends so.

    Returns:
        What the `attempt` that raised no DistillError or OSError returned; None after esc or an empty line.
    """
    prompt = Attempt(label, value, attempt, complaint=complaint, suffix=suffix)
    return prompt.result if await app.push_screen_wait(prompt) else None


class ChangedFile(Question):
    """Whether to write over a file that another program has changed; `o` opens it instead."""

    BINDINGS: ClassVar[list[BindingType]] = [("o", "open", "Open it")]
    opens = False

    def action_open(self) -> None:
        """Answer no, and note that the file is to be opened."""
        self.opens = True
        self.dismiss(False)


async def agreed_to_replace(app: DistillApp, targets: Sequence[Path]) -> list[Path] | None:
    """Return those of the files that are there already, if it was agreed to replace them, else None."""
    taken = await asyncio.to_thread(lambda: [path for path in targets if os.path.exists(path)])  # noqa: PTH110
    if not taken:
        return []
    more = f" and {len(taken) - 1:,} more are" if len(taken) > 1 else " is"
    question = Question(f"{api.shown(str(taken[0]))}{more} there already.", yes="replace", no="keep")
    agreed = await app.push_screen_wait(question)
    return taken if agreed else None
