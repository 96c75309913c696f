"""What stands beside the form: whether the run can start, what it will take, and the field one stands on in words.

Pure: toned pieces of lines, cut to a width in cells by whoever draws them.
"""

from __future__ import annotations

from collections.abc import Sequence

from distill_engine import api
from distill_tui.actions import key_of
from distill_tui.drafts import speeds
from distill_tui.drafts.form_fields import Field
from distill_tui.drafts.forms import Form
from distill_tui.format import Words, paragraph, wrapped

EDITING = "enter accepts, esc takes back, up and down go on"
_LABEL = 9


def beside(
    form: Form, row: Field | None, known: Sequence[speeds.KnownSpeed], width: int, *, editing: bool
) -> list[Words]:
    """Return the lines of the column beside the form, at most `width` cells wide where words can be broken."""
    lines = [*_state(form, width), [], *_takes(form, known, width), []]
    if row is not None:
        lines += [[(row.key, "strong")], *_about(row, width)]
    if editing:
        lines += [[], *paragraph(EDITING, width, "dim")]
    return [*lines, [], *_file(form, width)]


def below(
    form: Form, row: Field | None, known: Sequence[speeds.KnownSpeed], width: int, *, editing: bool
) -> list[Words]:
    """Return the same in six lines for a narrow screen: the state, what it takes in two, and three about the field."""
    takes = form.estimate
    lines = _state(form, width)[:1]
    if takes is None:
        lines += [[("what it takes is known when there is a dataset", "dim")], []]
    else:
        time, how = speeds.time_words(form.config, takes, known)
        lines += [
            [
                (
                    f"about {takes.training_pieces:,} pieces, {takes.steps:,} steps, "
                    f"{api.size(takes.memory_bytes)} memory, {api.size(takes.disk_bytes)} disk",
                    "",
                )
            ],
            [(f"time: {time}", ""), (f" {how}", "dim")],
        ]
    about = _about(row, width) if row is not None else []
    return [*lines, *about[:2], [(EDITING, "dim")]] if editing else [*lines, *about[:3]]


def _state(form: Form, width: int) -> list[Words]:
    problem = form.problem
    if problem is None:
        return [[("Ready", "good"), (f": {key_of('config.start')} starts the run", "")]]
    told = f"Not ready: {problem.message}"
    return paragraph(told, width, "warn")


def _takes(form: Form, known: Sequence[speeds.KnownSpeed], width: int) -> list[Words]:
    """Return the estimates, each under its name."""
    takes = form.estimate
    heading: Words = [("what it will take", "strong")]
    if takes is None:
        return [heading, *paragraph("Known as soon as there is a dataset.", width, "dim")]
    time, how = speeds.time_words(form.config, takes, known)
    return [
        heading,
        _named("pieces", f"about {takes.training_pieces:,} an epoch"),
        _named("steps", f"about {takes.steps_per_epoch:,} an epoch,"),
        _named("", f"{takes.steps:,} in all"),
        _named("weights", f"{takes.parameters:,}"),
        _named("memory", f"about {api.size(takes.memory_bytes)}"),
        _named("disk", f"about {api.size(takes.disk_bytes)} in all:"),
        _named("", f"{api.size(takes.cache_bytes)} spectrograms", "dim"),
        _named("", f"{api.size(takes.run_bytes)} run, {api.size(takes.model_bytes)} model", "dim"),
        *_hanging("time", time, width),
        *(_hanging("", how, width, "dim") if how else []),
    ]


def _about(row: Field, width: int) -> list[Words]:
    """Return the field in words, what matters most first; a complaint itself stands under the field."""
    lines: list[Words] = []
    hint = row.complaint.hint if row.complaint else ""
    if not hint.startswith(row.reason or row.help):
        lines += paragraph(hint, width, "dim")
    lines += paragraph(row.help, width)
    if row.fixed:
        lines += paragraph(row.fixed, width, "warn")
    if row.allowed:
        lines += paragraph(f"Allowed: {row.allowed}.", width, "dim")
    if row.preset or row.usual:
        lines += paragraph(f"Preset: {row.preset}. Usual: {row.usual}.", width, "dim")
    if row.reason and row.reason != row.fixed:
        lines += paragraph(row.reason, width, "dim")
    return lines


def _file(form: Form, width: int) -> list[Words]:
    if form.file is None:
        return []
    told = f"file {api.shown(str(form.file.path))}"
    return [*paragraph(told, width, "dim"), *([[("not saved since it was changed", "warn")]] if form.unsaved else [])]


def _named(name: str, words: str, tone: str = "") -> Words:
    return [(f"  {name:<{_LABEL}}", "dim"), (words, tone)]


def _hanging(name: str, words: str, width: int, tone: str = "") -> list[Words]:
    first, *more = wrapped(words, width - _LABEL - 2)
    return [_named(name, first, tone), *(_named("", line, tone) for line in more)]
