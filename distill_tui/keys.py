"""A person's own keys: `keys.toml` in the configuration folder, an action's name and its keys a line.

"training.stop" = "x"
"listing.down" = ["n", "down"]
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from distill_engine import api
from distill_tui.actions import ACTIONS, conflicts, named

FILE = "keys.toml"
LONGEST = 40
"""Characters of a key's name, such as ctrl+question_mark."""


@dataclass(frozen=True, kw_only=True)
class KeyFile:
    """What a key file comes to: an action's name to its keys, joined by commas, and what is wrong with the file."""

    changed: dict[str, str]
    complaints: tuple[str, ...] = ()


def load_keys(folder: Path) -> KeyFile:
    """Return the key file in a folder. What can't be used of it is named and passed over."""
    try:
        table = tomllib.loads(api.read_small(folder / FILE).decode("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return KeyFile(changed={})
    except (OSError, *api.UNREADABLE) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        return KeyFile(changed={}, complaints=(f"{FILE} can't be read: {api.shown(str(reason))}",))
    names = {action.name for action in ACTIONS}
    changed: dict[str, str] = {}
    complaints: list[str] = []
    for name, keys in table.items():
        spelt = [keys] if isinstance(keys, str) else keys
        if name not in names:
            complaints.append(f"{FILE}: there is no action {api.shown(name[:LONGEST])!r}")
        elif not isinstance(spelt, list) or not all(map(_is_key, spelt)) or not spelt:
            complaints.append(f"{FILE}: {name} needs a key or a list of keys")
        else:
            changed[name] = ",".join(map(named, spelt))
    complaints += [f"{FILE}: {conflict}" for conflict in conflicts(changed)]
    return KeyFile(changed=changed, complaints=tuple(complaints))


def _is_key(key: object) -> bool:
    return isinstance(key, str) and 0 < len(key) <= LONGEST and key.isprintable() and not set(key) & set(" ,")
