"""What was made of a model and with which settings, as the sounds' own files tell it. All of this reads files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distill_engine import api
from distill_tui.explore.sliders import Settings

if TYPE_CHECKING:
    from distill_engine.api import SoundTags


@dataclass(frozen=True, kw_only=True)
class MadeSound:
    """A sound that says how it was made."""

    path: Path
    settings: Settings
    preset: str
    """The name of the preset that the settings were, or empty."""

    beside: str
    """What it was made of besides the model and these settings, such as "begun from rain.wav", or empty."""

    time: float
    """When it was written, in seconds since the epoch."""


def made_of(model_id: str, paths: Iterable[Path]) -> tuple[MadeSound, ...]:
    """Return those of the files that were made of a model and say so, the newest first."""
    found = [made for path in paths if (made := _told_by(path, model_id)) is not None]
    return tuple(sorted(found, key=lambda made: (made.time, made.path.name), reverse=True))


def _told_by(path: Path, model_id: str) -> MadeSound | None:
    tags = api.read_tags(path)
    if tags is None or tags.model_id != model_id:
        return None
    try:
        time = path.stat().st_mtime
    except OSError:  # it has just gone
        return None
    settings = Settings(sliders=dict(tags.sliders), seed=tags.seed, evolution=tags.evolution, seconds=tags.seconds)
    return MadeSound(path=path, settings=settings, preset=tags.preset, beside=_beside(tags), time=time)


def _beside(tags: SoundTags) -> str:
    way = f"from {tags.start} to {tags.end}" if tags.end else f"begun from {tags.start}" if tags.start else ""
    others = (f"with {share:g} of {name}" for name, share in tags.blend.items())
    return ", ".join([*([way] if way else []), *others])
