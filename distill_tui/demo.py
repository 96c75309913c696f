"""`distill-tui --demo`: a home of its own for one visit, with recordings, a run that plays as if it trained, its model.

Everything lies in a temporary folder that goes with the visit, also where that has no orderly end. The model is a
description without weights, for they would be larger than the rest of Distill.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from distill_engine import api

DATA = Path(__file__).parent / "demo_data"
RUN = "sketches"
RECORDED_HOME = "/home/anna/distill"
"""Where the recorded run says that everything is."""

SHARE = 0.4
"""Of the recorded run's time that is over when the visit begins."""

_REMOVER = """
import shutil, sys, time
sys.stdin.read()  # until whoever holds the other end is no more
time.sleep(2)  # so long others may take to notice that, and write their last
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


@contextlib.contextmanager
def demo() -> Iterator[str]:
    """Let DISTILL_HOME be a demo while this lasts; yield the path of the run that plays in it."""
    with tempfile.TemporaryDirectory(prefix="distill-demo-") as folder, _removed_if_killed(folder):
        os.environ["DISTILL_HOME"] = folder
        run = api.RunFolder(api.runs_folder() / RUN)
        dataset = Path(folder) / "recordings" / RUN
        api.write_recordings(dataset)
        _unpack(run, dataset)
        player = _player(run)
        try:
            yield str(run.path)
        finally:
            player.kill()
            player.wait()


@contextlib.contextmanager
def _removed_if_killed(folder: str) -> Iterator[None]:
    """Let another process remove the folder where this one is killed, as by a link that was lost."""
    remover = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _REMOVER, folder], stdin=subprocess.PIPE, cwd="/", start_new_session=True
    )
    try:
        yield
    finally:
        remover.kill()
        remover.communicate()


def _unpack(run: api.RunFolder, dataset: Path) -> None:
    shutil.copytree(DATA / RUN, run.path)
    run.write_info(replace(run.info(), dataset=str(dataset), created=time.time()))
    log = run.events_file.read_bytes()
    run.events_file.write_bytes(log.replace(RECORDED_HOME.encode(), os.environ["DISTILL_HOME"].encode()))
    model = api.models_folder() / f"{RUN}.distill"
    model.parent.mkdir(parents=True)
    shutil.copy(DATA / "model-header", model)
    # The header tells of weights behind it: a hole of their size takes no room on disk.
    os.truncate(model, int((DATA / "model-size").read_text()))


def _player(run: api.RunFolder) -> subprocess.Popen[bytes]:
    """Write what is over of the run, and start the process that plays the rest."""
    recorded = run.path / "recorded.jsonl"
    run.events_file.rename(recorded)
    events = api.read_recorded(recorded)
    first, last = events[0].time, events[-1].time
    begun = sum(event.time <= first + SHARE * (last - first) for event in events)
    api.write_beginning(run, events, begun)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "distill_engine.replay", str(run.path), str(recorded), str(begun)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
