"""A preview in words and as the sounds one goes through: each recording with its reconstruction, then the samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from distill_engine import api

if TYPE_CHECKING:
    from distill_engine.api import HeardRecording, PreviewSaved

NEARNESS = (
    (1.0, 3.0, "hardly to be told apart"),
    (3.0, 6.0, "close"),
    (6.0, 12.0, "recognisable"),
)
"""How far above the least possible LSD and band distance, in dB, a reconstruction may be for these words."""

BANDS_DB = 6.0
"""From so many decibels above the least possible on, bands that are too loud or too soft are worth a word."""


@dataclass(frozen=True, kw_only=True)
class Sound:
    """Something of a preview to see and hear. Paths are relative to the run's folder."""

    name: str
    place: str
    """Which of how many it is."""

    path: str
    """The reconstruction, or the sample."""

    original: str = ""
    """What was to be reconstructed; empty for a sample."""

    heard: HeardRecording | None = None
    """How far the reconstruction is from it; None for a sample."""


def sounds_of(preview: PreviewSaved) -> tuple[Sound, ...]:
    """Return what there is to hear, in order."""
    recordings, samples = preview.recordings, preview.samples
    heard = [
        Sound(
            name=one.recording,
            place=f"recording {number} of {len(recordings)}",
            path=one.reconstruction,
            original=one.original,
            heard=one,
        )
        for number, one in enumerate(recordings, 1)
    ]
    made = [
        Sound(name=f"sample {number}", place=f"sample {number} of {len(samples)}", path=path)
        for number, path in enumerate(samples, 1)
    ]
    return (*heard, *made)


def distances(heard: HeardRecording) -> str:
    """Return the three distances, each with the least that is possible."""
    return (
        f"{heard.lsd:.1f} dB LSD (least {heard.floor_lsd:.1f}), "
        f"{heard.sc:.2f} SC ({heard.floor_sc:.2f}), "
        f"{heard.band:.1f} dB in bands ({heard.floor_band:.1f})"
    )


def distance_in_words(heard: HeardRecording) -> str:
    """Return what the distances mean, in a sentence without its full stop."""
    above, bands = max(0.0, heard.lsd - heard.floor_lsd), heard.band - heard.floor_band
    fitting = (words for most, most_bands, words in NEARNESS if above < most and bands < most_bands)
    off = f", single bands off by {bands:.0f} dB" if bands >= BANDS_DB else ""
    return f"{next(fitting, 'far off')}: {above:.1f} dB above the least possible{off}"


def sound_in_words(sound: Sound) -> str:
    """Return what is heard, in a line."""
    if sound.heard is None:
        return "made by the model out of nothing but a seed"
    return distance_in_words(sound.heard)


def preview_in_brief(preview: PreviewSaved) -> str:
    """Return what a preview holds, such as "2 recordings, 3 samples"."""
    parts = [
        api.counted(len(preview.recordings), "recording") if preview.recordings else "",
        api.counted(len(preview.samples), "sample") if preview.samples else "",
    ]
    return ", ".join(filter(None, parts)) or "nothing to hear"
