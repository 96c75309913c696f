"""Whether systemd's login manager would end a process started now once its user logs out.

Two things can end it. The processes of a login session end with it where `KillUserProcesses` is set, and lingering
doesn't help them. What runs under the user's own manager (`systemd-run --user`, terminals of some desktops) ends
with the last session, unless the user lingers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from distill_engine.names import user_name

_FOLDERS = ("etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd", "lib/systemd")
_LINGER = "loginctl enable-linger"


def login_manager_ends_processes(root: Path = Path("/"), user: str = "") -> str:
    """Return a sentence that warns and says what to do, or "" where a process started now outlives the session.

    `root` is where the system's files lie, `user` whom it is about: the one who asks where none is named.
    """
    if not (root / "run/systemd/system").is_dir():
        return ""  # systemd isn't what started this machine or container
    user = user or user_name()
    groups = _text(root / "proc/self/cgroup")
    lingers = (root / "var/lib/systemd/linger" / user).exists()
    if re.search(r"/user@\d+\.service(/|$)", groups, re.MULTILINE):
        if lingers:
            return ""
        return f"systemd ends this process when you log out for the last time; {_LINGER} prevents it, once and for all"
    if not re.search(r"/session-[^/\n]+\.scope(/|$)", groups, re.MULTILINE) or not _ends_session_of(root, user):
        return ""
    first = "" if lingers else f"run {_LINGER} once, then "
    return (
        "the login manager ends this process when you log out (KillUserProcesses in logind.conf); "
        f"{first}put systemd-run --user --scope before the command"
    )


def _ends_session_of(root: Path, user: str) -> bool:
    """Tell what the settings come to for one user, as systemd-logind decides it."""
    settings = _settings(root)
    excluded = settings.get("KillExcludeUsers", "root").split()
    only = settings.get("KillOnlyUsers", "").split()
    if user in excluded:
        return False
    if only:
        return user in only
    return settings.get("KillUserProcesses", _compiled_in(root)).lower() in ("yes", "true", "on", "1", "y", "t")


def _settings(root: Path) -> dict[str, str]:
    """Return what is set: the first main file there is, over it the drop-ins in the order of their names."""
    found: dict[str, str] = {}
    for path in _files(root):
        section = ""
        for line in _text(path).splitlines():
            stripped = line.strip()
            if stripped.startswith("["):
                section = stripped
            elif section == "[Login]" and "=" in stripped and stripped[0] not in "#;":
                name, _, value = stripped.partition("=")
                found[name.strip()] = value.strip()
    return found


def _files(root: Path) -> Iterator[Path]:
    main = [root / folder / "logind.conf" for folder in _FOLDERS]
    yield from [path for path in main if path.is_file()][:1]
    dropped_in: dict[str, Path] = {}
    for folder in reversed(_FOLDERS):  # of two with one name, the earlier folder's counts
        dropped_in |= {path.name: path for path in (root / folder / "logind.conf.d").glob("*.conf")}
    for name in sorted(dropped_in):
        yield dropped_in[name]


def _compiled_in(root: Path) -> str:
    """Return the value where nothing is set: distributions differ, and tell theirs in a comment of the main file."""
    for folder in _FOLDERS:
        told = re.search(r"^#\s*KillUserProcesses=(\w+)", _text(root / folder / "logind.conf"), re.MULTILINE)
        if told:
            return told[1]
    return "no"


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
