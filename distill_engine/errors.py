"""Everything a person may be told went wrong: a sentence, a hint, and the exit status it ends a command with.

Raise these for what a user can meet; `ValueError` for a caller's bad argument; `assert` for what only we can break.
"""

from __future__ import annotations

from typing import ClassVar

from distill_engine.words import sentence


class DistillError(Exception):
    """A failure told in one sentence, with a hint on what to do about it; both fit to be shown, whatever is in them."""

    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = sentence(message)
        self.hint = "\n".join(map(sentence, hint.split("\n")))
        super().__init__(self.message)


class UsageError(DistillError):
    """Wrong usage: nothing was started."""

    exit_status = 2


class ConfigError(UsageError):
    """A configuration that can't be used; `key` is the dotted name of the field at fault, where there is one.

    Where fields contradict each other, `also` has the names of the others.
    """

    def __init__(self, message: str, hint: str = "", key: str = "", also: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint)
        self.key = key
        self.also = also


class DatasetError(UsageError):
    """A folder that holds nothing to train on."""


class NotFoundError(DistillError):
    """No such run or model."""

    exit_status = 3


class ModelFileError(DistillError):
    """A `.distill` or checkpoint file that can't be read."""


class DivergedError(DistillError):
    """Training left the finite numbers and didn't come back."""


class RankLostError(DistillError):
    """One of the processes that train together is gone, or doesn't answer."""


class RunGoneError(DistillError):
    """A run's folder that was there is so no more."""


class StopRequestedError(Exception):
    """Work in progress was asked to stop and did; not a failure, and never shown as one."""
