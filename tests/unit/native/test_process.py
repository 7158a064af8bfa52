"""What a process says of itself in the table of a board: when it started, and what people call it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from headway.native import core, records

if TYPE_CHECKING:
    from tests.conftest import RunPython

ROW = """
import multiprocessing, os, sys, time
from headway.engine import claims, segments  # claims tells core what this process is called
from headway.native import records

segment, directory, _ = segments.open_or_create(sys.argv[1], capacity=1, workers=2, result_bytes=0)

def row():
    segment.register()
    workers = segment.copy()[4]
    found = [records.worker_fields(workers, i) for i in range(len(workers) // records.RECORD_BYTES["workers"])]
    return next(one for one in found if one["pid"] == os.getpid())
"""


def test_a_process_started_when_the_kernel_says(segment: core.Segment) -> None:
    psutil = pytest.importorskip("psutil")
    segment.register()
    row = records.worker_fields(segment.copy()[4], 0)
    assert row["started"] == pytest.approx(psutil.Process().create_time(), abs=1.1)
    assert row["started"] < time.time()


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        ("['/some/where/train.py', '-x']", "train.py"),
        ("['']", "python"),
        ("[]", "python"),
        ("[None]", "python"),
        ("['\\ud800.py']", "?.py"),
        ("['x' * 60]", "x" * 47),
    ],
)
def test_a_process_is_called_after_its_script_whatever_stands_there(
    argv: str, name: str, run_python: RunPython, board_name: str
) -> None:
    check = f"name = row()['name']\nsegments.unlink(directory, segment)\nassert name == {name!r}, name"
    run_python(f"{ROW}\nsys.argv = {argv}\n{check}\n", board_name)


def test_a_child_of_multiprocessing_is_called_by_its_name_there(run_python: RunPython, board_name: str) -> None:
    run_python(
        f"""{ROW}
def work():
    assert row()["name"] == "loader-3", row()
child = multiprocessing.get_context("fork").Process(target=work, name="loader-3")
child.start()
child.join()
segments.unlink(directory, segment)
assert child.exitcode == 0
""",
        board_name,
    )


def test_without_a_free_descriptor_a_process_counts_as_started_now(run_python: RunPython, board_name: str) -> None:
    run_python(
        f"""{ROW}
import resource
segment.register(False)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
time.sleep(0.2)
before = time.time()
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
try:
    started = row()["started"]
finally:
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    segments.unlink(directory, segment)
assert before <= started <= time.time(), (before, started)
""",
        board_name,
    )
