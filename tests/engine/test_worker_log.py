"""A worker's log stays small, and loses nothing on the way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from distill_engine import worker_log

SCRIPT = """
import logging, os, sys
from pathlib import Path
from distill_engine.worker_log import log_to

path = Path(sys.argv[1])
log = log_to(path)
for number in range(int(sys.argv[2])):
    logging.getLogger("library").warning("%06d %s", number, "x" * 200)
    os.write(2, b"%06d from a library's own hands\\n" % number)
    log.keep_small()
"""


def test_it_begins_anew_for_all_who_write_into_it_and_no_line_is_lost_in_between(tmp_path: Path) -> None:
    path, count = tmp_path / "worker.log", worker_log.LARGEST // 200
    with path.open("ab") as output:
        subprocess.run([sys.executable, "-c", SCRIPT, path, str(count)], stdout=output, stderr=output, check=True)
    before, after = (tmp_path / "worker.log.1").read_text(), path.read_text()
    assert len(before) < worker_log.LARGEST + 1000
    told = (before + after).splitlines()
    assert [line.split()[0] for line in told if "from a library" in line] == [
        f"{number:06d}" for number in range(count)
    ]
    assert [line.split()[3] for line in told if "xxx" in line] == [f"{number:06d}" for number in range(count)]


def test_the_log_of_a_folder_that_is_gone_disturbs_nobody(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_bytes(b"x" * (worker_log.LARGEST + 1))
    log = worker_log.WorkerLog(path)
    path.unlink()
    log.keep_small()
    log.close()
