"""Taking an earlier run's configuration for the next run, as the Config screen and the list of runs both do."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from distill_engine import api
from distill_tui.actions import key_of
from distill_tui.drafts import form_files
from distill_tui.drafts.forms import Form

if TYPE_CHECKING:
    from distill_tui.app import DistillApp


async def take_settings(app: DistillApp, run: api.RunFolder) -> None:
    """Give the draft a run's settings, and its recordings where the draft has none; say what was taken.

    Awaited in a worker. Recordings are looked at first, and then the draft is changed as it is by then.

    Raises:
        ConfigError: the run's configuration can't be read; the draft stays.
    """
    scan = await _scan(app, run) if app.form is None or app.form.dataset is None else None
    before = app.form or Form()
    after = await asyncio.to_thread(form_files.copied, before, run, scan)
    told = await asyncio.to_thread(form_files.told_of_copy, before, after, run)
    app.form = after
    app.say(told, f"{key_of('config.undo')} in Config takes that back")


async def _scan(app: DistillApp, run: api.RunFolder) -> api.Scan | None:
    app.say(f"looking at the recordings of run {api.shown(run.name)}")
    left = threading.Event()
    try:
        return await asyncio.to_thread(form_files.scan_of, run, left.is_set)
    finally:
        left.set()
