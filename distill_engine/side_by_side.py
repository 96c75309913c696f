"""Work that goes on side by side in one process: on as many threads as torch has, each on its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import torch


@contextlib.contextmanager
def one_thread_each() -> Iterator[ThreadPoolExecutor]:
    """Yield as many threads as torch has, none of which shares its arithmetic with others meanwhile.

    So what a piece of work comes to doesn't depend on how many there are. At the end what hasn't begun is dropped, and
    what has is waited for.
    """
    with torch_threads(1) as before:
        pool = ThreadPoolExecutor(before, "side by side")
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[int]:
    """Let torch compute on so many threads; yield how many they were, and will be again."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield before
    finally:
        torch.set_num_threads(before)
