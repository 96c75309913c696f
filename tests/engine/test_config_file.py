"""Settings as text: what isn't understood is refused with file, line or key; what is written reads back the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill_engine.errors import ConfigError
from distill_engine.training.config import Declaration, Limits, TrainingConfig, Value, declarations, replaced
from distill_engine.training.config_file import (
    apply_settings,
    is_as_read,
    load_config,
    parse_value,
    read_settings,
    save_config,
)
from distill_engine.training.presets import preset_config

BASE = TrainingConfig()
ODD = replaced(
    preset_config("auto", 100, 7),
    {"learning_rate": 1.2345678901234567e-5, "loss.kl.weight": 0.1 + 0.2, "device": "cuda:1", "seed": 2**32 - 1},
)
"""A configuration in which floats need all their digits."""


def loaded(path: Path, text: str, base: TrainingConfig = BASE) -> TrainingConfig:
    path.write_bytes(text.encode())
    return load_config(path, base)


def refusal(path: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        loaded(path, text)
    assert raised.value.exit_status == 2
    return raised.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.toml"


def test_a_file_changes_what_it_names_and_leaves_the_rest_of_the_base(path: Path) -> None:
    config = loaded(path, "seed = 3\n[loss.kl]\nweight = 1\n", ODD)
    assert config == replaced(ODD, {"seed": 3, "loss.kl.weight": 1.0})


@pytest.mark.parametrize("text", ["", "# nothing\n", "[loss]\n[loss.kl]\n", "loss = {}\n"])
def test_a_file_that_names_nothing_changes_nothing(path: Path, text: str) -> None:
    assert loaded(path, text, ODD) == ODD


def test_a_mark_that_some_editors_put_first_is_no_part_of_a_key(path: Path) -> None:
    assert loaded(path, "\ufeffseed = 3\n").seed == 3


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("batchsize = 3\n", "there is no setting 'batchsize'", "did you mean batch_size?"),
        ("[los.kl]\nweight = 1\n", "there is no setting 'los.kl.weight'", "did you mean loss.kl.weight?"),
        ("[los.kl]\n", "there is no setting 'los.kl'", "did you mean loss.kl?"),
        ("[augmentation]\ndropout = 1\n", "there is no setting 'augmentation.dropout'", "regularization.dropout?"),
        ("loss = 3\n", "loss is a group of settings, not a setting", "loss.kl.weight"),
        ("[[loss]]\n", "loss is a group of settings, not a setting", "loss.kl.weight"),
        ("seed = {a = 1}\n", "seed must be a whole number, not a group", "0 to 4294967295"),
        ("seed = {}\n", "seed must be a whole number, not a group", "0 to 4294967295"),
        ("seed = [1]\n", "seed must be a whole number, not a list", "0 to 4294967295"),
        ("seed = 2024-01-01\n", "seed must be a whole number, not a date", "0 to 4294967295"),
        ('seed = "1"\n', "seed must be a whole number, not '1'", "0 to 4294967295"),
        ("max_epochs = 1.5\n", "max_epochs must be a whole number, not 1.5", "1 to 100000 epochs"),
        ("batch_size = true\n", "batch_size must be a whole number, not true", "0 to 4096 pieces"),
        ("learning_rate = nan\n", "learning_rate is nan, not a finite number", "1e-08 to 1"),
        ("[loss.kl]\nweight = -1\n", "loss.kl.weight is -1, below the least allowed, 0", "0 to 100"),
        ('precision = "FP32"\n', "precision is 'FP32', not auto, fp32 or bf16", "bf16 is often faster"),
        ('"loss.kl.weight" = 1\n', '"loss.kl.weight" is quoted as one name', "write loss.kl.weight without quotes"),
    ],
)
def test_what_a_file_may_not_hold_is_told_with_file_key_and_limit(
    path: Path, text: str, message: str, hint: str
) -> None:
    error = refusal(path, text)
    assert error.message == f"run.toml: {message}"
    assert hint in error.hint
    assert error.key


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("seed = ", 1),
        ("\n\nseed 1\n", 3),
        ('seed = 1\ndevice = "cpu\n', 2),
        ("seed = 1\nseed = 2\n", 2),
        ("[loss\n", 1),
    ],
)
def test_what_is_not_toml_is_told_with_the_line(path: Path, text: str, line: int) -> None:
    error = refusal(path, text)
    assert error.message.startswith(f"run.toml, line {line}, can't be understood: ")
    assert "KEY = VALUE" in error.hint


@pytest.mark.parametrize("text", ["seed = " + "9" * 5000, "seed = " + "[" * 5000])
def test_what_python_itself_gives_up_on_is_one_sentence(path: Path, text: str) -> None:
    assert refusal(path, text).message == "run.toml holds a number that is too long, or too many brackets in each other"


def test_a_file_that_is_missing_a_folder_or_not_text_is_one_sentence(tmp_path: Path, path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^there is no configuration file .*run\.toml$"):
        load_config(path, BASE)
    with pytest.raises(ConfigError, match=r"is a folder, not a configuration file$"):
        load_config(tmp_path, BASE)
    path.write_bytes(b"seed = 1 # caf\xe9\n")
    with pytest.raises(ConfigError, match=r"isn't text in UTF-8: byte 14 can't be one$"):
        load_config(path, BASE)


def test_no_name_reaches_a_terminal_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(tmp_path / "a\x1b[31m.toml", BASE)
    assert "\x1b" not in raised.value.message
    for setting in ("precision=\x1b[31m", "seed=\x1b[31m", "\x1b[31m=1", "\x1b[31m"):
        with pytest.raises(ConfigError) as raised:
            apply_settings(BASE, [setting])
        assert "\x1b" not in raised.value.message


def test_settings_of_a_command_line_are_read_by_their_type() -> None:
    config = apply_settings(BASE, ["seed=3", " learning_rate = 1e-2 ", "device=cuda:1", "loss.kl.weight=1"])
    assert config == replaced(BASE, {"seed": 3, "learning_rate": 0.01, "device": "cuda:1", "loss.kl.weight": 1.0})
    assert apply_settings(BASE, ["device='cpu'"]).device == "cpu"
    assert apply_settings(BASE, ["seed=3", "seed=4"]).seed == 4
    assert apply_settings(BASE, []) == BASE


def test_settings_that_depend_on_each_other_may_come_in_any_order() -> None:
    narrow = ["complex_spectrogram.n_fft=512", "complex_spectrogram.hop_length=128"]
    assert apply_settings(BASE, narrow) == apply_settings(BASE, reversed(narrow))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("seed", "--set seed names no value"),
        ("seed=", "seed must be a whole number, not ''"),
        ("seed=1.0", "seed must be a whole number, not '1.0'"),
        ("seed=many", "seed must be a whole number, not 'many'"),
        ("learning_rate=1,5", "learning_rate must be a number, not '1,5'"),
        ("learning_rate=inf", "learning_rate is inf, not a finite number"),
        ("learning_rate=3", "learning_rate is 3, above the greatest allowed, 1"),
        ("device=", "device is '', not auto, cpu, cuda or cuda:N"),
        ("epochs=3", "there is no setting 'epochs'"),
        ("loss.kl=3", "loss.kl is a group of settings, not a setting"),
        ("=3", "there is no setting ''"),
    ],
)
def test_a_setting_that_is_refused_says_why(setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        apply_settings(BASE, [setting])
    assert raised.value.message == message
    assert raised.value.hint


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False), ("yes", None)])
def test_a_switch_is_true_or_false(text: str, value: Value | None) -> None:
    limits = Limits(help="A switch.", choices=(True, False))
    entry = Declaration(key="a.b", group="a", name="b", kind=bool, default=True, limits=limits)
    if value is None:
        with pytest.raises(ConfigError, match=r"^a\.b must be true or false, not 'yes'$"):
            parse_value(entry, text)
    else:
        assert parse_value(entry, text) is value


@pytest.mark.parametrize("config", [BASE, ODD, preset_config("conservative", 3, 3)])
def test_a_fresh_file_reads_back_the_same_whatever_it_is_laid_over(path: Path, config: TrainingConfig) -> None:
    save_config(path, config)
    assert load_config(path, ODD) == config
    assert load_config(path, BASE) == config


def test_a_fresh_file_explains_every_setting(path: Path) -> None:
    save_config(path, BASE)
    text = path.read_text()
    for entry in declarations().values():
        assert f"# {entry.limits.help} Allowed: {entry.limits.words}.\n{entry.name} = " in text


OWN = """\
# My piano, third try.
learning_rate = 0.50   # too much?
max_minutes = 0  # until it's done

  # Only a little of this.
[augmentation] # copies
copies=3
gain_db = 3.0

# Smooth.
[loss.kl]
weight = 0.5
# The end.
"""


def test_saving_keeps_comments_order_and_the_spelling_of_what_is_the_same(path: Path) -> None:
    path.write_text(OWN)
    config = replaced(load_config(path, BASE), {"learning_rate": 1e-5, "loss.kl.weight": 0.25})
    save_config(path, config)
    after = path.read_text()
    kept = OWN.replace("0.50   #", "1e-05   #").replace("weight = 0.5\n", "weight = 0.25\n").splitlines()
    lines = after.splitlines()
    assert [line for line in lines if line in kept and line] == [line for line in kept if line]
    assert load_config(path, ODD) == config
    save_config(path, config)
    assert path.read_text() == after


def test_saving_a_file_that_names_everything_changes_only_values(path: Path) -> None:
    save_config(path, BASE)
    before = path.read_text()
    save_config(path, replaced(BASE, {"seed": 7, "loss.stft.weight": 0.75}))
    after = path.read_text()
    changed = [pair for pair in zip(before.splitlines(), after.splitlines(), strict=True) if pair[0] != pair[1]]
    assert changed == [("seed = 0", "seed = 7"), ("weight = 0.5", "weight = 0.75")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only words",
        "seed = 1",
        "[loss]",
        "loss.kl.weight = 1 # dotted\nseed = 1\n[loss.stft]\nweight = 2\n",
        "loss.kl.weight = 1 # dotted\n[ loss . stft ]\nweight = 2\n",
        "[loss]\nkl.weight = 1 # dotted below a heading\nstft = {weight = 1}\n",
        "loss = {kl = {weight = 1}} # inline\naugmentation = {copies = 3}\n",
        "[loss.kl]\nweight = 1\n[augmentation]\ncopies = 3\n[loss.stft]\nweight = 1 # scattered\n",
        "[loss]\n[loss.kl]\n[loss.stft]\nweight = 1",
        '[ "loss" . kl ] # quoted\nweight = 1\n',
        "[loss.kl]\r\nweight = 1 # from elsewhere\r\n",
        "device = '''\ncpu''' # over two lines\n",
        "\ufeffseed = 3 # marked\n",
    ],
)
def test_any_way_to_write_settings_is_kept_and_reads_back_the_same(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
    save_config(path, ODD)
    assert load_config(path, BASE) == ODD
    written = path.read_bytes().decode()
    for line in text.splitlines():
        assert line.partition("#")[2] in written
    assert "\r\n" not in text or "\n" not in written.replace("\r\n", "")
    save_config(path, ODD)
    assert path.read_bytes().decode() == written


@pytest.mark.parametrize("text", ["seed = \n", "batchsize = 3\n", "seed = -1\n"])
def test_a_file_that_would_not_load_is_not_overwritten(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"^run\.toml"):
        save_config(path, BASE)
    assert path.read_text() == text


def test_saving_leaves_nothing_beside_the_file_and_a_link_a_link(tmp_path: Path, path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    path.write_text("seed = 1\n")
    save_config(link, ODD)
    assert link.is_symlink()
    assert load_config(path, BASE) == ODD
    assert sorted(tmp_path.iterdir()) == [link, path]


def test_every_setting_survives_a_trip_through_text(path: Path) -> None:
    for entry in declarations().values():
        last = entry.limits.choices[-1] if entry.limits.choices else entry.limits.high
        shared = ["batch_size=4096"]  # which any number of processes that is asked for can share
        config = apply_settings(BASE, [*shared, f"{entry.key}={'cpu' if last is None else last}"])
        save_config(path, config)
        assert load_config(path, ODD) == config


def test_a_file_can_be_read_for_what_it_names_alone(path: Path) -> None:
    path.write_text("seed = 3\n[loss.kl]\nweight = 1\n[complex_spectrogram]\nn_fft = 512\n")
    values = read_settings(path).values
    assert values == {"seed": 3, "loss.kl.weight": 1.0, "complex_spectrogram.n_fft": 512}
    assert type(values["loss.kl.weight"]) is float
    for text in ("batchsize = 3\n", "seed = -1\n", "seed = \n", "loss = 3\n"):
        expected = refusal(path, text)
        with pytest.raises(ConfigError) as raised:
            read_settings(path)
        assert (raised.value.message, raised.value.hint) == (expected.message, expected.hint)


def test_a_file_that_changed_or_went_since_it_was_read_is_told(path: Path) -> None:
    path.write_text("seed = 3\n")
    read = read_settings(path)
    assert is_as_read(read)
    path.write_text("seed = 3\n\n")
    assert not is_as_read(read)
    path.unlink()
    assert not is_as_read(read)
