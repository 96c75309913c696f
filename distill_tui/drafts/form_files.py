"""The draft's file: loaded, copied from a run, and saved without overwriting what somebody else wrote meanwhile.

All of it blocks, so a screen lets a thread do it. Asking is the screen's: `question_before_saving` has the words.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from distill_engine import api
from distill_tui.datasets.path_completion import is_folder, meant
from distill_tui.drafts.forms import Form, texts_of, with_dataset


def loaded(form: Form, path: Path) -> Form:
    """Return the form with the settings of a file in place of all edits. Reads the file.

    Raises:
        ConfigError: it can't be read or understood; names the line or the key.
    """
    file = api.read_settings(path)
    return replace(form, edits=texts_of(file.values), file=file)


def copied(form: Form, run: api.RunFolder, scan: api.Scan | None = None) -> Form:
    """Return the form with the configuration of an earlier run in place of all edits. Reads the run's file.

    What `scan` found becomes the dataset where the form has none. The run's own file stays the run's: saving asks for
    another name.

    Raises:
        ConfigError: it can't be read.
    """
    taken = replace(loaded(form, run.config_file), file=None)
    return taken if scan is None or taken.dataset is not None else with_dataset(taken, scan.folder, scan)


def scan_of(run: api.RunFolder, should_stop: Callable[[], bool]) -> api.Scan | None:
    """Look at what is in the dataset of a run; None where it isn't there any more. Reads files that changed since.

    Raises:
        StopRequestedError: it was asked to stop.
    """
    try:
        folder = Path(run.info().dataset)
        return api.scan(folder, cache=api.cache_folder(), should_stop=should_stop) if is_folder(folder) else None
    except api.DistillError:
        return None


def told_of_copy(before: Form, after: Form, run: api.RunFolder) -> str:
    """Return in words what `copied` took of a run and what it didn't. Reads the run's file about itself."""
    name = api.shown(run.name)
    if before.dataset is None and after.dataset is not None:
        told = f"settings and dataset are those of run {name}"
    elif before.dataset is not None:
        told = f"the settings are those of run {name}; the dataset stays {api.shown(before.dataset.name)}"
    else:
        told = f"the settings are those of run {name}; its dataset isn't there any more"
    if after.model is not None:
        return f"{told}; it still goes on from {api.shown(after.model.name)}"
    return f"{told}; the model it went on from isn't taken" if _went_on(run) else told


def _went_on(run: api.RunFolder) -> bool:
    try:
        return bool(run.info().start_from)
    except api.DistillError:
        return False


def file_path(text: str) -> Path:
    """Return the file that a person means by `text`; `.toml` is added where there is no suffix.

    Raises:
        DistillError: it can only be a folder, or no file at all.
    """
    last = text.strip().rpartition("/")[2]
    if last in ("", ".", "..", "~") or "\0" in text:
        raise api.DistillError(f"{api.shown(text.strip()) or 'nothing'} names no file", "type one such as bells.toml")
    path = meant(text)
    return path if path.suffix else path.with_name(f"{path.name}.toml")


def question_before_saving(form: Form, path: Path) -> str:
    """Return what to ask before `saved` writes to `path`, empty where it may. Looks at the file."""
    if not os.path.exists(path):  # noqa: PTH110 - a name that can't be one is no error yet
        return ""
    if form.file is None or form.file.path != path:
        return f"{api.shown(str(path))} exists already. Put these settings into it?"
    return "" if api.is_as_read(form.file) else f"{api.shown(str(path))} has changed on disk. Overwrite its values?"


def saved(form: Form, path: Path) -> Form:
    """Write all settings to a file, keeping the comments of one that exists; return the form as that file's.

    Raises:
        ConfigError: a field has a complaint, or the file holds what can't be understood; nothing is written.
        DistillError: it can't be written.
    """
    for complaint in form.complaints.values():
        if complaint.key in api.declarations():
            raise api.ConfigError(complaint.message, complaint.hint, complaint.key)
    try:
        api.save_config(path, form.config)
    except OSError as error:
        raise api.DistillError(f"{api.shown(str(path))} can't be written: {error.strerror or error}") from None
    return replace(form, file=api.read_settings(path))
