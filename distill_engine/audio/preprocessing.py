"""From a scanned folder to spectrograms on disk: split, copies, analysis, statistics; only what changed is made anew.

The decision: the cache holds raw values under names made from all that they depend on. So normalisation, split and
batch size may change without analysing anything again, and two processes at once write the same bytes to the same
names. Recordings are streamed, one to a thread, as many at a time as there are cores: memory doesn't grow with their
length or number, and the bytes don't depend on how many cores there are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from distill_engine import atomic
from distill_engine.audio import cache as cache_files
from distill_engine.audio.activity import FrameLevels, active_runs, runs_within
from distill_engine.audio.augmentation import CopyParameters, colour, draw_copies, warp
from distill_engine.audio.cache import CacheEntry, Runs
from distill_engine.audio.io import RecordingError
from distill_engine.audio.spectrogram import AUDIBLE_FLOOR, MAGNITUDE_FLOOR, Normalisation, StreamingAnalyser
from distill_engine.audio.waveform import SAMPLE_RATE, stream_waveform
from distill_engine.datasets import Recording, Scan, changed, check_unchanged
from distill_engine.errors import DatasetError, DistillError, StopRequestedError
from distill_engine.side_by_side import one_thread_each
from distill_engine.split import split_recordings
from distill_engine.training.config import ComplexSpectrogramConfig, TrainingConfig
from distill_engine.words import counted, encodable, shown

CACHE_VERSION = 4
"""Raised with every change to what analysis or augmentation make of the same recording and settings."""

_LEAST_SCALE = 1e-3
"""Nepers: of a corpus that is less above what is heard, nothing is."""

_SECONDS_BETWEEN_QUESTIONS = 0.1

Progress = Callable[[int, int, str], None]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True, kw_only=True)
class PreparedItem:
    """A recording, or a copy of one, ready to draw windows from."""

    recording: Recording
    copy: int
    """0 for the recording itself, else the copy's number."""
    parameters: CopyParameters
    """What was done to the recording to make the copy."""
    entry: CacheEntry
    """Its raw spectrogram in the cache."""
    runs: Runs
    """The frames that windows may be drawn from; each run holds at least one window."""

    @property
    def usable_frames(self) -> int:
        """How many frames the runs have."""
        return sum(stop - start for start, stop in self.runs)


@dataclass(frozen=True, kw_only=True)
class SkippedRecording:
    """A recording that the scan found good and that couldn't be prepared all the same."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class PreparedCorpus:
    """All that training draws from."""

    training: tuple[PreparedItem, ...]
    validation: tuple[PreparedItem, ...]
    """Unaltered recordings, or parts of them, that no training item holds; may be empty."""
    normalisation: Normalisation
    """From the training items alone."""
    split_by_time: bool
    """Whether validation is the end of a recording whose beginning is trained on."""
    skipped: tuple[SkippedRecording, ...]
    notes: tuple[str, ...]
    """Sentences a person should read, such as why there is no validation."""
    made: int
    """Spectrograms that were analysed now."""
    reused: int
    """Spectrograms that were in the cache."""


@dataclass(frozen=True, kw_only=True)
class _Job:
    recording: Recording
    copy: int
    parameters: CopyParameters
    key: str
    validation: bool


def preprocess_complex_spectrograms(
    scan: Scan,
    config: TrainingConfig,
    cache: Path,
    *,
    on_progress: Progress = lambda _done, _total, _name: None,
    should_stop: ShouldStop = lambda: False,
) -> PreparedCorpus:
    """Bring the scan's usable recordings, and copies of those for training, into the cache; return what to train on.

    `on_progress(done, total, name)` follows each spectrogram, made or found; `should_stop()` is asked ten times a
    second, and a yes ends in StopRequestedError with all that was finished kept. DatasetError where nothing usable is
    left, DistillError where the cache can't be written.
    """
    cache_files.remove_abandoned(cache)
    jobs = _plan(scan.used, config)
    work = _Work(config.complex_spectrogram, cache, should_stop)
    items = work.prepare(jobs, on_progress)
    by_time = len({item.recording.digest for item, _ in items}) < 2
    training = [item for item, job in items if by_time or not job.validation]
    validation = [item for item, job in items if not by_time and job.validation]
    if not training:
        reasons = "; ".join(f"{shown(skipped.name)}: {skipped.reason}" for skipped in work.skipped)
        raise DatasetError(f"no recording in {shown(str(scan.folder))} can be trained on", reasons)
    if by_time and config.val_fraction > 0:
        training, validation = _split_in_time(training, config)
    corpus = PreparedCorpus(
        training=tuple(training),
        validation=tuple(validation),
        normalisation=_normalisation(training),
        split_by_time=by_time and bool(validation),
        skipped=tuple(work.skipped),
        notes=(*_notes_on_copies(training, config), *_notes_on_validation(by_time, validation, config)),
        made=work.made,
        reused=len(items) - work.made,
    )
    with _writing_to(cache):
        _write_index(scan, config, cache, corpus)
    return corpus


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """What became of a job: its spectrogram, or the reason why its recording is skipped, or that it was already."""

    entry: CacheEntry | None = None
    reason: str = ""


class _Work:
    """Makes or finds the spectrograms of jobs, several at a time, each on a thread of its own; and keeps count.

    A thread has hardly anything to wait for: decoding, resampling, transforms and noise all let go of Python's lock.
    What a job comes to depends on nothing but the job, so their number changes no byte.
    """

    def __init__(self, config: ComplexSpectrogramConfig, cache: Path, should_stop: ShouldStop) -> None:
        self._config = config
        self._cache = cache
        self._should_stop = should_stop
        self._ends = threading.Event()
        self._making: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        """By keys: of recordings with the same content only one is made, and the rest find it."""
        self._counting = threading.Lock()
        self._broken: set[str] = set()
        self.skipped: list[SkippedRecording] = []
        self.made = 0

    def prepare(self, jobs: Sequence[_Job], on_progress: Progress) -> list[tuple[PreparedItem, _Job]]:
        """Return what there is to train on, in the order of the jobs."""
        for job in jobs:
            self._making[job.key]  # all of them are made here, by one thread
        items = []
        with one_thread_each() as pool:
            try:
                outcomes = [pool.submit(self._outcome, job) for job in jobs]
                for done, (job, outcome) in enumerate(zip(jobs, outcomes, strict=True), start=1):
                    result = self._awaited(outcome)
                    if result.entry is not None:
                        items.append((_item(job, result.entry), job))
                    elif result.reason and job.recording.name not in {one.name for one in self.skipped}:
                        self.skipped.append(SkippedRecording(name=job.recording.name, reason=result.reason))
                    on_progress(done, len(jobs), job.recording.name)
            except BaseException:
                self._ends.set()
                raise
        return items

    def _awaited(self, outcome: Future[_Outcome]) -> _Outcome:
        """Return what a job came to, asking meanwhile whether to stop."""
        while True:
            if self._should_stop():
                raise StopRequestedError
            if wait([outcome], _SECONDS_BETWEEN_QUESTIONS).done:
                return outcome.result()

    def _outcome(self, job: _Job) -> _Outcome:
        with self._making[job.key]:
            if job.recording.name in self._broken:
                return _Outcome()
            entry = cache_files.find_entry(self._cache, job.key)
            if entry is not None:
                return _Outcome(entry=entry)
            try:
                return _Outcome(entry=self._make(job))
            except RecordingError as error:
                self._broken.add(job.recording.name)
                return _Outcome(reason=error.message)

    def _make(self, job: _Job) -> CacheEntry:
        path = cache_files.spectrogram_path(self._cache, job.key)
        with _writing_to(self._cache), atomic.replacing(path) as temporary, temporary.open("wb") as file:
            self._write(file, job)
        entry = cache_files.find_entry(self._cache, job.key)
        if entry is None:
            raise DistillError(
                f"the spectrogram of {shown(job.recording.name)} was written and can't be read back",
                "the disk under the cache may be failing; `distill-engine cache clear` starts afresh",
            )
        with self._counting:
            self.made += 1
        return entry

    def _write(self, file: BinaryIO, job: _Job) -> None:
        """Write an entry in one pass: frames as they come, then what is known at the end, then the header."""
        levels = FrameLevels(self._config.hop_length)
        sums = bytearray()  # one block that grows: many small tensors that stay would pin gigabytes of freed ones
        file.write(bytes(cache_files.HEADER_BYTES))
        for block in self._analysed(job, levels):
            file.write(block.permute(2, 0, 1).half().contiguous().numpy().data)
            above = (block[0] - AUDIBLE_FLOOR).clamp(min=0.0)
            sums += torch.stack((above.sum(dim=0), above.square().sum(dim=0)), dim=1).numpy().data
        runs = active_runs(levels.finish(), self._config)
        file.write(sums)
        file.write(np.array(runs, np.int32).data)
        file.seek(0)
        frames = len(sums) // 8
        file.write(cache_files.header(job.key, frames=frames, n_mels=self._config.n_mels, runs=len(runs)))

    def _analysed(self, job: _Job, levels: FrameLevels) -> Iterator[Tensor]:
        """Yield the raw spectrogram as blocks [2, n_mels, k]; levels are taken before noise can fill a silence."""
        shortest = (self._config.time_frames - 1) * self._config.hop_length
        analyser = StreamingAnalyser(self._config)
        clean = _tapped(_padded(warp(self._source(job.recording), job.parameters), shortest), levels.push)
        for block in colour(clean, job.parameters):
            if self._ends.is_set():
                raise StopRequestedError
            yield analyser.push(block)
        yield analyser.finish()

    def _source(self, recording: Recording) -> Iterator[Tensor]:
        """Yield the recording's waveform; RecordingError where it isn't what the scan saw."""
        check_unchanged(recording)
        samples = 0
        for block in stream_waveform(recording.path):
            samples += len(block)
            yield block
        if abs(samples - recording.seconds * SAMPLE_RATE) > 2 + samples * 1e-5:
            raise changed(recording)
        check_unchanged(recording)


def _plan(recordings: Sequence[Recording], config: TrainingConfig) -> list[_Job]:
    """Return the jobs: each recording and, where it is for training, its copies."""
    _, validation = split_recordings(recordings, config.seed, config.val_fraction)
    held_out = {recording.digest for recording in validation}
    jobs = []
    for recording in recordings:
        copies: tuple[CopyParameters, ...] = ()
        if recording.digest not in held_out:
            copies = draw_copies(
                config.augmentation,
                seed=config.seed,
                digest=recording.digest,
                rms_db=recording.rms_db,
                seconds=recording.seconds,
            )
        for number, parameters in enumerate((CopyParameters(), *copies)):
            jobs.append(
                _Job(
                    recording=recording,
                    copy=number,
                    parameters=parameters,
                    key=_key(recording, parameters, config.complex_spectrogram),
                    validation=recording.digest in held_out,
                )
            )
    return jobs


def _item(job: _Job, entry: CacheEntry) -> PreparedItem:
    return PreparedItem(
        recording=job.recording, copy=job.copy, parameters=job.parameters, entry=entry, runs=entry.active
    )


def _key(recording: Recording, parameters: CopyParameters, config: ComplexSpectrogramConfig) -> str:
    return cache_files.content_key(
        {
            "version": CACHE_VERSION,
            "recording": recording.digest,
            "representation": _representation(config),
            "copy": dataclasses.asdict(parameters),
        }
    )


def _representation(config: ComplexSpectrogramConfig) -> dict[str, float]:
    return {**dataclasses.asdict(config), "sample_rate": SAMPLE_RATE, "magnitude_floor": MAGNITUDE_FLOOR}


def _split_in_time(
    items: Sequence[PreparedItem], config: TrainingConfig
) -> tuple[list[PreparedItem], list[PreparedItem]]:
    """Return the beginnings of all items, and the ends of the recordings themselves, with a piece's gap between.

    Where a recording is too short to give both a piece, everything is for training.
    """
    least, hop = config.complex_spectrogram.time_frames, config.complex_spectrogram.hop_length
    training, validation = [], []
    for item in items:
        source = next(other for other in items if other.recording == item.recording and other.copy == 0)
        cut = _cut(source, config.val_fraction, least)
        if item.copy == 0:
            validation.append(_part(item, cut, item.entry.frames, least))
        end = math.floor(((cut - least) * hop / item.parameters.speed + item.parameters.shift_samples) / hop)
        training.append(_part(item, 0, min(end, item.entry.frames), least))
    beginnings, ends = ([item for item in part if item.runs] for part in (training, validation))
    return (beginnings, ends) if any(item.copy == 0 for item in beginnings) and ends else (list(items), [])


def _cut(item: PreparedItem, val_fraction: float, least: int) -> int:
    """Return the frame after which `val_fraction` of the frames with sound lie, and at least one piece."""
    wanted = max(least, round(item.usable_frames * val_fraction))
    for start, stop in reversed(item.runs):
        if stop - start >= wanted:
            return stop - wanted
        wanted -= stop - start
    return 0


def _part(item: PreparedItem, first: int, stop: int, least: int) -> PreparedItem:
    return dataclasses.replace(item, runs=runs_within(item.runs, first, stop, least))


def _normalisation(items: Iterable[PreparedItem]) -> Normalisation:
    """Scale so that magnitudes above the floor have an RMS of 1 over all the training frames with sound."""
    count, squares = 0, 0.0
    for item in items:
        sums = cache_files.read_sums(item.entry)
        for start, stop in item.runs:
            count += (stop - start) * item.entry.n_mels
            squares += float(sums[start:stop, 1].sum(dtype=np.float64))
    scale = math.sqrt(squares / count)
    return Normalisation(magnitude_floor=AUDIBLE_FLOOR, magnitude_scale=scale if scale > _LEAST_SCALE else 1.0)


def _notes_on_copies(training: Sequence[PreparedItem], config: TrainingConfig) -> tuple[str, ...]:
    most, wanted = max(item.copy for item in training), config.augmentation.copies
    if most >= wanted:
        return ()
    return (f"augmentation's ranges hold {counted(most, 'copy', 'copies')} that differ, not the {wanted} asked for",)


def _notes_on_validation(by_time: bool, validation: Sequence[PreparedItem], config: TrainingConfig) -> tuple[str, ...]:
    if config.val_fraction == 0:
        return ("there is no validation: val_fraction is 0",)
    if by_time and validation:
        return (f"with one distinct recording, the last {config.val_fraction:.0%} of it is kept for validation",)
    if not validation:
        return ("there is no validation: the recordings are too few and too short to keep a part aside",)
    return ()


def _write_index(scan: Scan, config: TrainingConfig, cache: Path, corpus: PreparedCorpus) -> None:
    """Write beside the spectrograms which of them make up this corpus, and its statistics; unless they stand there."""
    settings = {
        "folder": encodable(str(scan.folder.absolute())),
        "seed": config.seed,
        "val_fraction": config.val_fraction,
        "augmentation": dataclasses.asdict(config.augmentation),
        "representation": _representation(config.complex_spectrogram),
    }
    key = cache_files.content_key(settings)
    sides = {"training": corpus.training, "validation": corpus.validation}
    statistics = dataclasses.asdict(corpus.normalisation) | {
        "frames": sum(item.usable_frames for item in corpus.training)
    }
    _write_json(
        cache_files.corpus_path(cache, key, "index"),
        settings | {side: [_index_line(item) for item in items] for side, items in sides.items()},
    )
    _write_json(cache_files.corpus_path(cache, key, "statistics"), statistics)


def _index_line(item: PreparedItem) -> dict[str, Any]:
    return {
        "name": encodable(item.recording.name),
        "digest": item.recording.digest,
        "copy": item.copy,
        "file": item.entry.path.name,
        "frames": item.entry.frames,
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    if not path.is_file() or path.read_bytes() != text.encode():
        atomic.write_text(path, text)


@contextlib.contextmanager
def _writing_to(cache: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DistillError(
            f"the spectrogram cache can't be written to {shown(str(cache))}: {error.strerror or error}",
            "free some room there, or let DISTILL_HOME name a folder with more",
        ) from error


def _tapped(blocks: Iterable[Tensor], tap: Callable[[Tensor], None]) -> Iterator[Tensor]:
    for block in blocks:
        tap(block)
        yield block


def _padded(blocks: Iterable[Tensor], shortest: int) -> Iterator[Tensor]:
    samples = 0
    for block in blocks:
        samples += len(block)
        yield block
    if samples < shortest:
        yield torch.zeros(shortest - samples)
