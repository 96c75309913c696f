"""A little of every trial."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.promises.__main__ import TRIALS
from tests.promises.trial import Size


@pytest.mark.parametrize("name", TRIALS)
def test_the_promise_holds(name: str, tmp_path: Path) -> None:
    assert list(TRIALS[name](Size(whole=False), tmp_path))
