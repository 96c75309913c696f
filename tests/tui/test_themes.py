"""Themes: those that are shipped, a person's own, and broken ones."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from rich.color import ColorSystem
from textual.color import Color
from textual.pilot import Pilot

from distill_tui.app import DistillApp
from distill_tui.themes import load_theme, load_themes, shipped_folder
from tests.tui.visits import until, visit


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


def test_colours_stay_apart_on_terminals_of_256() -> None:
    """Over SSH the terminal's truecolor is rarely known of."""
    for theme in load_themes([shipped_folder()])[0]:
        if theme.ansi:
            continue
        shown = {
            name: Color.parse(value).rich_color.downgrade(ColorSystem.EIGHT_BIT).number
            for name in ("primary", "secondary", "accent", "success", "warning", "error", "background", "panel")
            if (value := getattr(theme, name))
        }
        assert len(set(shown.values())) == len(shown) == 8, f"{theme.name}: {shown}"


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


def test_the_chosen_theme_is_worn_at_the_next_visit_to_a_terminal_of_as_many_colours(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_themes(home) / "mine.toml").write_text('primary = "#445566"\n')
    monkeypatch.setenv("TERM", "xterm-256color")

    async def choose(app: DistillApp, pilot: Pilot[None]) -> None:
        app.theme = "mine"
        await until(pilot, lambda: app.memory.themes == {"many": "mine"})

    visit(choose)
    assert DistillApp().theme == "mine"
    monkeypatch.setenv("TERM", "xterm")
    assert DistillApp().theme == "sixteen"
    monkeypatch.setenv("NO_COLOR", "1")
    assert DistillApp().theme == "plain"


def test_the_environment_names_a_theme_for_who_has_chosen_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("TEXTUAL_THEME", "moss")
    assert DistillApp().theme == "moss"


def test_a_theme_that_is_gone_gives_way_to_one_that_fits() -> None:
    async def look(app: DistillApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "there is no theme gone" in app.said)
        assert app.theme in {"dusk", "sixteen"}

    visit(look, app=DistillApp(theme="gone"))
