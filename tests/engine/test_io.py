"""Reading, checking and writing recordings, on real files of every format."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distill_engine.atomic import TEMPORARY_PREFIX
from distill_engine.audio.checks import check_recording
from distill_engine.audio.io import (
    RecordingError,
    looks_like_recording,
    read_blocks,
    read_header,
    read_stretches,
    write_recording,
)
from distill_engine.errors import StopRequestedError
from tests.engine.recordings import cut, good, sound, wav_bytes

ENCODINGS = [
    ("WAV", "FLOAT"),
    ("WAV", "PCM_16"),
    ("WAV", "PCM_U8"),
    ("WAV", "IMA_ADPCM"),
    ("WAVEX", "PCM_24"),
    ("RF64", "PCM_16"),
    ("AIFF", "PCM_16"),
    ("AIFF", "FLOAT"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
]


def written_as(folder: Path, container: str, subtype: str, frames: int = 48_001, channels: int = 1) -> Path:
    path = folder / f"a.{container.lower()}"
    samples = sound(frames, channels)
    with soundfile.SoundFile(path, "w", 48_000, channels, subtype, format=container) as file:
        for start in range(0, frames, 16_384):
            file.write(samples[start : start + 16_384])
    return path


@pytest.mark.parametrize(("container", "subtype"), ENCODINGS)
def test_every_format_is_found_good_whole_and_truncated_when_cut(tmp_path: Path, container: str, subtype: str) -> None:
    path = written_as(tmp_path, container, subtype)
    whole = check_recording(path)
    assert whole.problem == ""
    assert whole.warnings == ()
    assert whole.format == f"{container} {subtype}"
    assert whole.frames - 48_001 in range(2_000 if subtype == "IMA_ADPCM" else 1)  # ADPCM fills up its last block
    assert "truncated" in check_recording(cut(path)).problem


@pytest.mark.parametrize(("container", "subtype"), ENCODINGS)
@pytest.mark.parametrize("channels", [1, 2])
def test_blocks_put_together_are_the_recording_from_any_frame(
    tmp_path: Path, container: str, subtype: str, channels: int
) -> None:
    path = written_as(tmp_path, container, subtype, channels=channels)
    whole, _ = soundfile.read(path, dtype="float32", always_2d=True)
    for start in (0, 30_001):
        blocks = list(read_blocks(path, seconds=0.11, start_frame=start))
        assert all(block.dtype == np.float32 and 0 < len(block) <= 5_280 for block in blocks)
        difference = np.abs(np.concatenate(blocks) - whole[start:]).max()
        assert difference <= (2e-7 if container == "MP3" else 0.0)  # its decoder rounds anew after each seek
    assert list(read_blocks(path, start_frame=len(whole))) == []


def test_a_block_of_very_many_channels_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "wide.wav"
    write_recording(path, np.zeros((6_000, 1024)), 48_000, subtype="PCM_16")
    assert max(block.nbytes for block in read_blocks(path)) <= 16 << 20


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [("wav", "PCM_16"), ("flac", "PCM_16"), ("ogg", "VORBIS"), ("ogg", "OPUS"), ("mp3", "MPEG_LAYER_III")],
)
def test_stretches_are_what_reading_the_whole_gives(tmp_path: Path, suffix: str, subtype: str) -> None:
    path = tmp_path / f"a.{suffix}"
    # A low and varying bit rate is where MP3 can't be read from the middle, a second seek where Vorbis can't.
    lossy = {"compression_level": 0.95, "bitrate_mode": "VARIABLE"} if suffix == "mp3" else {}
    soundfile.write(path, sound(480_000, channels=2), 48_000, subtype, **lossy)
    whole = np.concatenate(list(read_blocks(path)))
    starts = np.sort(np.random.default_rng(0).integers(0, len(whole) + 5_000, 60)).tolist()
    stretches = [(start, start + length) for start, length in zip(starts, (2_048, 1, 70_000) * 20, strict=True)]
    for (start, stop), samples in zip(stretches, read_stretches(path, stretches), strict=True):
        expected = whole[start:stop]
        assert samples.shape == expected.shape
        assert np.allclose(samples, expected, atol=1e-5)


def test_a_header_is_read_without_decoding(tmp_path: Path) -> None:
    header = read_header(good(tmp_path / "a.flac", rate=22_050))
    assert (header.frames, header.sample_rate, header.channels) == (12_000, 22_050, 1)
    assert (header.format, header.subtype) == ("FLAC", "PCM_24")


def test_what_cant_be_read_is_told_in_one_sentence_that_is_safe_to_print(tmp_path: Path) -> None:
    path = tmp_path / "a\nb.wav"
    path.write_text("no sound")
    for attempt in (lambda: list(read_blocks(path)), lambda: read_header(path)):
        with pytest.raises(RecordingError, match=r"a\\nb\.wav can't be read as a recording: format not recognised$"):
            attempt()
    with pytest.raises(RecordingError, match="no such file"):
        read_header(tmp_path / "missing.wav")


def test_a_name_that_isnt_utf_8_is_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "a\udcff.wav"
    write_recording(path, sound(), 48_000)
    assert check_recording(path).frames == 12_000


@pytest.mark.parametrize(
    ("name", "expected"), [("a.wav", True), ("A.WAV", True), ("b.opus", True), ("c.txt", False), (".wav", False)]
)
def test_a_recording_is_told_by_its_suffix(name: str, *, expected: bool) -> None:
    assert looks_like_recording(Path(name)) is expected


def test_wav_is_written_as_float_by_default_and_keeps_every_value(tmp_path: Path) -> None:
    samples = 3 * sound(channels=2)
    assert write_recording(tmp_path / "a.wav", samples, 48_000) == 0
    assert np.array_equal(np.concatenate(list(read_blocks(tmp_path / "a.wav"))), samples)
    assert read_header(tmp_path / "a.wav").subtype == "FLOAT"


@pytest.mark.parametrize("file_format", ["flac", "ogg", "mp3"])
def test_other_formats_hold_what_is_beyond_at_full_scale_and_say_how_much(tmp_path: Path, file_format: str) -> None:
    samples = sound(40_000)[:, 0]
    samples[20_000:20_005] = [1.5, -1.5, 1.0, 2.0, -2.0]
    path = tmp_path / f"a.{file_format}"
    assert write_recording(path, samples, 48_000, file_format) == 4
    back = np.concatenate(list(read_blocks(path)))[:, 0]
    assert len(back) == 40_000
    assert np.abs(back - np.clip(samples, -1, 1))[:19_000].max() < (1e-6 if file_format == "flac" else 0.4)
    if file_format == "flac":
        assert back[20_000] > 0.999
        assert back[20_001] < -0.999


def test_a_minute_of_ogg_is_written(tmp_path: Path) -> None:
    write_recording(tmp_path / "a.ogg", sound(60 * 16_000), 16_000)
    assert check_recording(tmp_path / "a.ogg").frames == 60 * 16_000


@pytest.mark.parametrize(
    ("name", "samples", "rate", "words"),
    [
        ("a.xyz", sound(), 48_000, "doesn't write 'xyz'"),
        ("a.wav", np.array([0.0, np.nan]), 48_000, "finite"),
        ("a.flac", sound(channels=9), 48_000, "9 channels"),
        ("a.wav", sound(), 0, "0 Hz"),
        ("a.mp3", sound(), 96_000, "MPEG"),
        ("file/a.wav", sound(), 48_000, "couldn't be written"),
    ],
)
def test_what_cant_be_written_leaves_nothing_behind(
    tmp_path: Path, name: str, samples: np.ndarray, rate: int, words: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecordingError, match=words):
        write_recording(tmp_path / name, samples, rate)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_recording_that_couldnt_be_replaced_stays_as_it_was(tmp_path: Path) -> None:
    path = good(tmp_path / "a.mp3")
    before = path.read_bytes()
    with pytest.raises(RecordingError):
        write_recording(path, sound(), 96_000)
    assert path.read_bytes() == before
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(TEMPORARY_PREFIX)]


@pytest.mark.parametrize("size", [0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_a_wav_written_to_a_pipe_isnt_truncated(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(sound(), riff_size=min(size + 36, 0xFFFFFFFF), data_size=size))
    verdict = check_recording(path)
    assert (verdict.problem, verdict.frames) == ("", 12_000)


def test_a_wav_whose_header_was_never_finished_is_told_apart_from_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(sound(), riff_size=0, data_size=0))
    assert check_recording(path).problem.startswith("unfinished")
    path.write_bytes(wav_bytes(sound(0)))
    assert check_recording(path).problem == "it holds no sound: its length is 0"


def test_chunks_of_odd_size_before_and_after_the_sound_arent_taken_for_missing_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    content = wav_bytes(sound())
    odd = b"note" + (3).to_bytes(4, "little") + b"abc\0"
    path.write_bytes(content[:12] + odd + content[12:] + odd)
    assert check_recording(path).problem == ""
    path.write_bytes(content[:12] + odd + content[12:-2])
    assert check_recording(path).problem == "truncated: its header promises 24,000 bytes of sound, 23,998 are there"


def test_an_mp3_is_measured_behind_its_tag(tmp_path: Path) -> None:
    path = good(tmp_path / "a.mp3", frames=200_000)
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, 40, 0]) + bytes(40 * 128)
    whole = path.read_bytes()
    path.write_bytes(tag + whole)
    assert check_recording(path).problem == ""
    path.write_bytes(tag + whole[: len(whole) * 3 // 4])
    assert "truncated" in check_recording(path).problem


def test_a_flac_without_a_length_is_told(tmp_path: Path) -> None:
    path = good(tmp_path / "a.flac")
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert check_recording(path).problem.startswith("unfinished: its header doesn't say how long it is")


Spoiler = Callable[[np.ndarray], None]


def spoilt(folder: Path, spoil: Spoiler, subtype: str = "FLOAT", frames: int = 24_000) -> Path:
    samples = sound(frames, 2)
    spoil(samples)
    write_recording(folder / "a.wav", samples, 48_000, subtype=subtype)
    return folder / "a.wav"


def test_one_value_that_isnt_finite_is_found_wherever_it_stands(tmp_path: Path) -> None:
    path = spoilt(tmp_path, lambda _samples: None, frames=400_000)
    content = bytearray(path.read_bytes())
    for value in (np.nan, np.inf, -np.inf):
        content[-9:-5] = np.float32(value).tobytes()
        content[-4:] = np.float32(value).tobytes()
        path.write_bytes(content)
        assert "aren't finite" in check_recording(path).problem


@pytest.mark.parametrize(("level", "words"), [(0.0, "same value"), (5e-5, "-86 dBFS"), (3e-4, "")])
def test_silence_is_told_by_how_far_the_sound_moves(tmp_path: Path, level: float, words: str) -> None:
    def fade(samples: np.ndarray) -> None:
        samples *= level / np.abs(samples).max()
        samples += 0.005  # an offset isn't sound

    assert words in check_recording(spoilt(tmp_path, fade)).problem


@pytest.mark.parametrize(
    ("frames", "rate", "usable"), [(2_047, 48_000, False), (2_048, 48_000, True), (700, 16_000, True)]
)
def test_the_least_length_counts_samples_at_48_khz(tmp_path: Path, frames: int, rate: int, *, usable: bool) -> None:
    problem = check_recording(good(tmp_path / "a.wav", frames=frames, rate=rate)).problem
    assert (problem == "") is usable
    assert usable or problem.startswith("too short: 42.6 ms")


@pytest.mark.parametrize("rate", [100, 1_000_000])
def test_a_rate_no_recording_has_is_refused(tmp_path: Path, rate: int) -> None:
    assert f"{rate:,} Hz" in check_recording(good(tmp_path / "a.wav", rate=rate)).problem


@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_U8", "PCM_16", "PCM_24"])
def test_clipping_is_three_samples_in_a_row_at_full_scale(tmp_path: Path, subtype: str) -> None:
    def touch(samples: np.ndarray) -> None:
        samples[100:102] = 1.0

    def clip(samples: np.ndarray) -> None:
        samples[100:103, 0] = 1.0
        samples[500:900, 1] = -1.0

    assert check_recording(spoilt(tmp_path, touch, subtype)).warnings == ()
    assert check_recording(spoilt(tmp_path, clip, subtype)).warnings == ("clipped: it stays at full scale in 2 places",)


def test_clipping_across_two_blocks_counts_once(tmp_path: Path) -> None:
    def clip(samples: np.ndarray) -> None:
        samples[(1 << 18) - 2 : (1 << 18) + 2, 0] = 1.0

    (warning,) = check_recording(spoilt(tmp_path, clip, frames=300_000)).warnings
    assert warning == "clipped: it stays at full scale in 1 place"


def test_an_offset_and_an_absurd_level_are_told(tmp_path: Path) -> None:
    def shift(samples: np.ndarray) -> None:
        samples[:, 1] -= 0.2

    (warning,) = check_recording(spoilt(tmp_path, shift)).warnings
    assert warning.startswith("DC offset: its mean is -")

    def unscaled(samples: np.ndarray) -> None:
        samples *= 32_768

    warnings = check_recording(spoilt(tmp_path, unscaled)).warnings
    assert any("saved without scaling?" in warning for warning in warnings)

    def absurd(samples: np.ndarray) -> None:
        samples *= np.float32(1e30)

    assert "no recording's" in check_recording(spoilt(tmp_path, absurd)).problem


def test_levels_are_those_of_the_samples(tmp_path: Path) -> None:
    time = np.arange(48_000) / 48_000
    write_recording(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 440 * time), 48_000)
    verdict = check_recording(tmp_path / "a.wav")
    assert verdict.peak_db == pytest.approx(-6.02, abs=0.01)
    assert verdict.rms_db == pytest.approx(-9.03, abs=0.01)


def test_a_stop_is_heeded_within_one_recording(tmp_path: Path) -> None:
    path = spoilt(tmp_path, lambda _samples: None, frames=2_000_000)
    asked: list[int] = []

    def should_stop() -> bool:
        asked.append(1)
        return len(asked) > 20

    with pytest.raises(StopRequestedError):
        check_recording(path, should_stop)
    assert len(asked) == 21


def test_equal_sounds_make_equal_files_whenever_they_are_written(tmp_path: Path) -> None:
    for name in ("one.wav", "other.wav"):
        write_recording(tmp_path / name, sound(), 48_000)
        time.sleep(1.1)  # libsndfile keeps the second of writing in a float WAV
    assert (tmp_path / "one.wav").read_bytes() == (tmp_path / "other.wav").read_bytes()
