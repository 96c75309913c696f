"""The library: a folder of `.distill` files, listed, found, renamed, deleted, imported and exported by header alone.

A model's name is its file's name; the name inside the file is what it was trained as. Nothing is ever overwritten
unless asked for: a new file takes its place by a hard link, which fails where the name is taken, even if another
process took it just now.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from distill_engine import atomic, home
from distill_engine.errors import DistillError, ModelFileError, NotFoundError, UsageError
from distill_engine.models.model_info import SUFFIX, ModelInfo, read_info
from distill_engine.names import checked_name, name_from, nearest_words
from distill_engine.words import shown

_SHORTEST_ID = 4
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@dataclass(frozen=True, kw_only=True)
class LibraryEntry:
    """One file of the library. `info` is None where the file can't be used, and `problem` says why."""

    name: str
    path: Path
    size: int
    modified: float
    """Seconds since the epoch."""

    info: ModelInfo | None
    problem: str = ""

    @property
    def id(self) -> str:
        """The model's id, empty where the file can't be read."""
        return self.info.id if self.info else ""


class ModelDescription(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as JSON has it; what the file itself says stands under `info`."""

    name: str
    id: str
    path: str
    size: int
    modified: str
    problem: str
    info: ModelInfo | None


def describe(entry: LibraryEntry) -> ModelDescription:
    """Return `entry` in the shape that `models --json` prints: `modified` in UTC, as ISO 8601."""
    return ModelDescription(
        name=entry.name,
        id=entry.id,
        path=str(entry.path),
        size=entry.size,
        modified=datetime.fromtimestamp(entry.modified, UTC).isoformat(timespec="seconds"),
        problem=entry.problem,
        info=entry.info,
    )


def list_models(folder: Path | None = None, *, known: Sequence[LibraryEntry] = ()) -> list[LibraryEntry]:
    """Return what is in the library, by name; a file that can't be used is listed with its problem.

    A file of the size and time that it has in `known`, an earlier list, isn't read again.
    """
    folder = folder or home.models_folder()
    try:
        paths = [path for path in folder.iterdir() if path.suffix == SUFFIX and not path.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DistillError(f"the folder of models {folder} can't be read: {error.strerror}") from None
    read_before = {entry.path: entry for entry in known if entry.info}
    entries = (_entry(path, read_before.get(path)) for path in paths)
    return sorted((entry for entry in entries if entry), key=lambda entry: (entry.name.casefold(), entry.name))


def find_model(text: str, folder: Path | None = None) -> LibraryEntry:
    """Return the model that `text` names: its name, its id or the beginning of one, or a path to a `.distill` file.

    A name goes before an id, an id before a path. A file that can't be used is returned with its problem.

    Raises:
        NotFoundError: there is none; the hint names the nearest.
        UsageError: several ids begin so.
    """
    folder = folder or home.models_folder()
    entry = _entry_named(text, folder) or _entry_with_id(text, folder) or _entry_at(text)
    if entry is None:
        names = [known.name for known in list_models(folder)]
        raise NotFoundError(f"there is no model {text!r}", nearest_words(text, names, "models"))
    return entry


def free_name(name: str, folder: Path | None = None) -> str:
    """Return `name`, or the first of `name-2`, `name-3`, … that no model has."""
    folder, wanted, number = folder or home.models_folder(), checked_name(name), 1
    while os.path.lexists(_path(folder, wanted)):
        number += 1
        wanted = f"{name}-{number}"
    return wanted


def rename(entry: LibraryEntry, new_name: str) -> LibraryEntry:
    """Give a model another name, in the folder where it is; return it as it is then.

    Raises:
        UsageError: the name can't be one, or is taken.
    """
    target = _path(entry.path.parent, checked_name(new_name))
    if target == entry.path:
        return entry
    try:
        _move_to_free(entry.path, target)
    except FileExistsError:
        raise UsageError(f"there is a model {new_name!r} already", "choose another name") from None
    except OSError as error:
        raise _failed("renamed", entry.path, error) from None
    return _existing_entry(target)


def delete(entry: LibraryEntry) -> None:
    """Remove a model's file. One that is gone already is fine."""
    try:
        entry.path.unlink(missing_ok=True)
    except OSError as error:
        raise _failed("deleted", entry.path, error) from None


def import_model(source: Path, name: str | None = None, folder: Path | None = None) -> LibraryEntry:
    """Copy a `.distill` file into the library as `name`, else as what it is called; a taken name gets `-2`.

    Raises:
        NotFoundError: there is no file `source`.
        ModelFileError: it is no model, or not a whole one; nothing is copied.
        UsageError: `name` can't be one.
    """
    folder = folder or home.models_folder()
    wanted = name_from(source.stem) if name is None else checked_name(name)
    read_info(source)
    with _staged_copy(source, folder) as staged:
        # The source may have changed between the check and the copy.
        read_info(staged)
        return _existing_entry(_take_free_name(staged, folder, wanted))


def export_target(entry: LibraryEntry, target: Path) -> Path:
    """Return the file that `export` writes: in a folder under the model's name; `.distill` is added where missing."""
    target = target / f"{entry.name}{SUFFIX}" if os.path.isdir(target) else target  # noqa: PTH112 - never an error
    return target if target.suffix == SUFFIX else target.with_name(target.name + SUFFIX)


def export(entry: LibraryEntry, target: Path, *, overwrite: bool = False) -> Path:
    """Copy a model to the file that `export_target` names; return where it is.

    Raises:
        ModelFileError: the model can't be read.
        UsageError: a file is there already, and `overwrite` wasn't asked for; or there is no such folder.
    """
    target = export_target(entry, target)
    if not os.path.isdir(target.parent):  # noqa: PTH112
        raise UsageError(f"there is no folder {shown(str(target.parent))}", "make it first, or name another place")
    read_info(entry.path)
    with _staged_copy(entry.path, target.parent) as staged:
        try:
            if overwrite:
                staged.replace(target)
            else:
                _move_to_free(staged, target)
        except FileExistsError:
            raise UsageError(f"{target} exists already", "name another place, or add --force") from None
        except OSError as error:
            raise _failed("exported", entry.path, error) from None
    return target


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}{SUFFIX}"


def _entry(path: Path, known: LibraryEntry | None = None) -> LibraryEntry | None:
    """Return None where the file has just gone."""
    try:
        status = path.stat()
        if known and (known.size, known.modified) == (status.st_size, status.st_mtime):
            return known
        info, problem = read_info(path), ""
    except (FileNotFoundError, NotFoundError):
        return None
    except ModelFileError as error:
        info, problem = None, error.message
    except OSError as error:
        return LibraryEntry(
            name=path.stem, path=path, size=0, modified=0.0, info=None, problem=f"it can't be read: {error.strerror}"
        )
    return LibraryEntry(
        name=path.stem, path=path, size=status.st_size, modified=status.st_mtime, info=info, problem=problem
    )


def _existing_entry(path: Path) -> LibraryEntry:
    entry = _entry(path)
    if entry is None:
        raise NotFoundError(f"{path} has just been removed")
    return entry


def _entry_named(text: str, folder: Path) -> LibraryEntry | None:
    name = text.removesuffix(SUFFIX)
    path = _path(folder, name)
    is_name = name and not name.startswith(".") and path.parent == folder
    return _entry(path) if is_name and os.path.lexists(path) else None


def _entry_with_id(text: str, folder: Path) -> LibraryEntry | None:
    if len(text) < _SHORTEST_ID or not set(text) <= set("0123456789abcdef"):
        return None
    found = [entry for entry in list_models(folder) if entry.id.startswith(text)]
    if len(found) > 1:
        names = ", ".join(entry.name for entry in found[:5])
        raise UsageError(f"{len(found)} models have an id that begins with {text}", f"name one of them: {names}")
    return found[0] if found else None


def _entry_at(text: str) -> LibraryEntry | None:
    path = Path(text).absolute()
    is_path = path.suffix == SUFFIX or os.sep in text
    return _entry(path) if is_path and os.path.lexists(path) and not path.is_dir() else None


@contextlib.contextmanager
def _staged_copy(source: Path, folder: Path) -> Iterator[Path]:
    """Yield a durable copy of `source` under a hidden name in `folder`; it goes where it wasn't given another name."""
    staged = atomic.temporary_beside(folder / f"copy{SUFFIX}")
    try:
        with contextlib.ExitStack() as stack:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                atomic.remove_abandoned(folder)
                stack.enter_context(atomic.held(staged))
                shutil.copyfile(source, staged)
                atomic.sync(staged)
            except OSError as error:
                raise _failed("copied", source, error) from None
            yield staged
    finally:
        staged.unlink(missing_ok=True)


def _take_free_name(staged: Path, folder: Path, wanted: str) -> Path:
    while True:
        target = _path(folder, free_name(wanted, folder))
        try:
            _move_to_free(staged, target)
        except FileExistsError:
            continue  # another process took it in this moment
        except OSError as error:
            raise _failed("imported", target, error) from None
        return target


def _move_to_free(source: Path, target: Path) -> None:
    """Rename, but raise FileExistsError where `target` is: a plain rename would replace it in silence."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # exFAT and some network folders have no hard links; there a moment's race is left.
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        source.replace(target)
    else:
        source.unlink()


def _failed(what: str, path: Path, error: OSError) -> DistillError:
    return DistillError(f"{path.name} can't be {what}: {error.strerror}")
