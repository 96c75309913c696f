"""Generated sounds copied into a folder of recordings: only such as say so, and nothing is lost or replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from distill_engine.audio.tags import SoundTags, read_tags, write_tags
from distill_engine.corpus_additions import add_to_corpus
from distill_engine.errors import DistillError, UsageError
from tests.engine.recordings import good

TAGS = SoundTags(model="rain", model_id="0" * 32, seed=7, seconds=0.1)


def generated(path: Path) -> Path:
    with soundfile.SoundFile(path, "w", 48_000, 1) as file:
        write_tags(file, TAGS)
        file.write([0.1] * 4800)
    return path


def test_a_copy_is_added_under_a_free_name_and_says_that_it_is_generated(tmp_path: Path) -> None:
    sound = generated(tmp_path / "rain-7.wav")
    folder = tmp_path / "corpus"
    mine = good(folder / "rain-7.wav").read_bytes()
    added = add_to_corpus(sound, folder)
    assert added == folder / "rain-7-2.wav"
    assert read_tags(added) == TAGS
    assert add_to_corpus(sound, folder) == folder / "rain-7-3.wav"
    assert added.read_bytes() == sound.read_bytes()
    assert (folder / "rain-7.wav").read_bytes() == mine
    assert len([*folder.iterdir()]) == 3


def test_what_says_nothing_or_has_nowhere_to_go_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    with pytest.raises(UsageError, match="would be taken for a recording"):
        add_to_corpus(good(tmp_path / "recording.wav"), folder)
    with pytest.raises(UsageError, match="there is no folder"):
        add_to_corpus(generated(tmp_path / "rain.wav"), tmp_path / "nowhere")
    with pytest.raises(DistillError, match="can't be copied"):
        add_to_corpus(generated(tmp_path / "rain.wav"), Path("/proc"))
    assert not [*folder.iterdir()]
