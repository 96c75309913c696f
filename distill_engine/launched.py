"""Where torchrun, or a batch script in its manner, has put this process among those that it started together."""

from __future__ import annotations

import os
from dataclasses import dataclass

from distill_engine.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Place:
    """One of `count` processes, on one machine or several; `local` is its number on its machine."""

    rank: int
    count: int
    local: int


def place() -> Place | None:
    """Return this process's place; None for one that was started alone.

    Raises:
        UsageError: the variables that tell it aren't numbers.
    """
    told = {name: os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    if not (told["RANK"] and told["WORLD_SIZE"]):
        return None
    try:
        here = Place(
            rank=int(told["RANK"]), count=int(told["WORLD_SIZE"]), local=int(told["LOCAL_RANK"] or told["RANK"])
        )
    except ValueError:
        raise UsageError(
            "RANK, WORLD_SIZE and LOCAL_RANK in the environment aren't all numbers",
            "torchrun sets them; unset them to train in one process",
        ) from None
    return here if here.count > 1 else None
