"""What torch is told by its environment, which it reads as it is loaded: by each process that may load it.

The threads of its arithmetic spin while they wait for one another. Where other processes want the cores too, each
barrier then costs a time slice of the scheduler: a step of 0.1 s was seen to take 3 s and more. Asleep they cost
nothing, and on idle cores it makes no difference.

What it compiles it keeps, and later runs, in a folder of a name that can be foretold, among the temporary files of all
users: whoever makes that folder first could put code of their own there. So it gets one beside the spectrograms, where
that can be made: torch makes it at once, needed or not, and breaks where it can't.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from distill_engine import home


def prepare_for_torch(environment: MutableMapping[str, str]) -> None:
    """Set what the user hasn't set; it counts for a process that hasn't loaded torch yet."""
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    compiled = home.cache_folder() / "compiled"
    if os.access(next(folder for folder in (compiled, *compiled.parents) if folder.exists()), os.W_OK):
        environment.setdefault("TORCHINDUCTOR_CACHE_DIR", str(compiled))
