"""Calls of joblib.Parallel whose items other processes do, watched by this one; and workers that are killed."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import headway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headway.engine.board import Board
    from headway.views.task_view import TaskView
    from tests.conftest import RunPython

WAIT_S = 90

WATCHED = """
import os, sys, time
from headway.integrations.joblib import Parallel, delayed

def work(number):
    while number >= 10 and not os.path.exists(sys.argv[2]):
        time.sleep(0.01)
    return number * number, os.getpid()

if __name__ == "__main__":
    _, board, go, backend, return_as, has_length = sys.argv
    items = (delayed(work)(number) for number in range(20))
    parallel = Parallel(
        n_jobs=1 if backend == "sequential" else 2, backend=backend, return_as=return_as, batch_size=1, board=board
    )
    results = list(parallel(list(items) if has_length == "True" else items))
    print(sorted(square for square, _ in results) == [number ** 2 for number in range(20)])
    print(len({pid for _, pid in results} - {os.getpid()}))
"""

KILLED = """
import os, signal, sys, time
from headway.integrations.joblib import Parallel, delayed

def work(number, name):
    if number == 7:
        time.sleep(0.3)  # the other one has an item in hand, too
        os.kill(os.getpid(), signal.SIGKILL)
    if number > 7:
        time.sleep(60)
    return number

if __name__ == "__main__":
    try:
        Parallel(n_jobs=2, batch_size=1, board=sys.argv[1])(delayed(work)(n, name=f"BTC-{n}h") for n in range(20))
    except Exception as error:
        print(type(error).__name__, *error.__notes__, sep="|")
"""

FAILED = """
import sys
from headway.integrations.joblib import Parallel, delayed

def work(number):
    if number == 5:
        raise ValueError(f"{number} is odd")
    return number

if __name__ == "__main__":
    try:
        Parallel(n_jobs=2, backend=sys.argv[2], batch_size=1, board=sys.argv[1])(delayed(work)(n) for n in range(50))
    except ValueError as error:
        print(error, *getattr(error, "__notes__", []))
"""

NESTED = """
import sys, threading
import headway, joblib
from headway.integrations import joblib as ours

def outer(number):
    return number, joblib.Parallel(n_jobs=2)(joblib.delayed(inner)(n) for n in range(3)), headway.current().id

def inner(number):
    return number

if __name__ == "__main__":
    with ours.tracked(board=sys.argv[1], label="all"):
        print(joblib.Parallel(n_jobs=2)([joblib.delayed(outer)(n) for n in range(4)]))
    print(joblib.Parallel(n_jobs=2)([joblib.delayed(outer)(n) for n in range(4)]))
"""


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    """The board of a program, watched by this process."""
    with headway.open(board_name) as board:
        yield board
        board.remove()


def seen(board: Board, id: str) -> TaskView:
    view = board.get(id)
    assert view is not None, f"there is no {id}, only {[task.id for task in board]}"
    return view


def until(holds: Callable[[], bool], program: subprocess.Popen[str]) -> None:
    """Wait until it holds. Fails if the program ends, or after a while."""
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert program.poll() is None, program.communicate()
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("backend", "start", "return_as"),
    [
        ("loky", "", "list"),
        ("loky", "", "generator_unordered"),
        ("multiprocessing", "fork", "list"),
        ("multiprocessing", "spawn", "list"),
        ("multiprocessing", "forkserver", "list"),
        ("threading", "", "list"),
        ("sequential", "", "generator"),
    ],
)
def test_another_process_sees_each_item_when_it_ends_and_which_ones_are_in_hand(
    board: Board, tmp_path: Path, backend: str, start: str, return_as: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBLIB_START_METHOD", start)
    script, go = tmp_path / "program.py", tmp_path / "go"
    script.write_text(WATCHED)
    has_length = return_as == "list"
    arguments = [board.name, str(go), backend, return_as, str(has_length)]
    with subprocess.Popen(
        [sys.executable, str(script), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        try:
            until(lambda: (view := board.get("work")) is not None and view.count == 10, program)
            held = {"work(10)", "work(11)"} if backend in ("loky", "multiprocessing") else {"work(10)"}

            def in_hand() -> set[str]:
                return {share.item for share in seen(board, "work").workers if share.item}

            until(lambda: in_hand() >= held or backend == "threading", program)
            assert seen(board, "work").state == "running"
            assert seen(board, "work").total == (20 if has_length else None)
            assert seen(board, "work").owner_pid == program.pid
        finally:
            go.touch()
        printed, complaints = program.communicate(timeout=WAIT_S)
    assert printed.split() == ["True", "2" if held == {"work(10)", "work(11)"} else "0"]
    assert "Warning" not in complaints
    view = seen(board, "work")
    assert (view.state, view.count, view.total) == ("success", 20, 20)


def test_the_item_that_killed_its_worker_is_named_with_the_signal_and_no_other_one_is_blamed(
    run_python: RunPython, board: Board
) -> None:
    name, *notes = run_python(KILLED, board.name).stdout.strip().split("|")
    assert name == "TerminatedWorkerError"
    (note,) = notes
    assert note.startswith("headway: of the workers on task 'work' died: pid ")
    assert note.count("pid") == 1
    assert "(work(7, BTC-7h), taken up " in note
    view = seen(board, "work")
    assert view.state == "failed"
    assert view.error is not None
    assert view.error.startswith("TerminatedWorkerError: pid ")
    assert view.error.endswith(" was killed by SIGKILL with work(7, BTC-7h) in hand")
    assert view.count <= 7, "those that had ended: the other worker may have come late"


@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_an_exception_in_a_worker_fails_the_task_and_is_what_it_was(
    run_python: RunPython, board: Board, backend: str
) -> None:
    assert run_python(FAILED, board.name, backend).stdout == "5 is odd\n"
    view = seen(board, "work")
    assert (view.state, view.error) == ("failed", "ValueError: 5 is odd")
    assert view.count >= 4


def test_calls_inside_of_workers_are_parts_of_the_call_that_they_are_in_and_only_those(
    run_python: RunPython, board: Board
) -> None:
    lines = run_python(NESTED, board.name).stdout.splitlines()
    assert lines[0] == repr([(number, [0, 1, 2], "all") for number in range(4)])
    assert lines[1] == repr([(number, [0, 1, 2], "") for number in range(4)]), "a worker that is used again"
    tasks = {task.id: (task.state, task.count, task.total, task.parent) for task in board}
    assert tasks.pop("all") == ("success", 4, 4, None)
    assert set(tasks) <= {"all/inner", "all/inner-2"}
    assert set(tasks.values()) == {("success", 3, 3, "all")}
