"""Scan a folder of recordings: what is there, what a run would use, and what is wrong with the rest.

Every file that looks like a recording is accounted for, as used or as skipped with its reason. Files are found by name
(`listing`), judged by content (`audio.checks`), and the verdicts are kept under the cache folder (`verdicts`), so that
a second scan of an unchanged folder opens none of them. Nothing is ever written into the folder itself.
"""

from __future__ import annotations

import dataclasses
import errno
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from distill_engine.audio.check_process import CheckProcess
from distill_engine.audio.checks import Verdict, digest_of
from distill_engine.audio.io import RecordingError, tidy_reason
from distill_engine.errors import StopRequestedError
from distill_engine.listing import Candidate, list_folder
from distill_engine.verdicts import Signature, VerdictIndex, signature
from distill_engine.words import counted, duration, encodable, shown


@dataclass(frozen=True, kw_only=True)
class Recording(Verdict):
    """One file of the dataset and what was found out about it."""

    path: Path
    name: str
    """Path below the dataset's folder, with forward slashes; may hold any character, so print `words.shown(name)`."""
    signature: Signature | None = None
    """What its file looked like before it was judged; None where that couldn't be asked."""

    @property
    def usable(self) -> bool:
        """Whether a run trains on it."""
        return not self.problem

    @property
    def seconds(self) -> float:
        """Length; 0 where it couldn't be opened."""
        return self.frames / self.sample_rate if self.sample_rate > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class Scan:
    """All that a folder holds, in the order of names."""

    folder: Path
    recordings: tuple[Recording, ...]
    """All files that look like recordings, used and skipped."""
    notes: tuple[str, ...] = ()
    """What went wrong with the scan itself: a folder that can't be opened, an index made anew."""
    other_files: int = 0
    """Files that don't look like recordings; they are no part of the dataset."""

    @property
    def used(self) -> tuple[Recording, ...]:
        """What a run trains on."""
        return tuple(recording for recording in self.recordings if recording.usable)

    @property
    def skipped(self) -> tuple[Recording, ...]:
        """What it doesn't; each has a `problem`."""
        return tuple(recording for recording in self.recordings if not recording.usable)

    @property
    def seconds(self) -> float:
        """Length of all used recordings together."""
        return sum(recording.seconds for recording in self.used)


def scan(
    folder: Path,
    *,
    cache: Path | None = None,
    on_progress: Callable[[int, int, str], None] = lambda _done, _total, _name: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Scan:
    """Look at every recording in `folder` and below it.

    `cache` is the folder under which verdicts are kept; None keeps and believes none. `on_progress(done, total, name)`
    is called after each file, `should_stop()` before and within each. DatasetError where `folder` can't be listed;
    StopRequestedError when asked to stop: what was found out until then is kept.
    """
    listing = list_folder(folder, should_stop)
    index = VerdictIndex(folder, cache)
    recordings: list[Recording] = []
    try:
        with CheckProcess(should_stop) as checker:
            for candidate in listing.candidates:
                if should_stop():
                    raise StopRequestedError
                recordings.append(_check(candidate, index, checker))
                on_progress(len(recordings), len(listing.candidates), candidate.name)
    finally:
        index.save({candidate.name for candidate in listing.candidates})
    notes = (*listing.notes, *([index.note] if index.note else []))
    return Scan(folder=folder, recordings=compared(recordings), notes=notes, other_files=listing.other_files)


def check_unchanged(recording: Recording) -> None:
    """Raise RecordingError where the file isn't any more what the scan decoded: it may crash a decoder now.

    Its size and times tell; its bytes where these are others, for a backup or a renaming changes times too.
    """
    try:
        if signature(recording.path) != recording.signature and digest_of(recording.path) != recording.digest:
            raise changed(recording)
    except OSError as error:
        gone = isinstance(error, FileNotFoundError)
        reason = "has vanished since the folder was scanned" if gone else f"can't be read: {tidy_reason(error)}"
        raise RecordingError(f"{shown(recording.name)} {reason}") from None


def changed(recording: Recording) -> RecordingError:
    """Return what to say of a recording that isn't what the scan saw."""
    return RecordingError(f"{shown(recording.name)} has changed since the folder was scanned")


def compared(recordings: Sequence[Recording]) -> tuple[Recording, ...]:
    """Return the recordings with warnings about exact duplicates and odd rates among those that are used."""
    used = [recording for recording in recordings if recording.usable]
    first = {recording.digest: recording.name for recording in reversed(used)}
    rate = _common_rate(used)
    return tuple(
        _with_comparisons(recording, first, rate) if recording.usable else recording for recording in recordings
    )


def describe(scan: Scan) -> str:
    """Return the scan in words for people, safe to print, in several lines without a line break at the end."""
    lines = [
        f"{counted(len(scan.recordings), 'recording')} found in {shown(str(scan.folder))}: "
        f"{len(scan.used)} used, {len(scan.skipped)} skipped."
    ]
    if scan.used:
        lines.append(f"To train on: {duration(scan.seconds)} of sound, {_rates_in_words(scan.used)}.")
    if scan.other_files and not scan.recordings:
        lines.append(f"{counted(scan.other_files, 'other file')} there, none of them named like a recording.")
    lines += _listed("Skipped", [(recording.name, recording.problem) for recording in scan.skipped])
    lines += _listed("Used, but look at", [(r.name, warning) for r in scan.used for warning in r.warnings])
    return "\n".join(lines + [f"Note: {note}." for note in scan.notes])


def plain_data(scan: Scan) -> dict[str, object]:
    """Return the scan as plain data for JSON; of names that aren't UTF-8 the odd bytes are escaped."""
    return {
        "folder": encodable(str(scan.folder)),
        "found": len(scan.recordings),
        "used": len(scan.used),
        "skipped": [{"file": encodable(r.name), "reason": r.problem} for r in scan.skipped],
        "warnings": [{"file": encodable(r.name), "warning": warning} for r in scan.used for warning in r.warnings],
        "recordings": [_plain_recording(recording) for recording in scan.used],
        "seconds": scan.seconds,
        "notes": list(scan.notes),
    }


def _check(candidate: Candidate, index: VerdictIndex, checker: CheckProcess) -> Recording:
    before, verdict = None, Verdict(problem=candidate.problem)
    if not candidate.problem:
        try:
            before = signature(candidate.path)
            verdict = _verdict(candidate, before, index, checker)
        except OSError as error:
            verdict = Verdict(problem=_unreachable(candidate.path, error))
    known = {each.name: getattr(verdict, each.name) for each in dataclasses.fields(Verdict)}
    return Recording(path=candidate.path, name=candidate.name, signature=before, **known)


def _verdict(candidate: Candidate, before: Signature, index: VerdictIndex, checker: CheckProcess) -> Verdict:
    kept = index.find(candidate.name, before)
    if kept is not None:
        return kept
    verdict = checker.check(candidate.path)
    if signature(candidate.path) != before:
        return Verdict(problem="it changed while it was read; scan again when it is complete")
    index.keep(candidate.name, before, verdict)
    return verdict


def _unreachable(path: Path, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "a link that leads to itself"
    if isinstance(error, FileNotFoundError):
        return "a broken link" if path.is_symlink() else "it vanished while the folder was scanned"
    return f"unreadable: {tidy_reason(error)}"


def _common_rate(used: Sequence[Recording]) -> int:
    """Return the rate that two thirds of the recordings share, or 0: without one, none is the odd one out."""
    rates = Counter(recording.sample_rate for recording in used)
    rate, count = rates.most_common(1)[0] if rates else (0, 0)
    return rate if 3 * count >= 2 * len(used) else 0


def _with_comparisons(recording: Recording, first: dict[str, str], rate: int) -> Recording:
    found = list(recording.warnings)
    if first[recording.digest] != recording.name:
        found.append(f"exact duplicate of {shown(first[recording.digest])}")
    if rate and recording.sample_rate != rate:
        found.append(f"odd rate: {recording.sample_rate:,} Hz, where most have {rate:,} Hz")
    return dataclasses.replace(recording, warnings=tuple(found))


def _plain_recording(recording: Recording) -> dict[str, object]:
    return {
        "file": encodable(recording.name),
        "seconds": recording.seconds,
        "frames": recording.frames,
        "sample_rate": recording.sample_rate,
        "channels": recording.channels,
        "format": recording.format,
        "peak_db": recording.peak_db,
        "rms_db": recording.rms_db,
        "digest": recording.digest,
        "generated": recording.generated,
    }


def _listed(title: str, items: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{title}:", *(f"  {shown(name)}: {words}" for name, words in items)] if items else []


def _rates_in_words(recordings: Iterable[Recording]) -> str:
    rates = Counter(recording.sample_rate for recording in recordings)
    if len(rates) == 1:
        return f"all at {next(iter(rates)):,} Hz"
    return ", ".join(f"{count} at {rate:,} Hz" for rate, count in sorted(rates.items()))
