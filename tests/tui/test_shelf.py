"""Actions of the library are on the very model that was shown, and sounds lie where they are looked for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from distill_engine import home
from distill_engine.errors import NotFoundError
from distill_engine.library import find_model, list_models
from distill_tui.library import shelf
from tests.engine.recordings import good
from tests.tui.models_made import model_id, write_model


def test_a_model_that_was_renamed_meanwhile_is_still_the_one_shown() -> None:
    path = write_model("rain", "abc1")
    shown = find_model("rain")
    path.rename(path.with_name("drizzle.distill"))
    assert shelf.still_there(shown, list_models()).name == "drizzle"


def test_a_copy_with_the_same_id_is_not_the_one_shown() -> None:
    path = write_model("rain", "abc1")
    shutil.copyfile(path, path.with_name("copy.distill"))
    os.utime(path.with_name("copy.distill"), (1, 1))
    shown = find_model("rain")
    shelf.delete(shown, list_models())
    assert [entry.name for entry in list_models()] == ["copy"]
    with pytest.raises(NotFoundError, match="no longer there"):
        shelf.delete(shown)


def test_copies_that_cannot_be_told_apart_are_left_alone() -> None:
    path = write_model("rain", "abc1")
    shown = find_model("rain")
    for name in ("one", "two"):
        shutil.copy2(path, path.with_name(f"{name}.distill"))
    path.unlink()
    with pytest.raises(NotFoundError):
        shelf.delete(shown)
    assert len(list_models()) == 2


def test_a_name_that_belongs_to_another_model_by_now_is_left_alone() -> None:
    path = write_model("rain", "abc1")
    shown, known = find_model("rain"), list_models()
    status = path.stat()
    write_model("rain", "fff1")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # so that size and time are the same too
    with pytest.raises(NotFoundError):
        shelf.rename(shown, "snow", known)
    assert [(entry.name, entry.id) for entry in list_models()] == [("rain", model_id("fff1"))]


def test_a_file_that_cannot_be_used_is_deleted_only_as_it_was_shown() -> None:
    path = home.models_folder() / "broken.distill"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no model")
    shown = find_model("broken")
    path.write_bytes(b"no model either")
    with pytest.raises(NotFoundError):
        shelf.delete(shown)
    shelf.delete(find_model("broken"))
    assert not path.exists()


def test_sounds_are_told_newest_first_and_the_next_seed_is_free(tmp_path: Path) -> None:
    for number, name in enumerate(("a-0.wav", "a-11.flac", "a-b-99.wav", "song.mp3")):
        os.utime(good(tmp_path / name), (number + 1, number + 1))
    (tmp_path / "notes.txt").write_text("a-200")
    (tmp_path / ".distill-1.wav").write_bytes(b"half written")
    (tmp_path / "a-300.wav").symlink_to(tmp_path / "nowhere.wav")
    assert [path.name for path in shelf.sounds_in(tmp_path)] == ["song.mp3", "a-b-99.wav", "a-11.flac", "a-0.wav"]
    assert shelf.free_seed("a", tmp_path) == 12
    assert shelf.free_seed("a-b", tmp_path) == 100
    assert shelf.free_seed("other", tmp_path) == 0
    assert shelf.sounds_in(tmp_path / "nothing") == []
