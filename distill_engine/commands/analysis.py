"""The command that finds a model's latent axes: the sliders by which its sound is steered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from distill_engine.commands.shared import as_json_option, say, tell, tell_data
from distill_engine.errors import DatasetError, ModelFileError, NotFoundError, UsageError
from distill_engine.words import shown

if TYPE_CHECKING:
    from distill_engine.models.model_info import ModelInfo
    from distill_engine.training.config import TrainingConfig


@click.command()
@click.argument("name", metavar="MODEL")
@click.option(
    "--recordings",
    type=click.Path(path_type=Path),
    help="The folder it was trained on.  [default: as its run says]",
)
@as_json_option
def analyze(name: str, recordings: Path | None, as_json: bool) -> None:
    """Find what steers MODEL: its sliders, and how far each may go.

    The recordings it was trained on are encoded, sounds are drawn, listened to and measured. What is found is kept in
    the model's file, in place of what was there; its weights stay as they are.
    """
    from distill_engine import library

    entry = library.find_model(name)
    if entry.info is None:
        raise ModelFileError(f"{shown(entry.name)} can't be used: {entry.problem}")
    info = _analysed(entry.path, *_material(entry.name, entry.info, recordings))
    if entry.info.latent_axes not in ((), info.latent_axes):
        _warn_of_presets(info.id)
    if as_json:
        tell_data(info.latent_axes)
        return
    from distill_engine import catalogue

    tell(catalogue.axes_table(info.latent_axes))


def _warn_of_presets(model_id: str) -> None:
    """Say which presets hold values of sliders that were others until now."""
    from distill_engine.slider_presets import steered_presets

    if moved := steered_presets(model_id):
        say(f"the sliders have changed, so presets may sound otherwise: {', '.join(map(shown, moved))}")


def _material(model: str, info: ModelInfo, recordings: Path | None) -> tuple[Path, TrainingConfig]:
    """Return the folder of recordings, and the settings that say which of them were trained on."""
    from distill_engine import run_folder
    from distill_engine.training.config import TrainingConfig, replaced
    from distill_engine.training.config_file import load_config

    if recordings is not None:
        return recordings, replaced(TrainingConfig(), {"val_fraction": 0.0})
    try:
        run = run_folder.find(info.id)
        folder = Path(run.info().dataset)
    except NotFoundError:
        raise UsageError(*_untold(model, info, "its run is gone")) from None
    if not folder.is_dir():
        raise UsageError(*_untold(model, info, f"{shown(str(folder))} is gone"))
    return folder, load_config(run.config_file, TrainingConfig())


def _untold(model: str, info: ModelInfo, why: str) -> tuple[str, str]:
    called = f"; it was called {shown(info.training.dataset)} then" if info.training.dataset else ""
    return (
        f"what {shown(model)} was trained on isn't known here: {why}",
        f"--recordings FOLDER names the folder{called}",
    )


def _analysed(model: Path, folder: Path, config: TrainingConfig) -> ModelInfo:
    """Scan, encode and listen, showing how far it is."""
    from distill_engine import datasets, home
    from distill_engine.console import drawn_progress

    with drawn_progress("scanning") as on_progress:
        found = datasets.scan(folder, cache=home.cache_folder(), on_progress=on_progress)
    if not found.used:
        raise DatasetError(f"nothing in {shown(str(folder))} can be encoded", f"see distill-engine scan {folder}")
    from distill_engine.axes import give_axes

    say("encoding the recordings, then listening to a thousand sounds: a minute or two on two cores")
    with drawn_progress("analysing") as on_progress:
        return give_axes(model, found, config, on_progress=on_progress)
