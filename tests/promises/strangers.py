"""What a stranger would hand over: good files of every kind, small, to be spoiled by those who try them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill_engine import home
from distill_engine.run_folder import RunFolder
from tests.recorded_runs import RECORDINGS

MODEL = "stranger"
RUN = "strange run"

_ONCE: tuple[dict[str, Any], ...] = (
    {
        "type": "VerdictReached",
        "epoch": 1,
        "step": 3,
        "kind": "learning",
        "words": "still learning",
        "evidence": "the loss falls",
        "suggestion": "go on",
    },
    {
        "type": "OldRecordingsHeard",
        "step": 3,
        "epoch": 1,
        "recordings": 2,
        "before": 0.5,
        "after": 0.4,
        "words": "it still knows them",
    },
    {"type": "ModelAnalysed", "model": "/home/anna/a.distill", "axes": ["brightness", "axis 2"]},
)
_ORDER = (
    "RunStarted",
    "PreprocessProgress",
    "PreprocessDone",
    "StepDone",
    "StepDone",
    "SystemSample",
    "EpochDone",
    "VerdictReached",
    "CheckpointSaved",
    "PreviewSaved",
    "WarningRaised",
    "CommandAnswered",
    "RunPaused",
    "RunUnpaused",
    "RunRestarted",
    "StepDone",
    "EpochDone",
    "OldRecordingsHeard",
    "PreprocessProgress",
    "ModelAnalysed",
)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Where a trial goes on: a folder of inputs, and beside it what nobody may touch."""

    folder: Path

    @property
    def inputs(self) -> Path:
        """Where bad files are put."""
        return self.folder / "inputs"

    @property
    def outside(self) -> Path:
        """What lies about: another person's files."""
        return self.folder / "outside"


def laid_out(folder: Path) -> Ground:
    """Return a ground with an empty folder of inputs and something outside of it."""
    ground = Ground(folder=folder)
    ground.inputs.mkdir()
    (ground.outside / "below").mkdir(parents=True)
    for name in ("precious.txt", "below/step-00000001.safetensors", "below/.distill-0123456789ab.wav"):
        (ground.outside / name).write_text("precious")
    return ground


def good_run(name: str = RUN) -> RunFolder:
    """Return a run that has ended, with a log of one event of each type."""
    folder = RunFolder(home.runs_folder() / name)
    shutil.copytree(RECORDINGS / "healthy", folder.path)
    write_log(folder, good_events())
    return folder


def good_events() -> list[dict[str, Any]]:
    """Return a log of all types of events in an order that may be, as plain data."""
    known = _first_of_each()
    last = known["RunFinished"]
    told = [*(known[name] for name in _ORDER), last]
    return [{**event, "seq": seq, "time": 1_750_000_000.0 + seq} for seq, event in enumerate(told, 1)]


def write_log(folder: RunFolder, events: Sequence[object]) -> None:
    """Make the run's log hold these events."""
    folder.events_file.write_bytes(b"".join(json.dumps(event).encode() + b"\n" for event in events))


def _first_of_each() -> dict[str, dict[str, Any]]:
    found = {event["type"]: event for event in _ONCE}
    for log in sorted(RECORDINGS.glob("*/events.jsonl")):
        for line in log.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                event = json.loads(line)
                found.setdefault(event["type"], event)
    return found


def good_model(path: Path) -> bytes:
    """Write a small model with sliders; return its bytes."""
    import torch

    from distill_engine.models.model_info import Architecture, MagnitudeRange, ModelInfo, Representation
    from distill_engine.models.persistence import save_model
    from distill_engine.models.vae import ConvVAE
    from distill_engine.training.config import ComplexSpectrogramConfig
    from tests.tui.models_made import SUMMARY, axes

    spectrogram = ComplexSpectrogramConfig(n_mels=32, hop_length=1024)
    torch.manual_seed(0)
    model = ConvVAE(2, 32, spectrogram.time_frames)
    info = ModelInfo(
        id="c0ffee" + "0" * 26,
        name=MODEL,
        architecture=Architecture(latent_dim=2, n_mels=32, time_frames=spectrogram.time_frames),
        representation=Representation.of(spectrogram),
        normalisation=MagnitudeRange(magnitude_floor=-12.66, magnitude_scale=8.0),
        training=SUMMARY,
        latent_mean=(0.0, 0.0),
        latent_axes=axes(2),
    )
    save_model(path, model, info)
    return path.read_bytes()


def header_of(data: bytes) -> dict[str, Any]:
    """Return the JSON at the beginning of a safetensors file."""
    length = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    return header


def with_header(data: bytes, header: bytes) -> bytes:
    """Return the file with another header before its tensors."""
    return len(header).to_bytes(8, "little") + header + data[8 + int.from_bytes(data[:8], "little") :]
