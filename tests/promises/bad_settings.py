"""What a person keeps or is given beside runs and models: settings, themes, keys, presets, memory, and caches."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from distill_engine import datasets, home
from distill_engine.audio import cache as spectrograms
from distill_engine.errors import DistillError
from distill_engine.settings import load_settings
from distill_engine.slider_presets import SliderPreset, find_preset, load_presets, save_preset
from distill_engine.training.config import TrainingConfig
from distill_engine.training.config_file import fresh_text, load_config, read_settings, save_config
from distill_tui.drafts.kept import recalled
from distill_tui.keys import load_keys
from distill_tui.remembered import Corpus, Draft, Exploring, Memory, Notebook, Seen
from distill_tui.themes import load_themes, shipped_folder
from tests.engine.recordings import good as good_recording
from tests.promises.hostile import TEXTS, damaged, each, mutations, spoilt, written
from tests.promises.strangers import Ground
from tests.promises.trial import Size
from tests.promises.watching import check_plain, check_sentence, commanded, watched

KEYS = '"training.stop" = "x"\n"listing.down" = ["n", "down"]\n"app.help" = "f1"\n'
MODEL = "c0ffee" + "0" * 26


def bad_configurations(size: Size, ground: Ground) -> int:
    """Try configuration files and the user's settings; return how many."""
    path, own = ground.inputs / "bad.toml", home.config_folder() / "settings.toml"
    own.parent.mkdir(parents=True, exist_ok=True)
    texts = [*_spoilt_toml(size, fresh_text(TrainingConfig()), 400)]
    for text in texts:
        path.write_bytes(text)
        told = commanded("train", ground.folder / "nowhere", "--config", path)
        assert told.status == 2, told
        with watched(ground.inputs):
            _sentence_of(lambda: read_settings(path))
            _sentence_of(lambda: save_config(path, load_config(path, TrainingConfig())))
    settings = [*_spoilt_toml(size, 'notify_command = "true"\n', 100)]
    for text in settings:
        own.write_bytes(text)
        commanded("train", ground.folder / "nowhere")
        _sentence_of(load_settings)
    own.unlink()
    return len(texts) + len(settings)


def bad_themes_and_keys(size: Size, ground: Ground) -> int:
    """Try themes and key files, as the dashboard reads them; return how many."""
    good = (shipped_folder() / "dusk.toml").read_text() + 'variables = { "footer-background" = "#112233" }\n'
    good += "luminosity_spread = 0.15\ntext_alpha = 0.95\n"
    count = 0
    for place, text in enumerate(_spoilt_toml(size, good, 200)):
        (ground.inputs / "bad.toml").write_bytes(text)
        with watched():
            themes, complaints = load_themes([ground.inputs])
        assert len(themes) + len(complaints) == 1, place
        for words in (*complaints, *(theme.name for theme in themes)):
            check_plain(words, f"the theme {text!r}")
        count += 1
    for text in _spoilt_toml(size, KEYS, 200):
        (ground.inputs / "keys.toml").write_bytes(text)
        with watched():
            found = load_keys(ground.inputs)
        for words in (*found.complaints, *found.changed.values()):
            check_plain(words, f"the keys {text!r}")
        count += 1
    return count


def bad_notes(size: Size, ground: Ground) -> int:
    """Try presets, the dashboard's memory and all caches; return how many."""
    tried = 0
    for read, path, good in _notes(ground):
        path.parent.mkdir(parents=True, exist_ok=True)
        documents = [*spoilt(good)]

        def try_one(document: object, path: Path = path, read: Callable[[], object] = read) -> None:
            path.write_bytes(document if isinstance(document, bytes) else written(document))
            with watched(path.parent, home.cache_folder()):  # where scans are kept
                _sentence_of(read)

        each(mutations(good), size.of(10, 150), try_one)
        draw, text = random.Random(size.seed), json.dumps(good).encode()
        others = [*documents[:: size.of(20, 1)], *(damaged(draw, text) for _ in range(size.of(10, 150)))]
        for document in others:
            try_one(document)
        tried += len(others) + size.of(10, 150)
        path.unlink(missing_ok=True)
    return tried


def _notes(ground: Ground) -> Iterator[tuple[Callable[[], object], Path, object]]:
    """Yield what reads a file, where that file is, and what stands in it."""
    presets = home.data_folder() / "presets" / f"{MODEL}.json"
    preset = {"name": "warm", "sliders": {"brightness": 1.5}, "seed": 3, "evolution": 0.5}
    yield _read_presets, presets, [preset, {**preset, "name": "cold"}]
    memory = Memory(
        themes={"many": "moss"},
        exploring={MODEL: Exploring(sliders={"brightness": 1.0}, locked=("axis 2",))},
        draft=Draft(dataset=str(ground.inputs), name="bells", edits={"seed": "3"}, model="/a/b.distill"),
        corpora=(Corpus(path="/bells", used=1.0, recordings=3, usable=2, seconds=9.0, rates=(48_000,)),),
        seen={MODEL: Seen(time=1.0, seq=3)},
        last_run="/runs/a",
    )
    yield lambda: _read_memory(ground.inputs), ground.inputs / "dashboard.json", _plain(memory)
    recordings = ground.inputs / "recordings"
    good_recording(recordings / "a.wav")
    datasets.scan(recordings, cache=ground.inputs / "cache")
    (index,) = (ground.inputs / "cache" / "scans").iterdir()
    yield lambda: datasets.scan(recordings, cache=ground.inputs / "cache"), index, json.loads(index.read_bytes())
    key = "ab" * 20
    entry = spectrograms.spectrogram_path(ground.inputs / "cache", key)
    start = spectrograms.header(key, frames=4, n_mels=32, runs=1)
    yield lambda: _read_entry(ground.inputs / "cache", key), entry, json.loads(start[8:])


def _read_presets() -> None:
    for name in load_presets(MODEL):
        find_preset(MODEL, name)
    save_preset(MODEL, SliderPreset(name="another", sliders={}, seed=0, evolution=0.0))


def _read_memory(folder: Path) -> None:
    notebook = Notebook(folder)
    recalled(notebook.memory.draft)
    notebook.note(last_run="another")
    notebook.write()


def _read_entry(cache: Path, key: str) -> None:
    """Read what lies there also as a header of its full length, with what might follow it."""
    path = spectrograms.spectrogram_path(cache, key)
    for text in (path.read_bytes(), path.read_bytes().ljust(spectrograms.HEADER_BYTES - 8)):
        path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4 * 2 * 32 * 2 + 4 * 2 * 4 + 8))
        entry = spectrograms.find_entry(cache, key)
        if entry is not None:
            spectrograms.read_sums(entry)


def _plain(memory: Memory) -> object:
    import msgspec

    return msgspec.to_builtins(memory)


def _sentence_of(read: Callable[[], object]) -> None:
    """Read a file; it may be refused with a sentence."""
    try:
        read()
    except DistillError as error:
        check_sentence(f"distill-engine: {error.message}\n{_indented(error.hint)}".rstrip("\n"), "a file")
        for line in (error.message, *error.hint.split("\n")):
            check_plain(line, "a file")


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.split("\n"))


_TOML = (
    *("nan", "inf", "-inf", "1e400", "9" * 5000, "-1", "0", "1e308", "true", "1979-05-27", "07:32:00", "0xff", "1_0"),
    *("[]", "{}", "[1, 2]", "{ a = 1 }", "[" * 5000 + "]" * 5000, "{ a = " * 3000 + "1" + " }" * 3000, '"', "'''", ""),
    *(json.dumps(text) for text in TEXTS),
)
"""Values, and what might stand in the place of one."""

_LINES = (
    *(
        '"\\u001b[2J" = 1',
        '"\\u202e" = "x"',
        "a = 1\na = 2",
        "[a]\n[a]",
        "[",
        "a",
        "= 1",
        "# \x1b[2J",
        "\x1b[2J",
        "\x00",
    ),
    *("a" + ".a" * 2000 + " = 1", "[" + "a." * 2000 + "a]", '"../../x" = 1', '"" = 1', "\ufeff", "name = ['a']"),
)


def _spoilt_toml(size: Size, good: str, random_ones: int) -> Iterator[bytes]:
    """Yield TOML with another value, another line, bytes that are none; and what isn't any."""
    draw, lines = random.Random(size.seed), good.splitlines()
    settings = [place for place, line in enumerate(lines) if " = " in line]
    pairs = [(place, value) for place in settings for value in _TOML]
    for place, value in draw.sample(pairs, min(len(pairs), size.of(25, 2 * random_ones))):
        name = lines[place].partition(" = ")[0]
        yield "\n".join([*lines[:place], f"{name} = {value}", *lines[place + 1 :]]).encode("utf-8", "surrogatepass")
    for line in _LINES[:: size.of(3, 1)]:
        for text in (f"{line}\n{good}", f"{good}\n{line}\n"):
            yield text.encode()
    for _ in range(size.of(10, random_ones)):
        yield damaged(draw, good.encode())
    yield from (b"", b"\xff\xfe", bytes(1000), b"\x80\x04\x95", b"a = 1\n" * 400_000, b"[" * 2_000_000)
