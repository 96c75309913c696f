"""Has it trained enough? The verdict on learning curves: made by formulas with noise of many seeds, and real ones."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from distill_engine.events import EpochDone, decode
from distill_engine.training.curve_verdict import Standing, after_epoch, standing_after, verdict_of
from distill_engine.training.learning_curves import LEAST_EPOCHS, Kind
from tests.engine.curves_made import STEPS_PER_EPOCH, made, told, unvalidated
from tests.recorded_runs import RECORDINGS


def kinds(epochs: Sequence[EpochDone]) -> list[Kind]:
    """Return what held after each of the epochs."""
    standing, held = Standing(), []
    for count in range(1, len(epochs) + 1):
        standing = after_epoch(standing, epochs[:count])
        assert standing.kind is not None
        held.append(standing.kind)
    return held


def recorded(log: Path) -> list[EpochDone]:
    """Return the epochs of a recorded run."""
    lines = log.read_bytes().splitlines()
    return [event for line in lines if isinstance(event := decode(line), EpochDone)]


@pytest.mark.parametrize("scatter", [0.01, 0.04, 0.08])
@pytest.mark.parametrize("curve", ["power", "exponential"])
def test_a_run_that_plainly_learns_is_never_said_to_rest_or_to_overfit(curve: str, scatter: float) -> None:
    for seed in range(6):
        held = kinds(made(curve, 60, scatter=scatter, seed=seed))
        assert set(held) == {"early", "learning"}
        assert held.index("learning") < 2 * LEAST_EPOCHS


def test_nor_where_the_noise_of_one_epoch_goes_on_in_the_next() -> None:
    for seed in range(6):
        assert set(kinds(made("power", 60, scatter=0.04, alike=0.6, seed=seed))) == {"early", "learning"}


@pytest.mark.parametrize("scatter", [0.01, 0.08])
def test_a_run_that_rests_is_said_to_before_it_has_rested_for_twice_as_long_as_it_learnt(scatter: float) -> None:
    """Both curves are within 2 % of where they end from epoch 34 of 100 on."""
    for seed in range(6):
        held = kinds(made("rests", 100, scatter=scatter, seed=seed))
        assert "overfitting" not in held
        assert held[-1] == "flat"


def test_a_validation_that_rests_while_training_falls_is_flat_and_more_time_is_not_what_helps() -> None:
    for seed in range(4):
        epochs = made("validation rests", 100, scatter=0.01, seed=seed)
        assert kinds(epochs)[-1] == "flat"
        assert "more epochs help only what it knows already" in verdict_of("flat", epochs).suggestion


@pytest.mark.parametrize("scatter", [0.01, 0.08])
def test_a_run_that_overfits_is_told_with_the_best_that_is_kept(scatter: float) -> None:
    """Validation begins to rise at epoch 34 of 100, by 0.6 % of its least an epoch."""
    for seed in range(6):
        epochs = made("overfits", 100, scatter=scatter, seed=seed)
        held = kinds(epochs)
        assert held[-1] == "overfitting"
        assert held.index("overfitting") > 34
        words = verdict_of("overfitting", epochs).words
        losses = [epoch.validation_loss or 9.0 for epoch in epochs]
        assert f"the best, of epoch {losses.index(min(losses)) + 1}, is kept" in words


def test_a_training_loss_that_climbs_is_told_within_six_epochs() -> None:
    """It rises by 10 % an epoch from the middle on."""
    for seed in range(6):
        held = kinds(made("diverges", 40, scatter=0.08, seed=seed))
        assert 20 < held.index("diverging") + 1 <= 26
        assert held[-1] == "diverging"


def test_losses_that_are_not_finite_are_told_at_once() -> None:
    epochs = told([1.0, 0.9, 0.8, None], [1.1, 1.0, 0.9, None])
    assert kinds(epochs) == ["early", "early", "early", "diverging"]
    assert "in epoch 4 the training loss was not finite" in verdict_of("diverging", epochs).evidence


def test_epochs_that_leave_a_tenth_of_their_steps_out_are_told() -> None:
    epochs = made("power", 12, scatter=0.01, seed=0)
    epochs[-2:] = [replace(epoch, skipped_steps=STEPS_PER_EPOCH // 10) for epoch in epochs[-2:]]
    assert kinds(epochs)[-2:] == ["learning", "diverging"]
    assert verdict_of("diverging", epochs).evidence == "1 step of epoch 12 had to be left out"


def test_a_latent_that_falls_silent_is_a_collapse() -> None:
    epochs = made("power", 30, scatter=0.02, seed=0)
    active = [max(2, 64 - 3 * number) for number in range(30)]
    epochs = [
        replace(epoch, active_dimensions=count, latent_dimensions=64)
        for epoch, count in zip(epochs, active, strict=True)
    ]
    assert kinds(epochs)[-1] == "collapsing"
    assert verdict_of("collapsing", epochs).evidence == "2 of 64 latent dimensions are active"


def test_reconstructions_that_come_to_be_all_alike_are_a_collapse_and_those_of_a_beginning_are_not() -> None:
    learns = made("power", 30, scatter=0.02, seed=0)
    rising = [replace(epoch, output_spread=min(0.9, 0.002 * epoch.epoch**2)) for epoch in learns]
    assert set(kinds(rising)) == {"early", "learning"}
    falling = [replace(epoch, output_spread=0.9 * 0.8**epoch.epoch) for epoch in learns]
    assert kinds(falling)[-1] == "collapsing"
    assert verdict_of("collapsing", falling).words == "it collapses: its reconstructions come to be all alike"


def test_while_the_rate_still_falls_and_training_with_it_a_resting_validation_is_not_the_end() -> None:
    epochs = made("validation rests", 80, scatter=0.01, seed=0)
    assert kinds(epochs)[-1] == "flat"
    falling = [replace(epoch, learning_rate=1e-3 * (1 - epoch.epoch / 100)) for epoch in epochs]
    assert "flat" not in kinds(falling)


def test_without_a_validation_the_training_loss_is_judged() -> None:
    assert kinds(unvalidated(made("power", 40, scatter=0.0, seed=0)))[-1] == "learning"
    rests = unvalidated(made("rests", 100, scatter=0.0, seed=0))
    assert kinds(rests)[-1] == "flat"
    verdict = verdict_of("flat", rests)
    assert "validation" not in verdict.words + verdict.evidence + verdict.suggestion


def test_a_verdict_never_flaps_between_two_kinds_epoch_by_epoch() -> None:
    for seed in range(6):
        held = kinds(made("rests", 100, scatter=0.08, seed=seed))
        changes = [place for place in range(1, len(held)) if held[place] != held[place - 1]]
        assert len(changes) <= 4
        assert all(later - earlier >= 2 for earlier, later in itertools.pairwise(changes))


def test_a_verdict_says_how_fast_it_learns_and_what_more_time_would_bring() -> None:
    verdict = verdict_of("learning", made("power", 60, scatter=0.0, seed=0))
    # 0.3 + 2 t^-0.4 falls from 0.689 at epoch 60 to 0.665 at 70 and to 0.631 at 90.
    assert verdict.words == (
        "it is still learning: validation falls by 3.5 % every ten epochs; half as long again would bring about 9 %"
    )
    assert verdict.suggestion == "more epochs help"


def test_a_few_epochs_are_too_early_to_tell() -> None:
    epochs = made("power", 5, scatter=0.01, seed=0)
    assert set(kinds(epochs)) == {"early"}
    verdict = verdict_of("early", epochs)
    assert (verdict.words, verdict.epoch) == ("it is too early to tell", 5)
    assert verdict.evidence == "5 of the 8 epochs that a verdict needs are done"


def test_equal_losses_for_ever_are_flat_and_break_nothing() -> None:
    assert kinds(told([0.5] * 40, [0.5] * 40))[-1] == "flat"
    assert kinds(told([0.0] * 40, [0.0] * 40))[-1] == "flat"


def test_a_short_recorded_run_learns() -> None:
    assert set(kinds(recorded(RECORDINGS / "healthy" / "events.jsonl"))) == {"early", "learning"}


def test_a_real_run_whose_validation_scatters_by_a_tenth_learns_to_the_end() -> None:
    """The epochs of a run of 185 on 24 recordings, of which 2 validated, with a rate that fell to its hundredth."""
    held = kinds(recorded(RECORDINGS / "noisy-epochs.jsonl"))
    assert set(held) == {"early", "learning"}
    assert held.index("learning") + 1 == 9


def test_a_recorded_run_that_diverged_is_told_before_its_training_loss_is_bad() -> None:
    assert kinds(recorded(RECORDINGS / "diverged" / "events.jsonl")) == ["early"] * 3 + ["diverging"] * 3


def test_where_a_run_stands_depends_on_its_epochs_alone() -> None:
    epochs = made("overfits", 60, scatter=0.04, seed=1)
    assert [standing_after(epochs[:count]).kind for count in (20, 40, 60)] == [kinds(epochs)[n] for n in (19, 39, 59)]
