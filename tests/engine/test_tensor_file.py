"""A header is believed only as far as the file bears it out, and a bad one is told in one sentence."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from distill_engine.errors import ModelFileError, NotFoundError
from distill_engine.models.tensor_file import LONGEST_HEADER, read_header

_good = {
    "__metadata__": {"k": "v"},
    "b": {"dtype": "F32", "shape": [2, 3], "data_offsets": [2, 26]},
    "a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]},
    "c": {"dtype": "I64", "shape": [], "data_offsets": [26, 34]},
}


def _write(path: Path, header: object, data: int = 34) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(data))
    return path


def _with(**changes: object) -> dict[str, object]:
    entry = {"dtype": "U8", "shape": [34], "data_offsets": [0, 34], **changes}
    return {"a": entry}


def test_a_good_header_is_read(tmp_path: Path) -> None:
    path = _write(tmp_path / "good", _good)
    header = read_header(path)
    assert header.metadata == {"k": "v"}
    assert header.tensors["b"].shape == (2, 3)
    assert (header.tensors["c"].begin, header.tensors["c"].end, header.tensors["c"].shape) == (26, 34, ())
    assert header.data_start + 34 == header.size == path.stat().st_size


def test_a_file_without_metadata_or_tensors_is_read(tmp_path: Path) -> None:
    assert not read_header(_write(tmp_path / "empty", {}, 0)).tensors


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (b"[1]", "not the JSON"),
        (b"{" + b"\xff" * 10, "not the JSON"),
        (b'{"a":' * 200_000, "not the JSON"),
        (b'{"a":' + b"[" * 200_000, "not the JSON"),
        (b'{"a":NaN}', "not the JSON"),
        (b'{"a":' + b"9" * 5000 + b"}", "not the JSON"),
        (b'{"a":1,"a":2}', "not the JSON"),
        ({"__metadata__": {"k": 1}}, "metadata"),
        ({"__metadata__": []}, "metadata"),
        ({"a": []}, "'a'"),
        ({"a": {}}, "'a'"),
        (_with(more=1), "'a'"),
        (_with(dtype="PICKLE"), "'PICKLE'"),
        (_with(dtype="U16"), "bytes its shape needs"),
        (_with(shape=[-1, -34]), "impossible shape"),
        (_with(shape=[34.0]), "impossible shape"),
        (_with(shape=[True] * 34), "impossible shape"),
        (_with(shape=[1] * 17), "impossible shape"),
        (_with(shape=[2**63]), "impossible shape"),
        (_with(shape=[2**62, 2**62]), "bytes its shape needs"),
        (_with(data_offsets=[0, 35]), "bytes its shape needs"),
        (_with(data_offsets=[34, 0]), "bytes its shape needs"),
        (_with(data_offsets=[-34, 0]), "does not begin where"),
        (_with(data_offsets=[1, 35]), "does not begin where"),
        (_with(shape=[10**12], data_offsets=[0, 10**12]), "cut short"),
        (_with(shape=[33], data_offsets=[0, 33]), "1 bytes follow"),
        ({"a": _with()["a"], "b": _with()["a"]}, "does not begin where"),
    ],
)
def test_a_header_that_lies_is_refused_in_one_sentence(tmp_path: Path, header: object, told: str) -> None:
    path = _write(tmp_path / "bad.distill", header)
    with pytest.raises(ModelFileError, match=told) as caught:
        read_header(path)
    assert "bad.distill" in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 250


@pytest.mark.parametrize("length", [LONGEST_HEADER + 1, 2**63, 2**64 - 1, 1000])
def test_a_hostile_header_length_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "bad"
    path.write_bytes(length.to_bytes(8, "little") + b"{}" * 20)
    with pytest.raises(ModelFileError):
        read_header(path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = _write(tmp_path / "whole", _good).read_bytes()
    path = tmp_path / "short"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFileError):
            read_header(path)


def test_random_damage_is_refused_or_harmless(tmp_path: Path) -> None:
    whole = _write(tmp_path / "whole", _good).read_bytes()
    path, chance = tmp_path / "damaged", random.Random(7)
    for _ in range(500):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(len(damaged) - 34)] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            header = read_header(path)
        except ModelFileError:
            continue
        assert sum(entry.end - entry.begin for entry in header.tensors.values()) == 34


def test_what_is_no_file_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_header(tmp_path / "nothing")
    with pytest.raises(ModelFileError, match="is not a file"):
        read_header(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="is not a file"):
        read_header(tmp_path / "pipe")


def test_it_needs_nothing_but_the_standard_library() -> None:
    code = (
        "import sys, distill_engine.models.tensor_file;"
        "print([m for m in ('torch', 'numpy', 'msgspec', 'safetensors') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
