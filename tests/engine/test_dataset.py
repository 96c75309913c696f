"""Batches are windows of the cache, normalised and full, in an order that depends on seed and epoch alone."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from distill_engine import datasets
from distill_engine.audio import cache as cache_files
from distill_engine.audio.preprocessing import PreparedCorpus, preprocess_complex_spectrograms
from distill_engine.audio.waveform import load_waveform
from distill_engine.errors import DistillError
from distill_engine.training.colouring import Colouring
from distill_engine.training.config import AugmentationConfig, TrainingConfig
from distill_engine.training.dataset import (
    AudioTrainingDataset,
    PieceLoader,
    create_complex_data_loaders,
    create_data_loaders,
    training_loader,
)
from distill_engine.training.frame_stores import Mapped, Resident

_CONFIG = TrainingConfig(
    batch_size=8, val_fraction=0.2, augmentation=AugmentationConfig(copies=1, level_db=0.0, tone_db=0.0)
)
_SECONDS = (0.3, 1.0, 2.7, 6.0, 11.0)


def _write_sounds(folder: Path) -> None:
    # Whole numbers: into a float WAV libsndfile writes the time of day, and the split depends on the file's content.
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for index, seconds in enumerate(_SECONDS):
        samples = 0.1 * random.standard_normal(round(seconds * 48_000)).astype(np.float32)
        if seconds == 11.0:
            samples[3 * 48_000 : 6 * 48_000] = 0
        soundfile.write(folder / f"{index}.wav", samples, 48_000, "PCM_24")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedCorpus:
    folder = tmp_path_factory.mktemp("corpus") / "sounds"
    _write_sounds(folder)
    return preprocess_complex_spectrograms(datasets.scan(folder), _CONFIG, folder.parent / "cache")


@pytest.fixture
def loader(prepared: PreparedCorpus) -> PieceLoader:
    return create_complex_data_loaders(prepared, _CONFIG)[0]


def test_every_training_batch_is_full_normalised_and_contiguous(loader: PieceLoader) -> None:
    batches = list(loader.epoch(0))
    assert len(batches) == loader.batches_per_epoch
    assert loader.pieces_per_epoch == 8 * len(batches)
    for batch in batches:
        assert batch.shape == (8, 2, 128, 94)
        assert batch.dtype == torch.float32
        assert batch.is_contiguous()
        assert batch[:, 0].min() >= 0
        assert batch[:, 1].abs().max() <= 1
    assert torch.cat(batches)[:, 0].square().mean().sqrt().item() == pytest.approx(1.0, abs=0.1)


def test_a_piece_is_the_window_of_the_cached_spectrogram(prepared: PreparedCorpus, loader: PieceLoader) -> None:
    batch, windows = next(loader.epoch(5)), loader.windows(5)
    for piece, item, start in zip(batch, windows.items, windows.starts, strict=False):
        entry = prepared.training[item].entry
        values = np.fromfile(entry.path, np.float16, entry.frames * 256, offset=cache_files.HEADER_BYTES)
        raw = torch.from_numpy(values.reshape(-1, 2, 128)[start : start + 94].astype(np.float32)).permute(1, 2, 0)
        assert torch.equal(piece, prepared.normalisation.normalise(raw))


def test_windows_gathered_on_a_device_are_those_cut_from_the_files(
    prepared: PreparedCorpus, loader: PieceLoader
) -> None:
    entries, windows = [item.entry for item in prepared.training], loader.windows(5)
    stores = Mapped(entries, 94), Resident(entries, 94, torch.device("cpu"))
    mapped, gathered = (list(store.batches(windows.items, windows.starts, 7)) for store in stores)
    assert len(mapped) == len(gathered) > 1
    assert all(torch.equal(one, other) for one, other in zip(mapped, gathered, strict=True))
    assert list(stores[1].batches(windows.items[:0], windows.starts[:0], 7)) == []
    stores[1].rest()
    rested = list(stores[1].batches(windows.items, windows.starts, 7))
    assert all(torch.equal(one, other) for one, other in zip(mapped, rested, strict=True))


def test_training_pieces_are_coloured_and_validation_ones_are_not(prepared: PreparedCorpus) -> None:
    augmentation = dataclasses.replace(_CONFIG.augmentation, level_db=6.0, tone_db=3.0)
    coloured = create_complex_data_loaders(prepared, dataclasses.replace(_CONFIG, augmentation=augmentation))
    plain = create_complex_data_loaders(prepared, _CONFIG)
    colouring = Colouring(level_db=6.0, tone_db=3.0, seed=_CONFIG.seed)
    draws = colouring.drawn(2, coloured[0].pieces_per_epoch)
    assert draws is not None
    later = zip(coloured[0].epoch(2, 1), plain[0].epoch(2, 1), draws[8:].split(8), strict=True)
    for one, other, drawn in later:
        assert torch.equal(one, colouring.apply(other, drawn, prepared.normalisation.magnitude_scale))
        assert not torch.equal(one, other)
    assert coloured[1] is not None
    assert plain[1] is not None
    assert all(torch.equal(*pair) for pair in zip(coloured[1].epoch(0), plain[1].epoch(0), strict=True))


def test_ranks_have_the_rows_of_the_batches_that_one_process_has(prepared: PreparedCorpus, loader: PieceLoader) -> None:
    config = dataclasses.replace(_CONFIG, num_processes=4)
    shares = [training_loader(prepared.training, prepared.normalisation, config, rank) for rank in range(4)]
    whole = list(loader.epoch(1, first_batch=1))
    assert len(whole) > 1
    for batch, *rows in zip(whole, *(share.epoch(1, first_batch=1) for share in shares), strict=True):
        assert [len(part) for part in rows] == [2, 2, 2, 2]
        assert torch.equal(torch.cat(rows), batch)


def test_an_epoch_starts_in_its_middle_with_the_same_batches(loader: PieceLoader) -> None:
    whole = list(loader.epoch(3))
    for first in range(len(whole) + 1):
        later = list(loader.epoch(3, first_batch=first))
        assert len(later) == len(whole) - first
        assert all(torch.equal(one, other) for one, other in zip(later, whole[first:], strict=True))


def test_order_and_offsets_depend_on_seed_and_epoch_alone(prepared: PreparedCorpus, loader: PieceLoader) -> None:
    def drawn(of: PieceLoader, epoch: int) -> list[tuple[int, int]]:
        windows = of.windows(epoch)
        return list(zip(windows.items.tolist(), windows.starts.tolist(), strict=True))

    again, _ = create_complex_data_loaders(prepared, _CONFIG)
    other, _ = create_complex_data_loaders(prepared, dataclasses.replace(_CONFIG, seed=1))
    list(again.epoch(0))
    np.random.default_rng().random(3)
    assert drawn(again, 7) == drawn(loader, 7)
    assert drawn(again, 7) != drawn(loader, 8)
    assert drawn(other, 7) != drawn(loader, 7)


def test_windows_lie_within_stretches_with_sound_and_come_to_every_part_of_them(
    prepared: PreparedCorpus, loader: PieceLoader
) -> None:
    seen = [np.zeros(item.entry.frames, bool) for item in prepared.training]
    for epoch in range(30):
        windows = loader.windows(epoch)
        for item, start in zip(windows.items, windows.starts, strict=True):
            assert any(a <= start and start + 94 <= b for a, b in prepared.training[item].runs)
            seen[item][start : start + 94] = True
    for item, frames in zip(prepared.training, seen, strict=True):
        within = np.zeros(item.entry.frames, bool)
        for a, b in item.runs:
            within[a:b] = True
        assert not (frames & ~within).any()
        assert frames[within].mean() > 0.95


def test_an_item_gives_as_many_windows_as_it_holds_pieces(prepared: PreparedCorpus, loader: PieceLoader) -> None:
    pieces = [max(1, round(item.usable_frames / 94)) for item in prepared.training]
    counts = np.bincount(loader.windows(0).items, minlength=len(pieces))
    assert (counts >= pieces).all()
    assert counts.sum() - sum(pieces) == loader.pieces_per_epoch - sum(pieces) < 8


def test_one_epochs_windows_are_spread_evenly_over_a_recording(prepared: PreparedCorpus) -> None:
    longest = max((item for item in prepared.training if len(item.runs) == 1), key=lambda item: item.usable_frames)
    ((start, stop),) = longest.runs
    pieces = round((stop - start) / 94)
    alone = PieceLoader([longest], prepared.normalisation, batch_size=pieces, time_frames=94, shuffle=True)
    assert pieces >= 3
    for epoch in range(20):
        parts = (np.sort(alone.windows(epoch).starts) - start) * pieces // (stop - start - 93)
        assert parts.tolist() == list(range(pieces))


def test_a_corpus_smaller_than_a_batch_still_fills_it(prepared: PreparedCorpus) -> None:
    loader = PieceLoader(prepared.training[:1], prepared.normalisation, batch_size=16, time_frames=94, shuffle=True)
    assert loader.batches_per_epoch == 1
    assert next(loader.epoch(0)).shape == (16, 2, 128, 94)


def test_validation_windows_are_fixed_in_order_and_the_last_batch_may_be_short(prepared: PreparedCorpus) -> None:
    loader = PieceLoader(
        [item for item in prepared.training if item.copy == 0],
        prepared.normalisation,
        batch_size=8,
        time_frames=94,
        shuffle=False,
    )
    first, second = list(loader.epoch(0)), list(loader.epoch(9))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert sum(map(len, first)) == loader.pieces_per_epoch
    assert len(first) == loader.batches_per_epoch
    windows = loader.windows(0)
    places = list(zip(windows.items.tolist(), windows.starts.tolist(), strict=True))
    assert places == sorted(set(places))
    assert torch.equal(next(loader.epoch(0, first_batch=1)), first[1])


def test_validation_comes_from_the_validation_items(prepared: PreparedCorpus) -> None:
    _, validation = create_complex_data_loaders(prepared, _CONFIG)
    assert validation is not None
    expected = sum(max(1, round(item.usable_frames / 94)) for item in prepared.validation)
    assert validation.pieces_per_epoch == expected


def test_changing_a_batch_changes_nothing_else(loader: PieceLoader) -> None:
    before = next(loader.epoch(0))
    changed = next(loader.epoch(0))
    changed.fill_(7.0)
    assert torch.equal(next(loader.epoch(0)), before)


def test_a_cache_cleared_before_loading_is_told_in_a_sentence(tmp_path: Path) -> None:
    _write_sounds(tmp_path / "sounds")
    prepared = preprocess_complex_spectrograms(datasets.scan(tmp_path / "sounds"), _CONFIG, tmp_path / "cache")
    cache_files.clear_cache(tmp_path / "cache")
    with pytest.raises(DistillError, match="vanished from the cache"):
        create_complex_data_loaders(prepared, _CONFIG)


def test_waveform_pieces_are_the_seconds_of_each_recording(tmp_path: Path) -> None:
    _write_sounds(tmp_path / "sounds")
    recordings = datasets.scan(tmp_path / "sounds").used
    dataset = AudioTrainingDataset(recordings)
    assert len(dataset) == 1 + 1 + 3 + 6 + 11
    assert dataset[0].shape == (1, 48_000)
    assert not dataset[0][0, round(0.3 * 48_000) :].any()
    joined = torch.cat([dataset[index][0] for index in range(5, 11)])
    assert torch.allclose(joined, load_waveform(recordings[3].path), atol=1e-6)
    with pytest.raises(IndexError):
        dataset[len(dataset)]


def test_waveform_loaders_split_as_the_spectrograms_are_and_repeat_their_order(tmp_path: Path) -> None:
    _write_sounds(tmp_path / "sounds")
    scan = datasets.scan(tmp_path / "sounds")
    training, validation = create_data_loaders(scan, _CONFIG)
    assert validation is not None
    assert sum(map(len, itertools.chain(training, validation))) == 22
    first, again = next(iter(create_data_loaders(scan, _CONFIG)[0])), next(iter(create_data_loaders(scan, _CONFIG)[0]))
    assert first.shape == (8, 1, 48_000)
    assert torch.equal(first, again)
    assert create_data_loaders(scan, dataclasses.replace(_CONFIG, val_fraction=0.0))[1] is None
