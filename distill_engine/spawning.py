"""What any process of Distill's own is started with: this very interpreter and code, whatever folder it starts in."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

from distill_engine import home
from distill_engine.torch_environment import prepare_for_torch


def command_of(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of the engine."""
    return [sys.executable, "-P", "-m", f"distill_engine.{module}", *arguments]


def environment() -> dict[str, str]:
    """Return this process's environment, with relative paths made absolute: the folder of the other may differ."""
    variables = dict(os.environ)
    prepare_for_torch(variables)
    if "DISTILL_HOME" in variables:
        variables["DISTILL_HOME"] = str(home.state_folder().parent)
    package = Path(__file__).resolve().parent.parent
    paths = [str(Path(path).absolute()) for path in variables.get("PYTHONPATH", "").split(os.pathsep) if path]
    if str(package) not in {*paths, sysconfig.get_path("purelib")}:
        paths.insert(0, str(package))  # this very code, also where it was never installed
    if paths:
        variables["PYTHONPATH"] = os.pathsep.join(paths)
    return variables
