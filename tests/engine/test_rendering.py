"""Sounds into files: formats, rates, levels, blends, and what the command says."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distill_engine.audio.level import made_safe
from distill_engine.audio.loudness import loudness_db
from distill_engine.audio.tags import read_tags
from distill_engine.errors import UsageError
from distill_engine.library import LibraryEntry, find_model
from distill_engine.rendering import Blend, Request, render
from distill_engine.slider_presets import find_preset
from tests.engine.program import Program
from tests.engine.steered import write_model


@pytest.fixture
def entry(tmp_path: Path) -> LibraryEntry:
    return find_model(str(write_model(tmp_path / "small.distill")))


@pytest.mark.parametrize(
    ("form", "bits", "rate", "subtype"),
    [
        ("wav", 16, 44_100, "PCM_16"),
        ("wav", 24, 96_000, "PCM_24"),
        ("wav", 32, 48_000, "FLOAT"),
        ("flac", 16, 96_000, "PCM_16"),
        ("flac", None, 44_100, "PCM_24"),
        ("ogg", None, 96_000, "VORBIS"),
        ("mp3", None, 44_100, "MPEG_LAYER_III"),
    ],
)
def test_a_sound_is_written_in_the_format_depth_and_rate_asked_for(
    entry: LibraryEntry, tmp_path: Path, form: str, bits: int | None, rate: int, subtype: str
) -> None:
    request = Request(
        duration=0.3, seed=4, sliders={"brightness": 1.0}, out=tmp_path / f"x.{form}", bits=bits, rate=rate
    )
    (path,) = render(entry, request)
    info = soundfile.info(path)
    assert (info.samplerate, info.subtype, info.channels) == (rate, subtype, 1)
    assert info.frames == pytest.approx(0.3 * rate, abs=1 if form != "mp3" else 3000)
    tags = read_tags(path)
    assert tags is not None
    assert (tags.model, tags.model_id, tags.seed, tags.sliders) == ("small", "0" * 32, 4, {"brightness": 1.0})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file_format": "mp3", "bits": 16}, "mp3 files have no samples of 16 bits"),
        ({"file_format": "flac", "bits": 32}, "flac files have no samples of 32 bits"),
        ({"file_format": "mp3", "rate": 96_000}, "mp3 files can't have 96000 Hz"),
    ],
)
def test_what_a_format_has_not_got_is_refused(
    entry: LibraryEntry, tmp_path: Path, changes: dict[str, int], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        list(render(entry, Request(duration=0.2, out=tmp_path / "sounds", **changes)))  # type: ignore[arg-type]
    assert not (tmp_path / "sounds").exists()


def test_a_sound_that_would_clip_is_turned_down_as_a_whole_and_none_is_turned_up() -> None:
    loud = np.array([0.5, -4.0, 2.0], np.float32)
    assert made_safe(loud) == pytest.approx(20 * math.log10(4.0) + 1.0)
    assert np.abs(loud).max() == pytest.approx(10 ** (-1 / 20), rel=1e-6)
    assert (loud / loud[0]).tolist() == pytest.approx([1.0, -8.0, 4.0])
    for quiet in ([0.1, -0.8], [0.0, 0.0], []):
        samples = np.array(quiet, np.float32)
        assert made_safe(samples) == 0.0
        assert samples.tolist() == np.array(quiet, np.float32).tolist()


def test_a_loud_model_s_sound_does_not_clip_and_the_person_is_told(tmp_path: Path) -> None:
    loud = find_model(str(write_model(tmp_path / "loud.distill", floor=-1.0)))
    said: list[str] = []
    (path,) = render(loud, Request(duration=0.3, out=tmp_path / "x.wav", bits=16), said.append)
    samples, _ = soundfile.read(path)
    assert np.abs(samples).max() == pytest.approx(10 ** (-1 / 20), abs=1e-3)
    (words,) = said
    assert words.startswith("x.wav was turned down by ")
    assert words.endswith(" dB, so that its peak stays at -1 dBFS")


def test_a_blend_has_both_sounds_and_the_loudness_of_the_first(entry: LibraryEntry, tmp_path: Path) -> None:
    other = find_model(str(write_model(tmp_path / "other.distill", seed=1, floor=-9.0)))
    sounds = {}
    for name, share in (("alone", 0.0), ("half", 0.5), ("over", 1.0)):
        request = Request(duration=1.0, out=tmp_path / f"{name}.wav", blend=Blend(entry=other, share=share))
        (path,) = render(entry, request)
        sounds[name] = soundfile.read(path, dtype="float32")[0]
    (single,) = render(entry, Request(duration=1.0, out=tmp_path / "single.wav"))
    assert np.allclose(sounds["alone"], soundfile.read(single)[0], atol=1e-6)
    level = loudness_db(sounds["alone"], 48_000)
    assert loudness_db(sounds["over"], 48_000) == pytest.approx(level, abs=0.1)
    assert loudness_db(sounds["half"], 48_000) == pytest.approx(level, abs=0.1)
    assert np.corrcoef(sounds["half"], sounds["alone"] + sounds["over"])[0, 1] > 0.9999
    tags = read_tags(tmp_path / "half.wav")
    assert tags is not None
    assert (tags.model, tags.blend) == ("small", {"other": 0.5})


def test_a_slider_of_a_blend_moves_those_models_that_have_it(entry: LibraryEntry, tmp_path: Path) -> None:
    plain = find_model(str(write_model(tmp_path / "plain.distill", seed=1, axes=())))
    blend = Blend(entry=plain, share=0.5)
    (path,) = render(entry, Request(duration=0.2, out=tmp_path / "x.wav", blend=blend, sliders={"brightness": 1.0}))
    assert path.exists()
    with pytest.raises(UsageError, match="no slider 'tone'"):
        list(render(entry, Request(duration=0.2, out=tmp_path / "y.wav", blend=blend, sliders={"tone": 1.0})))


def test_the_command_keeps_presets_and_says_what_is_daring(home: Path, tmp_path: Path) -> None:
    entry = find_model(str(write_model(home / "data" / "models" / "small.distill")))
    options = ("--slider", "brightness=+2.5", "--seed=7", "--save-preset=glow")
    made = Program(home).run("generate", "small", "--duration=0.2", *options, "--out", tmp_path / "a.wav")
    assert (made.status, made.out) == (0, f"{tmp_path / 'a.wav'}\n")
    assert "brightness is at +2.5, beyond -2 to +2, where it stays safe" in made.err
    assert "kept as preset glow" in made.err
    glow = find_preset(entry.id, "glow")
    request = Request(
        duration=0.2,
        seed=glow.seed,
        sliders=glow.sliders,
        evolution=glow.evolution,
        preset="glow",
        out=tmp_path / "b.wav",
    )
    list(render(entry, request))
    assert np.allclose(soundfile.read(tmp_path / "a.wav")[0], soundfile.read(tmp_path / "b.wav")[0], atol=1e-5)
    assert read_tags(tmp_path / "a.wav") == read_tags(tmp_path / "b.wav")


def test_a_long_sound_shows_how_far_it_is(entry: LibraryEntry, tmp_path: Path) -> None:
    shown: list[tuple[int, int, str]] = []

    @contextlib.contextmanager
    def showing(_doing: str) -> Iterator[Callable[[int, int, str], None]]:
        yield lambda *progress: shown.append(progress)

    list(render(entry, Request(duration=20.0, out=tmp_path / "x.wav"), showing=showing))
    assert len(shown) > 1
    assert shown == sorted(shown)
    assert shown[-1] == (20, 20, "x.wav")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--slider=brightness"], "isn't a name and a number"),
        (["--blend=small=2"], "a share from 0 to 1"),
        (["--from=x.wav", "--between", "x.wav", "y.wav"], "both say where to begin"),
        (["--from=nowhere.wav"], "there is no recording nowhere.wav"),
        (["--preset=none"], "the model has no preset 'none'"),
    ],
)
def test_what_cannot_be_understood_is_refused_before_anything_is_loaded(
    tmp_path: Path, arguments: list[str], part: str
) -> None:
    program = Program(tmp_path / "home")
    write_model(tmp_path / "home" / "data" / "models" / "small.distill")
    message, _ = program.run("generate", "small", *arguments, cwd=tmp_path).refusal(2)
    assert part in message
