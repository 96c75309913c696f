"""Files that may be anybody's: what is none, or isn't small, is an error with a sentence, and never waited for."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from distill_engine.errors import DistillError
from distill_engine.small_files import SMALL, read_small
from distill_engine.words import shown_json


def test_a_small_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(SMALL))
    assert read_small(tmp_path / "a") == bytes(SMALL)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (os.mkfifo, "no regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "no regular file"),
        (Path.mkdir, "directory"),
        (lambda path: path.write_bytes(bytes(SMALL + 1)), "larger than 1.0 MB"),
        (lambda path: path.symlink_to(path), "symbolic links"),
    ],
)
def test_anything_else_is_told(tmp_path: Path, make: Callable[[Path], object], told: str) -> None:
    make(tmp_path / "a")
    with pytest.raises(OSError, match=told):
        read_small(tmp_path / "a")


def test_a_name_that_cannot_be_one_names_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="can't be a file's"):
        read_small(tmp_path / "a\0b")


def test_an_error_is_fit_to_be_shown_whatever_is_in_it() -> None:
    error = DistillError("there is no \x1b[2J\nfile " + "x" * 5000, "one\ntwo\x9b")
    assert error.message.startswith("there is no \\x1b[2J\\nfile xxx")
    assert len(error.message) < 1000
    assert error.hint == "one\ntwo\\x9b"


def test_json_for_a_terminal_is_the_same_json() -> None:
    document = json.dumps({"a": "\x9b31m\u202e\x7f \U000e0041 ü"}, ensure_ascii=False).encode()
    shown = shown_json(document)
    assert json.loads(shown) == json.loads(document)
    assert shown.decode().isprintable()
