"""Make the recorded runs in `tests/recordings` anew, from real ones: `python -m tests.record_runs`, half a minute.

Each is a run folder with what readers need: `run.json`, `config.toml` and `events.jsonl`. A worker trains on recordings
made for the purpose; then host, process ids, paths and times are replaced, so that nothing of this machine is kept and
all recorded runs seem to have begun at one moment. The long one isn't kept at all: `recorded_runs` makes it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from distill_engine import home
from distill_engine.audio.cache import HEADER_BYTES
from distill_engine.client import Events, command, follow, start_run, start_worker
from distill_engine.events import (
    AnyCommand,
    AnyEvent,
    Checkpoint,
    CheckpointSaved,
    EpochDone,
    Event,
    Pause,
    Preview,
    RunRestarted,
    RunStarted,
    StepDone,
    Stop,
    Unpause,
    decode,
    encode,
)
from distill_engine.run_folder import RunFolder
from distill_engine.run_lock import lock_holder
from distill_engine.start import Wishes, plan_run
from distill_engine.training.config import Value
from tests.engine.recordings import cut, good
from tests.engine.runs import SMALL, write_dataset
from tests.recorded_runs import RECORDINGS

BEGAN = 1_750_000_000.0
PERSON = "anna@box"
HOME = "/home/anna/distill"
PATIENCE = 120.0

HEALTHY: dict[str, Value] = {
    "max_epochs": 15,
    "batch_size": 4,
    "complex_spectrogram.n_mels": 64,
    "preview_interval": 5,
    "preview_recordings": 1,
    "preview_samples": 1,
    "preview_seconds": 1.0,
    "checkpoint_interval": 3,
}


def main() -> None:
    """Record all runs."""
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DISTILL_HOME"] = str(Path(folder) / "home")
        asyncio.run(_record(_dataset(Path(folder) / "strings")))


async def _record(dataset: Path) -> None:
    healthy = await _begun(dataset, "healthy", HEALTHY)
    await until_let_go(healthy)
    _keep(healthy)
    _keep_as_newer(RunFolder(RECORDINGS / "healthy"))

    stopped = await _begun(dataset, "stopped", HEALTHY | {"max_epochs": 10_000})
    await _until(stopped, EpochDone)
    for kind in (Checkpoint, Preview, Pause, Checkpoint, Unpause, Stop):
        await _order(stopped, kind)
    await until_let_go(stopped)
    _keep(stopped)

    restarted = await _begun(dataset, "restarted", HEALTHY)
    await _until(restarted, CheckpointSaved)
    await _until(restarted, StepDone, more=3)
    os.kill(_worker(restarted), signal.SIGKILL)
    await until_let_go(restarted)
    _keep(restarted, name="killed", torn=100)
    os.truncate(restarted.events_file, restarted.events_file.stat().st_size - 100)
    await start_worker(restarted)
    await until_let_go(restarted)
    _keep(restarted)

    diverged = await _begun(dataset, "diverged", HEALTHY | {"max_epochs": 10_000})
    await _until(diverged, CheckpointSaved)
    _spoil_spectrograms()
    await until_let_go(diverged)
    _keep(diverged)


def _dataset(folder: Path) -> Path:
    """Write recordings, one of which is broken."""
    folder.mkdir()
    write_dataset(folder, 6)
    cut(good(folder / "torn.wav"), share=0.5)
    return folder


async def _begun(dataset: Path, name: str, changes: Mapping[str, Value]) -> RunFolder:
    settings = [f"{key}={value}" for key, value in {**SMALL, **changes}.items()]
    return await start_run(plan_run(dataset, Wishes(preset="balanced", settings=settings)), name)


async def _until(run: RunFolder, kind: type[AnyEvent], more: int = 1) -> None:
    """Wait until the run has told so many more events of a kind."""
    async with asyncio.timeout(PATIENCE), follow(run, after=_last_seq(run)) as queue:
        while more > 0:
            more -= sum(isinstance(event, kind) for event in await _batch(queue))


async def _batch(queue: Events) -> list[AnyEvent]:
    batch = await queue.get()
    if batch is None:
        raise RuntimeError("the run ended too soon")
    return batch


async def _order(run: RunFolder, kind: type[AnyCommand]) -> None:
    answer = await command(run, kind, PATIENCE, sender=PERSON)
    if answer.answer != "done":
        raise RuntimeError(f"{answer.command} was refused: {answer.words}")


async def until_let_go(run: RunFolder, patience: float = PATIENCE) -> None:
    """Wait until nobody trains the run."""
    async with asyncio.timeout(patience):
        while lock_holder(run) is not None:
            await asyncio.sleep(0.02)


def _spoil_spectrograms() -> None:
    """Spoil every number read from now on, as a failing disk may: no setting allowed makes training diverge."""
    for path in home.cache_folder().glob("**/*.safetensors"):
        with path.open("r+b") as file:
            file.seek(HEADER_BYTES)
            file.write(b"\xff" * (path.stat().st_size - HEADER_BYTES))


def _worker(run: RunFolder) -> int:
    holder = lock_holder(run)
    assert holder is not None
    return holder


def _last_seq(run: RunFolder) -> int:
    return run.events_file.read_bytes().count(b"\n")


def _keep(run: RunFolder, name: str = "", torn: int = 0) -> None:
    """Keep what readers need of a run, under its name or another one, with so many bytes cut off the last line."""
    kept = RECORDINGS / (name or run.name)
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    info = msgspec.structs.replace(run.info(), id=_id(kept.name), name=kept.name, created=BEGAN - 5)
    RunFolder(kept).write_info(info)
    shutil.copy(run.config_file, kept)
    lines = run.events_file.read_bytes().splitlines()
    events = [event for line in lines if (event := decode(line)) is not None]
    shift = BEGAN - events[0].time
    content = b"".join(encode(neutral(event, kept.name, shift)) for event in events)
    RunFolder(kept).events_file.write_bytes(content[: len(content) - torn])
    replace_everywhere(kept, {str(home.state_folder().parent): HOME, str(home.state_folder().parents[1]): "/home/anna"})


def _id(name: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_URL, name).hex


def neutral(event: Event, name: str, shift: float) -> Event:
    """Return the event at its time in a recorded run, of no machine in particular."""
    event = msgspec.structs.replace(event, time=round(event.time + shift, 6))
    if isinstance(event, RunStarted | RunRestarted):
        event = msgspec.structs.replace(event, pid=4711, host="box")
    return msgspec.structs.replace(event, run=name) if isinstance(event, RunStarted) else event


def replace_everywhere(folder: Path, words: Mapping[str, str]) -> None:
    """Replace words in all files of a folder."""
    for path in filter(Path.is_file, folder.iterdir()):
        content = path.read_bytes()
        for word, replacement in words.items():
            content = content.replace(word.encode(), replacement.encode())
        path.write_bytes(content)


def _keep_as_newer(healthy: RunFolder) -> None:
    """Keep the healthy run as a version to come may tell it: with types, fields and answers unknown today."""
    kept = RunFolder(RECORDINGS / "newer")
    shutil.rmtree(kept.path, ignore_errors=True)
    shutil.copytree(healthy.path, kept.path)
    kept.write_info(msgspec.structs.replace(healthy.info(), id=_id("newer"), name="newer"))
    events = [msgspec.json.decode(line) for line in healthy.events_file.read_bytes().splitlines()]
    lines = [msgspec.json.encode(event | {"seq": seq}) for seq, event in enumerate(_newer(events), start=1)]
    kept.events_file.write_bytes(b"\n".join(lines) + b"\n")


def _newer(events: Iterable[dict[str, object]]) -> Iterable[dict[str, object]]:
    for event in events:
        match event["type"]:
            case "RunStarted":
                yield event | {"run": "newer", "protocol": 2, "cluster": {"nodes": ["box", "crate"]}}
                yield {"type": "RoomMeasured", "seq": 0, "time": event["time"], "seconds": 0.4, "bands": [1, 2, 3]}
            case "PreprocessDone":
                skipped = event["skipped"]
                assert isinstance(skipped, list)
                yield event | {"skipped": [one | {"repaired": False} for one in skipped], "shards": 1}
            case "EpochDone":
                yield event | {"validation_pitch": 0.25}
                yield {"type": "AxisNamed", "seq": 0, "time": event["time"], "axis": 3, "words": "brightness"}
            case "RunFinished":
                yield {"type": "ModelSigned", "seq": 0, "time": event["time"], "by": PERSON}
                yield event | {"signature": "00ff"}
            case _:
                yield event | {"rank": 0}


if __name__ == "__main__":
    main()
