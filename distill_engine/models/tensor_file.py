"""Read what a safetensors file says it holds, and believe none of it unchecked; no tensor is touched here.

Model files come from strangers, so every number is held against the file's real size before memory is reserved by it.
The layout (an 8-byte little-endian length, JSON, then the tensors' bytes without gaps) is that of
https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from distill_engine.errors import ModelFileError, NotFoundError

LONGEST_HEADER = 8 * 2**20
"""Bytes of JSON read at most; a model's header has about ten thousand."""

_MOST_DIMENSIONS = 16
_ENTRY_KEYS = {"dtype", "shape", "data_offsets"}
_ITEM_SIZES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}


@dataclass(frozen=True, kw_only=True)
class TensorEntry:
    """One tensor's place: bytes `begin` to `end` after the header's end."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, kw_only=True)
class TensorFileHeader:
    """A checked header: the tensors fill the file from byte `data_start` to its end, without gaps or overlaps."""

    metadata: Mapping[str, str]
    tensors: Mapping[str, TensorEntry]
    data_start: int
    size: int


def read_header(path: Path) -> TensorFileHeader:
    """Read and check the header of the file at `path`.

    Raises:
        NotFoundError: there is no such file.
        ModelFileError: it can't be read, is cut short, or isn't what its header says.
    """
    with open_file(path) as file:
        return header_of(file, path.name)


def open_file(path: Path) -> BinaryIO:
    """Open a regular file to read; raises as `read_header` does."""
    try:
        # Opening a named pipe would wait for a writer for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ModelFileError(f"{path.name} is not a file", "name a .distill file")
        return path.open("rb")
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelFileError(f"{path.name} can't be read: {reason}") from None


def header_of(file: BinaryIO, name: str) -> TensorFileHeader:
    """Read and check the header of an open file, called `name` in what is raised (ModelFileError)."""
    try:
        size = os.fstat(file.fileno()).st_size
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        _check_lengths(length, size, name)
        text = file.read(length)
    except OSError as error:
        raise ModelFileError(f"{name} can't be read: {error.strerror}") from None
    if len(text) != length:
        _refuse(name, "it is cut short within its header")
    document = _document(text, name)
    metadata = _metadata(document.pop("__metadata__", {}), name)
    tensors = {key: _entry(key, value, name) for key, value in document.items()}
    _check_layout(tensors, size - 8 - length, name)
    return TensorFileHeader(metadata=metadata, tensors=tensors, data_start=8 + length, size=size)


def _check_lengths(length: int, size: int, name: str) -> None:
    if size < 10:
        _refuse(name, f"it has only {size} bytes")
    if length > LONGEST_HEADER:
        _refuse(name, f"it does not begin like one (a header of {length:,} bytes)")
    if length > size - 8:
        _refuse(name, f"its header should have {length:,} bytes, and the whole file has {size:,}")


def _document(text: bytes, name: str) -> dict[str, Any]:
    try:
        if not text.startswith(b"{"):
            raise ValueError
        document = json.loads(text.decode(), object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        _refuse(name, "its header is not the JSON it should be")
    assert isinstance(document, dict)
    return document


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name stands twice")
    return document


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _metadata(value: object, name: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        _refuse(name, "its metadata is not texts under names")
    return value


def _entry(key: str, value: object, name: str) -> TensorEntry:
    # Not a match statement, which takes three times as long: a library of a thousand models has 34,000 tensors.
    if type(value) is not dict or value.keys() != _ENTRY_KEYS:
        _refuse(name, f"its header does not describe the tensor {_short(key)} as it should")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if type(dtype) is not str or type(shape) is not list or type(offsets) is not list or len(offsets) != 2:
        _refuse(name, f"its header does not describe the tensor {_short(key)} as it should")
    begin, end = offsets
    if dtype not in _ITEM_SIZES:
        _refuse(name, f"the tensor {_short(key)} is of a kind unknown here, {_short(dtype)}")
    if len(shape) > _MOST_DIMENSIONS or not all(type(side) is int and 0 <= side < 2**63 for side in shape):
        _refuse(name, f"the tensor {_short(key)} has an impossible shape")
    if type(begin) is not int or type(end) is not int or end - begin != math.prod(shape) * _ITEM_SIZES[dtype]:
        _refuse(name, f"the tensor {_short(key)} has not the bytes its shape needs")
    return TensorEntry(dtype=dtype, shape=tuple(shape), begin=begin, end=end)


def _check_layout(tensors: Mapping[str, TensorEntry], size: int, name: str) -> None:
    reached = 0
    for key, entry in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != reached:
            _refuse(name, f"the tensor {_short(key)} does not begin where the one before it ends")
        reached = entry.end
    if reached > size:
        _refuse(name, f"it is cut short, {size:,} of {reached:,} bytes are there")
    if reached < size:
        _refuse(name, f"{size - reached:,} bytes follow after its tensors")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


def _refuse(name: str, reason: str) -> NoReturn:
    raise ModelFileError(f"{name} is not a whole model: {reason}", "get it again from where it came from")
