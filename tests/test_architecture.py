"""What must never be loaded where: proven by processes that import everything and look at what came with it."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import distill_tui

LOOK = "import sys; print(sorted(name for name in sys.modules if name.split('.')[0] in {'torch', 'torchaudio'}))"


def loaded_by(statements: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", f"{statements}\n{LOOK}"], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_no_module_of_the_dashboard_loads_torch() -> None:
    names = [module.name for module in pkgutil.walk_packages(distill_tui.__path__, "distill_tui.")]
    assert "distill_tui.app" in names
    assert loaded_by("\n".join(f"import {name}" for name in names)) == "[]"


def test_nothing_behind_the_engines_door_loads_torch() -> None:
    assert loaded_by("from distill_engine import api\nfor name in api.__all__: getattr(api, name)") == "[]"


def test_the_command_line_loads_torch_only_in_commands_that_train_or_make_sound() -> None:
    assert loaded_by("import distill_engine.cli") == "[]"
    listing = "import distill_engine.cli as c\nc.cli.main(['models'], standalone_mode=False)"
    assert loaded_by(listing).endswith("[]")
