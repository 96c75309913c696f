"""Model files and checkpoints of strangers: what they say of themselves, their tensors, and what they really are."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import soundfile
import torch

from distill_engine import home, library
from distill_engine.audio.spectrogram import Normalisation
from distill_engine.errors import DistillError
from distill_engine.models.model_info import METADATA_KEY, ModelInfo
from distill_engine.models.persistence import load_model, save_model_from_checkpoint
from distill_engine.start import dictated_by
from distill_engine.training import checkpoint
from distill_engine.training.config import TrainingConfig, replaced
from distill_engine.training.state import fresh_state
from distill_tui.library.model_story import story_of
from distill_tui.library.model_words import details
from tests.promises.hostile import TEXTS, damaged, each, mutations, spoilt, written
from tests.promises.strangers import MODEL, Ground, good_model, header_of, with_header
from tests.promises.trial import Size
from tests.promises.watching import Told, check_plain, check_sentence, commanded, watched

TERABYTE = 1 << 40


def bad_models(size: Size, ground: Ground) -> int:
    """Try model files: imported, and lying in the library; return how many."""
    good = good_model(ground.inputs / "good.distill")
    shelf = _Shelf(ground)
    header = header_of(good)
    info = json.loads(header["__metadata__"][METADATA_KEY])

    def described(document: object) -> None:
        text = written(document).decode("utf-8", "surrogatepass")
        metadata = {**header["__metadata__"], METADATA_KEY: text}
        shelf.takes(with_header(good, written({**header, "__metadata__": metadata})))

    def headed(document: object) -> None:
        shelf.takes(with_header(good, written(document)))

    each(mutations(info), size.of(3, 150), described)
    for document in [*spoilt(info)][:: size.of(150, 4)]:
        described(document)
    each(mutations(header), size.of(3, 150), headed)
    for document in [*spoilt({name: header[name] for name in list(header)[:3]})][:: size.of(60, 2)]:
        headed({**header, **document} if isinstance(document, dict) else document)
    draw = random.Random(size.seed)
    for _ in range(size.of(3, 150)):
        shelf.takes(damaged(draw, good))
    vast = {**header, "vast": _vast_entry(header)}
    shelf.takes(with_header(good, written(vast)), TERABYTE)
    for data in [*_others(ground, good)][:: size.of(4, 1)]:
        shelf.takes(data)
    for length in (0, 1, 7, 8, 2**23, 2**31, 2**53, 2**63 - 1, 2**64 - 1)[:: size.of(4, 1)]:
        shelf.takes(length.to_bytes(8, "little") + good[8:])
    return shelf.count


class _Shelf:
    """Has a library, in which a file is looked at in all ways there are."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._models = home.models_folder()
        self._models.mkdir(parents=True, exist_ok=True)
        self.count = 0

    def takes(self, data: bytes, hole: int = 0) -> None:
        """Look at a file, with a hole of so many bytes behind it."""
        self.count += 1
        (self._models / f"{MODEL}.distill").unlink(missing_ok=True)
        source = self._ground.inputs / "stranger.distill"
        source.write_bytes(data)
        os.truncate(source, len(data) + hole)
        told = commanded("model", "import", source, writes=(self._models,))
        assert bool(told.status) != (self._models / f"{MODEL}.distill").exists(), told
        if told.status:
            _check_refused(told)
            source.rename(self._models / f"{MODEL}.distill")
        commanded("models", *(("--json",) if self.count % 2 else ()))
        commanded("model", "show", MODEL, *(() if self.count % 2 else ("--json",)))
        sounds = self._ground.folder / "sounds"
        told = commanded("generate", MODEL, "--duration", "0.2", "--out", sounds / "a.wav", "--force", writes=(sounds,))
        if not told.status:
            assert np.isfinite(soundfile.read(sounds / "a.wav")[0]).all()
        (sounds / "a.wav").unlink(missing_ok=True)
        with watched():
            _look(library.find_model(MODEL))
        (self._models / f"{MODEL}.distill").unlink()
        left = [path.name for path in self._models.iterdir()]
        assert not left, f"{left} are left in the library"


def _vast_entry(header: dict[str, Any]) -> dict[str, Any]:
    """Return a tensor of a terabyte behind all others."""
    end = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
    return {"dtype": "U8", "shape": [TERABYTE], "data_offsets": [end, end + TERABYTE]}


def _check_refused(told: Told) -> None:
    assert told.status == 1, told
    check_sentence(told.err, "model import")


def _look(entry: library.LibraryEntry) -> None:
    try:
        loaded = load_model(entry.path)
    except DistillError:
        pass
    else:
        assert all(tensor.isfinite().all() for tensor in loaded.model.state_dict().values())
    told = [text for line in details(entry, 80) for text, _ in line]
    told += [text for setting in story_of(entry).settings for text in (setting.key, setting.value)]
    for words in told:
        check_plain(words, "the dashboard")
    if entry.info is not None:
        replaced(TrainingConfig(), dictated_by(entry))


class _Trap:
    """Runs a command where a pickle of it is loaded."""

    def __init__(self, outside: Path) -> None:
        self._outside = outside

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self._outside / 'executed'}'",)


def _others(ground: Ground, good: bytes) -> Iterator[bytes]:
    """Yield what isn't a model at all, some of which would run if it were loaded by what it was made for."""
    trap = _Trap(ground.outside)
    yield from (pickle.dumps(trap, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1))
    for zipped in (True, False):
        saved = io.BytesIO()
        torch.save({"model": trap}, saved, _use_new_zipfile_serialization=zipped)
        yield saved.getvalue()
    yield b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (), }" + pickle.dumps(trap)
    yield f"!!python/object/apply:os.system ['touch {ground.outside}/executed']".encode()
    yield b"#!/bin/sh\ntouch outside/executed\n"
    yield from (b"", b"\0" * 8, b"\xff" * 100, b"{}", b"PK\x03\x04" + bytes(100), bytes(10_000), good * 2, good[8:])


def bad_checkpoints(size: Size, ground: Ground) -> int:
    """Try checkpoints: to make a model of, and to go on from; return how many."""
    config = replaced(
        TrainingConfig(),
        {
            "latent_dim": 2,
            "complex_spectrogram.n_mels": 32,
            "complex_spectrogram.hop_length": 1024,
            "device": "cpu",
            "precision": "fp32",
            "memory_format": "contiguous",
        },
    )
    good_model(ground.inputs / "good.distill")
    info = load_model(ground.inputs / "good.distill").info
    desk = _Desk(ground, config, info)
    good = desk.good.read_bytes()
    header = header_of(good)
    document = json.loads(header["__metadata__"][checkpoint.METADATA_KEY])

    def described(changed: object) -> None:
        text = written(changed).decode("utf-8", "surrogatepass")
        desk.takes(with_header(good, written({**header, "__metadata__": {checkpoint.METADATA_KEY: text}})))

    vast = {**header, "vast": _vast_entry(header)}
    desk.takes(with_header(good, written(vast)), TERABYTE)
    each(mutations(document), size.of(3, 100), described)
    for changed in [*spoilt({name: document[name] for name in document if name != "model"})][:: size.of(150, 3)]:
        described({**document, **changed} if isinstance(changed, dict) else changed)
    each(mutations(header), size.of(2, 50), lambda changed: desk.takes(with_header(good, written(changed))))
    draw = random.Random(size.seed)
    for _ in range(size.of(2, 50)):
        desk.takes(damaged(draw, good))
    for data in [*_others(ground, good)][:: size.of(10, 1)]:
        desk.takes(data)
    desk.good.write_bytes(good)
    desk.takes(_sealed({}, document))
    for tensors in _misshapen(good, draw, size.of(3, 100)):
        desk.takes(_sealed(tensors, document))
    return desk.count


class _Desk:
    """Has a run's folder of checkpoints, in which one file lies."""

    def __init__(self, ground: Ground, config: TrainingConfig, info: ModelInfo) -> None:
        self._folder = ground.inputs / "checkpoints"
        self._folder.mkdir()
        self._config = config
        self._model = ground.inputs / "made.distill"
        state = fresh_state(config, torch.device("cpu"))
        state.keep_best(1.0)
        state.progress.step = 3
        self.good = checkpoint.Checkpoints(self._folder, config, state.progress).save(state, info, "corpus")
        self.count = 0

    def takes(self, data: bytes, hole: int = 0) -> None:
        """Make a model of a checkpoint, with a hole of so many bytes behind it, and go on from it."""
        self.count += 1
        self.good.write_bytes(data)
        os.truncate(self.good, len(data) + hole)
        with watched(self._folder.parent):
            try:
                save_model_from_checkpoint(self.good, self._model)
                load_model(self._model)
            except DistillError as error:
                check_sentence(f"distill-engine: {error.message}", "a checkpoint")
            newest, rejected = checkpoint.take_newest(self._folder)
            assert (newest is None) == bool(rejected), rejected
            for reason in rejected:
                check_sentence(f"distill-engine: {reason}", "a checkpoint")
            if newest is not None:
                self._go_on(newest)
        for path in self._folder.iterdir():
            path.unlink()

    def _go_on(self, newest: checkpoint.LoadedCheckpoint) -> None:
        state = fresh_state(self._config, torch.device("cpu"))
        try:
            checkpoint.restore(state, newest)
        except DistillError as error:
            check_sentence(f"distill-engine: {error.message}", "a checkpoint")
            return
        for weights in (state.best, state.ema):
            with state.evaluating(weights):
                pass
        assert isinstance(newest.normalisation, Normalisation)
        state.model.encode(torch.zeros(1, 2, 32, 47))
        for parameter in state.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        state.optimizer.step()


def _misshapen(good: bytes, draw: random.Random, count: int) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the tensors of a checkpoint with one of another shape, kind or name, missing, or not finite."""
    tensors = safetensors.torch.load(good)
    for _ in range(count):
        name = draw.choice(list(tensors))
        changed = dict(tensors)
        tensor = changed.pop(name)
        match draw.randrange(6):
            case 0:
                changed[name] = torch.zeros(draw.choice(((), (0,), (3,), (2, 2), (1, 1, 1, 1))))
            case 1:
                kinds = (torch.int64, torch.bool, torch.float16, torch.uint8, torch.float64, torch.complex64)
                changed[name] = tensor.to(draw.choice(kinds[:5]))
            case 2:
                changed[draw.choice(TEXTS)] = tensor
            case 3:
                changed[f"{name}/more"] = tensor
            case 4:
                changed[name] = torch.full_like(tensor, draw.choice((float("nan"), float("inf"), 1e38)))
            case _:
                pass
        yield {key.encode("utf-8", "replace").decode(): value for key, value in changed.items()}


def _sealed(tensors: dict[str, torch.Tensor], document: dict[str, Any]) -> bytes:
    """Return a checkpoint whose digest is right."""
    info = {**document, "digest": checkpoint._digest(tensors)}
    return safetensors.torch.save(tensors, {checkpoint.METADATA_KEY: json.dumps(info)})
