"""The user's own settings, `config/settings.toml`: read strictly, and what they ask to be run at the end of a run."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Literal

from distill_engine import home
from distill_engine.errors import ConfigError
from distill_engine.names import nearest_words
from distill_engine.small_files import UNREADABLE, read_small
from distill_engine.words import shown

SETTINGS_FILE = "settings.toml"
NOTIFY_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a person set for all runs; an absent file means the usual values."""

    notify_command: str = ""
    """Run by the shell when a run ends or fails; empty for none. It finds `DISTILL_RUN`, `DISTILL_STATE` (finished,
    stopped or failed), `DISTILL_RUN_PATH` and `DISTILL_MESSAGE` in its environment."""


def settings_file() -> Path:
    """Return where the settings stand."""
    return home.config_folder() / SETTINGS_FILE


def load_settings(path: Path | None = None) -> Settings:
    """Return the settings of the TOML file `path`, by default the user's own.

    Raises:
        ConfigError: it can't be read, isn't TOML, or holds an unknown key or a wrong type; names the file and the key.
    """
    path = path or settings_file()
    try:
        table = tomllib.loads(read_small(path).decode("utf-8-sig"))
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise ConfigError(f"{shown(str(path))} can't be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{shown(str(path))} isn't text in UTF-8: byte {error.start} can't be one", "save it as UTF-8 in an editor"
        ) from None
    except UNREADABLE as error:
        raise ConfigError(
            f"{shown(str(path))} isn't TOML: {shown(str(error))}", "a line reads KEY = VALUE; texts stand in quotes"
        ) from None
    return _checked(table, path)


def notify(
    command: str, *, run: str, run_path: Path, state: Literal["finished", "stopped", "failed"], message: str
) -> str:
    """Run the command that was set for the end of a run; return what went wrong with it, or "".

    Its output goes nowhere, and it has half a minute: a notice that hangs must not keep a run from ending.
    """
    if not command:
        return ""
    told = {"DISTILL_RUN": run, "DISTILL_STATE": state, "DISTILL_RUN_PATH": str(run_path), "DISTILL_MESSAGE": message}
    try:
        # A file, not a pipe: a command put into the background would hold a pipe open and be waited for.
        with tempfile.TemporaryFile() as errors:
            return _run_by_shell(command, told, errors)
    except (OSError, ValueError) as error:
        return f"notify_command could not be run: {error}"


def _run_by_shell(command: str, told: dict[str, str], errors: IO[bytes]) -> str:
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        env=os.environ | {name: value.replace("\0", "") for name, value in told.items()},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        start_new_session=True,
    )
    try:
        status = process.wait(NOTIFY_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"notify_command took longer than {NOTIFY_SECONDS:.0f} s and was ended"
    if not status:
        return ""
    errors.seek(0)
    said = shown(errors.read(10_000).decode(errors="replace").strip()[:200])
    return f"notify_command ended with status {status}" + (f": {said}" if said else "")


def _checked(table: dict[str, object], path: Path) -> Settings:
    known = [field.name for field in fields(Settings)]
    for key in table:
        if key not in known:
            raise ConfigError(
                f"{shown(path.name)}: there is no setting {shown(key)!r}", nearest_words(key, known, "settings"), key
            )
    command = table.get("notify_command", "")
    if not isinstance(command, str) or "\0" in command:
        raise ConfigError(
            f"{shown(path.name)}: notify_command must be a text, not {shown(str(command)[:60])}",
            'such as notify_command = "notify-send \\"$DISTILL_MESSAGE\\""',
            "notify_command",
        )
    return Settings(notify_command=command)
