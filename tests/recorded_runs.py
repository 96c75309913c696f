"""Recorded runs for tests: what real workers wrote, unpacked into run folders of the test's own DISTILL_HOME.

`healthy` finished, `stopped` was paused and stopped on request, `diverged` failed for its numbers went bad,
`killed` ends in the middle of a line, `restarted` is the same run resumed to its end, and `newer` tells the healthy one
in a protocol to come. `record_runs` makes them. The long one is continued from the healthy one by `unpacked_long`.
Of the run in `noisy-epochs.jsonl` only the epochs are kept.
"""

from __future__ import annotations

import itertools
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from distill_engine import home
from distill_engine.events import CheckpointSaved, EpochDone, PreprocessDone, RunFinished, decode, encode
from distill_engine.run_folder import RunFolder

RECORDINGS = Path(__file__).parent / "recordings"

Recorded = Literal["healthy", "stopped", "diverged", "killed", "restarted", "newer"]

SECONDS_PER_STEP = 0.05
LONG_STEPS = 300_000
LONG_STEPS_PER_EPOCH = 1_000
LONG_CHECKPOINT_EPOCHS = 10


def unpacked(name: Recorded) -> RunFolder:
    """Return a copy of a recorded run, in a folder of its own; its worker is no more."""
    folder = home.runs_folder() / name
    shutil.copytree(RECORDINGS / name, folder)
    return RunFolder(folder)


def unpacked_long(steps: int = LONG_STEPS, seconds_per_step: float = SECONDS_PER_STEP) -> RunFolder:
    """Return a run of so many steps, each told by an event of its own: the healthy one's numbers over and over.

    A step's line differs from a recorded one in `seq`, `time`, `step` and `epoch` alone.
    """
    folder = unpacked("healthy")
    long = RunFolder(folder.path.with_name("long"))
    folder.path.rename(long.path)
    long.write_info(msgspec.structs.replace(long.info(), id=uuid.uuid5(uuid.NAMESPACE_URL, "long").hex, name="long"))
    lines = long.events_file.read_bytes().splitlines(keepends=True)
    with long.events_file.open("wb") as file:
        file.writelines(_long(lines, steps, seconds_per_step))
    return long


def _long(lines: list[bytes], steps: int, seconds_per_step: float) -> Iterator[bytes]:
    """Yield the lines of a long run: the beginning of a short one, and its numbers repeated to so many steps."""
    events = [event for line in lines if (event := decode(line)) is not None]
    prepared = next(index for index, event in enumerate(events) if isinstance(event, PreprocessDone))
    begin = events[prepared]
    assert isinstance(begin, PreprocessDone)
    yield from lines[:prepared]
    yield encode(msgspec.structs.replace(begin, steps_per_epoch=LONG_STEPS_PER_EPOCH))

    tails = itertools.cycle(
        [line[line.index(b',"loss"') :] for line in lines if line.startswith(b'{"type":"StepDone"')]
    )
    told = [event for event in events if isinstance(event, EpochDone)]
    epochs = itertools.cycle(told)
    saved = next(event for event in events if isinstance(event, CheckpointSaved))
    seq, time, epoch = begin.seq, begin.time, 0
    for step in range(1, steps + 1):
        seq, time = seq + 1, time + seconds_per_step
        place = b'{"type":"StepDone","seq":%d,"time":%.3f,"step":%d,"epoch":%d'
        yield place % (seq, time, step, epoch + 1) + next(tails)
        if step % LONG_STEPS_PER_EPOCH:
            continue
        seq, epoch = seq + 1, epoch + 1
        left = (steps - step) * seconds_per_step
        place_of_epoch = {"seq": seq, "time": time, "epoch": epoch, "step": step, "seconds_left": left}
        yield encode(msgspec.structs.replace(next(epochs), best=epoch == 1, **place_of_epoch))
        if epoch % LONG_CHECKPOINT_EPOCHS == 0:
            seq += 1
            path = f"checkpoints/step-{step:08d}.safetensors"
            yield encode(msgspec.structs.replace(saved, seq=seq, time=time, step=step, epoch=epoch, path=path))
    ending = events[-1]
    assert isinstance(ending, RunFinished)
    best = {"best_epoch": 1, "best_loss": told[0].validation_loss}
    yield encode(msgspec.structs.replace(ending, seq=seq + 1, time=time, step=steps, epoch=epoch, **best))
