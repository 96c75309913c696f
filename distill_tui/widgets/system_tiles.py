"""What the machine is doing: a line for processor and memory, one for GPUs, the latest samples as a small picture."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from distill_engine import api
from distill_tui.format import Words, progress_bar
from distill_tui.widgets.line import Lines

if TYPE_CHECKING:
    from distill_engine.api import GpuSample, History, SystemSample
    from distill_tui.live_run import RunView

_LEVELS, _PLAIN_LEVELS = "▁▂▃▄▅▆▇█", "_.:-=+*#"
WIDE, MIDDLE = 110, 74
"""From these widths on, bars and histories are longer; from the first on a GPU is named."""

AT_ITS_END = "at its end  "
"""Stands before what the machine did last for a run that is over."""


class SystemTiles(Lines):
    """A line or two about the machine the run is on."""

    DEFAULT_CSS = "SystemTiles { height: 1; padding: 0 1; &.-gpus { height: 2; } }"

    def __init__(self, *, ascii_only: bool) -> None:
        super().__init__(id="system")
        self._ascii_only = ascii_only
        self._view: RunView | None = None

    def show_run(self, view: RunView | None) -> None:
        """Say what the machine of this run was doing last."""
        self._view = view
        sample = view.state.last_sample if view else None
        if view is None or sample is None:
            self.set_class(False, "-gpus")
            self.show([[("nothing is told of the machine yet", "dim")] if view and not view.state.is_over else []])
            return
        self.set_class(bool(sample.gpus), "-gpus")
        self.show(list(self._told(sample, view.history, is_over=view.state.is_over)))

    def on_resize(self) -> None:
        """Lay it out for another width."""
        self.show_run(self._view)

    def _told(self, sample: SystemSample, history: History | None, *, is_over: bool) -> Iterable[Words]:
        room = self.size.width - (len(AT_ITS_END) if is_over else 0)
        wide = room >= WIDE
        cells = 12 if wide else 6 if room >= MIDDLE else 3
        yield [
            (AT_ITS_END if is_over else "", "dim"),
            ("cpu ", "dim"),
            *self._history(_last(history, "cpu", cells), cells),
            (f"{sample.cpu:4.0f} %", ""),
            ("   memory " if wide else "  memory ", "dim"),
            *self._bar(sample.memory_used / max(1, sample.memory_total), cells),
            (f" {_of(sample.memory_used, sample.memory_total)}", ""),
            ("   worker " if wide else "  worker ", "dim"),
            (f"{sample.worker_cpu:.0f} %", ""),
            (" of a core, " if wide else ", ", "dim"),
            (api.size(sample.worker_memory), ""),
        ]
        if len(sample.gpus) == 1:
            yield self._gpu(sample.gpus[0], history, cells, wide=wide)
        elif sample.gpus:
            yield self._gpus(sample.gpus)

    def _gpu(self, gpu: GpuSample, history: History | None, cells: int, *, wide: bool) -> Words:
        line: Words = [("gpu ", "dim")]
        if gpu.load is not None:
            line += [*self._history(_last_of_gpu(history, gpu.index, cells), cells), (f"{gpu.load:4.0f} %", "")]
        if gpu.memory_used is not None and gpu.memory_total:
            line += [
                ("   memory " if wide else "  memory ", "dim"),
                *self._bar(gpu.memory_used / gpu.memory_total, cells),
            ]
            line += [(f" {_of(gpu.memory_used, gpu.memory_total)}", "")]
        line += [("   " if wide else "  ", ""), (", ".join(_heat(gpu)), "")]
        return [*line, (f"   {api.shown(gpu.name)}", "dim")] if wide else line

    def _gpus(self, gpus: list[GpuSample]) -> Words:
        """Return as many of them as there is room for, and how many more there are."""
        room, line = self.size.width - 12, Words()
        for place, gpu in enumerate(gpus):
            load = "" if gpu.load is None else f" {gpu.load:.0f} %"
            memory = f", {_of(gpu.memory_used, gpu.memory_total)}" if gpu.memory_used and gpu.memory_total else ""
            words = f"{load}{memory}   "
            room -= len(words) + 5
            if room < 0:
                return [*line, (f"and {len(gpus) - place} more", "dim")]
            line += [(f"gpu {gpu.index}", "dim"), (words, "")]
        return line

    def _history(self, shares: list[float], cells: int) -> Words:
        """Return values in percent as a small picture, the latest at the right."""
        levels = _PLAIN_LEVELS if self._ascii_only else _LEVELS
        drawn = "".join(levels[min(7, max(0, int(share / 100 * 8)))] for share in shares if not math.isnan(share))
        return [(drawn.rjust(cells), "")]

    def _bar(self, share: float, cells: int) -> Words:
        return progress_bar(share, cells, "#." if self._ascii_only else "█░", "")


def _last(history: History | None, column: str, count: int) -> list[float]:
    return history.samples.column(column)[-count:].tolist() if history else []


def _last_of_gpu(history: History | None, index: int, count: int) -> list[float]:
    return history.gpus[index].column("load")[-count:].tolist() if history and index in history.gpus else []


def _heat(gpu: GpuSample) -> Iterable[str]:
    if gpu.power is not None:
        yield f"{gpu.power:.0f} W"
    if gpu.temperature is not None:
        yield f"{gpu.temperature:.0f} C"


def _of(used: int, total: int) -> str:
    return f"{used / 1e9:.1f} of {total / 1e9:.1f} GB"
