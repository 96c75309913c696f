"""How the threads of the arithmetic wait for one another.

By default they spin. Where other processes want the cores too, each barrier then costs a time slice of the scheduler:
a step of 0.1 s was seen to take 3 s and more. Asleep they cost nothing, and on idle cores it makes no difference.
"""

from __future__ import annotations

from collections.abc import MutableMapping


def let_threads_sleep(environment: MutableMapping[str, str]) -> None:
    """Ask OpenMP for it, unless the user asked for something; it counts for a process that hasn't loaded torch yet."""
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
