"""The command line as a person and a script meet it: real processes, exit statuses, what is data and what is words."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import soundfile
import torch
from torch import Tensor

from distill_engine.audio.io import write_recording
from distill_engine.models.persistence import load_model
from tests.engine.program import (
    ENDLESS,
    TIMEOUT,
    Program,
    Result,
    emptied_after,
    ended,
    in_terminal,
    parsed,
    read_all,
    read_until,
    small,
    types,
    until,
)
from tests.engine.recordings import cut, good, sound
from tests.engine.runs import SMALL, write_dataset

EVERY_EPOCH = {"max_epochs": 4, "checkpoint_interval": 1}


def tensors(path: Path) -> dict[str, Tensor]:
    return dict(safetensors.torch.load_file(path))


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    with emptied_after(tmp_path / "home") as home:
        program = Program(home)
        yield program
        program.kill_what_is_left()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("recordings"))


@dataclass(frozen=True)
class Trained:
    """A finished run called `a`; tests that change anything take a copy."""

    program: Program
    dataset: Path
    result: Result

    def copy(self, home: Path) -> Program:
        """Return a program that has this run and its model too."""
        shutil.copytree(self.program.home, home)
        return Program(home)

    def library(self, home: Path) -> Program:
        """Return a program that has the model alone."""
        copied = Program(home).model("a")
        copied.parent.mkdir(parents=True)
        shutil.copyfile(self.program.model("a"), copied)
        return Program(home)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Iterator[Trained]:
    with emptied_after(tmp_path_factory.mktemp("trained")) as home:
        program = Program(home)
        previews = {"preview_recordings": 1, "preview_samples": 1, "preview_seconds": 0.5}
        result = program.train(dataset, "--name=a", "--json", **EVERY_EPOCH, **previews)
        yield Trained(program, dataset, result)


@pytest.fixture
def library(tmp_path: Path, trained: Trained) -> Iterator[Program]:
    with emptied_after(tmp_path / "library") as home:
        yield trained.library(home)


def test_training_prints_its_events_and_leaves_a_run_folder_and_a_model(trained: Trained) -> None:
    assert (trained.result.status, trained.result.err) == (0, "")
    events = parsed(trained.result.out)
    assert (types(events)[0], types(events)[-1]) == ("RunStarted", "RunFinished")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    folder = trained.program.run_folder("a")
    assert (folder / "events.jsonl").read_text() == trained.result.out
    assert {"config.toml", "run.json", "lock", "checkpoints", "previews"} <= {path.name for path in folder.iterdir()}
    preview = next(event for event in events if event["type"] == "PreviewSaved")
    heard = preview["recordings"][0]
    assert all((folder / path).is_file() for path in (heard["original"], heard["reconstruction"], *preview["samples"]))
    assert heard["floor_lsd"] < heard["lsd"]
    assert heard["original_level"]["peak"] > 0.1
    assert len(preview["sample_levels"]) == len(preview["samples"])


def test_a_run_says_whether_it_has_trained_enough_and_how_much_of_its_latent_is_in_use(trained: Trained) -> None:
    events = parsed(trained.result.out)
    epochs = [event for event in events if event["type"] == "EpochDone"]
    assert all(0 <= event["active_dimensions"] <= event["latent_dimensions"] for event in epochs)
    assert epochs[-1]["latent_dimensions"] == SMALL["latent_dim"]
    assert epochs[-1]["skipped_steps"] == 0
    assert 0 < epochs[-1]["waiting"] < 1
    verdict = [event for event in events if event["type"] == "VerdictReached"][-1]
    assert (verdict["kind"], verdict["epoch"]) == ("early", epochs[-1]["epoch"])
    told = trained.program.run("show", "a").out
    assert f"Verdict after epoch {verdict['epoch']}: it is too early to tell." in told
    assert json.loads(trained.program.run("show", "a", "--json").out)["verdict"]["words"] == verdict["words"]


def test_a_finished_run_leaves_one_model_that_opens(trained: Trained) -> None:
    (listed,) = json.loads(trained.program.run("models", "--json").out)
    assert (listed["name"], listed["path"]) == ("a", str(trained.program.model("a")))
    assert listed["id"]
    assert load_model(Path(listed["path"])).model.latent_dim == SMALL["latent_dim"]


def test_a_taken_name_gets_a_number_and_nothing_is_overwritten(trained: Trained, tmp_path: Path) -> None:
    with emptied_after(tmp_path / "home") as home:
        program = trained.copy(home)
        before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file() and "cache" not in path.parts}
        result = program.train(trained.dataset, "--name=a", max_epochs=1)
        assert result.status == 0
        assert program.run_folder("a-2").is_dir()
        assert program.model("a-2").is_file()
        assert all(path.read_bytes() == content for path, content in before.items())


def test_outside_a_terminal_progress_is_plain_lines_on_stderr(program: Program, dataset: Path) -> None:
    result = program.train(dataset, "--name=Ä 🎹 b", max_epochs=2)
    assert (result.status, result.out) == (0, "")
    assert "\r" not in result.err
    assert "\x1b" not in result.err
    lines = result.err.splitlines()
    assert lines[0] == f"run folder {program.run_folder('Ä 🎹 b')}"
    assert [line.partition(",")[0] for line in lines if line.startswith("epoch ")] == ["epoch 1/2", "epoch 2/2"]
    assert lines[-1] == f"model {program.model('Ä 🎹 b')}"


def test_on_a_terminal_progress_is_drawn_over_one_line(program: Program, dataset: Path) -> None:
    with in_terminal(program, "train", dataset, *small(max_epochs=4)) as (process, terminal):
        drawn = read_all(terminal)
        assert process.wait(TIMEOUT) == 0
    assert "Traceback" not in drawn
    assert drawn.count("\r\x1b[K") > drawn.count("\n")
    assert re.search(r"\r\x1b\[Kepoch \d/4 [━─]+ · step \d+/16 · loss ", drawn)
    assert drawn.rstrip().endswith(f"model {program.model(dataset.name)}")


def test_a_reader_that_goes_away_does_not_end_the_run(program: Program, dataset: Path) -> None:
    process = program.start("train", dataset, "--name=a", "--json", *small(**EVERY_EPOCH))
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout:
        process.stdout.readline()
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(TIMEOUT) == 0
    assert types(program.events("a"))[-1] == "RunFinished"


def test_training_goes_on_from_a_model(trained: Trained, library: Program) -> None:
    first = {"max_epochs": 1, "warmup_steps": 1000, "latent_dim": 64}
    settings = [setting for setting in small(**first) if "latent_dim" not in setting]
    result = library.run("train", trained.dataset, "--name=b", "--from=a", "--json", *settings)
    assert result.status == 0
    losses = [event["magnitude"] for event in parsed(result.out) if event["type"] == "StepDone"]
    scratch = [event["magnitude"] for event in parsed(trained.result.out) if event["type"] == "StepDone"]
    assert losses[0] < 0.7 * scratch[0]
    assert load_model(library.model("b")).model.latent_dim == SMALL["latent_dim"]
    (heard,) = [event for event in parsed(result.out) if event["type"] == "OldRecordingsHeard"]
    assert heard["recordings"] == len(load_model(library.model("a")).info.training.known)
    assert f"T{heard['words'][1:]}." in library.run("show", "b").out.splitlines()


def test_settings_that_a_model_to_go_on_from_contradicts_are_refused(trained: Trained, library: Program) -> None:
    message, hint = library.run("train", trained.dataset, "--from=a", "--set=latent_dim=64").refusal(2)
    assert message == "latent_dim is 64, but the model a has 8"
    assert "leave it out" in hint
    assert not (library.home / "state").exists()


def test_a_dry_run_tells_what_a_run_would_take_and_starts_nothing(program: Program, dataset: Path) -> None:
    result = program.run("train", dataset, "--dry-run", "--set=max_epochs=10")
    assert (result.status, result.err) == (0, "taking a few steps to see how fast this machine is\n")
    assert re.search(r"^about .*: .* to prepare what isn't in the cache, .* to train", result.out, re.M)
    for part in ("max_epochs = 10", "pieces", "steps", "of memory", "of disk", "augmentation.copies = "):
        assert part in result.out
    assert re.search(r"^about [\d,]+ pieces and \d+ steps an epoch, about [\d,]+ steps in 10 epochs$", result.out, re.M)
    plan = json.loads(program.run("train", dataset, "--dry-run", "--json").out)
    assert plan["scan"]["used"] == 3
    assert {"training_pieces", "steps", "memory_bytes", "cache_bytes"} <= plan["estimate"].keys()
    assert plan["config"]["max_epochs"] > 0
    assert plan["seconds"]["total"] > plan["seconds"]["training"] > 0
    assert not (program.home / "state").exists()
    assert not (program.home / "data").exists()


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """Return a folder of five good recordings and seven that aren't, and the names of the latter."""
    folder = tmp_path_factory.mktemp("mixed")
    for number in range(5):
        good(folder / f"good-{number}.wav", seed=number, frames=60_000)
    cut(good(folder / "truncated.wav", frames=60_000))
    (folder / "notes.wav").write_text("to do: record more\n")
    broken = sound()
    broken[6000] = np.nan
    soundfile.write(folder / "nan.wav", broken, 48_000, subtype="FLOAT")
    write_recording(folder / "silent.wav", np.zeros(48_000, np.float32), 48_000)
    (folder / "empty.wav").touch()
    (folder / "x.wav").mkdir()
    (folder / "loop.wav").symlink_to("loop.wav")
    return folder, {"truncated.wav", "notes.wav", "nan.wav", "silent.wav", "empty.wav", "x.wav", "loop.wav"}


def test_a_scan_gives_a_reason_for_every_file_it_skips(program: Program, mixed: tuple[Path, set[str]]) -> None:
    folder, bad = mixed
    words = program.run("scan", folder)
    assert words.status == 0
    assert "12 recordings found" in words.out
    assert "5 used, 7 skipped" in words.out
    skipped = [line.strip().partition(": ") for line in words.out.partition("Skipped:\n")[2].splitlines()]
    reasons = {name: reason for name, _, reason in skipped if name in bad}
    assert reasons.keys() == bad
    assert all(reasons.values())

    data = json.loads(program.run("scan", folder, "--json").out)
    assert data["found"] == data["used"] + len(data["skipped"]) == 12
    assert {one["file"]: one["reason"] for one in data["skipped"]} == reasons


def test_a_run_trains_on_what_is_good_and_accounts_for_the_rest(program: Program, mixed: tuple[Path, set[str]]) -> None:
    folder, bad = mixed
    result = program.train(folder, "--name=m", max_epochs=1)
    assert result.status == 0
    assert "12 recordings found, 5 used, 7 skipped" in result.err
    assert all(f"skipped {name}: " in result.err for name in bad)
    prepared = next(event for event in program.events("m") if event["type"] == "PreprocessDone")
    assert (prepared["found"], prepared["used"]) == (12, 5)
    assert {one["file"] for one in prepared["skipped"]} == bad
    assert all(one["reason"] for one in prepared["skipped"])


def test_preparing_alone_prints_events_numbered_and_timed_as_a_run_has_them(program: Program, dataset: Path) -> None:
    settings = [setting for setting in small() if "max_epochs" not in setting]
    events = parsed(program.run("preprocess", dataset, "--json", *settings).out)
    assert types(events)[-1] == "PreprocessDone"
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert 0 < events[0]["time"] <= events[-1]["time"]
    assert not (program.home / "state").exists()


def test_what_cannot_be_trained_on_is_refused_and_starts_nothing(program: Program, tmp_path: Path) -> None:
    empty, words = tmp_path / "empty", tmp_path / "words"
    empty.mkdir()
    words.mkdir()
    unreadable = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff"))
    good(unreadable / "0.wav")
    (words / "notes.wav").write_text("not a sound\n")
    for path, part in (
        (empty, "no recordings in"),
        (words, "the only recording in"),
        (tmp_path / "nowhere", "nowhere"),
        (unreadable, "bad\\xff isn't text in UTF-8"),
        (words / "notes.wav", "is a file, not a folder"),
    ):
        message, hint = program.run("train", path, "--name=a").refusal(2)
        assert part in message
        assert hint
    assert not (program.home / "state").exists()


@pytest.mark.parametrize(
    ("arguments", "part", "help_given"),
    [
        (["--set=batch_sise=3"], "'batch_sise'", "batch_size"),
        (["--set=loss.kl.wieght=3"], "'loss.kl.wieght'", "loss.kl.weight"),
        (["--set=batch_size"], "--set batch_size names no value", "KEY=VALUE"),
        (["--set=batch_size=many"], "batch_size must be a whole number", "0 to 4096"),
        (["--set=batch_size=-1"], "batch_size is -1", "0 to 4096"),
        (["--set=num_processes=3", "--set=batch_size=32"], "not a multiple of num_processes", "share"),
        (["--set=device=gpu"], "device is 'gpu'", "GPU"),
        (["--config=bad.toml"], "bad.toml, line 1", "KEY = VALUE"),
        (["--config=unknown.toml"], "unknown.toml: ", "max_epochs"),
        (["--config=missing.toml"], "missing.toml", ""),
        (["--preset=wild"], "'wild'", "--help"),
        (["--nam=x"], "--nam", "--name"),
        (["--name=a/b"], "'a/b'", "letters"),
        (["--name=a/b", "--dry-run"], "'a/b'", "letters"),
        (["--name="], "must not be empty", "letters"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_wrong_setting_is_named_and_nothing_is_started(
    program: Program, dataset: Path, tmp_path: Path, arguments: list[str], part: str, help_given: str
) -> None:
    (tmp_path / "bad.toml").write_text("max_epochs = = 3\n")
    (tmp_path / "unknown.toml").write_text("max_epoch = 3\n")
    message, hint = program.run("train", dataset, *arguments, cwd=tmp_path).refusal(2)
    assert part in message
    assert help_given in hint
    assert not (program.home / "state").exists()


def test_a_device_that_is_not_there_is_refused_and_nothing_is_started(program: Program, dataset: Path) -> None:
    message, hint = program.run("train", dataset, "--set=device=cuda:999").refusal(2)
    assert "cuda:999" in message
    assert "cpu" in hint
    assert not (program.home / "state").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["resume", "b"],
        ["model", "show", "b"],
        ["model", "rename", "b", "c"],
        ["model", "delete", "b", "--yes"],
        ["model", "export", "b", "."],
        ["generate", "b"],
        ["roundtrip", "x.wav", "y.wav", "--model", "b"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_an_unknown_run_or_model_is_told_apart_from_a_failure(program: Program, arguments: list[str]) -> None:
    message, hint = program.run(*arguments).refusal(3)
    assert "'b'" in message
    assert hint


def test_a_broken_model_is_listed_as_such_and_refused_in_a_sentence(library: Program) -> None:
    library.model("broken").write_bytes(library.model("a").read_bytes()[:5000])
    listed = library.run("models")
    assert listed.status == 0
    assert "broken can't be used: " in listed.out
    message, _ = library.run("generate", "broken").refusal(1)
    assert "broken" in message
    message, _ = library.run("model", "import", library.model("broken"), "--name=c").refusal(1)
    assert "broken" in message
    assert [path.name for path in sorted(library.model("a").parent.iterdir())] == ["a.distill", "broken.distill"]


def test_a_model_is_renamed_exported_deleted_and_imported(library: Program, tmp_path: Path) -> None:
    content, name = library.model("a").read_bytes(), "Grün 🎹 zwei"
    assert library.run("model", "rename", "a", name).status == 0
    assert json.loads(library.run("model", "show", name, "--json").out)["name"] == name
    exported = library.run("model", "export", name, tmp_path / "out put")
    assert exported.out == f"{tmp_path / 'out put.distill'}\n"
    assert library.run("model", "export", name, tmp_path / "out put").refusal(2)[1]
    assert library.run("model", "delete", name).status == 1, "nobody could be asked"
    assert library.model(name).is_file()
    assert library.run("model", "delete", name, "--yes").status == 0
    assert json.loads(library.run("models", "--json").out) == []
    assert library.run("model", "import", tmp_path / "out put.distill").err == "imported as out put\n"
    assert library.run("model", "import", tmp_path / "out put.distill").err == "imported as out put-2\n"
    assert library.model("out put").read_bytes() == content


def test_a_name_that_the_terminal_cannot_show_is_written_in_escapes(library: Program) -> None:
    shutil.move(library.model("a"), library.model("🎹"))
    for arguments in (["models"], ["model", "show", "🎹"]):
        result = library.run(*arguments, environment={"PYTHONIOENCODING": "latin-1"})
        assert result.status == 0
        assert "\\U0001f3b9" in result.out


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str
)
def test_a_signal_ends_a_run_with_a_checkpoint_and_it_can_be_resumed(
    program: Program, dataset: Path, number: signal.Signals, status: int
) -> None:
    process = program.start("train", dataset, "--name=a", "--json", *small(**ENDLESS))
    until(process, "StepDone")
    process.send_signal(number)
    assert ended(process).status == status
    stopped = program.events("a")[-1]
    assert (stopped["type"], stopped["reason"]) == ("RunStopped", number.name)
    assert (program.run_folder("a") / stopped["checkpoint"]).is_file()
    assert not program.model("a").exists()

    result = program.run("resume", "a", "--json", f"--set=max_epochs={stopped['epoch'] + 1}")
    assert (result.status, result.err) == (0, "")
    events = program.events("a")
    restarted = next(event for event in events if event["type"] == "RunRestarted")
    assert restarted["from_step"] == stopped["step"]
    assert (types(events)[-1], events[-1]["epoch"]) == ("RunFinished", stopped["epoch"] + 1)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert program.model("a").is_file()


def test_a_signal_while_preparing_ends_at_once_and_the_run_can_be_resumed(program: Program, tmp_path: Path) -> None:
    for number in range(3):
        good(tmp_path / "long" / f"{number}.wav", seed=number, frames=1_500_000)
    settings = small(augmentation__copies=8, max_epochs=1, val_fraction=0.0)
    process = program.start("train", tmp_path / "long", "--name=a", "--json", *settings)
    preparing = until(process, "PreprocessProgress")
    while preparing[-1]["stage"] != "preparing":
        preparing = until(process, "PreprocessProgress")
    process.send_signal(signal.SIGTERM)
    assert ended(process).status == 143
    events = program.events("a")
    assert "PreprocessDone" not in types(events)
    assert (types(events)[-1], events[-1]["checkpoint"]) == ("RunStopped", "")

    kept = {path for path in (program.home / "cache").rglob("*") if path.is_file()}
    process = program.start("resume", "a", "--json")
    assert types(until(process, "PreprocessDone"))[0] == "RunRestarted"
    assert kept <= {path for path in (program.home / "cache").rglob("*") if path.is_file()}
    process.send_signal(signal.SIGTERM)
    assert ended(process).status == 143


def test_a_run_that_ignores_the_end_of_its_terminal_goes_on(program: Program, dataset: Path) -> None:
    ignored = (signal.SIGHUP,)
    process = program.start("train", dataset, "--name=a", "--json", *small(**EVERY_EPOCH), ignored=ignored)
    until(process, "StepDone")
    process.send_signal(signal.SIGHUP)
    assert ended(process).status == 0
    assert types(program.events("a"))[-1] == "RunFinished"


def test_a_terminal_that_goes_away_ends_the_run_with_a_checkpoint(program: Program, dataset: Path) -> None:
    with in_terminal(program, "train", dataset, "--name=a", *small(**ENDLESS)) as (process, terminal):
        read_until(terminal, b"pieces/s")
        os.close(terminal)
        assert process.wait(TIMEOUT) == 129
    stopped = program.events("a")[-1]
    assert (stopped["type"], stopped["reason"]) == ("RunStopped", "SIGHUP")
    assert (program.run_folder("a") / stopped["checkpoint"]).is_file()


def test_a_run_under_way_is_neither_trained_nor_changed_by_a_second_process(program: Program, dataset: Path) -> None:
    process = program.start("train", dataset, "--name=a", "--json", *small(**ENDLESS))
    until(process, "StepDone")
    config = (program.run_folder("a") / "config.toml").read_bytes()
    message, hint = program.run("resume", "a", "--set=max_epochs=7").refusal(1)
    assert message == f"run a is being trained by process {process.pid}"
    assert hint
    assert (program.run_folder("a") / "config.toml").read_bytes() == config
    process.send_signal(signal.SIGTERM)
    assert ended(process).status == 143
    assert types(program.events("a")).count("RunStarted") == 1


def test_a_killed_run_resumed_ends_with_the_weights_of_one_never_interrupted(
    trained: Trained, program: Program
) -> None:
    process = program.start("train", trained.dataset, "--name=a", "--json", *small(**EVERY_EPOCH))
    until(process, "CheckpointSaved")
    process.kill()
    process.communicate()
    assert types(program.events("a"))[-1] not in ("RunFinished", "RunStopped")

    result = program.run("resume", "a")
    assert result.status == 0
    assert "going on after step" in result.err
    assert_equal(tensors(program.model("a")), tensors(trained.program.model("a")))


def test_a_finished_run_says_so_and_can_be_made_longer(trained: Trained, tmp_path: Path) -> None:
    with emptied_after(tmp_path / "home") as home:
        program = trained.copy(home)
        events = len(program.events("a"))
        result = program.run("resume", "a")
        assert (result.status, result.out) == (0, "")
        assert result.err == "run a has finished; --set max_epochs=8 lets it go on\n"
        message, hint = program.run("resume", "a", "--set=latent_dim=9").refusal(2)
        assert message == "latent_dim can't change within a run: another one would make another model"
        assert "new run" in hint
        assert len(program.events("a")) == events

        assert program.run("resume", "a", "--set=max_epochs=5").status == 0
        last = program.events("a")[-1]
        assert (last["type"], last["epoch"]) == ("RunFinished", 5)
        assert Path(last["model"]).is_file()


@pytest.mark.parametrize("setting", ["seed=1", "batch_size=3", "augmentation.gain_db=1.0", "loss.kl.weight=1.0"])
def test_what_decides_an_epoch_or_the_best_cannot_change_within_a_run(trained: Trained, setting: str) -> None:
    message, hint = trained.program.run("resume", "a", f"--set={setting}").refusal(2)
    assert message.startswith(f"{setting.partition('=')[0]} can't change within a run: ")
    assert "--from" in hint


def test_a_model_generates_the_same_sound_for_the_same_seed_in_each_format(library: Program, tmp_path: Path) -> None:
    first = library.run("generate", "a", "--duration=1.2345", "--seed=5", "--count=2", "--out", tmp_path / "one")
    paths = [Path(line) for line in first.out.splitlines()]
    assert paths == [tmp_path / "one" / "a-5.wav", tmp_path / "one" / "a-6.wav"]
    samples, rate = soundfile.read(paths[1])
    assert (samples.shape, rate) == ((59_256,), 48_000)
    assert paths[0].read_bytes() != paths[1].read_bytes()

    library.run("generate", "a", "--duration=1.2345", "--seed=6", "--out", tmp_path / "again.wav")
    assert (tmp_path / "again.wav").read_bytes() == paths[1].read_bytes()
    for form in ("flac", "ogg", "mp3"):
        target = tmp_path / f"sound.{form}"
        assert library.run("generate", "a", "--duration=1.2345", "--out", target).out == f"{target}\n"
        assert soundfile.info(target).samplerate == 48_000
        assert soundfile.info(target).duration == pytest.approx(1.2345, abs=0.1 if form == "mp3" else 1e-4)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--out=x.au"], "x.au"),
        (["--out=x.wav", "--format=flac"], "disagree"),
        (["--out=x.wav", "--count=2"], "one file for 2 sounds"),
        (["--duration=nan"], "not a finite number"),
        (["--duration=inf"], "inf"),
    ],
    ids=["format", "both", "several", "nan", "inf"],
)
def test_a_place_that_cannot_be_written_as_asked_is_refused(
    library: Program, tmp_path: Path, arguments: list[str], part: str
) -> None:
    message, _ = library.run("generate", "a", *arguments, cwd=tmp_path).refusal(2)
    assert part in message
    assert not list(tmp_path.glob("x.*"))


def test_a_sound_that_is_there_is_replaced_only_when_asked(library: Program, tmp_path: Path) -> None:
    (tmp_path / "a-1.wav").write_text("mine")
    asked = ("generate", "a", "--duration=0.2", "--count=2", "--out", tmp_path)
    message, hint = library.run(*asked).refusal(2)
    assert message.endswith("a-1.wav exists already")
    assert "--force" in hint
    assert (tmp_path / "a-1.wav").read_text() == "mine"
    assert not (tmp_path / "a-0.wav").exists()
    assert library.run(*asked, "--force").status == 0
    assert soundfile.info(tmp_path / "a-1.wav").frames == 9600


def test_a_recording_comes_back_from_the_representation_with_its_length_and_level(
    program: Program, tmp_path: Path
) -> None:
    stereo = np.repeat(sound(44_100), 2, axis=1)
    write_recording(tmp_path / "in.flac", stereo, 44_100)
    result = program.run("roundtrip", tmp_path / "in.flac", tmp_path / "out.wav")
    assert (result.status, result.out) == (0, f"{tmp_path / 'out.wav'}\n")
    info = soundfile.info(tmp_path / "out.wav")
    assert (info.subtype, info.samplerate, info.channels, info.frames) == ("FLOAT", 48_000, 1, 48_000)
    back, _ = soundfile.read(tmp_path / "out.wav")
    assert 20 * np.log10(np.std(back) / np.std(stereo)) == pytest.approx(0, abs=1.0)

    before = (tmp_path / "out.wav").read_bytes()
    assert "itself" in program.run("roundtrip", tmp_path / "out.wav", tmp_path / "out.wav").refusal(2)[0]
    assert (tmp_path / "out.wav").read_bytes() == before
    assert "out.flac" in program.run("roundtrip", tmp_path / "in.flac", tmp_path / "out.flac").refusal(2)[0]
    assert not (tmp_path / "out.flac").exists()
    assert "is a folder" in program.run("roundtrip", tmp_path, tmp_path / "out.wav").refusal(2)[0]
    assert "no recording" in program.run("roundtrip", tmp_path / "no.wav", tmp_path / "out.wav").refusal(2)[0]


def test_a_recording_goes_through_a_model(library: Program, tmp_path: Path) -> None:
    source = good(tmp_path / "in.wav", frames=30_001)
    assert library.run("roundtrip", source, tmp_path / "out.wav", "--model=a").status == 0
    assert soundfile.info(tmp_path / "out.wav").frames == 30_001


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["models"], ["models", "--json"], ["train", "--help"]]
)
def test_help_and_lists_never_load_torch(library: Program, arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from distill_engine.cli import main\n"
        f"sys.argv[1:] = {arguments!r}\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'torchaudio', 'numpy')))\n"
    )
    environment = {**os.environ, "DISTILL_HOME": str(library.home)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_a_demo_that_is_interrupted_says_how_to_go_on(program: Program) -> None:
    process = program.start("demo")
    assert process.stderr is not None
    said = next(line for line in process.stderr if "recordings found" in line)
    process.send_signal(signal.SIGINT)
    result = ended(process)
    assert result.status == 130
    assert result.err.endswith("distill-engine resume demo goes on from there\n")
    assert "8 used" in said
    stopped = program.events("demo")[-1]
    assert (stopped["type"], stopped["reason"]) == ("RunStopped", "SIGINT")


def test_the_version_is_told(program: Program) -> None:
    assert program.run("--version").out.startswith("distill-engine, version ")
