"""Run our own programs on bad input and see that nothing comes of it but a sentence.

In this process Python's audit hook tells of every file that is opened to be written, moved or removed and of every
program that is started; what a real process did is told by what lies about afterwards.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from distill_engine import cli

LONGEST_SENTENCE = 1000
SECONDS = 60
"""What no command on a small file may take, however bad the file is."""

_CONTROL = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_REMOVING = {"os.rename": (0, 1), "os.link": (1,), "os.symlink": (1,), "shutil.rmtree": (0,), "os.truncate": (0,)}
_REMOVING |= dict.fromkeys(("os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.utime"), (0,))
_RUNNING = ("pickle.", "os.system", "os.exec", "os.spawn", "os.posix_spawn", "subprocess.", "socket.c")


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a command said, and the status it ended with."""

    status: int
    out: str
    err: str


class _Watch:
    """What was done since watching began, but for writing into the folders where that is wanted."""

    def __init__(self) -> None:
        self.folders: tuple[str, ...] = ()
        self.is_on = False
        self.done: list[str] = []

    def hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.is_on:
            return
        if event.startswith(_RUNNING) and not _is_decoder(event, arguments):
            self.done.append(f"{event} {arguments[:1]}"[:200])
        elif event == "open" and _is_to_write(arguments):
            self._note(event, arguments[0])
        elif event in _REMOVING and not _is_within_opened(arguments):
            for index in _REMOVING[event]:
                self._note(event, arguments[index])

    def _note(self, event: str, path: object) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a descriptor, which was opened before
        place = os.path.join(os.path.realpath(os.path.dirname(os.fsdecode(path))), os.path.basename(os.fsdecode(path)))  # noqa: PTH118, PTH119, PTH120
        if event == "open":
            place = os.path.realpath(place)
        is_cache = "__pycache__" in place  # of a module that is imported for the first time
        if place != os.devnull and not is_cache and not f"{place}{os.sep}".startswith(self.folders):
            self.done.append(f"{event} {place}")


def _is_decoder(event: str, arguments: tuple[object, ...]) -> bool:
    """Tell whether what is started is the process that recordings are decoded in."""
    return event == "subprocess.Popen" and "distill_engine.audio.check_process" in str(arguments[1])


def _is_within_opened(arguments: tuple[object, ...]) -> bool:
    """Tell whether a path is relative to a folder's descriptor: of a tree that is removed, whose own path was told."""
    return isinstance(arguments[-1], int) and len(arguments) == 2 and arguments[-1] >= 0


def _is_to_write(arguments: tuple[object, ...]) -> bool:
    _, mode, flags = arguments
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND))


@dataclass(kw_only=True)
class Tracked:
    """What was run so far: how many commands, how many of them refused, and the most memory a process took."""

    commands: int = 0
    processes: int = 0
    refused: int = 0
    memory: int = 0


tracked = Tracked()
_watch = _Watch()
sys.addaudithook(_watch.hook)


@contextlib.contextmanager
def watched(*folders: Path) -> Iterator[None]:
    """Raise AssertionError where anything is started, or written but in `folders`, and where it takes too long."""
    _watch.folders, _watch.done, _watch.is_on = tuple(f"{folder.resolve()}{os.sep}" for folder in folders), [], True
    before = signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        _watch.is_on = False
    assert not _watch.done, f"done besides: {_watch.done}"


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise AssertionError(f"it takes more than {SECONDS} s")


class _Terminal(io.TextIOWrapper):
    """What a terminal would be sent."""

    def isatty(self) -> bool:
        return True


def commanded(*arguments: str | Path, writes: tuple[Path, ...] = ()) -> Told:
    """Run `distill-engine` in this process; AssertionError where it does or says what it shouldn't."""
    out = _Terminal(io.BytesIO(), "utf-8", errors="backslashreplace")
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    status = 0
    kept = sys.argv, sys.stdout, sys.stderr
    sys.argv, sys.stdout, sys.stderr = ["distill-engine", *map(str, arguments)], out, err
    try:
        with watched(*writes):
            cli.main()
    except SystemExit as ending:
        status = int(ending.code or 0)
    finally:
        sys.argv, sys.stdout, sys.stderr = kept
    told = Told(status=status, out=_said(out), err=_said(err))
    tracked.commands += 1
    tracked.refused += bool(status)
    check_told(told, f"distill-engine {' '.join(map(repr, arguments))}")
    return told


def _said(stream: io.TextIOWrapper) -> str:
    stream.flush()
    data = stream.buffer
    assert isinstance(data, io.BytesIO)
    return data.getvalue().decode("utf-8", "surrogateescape")


def check_told(told: Told, what: str) -> None:
    """Raise AssertionError unless what was said is plain, and a refusal one sentence and its hint."""
    for text in (told.out, told.err):
        assert "Traceback" not in text, f"{what}: {text}"
        assert "something broke" not in text, f"{what}: {text}"
        check_plain(text.replace("\n", ""), what)
    assert told.status in (0, 1, 2, 3), f"{what} ends with {told.status}: {told.err}"
    if told.status and not told.out:
        check_sentence(told.err, what)


def check_sentence(text: str, what: str) -> None:
    """Raise AssertionError unless a text is the program's name, a sentence of some length, and hints below it."""
    *notes, last = text.removesuffix("\n").split("\n")
    sentence, *hints = [*notes, last][[i for i, line in enumerate([*notes, last]) if not line.startswith("  ")][-1] :]
    assert sentence.startswith(("distill-engine: ", "failed: ")), f"{what}: {text!r}"
    assert 20 < len(sentence) < LONGEST_SENTENCE, f"{what}: {text!r}"
    assert all(len(hint) < LONGEST_SENTENCE for hint in hints), f"{what}: {text!r}"


def check_plain(text: str, what: str) -> None:
    """Raise AssertionError where a character is in a text that steers a terminal, or that one doesn't see."""
    found = {character for character in text if unicodedata.category(character) in _CONTROL}
    assert not found, f"{what} shows {found}"


_LAUNCHED = """
import atexit, sys
from pathlib import Path
place = Path(sys.argv.pop(1))
atexit.register(lambda: place.write_text(Path("/proc/self/status").read_text()))
from distill_engine.cli import main
main()
"""
"""The program, which tells at its end what memory it took: what the system tells counts the process it began as."""


def processed(*arguments: str | Path, most_bytes: int) -> Told:
    """Run `distill-engine` as a process of its own; AssertionError as above, or where it took more memory."""
    what = f"distill-engine {' '.join(map(repr, arguments))} as a process"
    with tempfile.TemporaryDirectory() as folder:
        status = Path(folder, "status")
        done = subprocess.run(
            [sys.executable, "-c", _LAUNCHED, status, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        taken = 1024 * int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0])
    told = Told(
        status=done.returncode,
        out=done.stdout.decode("utf-8", "surrogateescape"),
        err=done.stderr.decode("utf-8", "surrogateescape"),
    )
    check_told(told, what)
    tracked.processes += 1
    tracked.refused += bool(told.status)
    tracked.memory = max(tracked.memory, taken)
    assert taken < most_bytes, f"{what} takes {taken / 1e6:,.0f} MB of memory"
    return told


def snapshot(folder: Path) -> dict[str, str]:
    """Return what lies in a folder and below: each name with its kind, rights and content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and status.st_size < 1 << 26 else ""
        target = os.readlink(path) if path.is_symlink() else ""  # noqa: PTH115 - as it stands
        found[str(path.relative_to(folder))] = f"{status.st_mode:o} {status.st_size} {target} {content}"
    return found
