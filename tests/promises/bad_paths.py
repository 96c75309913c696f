"""Names and paths that lead elsewhere: given to commands, inside run folders, and as links, pipes and holes."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from distill_engine import home, library
from distill_engine.errors import DistillError
from distill_engine.run_folder import RunFolder
from tests.promises.hostile import TEXTS
from tests.promises.strangers import MODEL, Ground, good_events, good_model, good_run, write_log
from tests.promises.trial import Size
from tests.promises.watching import check_plain, commanded, processed, snapshot

TERABYTE = 1 << 40
LOG = 1 << 31
"""Bytes of a hole in place of a log, which is read to its end however long it is."""
LONGER = "max_epochs=99"
COLD = 400 << 20
"""Bytes of memory that a command may take that loads no torch."""

NAMES = (
    *(text for text in TEXTS if "\0" not in text),
    *(
        "../up",
        "/tmp/absolute",
        "a/b",
        "a\\b",
        "con",
        "x" * 300,
        "e" * 99,
        "ü" * 150,
        "🎛" * 70,
        ".hidden",
        "-dash",
        "a\x85b",
    ),
)


def bad_names(size: Size, ground: Ground) -> int:
    """Try names for import, rename, export, presets, runs and sounds; return how many."""
    models = home.models_folder()
    models.mkdir(parents=True, exist_ok=True)
    good_model(ground.inputs / "good.distill")
    tried = 0
    for name in NAMES[:: size.of(8, 1)]:
        before = snapshot(ground.outside)
        shutil.copy(ground.inputs / "good.distill", models / f"{MODEL}.distill")
        for arguments in (
            ("model", "import", ground.inputs / "good.distill", "--name", name),
            ("model", "rename", MODEL, "--", name),
            ("model", "show", "--", name),
            ("show", "--", name),
            ("resume", "--", name),
            ("generate", MODEL, "--duration", "0.2", "--keep", name, "--out", ground.folder / "sounds" / "a.wav"),
            ("train", ground.folder / "nowhere", "--name", name),
            ("train", ground.folder / "nowhere", "--set", name),
            ("train", f"{ground.folder}/nowhere/{name}"),
            ("scan", "--", name),
        ):
            with contextlib.chdir(ground.inputs):
                commanded(*arguments, writes=(home.data_folder(), home.cache_folder(), ground.folder / "sounds"))
            tried += 1
        assert snapshot(ground.outside) == before
        assert all(path.is_file() and path.parent == models for path in models.rglob("*")), list(models.rglob("*"))
        _names_in_files(ground, name)
        shutil.rmtree(models)
        models.mkdir()
        tried += 4
    return tried


def _names_in_files(ground: Ground, name: str) -> None:
    """Let a file be called so, where it can be."""
    models = home.models_folder()
    try:
        source = ground.inputs / f"{name.replace('/', '_')}.distill"
        shutil.copy(ground.inputs / "good.distill", source)
        shutil.copy(source, models / source.name)
    except OSError:
        return
    commanded("model", "import", source, writes=(models,))
    commanded("models")
    commanded("models", "--json")
    exports = ground.folder / "exports"
    exports.mkdir(exist_ok=True)
    for entry in library.list_models():
        commanded("model", "export", entry.path, exports, "--force", writes=(exports,))
    source.unlink()
    shutil.rmtree(exports)


def bad_paths(size: Size, ground: Ground) -> int:
    """Try paths inside a run's log, and links inside its folder; return how many."""
    events = good_events()
    run = good_run("paths")
    tried = 0
    (ground.folder / "sounds").mkdir(exist_ok=True)
    for path in (*TEXTS, str(ground.outside / "precious.txt"), "previews/../../../../precious.txt", "/dev/zero"):
        changed = [_with_paths(event, path) for event in events]
        write_log(run, changed)
        for command in (("show", run.name), ("follow", run.name), ("stop", run.name)):
            commanded(*command)
        preview = next(event for event in changed if event["type"] == "PreviewSaved")
        for name in (path, str(preview["path"])):
            _stays_inside(run, name)
        tried += 1
    shutil.rmtree(run.path)
    return tried + _links(size, ground)


def _with_paths(event: dict[str, object], path: str) -> dict[str, object]:
    """Return the event with a path in place of all it names."""
    names = ("path", "model", "checkpoint", "log", "file", "original", "reconstruction", "recording")
    changed: dict[str, object] = {}
    for key, value in event.items():
        if isinstance(value, list):
            changed[key] = [path if isinstance(one, str) else _with_paths(one, path) for one in value]
        else:
            changed[key] = path if key in names else value
    return changed


def _stays_inside(run: RunFolder, name: str) -> None:
    try:
        found = run.inside(name)
    except DistillError as error:
        check_plain(error.message, "a path")
    else:
        assert found.resolve().is_relative_to(run.path.resolve()), name


def _links(size: Size, ground: Ground) -> int:
    """Try run folders in which something leads out of them, and be asked to go on with them or to delete them."""
    names = ("events.jsonl", "commands.jsonl", "config.toml", "worker.log", "checkpoints", "previews", "run.json")
    before = snapshot(ground.outside)
    for name in names[:: size.of(3, 1)]:
        for is_folder in (True, False):
            run = good_run("linked")
            place = run.path / name
            place.unlink(missing_ok=True)
            place.symlink_to(ground.outside / ("below" if is_folder else "precious.txt"))
            for command in (
                ("show", run.name),
                ("runs",),
                ("resume", run.name),
                ("resume", run.name, "--set", "max_epochs=99"),
            ):
                commanded(*command, writes=(run.path,))
            commanded("delete", str(run.path), "--yes", writes=(run.path,))
            assert snapshot(ground.outside) == before, name
            shutil.rmtree(run.path, ignore_errors=True)
    return 2 * len(names[:: size.of(3, 1)])


def bad_kinds(size: Size, ground: Ground) -> int:
    """Try files that are pipes, devices, folders, links to themselves and holes of a terabyte; return how many."""
    good_model(ground.inputs / "good.distill")
    targets = ("model", "events.jsonl", "run.json", "config.toml", "settings", "lock", "preset")
    pairs = [(make, target) for make in (_pipe, _device, _folder, _loop, _hole) for target in targets]
    some = pairs[size.of(4, 0) :: size.of(10, 1)]
    for make, target in some:
        _put(make, target, ground)
    return len(some)


def _put(make: Callable[[Path], None], target: str, ground: Ground) -> None:
    """Put something of a kind in the place of a file, and run what reads it."""
    run = good_run("odd")
    own = home.config_folder() / "settings.toml"
    own.parent.mkdir(parents=True, exist_ok=True)
    preset = home.data_folder() / "presets" / ("c0ffee" + "0" * 26 + ".json")
    preset.parent.mkdir(parents=True, exist_ok=True)
    model = home.models_folder() / f"{MODEL}.distill"
    model.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ground.inputs / "good.distill", model)
    places = {"model": model, "settings": own, "preset": preset}
    place = places.get(target, run.path / target)
    place.unlink(missing_ok=True)
    make(place)
    commands: dict[str, tuple[tuple[str | Path, ...], ...]] = {
        "model": (("models",), ("model", "show", MODEL), ("model", "import", model)),
        "settings": (("train", ground.folder / "nowhere"),),
        "preset": (("model", "show", MODEL), ("generate", MODEL, "--preset", "warm")),
    }
    of_run = (("show", "odd"), ("follow", "odd"), ("stop", "odd"), ("runs",), ("resume", "odd", "--set", "seed=x"))
    for command in commands.get(target, of_run):
        processed(*command, most_bytes=COLD)
    for used in (place, model):
        if used.is_dir() and not used.is_symlink():
            used.rmdir()
        else:
            used.unlink(missing_ok=True)
    shutil.rmtree(run.path)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _folder(path: Path) -> None:
    path.mkdir()


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _hole(path: Path) -> None:
    path.touch()
    os.truncate(path, LOG if path.name == "events.jsonl" else TERABYTE)
