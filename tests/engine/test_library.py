"""The library lists, finds and moves models by their headers, and never overwrites or hides one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from distill_engine import library
from distill_engine.errors import DistillError, ModelFileError, NotFoundError, UsageError
from distill_engine.library import delete, describe, export, find_model, free_name, import_model, list_models, rename
from distill_engine.models.model_info import METADATA_KEY, MagnitudeRange, ModelInfo, encode_info


def _write_model(folder: Path, name: str, model_id: str = "") -> Path:
    """Write a model of no weights: all the library ever reads is there."""
    normalisation = MagnitudeRange(magnitude_floor=-12.0, magnitude_scale=4.0)
    info = ModelInfo(name=name, normalisation=normalisation)
    if model_id:
        info = msgspec.structs.replace(info, id=model_id.ljust(32, "0"))
    header = msgspec.json.encode({"__metadata__": {METADATA_KEY: encode_info(info)}})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.distill"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    models = tmp_path / "models"
    _write_model(models, "rain", "abcd1")
    _write_model(models, "Piano", "abcd2")
    (models / "broken.distill").write_bytes(b"not a model at all")
    (models / ".distill-1234.distill").write_bytes(b"half written")
    (models / "notes.txt").write_text("not listed")
    return models


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_models_are_listed_by_name_and_a_broken_one_with_its_problem(folder: Path) -> None:
    entries = list_models(folder)
    assert [entry.name for entry in entries] == ["broken", "Piano", "rain"]
    assert [bool(entry.problem) for entry in entries] == [True, False, False]
    assert "broken.distill" in entries[0].problem
    assert (entries[0].id, entries[2].id) == ("", "abcd1".ljust(32, "0"))


def test_a_file_of_the_size_and_time_it_had_is_taken_for_what_it_was_and_another_read_again(folder: Path) -> None:
    known = list_models(folder)
    same, changed = folder / "Piano.distill", folder / "rain.distill"
    status = same.stat()
    for path in (same, changed):
        path.write_bytes(bytes(path.stat().st_size))
    os.utime(same, ns=(status.st_atime_ns, status.st_mtime_ns))
    (folder / "broken.distill").unlink()
    _write_model(folder, "snow", "abcd3")
    now = list_models(folder, known=known)
    assert [(entry.name, bool(entry.problem)) for entry in now] == [("Piano", False), ("rain", True), ("snow", False)]


def test_no_folder_is_an_empty_library(tmp_path: Path) -> None:
    assert list_models(tmp_path / "nothing") == []


def test_the_library_is_where_distill_home_says(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_HOME", str(tmp_path))
    shutil.copytree(folder, tmp_path / "data" / "models")
    assert find_model("rain").path == tmp_path / "data" / "models" / "rain.distill"


def test_a_description_is_json_with_name_id_and_path(folder: Path) -> None:
    described = msgspec.json.decode(msgspec.json.encode([describe(entry) for entry in list_models(folder)]))
    assert described[2]["name"] == "rain"
    assert described[2]["id"] == "abcd1".ljust(32, "0")
    assert described[2]["path"] == str(folder / "rain.distill")
    assert described[2]["info"]["architecture"]["latent_dim"] == 128
    assert described[0]["info"] is None
    assert described[0]["problem"]


def test_a_model_is_found_by_name_file_name_id_and_path(folder: Path) -> None:
    texts = ("rain", "rain.distill", "abcd1".ljust(32, "0"), "abcd1", str(folder / "rain.distill"))
    assert {find_model(text, folder).name for text in texts} == {"rain"}
    assert find_model("broken", folder).problem


def test_a_name_goes_before_an_id(folder: Path) -> None:
    _write_model(folder, "abcd2", "ffff")
    assert find_model("abcd2", folder).name == "abcd2"


def test_an_id_that_fits_several_is_refused_with_their_names(folder: Path) -> None:
    with pytest.raises(UsageError, match="2 models") as caught:
        find_model("abcd", folder)
    assert "rain" in caught.value.hint
    assert "Piano" in caught.value.hint


@pytest.mark.parametrize(
    "text", ["", ".", "..", "piaon", "../models/x", "abc", "x" * 300, "a\0b", "/", "~nobody-at-all/x"]
)
def test_what_is_not_there_is_told_apart(folder: Path, text: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_model(text, folder)
    assert caught.value.exit_status == 3


def test_the_nearest_name_is_offered(folder: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_model("rian", folder)
    assert "rain" in caught.value.hint


def test_a_rename_moves_the_file_and_keeps_the_id(folder: Path) -> None:
    before = find_model("rain", folder)
    after = rename(before, "heavy rain")
    assert (after.name, after.id) == ("heavy rain", before.id)
    assert _names(folder) == ["Piano.distill", "broken.distill", "heavy rain.distill", "notes.txt"]
    assert rename(after, "heavy rain") == after


@pytest.mark.parametrize("name", ["Piano", "", "a/b", "a\nb", "\x1b[31m", ".hidden", "x" * 101, " "])
def test_a_name_that_is_taken_or_impossible_changes_nothing(folder: Path, name: str) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UsageError) as caught:
        rename(find_model("rain", folder), name)
    assert caught.value.message.isprintable()
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_broken_model_can_be_renamed_and_deleted(folder: Path) -> None:
    delete(rename(find_model("broken", folder), "bad"))
    assert [entry.name for entry in list_models(folder)] == ["Piano", "rain"]
    delete(find_model("rain", folder))
    assert _names(folder) == ["Piano.distill", "notes.txt"]


def test_a_directory_in_the_library_is_told_and_not_deleted(folder: Path) -> None:
    (folder / "dir.distill").mkdir()
    entry = find_model("dir", folder)
    assert entry.problem
    with pytest.raises(DistillError, match="can't be deleted"):
        delete(entry)


def test_an_import_copies_and_a_taken_name_gets_a_number(folder: Path, tmp_path: Path) -> None:
    source = _write_model(tmp_path / "elsewhere", "rain")
    assert import_model(source, folder=folder).name == "rain-2"
    assert import_model(source, folder=folder).name == "rain-3"
    entry = import_model(source, "drizzle", folder)
    assert entry.name == "drizzle"
    assert entry.path.read_bytes() == source.read_bytes()
    assert find_model("rain", folder).id == "abcd1".ljust(32, "0")


def test_an_import_into_a_new_library_makes_its_folder(tmp_path: Path) -> None:
    source = _write_model(tmp_path / "elsewhere", "rain")
    assert import_model(source, folder=tmp_path / "new" / "models").path == tmp_path / "new" / "models" / "rain.distill"


def test_what_is_no_model_is_not_imported(folder: Path, tmp_path: Path) -> None:
    before = _names(folder)
    with pytest.raises(ModelFileError):
        import_model(folder / "broken.distill", "x", folder)
    with pytest.raises(NotFoundError):
        import_model(tmp_path / "nothing.distill", folder=folder)
    with pytest.raises(UsageError):
        import_model(folder / "rain.distill", "a/b", folder)
    assert _names(folder) == before


def test_imports_at_the_same_time_all_get_names_of_their_own(folder: Path, tmp_path: Path) -> None:
    source = _write_model(tmp_path / "elsewhere", "rain")
    threads = [threading.Thread(target=import_model, args=(source,), kwargs={"folder": folder}) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {entry.name for entry in list_models(folder)} >= {"rain"} | {f"rain-{n}" for n in range(2, 10)}
    assert len([path for path in folder.iterdir() if path.name.startswith(".")]) == 1


def test_an_export_goes_to_a_file_or_into_a_folder(folder: Path, tmp_path: Path) -> None:
    entry = find_model("rain", folder)
    assert export(entry, tmp_path) == tmp_path / "rain.distill"
    with pytest.raises(UsageError, match="no folder"):
        export(entry, tmp_path / "sub" / "wet")
    assert not (tmp_path / "sub").exists()
    (tmp_path / "sub").mkdir()
    assert export(entry, tmp_path / "sub" / "wet") == tmp_path / "sub" / "wet.distill"
    assert (tmp_path / "sub" / "wet.distill").read_bytes() == entry.path.read_bytes()
    assert _names(tmp_path / "sub") == ["wet.distill"]


def test_an_export_overwrites_only_when_asked(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "rain.distill"
    target.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        export(find_model("rain", folder), target)
    assert target.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "rain.distill"]
    export(find_model("rain", folder), target, overwrite=True)
    assert target.read_bytes() == (folder / "rain.distill").read_bytes()


def test_a_broken_model_is_not_exported(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        export(find_model("broken", folder), tmp_path)


def test_a_free_name_is_one_no_model_has(folder: Path) -> None:
    assert free_name("wind", folder) == "wind"
    assert free_name("rain", folder) == "rain-2"
    _write_model(folder, "rain-2")
    assert free_name("rain", folder) == "rain-3"
    with pytest.raises(UsageError):
        free_name("a/b", folder)


def test_without_hard_links_nothing_is_overwritten_either(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(UsageError, match="already"):
        rename(find_model("rain", folder), "Piano")
    assert rename(find_model("rain", folder), "wet").name == "wet"
    assert import_model(_write_model(tmp_path / "elsewhere", "wet"), folder=folder).name == "wet-2"


def test_a_thousand_models_are_listed_without_torch_or_numpy(tmp_path: Path) -> None:
    for number in range(1000):
        _write_model(tmp_path / "data" / "models", f"model {number}")
    code = (
        "import sys; from distill_engine.library import list_models;"
        "print(len(list_models()), [m for m in ('torch', 'numpy', 'safetensors', 'soundfile') if m in sys.modules])"
    )
    environment = {**os.environ, "DISTILL_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "1000 []"


def test_every_error_of_the_library_is_one_sentence(folder: Path) -> None:
    for entry in library.list_models(folder):
        assert "\n" not in entry.problem
