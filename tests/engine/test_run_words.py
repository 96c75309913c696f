"""Runs read at once and told: what a list and `show` say of living, ended, dead, resumed and broken ones."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest

from distill_engine import run_words
from distill_engine.event_log import EventLog
from distill_engine.events import (
    REASONS,
    Event,
    ModelAnalysed,
    PreprocessProgress,
    RunFailed,
    RunFinished,
    RunPaused,
    RunStopped,
    SkippedFile,
    decode,
)
from distill_engine.run_folder import RunFolder
from distill_engine.run_reading import Reading, outline, read
from distill_engine.run_state import RunState, fold
from distill_engine.run_words import DAY
from tests.engine.run_logs import (
    epoch,
    epoch_done,
    living,
    new_run,
    old_heard,
    prepared,
    previewed,
    reached,
    restarted,
    sample,
    saved,
    started,
    step_done,
    warned,
    write_log,
)

NOW = 10_000.0

STOPPED = RunStopped(step=20, epoch=2, reason="anna@box", checkpoint="checkpoints/step-00000020.safetensors")
FINISHED = RunFinished(
    step=40, epoch=4, reason="all epochs done", model="/models/strings.distill", best_epoch=4, best_loss=0.25
)
FAILED = RunFailed(message="the memory doesn't suffice", hint="a smaller batch_size needs less", log="worker.log")


def logged(events: Sequence[Event], name: str = "strings", **kwargs: float) -> RunFolder:
    folder = new_run(name)
    write_log(folder, events, **kwargs)
    return folder


def story(folder: RunFolder, now: float = NOW) -> str:
    return run_words.story(read(folder, before=now - DAY), now)


def row(folder: RunFolder, now: float = NOW) -> dict[str, object]:
    told: dict[str, object] = json.loads(msgspec.json.encode(run_words.row(outline(folder), now)))
    return told


def cells(folder: RunFolder, now: float = NOW) -> list[str]:
    return [cell for cell in run_words.table([outline(folder)], now).splitlines()[1].split("  ") if cell]


def of_log(folder: RunFolder) -> RunState:
    lines = folder.events_file.read_bytes().splitlines()
    return fold(event for line in lines if (event := decode(line)) is not None)


def random_log(seed: int) -> list[Event]:
    """Return a long history with restarts, so that what a restart takes back lies on both sides of any block."""
    draw = random.Random(seed)
    events: list[Event] = [started(), prepared()]
    done, kept = 0, 0
    for _ in range(draw.randrange(5, 30)):
        match draw.choice(("epoch", "epoch", "epoch", "checkpoint", "warning", "verdict", "heard", "restart")):
            case "epoch":
                done += 1
                events += epoch(done, draw.random(), best=draw.random() < 0.3)
            case "checkpoint" if done:
                events.append(saved(done))
                kept = done
            case "warning":
                events.append(warned("a spike"))
            case "verdict" if done:
                events.append(reached(done))
            case "heard" if done:
                events.append(old_heard(done))
            case "restart":
                events += [step_done(done * 10 + 3), restarted(kept * 10), prepared()]
                done = kept
    return events


@pytest.mark.parametrize("seed", range(20))
def test_a_whole_reading_is_the_fold_of_all_events_now_and_earlier(seed: int) -> None:
    events = random_log(seed)
    folder = logged([*events, STOPPED])
    moment = 1000.0 + random.Random(seed).randrange(len(events))
    reading = read(folder, before=moment)
    assert reading.state == of_log(folder)
    lines = folder.events_file.read_bytes().splitlines()
    all_events = [event for line in lines if (event := decode(line)) is not None]
    assert reading.before == fold(event for event in all_events if event.time <= moment)
    assert reading.unreadable == 0


@pytest.mark.parametrize("seed", range(20))
def test_an_outline_agrees_with_the_fold_of_all_events(seed: int) -> None:
    folder = logged([*random_log(seed), STOPPED])
    short, whole = outline(folder).state, of_log(folder)
    assert (short.phase, short.step, short.epoch) == (whole.phase, whole.step, whole.epoch)
    assert (short.best, short.last_epoch) == (whole.best, whole.last_epoch)
    assert (short.started, short.time, short.ended) == (whole.started, whole.time, whole.ended)


def test_a_living_run_is_told_with_its_place_and_the_time_left() -> None:
    folder = logged([started(), prepared(), *epoch(1, 0.5), step_done(13)])
    worker = living(folder)
    try:
        now = 1020.0
        assert cells(folder, now)[:5] == ["strings", "training", "1/4", "13", "0.5"]
        told = row(folder, now)
        assert (told["state"], told["step"], told["epoch"], told["pid"]) == ("training", 13, 1, worker.pid)
        assert told["seconds_left"] == 60.0 - (now - 1013.0)
        words = story(folder, now)
        assert "It is training: 1 of 4 epochs and 13 of 40 steps (32 %) are done, about 53.0 s left." in words
        assert "After epoch 1 the validation loss is 0.5, that of training 0.4, the best so far." in words
        assert "Nothing was wrong." in words
        assert "distill-engine stop strings" in words
    finally:
        worker.kill()
        worker.communicate()


def test_a_run_that_was_killed_is_told_to_have_died_silently() -> None:
    folder = logged([started(), prepared(), *epoch(1, 0.5), saved(1), step_done(13)])
    worker = living(folder)
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    now = 1020.0
    assert cells(folder, now)[1] == "died silently"
    assert row(folder, now)["state"] == "died"
    words = story(folder, now)
    assert "It died: the worker ended without a word" in words
    assert "distill-engine resume strings goes on after step 10." in words
    assert "RunFailed" not in folder.events_file.read_text()


def test_preparing_is_told_by_how_many_recordings_are_done() -> None:
    folder = logged([started(), PreprocessProgress(stage="preparing", done=2, total=7, file="x.wav")])
    worker = living(folder)
    try:
        assert cells(folder)[1] == "preparing 2/7"
        assert "It is preparing its recordings: 2 of 7 recordings done." in story(folder)
    finally:
        worker.kill()
        worker.communicate()


def test_a_paused_run_says_so_and_what_lets_it_go_on() -> None:
    pause = RunPaused(step=13, epoch=1, reason="anna@box")
    folder = logged([started(), prepared(), *epoch(1, 0.5), step_done(13), pause])
    worker = living(folder)
    try:
        assert cells(folder)[1] == "paused"
        assert row(folder)["seconds_left"] is None
        words = story(folder)
        assert "It was paused" in words
        assert "distill-engine resume strings goes on" in words
    finally:
        worker.kill()
        worker.communicate()


def test_a_stopped_run_says_who_stopped_it_and_what_it_left() -> None:
    events = [started(), prepared(), *epoch(1, 0.5), *epoch(2, 0.6, best=False), previewed(2), saved(2), STOPPED]
    folder = logged(events)
    words = story(folder)
    assert "It was stopped by anna@box 2 hours ago: 2 of 4 epochs and 20 of 40 steps (50 %) are done." in words
    assert "the best was 0.5 after epoch 1" in words
    assert "At step 20 it sounded 6.2 dB from the recordings; 2.1 dB is the least possible." in words
    assert "checkpoints/step-00000020.safetensors, 12.3 MB, after step 20." in words
    assert f"1 recording and 2 samples of step 20 in {folder.path}/previews/step-00000020." in words
    assert "distill-engine resume strings goes on from there." in words


def test_a_finished_run_that_still_improved_is_worth_more_epochs() -> None:
    folder = logged([started(), prepared(), *epoch(3, 0.5), *epoch(4, 0.25), saved(4), FINISHED])
    assert cells(folder)[:5] == ["strings", "finished", "4/4", "40", "0.25"]
    words = story(folder)
    assert "all epochs done" in words
    assert "Its model is /models/strings.distill." in words
    assert "distill-engine generate strings makes sound; distill-engine analyze strings finds its sliders." in words
    assert "resume strings --set max_epochs=8 trains on" in words


def test_a_run_that_ran_out_of_time_is_told_to_take_more_of_it_and_one_that_has_sliders_nothing_of_them() -> None:
    out_of_time = msgspec.structs.replace(FINISHED, reason=REASONS["minutes"])
    analysed = ModelAnalysed(model="/models/strings.distill", axes=["brightness"])
    folder = logged([started(), prepared(), *epoch(3, 0.5), *epoch(4, 0.25), saved(4), analysed, out_of_time])
    folder.config_file.write_text("max_epochs = 90\nmax_minutes = 1.5\n")
    words = story(folder)
    assert "generate strings makes sound." in words
    assert "resume strings --set max_minutes=3 trains on" in words


def test_a_finished_run_that_was_best_early_is_not() -> None:
    events = [started(), prepared(), *epoch(1, 0.25), *(e for n in (2, 3, 4) for e in epoch(n, 0.5, best=False))]
    words = story(logged([*events, FINISHED]))
    assert "It was best long before the end" in words
    assert "max_epochs=" not in words


def test_what_the_recordings_that_the_model_knew_lost_is_told_until_the_run_goes_on() -> None:
    events = [started(), prepared(), *epoch(1, 0.25), old_heard(1), saved(1), STOPPED]
    told = "The 5 recordings that the model knew: loss 2.31 before, 2.52 now, 9 % worse."
    assert told in story(logged(events)).splitlines()
    assert told not in story(logged([*events, restarted(10), step_done(11)], "again"))


def test_a_verdict_is_told_with_its_evidence_and_what_to_do_and_decides_what_comes_next() -> None:
    events = [started(), prepared(), *epoch(1, 0.25), *epoch(2, 0.5, best=False)]
    folder = logged([*events, reached(2), FINISHED])
    words = story(folder)
    assert "Verdict after epoch 2: it is learning: validation falls.\n  from 0.5 to 0.25\n  let it train on\n" in words
    assert "resume strings --set max_epochs=8 trains on" in words
    assert "best long before" not in words
    told = run_words.description(read(folder, before=0.0), NOW).verdict
    assert told is not None
    assert (told.kind, told.epoch) == ("learning", 2)
    assert "max_epochs=" not in story(logged([*events, reached(2, "flat"), FINISHED], "flat"))


def test_how_much_of_the_latent_is_in_use_is_told_where_it_was_measured() -> None:
    measured = msgspec.structs.replace(epoch_done(1, 0.5), active_dimensions=97, latent_dimensions=128)
    folder = logged([started(), prepared(), measured])
    assert "97 of 128 latent dimensions are active." in story(folder)
    assert run_words.description(read(folder, before=0.0), NOW).active_dimensions == 97


def test_a_failed_run_is_told_with_reason_and_hint() -> None:
    folder = logged([started(), prepared(), FAILED])
    words = story(folder)
    assert "It failed 2 hours ago: the memory doesn't suffice." in words
    assert "a smaller batch_size needs less" in words
    assert "distill-engine resume strings goes on from the beginning." in words
    assert json.loads(msgspec.json.encode(run_words.description(read(folder), NOW)))["message"] == FAILED.message


def test_what_went_wrong_is_named_and_the_rest_counted() -> None:
    skipped = [SkippedFile(file=f"{number}\n.wav", reason="it is silent") for number in range(7)]
    events = [started(), prepared(*skipped), *epoch(1, 0.5), *(warned(f"spike {number}") for number in range(8))]
    words = story(logged([*events, restarted(10, rejected=["step-00000020: it is torn"]), STOPPED]))
    assert "It left out 7 of 10 recordings:" in words
    assert "0\\n.wav: it is silent" in words
    assert "… and 2 more" in words
    assert "It gave 8 warnings, the last 5 of them:" in words
    assert "at step 10: spike 7; loss nan; lower learning_rate" in words
    assert "spike 2" not in words
    assert "It was resumed once, last 2 hours ago, after step 10." in words
    assert "passed over: step-00000020: it is torn" in words
    assert "Nothing was wrong" not in words


def test_the_lost_stretch_of_a_restart_is_not_shown() -> None:
    lost = [*epoch(2, 0.1), step_done(27), warned("of the lost stretch")]
    folder = logged([started(), prepared(), *epoch(1, 0.5), saved(1), *lost, restarted(10), prepared(), step_done(11)])
    worker = living(folder)
    try:
        told = row(folder)
        assert (told["step"], told["best_loss"]) == (11, 0.5)
        words = story(folder)
        assert "0.1" not in words
        assert "lost stretch" not in words
        assert "11 of 40 steps" in words
    finally:
        worker.kill()
        worker.communicate()


def test_what_changed_since_yesterday_is_told_by_steps_losses_and_state() -> None:
    folder = logged([started(), prepared(), *epoch(1, 0.5)])
    now = 1000.0 + 2 * DAY
    write_log(folder, [*epoch(2, 0.4), *epoch(3, 0.3), saved(3), warned("a spike")], begin=now - 3600)
    write_log(folder, [msgspec.structs.replace(STOPPED, step=30, epoch=3)], begin=now - 60)
    words = story(folder, now)
    assert (
        "Since yesterday at this time: 20 steps and 2 epochs more; the loss went from 0.5 to 0.3, 40 % lower; "
        "the best from 0.5 to 0.3; 1 new warning; training then, stopped now." in words
    )


def test_a_run_of_days_ago_has_not_changed_and_one_of_today_is_new() -> None:
    folder = logged([started(), prepared(), *epoch(1, 0.5), STOPPED])
    assert "Nothing has changed since yesterday: its last sign was 3 days ago." in story(folder, 1100.0 + 3 * DAY)
    assert "All of that is new since yesterday." in story(folder, 1100.0)


def test_a_resumed_run_that_lost_steps_since_yesterday_says_so() -> None:
    folder = logged([started(), prepared(), *epoch(1, 0.5), saved(1), *epoch(2, 0.4), step_done(25)])
    now = 1000.0 + 2 * DAY
    write_log(folder, [restarted(10), prepared(), step_done(11), FAILED], begin=now - 3600)
    words = story(folder, now)
    assert "14 steps fewer, for it was resumed from an earlier one" in words
    assert "resumed 1 time;" in words


def test_a_run_that_never_began_is_told_so() -> None:
    folder = new_run()
    os.utime(folder.run_file, (1000.0, 1000.0))
    assert cells(folder)[:2] == ["strings", "never begun"]
    words = story(folder)
    assert "It was never begun." in words
    assert "distill-engine resume strings begins it." in words


def test_a_run_with_a_broken_run_file_is_listed_all_the_same() -> None:
    folder = logged([started(), prepared(), *epoch(1, 0.5), STOPPED])
    folder.run_file.write_text("{")
    assert cells(folder)[1] == "unreadable"
    assert "can't be read" in str(row(folder)["problem"])
    assert "can't be read" in story(folder)


def test_broken_and_unknown_lines_are_passed_over_and_the_broken_ones_counted() -> None:
    folder = logged([started(), prepared()])
    with folder.events_file.open("ab") as file:
        file.write(b'\xff\xfe garbage\n{"type":"MoodChanged","seq":4,"time":1003.0}\n')
    write_log(folder, [*epoch(1, 0.5), STOPPED])
    with folder.events_file.open("ab") as file:
        file.write(b'{"type":"StepDone","se')
    assert outline(folder).state.phase == "stopped"
    assert "1 line of its log can't be read." in story(folder)


def test_names_with_spaces_are_quoted_where_they_are_to_be_typed() -> None:
    folder = logged([started(), prepared(), STOPPED], "my strings")
    assert "distill-engine resume 'my strings'" in story(folder)


def test_a_log_a_worker_wrote_is_read_whatever_its_length() -> None:
    folder = new_run()
    log = EventLog(folder)
    for event in (started(), prepared(), *(warned("x" * 100_000) for _ in range(3)), *epoch(1, 0.5), sample(), STOPPED):
        log.append(event)
    log.close()
    reading: Reading = read(folder)
    assert reading.state == of_log(folder)
    assert outline(folder).state.best == reading.state.best


def test_without_runs_the_list_says_how_to_make_one() -> None:
    assert run_words.table([], NOW).startswith("there are no runs yet")


def test_a_loss_without_validation_is_that_of_training() -> None:
    words = story(logged([started(), prepared(), step_done(10), epoch_done(1, None), STOPPED]))
    assert "After epoch 1 the loss is 0.4, the best so far; nothing validates it." in words


@pytest.mark.parametrize("seed", range(20))
def test_an_outline_that_is_continued_agrees_with_the_fold_of_all_events(seed: int) -> None:
    events, draw = random_log(seed), random.Random(seed)
    cuts = sorted(draw.sample(range(1, len(events)), 4))
    folder, reading = new_run("strings"), None
    worker = living(folder)
    try:
        for begin, end in pairwise([0, *cuts, len(events)]):
            write_log(folder, events[begin:end])
            reading = outline(folder, reading)
    finally:
        worker.kill()
        worker.communicate()
    assert reading is not None
    short, whole = reading.state, of_log(folder)
    assert (short.phase, short.step, short.epoch, short.seq) == (whole.phase, whole.step, whole.epoch, whole.seq)
    assert (short.best, short.last_epoch) == (whole.best, whole.last_epoch)
    assert (short.started, short.time) == (whole.started, whole.time)


def test_an_outline_goes_on_behind_a_torn_line_and_ends_with_the_run() -> None:
    folder = logged([started(), prepared(), *epoch(1, 0.5)])
    whole = folder.events_file.read_bytes()
    worker = living(folder)
    try:
        folder.events_file.write_bytes(whole + b'{"type":"StepDone","seq":99')
        before = outline(folder)
        folder.events_file.write_bytes(whole)
        write_log(folder, [step_done(11)])
        reading = outline(folder, before)
        assert (reading.state.step, reading.state.phase) == (11, "training")
    finally:
        worker.kill()
        worker.communicate()
    assert outline(folder, reading).state.phase == "died"
