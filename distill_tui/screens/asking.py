"""Questions that files raise: a line that is asked for until it works, and whether a file may be replaced.

Both are awaited in a worker of whoever asks; what blocks is done in a thread.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from distill_engine import api
from distill_tui.screens.dialogs import Prompt, Question

if TYPE_CHECKING:
    from distill_tui.app import DistillApp

T = TypeVar("T")


async def asked(
    app: DistillApp,
    label: str,
    value: str,
    attempt: Callable[[str], T],
    complaint: Callable[[str], str] = lambda _text: "",
) -> T | None:
    """Ask for a line and try it, in a thread, until it works or one gives up: what was typed is never lost.

    Returns:
        What the `attempt` that raised no DistillError or OSError returned; None after esc or an empty line.
    """
    hint = ""
    while typed := await app.push_screen_wait(Prompt(label, value, hint=hint, complaint=complaint)):
        try:
            return await asyncio.to_thread(attempt, typed)
        except api.DistillError as error:
            value, hint = typed, api.shown(f"{error.message}; {error.hint}" if error.hint else error.message)
        except (OSError, ValueError) as error:  # ValueError: a path with a character that none can have
            value, hint = typed, api.shown(f"that can't be: {getattr(error, 'strerror', None) or error}")
    return None


async def agreed_to_replace(app: DistillApp, targets: Sequence[Path]) -> list[Path] | None:
    """Return those of the files that are there already, if it was agreed to replace them, else None."""
    taken = await asyncio.to_thread(lambda: [path for path in targets if os.path.exists(path)])  # noqa: PTH110
    if not taken:
        return []
    more = f" and {len(taken) - 1:,} more are" if len(taken) > 1 else " is"
    question = Question(f"{api.shown(str(taken[0]))}{more} there already.", yes="replace", no="keep")
    agreed = await app.push_screen_wait(question)
    return taken if agreed else None
