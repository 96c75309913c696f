"""Where Distill keeps things: `DISTILL_HOME` where set, else the folders the platform means for it."""

from __future__ import annotations

import os
from pathlib import Path

APPLICATION = "distill"


def _folder(kind: str) -> Path:
    home = os.environ.get("DISTILL_HOME")
    if home:
        return Path(home).expanduser().absolute() / kind
    import platformdirs  # noqa: PLC0415 - 15 ms that a set DISTILL_HOME saves

    return Path(getattr(platformdirs, f"user_{kind}_dir")(APPLICATION))


def config_folder() -> Path:
    """Return the folder of settings, themes and key files."""
    return _folder("config")


def data_folder() -> Path:
    """Return the folder of what is worth keeping."""
    return _folder("data")


def models_folder() -> Path:
    """Return the folder of `.distill` files."""
    return data_folder() / "models"


def state_folder() -> Path:
    """Return the folder of runs and of what the programs remember."""
    return _folder("state")


def runs_folder() -> Path:
    """Return the folder of run folders."""
    return state_folder() / "runs"


def cache_folder() -> Path:
    """Return the folder of what can be made anew: spectrograms and scans."""
    return _folder("cache")
