"""`headway.integrations.futures`: calls of any executor count, are shown, and are told when their worker dies."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING

import pytest

from headway.integrations.futures import TrackedExecutor

if TYPE_CHECKING:
    from headway.engine.board import Board
    from tests.conftest import RunPython

METHODS = ("fork", "spawn", "forkserver")

BEGIN = """
import multiprocessing, os, signal, sys, time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import headway
from headway.integrations.futures import TrackedExecutor

def square(number):
    return number * number

def die_at_seven(number, once=False):
    if number == 7 and not (once and os.path.exists(once)):
        if once:
            open(once, "w").close()
        time.sleep(0.3)  # the other worker has something in hand, too
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    return number

if __name__ == "__main__":
    name, method, mark = sys.argv[1:]
    board = headway.open(name)
    pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method))
    fresh = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method))
    try:
        with board.task("all") as task:
            calls = TrackedExecutor(pool, task)
"""
END = """
    finally:
        pool.shutdown()
        fresh.shutdown()
        board.remove(files=True)
"""


def script(body: str) -> str:
    return BEGIN + "\n".join(f"            {line}" for line in body.strip("\n").splitlines()) + END


@pytest.mark.parametrize("method", METHODS)
def test_chunks_of_a_map_and_single_calls_count_one_an_item(
    method: str, run_python: RunPython, board_name: str
) -> None:
    body = """
assert list(calls.map(square, range(50), chunksize=7)) == [n * n for n in range(50)]
print(task.count, calls.submit(square, 5).result(), task.count)
print(dict(task.metrics), calls.lost)
"""
    done = run_python(script(body), board_name, method, "")
    assert done.stdout == "50 25 51\n{'running': 0.0, 'pending': 0.0} ()\n"


@pytest.mark.parametrize("method", METHODS)
def test_who_broke_the_pool_is_told_from_those_that_it_ended_because_of_that(
    method: str, run_python: RunPython, board_name: str
) -> None:
    body = """
futures = [calls.submit(die_at_seven, number) for number in range(60)]
try:
    [future.result() for future in futures]
except BrokenProcessPool as error:
    (note,) = error.__notes__
    print(note.split(")", 1)[1])
again = calls.retry(fresh)
print([(call.args, call.in_hand) for call in calls.lost], len(again) > 10)
print(sorted(future.result() for future in again.values()) == [call.args[0] for call in again])
print(7 in [call.args[0] for call in again], task.count, [call.args for call in calls.lost])
"""
    done = run_python(script(body), board_name, method, "")
    assert done.stdout.splitlines() == [
        " that had die_at_seven(7) in hand was killed by SIGKILL",
        "[((7,), True)] True",
        "True",
        "False 59 [(7,)]",
    ]


def test_the_items_of_chunks_that_were_lost_are_tried_again_and_the_count_is_exact(
    run_python: RunPython, board_name: str, tmp_path: object
) -> None:
    body = """
from functools import partial
try:
    list(calls.map(partial(die_at_seven, once=mark), range(40), chunksize=10))
except BrokenProcessPool as error:
    print(len(error.__notes__))
again = calls.retry(fresh, blamed=True)
print({future.result() for future in again.values()} >= set(range(10)), task.count, calls.lost)
"""
    done = run_python(script(body), board_name, "fork", f"{tmp_path}/mark")
    assert done.stdout == "1\nTrue 40 ()\n"


def test_what_runs_and_what_waits_is_shown(board: Board) -> None:
    go_on = threading.Event()
    with board.task("all") as task, ThreadPoolExecutor(2) as pool:
        calls = TrackedExecutor(pool, task)
        futures = [calls.submit(go_on.wait, 60) for _ in range(5)]
        assert (calls.running, calls.pending) == (2, 3)
        go_on.set()
        assert all(future.result() for future in as_completed(futures))
        assert (calls.running, calls.pending) == (0, 0)
        assert dict(task.metrics) == {"running": 0.0, "pending": 0.0}
        assert task.count == 5


def test_a_call_that_raises_does_not_count_and_raises_as_it_would(board: Board) -> None:
    with board.task("all") as task, ThreadPoolExecutor(1) as pool:
        calls = TrackedExecutor(pool, task)
        with pytest.raises(ValueError, match="invalid literal"):
            list(calls.map(int, ["1", "2", "no", "3"]))
        with pytest.raises(ValueError, match="chunksize 0 is too small"):
            calls.map(int, ["1"], chunksize=0)
        assert 2 <= task.count <= 3


def test_a_call_can_be_cancelled_before_it_runs_and_whoever_waits_for_it_is_told(board: Board) -> None:
    go_on = threading.Event()
    with board.task("all") as task, ThreadPoolExecutor(1) as pool:
        calls = TrackedExecutor(pool, task)
        first, second = calls.submit(go_on.wait, 60), calls.submit(go_on.wait, 60)
        assert second.cancel()
        assert not first.cancel()
        assert [*as_completed([second])] == [second]
        assert (second.cancelled(), first.running()) == (True, True)
        go_on.set()
        assert first.result()
        assert calls.pending == calls.running == 0


def test_a_map_that_takes_too_long_is_a_timeout_and_leaves_no_call_behind(board: Board) -> None:
    go_on = threading.Event()
    with board.task("all") as task, ThreadPoolExecutor(1) as pool:
        calls = TrackedExecutor(pool, task)
        with pytest.raises(TimeoutError):
            list(calls.map(go_on.wait, [60] * 5, timeout=0.01))
        go_on.set()
        calls.shutdown()
        assert task.count <= 1
