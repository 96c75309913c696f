"""Names of runs, models and people: which are allowed, which was meant by one that doesn't exist, who runs this."""

from __future__ import annotations

import difflib
import os
import pwd
import re
from collections.abc import Sequence
from pathlib import Path

from distill_engine.errors import UsageError

LONGEST_NAME = 100
_forbidden = re.compile(r"[/\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def checked_name(name: str) -> str:
    """Return `name` if it can be a file's name on any system.

    Raises:
        UsageError: it is empty, over 100 characters, starts with a dot or a dash, or holds a separator or control
            character.
    """
    hint = f"use up to {LONGEST_NAME} letters, digits, spaces, dots and dashes, a letter or digit first"
    if not name.strip():
        raise UsageError("a name must not be empty", hint)
    if len(name) > LONGEST_NAME or len(name.encode(errors="replace")) > 2 * LONGEST_NAME:
        raise UsageError(f"the name {name[:20]!r}… is too long", hint)
    if name[0] in ".-" or name != name.strip():
        raise UsageError(f"the name {name!r} must not start with a dot or a dash, nor have spaces at its ends", hint)
    if _forbidden.search(name):
        raise UsageError(f"the name {name!r} holds a character that a file's name can't", hint)
    return name


def name_from(text: str) -> str:
    """Return a name made of what is allowed in `text`, such as that of a folder; `run` where nothing is."""
    cleaned = _forbidden.sub(" ", text).strip().lstrip(".- ").strip()
    while len(cleaned.encode()) > LONGEST_NAME:
        cleaned = cleaned[:-1].strip()
    return cleaned or "run"


def folder_name(folder: Path) -> str:
    """Return what a folder of recordings is called in a run and its models, which travel: never as its user is."""
    name = folder.absolute().name
    person = (os.environ.get("USER"), os.environ.get("LOGNAME"), Path.home().name)
    return "recordings" if name in person else name


def nearest_words(asked: str, known: Sequence[str], what: str) -> str:
    """Return a hint that names what was probably meant, or what there is."""
    folded = {name.casefold(): name for name in known}
    close = [folded[name] for name in difflib.get_close_matches(asked.casefold(), folded, n=3, cutoff=0.65)]
    if close:
        return f"did you mean {', '.join(close)}?"
    if known:
        return f"there {'is' if len(known) == 1 else 'are'} {', '.join(known[:5])}{', …' if len(known) > 5 else ''}"
    return f"there are no {what} yet"


def user_name() -> str:
    """Return what the person who runs this is called on this machine, the number where there is no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without an entry
        return str(os.getuid())
