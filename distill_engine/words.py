"""Words for people: names and counts as they may be printed.

A file's name is data of somebody else's: it may hold line breaks, terminal escapes or bytes that aren't text, so no
name reaches a terminal without passing through `shown`.
"""

from __future__ import annotations

import os
import unicodedata

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def shown(name: str) -> str:
    r"""Return `name` with control, formatting and undecodable characters written as escapes such as `\n` and `\xff`."""
    return "".join(_escaped(c) if unicodedata.category(c) in _HIDDEN_CATEGORIES else c for c in name)


def encodable(name: str) -> str:
    r"""Return `name` with bytes that aren't UTF-8 written as `\xff`, the rest as it is: fit for JSON."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


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
