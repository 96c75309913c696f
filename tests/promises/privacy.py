"""Promise 8, privacy and rights: every command is run under watch by a person with a name of their own.

It is looked for what leaves the machine, what is made where others may write, the rights of all that is kept, and that
person's name, folders and tags in what they might give away.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import soundfile

from distill_engine.audio.io import WRITABLE_FORMATS
from distill_engine.run_folder import RunFolder
from distill_engine.run_reading import glance
from tests.engine.program import small
from tests.engine.recordings import sound
from tests.promises.trial import Figure, Size
from tests.promises.watched import TIMEOUT, Watch
from tests.tui.terminal import DASHBOARD, Terminal

PERSON = "annabolena"
SECRET = "whispered-in-the-tags"
"""Stands in every recording's tags, in the text of a file that is none, and in the path of the folder."""

UMASKS = (0o077, 0o022, 0o002)
LOCKS = ("lock", "heartbeat", "dashboard.lock")
LOGS = ("worker.log", "events.jsonl", "commands.jsonl", "service.log", "dashboard.log", "distill-engine.log")
LONGEST_LIST = 64
"""Numbers in a row in a log: more would be a sound's, or a picture's of one."""

QUICK = small(max_epochs=1, preview_recordings=1, preview_samples=1, preview_seconds=1.0, latent_dim=4)


def privacy(size: Size, scratch: Path) -> Iterator[Figure]:
    """Live a whole life with Distill under each umask, watched, and look at all that it leaves."""
    count = [0] * 5
    for umask in UMASKS[: size.of(1, len(UMASKS))]:
        person = _Person(scratch / f"umask-{umask:03o}", umask)
        person.lives(whole=size.whole and umask == UMASKS[0], short=not size.whole)
        found = (person.watch.commands, person.calls(), person.rights(), person.given_away(), person.logs())
        count = [sum(both) for both in zip(count, found, strict=True)]
    yield Figure(what="commands and screens run under watch", count=count[0])
    yield Figure(what="calls that could have gone out, all within this machine", count=count[1])
    yield Figure(what="files and folders with just the rights they should have", count=count[2])
    yield Figure(what="models, checkpoints and sounds without a path, user or host in them", count=count[3])
    yield Figure(what="logs without anything of a recording but its name", count=count[4])
    if size.whole:
        yield Figure(what="attempts of another user on a run", count=_another_user())


class _Person:
    """Somebody with a home, recordings with tags in them, and a folder for temporary files that all may write into."""

    def __init__(self, folder: Path, umask: int) -> None:
        self.home = folder / PERSON
        self.distill = self.home / "distill"
        self.sounds = self.home / "sounds"
        self.shared = folder / "shared"
        self.strings, self.own = self.home / SECRET / "strings", self.home / SECRET / PERSON
        for path in (self.sounds, self.shared, self.strings, self.own):
            path.mkdir(parents=True)
        self.shared.chmod(0o1777)
        for number, (name, where) in enumerate(itertools.product(("one.wav", "two.flac"), (self.strings, self.own))):
            _write_tagged(where / name, number)
        _write_tagged(self.strings / "three.ogg", 4)
        (self.strings / "letter.wav").write_text(f"RIFF this is a letter, {SECRET}\n" * 50)
        environment = {
            "DISTILL_HOME": str(self.distill),
            "HOME": str(self.home),
            "USER": PERSON,
            "LOGNAME": PERSON,
            "TMPDIR": str(self.shared),
            "XDG_RUNTIME_DIR": "",
        }
        self.watch = Watch(folder=self.home, environment=environment, umask=umask)

    def lives(self, *, whole: bool, short: bool) -> None:
        """Run commands: with `short` a run and no more, with `whole` each that there is."""
        run = self.watch.run
        run("train", self.strings, *QUICK)
        run("runs")
        run("model", "export", "strings", self.sounds)
        if short:
            return
        run("train", self.own, *QUICK, "--set=num_processes=2")
        run("generate", "strings", "--duration=1", f"--out={self.sounds}/made.wav", f"--from={self.strings}/one.wav")
        run("analyze", "strings", f"--recordings={self.strings}")
        self._visits()
        if whole:
            self._does_all_else()
        assert not list(self.shared.iterdir()), f"left in the folder for temporary files: {list(self.shared.iterdir())}"

    def _visits(self) -> None:
        """Go through the dashboard's screens, to the sliders too, whose helper makes a picture."""
        command = ["/bin/sh", "-c", f'umask {self.watch.umask:03o} && exec "$@"', "sh", *self.watch.command(DASHBOARD)]
        with Terminal(command, environment=self.watch.variables()) as terminal:
            terminal.wait_for("q leave")
            terminal.lead(("2", r"\[2 Config\]"), ("1", r"\[1 Datasets\]"), ("3", r"\[3 Training\]"))
            terminal.lead(("4", "strings "), ("G", "trained on +3 recordings of strings"), ("p", "Explore strings"))
            terminal.lead(("m", "Library shows"), ("q", ""))
            assert terminal.wait_for_end() == 0, terminal.text

    def _does_all_else(self) -> None:
        run = self.watch.run
        run("scan", self.strings)
        run("scan", self.strings, "--json")
        run("preprocess", self.strings)
        run("train", self.strings, "--dry-run")
        endless = [one for one in QUICK if "max_epochs" not in one]
        long = self.watch.start("train", self.strings, *endless, "--set=max_epochs=10000", "--name=long", "--detach")
        _until_begun(RunFolder(self.distill / "state" / "runs" / "long"))
        for order in ("checkpoint", "pause", "resume", "stop"):
            run(order, "long")
        assert long.wait(TIMEOUT) == 0
        run("follow", "long")
        run("show", "long")
        run("resume", "strings", "--set=max_epochs=2")
        run("train", self.strings, *QUICK, "--from=strings", "--name=further")
        run("delete", "further", "--yes")
        run("runs", "--json")
        run("models")
        run("models", "--json")
        run("model", "show", "strings")
        run("model", "import", self.sounds / "strings.distill", "--name=again")
        run("model", "rename", "again", "another")
        run("model", "delete", "another", "--yes")
        for kind in WRITABLE_FORMATS:
            run("generate", "strings", "--duration=1", f"--format={kind}", f"--out={self.sounds}/new.{kind}")
        run("roundtrip", self.strings / "one.wav", self.sounds / "back.wav")
        run("roundtrip", self.strings / "one.wav", self.sounds / "through.wav", "--model=strings")
        run("cache")
        run("doctor")
        run("bench", "sound", self.strings, "--minutes=0.1")
        run("demo")
        run("cache", "clear")
        run("show", "nothing", status=3)
        run("train", self.home / "nowhere", status=2)

    def calls(self) -> int:
        """Return how many calls could have gone out; none did, and nothing was made in a strange place or way."""
        outside = self.watch.heard_outside()
        assert not outside, f"{len(outside)} calls went out, or looked for a way: {outside[:3]}"
        for made in self.watch.made():
            if made.path.parent == self.shared:
                assert made.is_safe_where_all_may_write, f"{made} can be another user's, or be read by one"
            assert self.home in made.path.parents or self.shared in made.path.parents or made.path.parts[1] == "dev", (
                f"{made} lies where nobody asked for it"
            )
            assert made.path.parts[:3] != ("/", "dev", "shm"), f"{made} lies in memory that all share"
        return self.watch.calls_of_network()

    def rights(self) -> int:
        """Return how many files and folders have the rights that the umask leaves, locks those of a lock."""
        count = 0
        for path in (*self.distill.rglob("*"), *self.sounds.rglob("*")):
            mode = stat.S_IMODE(path.lstat().st_mode)
            usual = (0o777 if path.is_dir() else 0o666) & ~self.watch.umask
            wanted = 0o600 if path.name in LOCKS or path.is_socket() else usual
            assert mode == wanted, f"{path} has the rights {mode:03o}, not {wanted:03o}"
            count += 1
        return count

    def given_away(self) -> int:
        """Return how many files that one might give away say nothing of this person and machine."""
        telling = [PERSON.encode(), SECRET.encode(), os.fsencode(self.home.parent), b"/root/", b"/home/"]
        kinds = {".distill", ".safetensors", *(f".{kind}" for kind in WRITABLE_FORMATS)}
        files = [path for path in (*self.sounds.rglob("*"), *self.distill.rglob("*")) if path.suffix in kinds]
        for path in files:
            content = path.read_bytes()
            for word in telling:
                assert word not in content, f"{path} holds {word!r}"
            if path.suffix in (".distill", ".safetensors"):
                header = content[8 : 8 + int.from_bytes(content[:8], "little")].decode()
                words = {word.strip('"\\,:') for word in header.split('"')}
                assert not words & {socket.gethostname(), socket.getfqdn()}, f"{path} names its machine"
        return len(files)

    def logs(self) -> int:
        """Return how many logs hold nothing of a recording but its name."""
        paths = [path for path in self.distill.rglob("*") if path.name.removesuffix(".1") in LOGS]
        for path in paths:
            for line in path.read_text().splitlines():
                assert "whispered" not in line.replace(str(self.strings.parent), ""), f"{path} tells tags: {line[:200]}"
                assert line.isprintable(), f"{path} holds what is no text: {line[:200]!r}"
                if line.startswith("{"):
                    assert _longest_list(json.loads(line)) <= LONGEST_LIST, f"{path} holds a sound: {line[:200]}"
        return len(paths)


def _write_tagged(path: Path, seed: int) -> None:
    with soundfile.SoundFile(path, "w", 48_000, 1) as file:
        file.title = file.artist = file.comment = SECRET
        file.write(sound(100_000, seed=seed))


def _until_begun(run: RunFolder) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not run.run_file.exists() or glance(run).state.last_step is None:
        assert time.monotonic() < deadline, "the run in the background didn't begin"
        time.sleep(0.1)


def _longest_list(value: object) -> int:
    match value:
        case list():
            return max([sum(isinstance(one, int | float) for one in value), *map(_longest_list, value)])
        case dict():
            return max([0, *map(_longest_list, value.values())])
    return 0


_LOOK = """
import os, sys
from pathlib import Path
from distill_engine.run_folder import RunFolder, list_runs
from distill_engine.run_lock import lock_holder
from distill_engine.run_reading import outline

os.setgroups([])
os.setgid(65534)
os.setuid(65534)  # only now: the programs themselves may lie where nobody else may look
run = RunFolder(Path(sys.argv[1]))
assert lock_holder(run) == int(sys.argv[2]), lock_holder(run)
for flags in (os.O_RDONLY, os.O_RDWR):
    try:
        os.open(run.lock_file, flags)
    except PermissionError:
        continue
    raise AssertionError("another user can take the run's lock")
assert [outline(folder).holder for folder in list_runs()] == [int(sys.argv[2])]
"""

_HOLD = """
import sys
from pathlib import Path
from distill_engine.run_folder import RunFolder
from distill_engine.run_lock import RunLock

with RunLock(RunFolder(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


def _another_user() -> int:
    """Let another user look at a run that all may read and its neighbour that they may not; 0 without the rights to."""
    if os.geteuid() or not Path("/proc/locks").exists():
        return 0
    with tempfile.TemporaryDirectory(prefix="distill-promise-") as home:
        Path(home).chmod(0o755)
        run, private = (RunFolder(Path(home) / "state" / "runs" / name) for name in ("open", "private"))
        for folder, mode in ((run, 0o755), (private, 0o700)):
            folder.path.mkdir(parents=True)
            folder.run_file.write_text("{}")
            folder.path.chmod(mode)
        python = [sys.executable, "-c"]
        hold = subprocess.Popen([*python, _HOLD, run.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert hold.stdout is not None
        assert hold.stdout.readline() == "held\n"
        environment = {**os.environ, "DISTILL_HOME": home, "PYTHONPATH": str(Path(__file__).parents[2])}
        look = [*python, _LOOK, str(run.path), str(hold.pid)]
        looked = subprocess.run(look, env=environment, cwd="/", capture_output=True, text=True, check=False)
        hold.communicate("")
        assert looked.returncode == 0, looked.stderr
    return 4
