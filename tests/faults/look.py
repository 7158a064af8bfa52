"""What must hold on a board after a process was killed or stopped anywhere, and the way into a script that tries it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from headway import errors
from headway.engine.board import Board, open_board
from headway.native import core
from headway.views.board_view import TaskView

__all__ = [
    "BOUND_S",
    "Tried",
    "every_slot_is_there",
    "goes_on",
    "look",
    "refused",
    "run",
    "unfinished_semaphores",
    "whole_or_absent",
]

TOKEN_WAIT_S = 0.02  # what a waiter loses to a dead holder: HW_TOKEN_WAIT_NS
BOUND_S = 10 * TOKEN_WAIT_S
Tried = tuple[int, list[str]]  # how many kills or stops there were, and the names of the steps
STEADY = 5  # the count of a task that nobody touches


def look(board: Board) -> dict[str, TaskView]:
    """The tasks of a board, which has to be in order."""
    tasks = board.snapshot().tasks
    found = {task.id: task for task in tasks}
    assert len(found) == len(tasks), f"an id stands there twice: {[task.id for task in tasks]}"
    for id in found:
        assert board.get(id) is not None, f"{id!r} is listed, but is not found"
    assert found["steady"].count == STEADY, found["steady"]
    return found


def goes_on(board: Board) -> None:
    """Somebody who comes now can do everything, and soon."""
    began = time.monotonic()
    task = board.task("after", total=3)
    took = time.monotonic() - began
    assert took < BOUND_S, f"claiming took {took:.3f} s"
    task.update(2)
    task.set(stage="one", message="two", metrics={"three": 3})
    task.result = {"four": 4}
    view = look(board)["after"]
    assert (view.count, view.stage, view.message, view.metrics, view.result) == (
        2, "one", "two", {"three": 3.0}, {"four": 4}
    ), view  # fmt: skip
    task.succeed()
    assert board.attach("after").state == "success"


def every_slot_is_there(board: Board) -> None:
    """No slot was lost: the board can be filled to its capacity, and is full then."""
    for id in look(board):
        if board.attach(id).state == "lost":
            board.task(id).cancel("found dead")
    tasks = [board.task(f"full-{number}") for number in range(board._segment.capacity - 1)]  # and the steady one
    try:
        board.task("one more")
    except errors.BoardFull:
        pass
    else:
        raise AssertionError("a full board took one more task")
    for task in tasks:
        task.succeed()


def whole_or_absent(board: Board, id: str) -> None:
    """What a claim that was killed has left: nothing, or all of it."""
    view = board.get(id)
    if view is not None and view.state != "success":
        assert (view.state, view.label, view.unit, view.total, view.count) == ("lost", "Victim", "bar", 7, 0), view
    task = board.task(id, total=7, unit="bar", label="Victim")  # the dead owner keeps nobody from it
    task.update(7)
    assert task.count == 7
    task.succeed()


def refused(operation: Callable[[], object], pid: int, where: str) -> None:
    """The operation waits for this process, which lives, and gives up, naming it."""
    core.LOCK_SECONDS = 0.3
    caught = None
    try:
        operation()
    except errors.LockTimeout as error:
        caught = str(error)
    assert caught is not None, f"a holder stopped at {where!r} was robbed"
    assert f"pid {pid}," in caught, f"stopped at {where!r}: {caught}"


def unfinished_semaphores(known: set[Path]) -> set[Path]:
    """What the C library leaves of a process that is killed in its sem_open: 32 bytes without a proper name.

    Whose they were cannot be told, so nothing but a test, which knows what was there before, can remove them. Returns
    what there is besides.
    """
    found = set(Path("/dev/shm").glob("sem.??????")) - known
    if found:
        time.sleep(0.1)  # those of the living are linked to their name and gone within microseconds
    return {path for path in found if path.exists() and path.stat().st_uid == os.geteuid()}


def run(scenarios: dict[str, tuple[Callable[[Board], Tried], int]]) -> None:
    """Do the scenario that the command line names, on the board that it names, and print what it tried.

    scenarios: by name, each with the capacity of its board.
    """
    scenario, capacity = scenarios[sys.argv[1]]
    board = open_board(sys.argv[2], capacity=capacity, workers=4, result_bytes=64)
    try:
        board.task("steady").update(STEADY)
        times, steps = scenario(board)
    finally:
        board.remove(files=True)
    print(times, ",".join(sorted(set(steps))), sep="\n")
