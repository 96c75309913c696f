"""Begin a run: from a folder and some settings to a run folder that a worker can take over, without torch."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from distill_engine import home, run_folder
from distill_engine.datasets import Scan, describe, plain_data, scan
from distill_engine.errors import ConfigError, DatasetError, DistillError, ModelFileError, UsageError
from distill_engine.event_log import last_event
from distill_engine.events import RunFinished
from distill_engine.going_on import lets_go_on
from distill_engine.library import LibraryEntry, find_model
from distill_engine.names import checked_name, folder_name, name_from
from distill_engine.run_folder import RunFolder, RunInfo, refuse_links
from distill_engine.run_lock import RunLock
from distill_engine.split import split_recordings
from distill_engine.training.batch_fit import fitted
from distill_engine.training.config import TrainingConfig, Value, declarations, get, replaced
from distill_engine.training.config_file import apply_settings, load_config, save_config
from distill_engine.training.estimate import Estimate, estimate
from distill_engine.training.presets import preset_config
from distill_engine.versions import versions
from distill_engine.words import counted, shown, size


@dataclass(frozen=True, kw_only=True)
class FixedSettings:
    """Settings that stay what they are for the whole of a run: those named, and all in the groups named."""

    keys: frozenset[str] = frozenset()
    groups: tuple[str, ...] = ()
    reason: str
    instead: str

    def hold(self, key: str) -> bool:
        """Tell whether a setting is one of them."""
        return key in self.keys or key.startswith(tuple(f"{group}." for group in self.groups))


_ANOTHER_RUN = "distill-engine train with --from goes on from the run's model in a new run, with other settings"

FIXED_WITHIN_A_RUN = (
    FixedSettings(
        keys=frozenset({"latent_dim"}),
        groups=("complex_spectrogram",),
        reason="another one would make another model",
        instead="distill-engine train begins a new run with it",
    ),
    FixedSettings(
        keys=frozenset({"seed", "val_fraction", "num_processes", "batch_size"}),
        groups=("augmentation",),
        reason="it decides what an epoch consists of, and the run may stand in the middle of one",
        instead=_ANOTHER_RUN,
    ),
    FixedSettings(
        groups=("loss",),
        reason="the best epoch is found by comparing losses, and these would no longer compare",
        instead=_ANOTHER_RUN,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a person asked for: a preset, laid over it a file, over that settings; and a model to go on from."""

    preset: str = "auto"
    config_file: Path | None = None
    settings: Sequence[str] = ()
    start_from: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would be: nothing of it is on disk yet."""

    scan: Scan
    preset: str
    config: TrainingConfig
    estimate: Estimate
    start_from: LibraryEntry | None


def plan_run(
    dataset: Path,
    wishes: Wishes,
    *,
    on_progress: Callable[[int, int, str], None] = lambda _done, _total, _name: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Plan:
    """Scan `dataset` and work out what a run on it would be.

    Raises:
        ConfigError: the settings can't be used.
        DatasetError: the folder can't be listed, or nothing in it can be trained on.
        UsageError: the folder's path, or the model's, isn't text.
        NotFoundError: there is no model of the name to go on from.
        StopRequestedError: as `should_stop` asked.
    """
    _laid_over(TrainingConfig(), wishes)  # a wrong setting is told before a long scan, not after
    model = find_model(wishes.start_from) if wishes.start_from else None
    for path in (dataset, *([model.path] if model else [])):
        _check_name_is_text(path.resolve())
    found = scan(dataset, cache=home.cache_folder(), on_progress=on_progress, should_stop=should_stop)
    if not found.used:
        raise DatasetError(*_nothing_to_train_on(found))
    config = preset_config(wishes.preset, found.seconds, len(found.used))
    config = fitted(_laid_over(config, wishes) if model is None else _laid_over_model(model, config, wishes))
    return Plan(
        scan=found,
        preset=wishes.preset,
        config=config,
        estimate=estimate_for(config, found),
        start_from=model,
    )


def estimate_for(config: TrainingConfig, found: Scan) -> Estimate:
    """Return what a run with `config` takes on what was found, of which something must be usable."""
    config = fitted(config)
    training, _ = split_recordings(found.used, config.seed, config.val_fraction)
    return estimate(config, found.seconds, len(found.used), [recording.seconds for recording in training])


def new_run(plan: Plan, name: str | None = None) -> RunFolder:
    """Make the plan's run folder, ready for a worker; without a name it gets the dataset's.

    Raises:
        UsageError: the name can't be one.
        DistillError: the folder can't be written; nothing of it is left.
    """
    dataset = plan.scan.folder.resolve()
    folder = run_folder.create(name_from(shown(folder_name(dataset))) if name is None else checked_name(name))
    try:
        _fill(folder, plan, dataset)
    except BaseException as error:
        shutil.rmtree(folder.path, ignore_errors=True)
        if isinstance(error, OSError):
            raise DistillError(f"{folder.path} can't be written: {error.strerror}", "see DISTILL_HOME") from None
        raise
    return folder


def _fill(folder: RunFolder, plan: Plan, dataset: Path) -> None:
    save_config(folder.config_file, plan.config)
    folder.write_info(
        RunInfo(
            id=run_folder.new_id(),
            name=folder.name,
            dataset=str(dataset),
            created=time.time(),
            preset=plan.preset,
            seed=plan.config.seed,
            start_from=str(plan.start_from.path.resolve()) if plan.start_from else "",
            versions=versions(),
        )
    )


def prepare_to_resume(folder: RunFolder, settings: Sequence[str]) -> bool:
    """Lay `settings` over the run's own copy of its configuration; return False where there is nothing left to do.

    Raises:
        ConfigError: a setting can't be used, or can't change within a run.
        DistillError: another process is training it, or its folder is gone or can't be used.
    """
    try:
        with RunLock(folder):
            refuse_links(folder)
            return _prepare_to_resume(folder, settings)
    except OSError as error:
        gone = not folder.path.exists()
        reason = "its folder is gone" if gone else f"its folder can't be used: {error.strerror}"
        raise DistillError(f"run {shown(folder.name)} can't go on: {reason}", shown(str(folder.path))) from None


def _prepare_to_resume(folder: RunFolder, settings: Sequence[str]) -> bool:
    config = load_config(folder.config_file, TrainingConfig())
    changed = apply_settings(config, settings)
    _refuse_what_is_fixed(config, changed)
    last = last_event(folder)
    if isinstance(last, RunFinished) and not lets_go_on(last, config, changed):
        return False
    if changed != config:
        save_config(folder.config_file, changed)
    return True


def _refuse_what_is_fixed(config: TrainingConfig, changed: TrainingConfig) -> None:
    for key in declarations():
        if get(changed, key) == get(config, key):
            continue
        for fixed in FIXED_WITHIN_A_RUN:
            if fixed.hold(key):
                raise ConfigError(f"{key} can't change within a run: {fixed.reason}", fixed.instead, key)


def describe_plan(plan: Plan) -> str:
    """Return a plan in words, several lines: what there is, what the preset came to, its steps and memory."""
    takes, config = plan.estimate, plan.config
    usual = TrainingConfig()
    chosen = [key for key in declarations() if get(config, key) != get(usual, key)]
    lines = [describe(plan.scan), "", f"The preset {plan.preset} came to the usual settings, and"]
    lines += [f"  {key} = {get(config, key)}" for key in chosen]
    lines += [
        "",
        f"about {counted(takes.training_pieces, 'piece')} and {counted(takes.steps_per_epoch, 'step')} an epoch, "
        f"about {counted(takes.steps, 'step')} in {counted(config.max_epochs, 'epoch')}",
        f"about {size(takes.memory_bytes)} of memory, {takes.parameters:,} weights",
    ]
    return "\n".join(lines)


def plan_data(plan: Plan) -> dict[str, object]:
    """Return a plan as data for JSON."""
    return {
        "scan": plain_data(plan.scan),
        "preset": plan.preset,
        "config": {key: get(plan.config, key) for key in declarations()},
        "estimate": dataclasses.asdict(plan.estimate),
    }


def _check_name_is_text(path: Path) -> None:
    """Refuse a path that a run couldn't tell where it is: what a run writes is JSON, in UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"the path {shown(str(path))} isn't text in UTF-8, so a run can't keep it",
            "give the folder or file a name that is",
        ) from None


def _laid_over(config: TrainingConfig, wishes: Wishes) -> TrainingConfig:
    if wishes.config_file is not None:
        config = load_config(wishes.config_file, config)
    return apply_settings(config, wishes.settings)


def _laid_over_model(model: LibraryEntry, config: TrainingConfig, wishes: Wishes) -> TrainingConfig:
    """Take over what the model's weights dictate, the size of its latent space and its spectrogram, then the wishes.

    Raises:
        ConfigError: a wish is for something else than the weights dictate.
        ModelFileError: the file can't be used.
    """
    dictated = dictated_by(model)
    wished = _laid_over(replaced(config, dictated), wishes)
    for key, value in dictated.items():
        if get(wished, key) != value:
            raise ConfigError(
                f"{key} is {get(wished, key)}, but the model {shown(model.name)} has {value}",
                "leave it out: what goes on from a model keeps the model's own",
                key,
            )
    return wished


def dictated_by(model: LibraryEntry) -> dict[str, Value]:
    """Return the settings, dotted key to value, that a run has to have which goes on from the weights of `model`.

    Raises:
        ModelFileError: the file can't be used.
    """
    if model.info is None:
        raise ModelFileError(f"training can't go on from {shown(model.name)}: {model.problem}")
    spectrogram = model.info.representation.config()
    return {
        "latent_dim": model.info.architecture.latent_dim,
        "complex_spectrogram.n_fft": spectrogram.n_fft,
        "complex_spectrogram.hop_length": spectrogram.hop_length,
        "complex_spectrogram.n_mels": spectrogram.n_mels,
        "complex_spectrogram.if_masking_threshold": spectrogram.if_masking_threshold,
    }


def _nothing_to_train_on(found: Scan) -> tuple[str, str]:
    folder = shown(str(found.folder))
    if not found.recordings:
        return f"there are no recordings in {folder}", "WAV, AIFF, FLAC, Ogg, Opus and MP3 files are looked for"
    reasons = [f"{shown(one.name)}: {one.problem}" for one in found.skipped]
    if len(reasons) == 1:
        return f"the only recording in {folder} can't be trained on", reasons[0]
    more = f"\n… and {len(reasons) - 10} more" if len(reasons) > 10 else ""
    return f"none of the {len(reasons)} recordings in {folder} can be trained on", "\n".join(reasons[:10]) + more
