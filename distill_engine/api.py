"""The one door for front ends: all they may use of the engine, each name loaded on first use, none of it with torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distill_engine.atomic import write_bytes
    from distill_engine.audio.io import WRITABLE_FORMATS, looks_like_recording
    from distill_engine.audio.pictures import MelPicture, WaveformPicture, mel_picture, waveform_picture
    from distill_engine.audio.tags import SoundTags, read_tags
    from distill_engine.catalogue import axes_in_words
    from distill_engine.client import command, follow, start_run, start_worker
    from distill_engine.corpus_additions import add_to_corpus
    from distill_engine.datasets import Recording, Scan, check_unchanged, scan
    from distill_engine.demo_recordings import write_recordings
    from distill_engine.errors import ConfigError, DistillError, NotFoundError, StopRequestedError
    from distill_engine.events import (
        AnyCommand,
        Checkpoint,
        CommandAnswered,
        EpochDone,
        GpuSample,
        HeardRecording,
        Pause,
        PreprocessProgress,
        Preview,
        PreviewSaved,
        RunFailed,
        RunFinished,
        RunPaused,
        RunRestarted,
        RunStopped,
        StepDone,
        Stop,
        StopNow,
        SystemSample,
        Unpause,
    )
    from distill_engine.generation_limits import (
        LARGEST_SEED,
        LONGEST_SECONDS,
        MOST_SOUNDS,
        SHORTEST_SECONDS,
        USUAL_EVOLUTION,
    )
    from distill_engine.going_on import what_lets_go_on
    from distill_engine.home import cache_folder, config_folder, data_folder, models_folder, runs_folder, state_folder
    from distill_engine.library import LibraryEntry, delete, export, export_target, import_model, list_models, rename
    from distill_engine.login_manager import login_manager_ends_processes
    from distill_engine.models.model_info import ModelInfo
    from distill_engine.names import checked_name, folder_name
    from distill_engine.replay import read_recorded, write_beginning
    from distill_engine.run_epochs import RunEpochs, run_epochs
    from distill_engine.run_folder import RunFolder, RunInfo, find, list_runs
    from distill_engine.run_history import History, Table
    from distill_engine.run_lock import lock_holder, open_lock
    from distill_engine.run_reading import Reading, glance, outline, unreadable
    from distill_engine.run_removal import remove_run, size_of_run
    from distill_engine.run_state import RunState, fold, waits_for_disk
    from distill_engine.run_words import ago, best_loss, change_in_percent, phase_in_words, seconds_left, when_in_words
    from distill_engine.service_client import Service
    from distill_engine.service_messages import (
        AugmentedPictures,
        Compare,
        Explore,
        Generate,
        Generated,
        Progress,
        Steering,
    )
    from distill_engine.slider_presets import SliderPreset, delete_preset, load_presets, save_preset
    from distill_engine.small_files import LARGE, UNREADABLE, read_small
    from distill_engine.start import Plan, Wishes, dictated_by, estimate_for, plan_run, prepare_to_resume
    from distill_engine.training.config import (
        Declaration,
        TrainingConfig,
        Value,
        checked_value,
        declarations,
        get,
        replaced,
    )
    from distill_engine.training.config_file import (
        SettingsFile,
        is_as_read,
        leaves,
        load_config,
        parse_value,
        read_settings,
        save_config,
    )
    from distill_engine.training.estimate import Estimate
    from distill_engine.training.presets import PRESETS, preset_config, unfitted_preset
    from distill_engine.words import cells, counted, cut, duration, shown, size

_ROOMS = {
    "atomic": ("write_bytes",),
    "audio.io": ("WRITABLE_FORMATS", "looks_like_recording"),
    "audio.pictures": ("MelPicture", "WaveformPicture", "mel_picture", "waveform_picture"),
    "audio.tags": ("SoundTags", "read_tags"),
    "catalogue": ("axes_in_words",),
    "client": ("command", "follow", "start_run", "start_worker"),
    "corpus_additions": ("add_to_corpus",),
    "datasets": ("Recording", "Scan", "check_unchanged", "scan"),
    "demo_recordings": ("write_recordings",),
    "errors": ("ConfigError", "DistillError", "NotFoundError", "StopRequestedError"),
    "events": (
        "AnyCommand",
        "Checkpoint",
        "CommandAnswered",
        "EpochDone",
        "GpuSample",
        "HeardRecording",
        "Pause",
        "PreprocessProgress",
        "Preview",
        "PreviewSaved",
        "RunFailed",
        "RunFinished",
        "RunPaused",
        "RunRestarted",
        "RunStopped",
        "StepDone",
        "Stop",
        "StopNow",
        "SystemSample",
        "Unpause",
    ),
    "generation_limits": ("LARGEST_SEED", "LONGEST_SECONDS", "MOST_SOUNDS", "SHORTEST_SECONDS", "USUAL_EVOLUTION"),
    "going_on": ("what_lets_go_on",),
    "home": ("cache_folder", "config_folder", "data_folder", "models_folder", "runs_folder", "state_folder"),
    "library": ("LibraryEntry", "delete", "export", "export_target", "import_model", "list_models", "rename"),
    "login_manager": ("login_manager_ends_processes",),
    "models.model_info": ("ModelInfo",),
    "names": ("checked_name", "folder_name"),
    "replay": ("read_recorded", "write_beginning"),
    "run_epochs": ("RunEpochs", "run_epochs"),
    "run_folder": ("RunFolder", "RunInfo", "find", "list_runs"),
    "run_history": ("History", "Table"),
    "run_lock": ("lock_holder", "open_lock"),
    "run_reading": ("Reading", "glance", "outline", "unreadable"),
    "run_removal": ("remove_run", "size_of_run"),
    "run_state": ("RunState", "fold", "waits_for_disk"),
    "run_words": ("ago", "best_loss", "change_in_percent", "phase_in_words", "seconds_left", "when_in_words"),
    "service_client": ("Service",),
    "service_messages": ("AugmentedPictures", "Compare", "Explore", "Generate", "Generated", "Progress", "Steering"),
    "slider_presets": ("SliderPreset", "delete_preset", "load_presets", "save_preset"),
    "small_files": ("LARGE", "UNREADABLE", "read_small"),
    "start": ("Plan", "Wishes", "dictated_by", "estimate_for", "plan_run", "prepare_to_resume"),
    "training.config": ("Declaration", "TrainingConfig", "Value", "checked_value", "declarations", "get", "replaced"),
    "training.config_file": (
        "SettingsFile",
        "is_as_read",
        "leaves",
        "load_config",
        "parse_value",
        "read_settings",
        "save_config",
    ),
    "training.estimate": ("Estimate",),
    "training.presets": ("PRESETS", "preset_config", "unfitted_preset"),
    "words": ("cells", "counted", "cut", "duration", "shown", "size"),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}

# Written out, though the table has the names too: mypy lets others import only what stands here.
__all__ = [
    "LARGE",
    "LARGEST_SEED",
    "LONGEST_SECONDS",
    "MOST_SOUNDS",
    "PRESETS",
    "SHORTEST_SECONDS",
    "UNREADABLE",
    "USUAL_EVOLUTION",
    "WRITABLE_FORMATS",
    "AnyCommand",
    "AugmentedPictures",
    "Checkpoint",
    "CommandAnswered",
    "Compare",
    "ConfigError",
    "Declaration",
    "DistillError",
    "EpochDone",
    "Estimate",
    "Explore",
    "Generate",
    "Generated",
    "GpuSample",
    "HeardRecording",
    "History",
    "LibraryEntry",
    "MelPicture",
    "ModelInfo",
    "NotFoundError",
    "Pause",
    "Plan",
    "PreprocessProgress",
    "Preview",
    "PreviewSaved",
    "Progress",
    "Reading",
    "Recording",
    "RunEpochs",
    "RunFailed",
    "RunFinished",
    "RunFolder",
    "RunInfo",
    "RunPaused",
    "RunRestarted",
    "RunState",
    "RunStopped",
    "Scan",
    "Service",
    "SettingsFile",
    "SliderPreset",
    "SoundTags",
    "Steering",
    "StepDone",
    "Stop",
    "StopNow",
    "StopRequestedError",
    "SystemSample",
    "Table",
    "TrainingConfig",
    "Unpause",
    "Value",
    "WaveformPicture",
    "Wishes",
    "add_to_corpus",
    "ago",
    "axes_in_words",
    "best_loss",
    "cache_folder",
    "cells",
    "change_in_percent",
    "check_unchanged",
    "checked_name",
    "checked_value",
    "command",
    "config_folder",
    "counted",
    "cut",
    "data_folder",
    "declarations",
    "delete",
    "delete_preset",
    "dictated_by",
    "duration",
    "estimate_for",
    "export",
    "export_target",
    "find",
    "fold",
    "folder_name",
    "follow",
    "get",
    "glance",
    "import_model",
    "is_as_read",
    "leaves",
    "list_models",
    "list_runs",
    "load_config",
    "load_presets",
    "lock_holder",
    "login_manager_ends_processes",
    "looks_like_recording",
    "mel_picture",
    "models_folder",
    "open_lock",
    "outline",
    "parse_value",
    "phase_in_words",
    "plan_run",
    "prepare_to_resume",
    "preset_config",
    "read_recorded",
    "read_settings",
    "read_small",
    "read_tags",
    "remove_run",
    "rename",
    "replaced",
    "run_epochs",
    "runs_folder",
    "save_config",
    "save_preset",
    "scan",
    "seconds_left",
    "shown",
    "size",
    "size_of_run",
    "start_run",
    "start_worker",
    "state_folder",
    "unfitted_preset",
    "unreadable",
    "waits_for_disk",
    "waveform_picture",
    "what_lets_go_on",
    "when_in_words",
    "write_beginning",
    "write_bytes",
    "write_recordings",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"distill_engine.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
