"""The current task: of a block, of threads, of children; and none at all."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import headway
from headway.standin.nobody import NOBODY

if TYPE_CHECKING:
    from collections.abc import Generator

    from headway.engine.board import Board
    from tests.conftest import RunPython

METHODS = ("fork", "spawn", "forkserver")


# --- in one process


ALL_AT_ONCE = """
import sys, threading, time
from headway.tasks import current

sys.setswitchinterval(1e-6)
until = time.monotonic() + 3


class Work(threading.Thread):
    error = None

    def run(self):
        try:
            while time.monotonic() < until:
                task = object()
                token = current.enter(task, None)
                assert current.innermost() is task
                current.leave(task, token)
        except BaseException as error:
            self.error = error


threads = [Work() for _ in range(4)]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    current.innermost()  # of a thread that has entered none
print([thread.error for thread in threads], current.innermost())
"""


def test_threads_enter_and_leave_tasks_all_at_once(run_python: RunPython) -> None:
    assert run_python(ALL_AT_ONCE).stdout == "[None, None, None, None] None\n"


def test_it_is_the_task_of_the_innermost_block(any_board: Board) -> None:
    assert headway.current() is NOBODY
    with any_board.task("one") as one:
        assert headway.current() is one
        with any_board.task("two") as two:
            assert headway.current() is two
            headway.current().update(3)
        assert headway.current() is one
        assert two.count == 3
    assert headway.current() is NOBODY


def test_it_is_the_outer_one_again_after_an_exception(any_board: Board) -> None:
    def fail() -> None:
        with any_board.task("two"):
            raise ValueError("bad row")

    with any_board.task("one") as one:
        with pytest.raises(ValueError, match="bad row"):
            fail()
        assert headway.current() is one


def test_threads_take_the_one_of_the_process(any_board: Board) -> None:
    with any_board.task("one") as one, ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda _: headway.current() is one, range(10))) == [True] * 10
        with any_board.task("two") as two:
            assert pool.submit(headway.current).result() is two
        assert pool.submit(headway.current).result() is one
    assert ThreadPoolExecutor(1).submit(headway.current).result() is NOBODY


def test_a_thread_has_its_own_within_its_own_block(any_board: Board) -> None:
    inside, go_on = threading.Event(), threading.Event()
    seen: list[Any] = []

    def work() -> None:
        with any_board.task("of the thread") as task:
            seen.append(headway.current() is task)
            inside.set()
            go_on.wait(10)
            seen.append(headway.current() is task)

    with any_board.task("one") as one:
        thread = threading.Thread(target=work)
        thread.start()
        assert inside.wait(10)
        assert headway.current() is one
        go_on.set()
        thread.join()
    assert seen == [True, True]
    assert headway.current() is NOBODY


def test_asynchronous_tasks_have_their_own(any_board: Board) -> None:
    async def work(id: str) -> bool:
        with any_board.task(id) as task:
            await asyncio.sleep(0.01)
            return headway.current() is task

    async def main() -> list[bool]:
        with any_board.task("one") as one:
            found = await asyncio.gather(*(work(f"part {number}") for number in range(5)))
            return [*found, headway.current() is one]

    assert asyncio.run(main()) == [True] * 6


def test_a_block_that_is_left_in_another_context_is_over(any_board: Board) -> None:
    def items() -> Generator[int, None, None]:
        with any_board.task("one"):
            yield 1

    generator = items()
    contextvars.copy_context().run(next, generator)
    generator.close()
    assert headway.current() is NOBODY
    assert any_board.tasks()[0].state == "cancelled"


def test_a_handle_that_equals_another_is_left_by_itself(board: Board) -> None:
    with board.task("one") as outer, board.task("two"):
        inner = board.attach("one")
        with inner:
            assert headway.current() is inner
        assert headway.current().id == "two"
    assert outer.state == "success"


def test_a_forked_child_has_that_of_its_parent(any_board: Board) -> None:
    with any_board.task("one") as one:
        pid = os.fork()
        if pid == 0:
            os._exit(0 if headway.current() is one else 1)
        assert os.waitpid(pid, 0)[1] == 0


# --- in children

SCRIPT = """
import multiprocessing, sys, threading
import headway
from headway.engine.board import open_board

def count(n):
    headway.current().update(n)

def count_by_threads(n):
    threads = [threading.Thread(target=count, args=(1,)) for _ in range(n)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

def count_around_one_of_its_own(n):
    with open_board(sys.argv[1]).task("mine") as mine:
        headway.current().update(100)
        assert headway.current() is mine
    headway.current().update(n)

def be_a_parent(method, n):
    child = multiprocessing.get_context(method).Process(target=count, args=(n,))
    child.start()
    child.join()
    with open_board(sys.argv[1]).task("mine") as mine:  # hides the one that was inherited, and only meanwhile
        child = multiprocessing.get_context(method).Process(target=count, args=(100,))
        child.start()
        child.join()
    assert mine.count == 100
    child = multiprocessing.get_context(method).Process(target=count, args=(n,))
    child.start()
    child.join()

def run(context, target, *args):
    child = context.Process(target=target, args=args)
    child.start()
    child.join()
    assert child.exitcode == 0

if __name__ == "__main__":
    name, method = sys.argv[1:]
    board = open_board(name, capacity=8)
    context = multiprocessing.get_context(method)
    try:
        with board.task("one") as one:
            run(context, count, 1)
            run(context, count_by_threads, 10)
            with board.task("inner") as inner:
                run(context, count, 5)
            run(context, count_around_one_of_its_own, 100)
            assert board.get("mine").count == 100
            run(context, be_a_parent, method, 1000)
        run(context, count, 1)
        print(one.count, inner.count, board.get("mine").count)
    finally:
        board.remove(files=True)
"""


@pytest.mark.parametrize("method", METHODS)
def test_children_inherit_it(method: str, run_python: RunPython, board_name: str) -> None:
    done = run_python(SCRIPT, board_name, method)
    assert done.stdout.split() == ["2111", "5", "100"]


def test_a_child_that_asks_for_nothing_loads_nothing(run_python: RunPython, board_name: str) -> None:
    script = """
import multiprocessing, sys

def look():
    print([name for name in sys.modules if name.partition(".")[0] in ("headway", "posix_ipc")])

if __name__ == "__main__":
    from headway.engine.board import open_board
    board = open_board(sys.argv[1], capacity=8)
    with board.task("one"):
        child = multiprocessing.get_context("spawn").Process(target=look)
        child.start()
        child.join()
    board.remove(files=True)
"""
    assert run_python(script, board_name).stdout == "[]\n"


# --- one that was inherited, and has ended

REUSED = """
import multiprocessing, os, sys, warnings
from concurrent.futures import ProcessPoolExecutor
import headway
from headway.engine.board import open_board

def count(number):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        headway.current().update()
        found = headway.current().id
    return os.getpid(), found, [(one.category.__name__, str(one.message), one.filename) for one in told]

def counted(number):
    return number

if __name__ == "__main__":
    name, method = sys.argv[1:]
    board = open_board(name, capacity=8)
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        with board.task("first") as first:  # the workers begin in here
            found = list(pool.map(count, range(20)))
            assert {(id, len(told)) for _, id, told in found} == {("first", 0)}, found
        with board.task("second") as second:
            found = list(pool.map(count, range(20)))
            assert {id for _, id, _ in found} == {""}, found
            told = [(pid, *one) for pid, _, warned in found for one in warned]
            assert len(told) == len({pid for pid, *_ in told}) == len({pid for pid, *_ in found}), told
            for pid, category, text, file in told:
                assert category == "StaleTaskWarning" and file == __file__, told
                assert "'first'" in text and f"pid {pid}" in text and "task.counts(function)" in text, text
            list(pool.map(second.counts(counted), range(20)))
        assert (first.count, second.count) == (20, 20), (first.count, second.count)
        with board.task("first", resume=True):  # it is another task of that id: its run is over
            assert list(pool.map(count, range(1)))[0][1] == ""
    board.remove(files=True)
"""


@pytest.mark.parametrize("method", METHODS)
def test_one_that_has_ended_takes_no_counts_and_the_worker_is_told_once_what_to_do(
    method: str, run_python: RunPython, board_name: str
) -> None:
    run_python(REUSED, board_name, method)


def test_a_loop_that_has_ended_takes_no_counts_in_a_process_that_was_forked_in_it(
    run_python: RunPython, board_name: str
) -> None:
    script = """
import os, sys, warnings
import headway

go, come = os.pipe()
here, seen = os.pipe()
for item in headway.track([1, 2], label="loop", board=sys.argv[1]):
    pid = os.fork() if item == 1 else pid
    if pid == 0:
        assert headway.current().id == "loop"
        os.close(come)
        os.close(seen)
        os.read(go, 1)  # until the loop of the parent has ended
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            headway.current().update(100)
        assert [one.category.__name__ for one in told] == ["StaleTaskWarning"], told
        assert headway.current().id == ""
        os._exit(0)
    if item == 1:
        os.close(seen)
        os.read(here, 1)  # until the child has seen the loop
os.close(come)  # the child goes on
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
board = headway.open(sys.argv[1])
assert board.get("loop").count == 2, board.get("loop").count
board.remove(files=True)
"""
    run_python(script, board_name)


def test_one_that_this_process_entered_itself_stays_current_when_it_has_ended(any_board: Board) -> None:
    with any_board.task("one") as task:
        task.succeed()
        assert headway.current() is task
        headway.current().update()
    assert task.count == 1


# --- by the environment, as `headway exec` hands it down


OF_COMMAND = "import headway; task = headway.current(); task.update(); print(headway.current().id or 'nobody')"


@pytest.mark.parametrize(
    "what", ["runs", "has ended", "another generation", "another id", "is no handle", "no such board", "is off"]
)
def test_a_program_has_the_task_of_its_command_while_that_runs(board: Board, run_python: RunPython, what: str) -> None:
    from headway.engine.task import handle_of
    from headway.tasks import current

    task = board.task("command")
    task.adopt()
    name, uuid, slot, generation, id = handle_of(task)
    handle = {
        "another generation": (name, uuid, slot, generation + 2, id),
        "another id": (name, uuid, slot, generation, "other"),
        "is no handle": (name, "../x", 1 << 70, -1, id),
        "no such board": (f"{name}-b", uuid, slot, generation, id),
    }.get(what, (name, uuid, slot, generation, id))
    if what == "has ended":
        task.succeed()
    env = {current.VARIABLE: current.to_environment(handle), "HEADWAY_DISABLE": "1" if what == "is off" else ""}
    done = run_python(OF_COMMAND, env=env)
    assert done.stdout.strip() == ("command" if what == "runs" else "nobody")
    assert (task.count, done.stderr) == (int(what == "runs"), "")
