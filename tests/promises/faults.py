"""A disk that refuses: what a process asks of one folder fails, from one request on and for so many after it.

It lies below the program, in place of the functions through which Python and libsndfile reach the system, so that all
of the program's own code is the real one. Nothing outside the folder is touched.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

_real_open, _real_os_open, _real_os_close, _real_os_write = builtins.open, os.open, os.close, os.write


class FaultyDisk:
    """The folder's disk: `refused` counts requests that failed, `asked` all that write, make, rename or remove.

    Those numbered from `first`, counted from 1, to `first + count - 1` fail with `number`. A full disk takes the first
    half of what is written. `on_refusal` is called before each failure.
    """

    def __init__(
        self, folder: str, *, first: int, count: int, number: int, on_refusal: Callable[[], object] = lambda: None
    ) -> None:
        self._folder = folder
        self._first, self._count, self._number = first, count, number
        self._on_refusal = on_refusal
        self._paths: dict[int, str] = {}
        self._looking = False
        self.asked = self.refused = 0
        self.first_refused = ""

    def install(self) -> None:
        """Stand between this process and the system, for as long as it lives."""
        for name in ("mkdir", "unlink", "remove", "rmdir", "replace", "rename", "link", "utime"):
            setattr(os, name, self._guarded(name))
        for name in ("fsync", "ftruncate"):
            setattr(os, name, self._guarded_descriptor(name))
        for name, call in (("open", self._os_open), ("close", self._os_close), ("write", self._os_write)):
            setattr(os, name, call)
        builtins.open = io.open = self._open
        self._guard_libsndfile()

    def ask(self, what: str, path: object) -> bool:
        """Count a request for a path; raise OSError if it is to fail. Tell whether only a part of it is to be done."""
        if self._looking or not self._is_mine(path):
            return False
        self.asked += 1
        if not self._first <= self.asked < self._first + self._count:
            return False
        self.first_refused = self.first_refused or f"{what} {path}"
        self.refused += 1
        self._looking = True
        self._on_refusal()
        self._looking = False
        if what == "write" and self._number == errno.ENOSPC:
            return True
        raise OSError(self._number, os.strerror(self._number), None if what in ("write", "fsync") else str(path))

    def _is_mine(self, path: object) -> bool:
        return isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith(self._folder)

    def _guarded(self, name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(path: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            self.ask(name, path)
            return real(path, *arguments, **options)

        return call

    def _guarded_descriptor(self, name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(descriptor: int, *arguments: Any) -> Any:  # noqa: ANN401
            self.ask(name, self._paths.get(descriptor))
            return real(descriptor, *arguments)

        return call

    def _os_open(self, path: Any, flags: int, *arguments: Any, **options: Any) -> int:  # noqa: ANN401
        if flags & WRITING:
            self.ask("open", path)
        descriptor = _real_os_open(path, flags, *arguments, **options)
        if self._is_mine(path):
            self._paths[descriptor] = os.fsdecode(path)
        return descriptor

    def _os_close(self, descriptor: int) -> None:
        self._paths.pop(descriptor, None)
        _real_os_close(descriptor)

    def _os_write(self, descriptor: int, data: bytes) -> int:
        if self.ask("write", self._paths.get(descriptor)):
            data = data[: len(data) // 2]
        return _real_os_write(descriptor, data)

    def _open(self, file: Any, mode: str = "r", buffering: int = -1, *texts: Any, **options: Any) -> Any:  # noqa: ANN401
        if not (set(mode) & set("wxa+") and self._is_mine(file)):
            return _real_open(file, mode, buffering, *texts, **options)
        self.ask("open", file)
        raw = _Raw(self, file, mode.replace("b", "").replace("t", ""))
        if buffering == 0:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *texts, **options)

    def _guard_libsndfile(self) -> None:
        import soundfile

        real = soundfile.SoundFile.write

        def write(sound: Any, *arguments: Any) -> None:  # noqa: ANN401
            try:
                refused = self.ask("write", sound.name)
            except OSError:
                refused = True
            if refused:
                raise soundfile.LibsndfileError(2)  # "System error" is all that it tells
            real(sound, *arguments)

        soundfile.SoundFile.write = write


class _Raw(io.FileIO):
    def __init__(self, disk: FaultyDisk, path: Any, mode: str) -> None:  # noqa: ANN401
        self._disk = disk
        self._asked_path = path
        super().__init__(path, mode)

    def write(self, data: Any) -> int:  # noqa: ANN401
        if self._disk.ask("write", self._asked_path):
            data = memoryview(data).cast("B")[: max(1, len(data) // 2)]
        return super().write(data)
