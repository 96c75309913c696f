"""The draft's file: loaded, copied from a run, and saved without overwriting what somebody else wrote meanwhile.

All of it blocks, so a screen lets a thread do it. Asking is the screen's: `question_before_saving` has the words.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from distill_engine import api
from distill_tui.forms import Form, texts_of


def loaded(form: Form, path: Path) -> Form:
    """Return the form with the settings of a file in place of all edits. Reads the file.

    Raises:
        ConfigError: it can't be read or understood; names the line or the key.
    """
    file = api.read_settings(path)
    return replace(form, edits=texts_of(file.values), file=file)


def copied(form: Form, run: api.RunFolder) -> Form:
    """Return the form with the configuration of an earlier run in place of all edits. Reads the run's file.

    The run's own file stays the run's: saving asks for another name.

    Raises:
        ConfigError: it can't be read.
    """
    return replace(loaded(form, run.config_file), file=None)


def file_path(text: str) -> Path:
    """Return the path that a person means by `text`; `.toml` is added where there is no suffix."""
    path = Path(text.strip()).expanduser()
    return path if path.suffix else path.with_name(f"{path.name}.toml")


def question_before_saving(form: Form, path: Path) -> str:
    """Return what to ask before `saved` writes to `path`, empty where it may. Looks at the file."""
    if not path.exists():
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
