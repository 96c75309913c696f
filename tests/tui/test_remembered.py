"""The notebook: what is written last counts, whoever writes, and a broken file costs nothing else."""

from __future__ import annotations

import threading
from pathlib import Path

from distill_tui.remembered import FILE, Corpus, Memory, Notebook, Seen


def test_what_was_noted_is_there_at_the_next_visit(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path)
    notebook.note(training_view="log", seen={"a": Seen(time=1.0, seq=3)})
    notebook.write()
    assert Notebook(tmp_path).memory == notebook.memory


def test_two_dashboards_keep_each_others_notes(tmp_path: Path) -> None:
    one, other = Notebook(tmp_path), Notebook(tmp_path)
    one.note(corpora=(Corpus(path="/bells", used=1.0),), seen={"a": Seen(time=1.0, seq=3)})
    one.write()
    other.note(themes={"many": "moss"}, seen={"b": Seen(time=2.0, seq=4)}, corpora=(Corpus(path="/drums", used=2.0),))
    other.write()
    memory = Notebook(tmp_path).memory
    assert [corpus.path for corpus in memory.corpora] == ["/bells", "/drums"]
    assert memory.seen.keys() == {"a", "b"}
    assert memory.themes == {"many": "moss"}


def test_a_folder_that_was_taken_off_the_list_stays_off_though_another_dashboard_knows_it(tmp_path: Path) -> None:
    one, other = Notebook(tmp_path), Notebook(tmp_path)
    one.note(corpora=(Corpus(path="/bells", used=1.0, removed=3.0),))
    one.write()
    other.note(corpora=(Corpus(path="/bells", used=2.0),))
    other.write()
    assert Notebook(tmp_path).memory.corpora == (Corpus(path="/bells", used=1.0, removed=3.0),)


def test_the_last_note_counts_however_the_threads_that_write_take_turns(tmp_path: Path) -> None:
    for number in range(30):
        notebook = Notebook(tmp_path)
        threads = []
        for view in ("charts", "log", f"view-{number}"):
            notebook.note(training_view=view)
            threads.append(threading.Thread(target=notebook.write))
            threads[-1].start()
        for thread in threads:
            thread.join()
        assert Notebook(tmp_path).memory.training_view == f"view-{number}"


def test_what_cannot_be_read_is_forgotten_and_written_anew(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    notebook = Notebook(tmp_path)
    assert notebook.memory == Memory()
    notebook.note(last_run="/runs/a")
    notebook.write()
    assert Notebook(tmp_path).memory.last_run == "/runs/a"


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    notebook = Notebook(tmp_path / "file" / "state")
    notebook.note(last_run="/runs/a")
    notebook.write()
    assert notebook.memory.last_run == "/runs/a"
