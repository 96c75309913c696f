"""Words for people: names and counts as they may be printed.

A file's name is data of somebody else's: it may hold line breaks, terminal escapes or bytes that aren't text, so no
name reaches a terminal without passing through `shown`.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Sequence

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_LONGEST_SENTENCE, _KEPT_OF_BEGIN, _KEPT_OF_END = 900, 600, 200
_NO_CELL_CATEGORIES = frozenset({"Mn", "Me", "Cf", "Cc"})


def shown(name: str) -> str:
    r"""Return `name` with control, formatting and undecodable characters written as escapes such as `\n` and `\xff`."""
    if name.isprintable():
        return name
    return "".join(_escaped(c) if unicodedata.category(c) in _HIDDEN_CATEGORIES else c for c in name)


def sentence(text: str) -> str:
    """Return a sentence as `shown` writes it, without the middle of one in which a name is as long as a page."""
    whole = shown(text)
    return whole if len(whole) <= _LONGEST_SENTENCE else f"{whole[:_KEPT_OF_BEGIN]} … {whole[-_KEPT_OF_END:]}"


def shown_lines(text: str) -> str:
    """Return a text of several lines with each of them as `shown` writes it."""
    return "\n".join(map(shown, text.split("\n")))


def shown_json(document: bytes) -> bytes:
    r"""Return the same JSON with what steers a terminal, or isn't seen on one, written as escapes such as `\u202e`."""
    text = document.decode()
    if text.isprintable():
        return document
    return "".join(json.dumps(c)[1:-1] if unicodedata.category(c) in _HIDDEN_CATEGORIES else c for c in text).encode()


def encodable(name: str) -> str:
    r"""Return `name` with bytes that aren't UTF-8 written as `\xff`, the rest as it is: fit for JSON."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def cells(text: str) -> int:
    """Return how many cells of a terminal `text` takes: two for a wide character, none for one that joins another."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def cut(text: str, width: int) -> str:
    """Return as much of the beginning of `text` as `width` cells can show."""
    taken = 0
    for index, character in enumerate(text):
        taken += _cells_of(character)
        if taken > width:
            return text[:index]
    return text


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return each row as a line, its cells below those of the row above."""
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(_padded, row, widths)).rstrip() for row in rows]


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return the count and its noun, such as "1 file" and "3 files"."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """Return a length of sound as a person reads it, such as "0.4 s", "3 min 05 s" or "1 h 02 min"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cells(text))


def _cells_of(character: str) -> int:
    if unicodedata.category(character) in _NO_CELL_CATEGORIES:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python carries a byte of a file's name that isn't UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def size(count: float) -> str:
    """Return a number of bytes in decimal units, such as "812 bytes", "64.2 MB" and "5.0 GB"."""
    if count < 1000:
        return f"{count:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:,.1f} TB"
