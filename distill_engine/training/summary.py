"""What a checkpoint and the model made of it say about where they come from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from distill_engine.audio.preprocessing import PreparedCorpus
from distill_engine.datasets import Scan
from distill_engine.events import PreviewSaved
from distill_engine.models.model_info import (
    KNOWN_MOST,
    Distance,
    MagnitudeRange,
    ModelInfo,
    Representation,
    TrainingSummary,
    recording_key,
)
from distill_engine.models.persistence import architecture_of
from distill_engine.names import folder_name
from distill_engine.training.config import TrainingConfig
from distill_engine.training.config_file import fresh_text
from distill_engine.training.state import TrainingState
from distill_engine.versions import versions
from distill_engine.words import encodable


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a run's models come from, as far as it is known when training starts."""

    name: str
    model_id: str
    scan: Scan
    corpus: PreparedCorpus
    config: TrainingConfig

    @cached_property
    def corpus_digest(self) -> str:
        """A digest of what training draws from: which spectrograms, which frames of them, on which side."""
        digest = hashlib.blake2b(digest_size=16)
        for side in (self.corpus.training, self.corpus.validation):
            for item in side:
                digest.update(f"{item.entry.path.name} {item.runs};".encode())
            digest.update(b"|")
        return digest.hexdigest()

    @cached_property
    def known(self) -> tuple[str, ...]:
        """The recordings trained on, as a model's file tells them: of very many those first by their digests."""
        digests = {recording_key(item.recording.digest) for item in self.corpus.training if item.copy == 0}
        return tuple(sorted(digests)[:KNOWN_MOST])

    def describe(self, state: TrainingState, preview: PreviewSaved | None) -> ModelInfo:
        """Return the description of a model made of `state` now; `preview` is one of its weights."""
        normalisation = self.corpus.normalisation
        return ModelInfo(
            id=self.model_id,
            name=self.name,
            architecture=architecture_of(state.model),
            representation=Representation.of(self.config.complex_spectrogram),
            normalisation=MagnitudeRange(
                magnitude_floor=normalisation.magnitude_floor, magnitude_scale=normalisation.magnitude_scale
            ),
            training=self._summary(state, preview),
        )

    def _summary(self, state: TrainingState, preview: PreviewSaved | None) -> TrainingSummary:
        progress = state.progress
        return TrainingSummary(
            dataset=encodable(folder_name(self.scan.folder)),
            recordings=len(self.scan.used),
            seconds=self.scan.seconds,
            epochs=progress.epoch,
            steps=progress.step,
            best_epoch=progress.best_epoch,
            best_validation_loss=progress.best_loss if self.corpus.validation else None,
            preview=Distance(lsd=preview.lsd, sc=preview.sc, band=preview.band) if preview else None,
            floor=Distance(lsd=preview.floor_lsd, sc=preview.floor_sc, band=preview.floor_band) if preview else None,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            known=self.known,
            versions=versions(),
            config=fresh_text(self.config),
        )
