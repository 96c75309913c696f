"""Figures of a benchmark: beside a baseline, in turns that favour nobody."""

from __future__ import annotations

import pytest

from distill_engine.figures import Figure, in_turns, median_ratio


def test_a_figure_stands_beside_its_baseline_and_says_how_many_times_it_is() -> None:
    figure = Figure(group="steps", name="batch 32", value=300.0, unit="pieces/s", baseline=200.0)
    assert figure.ratio == 1.5
    assert figure.row() == ("batch 32", "300 pieces/s", "1.50 x 200")
    assert figure.as_data()["ratio"] == 1.5
    alone = Figure(group="runs", name="to the first step", value=2.0, unit="s")
    assert (alone.ratio, alone.row()) == (None, ("to the first step", "2 s", ""))


def test_every_other_round_goes_backwards_and_waits_for_each_turn() -> None:
    done: list[str] = []
    seconds = in_turns([lambda: done.append("a"), lambda: done.append("b")], 3, lambda: done.append("|"))
    assert "".join(done) == "a|b|b|a|a|b|"
    assert [len(of_turn) for of_turn in seconds] == [3, 3]
    assert all(taken >= 0 for of_turn in seconds for taken in of_turn)


def test_ratios_are_taken_round_by_round() -> None:
    assert median_ratio([1.0, 10.0, 3.0], [2.0, 20.0, 1.0]) == pytest.approx(0.5)
