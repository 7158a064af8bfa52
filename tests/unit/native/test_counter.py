"""What is counted, and by whom; handles whose task is gone."""

from __future__ import annotations

import functools
import math
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from headway import errors
from headway.native import core
from headway.native import records as native_records
from tests.blocks import lend_all
from tests.unit.native.handles import (
    GENERATION,
    HW_STALE,
    LEFT,
    LIMIT,
    LOST,
    REST_S,
    STRIPES,
    beside,
    claim,
    end,
    generation_of,
    handle,
    hw_add,
    in_child,
    killed_after,
    poke,
    quiet,
    shares_of,
    slot_offset,
    tasks_of,
)

if TYPE_CHECKING:
    from tests.conftest import RunPython


class Index:
    def __index__(self) -> int:
        return 5


@pytest.mark.parametrize(
    ("items", "sum_"),
    [
        ([], 0),
        ([1, 1, 1], 3),
        ([5, -7], -2),
        ([0], 0),
        ([True, Index(), np.int64(4), np.uint8(2)], 12),
        ([1.0, np.float64(2), np.float64(-5), 2**30, -(2**31)], 2**30 - 2**31 - 2),
    ],
)
def test_the_count_is_the_sum_of_the_updates(items: list[Any], sum_: int, segment: core.Segment) -> None:
    task = claim(segment)
    for n in items:
        task.update(n)
    assert task.count == sum_ == tasks_of(segment)["a"]["count"]


@pytest.mark.parametrize("n", [1.5, "1", None, np.float64(2.5), math.nan, math.inf])
def test_what_is_no_integer_is_not_counted(n: Any, segment: core.Segment) -> None:
    task = claim(segment)
    with pytest.raises(TypeError, match="is not a whole number: items are counted whole, choose a smaller unit"):
        task.update(n)
    assert task.count == 0


@pytest.mark.parametrize(
    ("before", "n"),
    [
        (0, LIMIT),
        (0, -LIMIT),
        (0, 2**63 - 1),
        (0, -(2**63)),
        (0, 2**64),
        (LIMIT - 1, 1),
        (1, LIMIT - 1),
        (-LIMIT + 1, -2),
        (-5, -LIMIT + 1),
    ],
)
def test_a_count_that_would_leave_its_range_is_refused_whole(before: int, n: int, segment: core.Segment) -> None:
    task = claim(segment)
    task.update(before)
    with pytest.raises(OverflowError):
        task.update(n)
    assert task.count == before
    task.update(-1 if before > 0 else 1)
    assert task.count == before + (-1 if before > 0 else 1)


def test_the_last_count_in_range_is_taken(segment: core.Segment) -> None:
    task = claim(segment)
    task.update(LIMIT - 1)
    task.update(-LIMIT + 1)
    task.update(-LIMIT + 1)
    task.update(-1)
    assert task.count == -LIMIT


def test_handles_of_one_process_share_its_stripe(segment: core.Segment) -> None:
    task = claim(segment)
    again = handle(segment, *task._where, "a")
    task.update(2)
    again.update(3)
    assert task.count == again.count == 5
    ((pid, incarnation, share, beat, alive),) = shares_of(segment, task)
    assert (pid, incarnation, share, alive) == (os.getpid(), segment.incarnation, 5, True)
    assert beat == pytest.approx(time.time(), abs=5)


def test_the_first_update_makes_a_pending_task_run(segment: core.Segment) -> None:
    task = claim(segment)
    assert task.state == "pending"
    task.update(0)
    assert task.state == "running"
    assert tasks_of(segment)["a"]["started_ns"] > 0


def test_an_update_of_an_ended_task_counts_and_leaves_its_state(segment: core.Segment) -> None:
    task = claim(segment)
    end(task)
    task.update(4)
    assert (task.count, task.state) == (4, "success")


def test_who_leaves_gives_its_stripe_back_and_the_next_ones_share_begins_there(segment: core.Segment) -> None:
    task = claim(segment)
    came = {}
    for n in range(3 * STRIPES):

        def come_and_go(n: int = n) -> None:
            task.update(n)
            mine = [share for pid, _, share, _, _ in shares_of(segment, task) if pid == os.getpid()]
            assert mine == [n]
            segment.leave()

        came[in_child(come_and_go)] = n
    assert task.count == sum(range(3 * STRIPES))
    left = {pid: (share, alive) for pid, _, share, _, alive in shares_of(segment, task)}
    assert left == {pid: (came[pid], LEFT) for pid in left}
    assert len(left) == STRIPES, "each counter tells who had it last"


def test_dead_workers_are_remembered_with_their_shares_as_far_as_there_is_room(segment: core.Segment) -> None:
    """Where no block of counters is to be had."""
    lend_all(segment, claim(segment, "steady"))
    task = claim(segment)
    pids = [killed_after(functools.partial(task.update, n)) for n in range(1, STRIPES + LOST + 3)]
    shares = {pid: share for pid, _, share, _, alive in shares_of(segment, task) if not alive}
    remembered = {pid: n for n, pid in enumerate(pids, 1) if pid in shares}
    assert shares == remembered
    assert len(shares) == STRIPES + LOST
    raw = segment.copy_task(*task._where)
    assert raw is not None
    assert native_records.task_fields(raw[1], 0)["lost_left_out"] == 2
    assert task.count == sum(range(1, STRIPES + LOST + 3))


def test_threads_of_one_process_count_exactly(segment: core.Segment) -> None:
    task = claim(segment)

    def work() -> None:
        own = handle(segment, *task._where, "a")
        for _ in range(5_000):
            own.update()
            task.update(2)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert task.count == 4 * 5_000 * 3


def test_more_processes_than_rows_count_all_the_same(small: core.Segment) -> None:
    task = claim(small)  # takes the only row
    with beside(task.update, task.update):
        assert task.count == 2
        workers = np.frombuffer(small.copy()[4], np.dtype(native_records.DTYPES["workers"]))
        assert list(workers["pid"]) == [os.getpid()]


@pytest.fixture
def stale(segment: core.Segment, monkeypatch: pytest.MonkeyPatch) -> core.Slot:
    """A handle that counted, of a task whose slot holds another task by now."""
    task = claim(segment)
    task.update()
    end(task)
    claim(segment)  # frees the old slot
    time.sleep(REST_S + 0.02)
    number = 0
    while segment.find("other") is None or segment.find("other") != (task._where[0], task._where[1] + 2):
        found = segment.find("other")
        if found is not None:
            end(handle(segment, *found, "other"))
        claim(segment, "other")
        number += 1
        assert number < 40, "the slot does not come round again"
    return task


def test_a_stale_handle_counts_nothing(stale: core.Slot, segment: core.Segment) -> None:
    with quiet():
        stale.update(5)
        handle(segment, *stale._where, "a").update(5)
        assert hw_add(stale.native(), 5) == HW_STALE
    assert tasks_of(segment)["other"]["count"] == 0


def test_a_stale_handle_says_so_once_a_process(run_python: RunPython, board_name: str) -> None:
    script = f"""
import time
from headway.engine.board import open_board
board = open_board({board_name!r}, capacity=1)
old = board.task("a")
old.update()
old.succeed()
board.task("b").update()
old.update()
old.update()
print(board.attach("b").count)
board.remove(files=True)
"""
    done = run_python(script)
    assert done.stdout == "1\n"
    assert (
        done.stderr.count("StaleTaskWarning: updates of task 'a' are not counted: it ended and its slot was given") == 1
    )


def test_a_stale_handle_reads_and_writes_nothing(stale: core.Slot, segment: core.Segment) -> None:
    for operation in (
        lambda: stale.count,
        lambda: stale.stage,
        lambda: stale.state,
        lambda: stale.parent,
        lambda: stale._run,
        lambda: stale._set(message="x"),
        lambda: setattr(stale, "stage", "x"),
        lambda: setattr(stale, "total", 3),
        lambda: end(stale),
        stale._own,
        stale._read_result,
        lambda: stale._write_result(b"1"),
    ):
        with pytest.raises(errors.UnknownTask, match="task 'a' is no longer on board"):
            operation()
    assert segment.copy_task(*stale._where) is None
    record = tasks_of(segment)["other"]
    assert (record["message"], record["stage"], record["total"], record["state"]) == (b"", b"", -1, 0)


def test_a_tag_that_recurs_does_not_make_a_stale_handle_count(segment: core.Segment) -> None:
    """After 65536 claims of a slot its counters have the same tag. Once a second a handle looks at the generation."""
    task = claim(segment)
    task.update()
    poke(segment, slot_offset(segment, task._where[0]) + GENERATION, generation_of(task) + 2 * 65536)
    now = handle(segment, task._where[0], generation_of(task) + 2 * 65536, "a")
    assert now.count == 1
    time.sleep(1.01)
    with quiet():
        task.update()
    assert now.count == 1
