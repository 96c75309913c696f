"""What the Datasets screen says of recordings and of what a run would make of them, in toned lines. No Textual."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from distill_engine import api
from distill_tui.format import Words, paragraph, wrapped

if TYPE_CHECKING:
    from distill_tui.datasets.corpora import Known
    from distill_tui.drafts.forms import Form

SILENCE_DB = -199.0
"""Below this level there is no sound at all."""

WIDE = 70
"""Cells from which on sentences follow each other in a line; below it each begins one."""


def rates(hertz: Sequence[int]) -> str:
    """Return rates in few words, such as "44.1 kHz" and "44.1, 48 kHz"; the least and greatest of many."""
    words = [f"{rate / 1000:g}" for rate in sorted(hertz)]
    if len(words) > 2:
        return f"{words[0]} to {words[-1]} kHz"
    return f"{', '.join(words)} kHz" if words else ""


def channels(count: int) -> str:
    """Return a number of channels as one says it."""
    return {0: "", 1: "mono", 2: "stereo"}.get(count, f"{count} ch")


def level(decibels: float) -> str:
    """Return a level in dB, "silent" for none."""
    return f"{round(decibels, 1) + 0.0:.1f}" if decibels > SILENCE_DB else "silent"  # never "-0.0"


def verdict(recording: api.Recording) -> tuple[str, str]:
    """Return what is wrong with a recording, in a line, and its tone: behind an x skipped, behind a ! used."""
    if recording.problem:
        return f"x {recording.problem}", "bad"
    return ("! " + "; ".join(recording.warnings), "warn") if recording.warnings else ("", "")


def recording_lines(recording: api.Recording, width: int) -> list[Words]:
    """Return all that is known of a recording."""
    lines: list[Words] = paragraph(api.shown(recording.name), width, "strong")
    if recording.sample_rate:
        form = (f"{recording.sample_rate:,} Hz", channels(recording.channels), recording.format)
        facts = ", ".join((api.duration(recording.seconds), *form))
        levels = f"peak {level(recording.peak_db)} dB, RMS {level(recording.rms_db)} dB"
        levels = levels if recording.peak_db > SILENCE_DB else "no sound at all"
        one_line = f"{facts}, {levels}"
        lines += [[(one_line, "")]] if len(one_line) <= width else [[(facts, "")], [(levels, "")]]
    if recording.problem:
        lines += paragraph(f"Skipped: {recording.problem}", width, "bad")
    for warning in recording.warnings if recording.usable else ():
        lines += paragraph(f"Look at: {warning}", width, "warn")
    return lines


def found(scan: api.Scan) -> Words:
    """Return a scan in a line."""
    line: Words = [(f"{api.counted(len(scan.recordings), 'recording')}, {len(scan.used)} used", "")]
    if scan.skipped:
        line += [(", ", ""), (f"{len(scan.skipped)} skipped", "bad")]
    if warned := sum(bool(recording.warnings) for recording in scan.used):
        line += [(", ", ""), (f"{warned} to look at", "warn")]
    return [*line, (f", {api.duration(scan.seconds)} of sound", "")]


def use_lines(scan: api.Scan, form: Form, width: int) -> list[Words]:
    """Return what a run would make of a dataset: `form` is the draft as it would be for it."""
    lines: list[Words] = [[("A run would use", "strong"), (f"  (draft, preset {form.preset})", "dim")]]
    sentences = [*_use(scan, form)]
    told = sentences if width < WIDE else wrapped("; ".join(sentences), width)
    lines += [[(line, "")] for sentence in told for line in wrapped(sentence, width)]
    return lines + [[(line, "warn")] for note in scan.notes for line in wrapped(f"Note: {note}", width)]


def _use(scan: api.Scan, form: Form) -> Iterator[str]:
    takes = form.estimate
    if takes is None:
        yield "nothing: no file here can be trained on" if scan.recordings else _none_there(scan)
        return
    yield f"{len(scan.used)} of {api.counted(len(scan.recordings), 'recording')}, {api.duration(scan.seconds)} of sound"
    copies = form.config.augmentation.copies
    yield (
        f"{api.counted(copies, 'altered copy', 'altered copies')} of each it trains on"
        if copies
        else "no altered copies"
    )
    pieces = api.counted(takes.training_pieces, "piece")
    yield f"an epoch: about {pieces} of 1 s, {api.counted(takes.steps_per_epoch, 'step')}"
    yield f"about {api.counted(takes.steps, 'step')} in all at most"
    yield f"about {api.size(takes.memory_bytes)} of memory and {api.size(takes.disk_bytes)} of disk"


def _none_there(scan: api.Scan) -> str:
    others = (
        f"{api.counted(scan.other_files, 'file')} here, none of them named"
        if scan.other_files
        else "nothing here is named"
    )
    return f"nothing: {others} like a recording"


def corpus_lines(one: Known, *, is_gone: bool, is_next: bool, width: int, now: float) -> list[Words]:
    """Return all that is known of a folder before it is opened."""
    corpus = one.corpus
    lines: list[Words] = paragraph(api.shown(corpus.path), width, "strong")
    if is_gone:
        lines += paragraph("There is no such folder any more.", width, "bad")
    if corpus.recordings:
        skipped = corpus.recordings - corpus.usable
        words = f"{api.counted(corpus.recordings, 'recording')}" + (f", {skipped} of them skipped" if skipped else "")
        lines += paragraph(f"{words}, {api.duration(corpus.seconds)} at {rates(corpus.rates)}", width)
    elif one.looked:
        lines += paragraph("No file in it was named like a recording.", width)
    elif not is_gone:
        lines += paragraph("Not looked at yet: opening it does.", width, "dim")
    lines.append([(f"last used {api.ago(corpus.used, now)}", "")])
    if one.runs:
        names = ", ".join(api.shown(run) for run in one.runs[:6]) + (" and others" if len(one.runs) > 6 else "")
        lines += paragraph(f"{api.counted(len(one.runs), 'run')}: {names}", width)
    if is_next:
        lines.append([("The next run trains on it.", "accent")])
    return lines
