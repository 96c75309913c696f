"""What the Datasets screen says of recordings, and of what a run would make of them."""

from __future__ import annotations

from pathlib import Path

from distill_engine.audio.checks import LOWEST_DB
from distill_engine.datasets import Recording, scan
from distill_tui.datasets import dataset_words
from distill_tui.drafts.forms import Form, with_dataset, with_text
from distill_tui.format import Words
from tests.engine.recordings import cut, good


def said(lines: list[Words]) -> list[str]:
    return ["".join(words for words, _ in line) for line in lines]


def recording(**known: object) -> Recording:
    facts = {"sample_rate": 44_100, "frames": 66_150, "channels": 2, "format": "WAV PCM_16", "peak_db": -0.04}
    return Recording(path=Path("a.wav"), name="a.wav", **{**facts, "rms_db": -17.26, **known})  # type: ignore[arg-type]


def test_rates_are_told_one_by_one_or_from_the_least_to_the_greatest() -> None:
    assert dataset_words.rates([44_100]) == "44.1 kHz"
    assert dataset_words.rates([48_000, 22_050]) == "22.05, 48 kHz"
    assert dataset_words.rates([48_000, 8_000, 44_100]) == "8 to 48 kHz"
    assert dataset_words.rates([]) == ""


def test_a_level_never_reads_minus_zero_and_no_sound_is_no_number() -> None:
    assert dataset_words.level(-0.04) == "0.0"
    assert dataset_words.level(-17.26) == "-17.3"
    assert dataset_words.level(LOWEST_DB) == "silent"


def test_a_recording_is_told_in_lines_that_fit() -> None:
    assert said(dataset_words.recording_lines(recording(), 80)) == [
        "a.wav",
        "1.5 s, 44,100 Hz, stereo, WAV PCM_16, peak 0.0 dB, RMS -17.3 dB",
    ]
    warned = recording(warnings=("it clips in 12 places and a half, to say the least",))
    assert said(dataset_words.recording_lines(warned, 40)) == [
        "a.wav",
        "1.5 s, 44,100 Hz, stereo, WAV PCM_16",
        "peak 0.0 dB, RMS -17.3 dB",
        "Look at: it clips in 12 places and a",
        "half, to say the least",
    ]
    assert "no sound at all" in said(dataset_words.recording_lines(recording(peak_db=LOWEST_DB), 80))[1]


def test_what_is_skipped_and_what_is_only_odd_differ_by_more_than_a_colour() -> None:
    assert dataset_words.verdict(recording(problem="it is cut off")) == ("x it is cut off", "bad")
    assert dataset_words.verdict(recording(warnings=("it clips", "it is loud"))) == ("! it clips; it is loud", "warn")
    assert dataset_words.verdict(recording()) == ("", "")


def test_a_run_is_estimated_with_the_drafts_own_settings(tmp_path: Path) -> None:
    for number in range(5):
        good(tmp_path / f"{number}.wav", seed=number, frames=96_000)
    cut(good(tmp_path / "cut.wav"))
    found = scan(tmp_path)
    form = with_text(with_dataset(Form(), tmp_path, found), "augmentation.copies", "3")
    form = with_text(with_text(form, "batch_size", "4"), "max_epochs", "10")
    takes = form.estimate
    assert takes is not None
    lines = said(dataset_words.use_lines(found, form, 45))
    assert lines[0] == "A run would use  (draft, preset auto)"
    assert lines[1] == "5 of 6 recordings, 10.0 s of sound"
    assert lines[2] == "3 altered copies of each it trains on"
    pieces, steps = takes.training_pieces, takes.steps_per_epoch
    assert lines[3] == f"an epoch: about {pieces} pieces of 1 s, {steps} steps"
    assert lines[4] == f"about {10 * steps} steps in all at most"
    assert all(len(line) <= 45 for line in lines)


def test_a_scan_in_a_line_counts_what_is_used_skipped_and_odd(tmp_path: Path) -> None:
    good(tmp_path / "a.wav", frames=48_000)
    good(tmp_path / "b.wav", frames=48_000)
    cut(good(tmp_path / "c.wav"))
    line = "".join(words for words, _ in dataset_words.found(scan(tmp_path)))
    assert line == "3 recordings, 2 used, 1 skipped, 1 to look at, 2.0 s of sound"
