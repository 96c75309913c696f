"""What the tests of the dashboard share: keys are the table's, whatever key file the test before had."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from distill_tui.actions import change_keys


@pytest.fixture(autouse=True)
def own_keys() -> Iterator[None]:
    """Give all actions their own keys back, for a process has one key file as long as it runs."""
    yield
    change_keys({})
