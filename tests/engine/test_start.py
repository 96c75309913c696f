"""Beginning a run: nothing is left of one that can't begin, and within a run its foundations stay."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from distill_engine.errors import UsageError
from distill_engine.events import REASONS, RunFinished
from distill_engine.going_on import lets_go_on
from distill_engine.home import runs_folder
from distill_engine.start import FIXED_WITHIN_A_RUN, Plan, Wishes, new_run, plan_run
from distill_engine.training.config import TrainingConfig, Value, declarations, replaced
from tests.engine.recordings import good


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    good(tmp_path / "bells" / "0.wav")
    return plan_run(tmp_path / "bells", Wishes())


def test_a_run_is_named_after_the_folder_unless_it_has_a_name(plan: Plan) -> None:
    assert [new_run(plan).name, new_run(plan).name, new_run(plan, "gongs").name] == ["bells", "bells-2", "gongs"]


def test_a_run_never_takes_its_users_name_from_a_folder(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "bells")
    assert new_run(plan).name == "recordings"


def test_an_empty_name_is_refused_rather_than_taken_for_none(plan: Plan) -> None:
    with pytest.raises(UsageError, match="must not be empty"):
        new_run(plan, "")
    assert not runs_folder().exists()


def test_a_run_that_cannot_be_made_leaves_no_folder(plan: Plan) -> None:
    unspeakable = dataclasses.replace(plan.scan, folder=Path(os.fsdecode(b"/bad\xff")))
    with pytest.raises(UnicodeEncodeError):
        new_run(dataclasses.replace(plan, scan=unspeakable), "a")
    assert list(runs_folder().iterdir()) == []


def test_a_folder_whose_path_is_not_text_is_refused_in_a_sentence(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff"))
    good(folder / "0.wav")
    with pytest.raises(UsageError, match=r"bad\\xff isn't text in UTF-8"):
        plan_run(folder, Wishes())


def test_a_run_may_be_made_longer_gentler_or_more_talkative_and_nothing_else() -> None:
    fixed = {key for key in declarations() if any(settings.hold(key) for settings in FIXED_WITHIN_A_RUN)}
    assert declarations().keys() - fixed == {
        "max_epochs",
        "max_minutes",
        "learning_rate",
        "learning_rate_schedule",
        "warmup_steps",
        "ema_decay",
        "early_stop_epochs",
        "device",
        "precision",
        "memory_format",
        "compile",
        "deterministic",
        "checkpoint_interval",
        "checkpoint_minutes",
        "checkpoint_keep",
        "preview_interval",
        "preview_minutes",
        "preview_recordings",
        "preview_samples",
        "preview_seconds",
        "regularization.dropout",
        "regularization.weight_decay",
        "regularization.gradient_clip",
    }


@pytest.mark.parametrize(
    ("reason", "changes", "goes_on"),
    [
        ("epochs", {}, False),
        ("epochs", {"max_epochs": 10}, True),
        ("epochs", {"max_minutes": 9.0}, False),
        ("minutes", {"max_epochs": 10}, False),
        ("minutes", {"max_minutes": 2.0}, True),
        ("minutes", {"max_minutes": 0.0}, True),
        ("early", {"max_epochs": 10}, False),
        ("early", {"early_stop_epochs": 0}, True),
    ],
)
def test_a_finished_run_goes_on_only_where_what_ended_it_lets_it(
    reason: str, changes: dict[str, Value], goes_on: bool
) -> None:
    config = replaced(TrainingConfig(), {"max_epochs": 8, "max_minutes": 1.0, "early_stop_epochs": 3})
    epochs = 8 if reason == "epochs" else 5
    last = RunFinished(
        seq=9, time=0.0, step=9, epoch=epochs, reason=REASONS[reason], model="", best_epoch=1, best_loss=1.0
    )
    assert lets_go_on(last, config, replaced(config, changes)) is goes_on
