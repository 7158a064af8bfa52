"""Children of multiprocess (of pathos, p_tqdm) and of billiard (of Celery) are what multiprocessing's own ones are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headway.engine.board import open_board

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunPython

CASES = [
    (library, method)
    for library in ("multiprocessing", "multiprocess", "billiard")
    for method in ("fork", "spawn", "forkserver")
]
PROGRAM = """
import importlib, os, signal, sys, time
import headway
from headway.engine.board import open_board

library = importlib.import_module(sys.argv[2])

def count(number):
    headway.current().update()
    for _ in headway.track(range(3), label="inner", board=sys.argv[1]):
        pass
    return number

def leave_open(name):
    task = open_board(name, record=False).task("left")
    task.update()

def fail(name):
    open_board(name, record=False).task("failed").update()
    raise ValueError("a fault of the worker")

def die(name):
    open_board(name, record=False).task("died").update()
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    name = sys.argv[1]
    context = library.get_context(sys.argv[3])
    board = open_board(name, record=False)
    with board.task("outer", total=4):
        pool = context.Pool(2)
        assert pool.map(count, range(4), 1) == [0, 1, 2, 3]
        pool.close()
        pool.join()
    for work in (leave_open, fail, die):
        process = context.Process(target=work, args=(name,), name=work.__name__)
        process.start()
        process.join()
    # A join by a pipe (billiard's fork server) returns when the killed child's descriptors are closed: it ends later.
    until = time.monotonic() + 20
    while board.get("died").state == "running" and time.monotonic() < until:
        time.sleep(0.01)
    print(board.get("outer").count, *(f"{id}:{board.get(id).state}" for id in ("left", "failed", "died")))
    print(board.get("left").error)
"""


@pytest.fixture(autouse=True)
def put_away(board_name: str) -> Iterator[None]:
    yield
    open_board(board_name, record=False).remove()


@pytest.mark.parametrize(("library", "method"), CASES)
def test_workers_count_on_the_current_task_end_in_good_order_and_draw_nothing(
    library: str, method: str, run_python: RunPython, board_name: str
) -> None:
    done = run_python(PROGRAM, board_name, library, method, env={"HEADWAY_LINES_S": "0.001"})
    lines = done.stdout.splitlines()
    assert lines[0] == "4 left:cancelled failed:failed died:lost"
    assert lines[1] == "left open at exit"
    assert "inner" not in done.stderr
    assert "it/s" not in done.stderr


NAMED = """
import importlib, sys
from headway.engine.board import open_board

def work(name):
    board = open_board(name, record=False)
    board.task("t").update()
    print(*(worker.name for worker in board.snapshot().workers))

if __name__ == "__main__":
    context = importlib.import_module(sys.argv[2]).get_context(sys.argv[3])
    board = open_board(sys.argv[1], record=False)
    process = context.Process(target=work, args=(sys.argv[1],), name="the-third-one")
    process.start()
    process.join()
"""


@pytest.mark.parametrize(("library", "method"), CASES)
def test_workers_have_the_name_that_the_program_gave_them(
    library: str, method: str, run_python: RunPython, board_name: str
) -> None:
    assert "the-third-one" in run_python(NAMED, board_name, library, method).stdout
