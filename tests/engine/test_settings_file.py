"""The user's settings file, and the command that is run at the end of a run."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from distill_engine import settings
from distill_engine.errors import ConfigError
from distill_engine.settings import Settings, load_settings, notify, settings_file


def written(text: str | bytes) -> Path:
    path = settings_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def notified(command: str, tmp_path: Path) -> str:
    return notify(command, run="strings", run_path=tmp_path, state="finished", message="all epochs done; $HOME `x` 'y'")


def test_without_a_file_all_settings_are_the_usual_ones() -> None:
    assert load_settings() == Settings()


def test_the_command_is_read_from_the_config_folder() -> None:
    written('# mine\nnotify_command = "curl -d \\"$DISTILL_MESSAGE\\" ntfy.sh/me"\n')
    assert load_settings().notify_command == 'curl -d "$DISTILL_MESSAGE" ntfy.sh/me'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('notify_comand = "x"', "notify_comand"),
        ("notify_command = 3", "must be a text"),
        ('notify_command = ["x"]', "must be a text"),
        ('notify_command = "a\\u0000b"', "must be a text"),
        ("notify_command = ", "isn't TOML"),
        (b"\xff", "UTF-8"),
    ],
)
def test_what_cannot_be_used_is_told_with_the_file_and_the_key(text: str | bytes, said: str) -> None:
    written(text)
    with pytest.raises(ConfigError, match=said) as refused:
        load_settings()
    assert "settings.toml" in refused.value.message


def test_a_misspelt_setting_is_told_with_what_was_meant() -> None:
    written('notify_comand = "x"')
    with pytest.raises(ConfigError) as refused:
        load_settings()
    assert refused.value.hint == "did you mean notify_command?"


def test_a_settings_file_that_is_a_folder_is_a_sentence() -> None:
    settings_file().mkdir(parents=True)
    with pytest.raises(ConfigError, match="can't be read"):
        load_settings()


def test_the_command_finds_run_state_path_and_message_in_its_environment(tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = (
        f'printf "%s|%s|%s|%s" "$DISTILL_RUN" "$DISTILL_STATE" "$DISTILL_RUN_PATH" "$DISTILL_MESSAGE" > "{told}"; pwd'
    )
    assert notified(command, tmp_path) == ""
    assert told.read_text() == f"strings|finished|{tmp_path}|all epochs done; $HOME `x` 'y'"


def test_a_command_that_fails_is_told_with_what_it_said(tmp_path: Path) -> None:
    assert notified("echo no such host >&2; exit 6", tmp_path) == "notify_command ended with status 6: no such host"


def test_a_command_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "NOTIFY_SECONDS", 0.2)
    assert "longer than" in notified("sleep 60", tmp_path)


def test_a_command_in_the_background_is_not_waited_for_nor_ended(tmp_path: Path) -> None:
    told = tmp_path / "told"
    assert notified(f"(sleep 0.2; echo x > '{told}') &", tmp_path) == ""
    deadline = time.monotonic() + 20
    while not told.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert told.exists()


def test_no_command_runs_nothing(tmp_path: Path) -> None:
    assert notified("", tmp_path) == ""
