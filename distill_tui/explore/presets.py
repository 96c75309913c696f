"""Settings as presets and back: a preset has no length, and takes the one that is set."""

from __future__ import annotations

from dataclasses import replace

from distill_engine import api
from distill_tui.explore.sliders import Settings, Slider, known_to


def preset_of(settings: Settings, name: str) -> api.SliderPreset:
    """Return settings under a name."""
    return api.SliderPreset(name=name, sliders=dict(settings.sliders), seed=settings.seed, evolution=settings.evolution)


def settings_of(preset: api.SliderPreset, now: Settings) -> Settings:
    """Return what a preset comes to, in the length there is now."""
    return replace(now, sliders=dict(preset.sliders), seed=preset.seed, evolution=preset.evolution)


def left_out(settings: Settings, sliders: tuple[Slider, ...]) -> str:
    """Return what a model lacks of settings from elsewhere, in words behind a semicolon; empty for nothing."""
    missing = [name for name in settings.sliders if name not in known_to(settings, sliders).sliders]
    names = ", ".join(map(api.shown, missing))
    return f"; the model has no slider {names} now" if missing else ""
