"""The dashboard's first screen, at the two sizes it is designed for."""

from __future__ import annotations

import asyncio

import pytest
from textual.widgets import Static

from distill_tui.app import DistillApp


@pytest.mark.parametrize("size", [(120, 36), (80, 24)])
def test_the_first_screen_says_what_works_today_and_q_leaves(size: tuple[int, int]) -> None:
    async def visit() -> str:
        app = DistillApp()
        async with app.run_test(size=size) as pilot:
            text = str(app.query_one(Static).content)
            await pilot.press("q")
        assert app.return_code == 0
        return text

    text = asyncio.run(visit())
    assert "distill-engine demo" in text
    assert "0 models and 0 runs" in text
