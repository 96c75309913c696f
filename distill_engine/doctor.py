"""What a machine and a terminal can do for Distill: one finding a check, each with what to do where it falls short.

Checks ask and leave nothing behind. What may hang or crash is asked in a process of its own with a deadline: importing
torch takes seconds and fails in many ways, and a lock on a broken network file system never returns.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import msgspec

from distill_engine import home
from distill_engine.login_manager import login_manager_ends_processes
from distill_engine.words import counted, shown, size

State = Literal["ok", "note", "problem"]

TORCH_SECONDS = 120.0
LOCK_SECONDS = 15.0
LEAST_ROOM = 1_000_000_000
ENOUGH_ROOM = 10_000_000_000
LEAST_COLUMNS, LEAST_LINES = 80, 24

_ASK_TORCH = """
import json, torch, torchaudio
there = torch.cuda.is_available()
names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if there else []
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda or "", "gpus": names}))
"""

# A forked child doesn't inherit a POSIX lock, so it is as good as any other process, and starts at once.
_TRY_LOCK = """
import os, sys
from pathlib import Path
from distill_engine.errors import DistillError
from distill_engine.run_folder import RunFolder
from distill_engine.run_lock import RunLock, lock_holder
folder = RunFolder(Path(sys.argv[1]))
lock = RunLock(folder)
child = os.fork()
if child == 0:
    try:
        RunLock(folder)
    except DistillError:
        os._exit(0 if lock_holder(folder) else 4)
    except BaseException:
        os._exit(5)
    os._exit(3)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
stand_in = lock.is_heartbeat
lock.release()
os._exit(status or (7 if stand_in else 0))
"""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at: `note` is worth knowing, `problem` keeps something from working. `hint` is what to do."""

    name: str
    state: State
    words: str
    hint: str = ""


class _TorchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    cuda: str
    gpus: list[str]


def examine() -> Iterator[Finding]:
    """Look at everything, in the order in which one asks; a finding comes as soon as it is known."""
    environment = os.environ
    yield python()
    yield terminal(environment, _window())
    yield colours(environment)
    yield text(environment)
    yield multiplexer(environment)
    yield connection(environment)
    yield login_manager(login_manager_ends_processes())
    yield processor()
    yield memory()
    yield from gpus()
    yield torch_itself(environment)
    for name, folder in folders():
        yield room(name, folder)
    yield locks(home.runs_folder())


def in_words(finding: Finding) -> str:
    """Return a finding as one aligned line, with a second one where there is something to do."""
    line = f"{finding.state:8} {finding.name:13} {shown(finding.words)}"
    return f"{line}\n{'':23}{shown(finding.hint)}" if finding.hint else line


def python() -> Finding:
    """Tell which Python runs, and which Distill."""
    return Finding(
        name="python",
        state="ok",
        words=f"{platform.python_version()} in {sys.prefix}, Distill {_version('distill') or 'not installed'}",
    )


def terminal(environment: Mapping[str, str], window: tuple[int, int] | None) -> Finding:
    """Tell whether there is a terminal and whether the dashboard fits; `window` is columns and lines, None for none."""
    kind = environment.get("TERM", "")
    if window is None:
        return Finding(name="terminal", state="note", words="none: output goes to a file or a pipe")
    columns, lines = window
    words = f"{kind or 'of no known kind'}, {columns}x{lines}"
    if kind in ("", "dumb", "unknown"):
        return Finding(
            name="terminal", state="problem", words=words, hint="the dashboard needs one: export TERM=xterm-256color"
        )
    if columns < LEAST_COLUMNS or lines < LEAST_LINES:
        least = f"the dashboard is made for {LEAST_COLUMNS}x{LEAST_LINES} and more"
        return Finding(name="terminal", state="note", words=words, hint=least)
    return Finding(name="terminal", state="ok", words=words)


def colours(environment: Mapping[str, str]) -> Finding:
    """Tell how many colours the terminal says it has."""
    if environment.get("NO_COLOR"):
        return Finding(name="colours", state="note", words="none, as NO_COLOR asks for")
    kind = environment.get("TERM", "")
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit") or kind.endswith("-direct"):
        return Finding(name="colours", state="ok", words="16 million")
    if "256color" in kind:
        return Finding(name="colours", state="ok", words="256")
    if kind in ("", "dumb", "unknown"):
        return Finding(name="colours", state="note", words="none")
    better = "tmux-256color" if "TMUX" in environment else "screen-256color" if "STY" in environment else ""
    return Finding(
        name="colours",
        state="note",
        words="16, as far as TERM tells",
        hint=f"more, where the terminal has them: export TERM={better or 'xterm-256color'}",
    )


def text(environment: Mapping[str, str]) -> Finding:
    """Tell whether programs here write UTF-8."""
    named = next((name for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name)), "")
    locale = environment.get(named, "")
    if locale.lower().replace("-", "").endswith("utf8"):
        return Finding(name="text", state="ok", words=f"UTF-8 ({named}={locale})")
    return Finding(
        name="text",
        state="note",
        words=f"not UTF-8 ({f'{named}={locale}' if named else 'no locale is set'})",
        hint="export LANG=C.UTF-8, or start the dashboard with --ascii",
    )


def multiplexer(environment: Mapping[str, str]) -> Finding:
    """Tell whether tmux or screen is around."""
    inside = "tmux" if "TMUX" in environment else "screen" if "STY" in environment else ""
    words = f"inside {inside}" if inside else "neither tmux nor screen; a run with --detach needs none"
    return Finding(name="multiplexer", state="ok", words=words)


def connection(environment: Mapping[str, str]) -> Finding:
    """Tell whether one sits at this machine."""
    client = environment.get("SSH_CONNECTION", environment.get("SSH_CLIENT", "")).split(" ")[0]
    if not client:
        return Finding(name="connection", state="ok", words="none over SSH")
    return Finding(name="connection", state="ok", words=f"SSH from {client}")


def login_manager(warning: str) -> Finding:
    """Tell whether a run with --detach outlives the session; `warning` is what the login manager's check came to."""
    if not warning:
        return Finding(name="login manager", state="ok", words="a run with --detach goes on when you log out")
    reason, _, advice = warning.partition("; ")
    return Finding(name="login manager", state="problem", words=reason.replace("this process", "a run"), hint=advice)


def processor(cgroup: Path = Path("/sys/fs/cgroup")) -> Finding:
    """Tell how many cores there are for this process, which a container may hold below the machine's."""
    there = os.cpu_count() or 1
    usable = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else there)
    quota, _, period = _first_line(cgroup / "cpu.max").partition(" ")
    if quota.isdecimal() and period.isdecimal():
        usable = min(usable, int(quota) / int(period))
    words = counted(there, "core") if usable >= there else f"{usable:g} of {counted(there, 'core')} for this process"
    return Finding(name="processor", state="ok", words=words)


def memory(cgroup: Path = Path("/sys/fs/cgroup")) -> Finding:
    """Tell how much memory there is and how much of it is free, which a container may hold below the machine's."""
    import psutil  # noqa: PLC0415

    machine = psutil.virtual_memory()
    total, free = int(machine.total), int(machine.available)
    limit, used = _first_line(cgroup / "memory.max"), _first_line(cgroup / "memory.current")
    if limit.isdecimal() and int(limit) < total:
        total = int(limit)
        free = min(free, max(0, total - int(used))) if used.isdecimal() else min(free, total)
    state: State = "ok" if free > 2 * LEAST_ROOM else "note"
    hint = "" if state == "ok" else "training takes 1 to 4 GB; train --dry-run tells"
    return Finding(name="memory", state=state, words=f"{size(free)} of {size(total)} free", hint=hint)


def gpus() -> Iterator[Finding]:
    """Tell the driver and each GPU with its memory, or that there is none."""
    import pynvml  # noqa: PLC0415

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        yield Finding(name="gpu", state="note", words=_no_driver(error), hint="training runs on the processor")
        return
    try:
        yield _driver()
        for index in range(pynvml.nvmlDeviceGetCount()):
            yield _gpu(index)
    except pynvml.NVMLError as error:
        yield Finding(name="gpu", state="problem", words=f"the driver doesn't answer: {error}", hint="see nvidia-smi")
    finally:
        pynvml.nvmlShutdown()


def torch_itself(environment: Mapping[str, str]) -> Finding:
    """Tell which torch there is, whether it can be imported, and whether it reaches the GPU."""
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _ASK_TORCH],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=TORCH_SECONDS,
            check=False,
            env=dict(environment),
        )
    except subprocess.TimeoutExpired:
        words = f"{_version('torch') or 'torch'} took over {TORCH_SECONDS:.0f} s to import"
        return Finding(name="torch", state="problem", words=words, hint="the disk it lies on may be slow or hang")
    if asked.returncode:
        return _torch_broken(asked.stderr)
    answer = msgspec.json.decode(asked.stdout, type=_TorchAnswer)
    return _torch_found(answer, environment.get("CUDA_VISIBLE_DEVICES"), asked.stderr)


def folders() -> list[tuple[str, Path]]:
    """Return the folders Distill writes to, by what lies there."""
    return [
        ("runs", home.runs_folder()),
        ("models", home.models_folder()),
        ("cache", home.cache_folder()),
        ("settings", home.config_folder()),
    ]


def room(name: str, folder: Path) -> Finding:
    """Tell how much room there is for one folder, and whether it can be written."""
    place = _existing(folder)
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        words = f"{folder} can't be written"
        return Finding(name=name, state="problem", words=words, hint="change its rights, or set DISTILL_HOME")
    free = shutil.disk_usage(place).free
    state: State = "ok" if free >= ENOUGH_ROOM else "note" if free >= LEAST_ROOM else "problem"
    hint = "" if state == "ok" else "make room (distill-engine cache clear), or set DISTILL_HOME to another disk"
    return Finding(name=name, state=state, words=f"{size(free)} free in {folder}", hint=hint)


def locks(runs: Path) -> Finding:
    """Tell whether the file system of the runs keeps two processes from writing one run: tried in a temporary file."""
    elsewhere = "set DISTILL_HOME to a folder on a local disk, or never train one run from two machines"
    try:
        with tempfile.TemporaryDirectory(dir=_existing(runs), prefix=".distill-doctor-") as folder:
            tried = subprocess.run(
                [sys.executable, "-c", _TRY_LOCK, folder],
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=LOCK_SECONDS,
                check=False,
            )
    except OSError as error:
        return Finding(name="locks", state="problem", words=f"can't be tried in {runs}: {error.strerror}")
    except subprocess.TimeoutExpired:
        words = f"a lock in {runs} is never answered"
        return Finding(name="locks", state="problem", words=words, hint=elsewhere)
    if tried.returncode == 0:
        return Finding(name="locks", state="ok", words=f"work in {runs}")
    if tried.returncode == 7:
        words = f"the file system of {runs} has none: a heartbeat stands in"
        hint = "a worker frozen for half a minute may find its run taken; DISTILL_HOME on a local disk is safer"
        return Finding(name="locks", state="note", words=words, hint=hint)
    reason = {3: "two processes get the same lock", 4: "who holds a lock can't be asked"}.get(
        tried.returncode, _last_line(tried.stderr) or "a lock can't be taken"
    )
    return Finding(name="locks", state="problem", words=f"don't work in {runs}: {reason}", hint=elsewhere)


def _window() -> tuple[int, int] | None:
    for stream in (sys.__stdout__, sys.__stderr__, sys.__stdin__):
        try:
            if stream is not None and stream.isatty():
                return os.get_terminal_size(stream.fileno())
        except (OSError, ValueError):
            continue
    return None


def _no_driver(error: Exception) -> str:
    import pynvml  # noqa: PLC0415

    if isinstance(error, pynvml.NVMLError_LibraryNotFound):
        return "none: there is no NVIDIA driver here"
    return f"none that can be used: {error}"


def _driver() -> Finding:
    import pynvml  # noqa: PLC0415

    cuda = pynvml.nvmlSystemGetCudaDriverVersion()
    words = f"NVIDIA {pynvml.nvmlSystemGetDriverVersion()}, for CUDA up to {cuda // 1000}.{cuda % 1000 // 10}"
    return Finding(name="driver", state="ok", words=words)


def _gpu(index: int) -> Finding:
    import pynvml  # noqa: PLC0415

    name = f"gpu {index}"
    device = pynvml.nvmlDeviceGetHandleByIndex(index)
    model = pynvml.nvmlDeviceGetName(device)
    try:
        room = pynvml.nvmlDeviceGetMemoryInfo(device)
    except pynvml.NVMLError:  # one that is split into parts, or shares the machine's memory
        return Finding(name=name, state="ok", words=f"{model}, its memory isn't told")
    words = f"{model}, {size(room.free)} of {size(room.total)} free"
    if room.free > 2 * LEAST_ROOM:
        return Finding(name=name, state="ok", words=words)
    return Finding(name=name, state="note", words=words, hint="another process holds its memory: see nvidia-smi")


def _torch_broken(errors: str) -> Finding:
    installed = _version("torch")
    if not installed:
        return Finding(name="torch", state="problem", words="not installed", hint="pip install distill brings it")
    return Finding(
        name="torch",
        state="problem",
        words=f"torch {installed} with torchaudio {_version('torchaudio') or 'missing'} can't be imported: "
        f"{_last_line(errors)}",
        hint="both must be of one release and of the package index: pip install --force-reinstall distill",
    )


def _torch_found(answer: _TorchAnswer, visible: str | None, warnings: str) -> Finding:
    built = f"for CUDA {answer.cuda}" if answer.cuda else "for the processor alone"
    if answer.gpus:
        words = f"{answer.version}, {built}, uses {', '.join(answer.gpus)}"
        return Finding(name="torch", state="ok", words=words)
    words = f"{answer.version}, {built}, uses no GPU"
    if not _has_gpu():
        return Finding(name="torch", state="ok", words=words)
    if visible is not None:
        return Finding(name="torch", state="note", words=words, hint=f"CUDA_VISIBLE_DEVICES is {visible!r}")
    hint = _last_line(warnings) or "a newer driver, or a torch for the driver's CUDA, may be needed"
    return Finding(name="torch", state="problem", words=f"{words}, though there is one", hint=hint)


def _has_gpu() -> bool:
    return any(finding.name.startswith("gpu ") for finding in gpus())


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there: what would hold it."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _first_line(path: Path) -> str:
    try:
        return path.read_text().partition("\n")[0].strip()
    except OSError:
        return ""


def _last_line(told: str) -> str:
    return (told.strip().splitlines() or [""])[-1].strip()
