"""Whether torch.compile pays for a run: measured once on a machine, the time it takes to compile counted, and kept.

What is compiled is the network, there and back; losses and the optimiser's step stay as they are. Compiled code rounds
otherwise, so what was decided stands in the run's configuration, and a resumed run computes as it began.
"""

from __future__ import annotations

import time
from pathlib import Path

from msgspec import Struct

from distill_engine.training.computing import as_configured
from distill_engine.training.config import TrainingConfig, replaced
from distill_engine.training.speeds import MOST_PIECES, TRIAL_RATES, in_turns, kept, trial_batch, trial_stepper
from distill_engine.words import duration

MOST_DIFFERENCE = 0.01
"""Of losses, relative: roundings in bf16 make a tenth of it."""


class Compiled(Struct, frozen=True, kw_only=True):
    """Seconds of a step as it is, of one compiled, and of compiling; a run that finds it done pays a part of that.

    `difference` is by how much of itself the compiled loss differs.
    """

    plain: float
    compiled: float
    warm_up: float
    difference: float

    def pays_over(self, steps: int) -> bool:
        """Tell whether it saves more than it takes."""
        return steps * (self.plain - self.compiled) > self.warm_up


def settled(config: TrainingConfig, steps: int, cache: Path) -> tuple[TrainingConfig, str]:
    """Return `config`, all else of which is decided, with compiling on or off for so many steps; and why it is off.

    The reason is empty where it wasn't asked for. A first time on a machine takes about a minute.
    """
    if config.compile == "off":
        return config, ""
    off = replaced(config, {"compile": "off"})
    try:
        found = measured(config, cache)
    except Exception as error:  # compilers fail in ways of their own, and none is a reason not to train
        return off, _in_words(error)
    if not found.difference <= MOST_DIFFERENCE:
        return off, f"compiled steps compute something else: losses differ by {found.difference:.1%}"
    if config.compile == "on" or found.pays_over(steps):
        return replaced(config, {"compile": "on"}), ""
    return off, (
        f"a step takes {1000 * found.compiled:.0f} ms compiled and {1000 * found.plain:.0f} ms as it is, "
        f"and compiling takes {duration(found.warm_up)}"
    )


def measured(config: TrainingConfig, cache: Path) -> Compiled:
    """Return what compiling comes to with a decided `config`, measured now, or here before; raises what it raises."""
    size = min(config.batch_size, MOST_PIECES)
    what = ("compile", size, config.precision, config.memory_format)
    return kept(cache, config, what, Compiled, lambda: _measured(config, size))


def _measured(config: TrainingConfig, size: int) -> Compiled:
    with as_configured(config):
        batch = trial_batch(config, size)
        plain, compiled = (trial_stepper(replaced(config, {"compile": choice})) for choice in ("off", "on"))
        begin = time.perf_counter()
        losses = [float(stepper.take(batch, 1, TRIAL_RATES)[0]) for stepper in (plain, compiled)]
        first = time.perf_counter() - begin
        of_plain, of_compiled = in_turns([plain, compiled], batch)
    return Compiled(
        plain=of_plain,
        compiled=of_compiled,
        warm_up=first - of_plain - of_compiled,
        difference=abs(losses[1] / losses[0] - 1),
    )


def _in_words(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"torch can't compile here: {lines[0] if lines else type(error).__name__}"
