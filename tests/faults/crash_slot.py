"""A process killed or stopped at each step of writing to one slot, of joining a board and of leaving it.

    python crash_slot.py SCENARIO BOARD          with PYTHONPATH leading to a build with HOOKS=1, and to this tree

See test_crashes.py.
"""

from __future__ import annotations

import os
from functools import partial

from headway.engine.board import Board
from headway.engine.task import Task
from tests.blocks import BLOCK_STRIPES, lend_all, lent_to
from tests.faults.instructions import Shared
from tests.faults.look import Tried, goes_on, look, refused, run
from tests.faults.steps import fresh, killed_at, last_of_each, resumed, stopped_at, trace

_STRIPES = 8  # of one task: HW_STRIPES
STORES = {"slot lock", "flip", "word", "slot unlock"}


# --- a status


def write(board: Board, letter: str) -> None:
    """One transition that changes all that a task shows."""
    board.attach("victim").set(
        stage=letter, message=letter * 100, total=ord(letter), metrics={"m": ord(letter), letter * 20: 1}
    )


def shows(board: Board, letters: str) -> str:
    """Which of these a reader sees, who must not see a mixture. Another handle, by another path, sees the same."""
    view = board.get("victim")
    assert view is not None
    letter = view.stage
    assert letter in letters, view
    names = {letter * 20: 1.0, "m": float(ord(letter))}
    assert (view.message, view.total) == (letter * 100, ord(letter)), view
    assert view.metrics.items() >= names.items(), view.metrics
    assert view.stages[-1].name == letter, view.stages
    assert (view.state, view.error) == ("running", "")
    task = board.attach("victim")
    assert (task.stage, task.message, task.total, task.metrics) == (letter, view.message, view.total, view.metrics)
    return letter


def status(board: Board) -> Tried:
    """Kill a writer between any two of its stores."""
    owner = board.task("victim")
    for letter in "ABCD":
        write(board, letter)  # each has its metric from here on, so that every write has as many steps
    steps = trace(lambda: write(board, "B"))
    seen = set()
    for step in range(1, len(steps) + 1):
        fresh(lambda: write(board, "A"))
        assert killed_at(step, lambda: write(board, "B"))
        fresh(lambda: shows(board, "AB"))
        seen.add(shows(board, "AB"))
        for letter in "CD":  # by the one copy of the record, and by the other
            fresh(partial(write, board, letter))
            fresh(partial(shows, board, letter))
        goes_on(board)
    assert seen == {"A", "B"}
    owner.succeed()
    return len(steps), steps


def mend(board: Board) -> Tried:
    """Kill the writer at each kind of step, then whoever takes over from it at each of its own steps."""
    owner = board.task("victim")
    for letter in "ABCD":
        write(board, letter)
    steps = trace(lambda: write(board, "B"))
    flips = [step for step, name in enumerate(steps, 1) if name == "flip"]
    firsts = sorted({*last_of_each(steps, STORES).values(), *flips, *(flip + 1 for flip in flips)})
    kills = 0
    for first in firsts:
        fresh(lambda: write(board, "A"))
        assert killed_at(first, lambda: write(board, "B"))
        second = 0
        while True:  # what the second one has to mend depends on how far the first one came
            fresh(lambda: write(board, "A"))
            assert killed_at(first, lambda: write(board, "B"))
            second += 7  # it stores two whole records: each seventh step is enough, 7 divides neither
            if not killed_at(second, lambda: write(board, "C")):
                break
            kills += 1
            fresh(lambda: shows(board, "ABC"))
            fresh(lambda: write(board, "D"))
            fresh(lambda: shows(board, "D"))
        assert second > len(steps), "whoever took over mended nothing"
    owner.succeed()
    goes_on(board)
    return kills, steps


def stopped_writer(board: Board) -> Tried:
    """A writer that is only stopped keeps its slot, and is named; counting and reading go on."""
    owner = board.task("victim")
    write(board, "A")
    write(board, "B")
    stops = last_of_each(trace(lambda: write(board, "B")), STORES - {"slot lock"})  # there its pid does not stand yet
    for name, number in stops.items():
        write(board, "A")
        pid = stopped_at(number, lambda: write(board, "B"))
        fresh(partial(waits, board, pid, name))
        resumed(pid)
        fresh(lambda: shows(board, "B"))
    assert owner.count == len(stops)
    owner.succeed()
    return len(stops), list(stops)


def waits(board: Board, pid: int, where: str) -> None:
    """The slot is held by a process that lives: who wants to write is told so; who reads or counts is not stopped."""
    shows(board, "AB")
    task = board.attach("victim")
    task.update()
    refused(lambda: task.set(message="never"), pid, where)


# --- a result


def result(board: Board) -> Tried:
    """Kill a writer of a result between any two of its stores."""
    owner = board.task("victim")

    def put(letter: str) -> None:
        board.attach("victim").result = {letter: letter * 40}

    def is_one_of(letters: str) -> None:
        view = board.get("victim")
        assert view is not None
        assert view.result in [{letter: letter * 40} for letter in letters], view.result
        assert board.attach("victim").result == view.result

    put("A")
    steps = trace(lambda: put("B"))
    for step in range(1, len(steps) + 1):
        fresh(lambda: put("A"))
        assert killed_at(step, lambda: put("B"))
        fresh(lambda: is_one_of("AB"))
        fresh(lambda: put("C"))
        fresh(lambda: is_one_of("C"))
        goes_on(board)
    owner.succeed()
    return len(steps), steps


def merge(board: Board) -> Tried:
    """Kill a process that merges keys into a result: they are there, all of them or none."""
    owner = board.task("victim")

    def both() -> None:
        board.attach("victim").merge_result({"b": 1, "c": 2})

    owner.result = {"a": 0}
    steps = trace(both)
    seen = set()
    for step in range(1, len(steps) + 1):
        owner.result = {"a": 0}
        assert killed_at(step, both)
        fresh(lambda: board.attach("victim").merge_result({"d": 3}))
        keys = "".join(sorted(owner.result))
        assert keys in ("ad", "abcd"), owner.result
        seen.add(keys)
    assert seen == {"ad", "abcd"}
    owner.succeed()
    goes_on(board)
    return len(steps), steps


# --- a worker


def join(board: Board) -> Tried:
    """Kill a process while it becomes a worker and takes a stripe: its row and its stripe go to others.

    There are fewer rows and stripes than kills, and no blocks, so the dead ones' have to be taken over.
    """
    lend_all(board._segment, board.attach("steady"))
    owner = board.task("victim")
    tried: list[str] = []
    for _ in range(2):  # the second time every stripe is a dead one's
        steps = trace(lambda: board.attach("victim").update())
        tried += steps
        for step in range(1, len(steps) + 1):
            before = owner.count
            killed_at(step, lambda: board.attach("victim").update())
            assert owner.count - before in (0, 1)
            before = owner.count
            fresh(lambda: is_told(board))
            assert owner.count - before == 1
        for _ in range(_STRIPES):  # a fresh process ends without leaving
            fresh(lambda: board.attach("victim").update())
    assert "lost" in tried
    view = board.get("victim")
    assert view is not None
    shares = [share.count for share in (*view.workers, *view.workers_lost)]
    assert sum(share or 0 for share in shares) <= view.count
    owner.succeed()
    goes_on(board)
    return len(tried), tried


def link(board: Board) -> Tried:
    """Kill a process while it links a block to a task: the next one has a counter there, and no block is lost."""

    def update() -> None:
        board.attach("victim").update()

    def crowd() -> Task:
        task = board.task("victim")
        for _ in range(_STRIPES):  # each ends without leaving
            fresh(update)
        return task

    shared = Shared(board)
    owner = crowd()
    steps = trace(update)
    for step in range(1, len(steps) + 1):
        owner.succeed()
        owner = crowd()
        assert killed_at(step, update)
        assert owner.count - _STRIPES in (0, 1)
        before = owner.count
        fresh(lambda: is_told(board))
        assert owner.count - before == 1
        assert len(lent_to(board._segment, owner)) == 1
        assert shared.lost_blocks() == []
        for _ in range(BLOCK_STRIPES):
            fresh(update)
        assert owner.count - before == 1 + BLOCK_STRIPES
        view = board.get("victim")
        assert view is not None
        told = sum(share.count or 0 for share in (*view.workers, *view.workers_lost))
        assert view.count - told in (0, 1), view  # the place of who left may be another one's by now
    shared.close()
    owner.succeed()
    goes_on(board)
    return len(steps), steps


def is_told(board: Board) -> None:
    """A newcomer is listed, gets a stripe of its own, and its share is told."""
    task = board.attach("victim")
    task.update()
    view = board.get("victim")
    assert view is not None
    (mine,) = (share for share in view.workers if share.pid == os.getpid())
    assert mine.count == 1
    listed = [worker for worker in board.snapshot().workers if worker.alive and worker.pid == os.getpid()]
    assert len(listed) == 1, listed
    look(board)
    board.close()


def leave(board: Board) -> Tried:
    """Kill a process while it leaves in good order, with a task of its own open."""

    def go() -> None:
        board.task("going").update()
        board.close()

    fresh(go)
    steps = trace(go)
    fresh(go)
    begin = steps.index("stripe") + 1  # what is before is a claim
    for step in range(begin, len(steps) + 1):
        assert killed_at(step, go)
        view = board.get("going")
        assert view is not None
        assert view.state in ("lost", "cancelled"), view
        fresh(lambda: goes_on(board))
    fresh(go)
    view = board.get("going")
    assert view is not None
    assert (view.state, view.count) == ("cancelled", 1)
    return len(steps) - begin + 1, steps[begin - 1 :]


if __name__ == "__main__":
    scenarios = (status, mend, stopped_writer, result, merge, join, link, leave)
    run({scenario.__name__: (scenario, 16) for scenario in scenarios})
