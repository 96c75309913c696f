"""Undo and redo: a `Draft` is the form with all that it was before. Forms share what is the same, so it stays small."""

from __future__ import annotations

from dataclasses import dataclass, replace

from distill_tui.drafts.forms import Form

MOST_STEPS_BACK = 300


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The form, and the ones it was before and may be again."""

    form: Form
    past: tuple[Form, ...] = ()
    future: tuple[Form, ...] = ()
    """What undoing took back, the nearest last."""

    typing: str = ""
    """The field whose keystrokes the latest step is made of."""


def changed(draft: Draft, form: Form, *, typing: str = "") -> Draft:
    """Return the draft after a step to `form`; keystrokes `typing` in one field are one step."""
    if form == draft.form:
        return draft
    past = draft.past if typing and typing == draft.typing else (*draft.past, draft.form)[-MOST_STEPS_BACK:]
    if past and form == past[-1]:
        return Draft(form=form, past=past[:-1])
    return Draft(form=form, past=past, typing=typing)


def settled(draft: Draft) -> Draft:
    """Return the draft after the end of typing: what is typed next is another step."""
    return replace(draft, typing="")


def taken_back(draft: Draft) -> Draft:
    """Return the draft without what was being typed, as if it never was."""
    return Draft(form=draft.past[-1], past=draft.past[:-1]) if draft.typing else draft


def undone(draft: Draft) -> Draft:
    """Return the draft a step back; the same where there is none."""
    if not draft.past:
        return draft
    return Draft(form=draft.past[-1], past=draft.past[:-1], future=(*draft.future, draft.form))


def redone(draft: Draft) -> Draft:
    """Return the draft with the last undone step taken again; the same where there is none."""
    if not draft.future:
        return draft
    return Draft(form=draft.future[-1], past=(*draft.past, draft.form), future=draft.future[:-1])


def noted(draft: Draft, form: Form) -> Draft:
    """Return the draft after `form` was saved: no step, for undoing can't take a file back.

    All forms that were of that file know it as it is now, so that none takes our own writing for another's.
    """
    file = form.file
    assert file is not None

    def up_to_date(other: Form) -> Form:
        return replace(other, file=file) if other.file and other.file.path == file.path else other

    return Draft(
        form=replace(draft.form, file=file),
        past=tuple(map(up_to_date, draft.past)),
        future=tuple(map(up_to_date, draft.future)),
    )
