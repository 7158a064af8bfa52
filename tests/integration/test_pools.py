"""The pools of Python's own library: their workers count on a task of the parent, die, and are replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunPython

METHODS = ("fork", "spawn", "forkserver")

# Every script: a board "name", a task "all", and at the end what the task shows.
BEGIN = """
import multiprocessing, os, signal, sys, time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from headway.engine.board import open_board
from headway import current

def square(number):
    return number * number

def count_on_the_current_one(number):
    current().update()

def die_at(number):
    if number == 7:
        time.sleep(0.05)  # what the others do is done
        os.kill(os.getpid(), signal.SIGKILL)
    return number

def die_with(task, item):
    with task.item(item):
        os.kill(os.getpid(), signal.SIGKILL)

def count_and_kill(task, number):
    task.update()
    die_at(number)

def child(task, name):
    with task.task(name, total=2) as mine:
        mine.update(2)

if __name__ == "__main__":
    name, method = sys.argv[1:]
    context = multiprocessing.get_context(method)
    board = open_board(name, capacity=32, workers=32)
    try:
"""
END = """
    finally:
        board.remove(files=True)
"""


def script(body: str) -> str:
    lines = body.strip("\n").splitlines()
    return BEGIN + "\n".join(f"        {line}" for line in lines) + END


@pytest.mark.parametrize("method", METHODS)
def test_calls_in_an_executor_count_on_a_task_of_the_parent(
    method: str, run_python: RunPython, board_name: str
) -> None:
    body = """
with board.task("all", total=500) as task, ProcessPoolExecutor(4, mp_context=context) as pool:
    assert list(pool.map(task.counts(square), range(500), chunksize=7)) == [n * n for n in range(500)]
view = board.get("all")
print(view.count, view.state, len(view.workers_lost))
"""
    done = run_python(script(body), board_name, method)
    assert done.stdout.split() == ["500", "success", "0"]


@pytest.mark.parametrize("method", METHODS)
def test_calls_in_a_pool_that_is_terminated_count(method: str, run_python: RunPython, board_name: str) -> None:
    body = """
with board.task("all", total=300) as task:
    with context.Pool(4) as pool:  # ends its workers by SIGTERM
        pool.map(task.counts(square), range(300))
    deadline = time.monotonic() + 10
    while any(worker.alive and worker.pid != os.getpid() for worker in board.snapshot().workers):
        assert time.monotonic() < deadline, "a worker that was terminated counts as alive"
        time.sleep(0.01)
view = board.get("all")
print(view.count, view.state)
"""
    assert run_python(script(body), board_name, method).stdout.split() == ["300", "success"]


@pytest.mark.parametrize("method", METHODS)
def test_the_current_task_is_inherited_by_the_workers_of_a_pool(
    method: str, run_python: RunPython, board_name: str
) -> None:
    body = """
with board.task("all", total=100) as task, context.Pool(3) as pool:
    pool.map(count_on_the_current_one, range(100))
print(board.get("all").count)
"""
    assert run_python(script(body), board_name, method).stdout.split() == ["100"]


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_killed_in_an_executor_is_named_and_the_task_goes_on(
    method: str, run_python: RunPython, board_name: str
) -> None:
    body = """
with board.task("all", total=100) as task:
    try:
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            futures = [pool.submit(count_and_kill, task, n) for n in range(20)]
            [future.result() for future in futures]
    except BrokenProcessPool:
        view = board.get("all")
        lost = [share for share in view.workers_lost if not share.alive]
        print(view.state, view.count >= 8, len(lost) >= 1, sum(share.count for share in lost) <= view.count)
    before = task.count
    with ProcessPoolExecutor(2, mp_context=context) as pool:  # a new one finishes the rest
        list(pool.map(task.counts(square), range(50)))
    print(task.count - before)
print(board.get("all").state)
"""
    done = run_python(script(body), board_name, method)
    assert done.stdout.split() == ["running", "True", "True", "True", "50", "success"]


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_killed_in_an_executor_is_told_with_the_call_that_it_had_in_hand(
    method: str, run_python: RunPython, board_name: str
) -> None:
    body = """
with board.task("all", total=20) as task:
    try:
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            list(pool.map(task.counts(die_at), range(8)))
    except BrokenProcessPool:
        pass
past = board.get("all")
shares = [*past.workers, *past.workers_lost]
print(*(share.item for share in shares if share.item))
print(all(share.item_seconds >= 0 for share in shares if share.item))
with board.task("by hand") as task, context.Pool(1) as pool:
    pool.apply_async(die_with, (task, "BTC-1h"))
    while not (lost := board.get("by hand").workers_lost):
        time.sleep(0.02)
    print(*(share.item for share in lost))
"""
    done = run_python(script(body), board_name, method)
    assert done.stdout.split() == ["die_at(7)", "True", "BTC-1h"]


def test_the_error_of_a_broken_pool_says_who_died_and_with_what_in_hand(run_python: RunPython, board_name: str) -> None:
    body = """
try:
    with board.task("all", total=20) as task, ProcessPoolExecutor(2, mp_context=context) as pool:
        list(pool.map(task.counts(die_at), range(8)))
except BrokenProcessPool as error:
    (note,) = error.__notes__
    print("on task 'all' died: pid" in note, "(die_at(7), taken up" in note)
try:
    with board.task("other"):
        raise ValueError
except ValueError as error:
    print(getattr(error, "__notes__", None))
"""
    done = run_python(script(body), board_name, "fork")
    assert done.stdout.split() == ["True", "True", "None"]


def test_a_pool_that_replaces_its_workers_all_the_time_counts_exactly(run_python: RunPython, board_name: str) -> None:
    body = """
with board.task("all", total=200) as task, context.Pool(4, maxtasksperchild=2) as pool:
    pool.map(task.counts(square), range(200), chunksize=2)  # 50 workers: more than rows and stripes
view = board.get("all")
print(view.count, view.state)
"""
    assert run_python(script(body), board_name, "fork").stdout.split() == ["200", "success"]


@pytest.mark.parametrize("method", METHODS)
def test_children_make_tasks_of_their_own_below_the_parents(
    method: str, run_python: RunPython, board_name: str
) -> None:
    body = """
with board.task("all") as task:
    workers = [context.Process(target=child, args=(task, f"part-{n}")) for n in range(4)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
views = {view.id: view for view in board.tasks()}
print(sorted(views))
print({(view.parent, view.count, view.state) for id, view in views.items() if id != "all"})
"""
    lines = run_python(script(body), board_name, method).stdout.splitlines()
    assert lines == ["['all', 'all/part-0', 'all/part-1', 'all/part-2', 'all/part-3']", "{('all', 2, 'success')}"]
