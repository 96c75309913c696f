"""Bad files from strangers: whatever is in a file, a name or a log, nothing comes of it but a sentence.

Nothing is executed, nothing outside the folder that was named is written or deleted, memory stays bounded, and no
character that steers a terminal reaches one.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

from tests.promises.bad_dashboard import bad_visits
from tests.promises.bad_models import bad_checkpoints, bad_models
from tests.promises.bad_paths import bad_kinds, bad_names, bad_paths
from tests.promises.bad_runs import bad_descriptions, bad_logs
from tests.promises.bad_settings import bad_configurations, bad_notes, bad_themes_and_keys
from tests.promises.loaders import loaders_in, sources
from tests.promises.strangers import laid_out
from tests.promises.trial import Figure, Size
from tests.promises.watching import snapshot, tracked

MOST_GROWTH = 600 << 20
"""Bytes that this process may take more after thousands of bad files than before."""


def bad_files(size: Size, folder: Path) -> Iterator[Figure]:
    """Try files of every kind, bad in every way, by every command and reader that takes them."""
    ground = laid_out(folder)
    around = snapshot(ground.outside)
    before = _most_memory()
    yield Figure(what="event logs", count=bad_logs(size))
    yield Figure(what="descriptions and configurations of runs", count=bad_descriptions(size))
    yield Figure(what="model files", count=bad_models(size, ground))
    yield Figure(what="checkpoints", count=bad_checkpoints(size, ground))
    yield Figure(what="configuration and settings files", count=bad_configurations(size, ground))
    yield Figure(what="themes and key files", count=bad_themes_and_keys(size, ground))
    yield Figure(what="presets, memories and caches", count=bad_notes(size, ground))
    yield Figure(what="names", count=bad_names(size, ground))
    yield Figure(what="paths and links within run folders", count=bad_paths(size, ground))
    yield Figure(what="pipes, devices, folders, loops and holes of a terabyte", count=bad_kinds(size, ground))
    yield Figure(what="visits to a dashboard full of all that", count=bad_visits(size))
    grown = _most_memory() - before
    assert grown < MOST_GROWTH, f"this process has grown by {grown / 1e6:,.0f} MB"
    assert snapshot(ground.outside) == around
    loaders = sum(len(loaders_in(path.read_text(encoding="utf-8"))) for path in sources())
    yield Figure(what="commands run in this process", count=tracked.commands)
    yield Figure(what="commands run as processes of their own", count=tracked.processes)
    yield Figure(what="of them refused with a sentence", count=tracked.refused)
    yield Figure(what="MB of memory, the most of a process", count=round(tracked.memory / 1e6))
    yield Figure(what="MB by which this process has grown at most", count=round(grown / 1e6))
    yield Figure(what="source files without a loader that could run what it loads", count=len(sources()) - loaders)


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
