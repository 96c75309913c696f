"""Numbers, times, lines and states as words for the screens: pure, and the same everywhere.

A length of sound is told by `api.duration`, to a tenth of a second; any other span of time by `clock`.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from distill_engine import api

if TYPE_CHECKING:
    from distill_engine.api import RunState

Words = list[tuple[str, str]]
"""Pieces of a line, each with its tone."""


def number(value: float | None) -> str:
    """Return a measured number in four digits, such as "0.4120", "12.34", "48,200" and "4.12e-5"; else "not finite".

    Digits that are 0 stay, so that a number that changes keeps its width.
    """
    if value is None or not math.isfinite(value):
        return "not finite"
    if value == 0:
        return "0"
    rounded = f"{value:.3e}"
    magnitude = int(rounded.partition("e")[2])
    return f"{value:,.{max(0, 3 - magnitude)}f}" if -4 <= magnitude < 7 else short_exponent(rounded)


def short_exponent(text: str) -> str:
    """Return a number such as "1.20e-04" as "1.2e-4"."""
    digits, mark, exponent = text.partition("e")
    if not mark:
        return text
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return f"{digits}e{int(exponent)}"


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


def round_clock(seconds: float) -> str:
    """Return a time span as `clock` does, without a second unit of which there is none: "20 min", "1 h 05 min"."""
    large, _, rest = clock(seconds).partition(" 00 ")
    return large if rest else clock(seconds)


def moment(seconds: float) -> str:
    """Return a moment of the local day, such as "14:05:09"."""
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def wrapped(text: str, width: int) -> list[str]:
    """Return a text in lines of at most `width` cells, broken at spaces where there are some; one line at least."""
    width, text = max(1, width), text.replace("\n", " ")
    lines = []
    while api.cells(text) > width:
        piece = api.cut(text, width) or text[0]
        space = piece.rfind(" ")
        if space > 0 and not text[len(piece) :].startswith(" "):
            piece = piece[: space + 1]
        lines.append(piece.rstrip())
        text = text[len(piece) :].lstrip()
    return [*lines, text]


def paragraph(text: str, width: int, tone: str = "") -> list[Words]:
    """Return a text in lines of at most `width` cells, all of one tone; none for no text."""
    return [[(line, tone)] for line in wrapped(text, width)] if text else []


def progress_bar(share: float, width: int, signs: str = "━─", tone: str = "accent") -> Words:
    """Return a bar of so many cells, told by its two signs without colour too."""
    full, empty = signs[0], signs[1]
    done = round(min(1.0, max(0.0, share)) * width)
    return [(full * done, tone), (empty * (width - done), "dim")]


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
