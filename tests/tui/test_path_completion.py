"""What tab makes of a path that is being typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill_tui.datasets.path_completion import Inside, completion, look_inside, meant, window


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("bells", "bell tower", "Drones", ".hidden", "bells/low"):
        (tmp_path / name).mkdir()
    for name in ("bells/a.wav", "bells/b.FLAC", "bells/.c.wav", "bells/notes.txt", "below.wav"):
        (tmp_path / name).touch()
    return tmp_path


def test_only_folders_that_begin_so_are_offered_each_as_it_would_stand_in_the_line(folder: Path) -> None:
    found = completion(f"{folder}/be")
    assert found.candidates == (f"{folder}/bell tower/", f"{folder}/bells/")
    assert found.names == ("bell tower", "bells")
    assert found.certain == f"{folder}/bell"


def test_what_no_folder_begins_with_stays_as_it_is(folder: Path) -> None:
    found = completion(f"{folder}/x")
    assert found.candidates == ()
    assert found.certain == f"{folder}/x"


def test_files_of_a_kind_are_offered_behind_the_folders_where_they_are_asked_for(folder: Path) -> None:
    for name in ("bell.toml", "bells.toml", ".hidden.toml"):
        (folder / name).touch()
    found = completion(f"{folder}/bell", ".toml")
    assert found.names == ("bell tower", "bells", "bell.toml", "bells.toml")
    assert found.candidates[1:] == (f"{folder}/bells/", f"{folder}/bell.toml", f"{folder}/bells.toml")
    assert completion(f"{folder}/bells.", ".toml").certain == f"{folder}/bells.toml"
    assert completion(f"{folder}/bell").names == ("bell tower", "bells")


def test_a_folder_that_is_named_tells_what_is_right_in_it(folder: Path) -> None:
    assert completion(f"{folder}/bells/").inside == Inside(folders=("low",), recordings=2)
    assert completion(f"{folder}/bells").inside == Inside(folders=("low",), recordings=2)
    assert completion(f"{folder}/bel").inside is None
    assert completion("").inside is None


def test_hidden_folders_are_offered_behind_a_dot_only(folder: Path) -> None:
    assert completion(f"{folder}/").names == ("bell tower", "bells", "Drones")
    assert completion(f"{folder}/.").names == (".hidden",)


def test_home_stays_a_tilde(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert completion("~").candidates == ("~/",)
    assert completion("~/D").candidates == ("~/Drones/",)
    assert meant(" ~/Drones/ ") == folder / "Drones"


def test_what_begins_with_neither_slash_nor_tilde_lies_below_the_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert completion("Dr").candidates == ("Drones/",)
    assert completion("bells/l").candidates == ("bells/low/",)
    assert meant("bells/../Drones") == folder / "Drones"


def test_a_name_that_would_change_the_terminal_is_not_offered(folder: Path) -> None:
    (folder / "bells\x1b[31m").mkdir()
    assert completion(f"{folder}/bells").names == ("bells",)
    assert "bells\x1b[31m" in look_inside(folder).folders


def test_a_folder_that_cannot_be_listed_says_why_and_offers_nothing(folder: Path) -> None:
    assert look_inside(folder / "gone") == Inside(problem="No such file or directory")
    assert completion(f"{folder}/gone/x").candidates == ()


def test_the_window_of_candidates_holds_the_chosen_one() -> None:
    names = [f"take{number:02}" for number in range(20)]  # of 8 cells with the gap, so two a line of 17
    for chosen in range(20):
        lines = window(names, chosen, 17, 3)
        assert len(lines) == 3
        assert [name for line in lines for name, is_chosen in line if is_chosen] == [names[chosen]]
    assert window(names, None, 17, 3)[0] == [("take00", False), ("take01", False)]
    assert window([], None, 17, 3) == []


def test_a_name_that_no_folder_can_have_has_nothing_in_it() -> None:
    assert look_inside(Path("a\0b")).problem
    assert completion("a\0b/").candidates == ()
    assert completion(f"{'x' * 300}/").candidates == ()


def test_where_the_folder_one_is_in_is_gone_a_path_stays_as_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here").rmdir()
    assert meant("bells") == Path("bells")
    assert completion("b").candidates == ()
