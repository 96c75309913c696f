"""What a person sets before a run, as one frozen value: `Form`, changed by pure functions; a screen only draws it.

What was edited is kept as the text that was typed, right or wrong, and all else is derived from that: values,
complaints, estimate. So nothing typed is ever lost or replaced behind one's back, and a preset or a dataset may change
below the edits.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from distill_engine import api
from distill_tui.drafts import stepping

DATASET, NAME, PRESET, MODEL = "dataset", "name", "preset", "model"
"""The keys of what a run has besides its configuration; no setting is called so."""


@dataclass(frozen=True, kw_only=True)
class Complaint:
    """What is wrong with a field, and what to do about it."""

    key: str
    message: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Form:
    """All that is set about the next run."""

    dataset: Path | None = None
    scan: api.Scan | None = None
    """What is in the dataset; None while that isn't known."""

    is_gone: bool = False
    """Whether the dataset's folder isn't there, as far as was looked; said by who shows a form, never kept in one."""

    name: str = ""
    """What the run is to be called; empty for the name of the dataset."""

    preset: str = "auto"
    edits: Mapping[str, str] = field(default_factory=dict)
    """What was typed, by the setting's dotted key, the latest edit last."""

    model: api.LibraryEntry | None = None
    """The model whose weights the run goes on from."""

    file: api.SettingsFile | None = None
    """The file that it was loaded from or saved to, as it was then."""

    @functools.cached_property
    def base(self) -> api.TrainingConfig:
        """What the preset came to for the dataset."""
        if self.scan is None or not self.scan.used:
            return api.unfitted_preset(self.preset)
        return api.preset_config(self.preset, self.scan.seconds, len(self.scan.used))

    @functools.cached_property
    def dictated(self) -> Mapping[str, api.Value]:
        """Settings that the model to go on from has, whatever was typed."""
        usable = self.model is not None and self.model.info is not None
        return api.dictated_by(self.model) if self.model is not None and usable else {}

    @property
    def config(self) -> api.TrainingConfig:
        """The configuration; fields with a complaint have the preset's value in it."""
        return self._checked.config

    @property
    def complaints(self) -> Mapping[str, Complaint]:
        """What is wrong, by field."""
        return self._checked.complaints

    @functools.cached_property
    def estimate(self) -> api.Estimate | None:
        """What the run will take; None while there is nothing to train on."""
        if self.scan is None or not self.scan.used:
            return None
        return api.estimate_for(self.config, self.scan)

    @property
    def problem(self) -> Complaint | None:
        """The first thing that keeps the run from starting; None where it can start."""
        order = (DATASET, NAME, PRESET, MODEL, *api.declarations())
        return next((self.complaints[key] for key in order if key in self.complaints), None)

    @property
    def unsaved(self) -> bool:
        """Whether the file it was loaded from would give another configuration."""
        return self.file is not None and self._as_in_file != self.config

    @functools.cached_property
    def _as_in_file(self) -> api.TrainingConfig | None:
        assert self.file is not None
        return replace(self, edits=texts_of(self.file.values), file=None).config

    @functools.cached_property
    def _checked(self) -> _Checked:
        return _check(self)


@dataclass(frozen=True, kw_only=True)
class _Checked:
    config: api.TrainingConfig
    complaints: Mapping[str, Complaint]


def with_dataset(form: Form, folder: Path, scan: api.Scan | None) -> Form:
    """Return the form for another dataset: the preset is fitted anew, what was edited stays."""
    return replace(form, dataset=folder, scan=scan)


def with_preset(form: Form, preset: str) -> Form:
    """Return the form with another preset below what was edited."""
    return replace(form, preset=preset)


def with_model(form: Form, model: api.LibraryEntry | None) -> Form:
    """Return the form for a run that goes on from a model, or from none."""
    return replace(form, model=model)


def with_text(form: Form, key: str, text: str) -> Form:
    """Return the form with `text` typed as the name or in a setting; a setting that is fixed stays as it is.

    A text that comes to the preset's own value is no edit.
    """
    if key == NAME:
        return replace(form, name=text)
    if key in form.dictated:
        return form
    edits = {other: typed for other, typed in form.edits.items() if other != key}
    if _value(key, text) != api.get(form.base, key):
        edits[key] = text
    return replace(form, edits=edits)


def stepped(form: Form, key: str, direction: stepping.Direction) -> Form:
    """Return the form with the next (1) or previous (-1) sensible value of a preset or a setting."""
    if key == PRESET:
        place = api.PRESETS.index(form.preset) + direction
        return with_preset(form, api.PRESETS[place % len(api.PRESETS)])
    if key in (DATASET, NAME, MODEL):
        return form
    value = api.get(form.config, key)
    return with_text(form, key, text_of(stepping.stepped(api.declarations()[key], value, direction)))


def reset(form: Form, key: str) -> Form:
    """Return the form with a field as the preset has it: no edit, no name, no model, the preset `auto`."""
    match key:
        case "name":
            return replace(form, name="")
        case "preset":
            return replace(form, preset=Form().preset)
        case "model":
            return replace(form, model=None)
    return replace(form, edits={other: text for other, text in form.edits.items() if other != key})


def reset_all(form: Form) -> Form:
    """Return the form with every setting as the preset has it."""
    return replace(form, edits={})


def text_of(value: api.Value) -> str:
    """Return a value as one would type it; reading it again gives exactly the value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def texts_of(values: Mapping[str, api.Value]) -> Mapping[str, str]:
    """Return values as one would type them."""
    return {key: text_of(value) for key, value in values.items()}


def wishes(form: Form) -> api.Wishes:
    """Return what to ask of `plan_run` for a run exactly as the form shows it, even where its folder just changed."""
    config = form.config
    return api.Wishes(
        preset=form.preset,
        settings=tuple(f"{key}={text_of(api.get(config, key))}" for key in api.declarations()),
        start_from=str(form.model.path) if form.model else "",
    )


def _check(form: Form) -> _Checked:
    """Lay what was typed over the preset; what can't be laid is complained of and left aside."""
    dictated = form.dictated
    values: dict[str, api.Value] = {}
    complaints = {complaint.key: complaint for complaint in _own_complaints(form)}
    for key, text in form.edits.items():
        if key in dictated:
            continue
        try:
            values[key] = api.checked_value(key, api.parse_value(api.declarations()[key], text))
        except api.ConfigError as error:
            complaints[key] = Complaint(key=key, message=error.message, hint=error.hint)
    while True:
        try:
            return _Checked(config=api.replaced(form.base, {**dictated, **values}), complaints=complaints)
        except api.ConfigError as error:
            # Fields that contradict each other: the one edited last is at fault, and none of them counts.
            concerned = [key for key in values if key in (error.key, *error.also)]
            if not concerned and form.model is not None and dictated:
                complaints[MODEL], dictated = _model_complaint(form.model, error.message), {}
                continue
            complaints[concerned[-1]] = Complaint(key=concerned[-1], message=error.message, hint=error.hint)
            values = {key: value for key, value in values.items() if key not in concerned}


def _own_complaints(form: Form) -> Iterator[Complaint]:
    if form.dataset is None:
        yield Complaint(key=DATASET, message="no dataset is chosen", hint="choose one in Datasets")
    elif form.is_gone:
        message = "the dataset's folder isn't there any more"
        yield Complaint(key=DATASET, message=message, hint="was it moved, or is its disk away?")
    elif form.scan is None:
        yield Complaint(key=DATASET, message="the dataset has not been looked at yet", hint="open it in Datasets")
    elif not form.scan.used:
        yield Complaint(key=DATASET, message="nothing in the dataset can be trained on", hint="Datasets says why")
    if form.name:
        try:
            api.checked_name(form.name)
        except api.DistillError as error:
            yield Complaint(key=NAME, message=api.shown(error.message), hint=error.hint)
    if form.model is not None and form.model.info is None:
        yield _model_complaint(form.model, form.model.problem)


def _model_complaint(model: api.LibraryEntry, why: str) -> Complaint:
    message = f"training can't go on from {api.shown(model.name)}: {api.shown(why)}"
    return Complaint(key=MODEL, message=message, hint="choose another in Library")


def _value(key: str, text: str) -> api.Value | None:
    """Return what `text` comes to, None where it can't be the setting's."""
    try:
        return api.checked_value(key, api.parse_value(api.declarations()[key], text))
    except api.ConfigError:
        return None
