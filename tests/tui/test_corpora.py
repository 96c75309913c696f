"""The list of known folders: who is on it, in which order, and who is not."""

from __future__ import annotations

from pathlib import Path

from distill_engine.datasets import scan
from distill_tui.datasets import corpora
from distill_tui.datasets.corpora import Use
from distill_tui.remembered import Corpus, Memory, Notebook
from tests.engine.recordings import cut, good
from tests.recorded_runs import unpacked


def test_folders_opened_and_folders_trained_on_stand_in_one_list_by_their_last_use() -> None:
    opened = [Corpus(path="/a", used=10.0, recordings=3), Corpus(path="/b", used=30.0)]
    uses = [Use(path="/a", run="a", time=20.0), Use(path="/a", run="a-2", time=40.0), Use(path="/c", run="c", time=5.0)]
    found = corpora.known(opened, uses)
    assert [one.corpus.path for one in found] == ["/a", "/b", "/c"]
    assert found[0].runs == ("a-2", "a")
    assert (found[0].corpus.used, found[0].corpus.recordings) == (40.0, 3)


def test_a_folder_off_the_list_returns_with_its_next_run_or_when_it_is_opened_again(tmp_path: Path) -> None:
    good(tmp_path / "a.wav")
    path = str(tmp_path)
    use = Use(path=path, run="a", time=20.0)
    kept = corpora.without([Corpus(path=path, used=10.0)], path, 30.0)
    assert corpora.known(kept, [use]) == ()
    assert [one.runs for one in corpora.known(kept, [use, Use(path=path, run="b", time=31.0)])] == [("b", "a")]
    again = corpora.with_scan(kept, scan(tmp_path), 32.0)
    assert [one.corpus.used for one in corpora.known(again, [use])] == [32.0]
    assert corpora.known(corpora.without((), path, 30.0), [use]) == ()


def test_what_a_scan_found_is_kept_for_the_next_visit(tmp_path: Path) -> None:
    folder = tmp_path / "bells"
    good(folder / "a.wav", frames=48_000)
    good(folder / "b.wav", frames=44_100, seed=1, rate=44_100)
    cut(good(folder / "c.wav"))
    memory = Memory(corpora=corpora.with_scan((), scan(folder), 1.0))
    notebook = Notebook(tmp_path)
    notebook.note(corpora=memory.corpora)
    notebook.write()
    assert Notebook(tmp_path).memory.corpora == (
        Corpus(path=str(folder), used=1.0, recordings=3, usable=2, seconds=2.0, rates=(44_100, 48_000)),
    )


def test_a_path_that_is_no_text_is_not_kept_for_it_can_not_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "bells\udcff"
    good(folder / "a.wav")
    assert corpora.with_scan((), scan(folder), 1.0) == ()


def test_runs_tell_what_they_were_trained_on_and_a_folder_that_is_gone_is_known_as_such() -> None:
    run = unpacked("healthy")
    (use,) = corpora.uses_by_runs()
    assert (use.run, use.path, use.time) == (run.name, run.info().dataset, run.info().created)
    assert corpora.gone(corpora.known((), [use, Use(path="/", run="x", time=1.0)])) == {use.path}


def test_a_run_whose_own_file_is_broken_is_passed_over() -> None:
    unpacked("healthy").run_file.write_text("{")
    unpacked("stopped")
    assert [use.run for use in corpora.uses_by_runs()] == ["stopped"]
