"""Versions of what a result's bytes depend on, kept with runs and models."""

from __future__ import annotations

import platform
from importlib.metadata import version

PACKAGES = ("distill", "torch", "numpy", "soundfile")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages, under their names."""
    return {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}
