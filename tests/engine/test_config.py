"""A configuration can't hold what is not allowed, and says which setting, what is wrong, and the limit."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import pytest

from distill_engine.errors import ConfigError
from distill_engine.training.config import (
    AugmentationConfig,
    ComplexSpectrogramConfig,
    Declaration,
    KlLossConfig,
    LossConfig,
    ReconstructionLossConfig,
    StftLossConfig,
    TrainingConfig,
    checked_value,
    declaration,
    declarations,
    get,
    replaced,
)
from distill_engine.training.estimate import estimate
from distill_engine.training.presets import PRESETS, preset_config, unfitted_preset

KEYS = list(declarations())
NUMBERS = [entry for entry in declarations().values() if entry.kind in (int, float) and not entry.limits.choices]
CHOICES = [entry for entry in declarations().values() if entry.limits.choices]


def by_key(entry: object) -> str:
    return entry.key if isinstance(entry, Declaration) else str(entry)


def refusal(**values: object) -> ConfigError:
    """Return the error of setting dotted keys, written with `__` for dots."""
    with pytest.raises(ConfigError) as raised:
        replaced(TrainingConfig(), {key.replace("__", "."): value for key, value in values.items()})
    return raised.value


def test_defaults_are_those_the_design_fixes() -> None:
    config = TrainingConfig()
    spectrogram = config.complex_spectrogram
    assert (spectrogram.sample_rate, spectrogram.n_fft, spectrogram.hop_length, spectrogram.n_mels) == (
        48_000,
        2048,
        512,
        128,
    )
    assert spectrogram.time_frames == 94
    assert (config.latent_dim, config.max_minutes, config.num_processes) == (128, 0.0, 1)
    assert not hasattr(spectrogram, "enabled")


@pytest.mark.parametrize("key", KEYS)
def test_each_setting_has_a_sentence_and_limits_that_its_default_keeps(key: str) -> None:
    entry = declaration(key)
    assert entry.limits.help.endswith(".")
    assert entry.limits.words
    assert entry.default == get(TrainingConfig(), key)
    assert replaced(TrainingConfig(), {key: entry.default}) == TrainingConfig()


@pytest.mark.parametrize("key", KEYS)
def test_a_setting_is_found_under_the_name_of_its_group(key: str) -> None:
    entry = declaration(key)
    part: Any = TrainingConfig()
    for name in filter(None, entry.group.split(".")):
        part = getattr(part, name)
    assert part.group == entry.group
    assert type(getattr(part, entry.name)) is entry.kind


@pytest.mark.parametrize("entry", NUMBERS, ids=by_key)
def test_a_number_may_lie_on_its_limits_and_not_beyond(entry: Declaration) -> None:
    low, high = entry.limits.low, entry.limits.high
    assert low is not None
    assert high is not None
    usual = TrainingConfig(batch_size=256)  # any number of processes can share it
    for bound in (low, high):
        assert get(replaced(usual, {entry.key: entry.kind(bound)}), entry.key) == bound
    for beyond, words in ((entry.kind(low - 1), "below the least allowed"), (entry.kind(high + 1), "above the great")):
        with pytest.raises(ConfigError) as raised:
            replaced(TrainingConfig(), {entry.key: beyond})
        assert raised.value.message.startswith(f"{entry.key} is ")
        assert words in raised.value.message
        assert raised.value.key == entry.key
        assert entry.limits.words in raised.value.hint


@pytest.mark.parametrize("entry", CHOICES, ids=by_key)
def test_a_choice_takes_what_is_listed_and_nothing_else(entry: Declaration) -> None:
    for choice in entry.limits.choices:
        values = {"complex_spectrogram.n_fft": 4096, "complex_spectrogram.hop_length": 128, entry.key: choice}
        assert get(replaced(TrainingConfig(), values), entry.key) == choice
    other = "other" if entry.kind is str else 1000
    with pytest.raises(ConfigError) as raised:
        replaced(TrainingConfig(), {entry.key: other})
    if entry.kind is bool:
        assert raised.value.message == f"{entry.key} must be true or false, not {other!r}"
    else:
        assert raised.value.message == f"{entry.key} is {other!r}, not {entry.limits.words}"


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", [True, None, [1], {"a": 1}, b"1", math.nan, math.inf, -math.inf])
def test_no_setting_takes_another_type_or_a_number_without_end(key: str, value: object) -> None:
    if value is True and declarations()[key].kind is bool:
        value = 1
    with pytest.raises(ConfigError) as raised:
        replaced(TrainingConfig(), {key: value})
    assert raised.value.message.startswith(f"{key} ")
    assert raised.value.key == key


def test_a_whole_number_in_a_float_setting_becomes_a_float() -> None:
    weight = KlLossConfig(weight=1).weight
    assert type(weight) is float
    assert weight == 1.0


def test_a_float_in_a_whole_number_setting_is_refused_even_without_a_fraction() -> None:
    assert refusal(batch_size=32.0).message == "batch_size must be a whole number, not 32.0"


def test_messages_name_setting_value_and_limit() -> None:
    error = refusal(learning_rate=3)
    assert error.message == "learning_rate is 3, above the greatest allowed, 1"
    assert error.hint.endswith("Allowed: 1e-08 to 1")
    assert refusal(batch_size=True).message == "batch_size must be a whole number, not true"
    assert refusal(loss__kl__weight="x").message == "loss.kl.weight must be a number, not 'x'"
    assert refusal(device="gpu").message == "device is 'gpu', not auto, cpu, cuda or cuda:N"
    assert refusal(max_epochs=10**5000).message == (
        "max_epochs is a whole number of more than 15 digits, above the greatest allowed, 100000"
    )
    assert len(refusal(device="x" * 10_000).message) < 120
    assert error.exit_status == 2


def test_a_part_built_alone_names_its_whole_key() -> None:
    with pytest.raises(ConfigError, match=r"^loss\.kl\.weight is -1, below the least allowed, 0$"):
        KlLossConfig(weight=-1)


def test_a_part_in_anothers_place_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^loss\.kl is a group of settings, not a StftLossConfig$"):
        LossConfig(kl=StftLossConfig())  # type: ignore[arg-type]


def test_a_batch_that_processes_cant_share_evenly_is_refused() -> None:
    error = refusal(num_processes=3, batch_size=32)
    assert error.message == "batch_size is 32, not a multiple of num_processes, 3"
    assert "share each batch evenly" in error.hint
    assert TrainingConfig(num_processes=3, batch_size=33).num_processes == 3


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:12"])
def test_devices_that_torch_may_have_are_taken(device: str) -> None:
    assert TrainingConfig(device=device).device == device


@pytest.mark.parametrize("device", ["", "CPU", "cuda:", "cuda:x", "cuda:-1", "cuda:٣", "cpu\n", "mps"])
def test_other_devices_are_refused(device: str) -> None:
    assert refusal(device=device).key == "device"


def test_frames_must_overlap_by_half() -> None:
    assert ComplexSpectrogramConfig(n_fft=2048, hop_length=1024).time_frames == 47
    with pytest.raises(ConfigError, match=r"^complex_spectrogram\.hop_length is 1024, more than half of n_fft, 1024$"):
        ComplexSpectrogramConfig(n_fft=1024, hop_length=1024)


def test_copies_that_equal_their_source_are_refused() -> None:
    off: dict[str, Any] = {"speed_percent": 0, "gain_db": 0, "noise_db": -120, "shift_ms": 0}
    assert AugmentationConfig(copies=0, **off).copies == 0
    for name in off:
        AugmentationConfig(copies=1, **{key: value for key, value in off.items() if key != name})
    with pytest.raises(ConfigError, match=r"^augmentation\.copies is 1, but .* are all switched off$"):
        AugmentationConfig(copies=1, **off)


def test_a_loss_that_asks_for_nothing_is_refused() -> None:
    silent = ReconstructionLossConfig(magnitude_weight=0, frequency_weight=0)
    assert LossConfig(reconstruction=silent).stft.weight > 0
    with pytest.raises(ConfigError, match=r"are all 0$"):
        LossConfig(reconstruction=silent, stft=StftLossConfig(weight=0))


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("batchsize", "batch_size"),
        ("learningrate", "learning_rate"),
        ("los.kl.weight", "loss.kl.weight"),
        ("loss.kl.wieght", "loss.kl.weight"),
        ("kl_weight", "loss.kl.weight"),
        ("dropout", "regularization.dropout"),
        ("augmentation.dropout", "regularization.dropout"),
        ("epochs", "max_epochs"),
        ("los.kl", "loss.kl"),
        ("hop", "complex_spectrogram.hop_length"),
        ("weight", "loss.stft.weight or loss.kl.weight"),
    ],
)
def test_an_unknown_setting_is_answered_with_the_nearest_real_one(key: str, nearest: str) -> None:
    for use in (lambda: get(TrainingConfig(), key), lambda: replaced(TrainingConfig(), {key: 1})):
        with pytest.raises(ConfigError) as raised:
            use()
        assert raised.value.message == f"there is no setting {key!r}"
        assert raised.value.hint == f"did you mean {nearest}?"


@pytest.mark.parametrize("key", ["", "zzz", ".", "loss..kl", "x" * 10_000])
def test_a_setting_like_no_other_is_answered_with_where_all_are_listed(key: str) -> None:
    assert "config.toml" in refusal(**{key: 1}).hint or "did you mean" in refusal(**{key: 1}).hint


def test_a_group_is_not_a_setting() -> None:
    error = refusal(loss__kl=1)
    assert error.message == "loss.kl is a group of settings, not a setting"
    assert "loss.kl.free_bits" in error.hint


def test_replacing_changes_what_is_named_and_leaves_the_original() -> None:
    before = TrainingConfig()
    after = replaced(before, {"loss.kl.weight": 0.5, "seed": 3})
    assert (after.loss.kl.weight, after.seed) == (0.5, 3)
    assert before == TrainingConfig()
    assert replaced(after, {"loss.kl.weight": before.loss.kl.weight, "seed": 0}) == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        after.seed = 4  # type: ignore[misc]


def test_settings_that_depend_on_each_other_are_checked_together() -> None:
    both = {"complex_spectrogram.hop_length": 1024, "complex_spectrogram.n_fft": 4096}
    assert replaced(replaced(TrainingConfig(), {"complex_spectrogram.n_fft": 1024}), both).complex_spectrogram.n_fft


def test_presets_differ_in_restraint_and_in_one_direction() -> None:
    conservative, balanced, aggressive = (
        preset_config(name, 600, 60) for name in ("conservative", "balanced", "aggressive")
    )
    for key in ("learning_rate", "regularization.gradient_clip", "batch_size"):
        assert get(conservative, key) < get(balanced, key) < get(aggressive, key)  # type: ignore[operator]
    for key in ("regularization.weight_decay", "augmentation.copies", "warmup_steps"):
        assert get(conservative, key) > get(balanced, key) > get(aggressive, key)  # type: ignore[operator]
    assert conservative.regularization.dropout > balanced.regularization.dropout


def test_balanced_is_the_defaults_where_the_material_allows_it() -> None:
    assert preset_config("balanced", 600, 60) == TrainingConfig()


def test_an_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(ConfigError) as raised:
        preset_config("wild", 60, 10)
    assert raised.value.message == "there is no preset 'wild'"
    assert raised.value.hint == "the presets are auto, conservative, balanced, aggressive"


MATERIALS = [(5.0, 5), (180.0, 30), (3600.0, 1), (30_000.0, 500)]


@pytest.mark.parametrize(
    ("seconds", "files"), [*MATERIALS, (0.05, 1), (1.0, 1), (2.0, 500), (863.0, 58), (180_000.0, 9)]
)
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_makes_a_run_of_reasonable_size(name: str, seconds: float, files: int) -> None:
    config = preset_config(name, seconds, files)
    size = estimate(config, seconds, files)
    assert config.batch_size <= size.training_pieces
    assert 2_000 <= size.steps <= 20_000 or config.max_epochs == 2
    previews = config.max_epochs // config.preview_interval
    assert previews <= 30
    assert config.preview_interval <= config.max_epochs


def test_auto_stretches_little_material_and_lets_much_speak_for_itself() -> None:
    little, some, _, much = (preset_config("auto", *material) for material in MATERIALS)
    for less, more in itertools.pairwise((little, some, much)):
        assert less.augmentation.copies > more.augmentation.copies
        assert less.batch_size < more.batch_size
        assert less.max_epochs > more.max_epochs


def test_auto_fits_length_and_number_of_recordings_both() -> None:
    by_length = [preset_config("auto", seconds, 30) for seconds in (30, 300, 3000)]
    by_number = [preset_config("auto", 1800, files) for files in (3, 30, 300)]
    for configs in (by_length, by_number):
        for less, more in itertools.pairwise(configs):
            assert less.augmentation.copies >= more.augmentation.copies
            assert less.batch_size <= more.batch_size
        assert configs[0].augmentation.copies > configs[-1].augmentation.copies


@pytest.mark.parametrize("files", [1, 5, 50, 500])
def test_auto_never_turns_back_as_the_material_grows(files: int) -> None:
    configs = [preset_config("auto", 2.0**power, files) for power in range(3, 17)]
    for less, more in itertools.pairwise(configs):
        assert less.augmentation.copies >= more.augmentation.copies
        assert less.batch_size <= more.batch_size
        assert less.learning_rate <= more.learning_rate


@pytest.mark.parametrize(("seconds", "files"), [(0.0, 3), (-1.0, 3), (10.0, 0)])
def test_a_preset_for_nothing_is_a_callers_mistake(seconds: float, files: int) -> None:
    with pytest.raises(ValueError, match="a preset needs something to fit"):
        preset_config("auto", seconds, files)


def test_before_there_is_material_a_preset_is_what_it_asks_for_itself() -> None:
    assert unfitted_preset("auto") == unfitted_preset("balanced") == TrainingConfig()
    for name in ("conservative", "aggressive"):
        asked, fitted = unfitted_preset(name), preset_config(name, 3600, 300)
        assert asked.regularization == fitted.regularization != TrainingConfig().regularization


def test_a_value_can_be_checked_alone_whatever_it_would_contradict() -> None:
    assert checked_value("complex_spectrogram.hop_length", 1024) == 1024
    assert type(checked_value("max_minutes", 3)) is float
    for key, value in (("complex_spectrogram.hop_length", 1000), ("batch_size", -1), ("seed", True)):
        with pytest.raises(ConfigError) as raised:
            checked_value(key, value)
        assert raised.value.key == key


def test_settings_that_contradict_each_other_are_all_named() -> None:
    off = {"speed_percent": 0, "gain_db": 0, "noise_db": -120, "shift_ms": 0}
    contradictions: list[dict[str, object]] = [
        {"complex_spectrogram.n_fft": 1024, "complex_spectrogram.hop_length": 1024},
        {"augmentation.copies": 1, **{f"augmentation.{name}": value for name, value in off.items()}},
        {
            "loss.reconstruction.magnitude_weight": 0,
            "loss.reconstruction.frequency_weight": 0,
            "loss.stft.weight": 0,
        },
    ]
    for values in contradictions:
        with pytest.raises(ConfigError) as raised:
            replaced(TrainingConfig(), values)
        assert {raised.value.key, *raised.value.also} == values.keys()
