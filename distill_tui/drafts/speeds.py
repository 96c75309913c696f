"""How long a run will take: known only from earlier runs on this machine, and told together with the run it is from.

Before a run there is no honest figure for its speed but that of another run with the same device and the same shape of
spectrogram. That run's usual epoch counts, for a few steps alone may have been six times slower or faster.
`known_speeds` reads the epochs from logs, in a thread; the rest is pure.
"""

from __future__ import annotations

import functools
import itertools
import socket
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from distill_engine import api
from distill_tui.format import clock

RUNS_READ = 20


@dataclass(frozen=True, kw_only=True)
class KnownSpeed:
    """How fast an earlier run was, and what decides about that."""

    run: str
    device: str
    n_mels: int
    hop_length: int
    batch_size: int
    pieces_per_second: float
    """In its usual epoch, from the end of the one before to its own, validation included."""


@dataclass(frozen=True, kw_only=True)
class TimeNeeded:
    """How long all epochs of a run take at the speed of an earlier one; preparing and previews come on top."""

    seconds: float
    earlier: KnownSpeed


def known_speeds() -> tuple[KnownSpeed, ...]:
    """Return the speeds of the newest runs on this machine, the newest first. Blocks: it reads their files."""
    found = (_speed_of(folder, _size_of_log(folder)) for folder in api.list_runs()[:RUNS_READ])
    return tuple(speed for speed in found if speed is not None)


def time_needed(config: api.TrainingConfig, takes: api.Estimate, speeds: Sequence[KnownSpeed]) -> TimeNeeded | None:
    """Return how long a run takes at the speed of the newest one like it; None where there was none.

    One with the same batch goes before others. `auto` takes a GPU where there is one, so a run that had one counts.
    """
    kinds = {_kind(speed.device) for speed in speeds}
    wanted = _kind(config.device)
    kind = wanted if wanted != "auto" else ("cuda" if "cuda" in kinds else "cpu")
    shape = config.complex_spectrogram.n_mels, config.complex_spectrogram.hop_length
    alike = [one for one in speeds if _kind(one.device) == kind and (one.n_mels, one.hop_length) == shape]
    if not alike:
        return None
    earlier = next((one for one in alike if one.batch_size == config.batch_size), alike[0])
    return TimeNeeded(seconds=takes.pieces_learnt / earlier.pieces_per_second, earlier=earlier)


def time_words(config: api.TrainingConfig, takes: api.Estimate, speeds: Sequence[KnownSpeed]) -> tuple[str, str]:
    """Return how long a run takes, and in a few words how that is known, fit to be shown."""
    limit = config.max_minutes * 60
    needed = time_needed(config, takes, speeds)
    if needed is not None:
        told = f"at {needed.earlier.pieces_per_second:,.0f} pieces a second, as run {api.shown(needed.earlier.run)}"
        if not limit or needed.seconds <= limit:
            return f"about {clock(needed.seconds)}", told
        return f"{clock(limit)}, by max_minutes", f"{told}, all epochs would take {clock(needed.seconds)}"
    why = "no run before it on this machine had its device and spectrogram" if speeds else ""
    if limit:
        return f"at most {clock(limit)}, by max_minutes", why or "no run was on this machine yet"
    return ("not known yet", why) if speeds else ("not known before the first run on this machine", "")


def _kind(device: str) -> str:
    return device.partition(":")[0]


def _size_of_log(folder: api.RunFolder) -> int:
    try:
        return folder.events_file.stat().st_size
    except OSError:
        return 0


@functools.lru_cache(maxsize=2 * RUNS_READ)
def _speed_of(folder: api.RunFolder, _size: int) -> KnownSpeed | None:
    """Return None for a run of another machine, one that took no step, and one whose files can't be read.

    What was found out holds as long as the log has its size.
    """
    try:
        state = api.glance(folder).state
        if state.last_step is None or state.host != socket.gethostname():
            return None
        config = api.load_config(folder.config_file, api.TrainingConfig())
        steps_per_second = _usual_speed(_marks(state, api.run_epochs(folder).done))
    except (OSError, api.DistillError):
        return None
    if steps_per_second is None:
        return None
    return KnownSpeed(
        run=folder.name,
        device=state.device,
        n_mels=config.complex_spectrogram.n_mels,
        hop_length=config.complex_spectrogram.hop_length,
        batch_size=config.batch_size,
        pieces_per_second=steps_per_second * config.batch_size,
    )


def _marks(state: api.RunState, epochs: Sequence[api.EpochDone]) -> list[tuple[int, float]]:
    """Return steps, and when they were taken: where epochs ended, before the first one's end where it began."""
    marks = [(epoch.step, epoch.time) for epoch in epochs]
    if state.prepared is not None and not state.restarts:
        marks.insert(0, (0, state.prepared.time))
    if len(marks) == 1 and state.last_step is not None:
        marks.append((state.last_step.step, state.last_step.time))
    return marks


def _usual_speed(marks: Sequence[tuple[int, float]]) -> float | None:
    """Return the steps a second in the middle of all: few epochs have a pause or a preview in them."""
    pairs = itertools.pairwise(marks)
    speeds = [(step - before) / (at - then) for (before, then), (step, at) in pairs if at > then and step > before]
    return statistics.median(speeds) if speeds else None
