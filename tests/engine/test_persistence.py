"""A saved model comes back bit for bit, and nothing but a whole model comes back."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import random
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import safetensors.torch
import torch
from torch import Tensor

from distill_engine.errors import ModelFileError, NotFoundError
from distill_engine.models.model_info import (
    Architecture,
    Distance,
    LatentAxis,
    MagnitudeRange,
    ModelInfo,
    TrainingSummary,
)
from distill_engine.models.persistence import load_model, rewrite_info, save_model, save_model_from_checkpoint
from distill_engine.models.vae import ConvVAE

_architecture = Architecture(latent_dim=3, time_frames=32)


def _model(seed: int = 0) -> ConvVAE:
    torch.manual_seed(seed)
    return ConvVAE(latent_dim=3, time_frames=32)


def _info(**changes: object) -> ModelInfo:
    training = TrainingSummary(dataset="rain", recordings=5, preview=Distance(lsd=6.0), versions={"torch": "2.11"})
    normalisation = MagnitudeRange(magnitude_floor=-12.66, magnitude_scale=1 / 3)
    whole = ModelInfo(name="rain", architecture=_architecture, normalisation=normalisation, training=training)
    return msgspec.structs.replace(whole, **changes)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "rain.distill"
    save_model(path, _model(), _info(id="0" * 32))
    return path


def _rewritten(saved: Path, path: Path, change: Callable[[dict[str, Tensor], dict[str, Any]], None]) -> Path:
    tensors, document = safetensors.torch.load_file(saved), _document(saved)
    change(tensors, document)
    path.write_bytes(safetensors.torch.save(tensors, {"distill": json.dumps(document)}))
    return path


def _document(path: Path) -> dict[str, Any]:
    with safetensors.safe_open(path, framework="pt") as file:
        document: dict[str, Any] = json.loads(file.metadata()["distill"])
    return document


def test_weights_outputs_and_description_come_back_exactly(saved: Path, tmp_path: Path) -> None:
    loaded, original = load_model(saved), _model().eval()
    assert loaded.info == _info(id="0" * 32)
    assert not loaded.model.training
    assert all(torch.equal(loaded.model.state_dict()[name], kept) for name, kept in original.state_dict().items())
    x = torch.rand(2, 2, 128, 30)
    assert torch.equal(loaded.model(x)[0], original(x)[0])
    save_model(tmp_path / "again.distill", loaded.model, loaded.info)
    assert (tmp_path / "again.distill").read_bytes() == saved.read_bytes()


def test_what_a_front_end_needs_to_make_sound_is_there(saved: Path) -> None:
    loaded = load_model(saved)
    assert loaded.spectrogram.n_mels == 128
    assert dataclasses.astuple(loaded.normalisation) == (-12.66, 1 / 3)


def test_loading_leaves_everyones_random_numbers_alone(saved: Path) -> None:
    before = torch.get_rng_state()
    load_model(saved)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_channels_last_model_is_saved_as_any_other(saved: Path, tmp_path: Path) -> None:
    model: ConvVAE = _model().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    save_model(tmp_path / "a.distill", model, _info(id="0" * 32))
    assert (tmp_path / "a.distill").read_bytes() == saved.read_bytes()


def test_the_file_has_the_mode_any_new_file_has(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        save_model(tmp_path / "a.distill", _model(), _info())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.distill").stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["a.distill"]


def test_a_missing_latent_dim_reads_as_128(tmp_path: Path) -> None:
    path, model = tmp_path / "default.distill", ConvVAE()
    save_model(path, model, _info(architecture=Architecture()))
    _rewritten(path, path, lambda _, document: document["architecture"].pop("latent_dim"))
    assert load_model(path).model.latent_dim == 128


def test_fields_of_later_versions_are_passed_over(saved: Path, tmp_path: Path) -> None:
    loaded = load_model(_rewritten(saved, tmp_path / "a.distill", _set("mood", to="calm")))
    assert loaded.info == load_model(saved).info


def test_latent_axes_come_back_as_they_were_saved(tmp_path: Path) -> None:
    model = _model()
    axis = LatentAxis(
        name="brightness",
        direction=(1.0,) + (0.0,) * (model.latent_dim - 1),
        deviation=0.5,
        low=-2.0,
        high=3.0,
        correlation=0.9,
    )
    info = _info(latent_mean=(0.25,) * model.latent_dim, latent_axes=(axis,))
    save_model(tmp_path / "a.distill", model, info)
    assert load_model(tmp_path / "a.distill").info == info


def _set(*keys: str, to: object) -> Callable[[dict[str, Tensor], dict[str, Any]], None]:
    def change(_: dict[str, Tensor], document: dict[str, Any]) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("latent_axes", to=[{"name": "bright", "direction": [1.0], "deviation": 1.0, "low": -1.0, "high": 1.0}]),
        _set("latent_mean", to=[0.0]),
    ],
)
def test_axes_of_another_latent_space_are_refused(
    saved: Path, tmp_path: Path, change: Callable[[dict[str, Tensor], dict[str, Any]], None]
) -> None:
    with pytest.raises(ModelFileError):
        load_model(_rewritten(saved, tmp_path / "a.distill", change))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"deviation": 1e300}, "deviation"),
        ({"direction": [1e300, 0.0, 0.0]}, "direction"),
        ({"low": -1e9}, "low"),
        ({"name": "\x1b[31m"}, "name"),
        ({}, "two axes have one name"),
    ],
)
def test_axes_that_would_do_harm_are_refused(
    saved: Path, tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    axis = {"name": "brightness", "direction": [1.0, 0.0, 0.0], "deviation": 1.0, "low": -1.0, "high": 1.0}

    def change(_: dict[str, Tensor], document: dict[str, Any]) -> None:
        document |= {"latent_mean": [0.0] * 3, "latent_axes": [axis, {**axis, **changes}]}

    with pytest.raises(ModelFileError, match=told):
        load_model(_rewritten(saved, tmp_path / "a.distill", change))


@pytest.mark.parametrize("change", [_set("latent_mean", to=[1e300, 0.0, 0.0]), _set("latent_rest", to=1e300)])
def test_a_middle_beyond_all_numbers_is_refused(
    saved: Path, tmp_path: Path, change: Callable[[dict[str, Tensor], dict[str, Any]], None]
) -> None:
    with pytest.raises(ModelFileError, match="latent_"):
        load_model(_rewritten(saved, tmp_path / "a.distill", change))


def test_a_description_is_written_anew_and_the_weights_stay_byte_for_byte(saved: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(saved, tmp_path / "a.distill"))
    before = _bytes_of_tensors(path)
    axis = LatentAxis(name="brightness", direction=(0.6, 0.8, 0.0), deviation=0.5, low=-2.0, high=3.0, correlation=0.9)
    info = msgspec.structs.replace(load_model(path).info, latent_mean=(0.25, 0.5, 1.0), latent_axes=(axis,))
    for _ in range(2):
        rewrite_info(path, info)
        assert load_model(path).info == info
        assert _bytes_of_tensors(path) == before
    assert [left.name for left in tmp_path.iterdir()] == ["a.distill"]


def test_a_description_that_could_not_be_read_again_is_not_written(saved: Path) -> None:
    before = saved.read_bytes()
    info = load_model(saved).info
    overflown = msgspec.structs.replace(info, latent_mean=(math.nan,) * info.architecture.latent_dim)
    with pytest.raises(ModelFileError, match="a description that can't be read"):
        rewrite_info(saved, overflown)
    assert saved.read_bytes() == before


def test_another_model_gets_no_foreign_description(saved: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(saved, tmp_path / "a.distill"))
    with pytest.raises(ModelFileError, match="another model"):
        rewrite_info(path, _info(id="1" * 32))
    assert path.read_bytes() == saved.read_bytes()
    with pytest.raises(NotFoundError):
        rewrite_info(tmp_path / "gone.distill", _info())


def _bytes_of_tensors(path: Path) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in safetensors.torch.load_file(path).items()}


def _tensor(name: str, value: Tensor | None) -> Callable[[dict[str, Tensor], dict[str, Any]], None]:
    def change(tensors: dict[str, Tensor], _: dict[str, Any]) -> None:
        tensors.pop(name, None)
        if value is not None:
            tensors[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_set("format", to=2), "format 2.* reads format 1"),
        (_set("format", to="x"), "can't be read"),
        (_set("id", to="../../etc"), "can't be read"),
        (_set("architecture", "latent_dim", to=10**9), "can't be read"),
        (_set("architecture", "latent_dim", to=0), "can't be read"),
        (_set("architecture", "latent_dim", to=60_000), "far larger than the file"),
        (_set("architecture", "time_frames", to=60_000), "can't be read"),
        (_set("architecture", "latent_dim", to=2), "needs F32"),
        (_set("architecture", "n_mels", to=64), "64 bands"),
        (_set("representation", "n_fft", to=1000), "can't be read"),
        (_set("representation", "sample_rate", to=44_100), "44100"),
        (_set("normalisation", "magnitude_scale", to=0.0), "magnitude_scale"),
        (_set("normalisation", "magnitude_scale", to=1e30), "no sound has"),
        (_set("normalisation", "magnitude_floor", to=-1e30), "no sound has"),
        (_set("normalisation", to={}), "can't be read"),
        (_tensor("encoder.to_mu.bias", None), r"lacks 1 of .* 'encoder.to_mu.bias'"),
        (_tensor("extra", torch.zeros(1)), "doesn't have: 'extra'"),
        (_tensor("encoder.to_mu.bias", torch.zeros(4)), r"F32 \[4\], the network needs F32 \[3\]"),
        (_tensor("encoder.to_mu.bias", torch.zeros(3, dtype=torch.float16)), r"F16 \[3\]"),
        (_tensor("encoder.to_mu.bias", torch.tensor([0, math.nan, 0])), "aren't finite"),
        (_tensor("decoder.from_latent.bias", torch.full((2048,), math.inf)), "aren't finite"),
    ],
)
def test_a_model_that_is_not_what_it_says_is_refused(
    saved: Path, tmp_path: Path, change: Callable[[dict[str, Tensor], dict[str, Any]], None], told: str
) -> None:
    path = _rewritten(saved, tmp_path / "bad.distill", change)
    with pytest.raises(ModelFileError, match=told) as caught:
        load_model(path)
    assert "bad.distill" in caught.value.message
    assert "\n" not in caught.value.message


def test_other_files_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.distill"
    other.write_bytes(safetensors.torch.save({"a": torch.zeros(1)}))
    with pytest.raises(ModelFileError, match="no Distill model"):
        load_model(other)
    torch.save({"a": torch.zeros(1)}, other)
    with pytest.raises(ModelFileError, match="not a whole model"):
        load_model(other)
    with pytest.raises(NotFoundError):
        load_model(tmp_path / "nothing.distill")


def _load_or_refuse(path: Path) -> ConvVAE | None:
    try:
        return load_model(path).model
    except ModelFileError as error:
        # A control character of a damaged name, raw in a sentence, would reach someone's terminal.
        if not error.message.isprintable():
            raise AssertionError(error.message) from error
        return None


def test_a_damaged_header_gives_one_sentence_or_the_model(saved: Path, tmp_path: Path) -> None:
    path, chance = tmp_path / "damaged.distill", random.Random(11)
    shutil.copy(saved, path)
    with path.open("r+b", buffering=0) as file:
        good = file.read(int.from_bytes(file.read(8), "little"))
        for _ in range(400):
            damaged = bytearray(good)
            for _ in range(chance.randint(1, 4)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            file.seek(8)
            file.write(damaged)
            model = _load_or_refuse(path)
            assert model is None or model.latent_dim == 3


def test_a_file_cut_anywhere_is_refused(saved: Path, tmp_path: Path) -> None:
    path, chance = tmp_path / "cut.distill", random.Random(12)
    shutil.copy(saved, path)
    for length in sorted((chance.randrange(saved.stat().st_size) for _ in range(100)), reverse=True):
        os.truncate(path, length)
        assert _load_or_refuse(path) is None


def test_a_diverged_model_is_not_written(tmp_path: Path) -> None:
    model = _model()
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    with pytest.raises(ModelFileError, match="aren't finite"):
        save_model(tmp_path / "a.distill", model, _info())
    assert not list(tmp_path.iterdir())


def test_a_description_of_another_network_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="latent_dim"):
        save_model(tmp_path / "a.distill", _model(), _info(architecture=Architecture()))
    assert not list(tmp_path.iterdir())


def _checkpoint(path: Path, *prefixes: str, info: ModelInfo | None = None) -> Path:
    tensors = {
        f"{prefix}/{name}": tensor
        for seed, prefix in enumerate(prefixes)
        for name, tensor in _model(seed).state_dict().items()
    }
    tensors |= {"optimizer/encoder.to_mu.bias/step": torch.tensor(3.0)}
    document = {"format": 1, "progress": {"step": 3}, "model": msgspec.to_builtins(info or _info(id="1" * 32))}
    path.write_bytes(safetensors.torch.save(tensors, {"checkpoint": json.dumps(document)}))
    return path


@pytest.mark.parametrize("prefixes", [("best", "ema", "model"), ("ema", "model"), ("model",), ("best", "model")])
def test_a_model_is_made_of_a_checkpoints_best_weights(tmp_path: Path, prefixes: tuple[str, ...]) -> None:
    checkpoint, path = _checkpoint(tmp_path / "step.safetensors", *prefixes), tmp_path / "models" / "rain.distill"
    info = save_model_from_checkpoint(checkpoint, path)
    loaded = load_model(path)
    assert info == loaded.info == _info(id="1" * 32)
    assert torch.equal(loaded.model.encoder.to_mu.weight, _model(0).encoder.to_mu.weight)


def test_a_broken_checkpoint_makes_no_model(saved: Path, tmp_path: Path) -> None:
    path, short = tmp_path / "a.distill", tmp_path / "short.safetensors"
    short.write_bytes(_checkpoint(short, "model").read_bytes()[:-1])
    empty = _checkpoint(tmp_path / "empty.safetensors")
    for broken, told in ((short, "cut short"), (empty, "far larger"), (saved, "no checkpoint")):
        with pytest.raises(ModelFileError, match=told):
            save_model_from_checkpoint(broken, path)
    assert not path.exists()
