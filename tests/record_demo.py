"""Record the run that `distill-tui --demo` plays anew: `python -m tests.record_demo`, six minutes.

It trains on the recordings Distill makes up, and keeps of the run what a dashboard shows: events, configuration, the
sounds of its previews as small Ogg files, and its model's header without the weights.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

import msgspec
import soundfile

from distill_engine import home
from distill_engine.client import start_run
from distill_engine.demo_recordings import write_recordings
from distill_engine.events import PreviewSaved, decode, encode
from distill_engine.run_folder import RunFolder
from distill_engine.start import Wishes, plan_run
from distill_tui.demo import DATA, RECORDED_HOME, RUN
from tests.record_runs import BEGAN, neutral, replace_everywhere, until_let_go

SETTINGS = (
    "max_epochs=200",
    "batch_size=16",
    "augmentation.copies=3",
    "warmup_steps=30",
    "learning_rate=0.0015",
    "val_fraction=0.25",
    "checkpoint_interval=15",
    "checkpoint_minutes=0.05",
    "preview_interval=40",
    "preview_recordings=2",
    "preview_samples=2",
    "preview_seconds=3",
)


def main() -> None:
    """Record it."""
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DISTILL_HOME"] = str(Path(folder) / "home")
        dataset = Path(folder) / RUN
        write_recordings(dataset)
        run = asyncio.run(_recorded(dataset))
        shutil.rmtree(DATA, ignore_errors=True)
        _keep(run)
        _keep_header(home.models_folder() / f"{RUN}.distill")


async def _recorded(dataset: Path) -> RunFolder:
    run = await start_run(plan_run(dataset, Wishes(preset="balanced", settings=SETTINGS)), RUN)
    await until_let_go(run, patience=600)
    return run


def _keep(run: RunFolder) -> None:
    kept = RunFolder(DATA / RUN)
    kept.path.mkdir(parents=True)
    kept.write_info(msgspec.structs.replace(run.info(), created=BEGAN - 5))
    shutil.copy(run.config_file, kept.path)
    events = [event for line in run.events_file.read_bytes().splitlines() if (event := decode(line)) is not None]
    shift = BEGAN - events[0].time
    told = [
        neutral(_small(event, run, kept) if isinstance(event, PreviewSaved) else event, RUN, shift) for event in events
    ]
    kept.events_file.write_bytes(b"".join(map(encode, told)))
    replace_everywhere(kept.path, {str(home.state_folder().parent): RECORDED_HOME})


def _small(preview: PreviewSaved, run: RunFolder, kept: RunFolder) -> PreviewSaved:
    """Keep a preview's sounds as Ogg files, its originals once for all previews."""
    heard = [
        msgspec.structs.replace(
            one,
            original=_ogg(run, kept, one.original, f"previews/{one.recording}-original.ogg"),
            reconstruction=_ogg(run, kept, one.reconstruction, _named_ogg(one.reconstruction)),
        )
        for one in preview.recordings
    ]
    samples = [_ogg(run, kept, one, _named_ogg(one)) for one in preview.samples]
    return msgspec.structs.replace(preview, recordings=heard, samples=samples)


def _named_ogg(path: str) -> str:
    return str(Path(path).with_suffix(".ogg"))


def _ogg(run: RunFolder, kept: RunFolder, source: str, target: str) -> str:
    path = kept.path / target
    path.parent.mkdir(parents=True, exist_ok=True)
    samples, rate = soundfile.read(run.path / source)
    soundfile.write(path, samples, rate, format="OGG", subtype="VORBIS", compression_level=0.8)
    return target


def _keep_header(model: Path) -> None:
    with model.open("rb") as file:
        length = file.read(8)
        (DATA / "model-header").write_bytes(length + file.read(int.from_bytes(length, "little")))
    (DATA / "model-size").write_text(f"{model.stat().st_size}\n")


if __name__ == "__main__":
    main()
