"""The watch on a run: verdicts where they change, the same after a restart, and causes said once in each stretch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from distill_engine.events import (
    EpochDone,
    Event,
    GpuSample,
    HeardRecording,
    PreviewSaved,
    RunFinished,
    SoundLevel,
    SystemSample,
    VerdictReached,
    WarningRaised,
)
from distill_engine.run_watch import SAMPLES, RunWatch
from tests.engine.curves_made import STEPS_PER_EPOCH, made
from tests.engine.run_logs import previewed, restarted, started

QUIET, LOUD = SoundLevel(peak=0.0, rms=-95.0), SoundLevel(peak=0.5, rms=-20.0)
FINISHED = RunFinished(step=1, epoch=1, reason="", model="m", best_epoch=1, best_loss=0.1)


def told(watch: RunWatch, events: Iterable[Event]) -> list[Event]:
    return [one for event in events for one in watch.told(event)]


def verdicts(events: Sequence[Event]) -> list[tuple[int, str]]:
    return [(one.epoch, one.kind) for one in events if isinstance(one, VerdictReached)]


def warnings(events: Sequence[Event]) -> list[WarningRaised]:
    return [one for one in events if isinstance(one, WarningRaised)]


def test_a_verdict_follows_the_epoch_it_is_of_and_is_told_anew_each_time_a_run_is_half_as_long_again() -> None:
    epochs = made("power", 60, scatter=0.02, seed=0)
    events = told(RunWatch(), epochs)
    assert verdicts(events) == [
        (1, "early"),
        *((epoch, "learning") for epoch in (9, 12, 18, 26, 39, 58)),
    ]
    place = next(place for place, one in enumerate(events) if isinstance(one, VerdictReached) and one.epoch == 9)
    assert isinstance(events[place - 1], EpochDone)
    assert events[place - 1] == epochs[8]


def test_the_last_verdict_comes_before_the_runs_last_event_with_the_last_epochs_numbers() -> None:
    events = told(RunWatch(), [*made("power", 20, scatter=0.02, seed=0), FINISHED])
    assert isinstance(events[-1], RunFinished)
    assert isinstance(events[-2], VerdictReached)
    assert verdicts(events)[-1] == (20, "learning")
    again = told(RunWatch(), [*made("power", 18, scatter=0.02, seed=0), FINISHED])
    assert verdicts(again)[-2:] == [(12, "learning"), (18, "learning")], "it isn't said twice"


def test_a_resumed_run_comes_to_the_verdicts_of_one_never_stopped() -> None:
    epochs = made("overfits", 80, scatter=0.04, seed=2)
    whole = verdicts(told(RunWatch(), epochs))
    assert "overfitting" in {kind for _, kind in whole}
    for stop in (5, 33, 50, 64):
        lost = 3  # epochs that were done after the last checkpoint, and are done again
        first = verdicts(told(RunWatch(), epochs[:stop]))
        resumed = RunWatch(epochs[:stop])
        second = told(resumed, [restarted((stop - lost) * STEPS_PER_EPOCH), *epochs[stop - lost :]])
        kept = [one for one in first if one[0] <= stop - lost]
        assert [*kept, *verdicts(second)] == whole


def test_a_latent_that_stays_mostly_dead_is_warned_of_once() -> None:
    epochs = [
        replace(epoch, active_dimensions=12, latent_dimensions=64, output_spread=0.8)
        for epoch in made("power", 20, scatter=0.02, seed=0)
    ]
    raised = warnings(told(RunWatch(), epochs))
    assert [(one.kind, one.evidence) for one in raised] == [("dead-latent", "12 of 64 latent dimensions are active")]
    lively = [replace(epoch, active_dimensions=20) for epoch in epochs]
    assert warnings(told(RunWatch(), lively)) == []
    recovers = [replace(epoch, active_dimensions=12 if epoch.epoch % 3 else 40) for epoch in epochs]
    assert warnings(told(RunWatch(), recovers)) == []


def sampled(load: float | None) -> list[Event]:
    gpu = GpuSample(index=0, name="g", load=load, memory_used=1, memory_total=2, power=None, temperature=None)
    return [SystemSample(cpu=9.0, memory_used=1, memory_total=2, worker_cpu=9.0, worker_memory=1, gpus=[gpu])] * SAMPLES


def fed(load: float | None, waiting: float | None) -> list[WarningRaised]:
    first, second, *_ = made("power", 9, scatter=0.02, seed=0)
    events = [started(), *sampled(load), *(replace(epoch, waiting=waiting) for epoch in (first, second))]
    return warnings(told(RunWatch(), [*events, *sampled(load), replace(second, waiting=waiting)]))


def test_a_gpu_that_idles_while_steps_wait_for_their_pieces_is_starved_and_no_other() -> None:
    (starved,) = fed(load=20.0, waiting=0.6)
    assert starved.kind == "gpu-starved"
    assert starved.evidence == "it is busy for 20 % of the time, and steps wait for 60 % of theirs"
    assert fed(load=90.0, waiting=0.6) == []
    assert fed(load=20.0, waiting=0.05) == [], "it is the previews that keep it idle, or steps too small for it"
    assert fed(load=None, waiting=0.6) == []
    assert fed(load=20.0, waiting=None) == []


def heard(reconstruction: SoundLevel, sample: SoundLevel = LOUD, *, original: SoundLevel = LOUD) -> PreviewSaved:
    recording = replace(previewed(1).recordings[0], original_level=original, reconstruction_level=reconstruction)
    assert isinstance(recording, HeardRecording)
    return replace(previewed(1), recordings=[recording], samples=["s.wav"], sample_levels=[sample])


def test_silence_in_two_previews_in_a_row_is_warned_of_once() -> None:
    silent = heard(QUIET, QUIET)
    assert warnings(told(RunWatch(), [silent])) == [], "an early one may be anything"
    (raised,) = warnings(told(RunWatch(), [silent, silent, silent]))
    assert (raised.kind, raised.message) == ("preview-silent", "2 of 2 sounds in the preview can't be heard")
    assert raised.evidence == "the loudest of them is at -95 dB of full scale"
    assert warnings(told(RunWatch(), [silent, heard(LOUD), silent])) == []


def test_the_preview_that_closes_a_run_is_believed_at_once() -> None:
    (raised,) = warnings(told(RunWatch(), [replace(heard(LOUD, QUIET), best=True)]))
    assert raised.message == "1 of 2 sounds in the preview can't be heard"


def test_a_reconstruction_as_quiet_as_its_recording_is_no_fault() -> None:
    faint = heard(QUIET, original=SoundLevel(peak=0.001, rms=-80.0))
    assert warnings(told(RunWatch(), [replace(faint, best=True)])) == []


def test_sounds_past_full_scale_are_warned_of_unless_their_recording_is_as_loud() -> None:
    over = SoundLevel(peak=1.4, rms=-10.0)
    (raised,) = warnings(told(RunWatch(), [replace(heard(over), best=True)]))
    assert (raised.kind, raised.evidence) == ("preview-clips", "the highest peak was 1.40, 2.9 dB past full scale")
    as_loud = heard(over, original=SoundLevel(peak=1.3, rms=-10.0))
    assert warnings(told(RunWatch(), [replace(as_loud, best=True)])) == []


def test_previews_of_older_logs_tell_nothing_of_levels_and_are_no_fault() -> None:
    assert warnings(told(RunWatch(), [replace(previewed(1), best=True)])) == []
