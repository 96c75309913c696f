"""How a model came to be: the settings it was trained with, and the losses of the run that made it. No Textual.

A run's model has the run's id; so that run is found whatever either is called today.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from distill_engine import api
from distill_tui.drafts.forms import text_of

if TYPE_CHECKING:
    from distill_engine.api import EpochDone, LibraryEntry, RunFolder

_LONGEST_VALUE = 60


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting that a model was trained with, safe to show."""

    key: str
    value: str
    usual: str
    """What runs have that don't say otherwise; empty where this Distill knows no such setting."""

    @property
    def differs(self) -> bool:
        """Whether it isn't the usual one."""
        return self.value != self.usual


@dataclass(frozen=True, kw_only=True)
class Story:
    """All that is told of a model beside its header."""

    settings: tuple[Setting, ...]
    """Those that differ from the usual ones first; none where the file doesn't tell them."""

    run: RunFolder | None
    """The run that made it, None where it is gone."""

    epochs: tuple[EpochDone, ...]


def story_of(entry: LibraryEntry) -> Story:
    """Return what can be told of a model. Blocks: it reads run folders."""
    if entry.info is None:
        return Story(settings=(), run=None, epochs=())
    run = _run_with_id(entry.info.id)
    return Story(settings=settings_in(entry.info.training.config), run=run, epochs=_epochs_of(run))


def settings_in(text: str) -> tuple[Setting, ...]:
    """Return the settings in a configuration's text, those that differ from the usual ones first.

    A file may come from anybody and from any version: what this Distill doesn't know is told too, and what isn't TOML
    tells nothing.
    """
    try:
        told = [_setting(key, value) for key, value in api.leaves(tomllib.loads(text))]
    except (tomllib.TOMLDecodeError, api.ConfigError, RecursionError):
        return ()
    return tuple(sorted(told, key=lambda setting: not setting.differs))


def _setting(key: str, value: object) -> Setting:
    known = api.declarations().get(key)
    text = text_of(value) if isinstance(value, bool | int | float | str) else str(value)
    text = api.shown(text)
    return Setting(
        key=api.shown(key),
        value=text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}...",
        usual=text_of(known.default) if known else "",
    )


def _run_with_id(model_id: str) -> RunFolder | None:
    for folder in api.list_runs():
        try:
            if folder.info().id == model_id:
                return folder
        except api.DistillError:  # a run that can't tell its id made no model that can be told of
            continue
    return None


def _epochs_of(run: RunFolder | None) -> tuple[EpochDone, ...]:
    try:
        return api.run_epochs(run).done if run else ()
    except OSError:
        return ()
