"""The helper process: real answers, refusals that name the cause, and a life that ends with its front end's."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
import pytest
import soundfile
import torch
from msgspec.structs import replace

from distill_engine import datasets
from distill_engine.audio import cache as cache_files
from distill_engine.audio.augmentation import CopyParameters
from distill_engine.audio.loudness import loudness_db
from distill_engine.audio.pictures import FLOOR_DB, picture_of_spectrogram
from distill_engine.audio.preprocessing import preprocess_complex_spectrograms
from distill_engine.audio.tags import read_tags
from distill_engine.audio.waveform import load_waveform
from distill_engine.errors import DistillError
from distill_engine.generation import Wish, spectrogram_of
from distill_engine.library import find_model
from distill_engine.models.model_info import Architecture, MagnitudeRange, ModelInfo, Representation, TrainingSummary
from distill_engine.models.persistence import load_model, save_model
from distill_engine.models.vae import ConvVAE
from distill_engine.rendering import Request, render
from distill_engine.service_client import Service
from distill_engine.service_messages import (
    AugmentedPictures,
    Cancel,
    Compare,
    Explore,
    Generate,
    Progress,
    Steering,
    decode_answer,
    decode_request,
    encode,
)
from distill_engine.service_work import in_words
from distill_engine.training.config import AugmentationConfig, ComplexSpectrogramConfig, TrainingConfig
from tests.engine.recordings import good
from tests.engine.runs import write_dataset

T = TypeVar("T")
PATIENCE = 60.0
HOP = 512


class Front:
    """A front end with a loop of its own, in which all that a module's tests ask one helper is awaited."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self.service = Service()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        async def patiently() -> T:
            async with asyncio.timeout(PATIENCE):
                return await work

        return self._runner.run(patiently())

    def close(self) -> None:
        self.run(self.service.close())
        self._runner.close()


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    front = Front()
    yield front
    front.close()
    assert not helpers()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "small.distill"
    spectrogram = ComplexSpectrogramConfig(n_mels=32, hop_length=1024)
    torch.manual_seed(0)
    info = ModelInfo(
        name="small",
        architecture=Architecture(latent_dim=8, n_mels=32, time_frames=spectrogram.time_frames),
        representation=Representation.of(spectrogram),
        normalisation=MagnitudeRange(magnitude_floor=-12.66, magnitude_scale=8.0),
        training=TrainingSummary(dataset="none", recordings=0, versions={}),
    )
    save_model(path, ConvVAE(8, 32, spectrogram.time_frames), info)
    return path


def helpers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "distill_engine.service" in child.cmdline()]


def setting(event: asyncio.Event, done: int = 0) -> Callable[[Progress], None]:
    """Return what sets the event once so many sounds are done."""

    def on_progress(progress: Progress) -> None:
        if progress.done >= done:
            event.set()

    return on_progress


def refusal(front: Front, request: Generate | Explore | AugmentedPictures) -> DistillError:
    with pytest.raises(DistillError) as caught:
        front.run(front.service.ask(request))
    error: DistillError = caught.value
    assert "Traceback" not in error.message + error.hint
    return error


def pictures(recording: datasets.Recording, config: TrainingConfig, **changes: Any) -> AugmentedPictures:  # noqa: ANN401
    known: dict[str, Any] = {
        "path": recording.path,
        "digest": recording.digest,
        "rms_db": recording.rms_db,
        "recording_seconds": recording.seconds,
        "augmentation": config.augmentation,
        "seed": config.seed,
        "copy": 1,
        "columns": 80,
        "rows": 32,
    }
    return AugmentedPictures(**known | changes)


def test_sounds_are_those_that_the_command_line_makes(front: Front, model: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    wanted = Generate(model=model, folder=tmp_path / "new.sounds", seconds=0.7, seed=5, count=3, format="flac")
    made = front.run(front.service.ask(wanted, told.append))
    assert made.paths == [tmp_path / "new.sounds" / f"small-{seed}.flac" for seed in (5, 6, 7)]
    assert [(progress.done, progress.total) for progress in told if progress.total] == [(0, 3), (1, 3), (2, 3)]
    threads = torch.get_num_threads()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    again = list(
        render(find_model(str(model)), Request(duration=0.7, seed=5, count=3, out=tmp_path, file_format="flac"))
    )
    torch.set_num_threads(threads)
    for one, other in zip(made.paths, again, strict=True):
        assert soundfile.info(one).frames == round(0.7 * 48_000)
        assert np.allclose(soundfile.read(one)[0], soundfile.read(other)[0], atol=1e-4)


def test_a_sound_that_is_there_is_replaced_only_when_asked(front: Front, model: Path, tmp_path: Path) -> None:
    (tmp_path / "small-0.wav").write_text("mine")
    assert "small-0.wav exists already" in refusal(front, Generate(model=model, folder=tmp_path, seconds=0.2)).message
    assert (tmp_path / "small-0.wav").read_text() == "mine"
    front.run(front.service.ask(Generate(model=model, folder=tmp_path, seconds=0.2, overwrite=True)))
    assert soundfile.info(tmp_path / "small-0.wav").frames == 9600


def test_what_cannot_be_done_is_refused_with_its_cause_and_the_helper_lives_on(
    front: Front, model: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.distill"
    broken.write_bytes(model.read_bytes()[:1000])
    with pytest.raises(DistillError) as known:
        load_model(broken)
    told = refusal(front, Generate(model=broken, folder=tmp_path))
    assert (told.message, told.hint) == (known.value.message, known.value.hint)
    (helper,) = helpers()
    assert "there is no model" in refusal(front, Generate(model=tmp_path / "none.distill", folder=tmp_path)).message
    (tmp_path / "file").write_text("")
    assert "file" in refusal(front, Generate(model=model, folder=tmp_path / "file")).message
    text = tmp_path / "a.wav"
    text.write_text("not sound")
    recording = datasets.Recording(path=text, name="a.wav", digest="0" * 32)
    assert "can't be read as a recording" in refusal(front, pictures(recording, TrainingConfig())).message
    broken_inside = refusal(front, pictures(recording, TrainingConfig(), digest="no number"))
    assert broken_inside.message.startswith("something broke inside Distill: ValueError")
    assert "service.log" in broken_inside.hint
    assert helpers() == [helper]


def test_a_picture_of_settings_is_that_of_the_sound_they_make(front: Front, model: Path) -> None:
    asked = Explore(model=model, steering=Steering(seed=5), seconds=2.0, columns=20, rows=16)
    drawn = front.run(front.service.ask(asked)).mel
    assert drawn.decibels.shape == (16, 20)
    assert drawn.seconds == 2.0
    loaded = load_model(model)
    raw = spectrogram_of(loaded, Wish(seconds=2.0, seed=5))[0].numpy()
    assert drawn.decibels.max() == pytest.approx(picture_of_spectrogram(raw, 2.0, 20, 16).decibels.max(), abs=0.1)
    other = front.run(front.service.ask(replace(asked, steering=Steering(seed=6)))).mel
    assert not np.allclose(other.decibels, drawn.decibels, atol=0.1)


def test_a_model_that_was_replaced_is_loaded_anew(front: Front, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "changing.distill"
    shutil.copy(model, path)
    asked = Explore(model=path, steering=Steering(), seconds=1.0, columns=4, rows=4)
    front.run(front.service.ask(asked))
    path.write_bytes(b"no model")
    assert "changing.distill" in refusal(front, asked).message


def test_sounds_to_compare_are_equally_loud_and_say_nothing(front: Front, model: Path, tmp_path: Path) -> None:
    asked = Compare(model=model, folder=tmp_path / "blind", a=Steering(seed=1), b=Steering(seed=2), seconds=1.0)
    made = front.run(front.service.ask(asked))
    assert (made.a, made.b) == (tmp_path / "blind" / "A.wav", tmp_path / "blind" / "B.wav")
    a, b = (soundfile.read(path, dtype="float32")[0] for path in (made.a, made.b))
    assert len(a) == len(b) == 48_000
    assert not np.allclose(a, b, atol=1e-3)
    assert loudness_db(a, 48_000) == pytest.approx(loudness_db(b, 48_000), abs=0.01)
    assert [read_tags(path) for path in (made.a, made.b)] == [None, None]
    assert made.a.stat().st_size == made.b.stat().st_size


def test_a_copys_picture_shows_the_very_copy_that_a_run_trains_on(front: Front, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "recordings", count=2)
    spectrogram = ComplexSpectrogramConfig(n_mels=64, hop_length=HOP // 2)
    config = TrainingConfig(complex_spectrogram=spectrogram, seed=7, augmentation=AugmentationConfig(copies=3))
    corpus = preprocess_complex_spectrograms(datasets.scan(folder), config, tmp_path / "cache")
    copies = [item for item in corpus.training if item.copy]
    assert [item.copy for item in copies] == [1, 2, 3]
    for item in copies:
        drawn = front.run(
            front.service.ask(pictures(item.recording, config, copy=item.copy, rows=64, most_seconds=80 * HOP / 48_000))
        )
        raw = np.fromfile(item.entry.path, np.float16, item.entry.frames * 2 * 64, offset=cache_files.HEADER_BYTES)
        decibels = 20 / np.log(10) * raw.reshape(-1, 2, 64)[1:160:2, 0].T.astype(np.float32)
        # The last windows of the analysis reach beyond what was drawn.
        assert np.abs(drawn.mel.decibels - np.maximum(decibels, FLOOR_DB))[:, :-3].max() < 0.1
        assert drawn.waveform.seconds == pytest.approx(80 * HOP / 48_000)
        assert drawn.words == in_words(item.parameters)


def test_the_recording_itself_is_drawn_as_copy_0_and_no_more_copies_than_there_are(
    front: Front, tmp_path: Path
) -> None:
    good(tmp_path / "ä\udcff.wav", frames=96_000, rate=44_100)  # a name that is no text
    (recording,) = datasets.scan(tmp_path).recordings
    config = TrainingConfig(augmentation=AugmentationConfig(copies=2))
    drawn = front.run(front.service.ask(pictures(recording, config, copy=0)))
    assert drawn.words == "as recorded"
    samples = load_waveform(recording.path).numpy()
    assert drawn.waveform.seconds == len(samples) / 48_000
    assert drawn.waveform.high.shape == (80,)
    assert drawn.mel.decibels.shape == (32, 80)
    assert drawn.waveform.high.max() == pytest.approx(samples.max())
    assert "make 2 copies" in refusal(front, pictures(recording, config, copy=3)).message


def test_several_may_ask_at_once_and_one_that_gives_up_is_not_served(front: Front, model: Path, tmp_path: Path) -> None:
    async def ask() -> None:
        begun = asyncio.Event()
        many = Generate(model=model, folder=tmp_path / "many", seconds=0.2, count=100_000)
        long = asyncio.create_task(front.service.ask(many, setting(begun, done=2)))
        await begun.wait()
        waiting = Generate(model=model, folder=tmp_path / "waiting", seconds=0.2)
        given_up = asyncio.create_task(front.service.ask(waiting))
        others = [
            asyncio.create_task(front.service.ask(Generate(model=model, folder=tmp_path / name, seconds=0.2)))
            for name in "ab"
        ]
        await asyncio.sleep(0)
        assert not any(task.done() for task in (long, given_up, *others))
        given_up.cancel()
        long.cancel()
        for made, name in zip(await asyncio.gather(*others), "ab", strict=True):
            assert made.paths == [tmp_path / name / "small-0.wav"]
        assert given_up.cancelled()
        assert long.cancelled()

    front.run(ask())
    assert not (tmp_path / "waiting").exists()
    written = list((tmp_path / "many").iterdir())
    assert {soundfile.info(path).frames for path in written} == {9600}, "what was finished is whole, and nothing else"


def test_a_helper_that_is_killed_is_told_of_and_replaced_at_the_next_question(
    front: Front, model: Path, tmp_path: Path
) -> None:
    async def ask() -> None:
        begun = asyncio.Event()
        many = Generate(model=model, folder=tmp_path / "many", seconds=0.2, count=100_000)
        tasks = [asyncio.create_task(front.service.ask(many, setting(begun))) for _ in range(2)]
        await begun.wait()
        (helper,) = helpers()
        helper.kill()
        for task in tasks:
            with pytest.raises(DistillError, match="the helper process was killed") as told:
                await task
            assert "another one is started" in told.value.hint
        made = await front.service.ask(Generate(model=model, folder=tmp_path, seconds=0.2))
        assert made.paths == [tmp_path / "small-0.wav"]
        assert helpers() != [helper]

    front.run(ask())


def test_a_closed_service_leaves_no_process_and_can_be_asked_again(model: Path, tmp_path: Path) -> None:
    front = Front()

    async def ask() -> None:
        await front.service.close()
        for number in range(2):
            loading = asyncio.Event()
            task = asyncio.create_task(front.service.ask(Generate(model=model, folder=tmp_path), setting(loading)))
            await loading.wait()
            assert len(helpers()) == 1 + others, number
            await front.service.close()
            assert len(helpers()) == others
            with pytest.raises(DistillError, match="was closed before it answered"):
                await task

    others = len(helpers())
    front.run(ask())
    front.close()


def test_a_helper_that_cannot_load_torch_says_so(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("print('noise on stdout')\nraise ImportError('libtorch is from elsewhere')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")])))
    front = Front()
    told = refusal(front, Generate(model=model, folder=tmp_path))
    front.close()
    assert told.message == "torch can't be loaded: libtorch is from elsewhere"
    log = Path(os.environ["DISTILL_HOME"]) / "state" / "service.log"
    assert "noise on stdout" in log.read_text()


def test_where_no_process_can_be_started_that_is_told(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    front = Front()
    assert "can't be started: No such file" in refusal(front, Generate(model=model, folder=tmp_path)).message
    front.close()


def test_the_helper_ends_when_its_front_end_is_killed(model: Path, tmp_path: Path) -> None:
    script = """
import asyncio, pathlib, sys
from distill_engine.api import Generate, Service
request = Generate(model=pathlib.Path(sys.argv[1]), folder=pathlib.Path(sys.argv[2]), seconds=0.2, count=100_000)
asyncio.run(Service().ask(request, lambda progress: print(progress.done, progress.total, flush=True)))
"""
    # Once while torch is loaded, once amid work.
    for seen in ("0 0", "2 100000"):
        parent = subprocess.Popen(
            [sys.executable, "-c", script, model, tmp_path / seen], stdout=subprocess.PIPE, text=True
        )
        assert parent.stdout is not None
        while parent.stdout.readline().strip() != seen:
            assert parent.poll() is None
        (helper,) = psutil.Process(parent.pid).children()
        assert os.getsid(helper.pid) == helper.pid, "ctrl+c in the terminal isn't meant for it"
        assert helper.nice() > psutil.Process(parent.pid).nice()
        parent.send_signal(signal.SIGKILL)
        parent.communicate()
        deadline = time.monotonic() + PATIENCE
        while helper.is_running() and helper.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert {soundfile.info(path).frames for path in (tmp_path / "2 100000").iterdir()} == {9600}


MORE = CopyParameters(speed_steps=11, gain_db=1.3, noise_db=-69.3, shift_samples=154)
LESS = CopyParameters(speed_steps=-5, gain_db=-0.52, shift_samples=-48)


@pytest.mark.parametrize(
    ("copy", "words"),
    [
        (CopyParameters(), "as recorded"),
        (MORE, "2.2 % faster, 1.3 dB louder, noise at -68 dB, 3.2 ms later"),
        (LESS, "1.0 % slower, 0.5 dB softer, 1.0 ms earlier"),
    ],
    ids=["unchanged", "more", "less"],
)
def test_a_copy_is_told_in_words(copy: CopyParameters, words: str) -> None:
    assert in_words(copy) == words


def test_messages_come_back_as_they_were_and_relative_paths_absolute() -> None:
    asked = Generate(id=3, model=Path("a b.distill"), folder=Path("/x/\udcff\n%41"), seconds=1.5)
    back = decode_request(encode(asked))
    assert isinstance(back, Generate)
    assert (back.id, back.model, back.folder, back.seconds) == (3, Path.cwd() / "a b.distill", asked.folder, 1.5)
    assert isinstance(decode_request(encode(Cancel(id=3))), Cancel)
    told = decode_answer(encode(Progress(id=3, words="x", done=1, total=2)))
    assert isinstance(told, Progress)
    assert (told.id, told.words, told.done, told.total) == (3, "x", 1, 2)


@pytest.mark.parametrize("wrong", [{"seconds": 0.0}, {"seconds": float("nan")}, {"count": 0}])
def test_a_generation_of_nothing_cannot_be_asked_for(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="can't be made"):
        Generate(model=Path("a"), folder=Path("b"), **wrong)
