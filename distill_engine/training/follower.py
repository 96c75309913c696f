"""The process of a rank other than 0: it takes the steps that rank 0 tells it, and has no part in anything else.

`python -m distill_engine.training.follower STORE RANK COUNT` is one that a run's worker started. It heeds no signal
that ends a run: the worker does, and then says so. Its input is a pipe of the worker's, which closes when that ends,
however it ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from distill_engine.launched import Place

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


def main() -> None:
    """Follow the worker that started this process."""
    _leave_signals_to_rank_0()
    threading.Thread(target=_end_with_worker, daemon=True).start()
    path, rank, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    sys.exit(follow(Place(rank=rank, count=count, local=rank), f"file://{path}"))


def follow(here: Place, url: str = "env://") -> int:
    """Take part in training until rank 0, met at `url`, says that it ends; return the exit status."""
    from distill_engine.errors import RankLostError  # noqa: PLC0415 - what these import loads torch
    from distill_engine.training.following import Following  # noqa: PLC0415
    from distill_engine.training.rank_start import LEFT_ALONE, leave  # noqa: PLC0415

    try:
        following = Following(here, url)
        _leave_signals_to_rank_0()
        following.obey()
    except RankLostError as error:
        print(error.message, file=sys.stderr)  # noqa: T201 - whoever started it reads this
        return LEFT_ALONE
    leave()
    return 0


def _leave_signals_to_rank_0() -> None:
    for kind in _ENDING:
        signal.signal(kind, signal.SIG_IGN)


def _end_with_worker() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
