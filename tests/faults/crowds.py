"""Very many: boards in one process and on one machine, tasks on a board, workers on a task, one after the other.

    python -m tests.faults.crowds [--long]

What is promised: nothing is lost, everything is found, nobody waits long, and when all have gone nothing is left.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from headway import errors
from headway.engine.board import Board, open_board
from headway.files import history, snapshot
from headway.upkeep import listing
from tests.faults.children import fork, fresh
from tests.faults.tally import report

BOUND_S = 120.0


def small(name: str) -> Board:
    return open_board(name, capacity=8, workers=8, result_bytes=64, record=False)


def ended(pids: list[int]) -> None:
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert not any(codes), f"{sum(map(bool, codes))} of {len(codes)} processes failed"


def many_boards(name: str, number: int) -> int:
    """In one process, each counted on, looked at by its files, closed; and found again by several processes at once."""
    boards = [small(f"{name}-{one}") for one in range(number)]
    for board in boards:
        board.task("t", total=3).update(2)
    for board in boards:
        board.write_snapshot()
    listed = [info for info in listing.boards() if info.name.startswith(f"{name}-")]
    assert len(listed) == number, f"{len(listed)} of {number} boards are listed"
    assert {info.state for info in listed} == {"live"}, {info.state for info in listed}

    def use(first: int) -> None:
        for one in range(first, number, 4):
            board = small(f"{name}-{one}")
            assert board.get("t") is not None
            board.task(f"of-{first}").update(3)
            board.close()

    ended([fork(lambda first=first: use(first)) for first in range(4)])  # type: ignore[misc]
    for board in boards:
        assert len(board.tasks()) == 2, board
        board.remove(files=True)
    return number


def many_made_at_once(name: str, number: int) -> int:
    """By many processes, which all want the same ones: each is made once."""

    def make() -> None:
        for one in range(number):
            small(f"{name}-at-once-{one}").task(f"of-{os.getpid()}").update()
        for one in range(number):
            small(f"{name}-at-once-{one}").close()

    pids = [fork(make) for _ in range(8)]
    ended(pids)
    for one in range(number):
        board = small(f"{name}-at-once-{one}")
        found = {task.id for task in board.tasks()}
        assert found == {f"of-{pid}" for pid in pids}, found
        board.remove(files=True)
    return number * len(pids)


def many_tasks(name: str, number: int) -> int:
    """On one board: all there, each found, all in one snapshot, all archived."""
    board = open_board(name, capacity=number, workers=8, result_bytes=64, record=False)
    board._segment.want_recorder()
    tasks = [board.task(f"t-{one}", total=9) for one in range(number)]
    said = ""
    try:
        board.task("one more")
    except errors.BoardFull as error:
        said = str(error)
    assert str(number) in said, f"a full board said {said!r}"
    for one, task in enumerate(tasks):
        task.update(one % 7)
    view = board.snapshot()
    assert [task.count for task in view.tasks] == [one % 7 for one in range(number)]
    board.write_snapshot()
    assert len(snapshot.read(board.directory).tasks) == number
    assert all(board.get(f"t-{one}") is not None for one in range(0, number, 97))
    for task in tasks:
        task.succeed()
    again = [board.task(f"again-{one}") for one in range(number // 4)]  # the oldest make room, and are archived first
    past = {task.id for task in history.read(board.directory)}
    there = {task.id for task in board.tasks()}
    missing = {f"t-{one}" for one in range(number)} - past - there
    assert not missing, f"{len(missing)} tasks are neither on the board nor in the history"
    assert board._segment.dropped == 0
    assert len(again) == number // 4
    board.remove(files=True)
    return number + len(again)


def many_workers(name: str, number: int) -> int:
    """On one task, a hundred of them at a time: more than it has places, and than the board has rows."""
    board = open_board(name, capacity=16, workers=64, result_bytes=64, record=False)
    task = board.task("t", total=number * 100)

    def work() -> None:
        for _ in range(100):
            task.update()
        if os.getpid() % 10 == 0:
            with suppress(errors.TaskExists):  # another one has that id just now
                board.task(f"of-{os.getpid() % 100}").succeed()

    for first in range(0, number, 100):
        ended([fork(work) for _ in range(first, min(number, first + 100))])
    view = board.get("t")
    assert view is not None
    assert view.count == number * 100, view
    assert view.state == "running"
    task.succeed()
    rows = [worker for worker in board.snapshot().workers if worker.alive]
    assert [worker.pid for worker in rows] == [os.getpid()], rows
    board.remove(files=True)
    return number


def many_threads(name: str, number: int) -> int:
    """Of one process, on one task and on tasks of their own."""
    import threading

    board = open_board(name, capacity=number + 8, workers=8, result_bytes=64, record=False)
    shared = board.task("shared")
    failures: list[str] = []

    def work(one: int) -> None:
        try:
            with board.task(f"t-{one}", total=50) as task:
                for _ in range(50):
                    task.update()
                    shared.update()
        except BaseException:  # noqa: BLE001 - told below
            failures.append(traceback.format_exc())

    threads = [threading.Thread(target=work, args=(one,)) for one in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND_S)
    assert not failures, failures[0]
    assert shared.count == 50 * number
    assert sum(task.count for task in board.tasks("success")) == 50 * number
    board.remove(files=True)
    return number


# In the quick form, and in the long one.
SCENARIOS: tuple[tuple[Callable[[str, int], int], int, int], ...] = (
    (many_boards, 120, 1000),
    (many_made_at_once, 10, 100),
    (many_tasks, 2000, 10_000),
    (many_workers, 100, 500),
    (many_threads, 100, 1000),
)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--long", action="store_true")
    given = parser.parse_args()
    os.environ["HEADWAY_RECORD"] = "0"
    tried = failed = 0
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="headway-crowds-") as folder:
        os.environ["HEADWAY_DIR"] = folder
        for scenario, quick, long in SCENARIOS:
            number, name = long if given.long else quick, f"w-{os.getpid()}-{scenario.__name__.replace('_', '-')}"
            began = time.monotonic()
            try:
                fresh(lambda: scenario(name, number), BOUND_S)  # noqa: B023
            except (AssertionError, TimeoutError) as error:
                failed += 1
                print(f"{scenario.__name__}: {error}", file=sys.stderr)
            tried += number
            notes.append(f"{number:,} {scenario.__name__[5:].replace('_', ' ')} in {time.monotonic() - began:.1f} s")
        left = [path.name for path in Path("/dev/shm").iterdir() if f"-w-{os.getpid()}-" in path.name]
        if left:
            failed += 1
            print(f"left in /dev/shm: {left}", file=sys.stderr)
            for path in left:
                (Path("/dev/shm") / path).unlink()
    return report(tried, "of many", failed, ", ".join(notes))


if __name__ == "__main__":
    sys.exit(main())
