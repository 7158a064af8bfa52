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


# --- steps that no handler interrupts

AT_ONCE = """
import gc, signal, sqlite3, sys
from functools import partial
from headway.native import core

connection = sqlite3.connect(":memory:", isolation_level=None)
connection.execute("CREATE TABLE some (one)")
within = []
signal.signal(signal.SIGUSR1, lambda *_: within.append(connection.in_transaction))
gc.callbacks.append(lambda phase, info: signal.raise_signal(signal.SIGUSR1))
rows = [(n,) for n in range(2000)]
made = []
steps = [
    partial(connection.execute, "BEGIN IMMEDIATE"),
    partial(made.extend, map(list, rows)),
    partial(connection.executemany, "INSERT INTO some VALUES (?)", rows),
    partial(connection.execute, "COMMIT"),
]
if sys.argv[1] == "failing":
    steps.insert(-1, partial(connection.execute, "SELECT * FROM none"))
if sys.argv[1] == "off":
    gc.disable()
gc.set_threshold(1)
try:
    core.at_once(steps, connection.rollback)
except sqlite3.OperationalError:
    assert sys.argv[1] == "failing"
gc.set_threshold(0)
gc.callbacks.clear()
assert len(made) == 2000 and not connection.in_transaction
print(any(within), gc.isenabled())
"""


@pytest.mark.parametrize("how", ["well", "failing", "off"])
def test_what_is_done_at_once_is_not_interrupted_by_what_collects_garbage(how: str, run_python: RunPython) -> None:
    """CPython 3.11 collects wherever it allocates; what is called then is Python, and serves signals."""
    assert run_python(AT_ONCE, how).stdout == f"False {how != 'off'}\n"


FORKED = """
import gc, os, threading
from headway.files import gate
from headway.native import core

def fork():
    global told
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, b"1" if gc.isenabled() else b"0")
        os._exit(0)
    told = os.read(reader, 1)

forking = threading.Thread(target=fork)
core.at_once([forking.start, forking.join], int)
print(told == b"1", gc.isenabled())
"""


def test_a_child_that_is_forked_meanwhile_collects_its_garbage(run_python: RunPython) -> None:
    assert run_python(FORKED).stdout == "True True\n"
