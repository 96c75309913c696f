"""The folders of recordings that are known: those opened here, and those that runs were trained on.

A folder taken off the list stays remembered as such, or its runs would bring it back at once; it returns when it is
opened again or trained on again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from distill_engine import api
from distill_tui.datasets.path_completion import is_folder
from distill_tui.remembered import Corpus


@dataclass(frozen=True, kw_only=True)
class Use:
    """A run that was trained on a folder."""

    path: str
    run: str
    time: float
    """When the run was made, in seconds since the epoch."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """A folder in the list."""

    corpus: Corpus
    """`used` also counts its runs."""

    looked: bool
    """Whether it was ever opened here, so that what is in it is known."""

    runs: tuple[str, ...] = ()
    """The runs trained on it, the newest first."""

    @property
    def path(self) -> Path:
        """Where it is, or was."""
        return Path(self.corpus.path)


def known(corpora: Sequence[Corpus], uses: Sequence[Use]) -> tuple[Known, ...]:
    """Return the folders in the order of their last use, the newest first."""
    by_path = {corpus.path: corpus for corpus in corpora}
    runs: dict[str, list[Use]] = {}
    for use in sorted(uses, key=lambda use: use.time, reverse=True):
        runs.setdefault(use.path, []).append(use)
    found = []
    for path in {**by_path, **runs}:
        corpus, own = by_path.get(path, Corpus(path=path)), runs.get(path, [])
        used = max(corpus.used, own[0].time if own else 0.0)
        if used > corpus.removed:
            runs_of = tuple(use.run for use in own)
            found.append(Known(corpus=replace(corpus, used=used), looked=corpus.used > 0, runs=runs_of))
    return tuple(sorted(found, key=lambda one: (-one.corpus.used, one.corpus.path)))


def with_scan(corpora: Sequence[Corpus], scan: api.Scan, now: float) -> tuple[Corpus, ...]:
    """Return the corpora with what was found in one of them; a path that is no text can't be kept in a JSON file."""
    path = str(scan.folder)
    if not _is_text(path):
        return tuple(corpora)
    found = Corpus(
        path=path,
        used=now,
        recordings=len(scan.recordings),
        usable=len(scan.used),
        seconds=scan.seconds,
        rates=tuple(sorted({recording.sample_rate for recording in scan.used})),
    )
    return (*(corpus for corpus in corpora if corpus.path != path), found)


def without(corpora: Sequence[Corpus], path: str, now: float) -> tuple[Corpus, ...]:
    """Return the corpora with one off the list from now on, until its next use."""
    rest = [corpus for corpus in corpora if corpus.path != path]
    before = next((corpus for corpus in corpora if corpus.path == path), Corpus(path=path))
    return (*rest, replace(before, removed=now))


def uses_by_runs() -> tuple[Use, ...]:
    """Return which folders the runs were trained on. Blocks: it reads a small file a run."""
    found = []
    for folder in api.list_runs():
        with contextlib.suppress(api.DistillError):
            info = folder.info()
            found.append(Use(path=info.dataset, run=folder.name, time=info.created))
    return tuple(found)


def gone(corpora: Sequence[Known]) -> frozenset[str]:
    """Return the paths where there is no folder any more. Blocks: it asks the disk."""
    return frozenset(one.corpus.path for one in corpora if not is_folder(one.path))


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
