"""The draft between two visits: noted when one leaves or the link is lost, and called back at the next one."""

from __future__ import annotations

from pathlib import Path

from distill_engine import api
from distill_tui.drafts.forms import Form, with_dataset
from distill_tui.remembered import Draft


def noted(form: Form) -> Draft:
    """Return what to remember of a form. A path that isn't text can't be kept."""
    return Draft(
        dataset=_as_text(form.dataset),
        name=form.name,
        preset=form.preset,
        edits=dict(form.edits),
        model=_as_text(form.model.path if form.model else None),
    )


def recalled(draft: Draft) -> Form:
    """Return the form that was noted, with what is in its dataset now.

    A model that is gone is left out, and so is what nobody can have typed. Reads files.
    """
    form = Form(
        name=draft.name if draft.name.isprintable() else "",
        preset=draft.preset if draft.preset in api.PRESETS else Form().preset,
        edits={key: text for key, text in draft.edits.items() if key in api.declarations() and text.isprintable()},
        model=next((model for model in api.list_models() if str(model.path) == draft.model), None),
    )
    if not draft.dataset:
        return form
    folder = Path(draft.dataset)
    try:
        return with_dataset(form, folder, api.scan(folder, cache=api.cache_folder()))
    except api.DistillError:  # gone, or its disk is away: the person is told where they see it
        return with_dataset(form, folder, None)


def _as_text(path: Path | None) -> str:
    text = str(path) if path is not None else ""
    return text if text.isprintable() else ""
