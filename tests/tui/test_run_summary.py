"""A run at a glance: header, events, and what is new since one looked; told by recorded runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec.structs import replace as changed

from distill_engine import api
from distill_engine.events import (
    Event,
    ModelAnalysed,
    PreprocessProgress,
    RunPaused,
    RunStarted,
    RunStopped,
    StepDone,
    decode,
)
from distill_tui.format import Words, progress_bar
from distill_tui.live_run import RunView
from distill_tui.remembered import Seen
from distill_tui.runs import run_summary
from tests.engine.run_logs import old_heard, reached
from tests.recorded_runs import Recorded, unpacked
from tests.tui.run_views import made_of, view_of

BEGAN = 1_750_000_000.0
WIDTHS = (58, 78, 118)


def words(line: Words) -> str:
    return "".join(text for text, _ in line)


def header(view: RunView, seconds: float, width: int = 118) -> list[str]:
    return [words(line) for line in run_summary.header(view, BEGAN + seconds, width)]


def test_the_header_of_a_running_run_has_full_digits_a_bar_and_the_time_left_counted_down() -> None:
    view = view_of("healthy", until=28)
    epoch = view.state.last_epoch
    assert epoch is not None
    first, second, third = header(view, epoch.time - BEGAN)
    assert "healthy  training   2 of 15 epochs · 12 of 90 steps · 13 %" in first
    assert first.endswith("cpu · fp32")
    assert second.startswith("━")
    assert f"{round(epoch.seconds_left)} s left" in second
    assert "validation 0.2653   best 0.2653 in epoch 2" in third
    view = replace(view, state=changed(view.state, last_epoch=changed(epoch, seconds_left=600.0)))
    assert "10 min 00 s left" in header(view, epoch.time - BEGAN)[1]
    assert "9 min 30 s left" in header(view, epoch.time - BEGAN + 30)[1]


def test_the_bar_is_as_long_as_the_share_that_is_done() -> None:
    assert words(progress_bar(0.25, 8)) == "━━──────"
    assert words(progress_bar(7.0, 4)) == "━━━━"
    assert words(run_summary.plain(progress_bar(0.5, 4), ascii_only=True)) == "==--"


def test_while_preparing_the_header_tells_how_many_recordings_are_done_and_which_is_under_way() -> None:
    begun = RunStarted(
        seq=1, time=BEGAN, protocol=1, run="bells", pid=1, host="box", device="cpu", precision="fp32", max_epochs=3
    )
    under_way = PreprocessProgress(seq=2, time=BEGAN, stage="preparing", done=7, total=60, file="a\x1b[2J.wav")
    first, second, third = header(made_of(unpacked("healthy"), [begun, under_way]), 1)
    assert "preparing 7/60" in first
    assert second.endswith("  7 of 60 recordings")
    assert third == "preparing a\\x1b[2J.wav"


def test_while_the_model_is_analysed_the_header_says_that_it_is_kept_and_how_far_that_is() -> None:
    folder = unpacked("healthy")
    *trained, _finished = [decode(line) for line in folder.events_file.read_bytes().splitlines()]
    listening = PreprocessProgress(
        seq=len(trained) + 1, time=BEGAN, stage="analysing", done=70, total=600, file="sweeping brightness"
    )
    first, second, third = header(made_of(folder, [*filter(None, trained), listening]), 1)
    assert "analysing 70/600" in first
    assert second.endswith("  70 of 600 sounds")
    assert third == "the model is kept; finding its sliders; sweeping brightness"


def test_a_paused_run_says_by_whom_and_how_it_goes_on() -> None:
    view = view_of("stopped", until=41)
    assert isinstance(view.state.pause, RunPaused)
    second = header(view, 2)[1]
    assert "paused by anna@box just now · p goes on" in second


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("healthy", ["finished 2 hours ago: all epochs done", "model /home/anna/distill/data/models/healthy.distill"]),
        ("stopped", ["stopped by anna@box 2 hours ago", "R goes on after step 13", "models/stopped.distill"]),
        ("diverged", ["training diverged: 10 steps in a row were not finite", "lower learning_rate", "R resumes"]),
        ("killed", ["it died without a word", "l log", "R goes on after step 18"]),
    ],
)
def test_the_header_of_a_run_that_is_over_tells_how_it_ended_and_what_to_do(name: Recorded, told: list[str]) -> None:
    view = view_of(name)
    lines = header(view, 7300)
    for part in told:
        assert part in "\n".join(lines)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["healthy", "stopped", "diverged", "killed", "restarted"])
def test_the_header_always_has_three_lines_that_fit(name: Recorded, width: int) -> None:
    for until in (0, 1, 5, 20, 21, 30):
        lines = header(view_of_anew(name, until), 100, width)
        assert len(lines) == 3
        assert [line for line in lines if api.cells(line) > width] == []


def view_of_anew(name: Recorded, until: int) -> RunView:
    from shutil import rmtree

    from distill_engine import home

    rmtree(home.runs_folder() / name, ignore_errors=True)
    return view_of(name, until)


def with_verdict(kind: str) -> RunView:
    view = view_of("healthy", until=28)
    return made_of(view.folder, [*recorded_until(view, 28), changed(reached(2, kind), seq=29, time=BEGAN + 9)])


def recorded_until(view: RunView, seq: int) -> list[Event]:
    lines = view.folder.events_file.read_bytes().splitlines()
    return [event for line in lines if (event := decode(line)) is not None and event.seq <= seq]


@pytest.mark.parametrize(("kind", "mark"), [("learning", ""), ("overfitting", "! "), ("diverging", "!! ")])
def test_the_verdict_has_a_line_of_its_own_and_a_bad_one_a_mark_that_needs_no_colour(kind: str, mark: str) -> None:
    view = with_verdict(kind)
    assert words(run_summary.verdict_line(view, 78)) == f"verdict {mark}it is {kind}: validation falls"
    assert words(run_summary.verdict_line(view, 30)).endswith(" …")
    assert api.cells(words(run_summary.verdict_line(view, 30))) <= 30
    assert run_summary.verdict_line(view_of_anew("healthy", 28), 78) == []


def test_of_a_long_verdict_whole_clauses_are_left_out() -> None:
    told = "still learning: down 3 % in 5 epochs; best in epoch 2; let it train on"
    view = view_of("healthy", until=28)
    reached_ = changed(reached(2), words=told, seq=29, time=BEGAN + 9)
    view = made_of(view.folder, [*recorded_until(view, 28), reached_])
    assert words(run_summary.verdict_line(view, 78)) == f"verdict {told}"
    assert words(run_summary.verdict_line(view, 70)) == "verdict still learning: down 3 % in 5 epochs; best in epoch 2"
    assert words(run_summary.verdict_line(view, 58)) == "verdict still learning: down 3 % in 5 epochs"


def test_that_the_model_has_axes_is_an_event_that_names_them() -> None:
    view = view_of("healthy", until=28)
    analysed = ModelAnalysed(model="/home/a/x\n.distill", axes=["brightness", "axis 2"], seq=29, time=BEGAN + 9)
    view = made_of(view.folder, [*recorded_until(view, 28), analysed])
    happening = run_summary.happenings(view)[-1]
    assert happening.words == "the model has sliders for brightness, and 1 numbered"
    assert (happening.step, happening.details) == (12, ("model /home/a/x\\n.distill",))


def test_what_the_recordings_that_the_model_knew_lost_is_an_event_and_is_told_to_who_was_away() -> None:
    view = view_of("healthy", until=28)
    view = made_of(view.folder, [*recorded_until(view, 28), changed(old_heard(2), seq=29, time=BEGAN + 9)])
    told = "the 5 recordings that the model knew: loss 2.31 before, 2.52 now, 9 % worse"
    assert run_summary.happenings(view)[-1].words == told
    assert [change.words for change in run_summary.changes_since(view, Seen(time=BEGAN + 5, seq=28))] == [told]


def test_a_verdict_is_an_event_with_its_evidence_and_is_told_to_who_was_away() -> None:
    view = with_verdict("flat")
    last = run_summary.happenings(view)[-1]
    assert last.words == "verdict: it is flat: validation falls"
    assert last.details == ("from 0.5 to 0.25", "let it train on")
    changes = run_summary.changes_since(view, Seen(time=BEGAN + 5, seq=28))
    assert [change.words for change in changes] == ["verdict: it is flat: validation falls"]


def test_the_header_says_how_much_of_the_latent_is_in_use_where_there_is_room() -> None:
    view = view_of("healthy", until=28)
    epoch = view.state.last_epoch
    assert epoch is not None
    measured = changed(epoch, active_dimensions=97, latent_dimensions=128)
    view = replace(view, state=changed(view.state, last_epoch=measured))
    assert "latent 97 of 128 active" in header(view, 9, 118)[2]
    narrow = header(view, 9, 90)[2]
    assert "latent" not in narrow
    assert narrow.endswith("pieces a second")


def test_a_long_path_keeps_its_end() -> None:
    assert run_summary.path_within("/home/anna/models/bells.distill", 15) == "…/bells.distill"
    assert run_summary.path_within("/a", 15) == "/a"


def test_a_run_stopped_without_a_model_names_its_checkpoint() -> None:
    view = view_of("stopped")
    assert isinstance(view.state.ending, RunStopped)
    view = replace(view, state=changed(view.state, ending=changed(view.state.ending, model="")))
    assert header(view, 10)[2].startswith("checkpoint checkpoints/step-00000013.safetensors")


def test_events_stand_in_order_each_with_its_step() -> None:
    told = run_summary.happenings(view_of("diverged"))
    assert [one.time for one in told] == sorted(one.time for one in told)
    assert len({one.key for one in told}) == len(told)
    assert told[0].words == "begun on cpu in fp32"
    warning = next(one for one in told if one.words == "! step 21 was left out")
    assert warning.tone == "warn"
    assert warning.details == (
        "loss nan, gradient norm nan",
        "one such step does no harm; if they come often, lower learning_rate",
    )
    assert (told[-1].step, told[-1].tone) == (40, "bad")
    assert told[-1].words.startswith("!! training diverged")


def test_events_tell_what_was_asked_for_and_what_it_came_to() -> None:
    told = [one.words for one in run_summary.happenings(view_of("stopped"))]
    assert "prepared: 24 pieces to learn from, 2 to validate; 1 of 7 recordings left out" in told
    for words_ in ("checkpoint done: saved at step 8", "paused by anna@box", "goes on", "stopped by anna@box"):
        assert words_ in told


def test_a_restart_is_an_event_and_takes_back_what_came_after_its_checkpoint() -> None:
    told = run_summary.happenings(view_of("restarted"))
    resumed = next(one for one in told if one.words == "resumed after step 18")
    saved = [one for one in told if one.words.startswith("checkpoint saved")]
    assert resumed.step == 18
    assert [one.step for one in saved] == [18, 36, 54, 72, 90]


def test_what_is_new_since_one_looked_is_told_with_where_it_lies() -> None:
    view = view_of("restarted")
    seen = Seen(time=BEGAN + 1.6, seq=29)
    told = {change.words: change.step for change in run_summary.changes_since(view, seen)}
    assert told["78 steps and 13 epochs more, from step 12"] == 12
    assert told["validation loss from 0.2653 to 0.1440, 46 % lower"] == 90
    assert told["best 0.1392 in epoch 10"] == 60
    assert told["5 checkpoints, the last after step 90"] == 90
    assert told["resumed after step 18"] == 18
    assert told["finished: all epochs done"] == 90


def test_nothing_is_new_of_a_run_that_went_no_further() -> None:
    view = view_of("healthy")
    assert run_summary.changes_since(view, Seen(time=BEGAN + 60, seq=view.state.seq)) == []


def test_a_loss_that_is_not_finite_is_no_percentage() -> None:
    changes = run_summary.changes_since(view_of("diverged"), Seen(time=BEGAN + 1.6, seq=24))
    told = [change.words for change in changes]
    assert told[1].startswith("!! training diverged")
    assert not [line for line in told if "nan %" in line]
    assert "! step 21 was left out" in told


def test_steps_that_no_epoch_ended_yet_have_no_time_left() -> None:
    view = view_of("healthy", until=22)
    assert isinstance(view.state.last_step, StepDone)
    lines = header(view, 2)
    assert "time left is told after an epoch" in lines[1]
    assert "no epoch is done yet" in lines[2]


def test_of_very_many_events_the_newest_are_listed_and_one_more_that_says_so() -> None:
    view = view_of("healthy")
    assert view.history is not None
    saved = view.history.checkpoints[0]
    view.history.checkpoints[:0] = [changed(saved, seq=10_000 + place) for place in range(3 * run_summary.LISTED)]
    told = run_summary.happenings(view)
    assert len(told) == run_summary.LISTED + 1
    assert told == sorted(told, key=lambda one: one.time)
    assert told[-1].words == "finished: all epochs done"
