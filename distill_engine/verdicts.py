"""Keep verdicts about recordings between scans: one JSON file a dataset, under the cache folder.

A verdict is believed while the file's size and times are the same and the checks are of the same version. The index is
written whole, so of two processes that scan one folder the later wins and neither harms the other; a damaged one is
told by its digest, mentioned, and made anew. Files that couldn't be opened are asked again each time: that is cheap,
and rights or libsndfile may have changed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from distill_engine import atomic
from distill_engine.audio.checks import CHECKS_VERSION, Verdict
from distill_engine.audio.io import tidy_reason
from distill_engine.small_files import LARGE, UNREADABLE, read_small


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What changes whenever a file's content does."""

    size: int
    modified_ns: int
    changed_ns: int
    """Change of status: it tells of a copy that was given its predecessor's date."""


@dataclass(frozen=True, kw_only=True)
class _Entry:
    signature: Signature
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class _Stored:
    version: int
    digest: str
    entries: dict[str, _Entry]


def signature(path: Path) -> Signature:
    """Return the file's signature; raises OSError. Not the inode: some network file systems make them up."""
    status = path.stat()
    return Signature(size=status.st_size, modified_ns=status.st_mtime_ns, changed_ns=status.st_ctime_ns)


class VerdictIndex:
    """The verdicts kept about one dataset; `note` says what went wrong with keeping them, or is empty."""

    def __init__(self, folder: Path, cache: Path | None) -> None:
        self.note = ""
        self._path = cache / "scans" / f"{_folder_key(folder)}.json" if cache else None
        self._entries = self._loaded()
        self._changed = False

    def find(self, name: str, current: Signature) -> Verdict | None:
        """Return what was found out about the file of this name while it had this signature."""
        entry = self._entries.get(name)
        return entry.verdict if entry and entry.signature == current else None

    def keep(self, name: str, current: Signature, verdict: Verdict) -> None:
        """Remember a verdict, if it came from opening the file."""
        if verdict.format:
            self._entries[name] = _Entry(signature=current, verdict=verdict)
            self._changed = True

    def save(self, names: Set[str]) -> None:
        """Write what was learned, about `names` only. That it can't be written costs time, not the scan."""
        kept = {name: entry for name, entry in self._entries.items() if name in names}
        if self._path is None or (not self._changed and len(kept) == len(self._entries)):
            return
        entries = {name: dataclasses.asdict(entry) for name, entry in sorted(kept.items())}
        try:
            atomic.remove_abandoned(self._path.parent)
            atomic.write_text(
                self._path,
                json.dumps({"version": CHECKS_VERSION, "digest": _digest(entries), "entries": entries}) + "\n",
            )
        except OSError as error:
            self.note = f"the verdicts of this scan couldn't be kept: {tidy_reason(error)}"

    def _loaded(self) -> dict[str, _Entry]:
        try:
            return _read(self._path) if self._path else {}
        except FileNotFoundError:
            return {}
        except OSError as error:
            self.note = f"the verdicts of earlier scans can't be read: {tidy_reason(error)}"
        except UNREADABLE:
            self.note = "the index of earlier scans was damaged; every recording was checked anew"
        return {}


def _read(path: Path) -> dict[str, _Entry]:
    """Return the entries of an index, none where its version is another; ValueError where it is damaged."""
    import msgspec  # noqa: PLC0415 - 20 ms

    # The standard library's JSON, since names may hold lone surrogates, which msgspec's won't.
    content = json.loads(read_small(path, LARGE))
    if isinstance(content, dict) and isinstance(content.get("version"), int) and content["version"] != CHECKS_VERSION:
        return {}
    stored = msgspec.convert(content, _Stored)  # its ValidationError is a ValueError
    if stored.digest != _digest(content["entries"]):
        raise ValueError("the digest doesn't match")
    return stored.entries


def _digest(entries: object) -> str:
    return hashlib.blake2b(json.dumps(entries, sort_keys=True).encode(), digest_size=16).hexdigest()


def _folder_key(folder: Path) -> str:
    return hashlib.blake2b(os.fsencode(folder.resolve()), digest_size=16).hexdigest()
