"""A batch left to the machine: what fits, decided once, and seen in the plan."""

from __future__ import annotations

from pathlib import Path

import psutil

from distill_engine.start import Wishes, plan_run
from distill_engine.training.batch_fit import MOST, fitted
from distill_engine.training.config import TrainingConfig, replaced
from distill_engine.training.estimate import bytes_of_a_piece
from tests.engine.runs import write_dataset

LEFT = replaced(TrainingConfig(), {"batch_size": 0, "device": "cpu"})


def test_a_batch_that_is_asked_for_stays() -> None:
    asked = replaced(LEFT, {"batch_size": 24})
    assert fitted(asked) is asked


def test_one_left_to_the_machine_is_a_power_of_two_that_half_of_the_free_memory_holds() -> None:
    size = fitted(LEFT).batch_size
    assert 1 <= size <= MOST
    assert size & (size - 1) == 0
    assert size == 1 or size * bytes_of_a_piece(LEFT) < psutil.virtual_memory().total / 2


def test_several_processes_can_share_it() -> None:
    assert fitted(replaced(LEFT, {"num_processes": 3})).batch_size % 3 == 0


def test_larger_pieces_leave_room_for_no_more_of_them() -> None:
    large = replaced(LEFT, {"complex_spectrogram.n_mels": 256, "complex_spectrogram.hop_length": 128})
    assert bytes_of_a_piece(large) > 4 * bytes_of_a_piece(LEFT)
    assert fitted(large).batch_size <= fitted(LEFT).batch_size


def test_a_plan_tells_the_batch_that_was_chosen(tmp_path: Path) -> None:
    plan = plan_run(write_dataset(tmp_path / "sounds"), Wishes(settings=("batch_size=0", "device=cpu")))
    assert plan.config.batch_size == fitted(LEFT).batch_size
    assert plan.estimate.steps_per_epoch >= 1
