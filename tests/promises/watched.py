"""Programs run under watch: which addresses they talk to, which names they look up, what they make and where.

strace tells it of the whole process, its children and its libraries; where there is none, a hook within each Python
process tells what Python itself does.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

STRACE = shutil.which("strace")
TIMEOUT = 900

_HOOK = """
import os, sys

def told(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"):
        told_of = repr(arguments[-1])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        told_of = "look up " + repr(arguments[0])
    else:
        return
    log = os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(log, (told_of + chr(10)).encode())
    os.close(log)

sys.addaudithook(told)
"""

_CALL = re.compile(r"^\d+\s+(\w+)\((.*)")
_ADDRESS = re.compile(r'sa_family=AF_INET6?,.*?(?:inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)")')
_MADE = re.compile(r'^(?:AT_FDCWD, )?"((?:[^"\\]|\\.)*)", (?:([A-Z_|]+), )?(0[0-7]*)\) = \d')
_LOCAL_KINDS = ("AF_UNIX", "AF_NETLINK", "AF_UNSPEC")
_LOOKUPS = ('"/etc/resolv.conf"', '"/etc/hosts"')


@dataclass(frozen=True, kw_only=True)
class Made:
    """A file or folder that a program made."""

    path: Path
    flags: str
    """Those it was opened with, empty of a folder."""

    mode: int
    """The one it asked for, before the umask."""

    @property
    def is_safe_where_all_may_write(self) -> bool:
        """Whether nobody else can have put it there, nor look into it."""
        return self.mode & 0o077 == 0 and (not self.flags or "O_EXCL" in self.flags)


@dataclass(kw_only=True)
class Watch:
    """Runs programs in one folder, and keeps what they did."""

    folder: Path
    environment: Mapping[str, str]
    umask: int
    commands: int = 0
    by_strace: bool = field(default=STRACE is not None)

    def __post_init__(self) -> None:
        self._logs = self.folder / "watch"
        self._logs.mkdir()
        (self._logs / "sitecustomize.py").write_text(_HOOK.format(log=str(self._logs / "hook")))

    def variables(self) -> dict[str, str]:
        """Return the environment of what is watched."""
        paths = [str(self._logs), str(Path(__file__).parents[2])]
        return {**os.environ, "OMP_NUM_THREADS": "1", **self.environment, "PYTHONPATH": os.pathsep.join(paths)}

    def command(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs another one under watch."""
        self.commands += 1
        if STRACE is None:
            return [*command]
        calls = "trace=%network,open,openat,creat,mkdir,mkdirat"
        log = self._logs / f"{self.commands}.strace"
        return [STRACE, "-f", "-qq", "--seccomp-bpf", "-s", "4096", "-e", calls, "-o", str(log), *command]

    def run(self, *arguments: str | Path, status: int = 0) -> str:
        """Run `distill-engine` to its end, which must be with that status; return what it printed."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=TIMEOUT)
        assert process.returncode == status, f"{arguments} ended with {process.returncode}: {err}"
        return out

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start `distill-engine`; strace ends when all that it started has, also in the background."""
        return subprocess.Popen(
            self.command([sys.executable, "-m", "distill_engine", *map(str, arguments)]),
            env=self.variables(),
            cwd=self.folder,
            umask=self.umask,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def heard_outside(self) -> list[str]:
        """Return each sign of a connection, or of a look for one, that isn't within this machine."""
        return [*self._outside_by_strace(), *self._outside_by_hook()]

    def calls_of_network(self) -> int:
        """Return how many calls were looked at that could have gone out."""
        return sum(1 for _ in self._calls("connect", "bind", "sendto", "sendmsg"))

    def made(self) -> Iterator[Made]:
        """Yield every file and folder that was made or opened to be, by absolute path, as far as strace tells."""
        for name, arguments in self._calls("open", "openat", "creat", "mkdir", "mkdirat"):
            found = _MADE.match(arguments)
            if found and (name.startswith("mkdir") or "O_CREAT" in arguments):
                path = found[1].encode().decode("unicode_escape").encode("latin-1")
                yield Made(path=self.folder / os.fsdecode(path), flags=found[2] or "", mode=int(found[3], 8))

    def _outside_by_strace(self) -> Iterator[str]:
        for name, arguments in self._calls("connect", "bind", "sendto", "sendmsg"):
            if "sa_family=" not in arguments or any(f"sa_family={kind}" in arguments for kind in _LOCAL_KINDS):
                continue
            found = _ADDRESS.search(arguments)
            if not found or not ipaddress.ip_address(found[1] or found[2]).is_loopback:
                yield f"{name}({arguments}"
        yield from (f"{name}({told}" for name, told in self._calls("open", "openat") if any(map(told.count, _LOOKUPS)))

    def _outside_by_hook(self) -> list[str]:
        path = self._logs / "hook"
        told = path.read_text().splitlines() if path.exists() else []
        return [line for line in told if not re.match(r"\('(127\.\d+\.\d+\.\d+|::1)', ", line)]

    def _calls(self, *names: str) -> Iterator[tuple[str, str]]:
        for path in sorted(self._logs.glob("*.strace")):
            with path.open(errors="replace") as file:
                for line in file:
                    call = _CALL.match(line)
                    if call and call[1] in names:
                        yield call[1], call[2]
