"""What all tests share: a home of their own for everything Distill keeps, and real recordings where there are some."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# Processes that share the cores are fastest with a thread each; it must be said before torch is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Whoever starts the tests in the background lets SIGINT be ignored, and their processes would inherit that.
for _kind in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_kind) is signal.SIG_IGN:
        signal.signal(_kind, signal.default_int_handler if _kind is signal.SIGINT else signal.SIG_DFL)

CORPUS = Path(os.environ.get("DISTILL_TEST_CORPUS", Path(__file__).parents[2] / "shared" / "audio" / "corpus"))


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let DISTILL_HOME be an empty folder, so that no test sees another's runs or the user's own."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("DISTILL_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Return the folder of thirty real recordings."""
    if not CORPUS.is_dir():
        pytest.skip(f"no recordings in {CORPUS}; DISTILL_TEST_CORPUS can name a folder of them")
    return CORPUS
