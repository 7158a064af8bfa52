"""`headway.integrations.multiprocessing`: maps of a Pool count, and end where a worker is killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunPython

METHODS = ("fork", "spawn", "forkserver")

BEGIN = """
import multiprocessing, os, signal, sys, time

import headway
from headway.integrations.multiprocessing import imap, imap_unordered, map, starmap

def square(number):
    return number * number

def die_at(number):
    if number == 137:
        os.kill(os.getpid(), signal.SIGKILL)
    return number

def time_out(number):
    if number == 7:
        raise multiprocessing.TimeoutError
    return number

def slow(number):
    time.sleep(0.05)
    return number

if __name__ == "__main__":
    name, method = sys.argv[1:]
    board = headway.open(name)
    try:
        with board.task("all", total=300) as task, multiprocessing.get_context(method).Pool(2) as pool:
"""
END = """
    finally:
        board.remove(files=True)
"""


def script(body: str) -> str:
    return BEGIN + "\n".join(f"            {line}" for line in body.strip("\n").splitlines()) + END


@pytest.mark.parametrize("method", METHODS)
def test_each_item_counts_in_whatever_chunks_they_go(method: str, run_python: RunPython, board_name: str) -> None:
    body = """
squares = [n * n for n in range(100)]
print(map(pool, square, range(100), task=task) == squares, task.count)
print(list(imap(pool, square, range(100), 7, task=task)) == squares, task.count)
print(sorted(imap_unordered(pool, square, range(100), 20)) == squares, task.count)
print(starmap(pool, pow, [(n, 2) for n in range(100)], task=task) == squares, task.count)
"""
    done = run_python(script(body), board_name, method)
    assert done.stdout == "".join(f"True {count}\n" for count in (100, 200, 300, 400))


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_that_is_killed_is_an_error_that_names_its_item_and_no_wait_without_end(
    method: str, run_python: RunPython, board_name: str
) -> None:
    body = """
seen = []
try:
    for found in imap_unordered(pool, die_at, range(300), 20, task=task):
        seen.append(found)
except headway.errors.WorkerDied as error:
    print(error.item, error.exitcode, "was killed by SIGKILL" in str(error))
print(137 not in seen, len(seen) < 300)
"""
    done = run_python(script(body), board_name, method)
    assert done.stdout == "die_at(137) -9 True\nTrue True\n"


def test_the_pool_goes_on_with_other_maps_afterwards(run_python: RunPython, board_name: str) -> None:
    body = """
try:
    map(pool, die_at, range(300), 10, task=task)
except headway.errors.WorkerDied as error:
    print(error.item)
print(map(pool, square, range(50), task=task) == [n * n for n in range(50)])
"""
    assert run_python(script(body), board_name, "fork").stdout == "die_at(137)\nTrue\n"


def test_an_item_that_raises_a_timeout_error_is_no_wait(run_python: RunPython, board_name: str) -> None:
    body = """
try:
    map(pool, time_out, range(20), 1, task=task)
except multiprocessing.TimeoutError as error:
    print("raised", error.__cause__ is not None)
"""
    assert run_python(script(body), board_name, "fork").stdout == "raised True\n"


def test_an_idle_worker_that_is_killed_disturbs_nobody(run_python: RunPython, board_name: str) -> None:
    body = """
results = imap(pool, slow, range(20), 20, task=task)  # one chunk: the other worker has nothing
while not [share for share in board.get("all").workers if share.item]:
    time.sleep(0.01)
busy = {share.pid for share in board.get("all").workers if share.item}
for process in list(pool._pool):
    if process.pid not in busy:
        process.terminate()
print(list(results) == list(range(20)), flush=True)
board.remove(files=True)
for process in pool._pool:
    process.kill()
os._exit(0)  # a pool that lost an idle worker may not be able to end: that one held a lock
"""
    assert run_python(script(body), board_name, "fork").stdout == "True\n"
    # Without a board all the same: nobody knows what is in hand, but results go on.
    done = run_python(script("print(map(pool, square, range(5)))"), board_name, "fork", env={"HEADWAY_DISABLE": "1"})
    assert done.stdout == "[0, 1, 4, 9, 16]\n"


def test_without_a_board_a_worker_that_is_killed_is_an_error_all_the_same(
    run_python: RunPython, board_name: str
) -> None:
    body = """
try:
    map(pool, die_at, range(300), 10)
except headway.errors.WorkerDied as error:
    print(repr(error.item), error.exitcode, "nothing goes on any more" in str(error))
"""
    done = run_python(script(body), board_name, "fork", env={"HEADWAY_DISABLE": "1"})
    assert done.stdout == "'' -9 True\n"
