"""A recorder killed at each system call of its work: one look at the board, and the removal of a quiet one.

    python crash_recorder.py SCENARIO BOARD STRIDE   with PYTHONPATH leading to this tree, HEADWAY_RECORD=0

STRIDE 1: at each call; n: at each n-th, beginning with another one each time.

See test_recorder_crashes.py.
"""

from __future__ import annotations

import os
import sys
from collections import Counter

from headway import errors
from headway.engine.board import Board, open_board
from headway.files import changes, history, snapshot
from headway.recorder.recorder import Recorder
from headway.upkeep import listing, removal
from tests.faults.children import fresh
from tests.faults.syscalls import calls, killed_at

ENDED = {"good": "success", "bad": "failed", "gone": "lost"}
MORE = {f"more {number}": "success" for number in range(16)}
SPARE = 80  # after a kill the work may take so many more or fewer calls than without


def lose(name: str) -> None:
    """A task whose owner dies with it."""
    task = open_board(name).task("gone", total=9)
    task.set(stage="fit", message="on item 4")
    task.update(4)


def fill(name: str) -> Board:
    """A board on which something of each kind has happened since the last snapshot."""
    board = open_board(name, capacity=32, workers=32)
    board._segment.want_recorder()
    with board.task("good", total=3) as good:
        good.update(3)
        good.result = {"answer": 42}
    board.task("bad").fail("nonsense")
    fresh(lambda: lose(name))
    going_on = board.task("going on")
    going_on.update(7)
    return board


def record_once(name: str, last: bool, looks: int = 1) -> None:
    """What a recorder does in one look, or several of which each finds a count more; last: and removes the board."""
    board = listing.attach(name)
    assert board is not None
    recorder = Recorder.elected(board)
    for at in range(looks):
        if at:
            board.attach("going on").update()
        if not (recorder.finish() if last else recorder._cycle()):
            raise AssertionError(f"it did not work: {recorder.problem}")
    recorder.resign()


def look(board: Board, *, open_state: str, counted: int = 7) -> None:
    """Nothing is missing: each ended task is on the board, or in the history, and nowhere twice."""
    past = Counter(task.id for task in history.read(board.directory))
    assert max(past.values(), default=1) == 1, f"twice in the history: {past}"
    for task in history.read(board.directory):
        assert task.state == (open_state if task.id == "going on" else (ENDED | MORE)[task.id]), task
        assert (task.id != "good") or (task.count, task.result) == (3, {"answer": 42})
    for id, state in ENDED.items():
        view = board.get(id)
        assert view is not None, f"{id} is gone from the board"
        assert view.state == state, view
    view = board.get("going on")
    assert view is not None
    assert view.state == open_state, view
    assert 7 <= view.count <= counted, view
    gone = board.get("gone")
    assert gone is not None
    assert (gone.stage, gone.message, gone.count) == ("fit", "on item 4", 4)


def readable(board: Board, least: int) -> None:
    """A snapshot loads, and its number did not go back."""
    view = snapshot.read(board.directory)
    assert view.sequence >= least, (view.sequence, least)
    for task in view.tasks:
        assert task.id not in ENDED or task.state in (ENDED[task.id], "running", "pending"), task


def cycle(name: str, stride: int) -> int:
    """One look: settle, archive, write."""
    made, number = 0, -os.getpid() % stride
    while True:
        board = fill(name)
        board.write_snapshot()
        least = board._segment.sequence
        if not made:
            made = len(calls(lambda: record_once(name, last=False)))
            assert made > 50, made
        else:
            number += stride
            killed = killed_at(number, lambda: record_once(name, last=False))
            readable(board, least)
            look(board, open_state="running")
            fresh(lambda: record_once(name, last=False))  # another recorder takes over
            readable(board, least + 1)
            look(board, open_state="running")
            found = {task.id: task for task in history.read(board.directory)}
            assert set(found) == set(ENDED), set(found)
            assert all(not path.name.startswith(".") for path in board.directory.iterdir()), "something was left over"
            if not killed:
                board.remove(files=True)
                return made
            assert number < made + SPARE + stride
        board.remove(files=True)


def changing(name: str, stride: int) -> int:
    """Looks that write what has changed since the first one: whatever is read is of one moment, and none goes back."""
    made, number, looks = 0, -os.getpid() % stride, 4
    while True:
        board = fill(name)
        for id in MORE:
            board.task(id).succeed()
        board.write_snapshot()
        least = board._segment.sequence
        if not made:
            made = len(calls(lambda: record_once(name, last=False, looks=looks)))
            assert made > 100, made
            assert changes.FILES[1] in {path.name for path in board.directory.iterdir()}, "it has written no changes"
        else:
            number += stride
            killed = killed_at(number, lambda: record_once(name, last=False, looks=looks))
            readable(board, least)
            look(board, open_state="running", counted=7 + looks)
            fresh(lambda: record_once(name, last=False))
            readable(board, least + 1)
            view, now = snapshot.read(board.directory), board.get("going on")
            found = view.get("going on")
            assert found is not None
            assert now is not None
            assert (found.count, len(view)) == (now.count, len(ENDED | MORE) + 1)
            assert all(not path.name.startswith(".") for path in board.directory.iterdir()), "something was left over"
            if not killed:
                board.remove(files=True)
                return made
            assert number < made + SPARE + stride
        board.remove(files=True)


def finish(name: str, stride: int) -> int:
    """The end: the last snapshot, and the removal of the segment."""
    removal.GRACE_S = 0.0  # what a killed one left in /dev/shm is tidied up at once
    made, number = 0, -os.getpid() % stride
    while True:
        board = fill(name)
        board.write_snapshot()
        directory, least = board.directory, board._segment.sequence
        board._segment.leave()
        work = lambda: record_once(name, last=True)  # noqa: E731
        killed = True
        if not made:
            made = len(calls(work))
            assert made > 50, made
        else:
            number += stride
            killed = killed_at(number, work)
        retired = board._segment.retired
        board._segment.close()
        view = snapshot.read(directory)
        assert view.sequence >= least
        again = open_board(name, capacity=32, workers=32)  # found, or restored
        assert again._segment.uuid != board._segment.uuid or not retired
        look(again, open_state="lost")
        again.remove(files=True)
        removal.gc([name])
        if not killed:
            return made
        assert number < made + SPARE + stride


SCENARIOS = {one.__name__: one for one in (cycle, changing, finish)}

if __name__ == "__main__":
    try:
        print(SCENARIOS[sys.argv[1]](sys.argv[2], int(sys.argv[3])))
    except errors.HeadwayError as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from error
