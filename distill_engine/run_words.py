"""Runs in words and as data: the list of them as a table, and one told in sentences.

Everything here is made of a `Reading` and the present time, and reads nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import PurePath

import msgspec

from distill_engine.errors import DistillError
from distill_engine.events import (
    EpochDone,
    PreviewSaved,
    RunFailed,
    RunFinished,
    RunStopped,
    SkippedFile,
    VerdictReached,
    WarningRaised,
)
from distill_engine.going_on import what_lets_go_on
from distill_engine.run_reading import Reading
from distill_engine.run_state import RunState, waits_for_disk
from distill_engine.words import columns, counted, duration, shown, size

DAY = 86_400.0
LISTED = 5
"""How many warnings or skipped files are named before the rest is only counted."""

_PAST = {"finished": "finished", "stopped": "was stopped", "failed": "failed"}
_HEADINGS = ("name", "state", "epoch", "step", "best loss", "time left", "when")


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run as `runs --json` has it. Times are in UTC, as ISO 8601, and empty where nothing happened yet."""

    name: str
    id: str
    path: str
    dataset: str
    state: str
    step: int
    epoch: int
    max_epochs: int
    best_loss: float | None
    seconds_left: float | None
    started: str
    last_event: str
    pid: int | None
    """The process that trains it now."""

    problem: str


class RunDescription(RunRow, frozen=True, kw_only=True):
    """A run as `show --json` has it. Paths are relative to the run's, but for the model's."""

    device: str
    precision: str
    steps_per_epoch: int
    total_steps: int
    train_loss: float | None
    validation_loss: float | None
    best_epoch: int | None
    verdict: VerdictReached | None
    """Whether it has trained enough, as its curves told last."""

    active_dimensions: int | None
    latent_dimensions: int | None
    restarts: int
    found: int | None
    used: int | None
    skipped: list[SkippedFile]
    warnings_raised: int
    warnings: list[WarningRaised]
    """The latest ones, the oldest of them first."""

    checkpoint: str
    preview: PreviewSaved | None
    model: str
    message: str
    """How it ended, in the worker's words."""

    hint: str


def row(reading: Reading, now: float) -> RunRow:
    """Return what a list says of a run, as data."""
    state, info = reading.state, reading.info
    return RunRow(
        name=reading.folder.name,
        id=info.id if info else "",
        path=str(reading.folder.path),
        dataset=info.dataset if info else "",
        state=state.phase,
        step=state.step,
        epoch=state.epoch,
        max_epochs=state.max_epochs,
        best_loss=best_loss(state),
        seconds_left=seconds_left(state, now),
        started=_iso(state.started),
        last_event=_iso(state.time),
        pid=reading.holder,
        problem=reading.problem,
    )


def description(reading: Reading, now: float) -> RunDescription:
    """Return all that is known of a run, as data."""
    state, epoch, prepared = reading.state, reading.state.last_epoch, reading.state.prepared
    message, hint = _last_words(state)
    return RunDescription(
        **msgspec.structs.asdict(row(reading, now)),
        device=state.device,
        precision=state.precision,
        steps_per_epoch=state.steps_per_epoch,
        total_steps=state.total_steps,
        train_loss=epoch.train_loss if epoch else None,
        validation_loss=epoch.validation_loss if epoch else None,
        best_epoch=state.best.epoch if state.best else None,
        verdict=state.verdict,
        active_dimensions=epoch.active_dimensions if epoch else None,
        latent_dimensions=epoch.latent_dimensions if epoch else None,
        restarts=state.restarts,
        found=prepared.found if prepared else None,
        used=prepared.used if prepared else None,
        skipped=prepared.skipped if prepared else [],
        warnings_raised=state.warnings_raised,
        warnings=[warned.event for warned in state.warnings],
        checkpoint=state.last_checkpoint.path if state.last_checkpoint else "",
        preview=state.last_preview,
        model=_model(state),
        message=message,
        hint=hint,
    )


def table(readings: Sequence[Reading], now: float) -> str:
    """Return the runs as aligned columns under their headings."""
    if not readings:
        return "there are no runs yet: distill-engine train DATASET makes one"
    return "\n".join(columns([_HEADINGS, *(_cells(reading, now) for reading in readings)]))


def story(reading: Reading, now: float) -> str:
    """Return a run in sentences: how far, how good, whether enough, what was saved and wrong, what changed, what next.

    `reading.before` must be the state of a day before `now`.
    """
    parts = (
        _about,
        _how_far,
        _how_good,
        _whether_enough,
        _what_was_saved,
        _what_was_wrong,
        _what_changed,
        _what_next,
    )
    return "\n".join(sentence for part in parts for sentence in part(reading, now))


def ended_in_words(reading: Reading, now: float) -> str:
    """Return in a line that a run isn't trained, and how that came: for who wanted to stop it."""
    name, state = shown(reading.folder.name), reading.state
    match state.phase:
        case "finished" | "stopped" | "failed":
            return f"run {name} {_PAST[state.phase]} {ago(state.ended, now)}, after step {state.step:,}"
        case "died" if state.seq:
            return f"run {name} died silently after step {state.step:,}; its last sign was {ago(state.time, now)}"
        case _:
            return f"run {name} was never begun"


def _cells(reading: Reading, now: float) -> tuple[str, ...]:
    state, left = reading.state, seconds_left(reading.state, now)
    best = best_loss(state)
    return (
        shown(reading.folder.name),
        "unreadable" if reading.problem else phase_in_words(state),
        _of(state.epoch, state.max_epochs),
        f"{state.step:,}",
        "" if best is None else f"{best:.4g}",
        "" if left is None else duration(left),
        when_in_words(state, now),
    )


def phase_in_words(state: RunState) -> str:
    """Return what a run is doing, in a word or two."""
    match state.phase:
        case "died" if not state.seq:
            return "never begun"
        case "died" if state.is_gone:
            return "folder gone"
        case "died":
            return "died silently"
        case "scanning" | "preparing" | "analysing" if state.progress:
            return f"{state.phase} {state.progress.done}/{state.progress.total}"
        case phase:
            return phase


def when_in_words(state: RunState, now: float) -> str:
    """Return when a run began, or ended where it is over; empty where it never began."""
    if not state.seq:
        return ""
    if state.is_over:
        return f"ended {ago(state.time, now)}"
    return f"begun {ago(state.started, now)}"


def _about(reading: Reading, now: float) -> Iterator[str]:
    info, state = reading.info, reading.state
    if info is None:
        yield f"Run {shown(reading.folder.name)}: {shown(reading.problem)}."
        return
    on = f" on {state.device} in {state.precision}" if state.device else ""
    begun = f", begun {ago(state.started, now)}" if state.started else ""
    model = f", from the model {shown(info.start_from)}" if info.start_from else ""
    yield f"Run {shown(reading.folder.name)} ({info.id[:8]}) learns {shown(info.dataset)}{model}{on}{begun}."


def _how_far(reading: Reading, now: float) -> Iterator[str]:
    state = reading.state
    done = _done(state)
    match state.phase:
        case "starting":
            yield "It is starting."
        case "scanning" | "preparing":
            progress = state.progress
            files = f": {progress.done} of {counted(progress.total, 'recording')} done" if progress else ""
            yield f"It is {'listing' if state.phase == 'scanning' else 'preparing'} its recordings{files}."
        case "training":
            left = seconds_left(state, now)
            yield f"It is training: {done}" + ("" if left is None else f", about {duration(left)} left") + "."
        case "analysing":
            progress = state.progress
            sounds = f", {progress.done} of {counted(progress.total, 'sound')} heard" if progress else ""
            yield f"It has trained, {done}, and its model is there; it is finding the sliders{sounds}."
        case "paused":
            since = f", {ago(state.pause.time, now)}," if state.pause else ""
            what = " for its disk" if waits_for_disk(state) else ""
            yield f"It was paused{since} and waits{what}: {done}."
        case _:
            yield from _how_it_ended(state, done, now)


def _how_it_ended(state: RunState, done: str, now: float) -> Iterator[str]:
    when = ago(state.ended, now)
    match state.ending:
        case RunFinished():
            yield f"It finished {when}, {state.ending.reason}: {done}."
        case RunStopped():
            by = f" by {shown(state.ending.reason)}" if state.ending.reason else ""
            yield f"It was stopped{by} {when}: {done}."
        case RunFailed() if state.phase == "failed":
            yield f"It failed {when}: {shown(state.ending.message)}."
            yield from (f"  {shown(line)}" for line in state.ending.hint.splitlines())
            yield f"Until then {done}."
        case RunFailed() if state.seq:
            yield f"It died: {shown(state.ending.message)}, and its last sign was {ago(state.time, now)}."
            yield f"Until then {done}."
            yield f"It was killed, or memory ran out, or the machine went down; {shown(state.ending.log)} may tell."
        case _:
            yield "It was never begun."


def _how_good(reading: Reading, now: float) -> Iterator[str]:
    del now
    state, epoch = reading.state, reading.state.last_epoch
    if epoch is None:
        if state.last_step is not None:
            yield f"No epoch is done yet; the loss of the last step is {_loss(state.last_step.loss)}."
    elif epoch.validation_loss is None:
        yield f"After epoch {epoch.epoch:,} the loss is {_loss(epoch.train_loss)}{_best(state)}; nothing validates it."
    else:
        yield (
            f"After epoch {epoch.epoch:,} the validation loss is {_loss(epoch.validation_loss)}, "
            f"that of training {_loss(epoch.train_loss)}{_best(state)}."
        )
    preview = state.last_preview
    if preview and preview.lsd is not None and preview.floor_lsd is not None:
        yield (
            f"At step {preview.step:,} it sounded {preview.lsd:.1f} dB from the recordings; "
            f"{preview.floor_lsd:.1f} dB is the least possible."
        )
    if epoch is not None and (latent := latent_in_words(epoch)):
        yield f"{latent}."
    if state.old_recordings:
        yield f"{_sentence(state.old_recordings.words)}."


def _sentence(words: str) -> str:
    return shown(words[:1].upper() + words[1:])


def _whether_enough(reading: Reading, now: float) -> Iterator[str]:
    """Tell the verdict on its curves."""
    del now
    verdict = reading.state.verdict
    if verdict is not None:
        yield f"Verdict after epoch {verdict.epoch:,}: {shown(verdict.words)}."
        yield from (f"  {shown(text)}" for text in (verdict.evidence, verdict.suggestion) if text)


def _best(state: RunState) -> str:
    best = state.best
    if best is None or state.last_epoch is None:
        return ""
    if best.epoch == state.last_epoch.epoch:
        return ", the best so far"
    return f"; the best was {_loss(best.value)} after epoch {best.epoch:,}"


def _what_was_saved(reading: Reading, now: float) -> Iterator[str]:
    state = reading.state
    saved, preview, model = state.last_checkpoint, state.last_preview, _model(state)
    if saved:
        yield f"Saved {ago(saved.time, now)}: {saved.path}, {size(saved.bytes)}, after step {saved.step:,}."
    elif state.seq and not state.restarts:
        yield "No checkpoint is saved yet."
    if preview:
        heard = f"{counted(len(preview.recordings), 'recording')} and {counted(len(preview.samples), 'sample')}"
        yield f"To hear: {heard} of step {preview.step:,} in {reading.folder.path / preview.path}."
    if model:
        yield f"Its model is {shown(model)}."


def _what_was_wrong(reading: Reading, now: float) -> Iterator[str]:
    state = reading.state
    complaints = [*_skipped(state), *_warnings(state), *_restarts(state, now), *_unanswered(state)]
    if reading.unreadable:
        complaints.append(f"{counted(reading.unreadable, 'line')} of its log can't be read.")
    if not complaints and state.seq and state.phase not in ("failed", "died"):
        complaints.append("Nothing was wrong.")
    yield from complaints


def _skipped(state: RunState) -> Iterator[str]:
    prepared = state.prepared
    if prepared is None or not prepared.skipped:
        return
    yield f"It left out {len(prepared.skipped)} of {counted(prepared.found, 'recording')}:"
    yield from (f"  {shown(one.file)}: {one.reason}" for one in prepared.skipped[:LISTED])
    if len(prepared.skipped) > LISTED:
        yield f"  … and {len(prepared.skipped) - LISTED} more"


def _warnings(state: RunState) -> Iterator[str]:
    if not state.warnings_raised:
        return
    latest = state.warnings[-LISTED:]
    more = f", the last {len(latest)} of them" if state.warnings_raised > len(latest) else ""
    yield f"It gave {counted(state.warnings_raised, 'warning')}{more}:"
    for warned in latest:
        event = warned.event
        told = "; ".join(shown(part) for part in (event.message, event.evidence, event.suggestion) if part)
        yield f"  at step {warned.step:,}: {told}"


def _restarts(state: RunState, now: float) -> Iterator[str]:
    last = state.last_restart
    if last is None:
        return
    times = {1: "once", 2: "twice"}.get(state.restarts, f"{state.restarts} times")
    where = f"after step {last.from_step:,}" if last.checkpoint else "from the beginning"
    yield f"It was resumed {times}, last {ago(last.time, now)}, {where}."
    yield from (f"  passed over: {shown(reason)}" for reason in last.rejected)


def _unanswered(state: RunState) -> Iterator[str]:
    if not state.is_over:
        yield from (f"The order {one.command} was heard and isn't carried out yet." for one in state.awaiting)


def _what_changed(reading: Reading, now: float) -> Iterator[str]:
    state, before = reading.state, reading.before
    if not state.seq:
        return
    if state.time <= now - DAY:
        yield f"Nothing has changed since yesterday: its last sign was {ago(state.time, now)}."
    elif before is None:
        yield "All of that is new since yesterday."
    else:
        yield f"Since yesterday at this time: {'; '.join(_changes(before, state))}."


def _changes(before: RunState, state: RunState) -> Iterator[str]:
    steps, epochs = state.step - before.step, state.epoch - before.epoch
    if steps >= 0:
        yield f"{counted(steps, 'step')} and {counted(epochs, 'epoch')} more"
    else:
        yield f"{counted(-steps, 'step')} fewer, for it was resumed from an earlier one"
    now_loss, then_loss = _judged(state), _judged(before)
    if now_loss is not None and then_loss is not None:
        yield f"the loss went from {_loss(then_loss)} to {_loss(now_loss)}{change_in_percent(then_loss, now_loss)}"
    if state.best and before.best and state.best.value < before.best.value:
        yield f"the best from {_loss(before.best.value)} to {_loss(state.best.value)}"
    elif state.best and before.best:
        yield "the best is the same"
    if state.warnings_raised > before.warnings_raised:
        yield f"{counted(state.warnings_raised - before.warnings_raised, 'new warning')}"
    if state.restarts > before.restarts:
        yield f"resumed {counted(state.restarts - before.restarts, 'time')}"
    if state.phase != before.phase:
        yield f"{before.phase} then, {phase_in_words(state)} now"


def _what_next(reading: Reading, now: float) -> Iterator[str]:
    del now
    name, state = shlex.quote(reading.folder.name), reading.state
    engine = "distill-engine"
    match state.phase:
        case "paused" if waits_for_disk(state):
            yield f"Next: it goes on by itself once its disk can be written; {engine} stop {name} ends it."
        case "paused":
            yield f"Next: {engine} resume {name} goes on; {engine} stop {name} ends it with a model."
        case "stopped":
            yield f"Next: {engine} resume {name} goes on from there{_or_generate(state)}."
        case "finished":
            yield from _after_the_end(reading, name)
        case "died" if not state.seq:
            yield f"Next: {engine} resume {name} begins it."
        case "failed" | "died":
            where = f" after step {state.last_checkpoint.step:,}" if state.last_checkpoint else " from the beginning"
            yield f"Next: {engine} resume {name} goes on{where}."
        case _:
            waits = "frees the GPU" if state.device.startswith("cuda") else "lets it wait"
            yield (
                f"Next: {engine} follow {name} shows it live; {engine} stop {name} ends it with a model, "
                f"{engine} pause {name} {waits}."
            )


def _after_the_end(reading: Reading, name: str) -> Iterator[str]:
    state = reading.state
    model = shlex.quote(_model_name(state)) if _model(state) else name
    sliders = "" if state.analysed else f"; distill-engine analyze {model} finds its sliders"
    yield f"Next: distill-engine generate {model} makes sound{sliders}."
    best, epochs = state.best, state.epoch
    if best is None or not epochs:
        return
    kind = state.verdict.kind if state.verdict else "early"
    if kind == "learning" or (kind == "early" and best.epoch > 0.9 * epochs):
        try:
            longer = f"distill-engine resume {name} {what_lets_go_on(reading.folder)}"
        except DistillError:  # of its configuration, which `resume` will tell
            return
        yield f"It was still getting better at the end: {longer} trains on."
    elif state.verdict is None and best.epoch < 0.5 * epochs:
        yield "It was best long before the end: more recordings or stronger augmentation help, more epochs don't."


def _or_generate(state: RunState) -> str:
    return f"; distill-engine generate {shlex.quote(_model_name(state))} makes sound" if _model(state) else ""


def _done(state: RunState) -> str:
    epochs = f"{_of(state.epoch, state.max_epochs, ' of ')} epochs"
    share = f" ({100 * state.step / state.total_steps:.0f} %)" if state.total_steps else ""
    return f"{epochs} and {_of(state.step, state.total_steps, ' of ')} steps{share} are done"


def _of(part: int, whole: int, between: str = "/") -> str:
    return f"{part:,}{between}{whole:,}" if whole else f"{part:,}"


def _last_words(state: RunState) -> tuple[str, str]:
    """Return how a run ended and what to do, in its own words; empty while it goes on."""
    match state.ending:
        case RunFailed(message=message, hint=hint):
            return message, hint
        case RunFinished(reason=reason) | RunStopped(reason=reason):
            return reason, ""
        case _:
            return "", ""


def best_loss(state: RunState) -> float | None:
    """Return the loss of the best epoch, None while there is none."""
    if state.best is not None:
        return state.best.value
    return state.ending.best_loss if isinstance(state.ending, RunFinished) else None


def _judged(state: RunState) -> float | None:
    """Return the loss that epochs are compared by."""
    epoch = state.last_epoch
    if epoch is None:
        return None
    return epoch.train_loss if epoch.validation_loss is None else epoch.validation_loss


def seconds_left(state: RunState, now: float) -> float | None:
    """Return what the last epoch foresaw, less what has passed since; None where nothing is foreseen or all is over."""
    epoch = state.last_epoch
    if state.phase != "training" or epoch is None:
        return None
    passed = now - epoch.time if epoch.time >= state.resumed else 0.0
    return max(0.0, epoch.seconds_left - passed)


def _model(state: RunState) -> str:
    return state.ending.model if isinstance(state.ending, RunFinished | RunStopped) else ""


def _model_name(state: RunState) -> str:
    return PurePath(_model(state)).stem


def _loss(loss: float | None) -> str:
    return "not finite" if loss is None else f"{loss:.4g}"


def latent_in_words(epoch: EpochDone) -> str:
    """Return how much of the latent is in use, such as "97 of 128 latent dimensions are active"; empty if not known."""
    if epoch.active_dimensions is None or not epoch.latent_dimensions:
        return ""
    return f"{epoch.active_dimensions:,} of {counted(epoch.latent_dimensions, 'latent dimension')} are active"


def change_in_percent(then: float, now: float) -> str:
    """Return by how much a number changed, such as ", 12 % lower"; nothing for less than half a percent."""
    change = 100 * (now - then) / then if then else 0.0
    return "" if abs(change) < 0.5 else f", {abs(change):.0f} % {'lower' if change < 0 else 'higher'}"


def ago(moment: float, now: float) -> str:
    """Return how long ago something was, as roughly as one says it."""
    seconds = now - moment
    if seconds < 60:
        return "just now"
    for unit, length, until in (("minute", 60.0, 120), ("hour", 3600.0, 48)):
        if seconds < until * length:
            return f"{counted(int(seconds / length), unit)} ago"
    return f"{counted(int(seconds / DAY), 'day')} ago"


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds") if moment else ""
