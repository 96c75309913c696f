"""Sliders and settings in words: a line a slider with its safe range drawn, and what is said of it. Pure.

Without colours the signs say the same: what is safe is drawn double or bold, what isn't dotted, and a value beyond the
range has a mark of its own.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from distill_engine import api
from distill_tui.explore.sliders import Settings, Slider, value_of
from distill_tui.format import Words

MARK, VALUE, STATE = 2, 9, 7
"""Cells for the cursor, for a value with the mark of one beyond the range, and for "locked"."""

LONGEST_NAME, SHORTEST_NAME = 16, 10

_LEAST_TRACK = 12


@dataclass(frozen=True, kw_only=True)
class Signs:
    """The characters that a track is drawn with."""

    safe: str = "━"
    beyond: str = "┄"
    middle: str = "┿"
    knob: str = "●"
    cut: str = "…"


ASCII = Signs(safe="=", beyond=".", middle="|", knob="O", cut="~")


def slider_line(settings: Settings, slider: Slider, width: int, signs: Signs, *, is_locked: bool) -> Words:
    """Return a slider's line in `width` cells, but for the cursor before it."""
    value = value_of(settings, slider)
    is_safe = slider.is_safe(value)
    name_width = LONGEST_NAME if width >= 48 else SHORTEST_NAME
    track_width = width - MARK - name_width - VALUE - STATE - 3
    tone = "" if is_safe else "warn"
    words: Words = [
        (_fitted(api.shown(slider.name), name_width, signs.cut), "accent" if value != slider.usual else ""),
        (" ", ""),
    ]
    if slider.has_track and track_width >= _LEAST_TRACK:
        words += _track(slider, value, track_width, signs)
    elif track_width >= _LEAST_TRACK:
        words.append((" " * track_width, ""))
    said = value_in_words(slider, value) + ("" if is_safe else " !")
    return [*words, (f" {said:>{VALUE}} ", tone), ("locked" if is_locked else "", "dim")]


def value_in_words(slider: Slider, value: float) -> str:
    """Return a value as it stands beside its slider: "+1.3", "0.40", "12.0 s", "7"."""
    match slider.kind:
        case "axis":
            return f"{value:+.1f}" if round(value, 1) else "0"
        case "evolution":
            return f"{value:.2f}"
        case "length":
            return api.duration(value)
        case "seed":
            return f"{value:.0f}"


def about(slider: Slider, value: float) -> str:
    """Return what is to be known of a slider, in a sentence or two."""
    match slider.kind:
        case "axis":
            safe = f"{slider.low:+.1f} to {slider.high:+.1f}"
            if not slider.is_safe(value):
                return f"beyond the range that is safe, {safe}: the sound may break up"
            verb = "rises" if slider.correlation > 0 else "falls"
            follows = f"; {api.shown(slider.name)} {verb} with it, correlation {abs(slider.correlation):.2f}"
            return f"safe from {safe} standard deviations{follows if slider.correlation else ''}"
        case "evolution":
            return "how much the sound changes while it lasts: 0 stays where it begins, 1 wanders"
        case "length":
            return "how long the sound is that is made; the picture shows its beginning"
        case "seed":
            return "the same seed makes the same sound again"


def in_words(settings: Settings, *, with_length: bool = True) -> str:
    """Return settings in a line: "brightness +1.3, noise -0.5, seed 7, evolution 0.40, 4.0 s"."""
    sliders = [f"{api.shown(name)} {value:+.1f}" for name, value in settings.sliders.items()]
    length = [api.duration(settings.seconds)] if with_length else []
    return ", ".join([*sliders, f"seed {settings.seed}", f"evolution {settings.evolution:.2f}", *length])


def difference(settings: Settings, other: Settings) -> str:
    """Return the values of settings where others differ, in a line; of the length nothing."""
    names = dict.fromkeys([*settings.sliders, *other.sliders])
    values = {name: (settings.sliders.get(name, 0.0), other.sliders.get(name, 0.0)) for name in names}
    said = [f"{api.shown(name)} {value:+.1f}" for name, (value, others) in values.items() if value != others]
    if settings.seed != other.seed:
        said.append(f"seed {settings.seed}")
    if settings.evolution != other.evolution:
        said.append(f"evolution {settings.evolution:.2f}")
    return ", ".join(said)


def _track(slider: Slider, value: float, width: int, signs: Signs) -> Words:
    """Return the way a slider goes: dotted beyond the safe range, its middle marked, and where it stands."""
    span = slider.most - slider.least

    def place(at: float) -> int:
        return round((at - slider.least) / span * (width - 1))

    low, high, knob = place(slider.low), place(slider.high), place(value)
    line = [signs.safe if low <= cell <= high else signs.beyond for cell in range(width)]
    if slider.kind == "axis":
        line[place(0.0)] = signs.middle
    line[knob] = signs.knob
    knob_tone = "accent" if slider.is_safe(value) else "warn"
    tones = ["" if low <= cell <= high else "dim" for cell in range(width)]
    tones[knob] = knob_tone
    stretches = itertools.groupby(zip(line, tones, strict=True), key=lambda pair: pair[1])
    return [("".join(sign for sign, _ in stretch), tone) for tone, stretch in stretches]


def _fitted(text: str, width: int, mark: str) -> str:
    if api.cells(text) > width:
        text = api.cut(text, width - 1) + mark
    return text + " " * (width - api.cells(text))
