"""All that happened over a run, for curves and lists: numbers as numpy columns, the rest as events.

Memory is flat: a table that is full merges its neighbouring rows two by two and goes on. So a run of any length comes
to two million rows at most and, if it is long, one at least; the later they are, the finer, and no spike is lost.
"""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import msgspec
import numpy as np
import numpy.typing as npt

from distill_engine.events import (
    CheckpointSaved,
    CommandAnswered,
    EpochDone,
    Event,
    GpuSample,
    ModelAnalysed,
    OldRecordingsHeard,
    PreviewSaved,
    RunFailed,
    RunFinished,
    RunPaused,
    RunRestarted,
    RunStopped,
    RunUnpaused,
    StepDone,
    SystemSample,
    VerdictReached,
    WarningRaised,
)
from distill_engine.run_state import Warned

CAPACITY = 1 << 21
"""How many rows a table keeps: of steps a day at twenty a second, in 120 MiB."""

_SMALLEST, _SMALL = 1 << 10, 1 << 16
_AT_ONCE = 1 << 16
"""How many rows are made at once as rows are merged: what that needs besides is in the processor's cache."""

Numbers = npt.NDArray[np.float32 | np.float64]


class Table:
    """Columns of numbers, a row an event, in the order of time; what an event left open is NaN. It grows in place.

    `time` and `step` are float64, all others of the type asked for. Once there are `capacity` rows, the next one makes
    every two neighbours one: of `loss_min` the least is kept, of `loss_max`, `gradient_norm` and `best` the greatest,
    of `time`, `step`, `epoch` and `seconds_left` the later, of all else the mean. NaN counts only beside another NaN.
    """

    revision: int
    """Counted up when rows that were there already changed, cut off or merged: what was made of them is made anew."""

    def __init__(
        self,
        names: Sequence[str],
        number: type[np.float32 | np.float64] = np.float64,
        *,
        open_rows: int = 0,
        capacity: int = CAPACITY,
    ) -> None:
        """Make one with so many rows of NaN. `capacity` must be even."""
        self.revision = 0
        self._capacity = capacity
        self._length = open_rows
        self._columns: dict[str, Numbers] = {
            name: np.full(open_rows, np.nan, dtype="f8" if name in ("time", "step") else number) for name in names
        }

    def __len__(self) -> int:
        return self._length

    @property
    def names(self) -> tuple[str, ...]:
        """What the columns are called."""
        return tuple(self._columns)

    def column(self, name: str) -> Numbers:
        """Return the rows so far, read-only and not copied: right until the next change."""
        view = self._columns[name][: self._length]
        view.flags.writeable = False
        return view

    def extend(self, rows: Sequence[object]) -> None:
        """Add a row for each event, from its attributes of the columns' names."""
        begin = 0
        with np.errstate(over="ignore"):  # what float32 can't hold is infinite
            while begin < len(rows):
                if self._length == self._capacity:
                    self._merge()
                room = self._capacity - self._length
                self._add(rows[begin : begin + room])
                begin += room

    def cut(self, length: int) -> None:
        """Keep so many rows, the first ones."""
        if length < self._length:
            self._length = length
            self.revision += 1

    def _add(self, rows: Sequence[object]) -> None:
        end = self._length + len(rows)
        for name in self._columns:
            values = np.fromiter(map(attrgetter(name), rows), np.float64, len(rows))
            self._with_room(name, end)[self._length : end] = values
        self._length = end

    def _with_room(self, name: str, length: int) -> Numbers:
        """Return a column of at least that length.

        One that isn't small gets all the room it may ever need, which costs memory only where it is written to:
        copied into twice the room again and again, a million rows would hold up whoever waits by 40 ms.
        """
        column = self._columns[name]
        if len(column) < length:
            small = length <= _SMALL < self._capacity
            room = max(_SMALLEST, length, 2 * len(column)) if small else self._capacity
            grown = _room(room, column.dtype)
            grown[: self._length] = column[: self._length]
            self._columns[name] = column = grown
        return column

    def _merge(self) -> None:
        half = self._length // 2
        for name, column in self._columns.items():
            merged = _MERGED.get(name, _mean)
            for begin in range(0, half, _AT_ONCE):
                end = min(half, begin + _AT_ONCE)
                column[begin:end] = merged(column[2 * begin : 2 * end : 2], column[2 * begin + 1 : 2 * end : 2])
        self._length = half
        self.revision += 1


def _room(rows: int, number: np.dtype[np.float32 | np.float64]) -> Numbers:
    """Return room for so many rows, straight from the system.

    numpy would ask for huge pages, which takes more memory and, where memory is in pieces, 60 ms at once.
    """
    memory = mmap.mmap(-1, rows * number.itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(memory, number)


def _later(_one: Numbers, other: Numbers) -> Numbers:
    return other


def _mean(one: Numbers, other: Numbers) -> Numbers:
    mean: Numbers = one + other
    mean *= 0.5
    left_open = np.isnan(mean)
    if left_open.any():
        mean[left_open] = np.fmax(one[left_open], other[left_open])
    return mean


_MERGED: dict[str, Callable[[Numbers, Numbers], Numbers]] = {
    "time": _later,
    "step": _later,
    "epoch": _later,
    "seconds_left": _later,
    "loss_min": np.fmin,
    "loss_max": np.fmax,
    "gradient_norm": np.fmax,
    "best": np.fmax,
}

_STEP = tuple(name for name in StepDone.__struct_fields__ if name not in ("seq", "epoch"))
_EPOCH = tuple(name for name in EpochDone.__struct_fields__ if name != "seq")
_SAMPLE = ("time", "cpu", "memory_used", "worker_cpu", "worker_memory")
_GPU = ("load", "memory_used", "memory_total", "power", "temperature")
_NOTHING = GpuSample(index=-1, name="", load=None, memory_used=None, memory_total=None, power=None, temperature=None)


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """An answer to a command, and the step the run had come to."""

    event: CommandAnswered
    step: int


@dataclass(kw_only=True)
class _Rows:
    """Events that wait to become rows together."""

    steps: list[Event] = field(default_factory=list)
    epochs: list[EpochDone] = field(default_factory=list)
    samples: list[SystemSample] = field(default_factory=list)


class History:
    """All that happened over a run. It grows in place and is never copied.

    A restart takes back what was told of later steps. What the machine and the process did stays, for they did it:
    samples, restarts, analyses and endings. So does an answer, which somebody was given, at the step it was given at.
    """

    def __init__(self) -> None:
        self.steps = Table(_STEP, np.float32)
        """What `StepDone` tells, but for its epoch."""
        self.epochs = Table(_EPOCH)
        """What `EpochDone` tells."""
        self.samples = Table(_SAMPLE)
        """What `SystemSample` tells of the whole machine."""
        self.gpus: dict[int, Table] = {}
        """What `SystemSample` tells of one GPU each, by its index, row for row with `samples`."""
        self.previews: list[PreviewSaved] = []
        self.checkpoints: list[CheckpointSaved] = []
        self.verdicts: list[VerdictReached] = []
        self.old_recordings: list[OldRecordingsHeard] = []
        self.analyses: list[ModelAnalysed] = []
        self.warnings: list[Warned] = []
        self.pauses: list[RunPaused | RunUnpaused] = []
        self.answers: list[Answered] = []
        self.restarts: list[RunRestarted] = []
        self.endings: list[RunStopped | RunFinished | RunFailed] = []
        self._step = 0

    def append(self, events: Sequence[Event]) -> None:
        """Take in a batch of events, in their order; a restart among them takes back what it must."""
        rows = _Rows()
        for _, group in itertools.groupby(events, type):
            alike = [*group]
            last = alike[-1]
            if isinstance(last, StepDone):
                rows.steps += alike
                self._step = last.step
                continue
            for event in alike:
                if isinstance(event, RunRestarted):
                    self._extend(rows)
                    rows = _Rows()
                    self.take_back(event.from_step)
                self._note(event, rows)
        self._extend(rows)

    def take_back(self, from_step: int) -> None:
        """Forget what was told of later steps."""
        for table in (self.steps, self.epochs):
            table.cut(int(np.searchsorted(table.column("step"), from_step, side="right")))
        self.previews = [one for one in self.previews if one.step <= from_step]
        self.checkpoints = [one for one in self.checkpoints if one.step <= from_step]
        self.verdicts = [one for one in self.verdicts if one.step <= from_step]
        self.old_recordings = [one for one in self.old_recordings if one.step <= from_step]
        self.warnings = [one for one in self.warnings if one.step <= from_step]
        self.pauses = [one for one in self.pauses if one.step <= from_step]
        self._step = min(self._step, from_step)

    def _note(self, event: Event, rows: _Rows) -> None:
        """Take in what isn't a step: into the rows to come, or into a list."""
        match event:
            case EpochDone():
                rows.epochs.append(event)
            case SystemSample():
                rows.samples.append(event)
            case PreviewSaved():
                self.previews.append(event)
            case CheckpointSaved():
                self.checkpoints.append(event)
            case VerdictReached():
                self.verdicts.append(event)
            case WarningRaised():
                self.warnings.append(Warned(event=event, step=self._step))
            case CommandAnswered():
                self.answers.append(Answered(event=event, step=self._step))
            case RunPaused() | RunUnpaused():
                self.pauses.append(event)
            case _:
                self._note_stretch(event)

    def _note_stretch(self, event: Event) -> None:
        """Take in what comes once in a stretch."""
        match event:
            case RunRestarted():
                self.restarts.append(event)
            case OldRecordingsHeard():
                self.old_recordings.append(event)
            case ModelAnalysed():
                self.analyses.append(event)
            case RunStopped() | RunFinished() | RunFailed():
                self.endings.append(event)

    def _extend(self, rows: _Rows) -> None:
        self.steps.extend(rows.steps)
        self.epochs.extend(rows.epochs)
        self._extend_gpus(rows.samples)
        self.samples.extend(rows.samples)

    def _extend_gpus(self, samples: Sequence[SystemSample]) -> None:
        for index in {gpu.index for sample in samples for gpu in sample.gpus} - self.gpus.keys():
            self.gpus[index] = Table(_GPU, open_rows=len(self.samples))
        for index, table in self.gpus.items():
            table.extend([_of_gpu(sample, index) for sample in samples])


def _of_gpu(sample: SystemSample, index: int) -> GpuSample:
    return next((gpu for gpu in sample.gpus if gpu.index == index), _NOTHING)
