"""The form as rows: every field with its value, what is allowed, what the preset says, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

from distill_engine import api
from distill_tui.drafts.forms import DATASET, MODEL, NAME, PRESET, Complaint, Form, text_of

RUN_GROUP, TOP_GROUP = "run", "training"
"""The headings of what a run has besides its configuration, and of the settings that stand in no group."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """One row of the form. Its texts may hold what a person typed, so they are shown escaped and never as markup."""

    key: str
    group: str
    """The heading it stands under."""

    name: str
    text: str
    """The value, or what was typed in its place."""

    help: str
    empty: str = ""
    """What is shown where the text is empty."""

    unit: str = ""
    allowed: str = ""
    reason: str = ""
    """Why the limit is where it is, where that isn't plain."""

    preset: str = ""
    """The value that the preset came to; what `reset` gives back."""

    usual: str = ""
    """The default of all runs."""

    differs: bool = False
    """Whether the value is another than the preset's."""

    fixed: str = ""
    """Why it can't be changed; empty where it can."""

    complaint: Complaint | None = None


def fields(form: Form) -> tuple[Field, ...]:
    """Return every row of the form, in order."""
    own = (_dataset_field(form), _name_field(form), _preset_field(form), _model_field(form))
    return (*own, *(_setting_field(form, entry) for entry in api.declarations().values()))


def shown_fields(form: Form, *, search: str = "", only_differing: bool = False) -> tuple[Field, ...]:
    """Return the rows in whose name or help every word of `search` occurs, all or only those unlike the preset's.

    A row with a complaint is always among them: what keeps a run from starting is never hidden.
    """
    words = search.casefold().replace("_", " ").replace(".", " ").split()
    return tuple(
        row
        for row in fields(form)
        if row.complaint or ((row.differs or not only_differing) and all(word in _said_of(row) for word in words))
    )


def _said_of(row: Field) -> str:
    return f"{row.key} {row.name} {row.help} {row.group}".casefold().replace("_", " ").replace(".", " ")


def _dataset_field(form: Form) -> Field:
    return Field(
        key=DATASET,
        group=RUN_GROUP,
        name=DATASET,
        text=api.shown(str(form.dataset)) if form.dataset else "",
        help="The folder of recordings that the run learns from.",
        empty="none yet; enter goes to Datasets",
        allowed="a folder that was opened in Datasets",
        complaint=form.complaints.get(DATASET),
    )


def _name_field(form: Form) -> Field:
    folder = api.shown(api.folder_name(form.dataset)) if form.dataset else ""
    return Field(
        key=NAME,
        group=RUN_GROUP,
        name=NAME,
        text=form.name,
        help="What the run and its model are called; a name that is taken gets -2. Empty: as the dataset's folder.",
        empty=folder and f"as the folder: {folder}",
        allowed="up to 100 letters, digits, spaces, dots and dashes",
        preset=folder,
        usual=folder,
        differs=bool(form.name),
        complaint=form.complaints.get(NAME),
    )


def _preset_field(form: Form) -> Field:
    *others, last = api.PRESETS
    usual = Form().preset
    return Field(
        key=PRESET,
        group=RUN_GROUP,
        name=PRESET,
        text=form.preset,
        help="Where all values come from that aren't edited: auto fits them to the recordings, conservative is slow "
        "and sure, aggressive fast and free.",
        allowed=f"{', '.join(others)} or {last}",
        preset=usual,
        usual=usual,
        differs=form.preset != usual,
    )


def _model_field(form: Form) -> Field:
    return Field(
        key=MODEL,
        group=RUN_GROUP,
        name=MODEL,
        text=api.shown(form.model.name) if form.model else "",
        help="The model whose weights the run goes on from. Empty: it begins with new ones.",
        empty="none; enter chooses one",
        allowed="a model of the Library",
        differs=form.model is not None,
        complaint=form.complaints.get(MODEL),
    )


def _setting_field(form: Form, entry: api.Declaration) -> Field:
    value, preset = api.get(form.config, entry.key), api.get(form.base, entry.key)
    typed = None if entry.key in form.dictated else form.edits.get(entry.key)
    complaint = form.complaints.get(entry.key)
    return Field(
        key=entry.key,
        group=entry.group or TOP_GROUP,
        name=entry.name,
        text=text_of(value) if typed is None else typed,
        help=entry.limits.help,
        unit=entry.limits.unit,
        allowed=entry.limits.words,
        reason=entry.limits.reason,
        preset=text_of(preset),
        usual=text_of(entry.default),
        differs=value != preset or complaint is not None,
        fixed=_why_fixed(form, entry),
        complaint=complaint,
    )


def _why_fixed(form: Form, entry: api.Declaration) -> str:
    if form.model is not None and entry.key in form.dictated:
        return f"The model {api.shown(form.model.name)}, from which training goes on, has this value."
    return ""
