"""Numbers, times and states as words for the screens: pure, and the same everywhere."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from distill_engine import api

if TYPE_CHECKING:
    from distill_engine.api import RunState


def number(value: float | None) -> str:
    """Return a measured number in four digits, such as "0.4120", "1.2e-05" and "48,200"; "not finite" for none."""
    if value is None or not math.isfinite(value):
        return "not finite"
    size = abs(value)
    if value == 0:
        return "0"
    if size < 1e-3:
        return f"{value:.1e}"
    if size < 10:
        return f"{value:.4f}" if size < 1 else f"{value:.3f}"
    return f"{value:.1f}" if size < 1000 else f"{value:,.0f}"


def percent(part: float, whole: float) -> str:
    """Return a share in whole percent, such as "42 %"; empty where there is no whole."""
    return f"{100 * part / whole:.0f} %" if whole else ""


def clock(seconds: float) -> str:
    """Return a time span in two units, such as "48 s", "3 min 05 s", "1 h 02 min" and "2 d 03 h"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for unit, length, part, divisor in (("min", 60, "s", 1), ("h", 3600, "min", 60), ("d", 86400, "h", 3600)):
        if whole < length * (60 if unit != "h" else 24) or unit == "d":
            return f"{whole // length} {unit} {whole % length // divisor:02d} {part}"
    raise AssertionError


def moment(seconds: float) -> str:
    """Return a moment of the local day, such as "14:05:09"."""
    return time.strftime("%H:%M:%S", time.localtime(seconds))


STATE_TONES = {
    "training": "good",
    "paused": "warn",
    "stopped": "",
    "finished": "good",
    "failed": "bad",
    "died": "bad",
}


def state_tone(state: RunState) -> str:
    """Return the tone of a run's state; the words of `state_in_words` say the same."""
    return STATE_TONES.get(state.phase, "accent")


def state_in_words(state: RunState) -> str:
    """Return what a run is doing, such as "training", "preparing 7/60" and "died silently"."""
    return api.phase_in_words(state)


def run_in_brief(state: RunState, name: str) -> tuple[str, str]:
    """Return a run in a few words, such as "bells: training 42 %", and their tone."""
    share = percent(state.step, state.total_steps) if not state.is_over and state.phase != "starting" else ""
    return " ".join(filter(None, (f"{api.shown(name)}: {state_in_words(state)}", share))), state_tone(state)
