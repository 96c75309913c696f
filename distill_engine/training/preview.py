"""Hear the model while it trains: the same recordings each time, reconstructed, and samples from the prior, as WAV.

Beside each distance stands the floor: that of the representation alone, with no model between, on the same recording.
It is measured once and tells how far a model is from what is possible.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from torch import Tensor

from distill_engine.audio.distance import SpectralDistance, spectral_distance
from distill_engine.audio.io import write_recording
from distill_engine.audio.preprocessing import PreparedCorpus, PreparedItem
from distill_engine.audio.spectrogram import analyse, synthesise
from distill_engine.audio.waveform import load_waveform
from distill_engine.events import HeardRecording, PreviewSaved
from distill_engine.generation import generate, reconstruct
from distill_engine.models.vae import ConvVAE
from distill_engine.names import name_from
from distill_engine.training.config import TrainingConfig

LEAST_SECONDS = 0.5
"""What is left of a recording behind its silence must be this long to be worth hearing."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A recording previews are made of: `waveform` [n], its raw spectrogram, and the representation's own distance."""

    name: str
    waveform: Tensor
    spectrogram: Tensor
    floor: SpectralDistance


class Previews:
    """A run's previews: when the next is due, and making one."""

    def __init__(self, folder: Path, corpus: PreparedCorpus, config: TrainingConfig) -> None:
        self._folder = folder
        self._corpus = corpus
        self._config = config
        self._references: list[Reference] | None = None
        self.last: PreviewSaved | None = None
        """The newest preview made, to be told in the description of a model."""

    def due(self, epoch: int) -> bool:
        """Tell whether to make one after `epoch` finished epochs."""
        return epoch % self._config.preview_interval == 0

    def make(self, model: ConvVAE, step: int, epoch: int) -> PreviewSaved:
        """Write a preview into a folder of its own; return what was written and how far apart it sounds."""
        if self._references is None:
            self._references = _references(self._corpus, self._config)
        folder = self._folder / f"step-{step:08d}"
        heard = [self._reconstruct(model, folder, reference) for reference in self._references]
        self.last = PreviewSaved(
            step=step,
            epoch=epoch,
            path=self._relative(folder),
            recordings=heard,
            samples=self._sample(model, folder),
            lsd=_mean([one.lsd for one in heard]),
            sc=_mean([one.sc for one in heard]),
            band=_mean([one.band for one in heard]),
            floor_lsd=_mean([one.floor_lsd for one in heard]),
            floor_sc=_mean([one.floor_sc for one in heard]),
            floor_band=_mean([one.floor_band for one in heard]),
        )
        return self.last

    def _reconstruct(self, model: ConvVAE, folder: Path, reference: Reference) -> HeardRecording:
        config = self._config.complex_spectrogram
        device = next(model.parameters()).device
        made = reconstruct(model, reference.spectrogram.to(device), self._corpus.normalisation)
        waveform = synthesise(made, config, len(reference.waveform), self._config.seed).cpu()
        distance = spectral_distance(reference.waveform, waveform, config.sample_rate)
        return HeardRecording(
            recording=reference.name,
            original=self._write(folder / f"{reference.name}-original.wav", reference.waveform),
            reconstruction=self._write(folder / f"{reference.name}-reconstruction.wav", waveform),
            lsd=distance.lsd,
            sc=distance.sc,
            band=distance.band,
            floor_lsd=reference.floor.lsd,
            floor_sc=reference.floor.sc,
            floor_band=reference.floor.band,
        )

    def _sample(self, model: ConvVAE, folder: Path) -> list[str]:
        config = self._config
        written = []
        for number in range(1, config.preview_samples + 1):
            waveform = generate(
                model,
                self._corpus.normalisation,
                config.complex_spectrogram,
                seconds=config.preview_seconds,
                seed=config.seed + number,
            )
            written.append(self._write(folder / f"sample-{number}.wav", waveform))
        return written

    def _write(self, path: Path, waveform: Tensor) -> str:
        write_recording(path, waveform.numpy(), self._config.complex_spectrogram.sample_rate)
        return self._relative(path)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._folder.parent).as_posix()


def _references(corpus: PreparedCorpus, config: TrainingConfig) -> list[Reference]:
    sources = {item.recording.path: item for item in corpus.validation or corpus.training}
    references: list[Reference] = []
    for item in sources.values():
        if len(references) == config.preview_recordings:
            break
        waveform = _audible_part(item, config)
        if len(waveform) >= LEAST_SECONDS * config.complex_spectrogram.sample_rate or not references:
            references.append(
                _reference(f"{len(references) + 1}-{name_from(item.recording.path.stem)}", waveform, config)
            )
    return references


def _reference(name: str, waveform: Tensor, config: TrainingConfig) -> Reference:
    spectrogram_config = config.complex_spectrogram
    spectrogram = analyse(waveform, spectrogram_config)
    back = synthesise(spectrogram, spectrogram_config, len(waveform), config.seed)
    floor = spectral_distance(waveform, back, spectrogram_config.sample_rate)
    return Reference(name=name, waveform=waveform, spectrogram=spectrogram, floor=floor)


def _audible_part(item: PreparedItem, config: TrainingConfig) -> Tensor:
    """Return at most `preview_seconds` of the item's recording, from where it is first heard."""
    spectrogram = config.complex_spectrogram
    second, rest = divmod(item.runs[0][0] * spectrogram.hop_length, spectrogram.sample_rate)
    end = rest + round(config.preview_seconds * spectrogram.sample_rate)
    waveform = load_waveform(item.recording.path, end / spectrogram.sample_rate, start_second=second)
    return waveform[rest:end]


def _mean(values: list[float]) -> float | None:
    return fmean(values) if values else None
