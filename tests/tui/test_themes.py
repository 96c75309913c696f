"""Themes: those that are shipped, a person's own, and broken ones."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from distill_tui.app import DistillApp
from distill_tui.themes import load_theme, load_themes, shipped_folder


def own_themes(home: Path) -> Path:
    folder = home / "config" / "themes"
    folder.mkdir(parents=True)
    return folder


def test_at_least_six_themes_are_shipped_and_each_can_be_worn() -> None:
    themes, complaints = load_themes([shipped_folder()])
    assert complaints == []
    assert len(themes) >= 6
    assert {"sixteen", "plain", "clear", "dawn", "dusk"} <= {theme.name for theme in themes}
    assert [theme.name for theme in themes if not theme.dark] == ["dawn"]

    async def wear() -> None:
        app = DistillApp()
        async with app.run_test() as pilot:
            await pilot.pause()
            for theme in themes:
                app.theme = theme.name
                await pilot.pause()
                assert app.current_theme.name == theme.name

    asyncio.run(wear())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("primary = ", "isn't TOML"),
        ("dark = true", "names no primary colour"),
        ('primary = "#12345"', "primary is '#12345', which is no colour"),
        ('primary = "#112233"\nfont = "large"', "'font' is nothing a theme has"),
        ('primary = "#112233"\ndark = 3', "dark is 3, which is no bool"),
    ],
)
def test_a_broken_theme_is_reported_and_passed_over(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "odd.toml").write_text(text)
    themes, complaints = load_themes([shipped_folder(), tmp_path])
    assert "odd" not in {theme.name for theme in themes}
    assert len(complaints) == 1
    assert complaints[0].startswith("the theme odd.toml is passed over: ")
    assert complaint in complaints[0]


def test_a_theme_of_ones_own_goes_before_a_shipped_one_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "dusk.toml").write_text('name = "dusk"\nprimary = "#010203"\n')
    themes, _ = load_themes([shipped_folder(), tmp_path])
    assert [theme.primary for theme in themes if theme.name == "dusk"] == ["#010203"]
    assert load_theme(tmp_path / "dusk.toml").primary == "#010203"


def test_the_chosen_theme_is_worn_at_the_next_visit(home: Path) -> None:
    (own_themes(home) / "mine.toml").write_text('primary = "#445566"\n')

    async def visit(choose: str) -> str:
        app = DistillApp()
        async with app.run_test() as pilot:
            await pilot.pause()
            while "mine" not in app.available_themes:
                await pilot.pause(0.05)
            if choose:
                app.theme = choose
                await pilot.pause(0.2)
            return app.theme

    asyncio.run(visit("mine"))
    assert asyncio.run(visit("")) == "mine"


def test_a_theme_that_is_gone_gives_way_to_one_that_fits() -> None:
    async def visit() -> tuple[str, str]:
        app = DistillApp(theme="gone")
        async with app.run_test() as pilot:
            await pilot.pause(0.5)
            return app.theme, app.said

    theme, said = asyncio.run(visit())
    assert theme in {"dusk", "sixteen"}
    assert "there is no theme gone" in said
