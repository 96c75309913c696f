"""Hear the model while it trains: the same recordings each time, reconstructed, and samples from the prior, as WAV.

Beside each distance stands the floor: that of the representation alone, with no model between, on the same recording.
It is measured once and tells how far a model is from what is possible.
"""

from __future__ import annotations

import itertools
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from distill_engine.atomic import TEMPORARY_PREFIX
from distill_engine.audio.distance import SpectralDistance, spectral_distance
from distill_engine.audio.io import RecordingError, write_recording
from distill_engine.audio.level import made_safe
from distill_engine.audio.preprocessing import PreparedCorpus, PreparedItem
from distill_engine.audio.spectrogram import analyse, synthesise
from distill_engine.audio.waveform import load_waveform
from distill_engine.datasets import check_unchanged
from distill_engine.events import HeardRecording, PreviewSaved, SoundLevel
from distill_engine.generation import reconstruct, sample
from distill_engine.latent_path import Cloud
from distill_engine.models.vae import ConvVAE
from distill_engine.names import name_from
from distill_engine.run_folder import make_inside
from distill_engine.training.cadence import Cadence
from distill_engine.training.config import TrainingConfig
from distill_engine.training.dataset import PieceLoader
from distill_engine.training.state import Progress

LEAST_SECONDS = 0.5
"""What is left of a recording behind its silence must be this long to be worth hearing."""

CLOUD_BATCH, CLOUD_BATCHES = 32, 4
"""Pieces encoded to know where sounds lie in latent space: as long as a few steps of training take."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A recording previews are made of: the part of its waveform [n] that is heard each time."""

    name: str
    waveform: Tensor
    config: TrainingConfig

    @cached_property
    def spectrogram(self) -> Tensor:
        """The raw spectrogram [2, n_mels, frames]."""
        return analyse(self.waveform, self.config.complex_spectrogram)

    @cached_property
    def floor(self) -> SpectralDistance:
        """How far the representation alone takes it from itself: no model gets below."""
        config = self.config.complex_spectrogram
        back = synthesise(self.spectrogram, config, len(self.waveform), self.config.seed)
        return spectral_distance(self.waveform, back, config.sample_rate)


class Previews:
    """A run's previews: when the next is due, and making one."""

    def __init__(self, folder: Path, corpus: PreparedCorpus, config: TrainingConfig, progress: Progress) -> None:
        """Read the recordings at once: hours later they may have been moved."""
        self._folder = folder
        self._normalisation = corpus.normalisation
        self._config = config
        self._references = _references(corpus, config)
        self._pieces = _own_pieces(corpus, config)
        self.cadence = Cadence(
            epochs=config.preview_interval,
            minutes=config.preview_minutes,
            epoch=progress.epoch,
            waits_at_first=False,
        )

    def make(
        self, model: ConvVAE, *, step: int, epoch: int, best: bool, should_stop: Callable[[], bool]
    ) -> PreviewSaved | None:
        """Write a preview into a folder of its own, whole or not at all; return what it is and how far apart it sounds.

        `best` says that `model`, which must be evaluating, has the best weights so far. `should_stop` is asked between
        sounds; after a yes what was written is removed, and None returned. Raises DistillError or OSError where a
        sound can't be written, RunGoneError where the run's folder is gone.
        """
        folder = self._folder / f"step-{step:08d}"
        try:
            made = self._made(model, folder, step=step, epoch=epoch, best=best, should_stop=should_stop)
            if made is not None and made.path:
                shutil.rmtree(folder, ignore_errors=True)  # an earlier stretch's, of the same step
                _unfinished(folder).rename(folder)
        finally:
            shutil.rmtree(_unfinished(folder), ignore_errors=True)
        return made

    def _made(
        self, model: ConvVAE, folder: Path, *, step: int, epoch: int, best: bool, should_stop: Callable[[], bool]
    ) -> PreviewSaved | None:
        heard: list[HeardRecording] = []
        samples: list[tuple[str, SoundLevel]] = []
        for reference in self._references:
            if should_stop():
                return None
            heard.append(self._reconstruct(model, folder, reference))
        cloud = self._cloud(model)
        for number in range(1, self._config.preview_samples + 1):
            if should_stop():
                return None
            samples.append(self._sample(model, cloud, folder, number))
        return PreviewSaved(
            step=step,
            epoch=epoch,
            best=best,
            path=self._relative(folder) if heard or samples else "",
            recordings=heard,
            samples=[path for path, _ in samples],
            sample_levels=[level for _, level in samples],
            lsd=_mean([one.lsd for one in heard]),
            sc=_mean([one.sc for one in heard]),
            band=_mean([one.band for one in heard]),
            floor_lsd=_mean([one.floor_lsd for one in heard]),
            floor_sc=_mean([one.floor_sc for one in heard]),
            floor_band=_mean([one.floor_band for one in heard]),
        )

    def _reconstruct(self, model: ConvVAE, folder: Path, reference: Reference) -> HeardRecording:
        config = self._config.complex_spectrogram
        device = next(model.parameters()).device
        made = reconstruct(model, reference.spectrogram.to(device), self._normalisation)
        waveform = synthesise(made, config, len(reference.waveform), self._config.seed).cpu()
        distance = spectral_distance(reference.waveform, waveform, config.sample_rate)
        return HeardRecording(
            recording=reference.name,
            original=self._write(folder / f"{reference.name}-original.wav", reference.waveform),
            reconstruction=self._write_made(folder / f"{reference.name}-reconstruction.wav", waveform),
            lsd=distance.lsd,
            sc=distance.sc,
            band=distance.band,
            floor_lsd=reference.floor.lsd,
            floor_sc=reference.floor.sc,
            floor_band=reference.floor.band,
            original_level=level_of(reference.waveform),
            reconstruction_level=level_of(waveform),
        )

    def _sample(self, model: ConvVAE, cloud: Cloud, folder: Path, number: int) -> tuple[str, SoundLevel]:
        config = self._config
        waveform = sample(
            model,
            self._normalisation,
            config.complex_spectrogram,
            cloud,
            seconds=config.preview_seconds,
            seed=config.seed + number,
        )
        return self._write_made(folder / f"sample-{number}.wav", waveform), level_of(waveform)

    @torch.no_grad()
    def _cloud(self, model: ConvVAE) -> Cloud:
        """Return where the training recordings lie in latent space now: new sounds are drawn from there."""
        device = next(model.parameters()).device
        return Cloud.around(torch.cat([model.encode(batch.to(device))[0].cpu() for batch in self._pieces]))

    def _write_made(self, path: Path, waveform: Tensor) -> str:
        """Write what the model made: turned down where it is too loud to be played, which early models often are."""
        safe = waveform.clone()
        made_safe(safe.numpy())
        return self._write(path, safe)

    def _write(self, path: Path, waveform: Tensor) -> str:
        make_inside(self._folder)
        unfinished = _unfinished(path.parent) / path.name
        write_recording(unfinished, waveform.numpy(), self._config.complex_spectrogram.sample_rate)
        return self._relative(path)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._folder.parent).as_posix()


def _unfinished(folder: Path) -> Path:
    """Return what a preview's folder is called until all of it is there."""
    return folder.with_name(f"{TEMPORARY_PREFIX}{folder.name}")


def level_of(waveform: Tensor) -> SoundLevel:
    """Return how loud a waveform [n] is; silence is at -200 dB."""
    samples = waveform.detach().double().nan_to_num()
    rms = float(samples.square().mean().sqrt())
    return SoundLevel(peak=float(samples.abs().max()), rms=20 * math.log10(max(rms, 1e-10)))


def _own_pieces(corpus: PreparedCorpus, config: TrainingConfig) -> list[Tensor]:
    """Return some batches of the training recordings' own pieces, normalised [B, 2, n_mels, time]."""
    recordings = [item for item in corpus.training if item.copy == 0] or corpus.training
    loader = PieceLoader(
        recordings,
        corpus.normalisation,
        batch_size=CLOUD_BATCH,
        time_frames=config.complex_spectrogram.time_frames,
        shuffle=True,
    )
    return list(itertools.islice(loader.epoch(0), CLOUD_BATCHES))


def _references(corpus: PreparedCorpus, config: TrainingConfig) -> list[Reference]:
    """Return the first few recordings, of validation if there is any, that have something to hear."""
    items = [item for item in corpus.validation or corpus.training if item.copy == 0]
    references: list[Reference] = []
    for item in items:
        if len(references) == config.preview_recordings:
            break
        try:
            waveform = _audible_part(item, config)
        except RecordingError:  # gone or changed since it was prepared, which the cache doesn't need
            continue
        if len(waveform) >= LEAST_SECONDS * config.complex_spectrogram.sample_rate or len(items) == 1:
            name = f"{len(references) + 1}-{name_from(item.recording.path.stem)}"
            references.append(Reference(name=name, waveform=waveform, config=config))
    return references


def _audible_part(item: PreparedItem, config: TrainingConfig) -> Tensor:
    """Return at most `preview_seconds` of the item's recording, from where it is first heard.

    Raises:
        RecordingError: it is gone, or isn't what the scan decoded.
    """
    spectrogram = config.complex_spectrogram
    second, rest = divmod(item.runs[0][0] * spectrogram.hop_length, spectrogram.sample_rate)
    end = rest + round(config.preview_seconds * spectrogram.sample_rate)
    check_unchanged(item.recording)
    waveform = load_waveform(item.recording.path, end / spectrogram.sample_rate, start_second=second)
    return waveform[rest:end]


def _mean(values: list[float]) -> float | None:
    return fmean(values) if values else None
