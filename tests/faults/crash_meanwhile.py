"""What others do while a process stands at a step of the native code: nobody loses what is theirs, nobody hangs.

    python crash_meanwhile.py SCENARIO BOARD          with PYTHONPATH leading to a build with HOOKS=1, and to this tree

See test_crashes.py.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial

from headway import errors
from headway.engine.board import Board
from headway.engine.task import Task
from headway.native import core
from tests.blocks import lend_all
from tests.faults.look import BOUND_S, Tried, goes_on, look, refused, run
from tests.faults.steps import fresh, killed_at, last_of_each, resumed, stopped_at, trace

STRIPES = 8  # of one task: HW_STRIPES
CLAIM = {"token", "owner", "slot lock", "filled", "hashed", "published", "free", "frees", "freed", "unlock"}


def claiming(board: Board, id: str) -> Callable[[], object]:
    return lambda: board.task(id)


def holder(board: Board) -> int:
    """The pid of a process that is stopped with the structural lock."""
    board.task("held").succeed()
    steps = trace(claiming(board, "held"))
    board.task("held").succeed()
    return stopped_at(steps.index("unlock") + 1, claiming(board, "held"))


# --- a task that others want


def resume(task: Task) -> bool:
    """Go on with a task that failed. False if somebody has started it anew, or is about to."""
    core.LOCK_SECONDS = 0.1
    try:
        return task._transition("running", ("failed",), own=True, resume=True) is not None
    except (errors.LockTimeout, errors.UnknownTask):
        return False


def renew(board: Board) -> Tried:
    """A task is resumed while another process starts it anew: one of them has it, and keeps it."""

    def again() -> None:
        with contextlib.suppress(errors.TaskExists):
            board.task("victim")

    board.task("victim").succeed()
    stops = last_of_each(trace(again), CLAIM)
    kept = 0
    for name, number in stops.items():
        old = board.task("victim")
        old.fail("not yet")
        pid = stopped_at(number, again)
        is_mine = resume(old)
        resumed(pid)
        if is_mine:
            kept += 1
            assert old.state == "running", f"taken from who resumed it while the other one was at {name!r}"
            old.succeed()
    assert 0 < kept < len(stops), "it was always the same one who had it"
    return len(stops), list(stops)


def keep(board: Board) -> Tried:
    """A task is resumed while another process makes room: it is left alone."""

    def done(id: str) -> Callable[[], object]:
        return lambda: board.task(id).succeed()

    for number in range(board._segment.capacity - 1):  # and the steady one
        board.task(f"failed-{number}").fail("not yet")
    steps = trace(done("one"))
    time.sleep(0.11)  # what it freed rests
    for number in range(board._segment.capacity - len(look(board))):
        board.task(f"filler-{number}").succeed()
    oldest, next_one, *_ = (task for task in board.tasks("failed"))  # in the order in which they were made, and ended
    task = board.attach(next_one.id)
    pid = stopped_at(steps.index("free") + 1, done("two"))
    assert resume(task), "more than one goes at a time, one after the other"
    resumed(pid)
    assert task.state == "running", "a task that runs gave up its slot"
    assert board.get(oldest.id) is None
    return 1, ["free"]


def move(board: Board) -> Tried:
    """A task is looked for while it is started anew, and moves from the last slot to one before it: it is found."""

    def to_the_end() -> None:
        while (task := board.task("victim"))._where[0] != board._segment.capacity - 1:
            task.succeed()
        task.succeed()
        time.sleep(0.11)  # the slot that it came from rests

    def is_listed() -> None:
        assert "victim" in [task.id for task in board.snapshot().tasks]

    again = claiming(board, "victim")
    to_the_end()
    places = last_of_each(trace(again), {"filled", "published", "frees", "freed"})
    times = 0
    for search in (lambda: board.attach("victim"), is_listed):
        looks = [number for number, name in enumerate(trace(search), 1) if name == "looked"]
        for place_of_look in looks[1:3]:  # the first slot has been looked into, or the second, too
            for place in places.values():
                to_the_end()
                searcher = stopped_at(place_of_look, search)
                mover = stopped_at(place, again)
                resumed(searcher)
                resumed(mover)
                to_the_end()
                mover = stopped_at(place, again)
                searcher = stopped_at(place_of_look, search)
                resumed(mover)
                resumed(searcher)
                times += 2
    return times, ["looked", *places]


def remember(board: Board) -> Tried:
    """Kill who takes a dead worker's stripe: whoever takes that stripe next does not remember the dead one twice."""
    names = ("lost", "remembered", "stripe")
    lend_all(board._segment, board.attach("steady"))
    for name in names:
        owner = board.task("victim")
        update = partial(count_once, board)
        for _ in range(STRIPES):  # each ends without leaving, until every stripe is a dead one's
            fresh(update)
        steps = trace(update)
        assert killed_at(steps.index(name) + 1, update)
        for _ in range(STRIPES - 1):  # which stripe is looked at first goes by the number of the process
            fresh(board._segment.register)
        fresh(update)
        view = board.get("victim")
        assert view is not None
        people = [share.incarnation for share in (*view.workers, *view.workers_lost)]
        assert len(people) == len(set(people)), f"killed at {name!r}: {people}"
        owner.succeed()
    return len(names), list(names)


def count_once(board: Board) -> None:
    board.attach("victim").update()


# --- a holder that is only stopped


def count(board: Board) -> Tried:
    """Who counts on a task for the first time waits for nobody, though a stopped process is writing its status."""
    task = board.task("victim")

    def write() -> None:
        board.attach("victim").total = 5

    pid = stopped_at(trace(write).index("flip") + 1, write)
    began = time.monotonic()
    task.update()
    took = time.monotonic() - began
    assert took < BOUND_S, f"a first update took {took:.3f} s"
    assert (task.count, task.state) == (1, "pending")
    resumed(pid)
    give_up = time.monotonic() + 15  # it is said at the next look, once a second
    while task.state != "running":
        assert time.monotonic() < give_up, "a task that is counted on never runs"
        task.update()
        time.sleep(0.01)
    return 1, ["flip"]


def anew(board: Board) -> Tried:
    """A stopped process writes to a task. Who claims its id is told at once that it runs, else who is in the way."""
    task = board.task("victim")

    def write() -> None:
        board.attach("victim").result = {"a": 1}

    step = trace(write).index("flip") + 1
    task.update()
    pid = stopped_at(step, write)
    began = time.monotonic()
    with contextlib.suppress(errors.TaskExists):
        board.task("victim")
        raise AssertionError("a task that runs was claimed")
    took = time.monotonic() - began
    assert took < BOUND_S, f"it took {took:.3f} s to say that the task runs"
    resumed(pid)
    task.succeed()
    pid = stopped_at(step, write)
    refused(claiming(board, "victim"), pid, "flip")
    assert task.state == "success"
    resumed(pid)
    assert board.task("victim").state == "pending"
    return 2, ["flip"]


def fork(board: Board) -> Tried:
    """A signal handler forks while its process waits for the lock: what the child claims is the child's."""
    pid = holder(board)

    def go() -> None:
        def handler(_signal: int, _frame: object) -> None:
            child = os.fork()
            if child:
                os.kill(pid, signal.SIGCONT)
                assert os.waitpid(child, 0)[1] == 0

        here = os.getpid()
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        task = board.task("of a child")
        assert task._run[2:] == (board._segment.incarnation, os.getpid())
        if os.getpid() != here:
            os._exit(0)  # it leaves the task open, so that it is lost

    fresh(go)
    resumed(pid)
    return 1, ["unlock"]


def close(board: Board) -> Tried:
    """A thread closes the board while another one waits for its lock: that one is told, and nothing is torn from it."""
    pid = holder(board)

    def go() -> None:
        told: list[str] = []
        begun = threading.Event()

        def wait() -> None:
            begun.set()
            try:
                board.task("never")
            except errors.BoardClosed as error:
                told.append(str(error))

        thread = threading.Thread(target=wait)
        thread.start()
        begun.wait()
        time.sleep(0.02)
        board.close()
        assert not board._segment.incarnation
        thread.join(10)
        assert len(told) == 1

    for _ in range(10):
        fresh(go)
    resumed(pid)
    return 10, ["unlock"]


def leave(board: Board) -> Tried:
    """A process leaves while one of its threads waits for the lock: the thread gets it as a member of the board."""
    pid = holder(board)

    def go() -> None:
        tasks: list[Task] = []
        thread = threading.Thread(target=lambda: tasks.append(board.task("late")))
        thread.start()
        time.sleep(0.02)
        board._segment.leave()
        os.kill(pid, signal.SIGCONT)
        thread.join(10)
        assert tasks[0]._run[2] == board._segment.incarnation

    fresh(go)
    resumed(pid)
    return 1, ["unlock"]


def hold(board: Board) -> Tried:
    """A thread keeps the GIL for long when another one has just got the lock: other processes do not wait for that."""
    pid = holder(board)
    begun, begin = os.pipe()

    def go() -> None:
        about_to = threading.Event()

        def keep_the_gil() -> None:
            about_to.wait()
            ctypes.PyDLL(None).sleep(3)

        thread = threading.Thread(target=keep_the_gil)
        thread.start()
        board._segment.register()  # this would let go of the GIL
        os.write(begin, b".")
        about_to.set()
        board.task("mine")
        thread.join()

    worker = os.fork()
    if worker == 0:
        go()
        os._exit(0)
    os.read(begun, 1)
    time.sleep(0.02)
    resumed(pid)
    began = time.monotonic()
    goes_on(board)
    took = time.monotonic() - began
    assert os.waitpid(worker, 0)[1] == 0
    assert took < 1.5, f"a claim took {took:.3f} s, because a thread elsewhere kept its GIL"
    for one in (begun, begin):
        os.close(one)
    return 1, ["unlock"]


# --- a reader between status and result


def together(board: Board) -> Tried:
    """A task goes through stages, each with its result, while a reader stands behind the status of one: what it sees
    of status and result was there at one moment."""
    task = board.task("victim")

    def pass_through(number: int) -> None:
        task.result = number  # a result is written before the state that announces it
        task.stage = f"{number}"

    def see() -> None:
        view = board.get("victim")
        assert view is not None
        assert view.result in (int(view.stage), int(view.stage) + 1), view

    pass_through(0)
    steps = trace(see)
    assert steps.count("status read") == 1, steps
    for rounds in range(1, 8):
        pid = stopped_at(steps.index("status read") + 1, see)
        for _ in range(rounds):
            pass_through(int(task.stage) + 1)
        resumed(pid)
    return 7, ["status read"]


if __name__ == "__main__":
    run(
        {
            "renew": (renew, 24),
            "keep": (keep, 32),
            "move": (move, 3),
            "remember": (remember, 16),
            "count": (count, 16),
            "anew": (anew, 16),
            "fork": (fork, 16),
            "close": (close, 16),
            "leave": (leave, 16),
            "hold": (hold, 16),
            "together": (together, 16),
        }
    )
