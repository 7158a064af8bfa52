"""A program whose threads are busy forks: while each lock of ours is held in turn, and at any moment.

    python -m tests.faults.forks [--seconds N]

Each child does all that a worker does, and its own children do: it counts, claims where room has to be made, writes,
has a current task, runs a loop, reads the history, and leaves. What is promised: none of them hangs, each count is
there, and no task loses its slot before it is in the history.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path

import headway
from headway import errors
from headway.analysis import memory
from headway.bars import track as loops
from headway.engine import attached, claims
from headway.engine.board import Board, open_board
from headway.engine.task import Task
from headway.files import database, history
from headway.standin import records
from headway.system import locks
from headway.tasks import current
from headway.upkeep import removal
from tests.faults.children import eventually, fork, wait
from tests.faults.tally import Tally

BOUND_S = 60.0
CAPACITY = 24
CHURNERS = 3


def board_of(name: str) -> Board:
    return open_board(name, capacity=CAPACITY, workers=64, result_bytes=64)


@contextmanager
def in_sqlite(board: Board) -> Iterator[None]:
    """This thread is in the midst of a statement, with SQLite's mutex of the connection."""
    with database.typed(board.directory / history.HISTORY):
        connection = database.connect(board.directory / history.HISTORY, write=False)
        try:
            rows = connection.execute("SELECT name FROM sqlite_master")
            rows.fetchone()
            yield
            rows.close()
        finally:
            connection.close()


HELD: dict[str, Callable[[Board], AbstractContextManager[object]]] = {
    "nothing": lambda _: nullcontext(),
    "boards": lambda _: attached.guard,
    "stand-ins": lambda _: records.guard,
    "current task": lambda _: current._guard,
    "loops": lambda _: loops._showing,
    "analyses": lambda _: memory._lock,
    "making of analyses": lambda _: memory._making,
    "board.lock": lambda board: locks.locked(board.directory),
    "history.lock": lambda board: locks.held(board.directory / history.LOCK, 10.0),
    "SQLite": in_sqlite,
}


class Held:
    """A thread that has this lock until the block is left."""

    def __init__(self, lock: Callable[[], AbstractContextManager[object]]) -> None:
        self._lock = lock
        self._has, self._let_go = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold)

    def _hold(self) -> None:
        with self._lock():
            self._has.set()
            self._let_go.wait()

    def __enter__(self) -> None:
        self._thread.start()
        assert self._has.wait(20), "the lock was not to be had"

    def __exit__(self, *_: object) -> None:
        self._let_go.set()
        self._thread.join()


def work(board: Board, shared: Task, generations: int) -> None:
    """All that a worker does; then its child does it."""
    shared.update()
    with board.task(f"w-{os.getpid()}", total=1) as task:
        assert headway.current() is task
        task.update()
        task.message = "on"
    for _ in headway.track(range(3), label=f"l-{os.getpid()}", board=board.name):
        pass
    with suppress(errors.Unsupported):  # its parent's thread was in SQLite
        board.history(limit=1)
    assert board.get("shared") is not None
    if generations > 1:
        assert wait(fork(partial(work, board, shared, generations - 1))) == 0, "a child's child"
    claims.leave_all()


def filled(board: Board) -> None:
    """Every slot but that of the shared task has a task that ended; the history begins."""
    for number in range(CAPACITY):
        board.task(f"f-{number}").succeed()
    eventually(lambda: board.history(limit=1), "nothing is archived")


def at_each_lock(name: str, which: str) -> None:
    board = board_of(name)
    with board.task("shared") as shared:
        filled(board)
        with Held(partial(HELD[which], board)):
            assert wait(fork(partial(work, board, shared, 2)), bound_s=BOUND_S / 2) == 0, which
        assert wait(fork(partial(work, board, shared, 1)), bound_s=BOUND_S / 2) == 0, f"after {which}"
        assert shared.count == 3, shared.count
    assert board._segment.dropped == 0, board._segment.dropped


def churn(board: Board, shared: Task, number: int, done: list[int], stop: threading.Event) -> None:
    """A thread of the program: each of its tasks needs the slot of one that ended."""
    for at in range(1 << 40):
        if stop.is_set():
            return
        with board.task(f"c{number}-{at % 40}", total=1) as task:
            task.update()
            task.set(stage="one", metrics={"at": float(at)})
        shared.update()
        done[number] += 1
        if at % 16 == 0:
            board.history(limit=3)


def at_any_moment(name: str, seconds: float) -> None:
    board = board_of(name)
    with board.task("shared") as shared:
        filled(board)
        stop, done = threading.Event(), [0] * CHURNERS
        threads = [threading.Thread(target=churn, args=(board, shared, n, done, stop)) for n in range(CHURNERS)]
        for thread in threads:
            thread.start()
        children, until = 0, time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                pids = [fork(partial(work, board, shared, 2)) for _ in range(2)]
                forked = []
                thread = threading.Thread(target=lambda: forked.append(fork(partial(work, board, shared, 1))))  # noqa: B023
                thread.start()
                thread.join()
                for pid in (*pids, *forked):
                    assert wait(pid, bound_s=BOUND_S / 2) == 0, "a child failed"
                children += 5  # with their own
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert shared.count == sum(done) + children, f"{shared.count} counted, {sum(done)} + {children} acknowledged"
    assert board._segment.dropped == 0, board._segment.dropped


def remove(name: str) -> None:
    board_of(name).remove(files=True)
    removal.gc([name])


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=5.0)
    seconds = options.parse_args().seconds
    os.environ.pop("HEADWAY_RECORD", None)
    os.environ["HEADWAY_BARS"] = "0"
    removal.GRACE_S = 0.0
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="headway-forks-") as folder:
        os.environ["HEADWAY_DIR"] = folder
        for number, which in enumerate(HELD):
            name = f"f-{os.getpid()}-{number}"
            tally.held(which, name, partial(at_each_lock, name, which), last=partial(remove, name), bound_s=BOUND_S)
        name = f"f-{os.getpid()}-any"
        tally.held(
            "any moment", name, partial(at_any_moment, name, seconds), last=partial(remove, name),
            bound_s=BOUND_S + seconds,
        )  # fmt: skip
        eventually(lambda: not list(Path("/dev/shm").glob(f"*f-{os.getpid()}-*")), "something stays in memory")
    return tally.report("forks")


if __name__ == "__main__":
    sys.exit(main())
