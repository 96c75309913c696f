"""Lines that play or fetch a file on one's own machine, and putting a line into that machine's clipboard.

Nothing tells whether a terminal takes what it is sent, so a line that was copied is always shown too.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import shlex
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.app import App

MOST_BYTES = 70_000
"""Terminals drop what is longer, and some that what follows it."""

TMUX_SECONDS = 2.0

_PLAYER = "ffplay -autoexit -nodisp"
_SPECIAL = re.compile(r"[^\w@%+=:,./-]", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How a person at the other end of the link reaches this machine."""

    user: str
    host: str
    port: int


def reach() -> Reach | None:
    """Return how the person who is logged in got here; None where they sit at this machine.

    It is the address that they called. Where that is a forwarding on this machine, its name is the better guess.
    """
    words = os.environ.get("SSH_CONNECTION", "").split()
    if len(words) != 4:
        return None
    user = os.environ.get("USER") or os.environ.get("LOGNAME") or ""
    return Reach(user=user, host=_host(words[2]), port=int(words[3]) if words[3].isdecimal() else 22)


def fetch_line(path: Path) -> str:
    """Return the line that copies the file to one's own machine; the path alone where that is this one."""
    there = reach()
    if there is None:
        return shlex.quote(str(path.absolute()))
    port = "" if there.port == 22 else f"-P {there.port} "
    host = f"[{there.host}]" if ":" in there.host else there.host
    return f"scp {port}{shlex.quote(f'{_login(there, host)}:{for_remote_shell(path)}')} ."


def play_line(path: Path) -> str:
    """Return the line that plays the file on one's own machine."""
    there = reach()
    if there is None:
        return f"{_PLAYER} {shlex.quote(str(path.absolute()))}"
    port = "" if there.port == 22 else f"-p {there.port} "
    login = shlex.quote(_login(there, there.host))
    return f"ssh {port}{login} cat {shlex.quote(for_remote_shell(path))} | {_PLAYER} -i -"


def for_remote_shell(path: Path) -> str:
    r"""Return the path as a shell reads it, and as newer versions of scp do, which have no shell and only patterns.

    Both know `\` before a character, and `?` for one that can't be typed.
    """
    return "".join(_typed(character) for character in str(path.absolute()))


async def copy(app: App[object], text: str) -> str:
    """Put a line into the clipboard by all ways there are; return in words which were taken.

    Show the line below these words: whether it arrived can't be known.
    """
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        return "a name in it isn't UTF-8, so it can't be copied; here it is:"
    if length > MOST_BYTES:
        return "too long for a clipboard; here it is:"
    app.copy_to_clipboard(text)
    if not os.environ.get("TMUX"):
        return "copied by OSC 52; if that didn't arrive, here it is:"
    if await _into_tmux(text):
        return "copied by OSC 52 and into tmux's buffer; if neither arrived, here it is:"
    return "copied by OSC 52, not into tmux's buffer; if it didn't arrive, here it is:"


async def _into_tmux(text: str) -> bool:
    """Give tmux the text, which hands it on to its terminal; return whether it took it."""
    command = ("tmux", "load-buffer", "-w", "-")
    nowhere = asyncio.subprocess.DEVNULL
    try:
        tmux = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=nowhere, stderr=nowhere, start_new_session=True
        )
    except OSError:
        return False
    try:
        await asyncio.wait_for(tmux.communicate(text.encode()), TMUX_SECONDS)
    except TimeoutError:
        tmux.kill()
        await tmux.wait()
    return tmux.returncode == 0


def _host(address: str) -> str:
    try:
        loops = ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        loops = True
    return socket.gethostname() if loops else address


def _login(there: Reach, host: str) -> str:
    return f"{there.user}@{host}" if there.user else host


def _typed(character: str) -> str:
    if character.isprintable():
        return f"\\{character}" if character.isascii() and _SPECIAL.match(character) else character
    return "?"
