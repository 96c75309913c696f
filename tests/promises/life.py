"""Promise 7, a long life: memory flat, files bounded, nothing left over, over hours of a run at many times its pace.

A recorded run is played by the process that plays the demo, a thousand events a second; a dashboard in a real terminal
and `follow` watch it, through all screens again and again. A real worker takes steps for minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from distill_engine import home, worker_log
from distill_engine.client import command, start_run
from distill_engine.events import StopNow
from distill_engine.run_folder import RunFolder
from distill_engine.run_lock import lock_holder
from distill_engine.run_reading import glance
from distill_engine.start import Wishes, plan_run
from distill_engine.training.config import TrainingConfig
from distill_engine.training.config_file import load_config
from tests.engine.recordings import good
from tests.engine.runs import SMALL
from tests.engine.test_replay import playing
from tests.promises.counted import WHERE, Held, growth, held_by, megabytes
from tests.promises.trial import Figure, Size
from tests.recorded_runs import unpacked_long
from tests.tui.models_made import write_sounding_model
from tests.tui.terminal import Terminal

SCRIPT = """
import sys, tests.promises.counted
from distill_tui.command import main

sys.argv[1:] = ["--run", "{}"]
main()
"""
PER_SECOND = 1000
PACE = 20
"""Events a second of a real run."""

WORKER_STEPS = 1_500
FLOOD = b"a library says something\n" * (1 << 16)
WEEK = 7 * 24 * 3600 * PACE
PATIENCE = 400.0

DASHBOARD_GROWTH, FOLLOW_GROWTH, WORKER_GROWTH = 24.0, 8.0, 24.0
"""MB. A dashboard keeps what it draws: 64 bytes a step and as much again in its charts' pyramids, until two million
steps, from which on it merges. Of a worker single samples differ by 14 MB, as batches come and go; what is compared are
middles of many. Less than a tenth of a kilobyte a step, of 200,000 steps, would show."""

LARGEST_DASHBOARD = 300.0
"""MB with a week's history. Full tables of steps have 120 MiB, Textual and the program 90; half of it was seen full."""

CHARTS, HELP = "m one", "A run as it goes"
TOUR = (
    ("2", r"\[2 Config\]"),
    ("1", r"\[1 Datasets\]"),
    ("3", CHARTS),
    ("v", "y play line"),
    ("escape", CHARTS),
    ("l", "N previous"),
    ("escape", CHARTS),
    ("r", "enter watch"),
    ("escape", CHARTS),
    ("?", HELP),
    ("escape", rf"(?s)\A(?!.*{HELP})"),
    ("4", r"\[4 Library\]"),
    ("3", CHARTS),
)
"""Keys through the four screens and the views of a run, back to its charts, each with what it brings."""

EXPLORING = (
    ("4", "bells "),
    ("p", "Explore bells"),
    ("l", "Hz"),
    ("m", "Library shows"),
    ("c", "Compare what"),
    ("enter", "A is better"),
)
"""Keys to a model's sliders: a sound is made, and two to compare."""


def life(size: Size, scratch: Path) -> Iterator[Figure]:
    """Let dashboard, `follow` and worker live long, and count what they hold at first and in the end."""
    if size.whole:
        yield from _worker(scratch)
        yield from _week(scratch)
    yield from _watchers(size, scratch)


def _watchers(size: Size, scratch: Path) -> Iterator[Figure]:
    """Watch a played run through all screens, leave in every way, and find nothing left over."""
    events, per_second = size.of(40_000, 500_000), size.of(200, PER_SECOND)
    if size.whole:
        write_sounding_model("bells", is_analysed=True)
    run = unpacked_long(events, 1 / per_second)
    with playing(run, events // 6) as player, _following(run) as follower:
        watched, dashboard, follow = _toured(size, run, scratch, follower)
        assert player.poll() is None, "the run was over before its watchers were"
        yield Figure(what="hours of a run watched, at twenty events a second", count=watched / PACE / 3600)
        yield Figure(what="MB by which a dashboard grew meanwhile", count=round(dashboard, 1))
        yield Figure(what="MB by which follow grew meanwhile", count=round(follow, 1))
        ways = (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)[: size.of(1, 3)]
        for way in ways:
            _leaves(run, scratch, way, explores=size.whole)
        yield Figure(what="ways to leave a dashboard that left no process but the run's", count=1 + len(ways))


def _toured(size: Size, run: RunFolder, scratch: Path, follower: psutil.Process) -> tuple[int, float, float]:
    """Return how many events went by while a dashboard was led about, and by how many MB it and `follow` grew."""
    told = scratch / "counted"
    with _dashboard(run, told) as terminal:
        process = psutil.Process(terminal.process.pid)
        _tour(terminal, explores=size.whole)
        before, files, seq = held_by(process, told), _files(), _seq(run)
        samples: list[tuple[float, float]] = []
        while not samples or _seq(run) - seq < size.of(1, 200_000):
            _tour(terminal, explores=False)
            samples.append((megabytes(process), megabytes(follower)))
        _tour(terminal, explores=size.whole)
        _settled(process, told, before)
        assert _files() <= files, f"files came to be: {sorted(map(str, _files() - files))}"
        watched = _seq(run) - seq
        children = process.children(recursive=True)
        terminal.press("q")
        assert terminal.wait_for_end() == 0, terminal.text
        _gone(children)
    grown = [growth(one) if size.whole else 0.0 for one in zip(*samples, strict=True)]
    assert grown[0] < DASHBOARD_GROWTH, f"the dashboard grew by {grown[0]:.1f} MB"
    assert grown[1] < FOLLOW_GROWTH, f"follow grew by {grown[1]:.1f} MB"
    return watched, grown[0], grown[1]


def _settled(process: psutil.Process, told: Path, before: Held) -> None:
    """Wait until a dashboard holds no more than before: what is under way may end first."""
    deadline = time.monotonic() + 60
    while grown := held_by(process, told).grown_over(before):
        assert time.monotonic() < deadline, f"left over: {', '.join(grown)}"
        time.sleep(0.2)


def _tour(terminal: Terminal, *, explores: bool) -> None:
    terminal.lead(*TOUR)
    if explores:
        terminal.lead(*EXPLORING)
        for _ in range(5):  # what lies over the sliders, then the sliders
            if "p explore" not in terminal.text:
                terminal.press("escape")
                terminal.settle()
        terminal.lead(("3", CHARTS))


def _leaves(run: RunFolder, scratch: Path, way: signal.Signals, *, explores: bool) -> None:
    """End a dashboard by a signal, with its helper at work."""
    with _dashboard(run, scratch / "counted") as terminal:
        _tour(terminal, explores=explores)
        children = psutil.Process(terminal.process.pid).children(recursive=True)
        assert children or not explores
        terminal.process.send_signal(way)
        terminal.wait_for_end()
        _gone(children)
    assert lock_holder(run) is not None, "the run ended with the dashboard"


def _gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive, f"left over: {[one.cmdline() for one in alive]}"


def _files() -> set[Path]:
    """Return all that is kept, but for sounds, which were asked for."""
    return {path for path in home.state_folder().parent.rglob("*") if path.suffix != ".wav"}


def _seq(run: RunFolder) -> int:
    return glance(run).state.seq


@contextlib.contextmanager
def _dashboard(run: RunFolder, told: Path) -> Iterator[Terminal]:
    with Terminal((sys.executable, "-c", SCRIPT.format(run.name)), environment={WHERE: str(told)}) as terminal:
        terminal.wait_for(f"{run.name}: ")
        terminal.settle(0.1)
        yield terminal


@contextlib.contextmanager
def _following(run: RunFolder) -> Iterator[psutil.Process]:
    command = [sys.executable, "-m", "distill_engine", "follow", run.name, "--json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield psutil.Process(process.pid)
        assert process.poll() is None, "follow ended before the run"
    finally:
        process.kill()
        process.wait()


def _week(scratch: Path) -> Iterator[Figure]:
    """Open a run of a week."""
    run = unpacked_long(WEEK)
    yield Figure(what="MB that the log of a week's run takes", count=round(run.events_file.stat().st_size / 1e6))
    begun = time.monotonic()
    with _dashboard(run, scratch / "counted") as terminal:
        shown = time.monotonic() - begun
        process = psutil.Process(terminal.process.pid)
        terminal.wait_for("finished")
        cpu = -1.0
        while (now := sum(process.cpu_times()[:2])) > cpu + 0.2:
            cpu = now
            time.sleep(2)
            terminal.settle(0.1)
        memory = megabytes(process)
        terminal.press("q")
        assert terminal.wait_for_end() == 0, terminal.text
    shutil.rmtree(run.path)
    assert memory < LARGEST_DASHBOARD, f"a week's run takes {memory:.0f} MB in a dashboard"
    yield Figure(what="s until a dashboard showed it", count=round(shown, 1))
    yield Figure(what="MB of a dashboard that has read all of it", count=round(memory))


def _worker(scratch: Path) -> Iterator[Figure]:
    """Let a worker take steps, save and preview while a dashboard watches and its log is flooded from outside."""
    run = _started(scratch / "sounds")
    worker = psutil.Process(lock_holder(run))
    samples: list[tuple[float, float]] = []
    held: list[tuple[int, int, int]] = []
    with _dashboard(run, scratch / "counted") as terminal:
        process, deadline = psutil.Process(terminal.process.pid), time.monotonic() + PATIENCE
        _tour(terminal, explores=False)
        before = held_by(process, scratch / "counted")
        while (step := _step(run)) < WORKER_STEPS and time.monotonic() < deadline:
            _tour(terminal, explores=False)
            samples.append((megabytes(worker), megabytes(process)))
            held.append((worker.num_fds(), worker.num_threads(), len(worker.children(recursive=True))))
            with run.worker_log.open("ab") as log:
                log.write(FLOOD)
        answer = asyncio.run(command(run, StopNow, PATIENCE))
        assert answer.answer == "done", answer.words
        _gone([worker, *worker.children(recursive=True)])
        _settled(process, scratch / "counted", before)
    grown = [growth(one) for one in zip(*samples, strict=True)]
    assert grown[0] < WORKER_GROWTH, f"a worker grew by {grown[0]:.1f} MB in {step} steps"
    assert grown[1] < DASHBOARD_GROWTH, f"a dashboard grew by {grown[1]:.1f} MB in {step} steps"
    third = len(held) // 3
    first, last = _most(held[:third]), _most(held[-third:])
    assert all(map(int.__le__, last, first)), f"a worker had {first} descriptors, threads and processes, then {last}"
    sizes = [path.stat().st_size for path in run.path.glob("worker.log*")]
    assert max(sizes) < 2 * worker_log.LARGEST, f"the worker's log has {max(sizes)} bytes"
    checkpoints = [path.name for path in run.checkpoints.iterdir()]
    assert len(checkpoints) <= load_config(run.config_file, TrainingConfig()).checkpoint_keep, checkpoints
    yield Figure(what="steps of a real worker that a dashboard watched", count=step)
    yield Figure(what="MB by which the worker grew meanwhile", count=round(grown[0], 1))
    yield Figure(what="MB written into its log meanwhile", count=round(len(samples) * len(FLOOD) / 1e6, 1))
    yield Figure(what="MB of its log in the end", count=round(sum(sizes) / 1e6, 1))


def _started(dataset: Path) -> RunFolder:
    dataset.mkdir()
    for number in range(3):
        good(dataset / f"{number}.wav", seed=number, frames=60_000)
    settings = {**SMALL, "max_epochs": 100_000, "batch_size": 1, "latent_dim": 2, "checkpoint_interval": 50}
    settings |= {"preview_interval": 100, "preview_recordings": 1, "preview_samples": 1, "preview_seconds": 1.0}
    wishes = Wishes(preset="balanced", settings=[f"{key}={value}" for key, value in settings.items()])
    return asyncio.run(start_run(plan_run(dataset, wishes), "soak"))


def _most(held: Sequence[tuple[int, int, int]]) -> tuple[int, ...]:
    return tuple(max(column) for column in zip(*held, strict=True))


def _step(run: RunFolder) -> int:
    last = glance(run).state.last_step
    return last.step if last else 0
