"""A run at a glance: its header, its events in order, and what is new since one last looked.

Pure, made of a view of the run and the present time. Lines are pieces of text with their tones, as `widgets.line` draws
them, each made for the width it is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from distill_engine import api
from distill_tui.actions import key_of
from distill_tui.format import Words, clock, number, percent, progress_bar, state_in_words, state_tone, wrapped

if TYPE_CHECKING:
    from distill_engine.api import EpochDone, History, PreprocessProgress, RunState, StepDone
    from distill_tui.live_run import RunView
    from distill_tui.remembered import Seen

LONGEST_NAME = 24
"""Cells of a run's name in the header."""

LISTED = 1_000
"""How many events are listed, the newest: to lay out more of them would keep a key waiting."""

VERDICT = "verdict "

WARNINGS_NAMED = 3
"""How many new warnings are told one by one."""

_PLAIN = str.maketrans({"·": "-", "…": "~", "→": ">", "━": "=", "─": "-", "°": " ", "“": '"', "”": '"'})


@dataclass(frozen=True, kw_only=True)
class Happening:
    """Something that happened to a run."""

    key: str
    time: float
    step: int
    words: str
    tone: str = ""
    details: tuple[str, ...] = ()
    """More of it, a sentence or path each."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something that is new since one last looked, and where in the run it lies."""

    words: str
    time: float
    step: int
    tone: str = ""


# Lines.


def plain(line: Words, *, ascii_only: bool) -> Words:
    """Return a line with our own signs in ASCII where nothing else can be shown."""
    return [(text.translate(_PLAIN), tone) for text, tone in line] if ascii_only else line


def spread(left: Words, right: Words, width: int) -> Words:
    """Return a line with `right` at its end, or without it where there is no room."""
    room = width - _width(left) - _width(right)
    return [*left, (" " * room, ""), *right] if right and room >= 2 else left


def path_within(path: str, width: int) -> str:
    """Return a path fit to be shown, of which the end is kept where it is too long."""
    whole = api.shown(path)
    while api.cells(whole) > max(1, width):
        whole = "…" + whole[2:] if whole.startswith("…") else "…" + whole[1:]
        if len(whole) <= 1:
            break
    return whole


def in_rows(texts: Sequence[str], width: int, rows: int) -> list[str]:
    """Return the texts on so many rows at most, each on rows of its own where there is room for that.

    The last row ends with an ellipsis where there is more.
    """
    texts = [text for text in texts if text]
    lines = [line for text in texts for line in wrapped(text, width)]
    if len(lines) > rows:
        lines = wrapped("; ".join(texts), width)
    if len(lines) > rows:
        lines = [*lines[: rows - 1], api.cut(lines[rows - 1], width - 2) + " …"] if rows else []
    return lines


# The header.


def header(view: RunView, now: float, width: int) -> list[Words]:
    """Return the three lines that say how a run goes, or how it ended and what to do."""
    state = view.state
    first = spread(_who(view, width), _machine(state), width)
    if view.problem:
        return [first, [(api.shown(view.problem), "bad")], []]
    if state.is_over:
        return [first, *_end(state, now, width)]
    if state.phase in ("starting", "scanning", "preparing"):
        return [first, *_beginning(state, width)]
    if state.phase == "analysing" and state.progress is not None:
        return [first, *_analysing(state.progress, width)]
    return [first, _progress(state, now, width), _losses(state, width)]


VERDICT_MARKS = {
    "early": ("", "dim"),
    "learning": ("", "good"),
    "flat": ("", "accent"),
    "overfitting": ("! ", "warn"),
    "collapsing": ("!! ", "bad"),
    "diverging": ("!! ", "bad"),
}
"""How each kind of verdict is marked, and its tone; the words say the same."""


def verdict_line(view: RunView, width: int) -> Words:
    """Return what the run's curves came to last: whether it has trained enough, in as many clauses as there is room."""
    verdict = view.state.verdict
    if verdict is None:
        return []
    mark, tone = VERDICT_MARKS.get(verdict.kind, ("", ""))
    room, words = width - len(VERDICT), f"{mark}{api.shown(verdict.words)}"
    while api.cells(words) > room and "; " in words:
        words = words.rpartition("; ")[0]
    return [(VERDICT, "dim"), *((row, tone) for row in in_rows([words], room, 1))]


def no_run() -> list[Words]:
    """Return the header where there is no run to watch."""
    return [
        [("No run yet", "strong")],
        [
            ("Choose recordings in ", ""),
            (f"{key_of('app.show_datasets')} Datasets", "accent"),
            (", then begin in ", ""),
            (f"{key_of('app.show_config')} Config", "accent"),
        ],
        [
            ("It is shown here live, and goes on when the dashboard is left. ", "dim"),
            *_key("training.runs", "lists runs"),
        ],
    ]


def _who(view: RunView, width: int) -> Words:
    state = view.state
    name = api.shown(view.name)
    if api.cells(name) > LONGEST_NAME:
        name = api.cut(name, LONGEST_NAME - 1) + "…"
    line: Words = [(name, "strong"), ("  ", ""), (state_in_words(state), state_tone(state))]
    if state.step or state.epoch:
        told = how_far(state)
        while told and _width(line) + 3 + api.cells(told) > width:
            told = told.rpartition(" · ")[0]
        line += [("   ", ""), (told, "")]
    return line


def how_far(state: RunState) -> str:
    """Return epochs and steps in full digits, such as "3 of 15 epochs · 1,234 of 20,000 steps · 6 %"."""
    epochs = f"{state.epoch:,} of {state.max_epochs:,} epochs" if state.max_epochs else f"{state.epoch:,} epochs"
    steps = f"{state.step:,} of {state.total_steps:,} steps" if state.total_steps else f"{state.step:,} steps"
    return " · ".join(filter(None, (epochs, steps, percent(state.step, state.total_steps))))


def _machine(state: RunState) -> Words:
    return [(f"{state.device} · {state.precision}", "dim")] if state.device else []


def _beginning(state: RunState, width: int) -> list[Words]:
    progress = state.progress
    if progress is None or not progress.total:
        return [[("The worker loads torch, then lists the recordings.", "")], []]
    told = f"  {progress.done:,} of {api.counted(progress.total, 'recording')}"
    verb = "listing" if state.phase == "scanning" else "preparing"
    bar = progress_bar(progress.done / progress.total, max(4, width - len(told)))
    return [[*bar, (told, "")], [(f"{verb} ", "dim"), (path_within(progress.file, width - len(verb) - 1), "dim")]]


def _analysing(progress: PreprocessProgress, width: int) -> list[Words]:
    told = f"  {progress.done:,} of {api.counted(progress.total, 'sound')}"
    bar = progress_bar(progress.done / max(1, progress.total), max(4, width - len(told)))
    words = in_rows(["the model is kept; finding its sliders", api.shown(progress.file)], width, 1)
    return [[*bar, (told, "")], *([(row, "dim")] for row in words)]


def _progress(state: RunState, now: float, width: int) -> Words:
    words = _paused(state, now) if state.phase == "paused" else _times(state, now)
    while len(words) > 1 and _width(words) + 6 > width:
        words = words[:-1]
    bar = progress_bar(state.step / state.total_steps if state.total_steps else 0.0, max(4, width - _width(words) - 2))
    return [*bar, ("  ", ""), *words]


def _times(state: RunState, now: float) -> Words:
    left = api.seconds_left(state, now)
    since = " since it was resumed" if state.restarts else " so far"
    told = "time left is told after an epoch" if left is None else f"{clock(left)} left"
    return [(told, "" if left is not None else "dim"), (f" · {clock(max(0.0, now - state.resumed))}{since}", "dim")]


def _paused(state: RunState, now: float) -> Words:
    by = f" by {api.shown(state.pause.reason)}" if state.pause and state.pause.reason else ""
    since = f" {api.ago(state.pause.time, now)}" if state.pause else ""
    if api.waits_for_disk(state):
        return [(f"paused{by}{since} · it goes on by itself", "warn")]
    return [(f"paused{by}{since} · ", "warn"), (key_of("training.pause"), "accent"), (" goes on", "")]


def _losses(state: RunState, width: int) -> Words:
    if state.last_step is None:
        return [("no step is done yet", "dim")]
    line: Words = [("loss ", "dim"), (number(state.last_step.loss), "")]
    epoch = state.last_epoch
    if epoch is not None and epoch.validation_loss is not None:
        line += [("   validation ", "dim"), (number(epoch.validation_loss), "")]
    if state.best is not None:
        line += [("   best ", "dim"), (number(state.best.value), "good"), (f" in epoch {state.best.epoch:,}", "dim")]
    elif epoch is None:
        line += [("   no epoch is done yet", "dim")]
    return _with_pace(line, state.last_step, epoch, width)


def _with_pace(line: Words, step: StepDone, epoch: EpochDone | None, width: int) -> Words:
    """Add how fast pieces are learnt from, and how much of the latent is in use where there is room for that too."""
    pace = f"{number(step.pieces_per_second)} pieces a second"
    if epoch is not None and epoch.active_dimensions is not None and epoch.latent_dimensions:
        latent = f"latent {epoch.active_dimensions:,} of {epoch.latent_dimensions:,} active"
        more = spread(line, [(f"{latent}   {pace}", "dim")], width)
        if len(more) > len(line):
            return more
    return spread(line, [(pace, "dim")], width)


def _end(state: RunState, now: float, width: int) -> list[Words]:
    when = api.ago(state.ended, now)
    match state.ending:
        case api.RunFinished() as ending:
            took = (
                f"{clock(max(0.0, state.time - state.resumed))} after it was {'resumed' if state.restarts else 'begun'}"
            )
            finished = spread([(f"finished {when}: {api.shown(ending.reason)}", "")], [(took, "dim")], width)
            return [finished, _left_behind(state, ending.model, width)]
        case api.RunStopped() as ending:
            by = f" by {api.shown(ending.reason)}" if ending.reason else ""
            stopped = spread([(f"stopped{by} {when}", "")], _key("training.resume", _from(state)), width)
            return [stopped, _left_behind(state, ending.model, width, checkpoint=ending.checkpoint)]
        case api.RunFailed() as ending if state.is_gone:
            return [[("its folder is gone; it may still train", "bad")], [(ending.hint, "dim")]]
        case api.RunFailed() as ending if state.phase == "failed":
            message = [(line, "bad") for line in in_rows([api.shown(ending.message)], width, 1)]
            hint = api.shown(ending.hint.replace("\n", "; "))
            return [
                message,
                spread([(line, "") for line in in_rows([hint], width, 1)], _key("training.resume", "resumes"), width),
            ]
        case _ if state.seq:
            told = f"it died without a word; its last sign was {api.ago(state.time, now)}"
            why = "killed, out of memory, or the machine went down" if width >= 100 else "killed, or out of memory"
            next_: Words = [*_key("training.log", "log"), (" · ", "dim"), *_key("training.resume", _from(state))]
            return [[(told, "bad")], [(f"{why} · ", "dim"), *next_]]
        case _:
            return [[("no worker has begun the run", "bad")], _key("training.resume", "begins it")]


def _left_behind(state: RunState, model: str, width: int, *, checkpoint: str = "") -> Words:
    """Say where the model is, or else the checkpoint, and how good it got."""
    best: Words = []
    if state.best is not None:
        best = [("best ", "dim"), (number(state.best.value), "good"), (f" in epoch {state.best.epoch:,}", "dim")]
    if not model and not checkpoint:
        return best
    kind = "model " if model else "checkpoint "
    return spread([(kind, "dim"), (path_within(model or checkpoint, width - len(kind)), "")], best, width)


def trains_on_from_model() -> str:
    """Return how a new run goes on from the model of one that has finished."""
    library, train_on = key_of("app.show_library"), key_of("library.train_on")
    return f"{train_on} in {library} Library trains on from its model, in a new run"


def what_is_possible(state: RunState) -> str:
    """Return what one can do with a run that is over."""
    if state.is_gone:
        return "its folder is gone; it may still train"
    if state.phase == "finished":
        return trains_on_from_model()
    return f"{key_of('training.resume')} resumes it"


def _from(state: RunState) -> str:
    saved = state.last_checkpoint
    return f"goes on after step {saved.step:,}" if saved else "goes on from the beginning"


def _key(action: str, what: str) -> Words:
    return [(key_of(action), "accent"), (f" {what}", "dim")]


def _width(line: Words) -> int:
    return sum(api.cells(text) for text, _ in line)


# Events.


def happenings(view: RunView) -> list[Happening]:
    """Return what happened over a run, but for steps and epochs, the newest last; one more than `LISTED` at most."""
    history = view.history
    if history is None:
        return []
    told = [
        *_begun(view.state),
        *_prepared(view.state),
        *_saved(history),
        *_heard(history),
        *_verdicts(history),
        *_old_recordings(history),
        *_analyses(history),
        *_warned(history),
        *_pauses(history),
        *_answers(history),
        *_stretches(history),
    ]
    return sorted(told, key=lambda one: one.time)[-LISTED - 1 :]


def _begun(state: RunState) -> Iterator[Happening]:
    if state.started:
        on = f" on {state.device} in {state.precision}" if state.device else ""
        yield Happening(
            key="begun", time=state.started, step=0, words=f"begun{on}", details=(f"by process {state.pid}",)
        )


def _prepared(state: RunState) -> Iterator[Happening]:
    prepared = state.prepared
    if prepared is None:
        return
    pieces = (
        f"{api.counted(prepared.training_pieces, 'piece')} to learn from, {prepared.validation_pieces:,} to validate"
    )
    left_out = f"; {len(prepared.skipped):,} of {api.counted(prepared.found, 'recording')} left out"
    yield Happening(
        key="prepared",
        time=prepared.time,
        step=0 if not state.last_restart else state.last_restart.from_step,
        words=f"prepared: {pieces}{left_out if prepared.skipped else ''}",
        details=tuple(f"{api.shown(one.file)}: {api.shown(one.reason)}" for one in prepared.skipped),
    )


def _saved(history: History) -> Iterator[Happening]:
    for one in history.checkpoints[-LISTED - 1 :]:
        yield Happening(
            key=f"event {one.seq}",
            time=one.time,
            step=one.step,
            words=f"checkpoint saved, {api.size(one.bytes)}",
            details=(api.shown(one.path),),
        )


def _heard(history: History) -> Iterator[Happening]:
    for one in history.previews[-LISTED - 1 :]:
        yield Happening(
            key=f"event {one.seq}",
            time=one.time,
            step=one.step,
            words=f"preview made{_sounds(one)}",
            details=(f"{key_of('training.previews')} shows it and lets you hear it", api.shown(one.path)),
        )


def _sounds(preview: api.PreviewSaved) -> str:
    if preview.lsd is None or preview.floor_lsd is None:
        return ""
    return f": {preview.lsd:.1f} dB from the recordings, {preview.floor_lsd:.1f} is the least"


def _verdicts(history: History) -> Iterator[Happening]:
    for one in history.verdicts[-LISTED - 1 :]:
        mark, tone = VERDICT_MARKS.get(one.kind, ("", ""))
        yield Happening(
            key=f"event {one.seq}",
            time=one.time,
            step=one.step,
            words=f"{mark}verdict: {api.shown(one.words)}",
            tone=tone,
            details=tuple(api.shown(text) for text in (one.evidence, one.suggestion) if text),
        )


def _old_recordings(history: History) -> Iterator[Happening]:
    for one in history.old_recordings[-LISTED - 1 :]:
        yield Happening(key=f"event {one.seq}", time=one.time, step=one.step, words=api.shown(one.words))


def _analyses(history: History) -> Iterator[Happening]:
    for one in history.analyses[-LISTED - 1 :]:
        yield Happening(
            key=f"event {one.seq}",
            time=one.time,
            step=step_at(history, one.time),
            words=f"the model has {api.shown(api.axes_in_words(one.axes))}",
            details=(f"model {api.shown(one.model)}",),
        )


def _warned(history: History) -> Iterator[Happening]:
    for number_, one in [*enumerate(history.warnings)][-LISTED - 1 :]:
        event = one.event
        yield Happening(
            key=f"event {event.seq}" if event.seq else f"warning {number_}",
            time=event.time,
            step=one.step,
            words=f"! {api.shown(event.message)}",
            tone="warn",
            details=tuple(api.shown(text) for text in (event.evidence, event.suggestion) if text),
        )


def _pauses(history: History) -> Iterator[Happening]:
    for pause in history.pauses[-LISTED - 1 :]:
        by = f" by {api.shown(pause.reason)}" if isinstance(pause, api.RunPaused) and pause.reason else ""
        words = f"paused{by}" if isinstance(pause, api.RunPaused) else "goes on"
        yield Happening(key=f"event {pause.seq}", time=pause.time, step=pause.step, words=words)


def _answers(history: History) -> Iterator[Happening]:
    for one in history.answers[-2 * LISTED - 2 :]:  # most are heard and then answered
        answer = one.event
        if answer.answer == "heard":
            continue
        refused = answer.answer == "refused"
        yield Happening(
            key=f"event {answer.seq}",
            time=answer.time,
            step=one.step,
            words=f"{answer.command} {'refused' if refused else 'done'}: {api.shown(answer.words)}",
            tone="warn" if refused else "",
            details=(api.shown(answer.path),) if answer.path else (),
        )


def _stretches(history: History) -> Iterator[Happening]:
    for restart in history.restarts[-LISTED - 1 :]:
        where = f"after step {restart.from_step:,}" if restart.checkpoint else "from the beginning"
        yield Happening(
            key=f"event {restart.seq}",
            time=restart.time,
            step=restart.from_step,
            words=f"resumed {where}",
            tone="accent",
            details=tuple(f"passed over: {api.shown(reason)}" for reason in restart.rejected),
        )
    for place, ending in [*enumerate(history.endings)][-LISTED - 1 :]:
        yield _ended(history, ending, f"event {ending.seq}" if ending.seq else f"ending {place}")


def _ended(history: History, ending: api.RunStopped | api.RunFinished | api.RunFailed, key: str) -> Happening:
    model = (f"model {api.shown(ending.model)}",) if ending.model else ()
    match ending:
        case api.RunFinished(reason=reason):
            words, tone, details = f"finished: {api.shown(reason)}", "good", model
        case api.RunStopped(reason=reason):
            by = f" by {api.shown(reason)}" if reason else ""
            words, tone, details = f"stopped{by}", "accent", model
        case api.RunFailed(message=message, hint=hint):
            words, tone, details = f"!! {api.shown(message)}", "bad", (api.shown(hint), *model)
    step = step_at(history, ending.time) if isinstance(ending, api.RunFailed) else ending.step
    return Happening(key=key, time=ending.time, step=step, words=words, tone=tone, details=details)


def step_at(history: History, moment: float) -> int:
    """Return the last step told of by a moment, 0 for none."""
    row = int(history.steps.column("time").searchsorted(moment, side="right"))
    return int(history.steps.column("step")[row - 1]) if row else 0


# While one was away.


def changes_since(view: RunView, seen: Seen) -> list[Change]:
    """Return what is new since a run was last seen, in the order in which one wants to know it; nothing for nothing.

    The history must be all there.
    """
    if view.history is None or view.state.seq <= seen.seq:
        return []
    parts = (
        _further,
        _stretches_since,
        _losses_since,
        _verdict_since,
        _old_recordings_since,
        _warnings_since,
        _made_since,
        _pauses_since,
    )
    return [change for part in parts for change in part(view.state, view.history, seen)]


def away_title(seen: Seen, now: float) -> str:
    """Return the heading of what is new, such as "while you were away for 3 h 05 min"."""
    return f"while you were away for {clock(max(0.0, now - seen.time))}"


def _further(state: RunState, history: History, seen: Seen) -> Iterator[Change]:
    step = step_at(history, seen.time)
    epochs = int(len(history.epochs) - history.epochs.column("time").searchsorted(seen.time, side="right"))
    if state.step > step:
        words = f"{api.counted(state.step - step, 'step')} and {api.counted(epochs, 'epoch')} more, from step {step:,}"
        yield Change(words=words, time=seen.time, step=step)


def _losses_since(state: RunState, history: History, seen: Seen) -> Iterator[Change]:
    epochs = history.epochs
    validation, train = epochs.column("validation_loss"), epochs.column("train_loss")
    row = int(epochs.column("time").searchsorted(seen.time, side="right"))
    if not row or row == len(epochs):
        return
    judged, kind = (validation, "validation loss") if math.isfinite(validation[row - 1]) else (train, "loss")
    then, now = float(judged[row - 1]), float(judged[-1])
    change = api.change_in_percent(then, now) if math.isfinite(then) and math.isfinite(now) else ""
    words = f"{kind} from {number(then)} to {number(now)}{change}"
    yield Change(words=words, time=float(epochs.column("time")[-1]), step=int(epochs.column("step")[-1]))
    best = state.best
    if best is None:
        return
    since = [place for place in range(row, len(epochs)) if int(epochs.column("step")[place]) == best.step]
    when = float(epochs.column("time")[since[0]]) if since else seen.time
    words = f"best {number(best.value)} in epoch {best.epoch:,}"
    yield Change(
        words=words if since else f"no better epoch: {words}", time=when, step=best.step, tone="good" if since else ""
    )


def _verdict_since(_state: RunState, history: History, seen: Seen) -> Iterator[Change]:
    yield from _new(_verdicts(history), seen, last=1)


def _old_recordings_since(_state: RunState, history: History, seen: Seen) -> Iterator[Change]:
    yield from _new(_old_recordings(history), seen, last=1)


def _warnings_since(_state: RunState, history: History, seen: Seen) -> Iterator[Change]:
    new = [one for one in history.warnings if one.event.time > seen.time]
    for one in new[:WARNINGS_NAMED]:
        words = f"! {api.shown(one.event.message)}"
        yield Change(words=words, time=one.event.time, step=one.step, tone="warn")
    if more := new[WARNINGS_NAMED:]:
        words = f"! {api.counted(len(more), 'warning')} more"
        yield Change(words=words, time=more[0].event.time, step=more[0].step, tone="warn")


def _made_since(_state: RunState, history: History, seen: Seen) -> Iterator[Change]:
    previews = [one for one in history.previews if one.time > seen.time]
    if previews:
        last = previews[-1]
        words = f"{api.counted(len(previews), 'preview')}, the last{_sounds(last)}"
        yield Change(words=words, time=last.time, step=last.step)
    checkpoints = [one for one in history.checkpoints if one.time > seen.time]
    if checkpoints:
        saved = checkpoints[-1]
        words = f"{api.counted(len(checkpoints), 'checkpoint')}, the last after step {saved.step:,}"
        yield Change(words=words, time=saved.time, step=saved.step)


def _stretches_since(_state: RunState, history: History, seen: Seen) -> Iterator[Change]:
    yield from _new(_stretches(history), seen)


def _pauses_since(_state: RunState, history: History, seen: Seen) -> Iterator[Change]:
    yield from _new(_pauses(history), seen)


def _new(happenings: Iterable[Happening], seen: Seen, last: int = LISTED) -> Iterator[Change]:
    new = [one for one in sorted(happenings, key=lambda told: told.time) if one.time > seen.time]
    for one in new[-last:]:
        yield Change(words=one.words, time=one.time, step=one.step, tone=one.tone)
