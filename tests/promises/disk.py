"""A disk that fails: each thing a small run asks of it refused in turn, and a real file system that fills up.

The run is made by the commands that a person gives. Each time it is the same, and so must be its end.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from distill_engine.atomic import TEMPORARY_PREFIX
from distill_engine.errors import DistillError
from distill_engine.events import RunFinished, RunPaused, RunStarted, RunUnpaused, WarningRaised
from distill_engine.run_folder import RunFolder
from tests.engine.program import Program
from tests.engine.runs import write_dataset
from tests.promises.commands import PATIENCE, USUAL, Fault, Given, Ran, World, events, training
from tests.promises.surroundings import rights_clocks_and_names
from tests.promises.trial import Figure, Size

ANSWERS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES)

LASTING = 3
"""Requests in a row that a fault which lasts refuses."""

_MOUNT = ("mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs")


def disk(size: Size, folder: Path) -> Iterator[Figure]:
    """Refuse every request of a run in turn; fill a real file system under one; then rights, clocks and names."""
    dataset = write_dataset(folder / "recordings", count=2)
    alone = folder / "alone"
    undisturbed = _ran(alone, dataset)
    assert undisturbed.went_well, undisturbed
    assert undisturbed.asked > 100
    counts: Counter[str] = Counter()
    for fault in _faults(size, undisturbed.asked):
        home = folder / "tried"
        if not _try(home, dataset, fault, alone, counts):
            break
        shutil.rmtree(home)
    assert counts["runs that waited for their disk and went on by themselves"]
    yield from (Figure(what=what, count=count) for what, count in counts.items())
    if size.whole:
        yield from _filling_up(folder, dataset, alone)
        yield from rights_clocks_and_names(folder, dataset)


def _faults(size: Size, asked: int) -> Iterator[Fault]:
    """Yield the faults of each request: a disk that is full once, and one that refuses for a while in some way.

    Of the short form only those of one request, the one in the middle.
    """
    for first in itertools.count(1) if size.whole else (asked // 2,):
        yield Fault(first=first, count=1, number=errno.ENOSPC)
        yield Fault(first=first, count=LASTING, number=ANSWERS[(first + size.seed) % len(ANSWERS)])


def _try(home: Path, dataset: Path, fault: Fault, alone: Path, counts: Counter[str]) -> bool:
    """Make the run with a fault and see that nothing came of it; return False where the run has fewer requests."""
    ran = _ran(home, dataset, World(fault=fault, look=broken_files))
    if not ran.refused:
        return False
    told = events(home)
    where = f"{fault}, first {ran.first_refused}: {ran}"
    paused = sum(isinstance(event, RunPaused) for event in told)
    assert paused == sum(isinstance(event, RunUnpaused) for event in told), where
    assert paused == sum(isinstance(one, WarningRaised) and one.kind == "disk" for one in told), where
    counts["faults injected"] += 1
    counts["requests refused"] += ran.refused
    counts["runs that waited for their disk and went on by themselves"] += bool(paused)
    if not ran.went_well:
        begun = any(isinstance(event, RunStarted) for event in told)
        assert ran.statuses[0] == 0 or not begun, f"a run that had begun did not go on: {where}"
        counts["commands that refused in a sentence, and did it when repeated"] += 1
        again = _again(home, dataset)
        assert again.went_well, f"{where}\n{again}"
    lost = [*lost_files(home, alone)]
    counts["half files under a final name"] += len(ran.broken)
    counts["files lost, or other than undisturbed"] += len(lost)
    assert not ran.broken, where
    assert not lost, f"{where}\n{lost}"
    return True


def _ran(home: Path, dataset: Path, world: World = USUAL) -> Ran:
    """Train, and export the model."""
    return Given(home, training(dataset), ["model", "export", "run", home / "exported.distill"], world=world).ran()


def _again(home: Path, dataset: Path) -> Ran:
    """Give the commands again that a person would give now."""
    if not (home / "state/runs/run/run.json").exists():
        shutil.rmtree(home / "state", ignore_errors=True)
        return _ran(home, dataset)
    return Given(home, ["resume", "run"], ["model", "export", "run", home / "exported.distill", "--force"]).ran()


def broken_files(home: Path) -> list[str]:
    """Return what is wrong with files that have their final name, and whether the last good checkpoint is gone."""
    broken = [told for path in home.rglob("*") if path.is_file() and (told := _broken(path, home))]
    log = RunFolder(home / "state/runs/run").events_file
    if log.exists() and b'"CheckpointSaved"' in log.read_bytes() and not any(home.rglob("step-*.safetensors")):
        broken.append("the last good checkpoint is gone")
    return broken


def _broken(path: Path, home: Path) -> str:
    """Return what is wrong with a file by the program's own judgement, or nothing."""
    import soundfile

    from distill_engine.audio import cache
    from distill_engine.models.persistence import load_model
    from distill_engine.training import checkpoint

    if path.name.startswith(TEMPORARY_PREFIX):
        return ""
    try:
        match path.suffix:
            case ".distill":
                load_model(path)
            case ".safetensors" if path.parent.name == "checkpoints":
                checkpoint.load(path)
            case ".safetensors":
                assert cache.find_entry(home / "cache", path.stem), "the cache doesn't know it"
            case ".wav":
                soundfile.read(path)
            case ".json":
                json.loads(path.read_text())
    except (DistillError, AssertionError, ValueError, RuntimeError) as error:
        return f"{path}: {error}"
    return ""


def lost_files(home: Path, alone: Path) -> Iterator[str]:
    """Yield what is other than in the run that nothing disturbed: its files, and its log's numbers."""
    import safetensors.torch
    import torch

    for path in alone.rglob("*"):
        other = home / path.relative_to(alone)
        if path.is_dir() or path.suffix in (".json", ".jsonl", ".log", "") or "scans" in path.parts:
            continue
        if not other.exists():
            yield f"{other} is missing"
        elif path.suffix == ".distill" or path.parent.name == "checkpoints":
            one, two = safetensors.torch.load_file(path), safetensors.torch.load_file(other)
            if one.keys() != two.keys() or not all(torch.equal(one[name], two[name]) for name in one):
                yield f"{other} holds other weights"
        elif path.read_bytes() != other.read_bytes():
            yield f"{other} has other bytes"
    told = events(home)
    if [event.seq for event in told] != [*range(1, len(told) + 1)]:
        yield "event numbers have gaps"
    if not isinstance(told[-1], RunFinished):
        yield f"the last event is {told[-1]}"


def _filling_up(folder: Path, dataset: Path, alone: Path) -> Iterator[Figure]:
    """Let a small file system be full under a run: it waits, answers, and goes on when there is room."""
    place = folder / "small disk"
    place.mkdir()
    if subprocess.run([*_MOUNT, place], check=False, capture_output=True).returncode:
        click.echo("no small file system was filled: this user has no right to mount one", err=True)
        return
    try:
        for tried in (_room_is_made, _stopped_meanwhile):
            tried(Program(place / "home"), place, dataset)
            lost = [*lost_files(place / "home", alone)]
            assert not lost, lost
            shutil.rmtree(place / "home")
        yield Figure(what="real file systems filled up under a run", count=2)
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def _room_is_made(program: Program, place: Path, dataset: Path) -> None:
    with _full(program, place, dataset) as (run, ballast):
        refused = program.run("checkpoint", "run")
        assert refused.status == 1, refused
        assert "the run waits for its disk, and goes on by itself" in refused.err, refused
        assert "no space left on device" in program.run("show", "run").out
        ballast.unlink()
        out, err = run.communicate(timeout=PATIENCE)
        assert run.returncode == 0, (out, err)
        assert "Traceback" not in err
    assert program.run("model", "export", "run", program.home / "exported.distill").status == 0


def _stopped_meanwhile(program: Program, place: Path, dataset: Path) -> None:
    with _full(program, place, dataset) as (run, ballast):
        stopped = program.run("stop", "run")
        assert stopped.status == 1, stopped
        assert "No space left" in stopped.err, stopped
        out, err = run.communicate(timeout=PATIENCE)
        assert run.returncode == 1, (out, err)
        assert "Traceback" not in err
        ballast.unlink()
    assert program.run("resume", "run").status == 0
    assert program.run("model", "export", "run", program.home / "exported.distill").status == 0


@contextlib.contextmanager
def _full(program: Program, place: Path, dataset: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Yield a run that waits for its full disk, and the file that fills it."""
    program.home.mkdir()
    ballast = place / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(place).free - 1_000_000))
    run = program.start(*training(dataset))
    try:
        deadline = time.monotonic() + PATIENCE
        while not any(isinstance(event, RunPaused) for event in events(program.home)):
            assert run.poll() is None, run.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        warning = next(event for event in events(program.home) if isinstance(event, WarningRaised))
        assert "are needed" in warning.evidence, warning
        assert "are free" in warning.evidence, warning
        # What is left is filled too, so that orders have nothing but the room that was kept for them.
        with contextlib.suppress(OSError), (place / "rest").open("wb", buffering=0) as rest:
            while rest.write(bytes(4096)):
                pass
        yield run, ballast
    finally:
        program.kill_what_is_left()
        for file in (ballast, place / "rest"):
            file.unlink(missing_ok=True)
