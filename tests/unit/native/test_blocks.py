"""More than eight processes on one task: each has a counter of its own, in a block that is lent to the task."""

from __future__ import annotations

import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import headway
from headway.engine.board import open_board
from headway.native import core
from headway.native import records as native_records
from tests.blocks import BLOCK_STRIPES, lend_all, lent_to, pool_of
from tests.unit.native.handles import (
    HW_STALE,
    LEFT,
    STRIPES,
    beside,
    claim,
    end,
    file_of,
    fork,
    handle,
    hw_add,
    in_child,
    kernel,
    killed_after,
    poke,
    quiet,
    shares_of,
    slot_offset,
    tasks_of,
)

LOCK = 8  # in hw_control
KEPT = 4  # HW_KEPT_BLOCKS


def workers_of(segment: core.Segment) -> Any:
    return np.frombuffer(segment.copy()[4], np.dtype(native_records.DTYPES["workers"]))


def counted(task: core.Slot, n: int) -> Callable[[], None]:
    return functools.partial(task.update, n)


@pytest.fixture
def gone(segment: core.Segment) -> Callable[[core.Slot], None]:
    """Takes a task's slot away, as an eviction does."""

    def free(task: core.Slot) -> None:
        end(task)
        index, generation = task._where
        for _ in range(2):  # the first try closes the counters
            for _, _, number in segment.owed([(index, generation)]):
                assert segment.begin_archive(index, generation, number)
                record = tasks_of(segment)[task.id]
                segment.mark_archived(index, generation, number, int(record["version"]), int(record["count"]))
            if segment.free_archived([(index, generation)]):
                return
        raise AssertionError("the task keeps its slot")

    return free


# ------------------------------------------------------------------------------------------------------------- shares


@pytest.mark.parametrize("workers", [9, 24, 64])
def test_each_share_of_many_workers_is_told_and_who_is_killed_is_named_with_it(
    workers: int, segment: core.Segment
) -> None:
    task = claim(segment)
    with beside(*(counted(task, n) for n in range(1, workers + 1))) as pids:
        meant = dict(zip(pids, range(1, workers + 1), strict=True))
        assert task.count == tasks_of(segment)["a"]["count"] == sum(meant.values())
        assert {pid: share for pid, _, share, _, _ in shares_of(segment, task)} == meant
        killed = [pids[0], pids[workers // 2], pids[-1]]
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        alive = {pid: alive for pid, _, _, _, alive in shares_of(segment, task)}
        assert {pid for pid, lives in alive.items() if not lives} >= set(killed[:1])
        view = {pid: share for pid, _, share, _, _ in shares_of(segment, task)}
        assert view == meant, "the dead keep their shares"
    assert segment.shared_counters == 0


def test_who_died_keeps_its_counter_in_a_few_blocks_then_the_longest_dead_give_theirs_up(segment: core.Segment) -> None:
    """One after the other: each is killed, and the next one comes."""
    task = claim(segment)
    most = STRIPES + KEPT * BLOCK_STRIPES
    meant = {killed_after(counted(task, n)): n for n in range(1, most + 1)}

    def dead() -> dict[int, int | None]:
        return {pid: share for pid, _, share, _, alive in shares_of(segment, task) if not alive}

    assert dead() == meant, "all who died are named, with their shares"
    before = lent_to(segment, task)
    assert len(before) == KEPT
    for n in range(1, 9):
        meant[killed_after(counted(task, 1000 + n))] = 1000 + n
    assert dead() == meant, "those who gave theirs up have room in the list"
    last = {killed_after(counted(task, 2000 + n)): 2000 + n for n in range(3)}
    told = dead()
    assert told.items() >= last.items(), "who died last is named"
    assert (len(told), int(tasks_of(segment)["a"]["lost_left_out"])) == (most + 8, 3), "the others are counted"
    assert task.count == sum(meant.values()) + sum(last.values())
    assert lent_to(segment, task) == before
    assert segment.shared_counters == 0


def test_one_more_block_is_lent_where_all_workers_live(segment: core.Segment) -> None:
    task = claim(segment)
    with beside(*(counted(task, 1) for _ in range(STRIPES + KEPT * BLOCK_STRIPES + 1))) as pids:
        assert len(lent_to(segment, task)) == KEPT + 1
        assert {pid: share for pid, _, share, _, _ in shares_of(segment, task)} == dict.fromkeys(pids, 1)


def test_the_counter_of_the_dead_that_a_child_of_it_counts_on_is_given_up_last(segment: core.Segment) -> None:
    """The share of who got it would not be known."""
    task = claim(segment)
    kernel()
    lend_all(segment, claim(segment, "holder"))

    def share_and_die() -> None:
        native = task.native()
        hw_add(native, 1)
        in_child(lambda: hw_add(native, 1))

    killed_after(share_and_die)
    for _ in range(STRIPES - 1):
        killed_after(counted(task, 1))
    for n in range(STRIPES - 1):
        killed_after(counted(task, n + 2))
    assert [share for _, _, share, _, _ in shares_of(segment, task)].count(None) == 1, "the one that was shared"
    assert task.count == STRIPES + 1 + sum(range(2, STRIPES + 1))
    assert segment.shared_counters == 0


def test_a_place_that_was_given_back_is_taken_before_a_block_is_linked(segment: core.Segment) -> None:
    task = claim(segment)

    def come_and_go(n: int) -> None:
        task.update(n)
        segment.leave()

    with beside(*(counted(task, 1) for _ in range(STRIPES - 1))):
        in_child(functools.partial(come_and_go, 5))
        with beside(counted(task, 7)) as (pid,):
            assert lent_to(segment, task) == []
            assert pid in {one for one, _, share, _, _ in shares_of(segment, task) if share == 7}
            in_child(functools.partial(come_and_go, 9))
            (block,) = lent_to(segment, task)
            (left,) = [share for _, _, share, _, alive in shares_of(segment, task) if alive == LEFT]
            assert left == 9
            with beside(*(counted(task, 1) for _ in range(BLOCK_STRIPES))):
                assert lent_to(segment, task) == [block], "the place that was left is taken first"


def test_a_second_handle_finds_the_counter_in_a_block(segment: core.Segment) -> None:
    task = claim(segment)
    with beside(*(counted(task, 1) for _ in range(STRIPES + 3))):
        task.update(2)
        again = handle(segment, *task._where, "a")
        again.update(3)
        assert [share for pid, _, share, _, _ in shares_of(segment, task) if pid == os.getpid()] == [5]


def test_a_forked_child_takes_a_counter_of_its_own(segment: core.Segment) -> None:
    task = claim(segment)
    with beside(*(counted(task, 1) for _ in range(STRIPES + 1))):
        task.update(2)
        with beside(counted(task, 4)) as (pid,):
            shares = {pid: share for pid, _, share, _, _ in shares_of(segment, task)}
            assert (shares[os.getpid()], shares[pid]) == (2, 4)


def test_a_child_that_counts_by_its_parents_handle_makes_the_share_unknown_and_carries_the_task(
    segment: core.Segment,
) -> None:
    task = claim(segment)
    kernel()
    with beside(*(counted(task, 1) for _ in range(STRIPES + 1))):
        native = task.native()
        hw_add(native, 2)
        in_child(lambda: hw_add(native, 3))
        shares = {pid: share for pid, _, share, _, _ in shares_of(segment, task)}
        assert shares[os.getpid()] is None
        assert task.count == STRIPES + 1 + 5


# --------------------------------------------------------------------------------------------------------------- state


def test_a_worker_in_a_block_carries_its_task_and_its_death_loses_it(segment: core.Segment) -> None:
    def own() -> None:
        claim(segment)

    with beside(own) as (owner,):
        pass
    assert owner
    place = segment.find("a")
    assert place is not None
    task = handle(segment, *place, "a")
    for n in range(STRIPES):
        killed_after(counted(task, n))
    with beside(counted(task, 1)):
        assert len(lent_to(segment, task)) == 1
        assert task.state == "running"
        assert segment.abandoned() == []
        with pytest.raises(headway.errors.TaskExists):
            claim(segment)
    in_child(segment.register)
    killed_after(counted(task, 1))
    assert [where[:2] for where in segment.abandoned()] in ([], [task._where])  # the one beside left in good order
    assert task.state == "lost"


def test_the_standing_of_a_board_tells_that_the_last_worker_in_a_block_died(segment: core.Segment) -> None:
    in_child(functools.partial(claim, segment))
    place = segment.find("a")
    assert place is not None
    task = handle(segment, *place, "a")
    for n in range(STRIPES):
        killed_after(counted(task, n))
    with beside(counted(task, 1)):
        before = segment.standing()
    assert segment.standing() != before


def test_a_resumed_task_begins_at_the_count_of_all_blocks(segment: core.Segment) -> None:
    task = claim(segment)
    with beside(*(counted(task, n) for n in range(1, 31))):
        end(task, "failed")
        task._transition("running", ("failed",), own=True, resume=True)
    assert tasks_of(segment)["a"]["base"] == sum(range(1, 31))


# ----------------------------------------------------------------------------------------------------------- lend, free


def test_blocks_of_a_task_that_is_gone_are_lent_again_and_start_from_zero(
    segment: core.Segment, gone: Callable[[core.Slot], None]
) -> None:
    blocks = None
    for turn in range(5):
        task = claim(segment, f"t{turn}")
        with beside(*(counted(task, n) for n in range(1, 21))):
            assert task.count == sum(range(1, 21))
            assert {share for _, _, share, _, _ in shares_of(segment, task)} == set(range(1, 21))
            blocks = lent_to(segment, task)
            assert len(blocks) == 1
        gone(task)
        assert lent_to(segment, task) == []
    assert segment.shared_counters == 0


def test_a_pool_that_is_used_up_means_a_shared_counter_and_is_said(segment: core.Segment) -> None:
    steady = claim(segment, "steady")
    lend_all(segment, steady)
    task = claim(segment)
    with beside(*(counted(task, n) for n in range(1, STRIPES + 2))) as pids:
        shares = {pid: share for pid, _, share, _, _ in shares_of(segment, task)}
        assert task.count == sum(range(1, STRIPES + 2))
        assert set(shares) == set(pids[:STRIPES])
        unknown = [pid for pid, share in shares.items() if share is None]
        assert len(unknown) == 1, "the one whose counter is shared"
        assert {shares[pid] for pid in shares if pid not in unknown} == {
            n for n, pid in enumerate(pids[:STRIPES], 1) if pid not in unknown
        }
        assert segment.shared_counters == 1


def test_where_the_pool_is_used_up_a_dead_workers_counter_is_taken_over(segment: core.Segment) -> None:
    lend_all(segment, claim(segment, "steady"))
    task = claim(segment)
    meant = {killed_after(counted(task, n)): n for n in range(1, STRIPES + 4)}
    shares = {pid: share for pid, _, share, _, alive in shares_of(segment, task) if not alive}
    assert shares == meant
    assert segment.shared_counters == 0


def test_the_view_of_a_board_says_how_many_share_a_counter(board_name: str) -> None:
    board = open_board(board_name, capacity=4, workers=4, result_bytes=64, record=False)
    try:
        assert board.snapshot().meta["shared_counters"] == 0
        task = board.task("a")
        lend_all(board._segment, task)
        with beside(*(task.update for _ in range(STRIPES + 2))):
            assert board.snapshot().meta["shared_counters"] == 2
    finally:
        board.remove(files=True)


def test_who_comes_to_a_closed_task_is_refused_and_borrows_no_block_until_it_is_resumed(segment: core.Segment) -> None:
    """Its last count is final, and may be in the history already."""
    task = claim(segment)
    with beside(*(counted(task, 1) for _ in range(STRIPES))):
        end(task)
        index, generation = task._where
        ((_, _, number),) = segment.owed([(index, generation)])
        assert segment.begin_archive(index, generation, number)
        segment.mark_archived(index, generation, number, int(tasks_of(segment)["a"]["version"]), STRIPES + 1)
        assert not segment.free_archived([(index, generation)]), "another count: it was closed, and stays"
        with quiet():
            native = task.native()
            task.update(1)
        assert lent_to(segment, task) == []
        assert hw_add(native, 1) == HW_STALE
        assert task.count == STRIPES
        task._transition("running", ("success",), own=True, resume=True)
        assert hw_add(native, 1) == HW_STALE, "a handle of C that found no counter in the slot stays refused"
        task.update(1)
        assert hw_add(task.native(), 1) == 0
        assert task.count == STRIPES + 2
        assert len(lent_to(segment, task)) == 1
        assert [share for pid, _, share, _, _ in shares_of(segment, task) if pid == os.getpid()] == [2]


def test_the_blocks_of_a_task_that_has_ended_are_taken_back_and_its_count_stays(segment: core.Segment) -> None:
    task = claim(segment)
    shares = list(range(1, STRIPES + 4))
    with beside(*(counted(task, n) for n in shares)):
        task.update(100)
        end(task)
        assert len(lent_to(segment, task)) == 1
        lend_all(segment, claim(segment, "holder"))
        other = claim(segment, "other")
        with beside(*(counted(other, 1) for _ in range(STRIPES + 1))):
            assert len(lent_to(segment, other)) == 1
        assert segment.shared_counters == 0
        assert lent_to(segment, task) == []
        assert task.count == tasks_of(segment)["a"]["count"] == sum(shares) + 100
        told = [(share, alive) for _, _, share, _, alive in shares_of(segment, task)]
        assert sorted(share or 0 for share, _ in told) == [*shares, 100], "eight of them have room in the list"
        assert {alive for _, alive in told} <= {1, LEFT}, "nobody has died"
        with quiet():
            task.update(1)
        assert task.count == sum(shares) + 100, "it is closed"
        task._transition("running", ("success",), own=True, resume=True)
        task.update(7)
        assert task.count == tasks_of(segment)["a"]["count"] == sum(shares) + 107


def test_a_handle_of_c_that_is_taken_of_a_closed_task_counts_when_it_is_resumed(segment: core.Segment) -> None:
    task = claim(segment)
    kernel()
    in_child(counted(task, 3))
    end(task)
    index, generation = task._where
    ((_, _, number),) = segment.owed([(index, generation)])
    assert segment.begin_archive(index, generation, number)
    segment.mark_archived(index, generation, number, int(tasks_of(segment)["a"]["version"]), 4)
    assert not segment.free_archived([(index, generation)]), "another count: it was closed, and stays"
    with quiet():
        native = task.native()
    assert hw_add(native, 1) == HW_STALE
    task._transition("running", ("success",), own=True, resume=True)
    assert hw_add(native, 1) == 0
    assert task.count == 4


def test_a_counter_that_was_taken_back_is_not_counted_on_when_its_tag_comes_again(segment: core.Segment) -> None:
    task = claim(segment)
    with beside(*(counted(task, 1) for _ in range(STRIPES))):
        task.update(100)
        end(task)
        assert len(lent_to(segment, task)) == 1, (shares_of(segment, task), segment.shared_counters)
        (block,) = lent_to(segment, task)
        at = pool_of(segment)[block]
        with file_of(segment) as memory:
            before = memory[at : at + 2048]
        lend_all(segment, claim(segment, "holder"))
        other = claim(segment, "other")
        with beside(*(counted(other, 1) for _ in range(STRIPES + 1))):
            assert lent_to(segment, other) == [block]
            with file_of(segment) as memory:
                for stripe in range(at + 128, at + 2048, 128):  # as if it had been lent 65536 times
                    memory[stripe : stripe + 8] = before[stripe - at : stripe - at + 8]
                lent = memory[at : at + 2048]
            time.sleep(1.1)  # a handle looks once a second
            with quiet():
                task.update(7)
            with file_of(segment) as memory:
                assert memory[at : at + 2048] == lent, "it counts for another task"


# ------------------------------------------------------------------------------------------- a stopped holder of a lock


def test_a_first_count_on_a_locked_task_lets_other_threads_go_on_and_further_handles_share_at_once(
    segment: core.Segment,
) -> None:
    """The slot lock is that of a process that is there and does not let go, as one that is stopped."""
    task = claim(segment)
    other = handle(segment, *task._where, "a")
    rounds, over = [0], threading.Event()

    def go_on() -> None:
        while not over.is_set():
            rounds[0] += 1
            time.sleep(0)

    with beside(segment.register) as (pid,):
        (holder,) = (int(row["incarnation"]) for row in workers_of(segment) if row["pid"] == pid)
        thread = threading.Thread(target=go_on)
        thread.start()
        poke(segment, slot_offset(segment, task._where[0]) + LOCK, holder)
        try:
            before = rounds[0]
            task.update(2)
            meanwhile = rounds[0] - before
            assert meanwhile > 100, "it did not keep the GIL"
            poke(segment, slot_offset(segment, task._where[0]) + LOCK, 0)
            other.update(3)
        finally:
            poke(segment, slot_offset(segment, task._where[0]) + LOCK, 0)
            over.set()
            thread.join()
    assert task.count == 5
    assert segment.shared_counters == 2, "for a moment the second one does not try, though it could have one now"


# ------------------------------------------------------------------------------------------------------- stale handles


@contextmanager
def crew(segment: core.Segment, size: int) -> Iterator[Callable[[core.Slot], int]]:
    """Workers that keep the handles of all tasks that they ever counted on.

    What is called has each of them count 1 on a task, and 1 by each older handle before it and after: how many of these
    were acknowledged.
    """
    kernel()
    people: list[tuple[int, int, int]] = []

    def work(orders: int, answers: int) -> None:
        old: list[core.NativeTask] = []
        while order := os.read(orders, 64):
            slot, generation, id = order.decode().split(":")
            acknowledged = sum(hw_add(native, 1) == 0 for native in old)
            native = handle(segment, int(slot), int(generation), id.strip()).native()
            assert hw_add(native, 1) == 0
            acknowledged += sum(hw_add(native, 1) == 0 for native in old)
            old.append(native)
            os.write(answers, b"%8d" % acknowledged)

    def send(task: core.Slot) -> int:
        slot, generation = task._where
        for _, order, _ in people:
            os.write(order, f"{slot}:{generation}:{task.id}".encode().ljust(64))
        return sum(int(os.read(answer, 8)) for _, _, answer in people)

    try:
        for _ in range(size):
            orders, order = os.pipe()
            answer, answers = os.pipe()

            def begin(orders: int = orders, answers: int = answers, order: int = order) -> None:
                for other in (order, *(other for _, other, _ in people)):
                    os.close(other)
                work(orders, answers)

            people.append((fork(begin), order, answer))
            os.close(orders)
            os.close(answers)
        yield send
    finally:
        for _, order, answer in people:
            os.close(order)
            os.close(answer)
        for pid, _, _ in people:
            assert os.waitpid(pid, 0)[1] == 0


def test_handles_of_tasks_that_are_gone_count_nothing_however_often_their_blocks_are_lent(
    segment: core.Segment, gone: Callable[[core.Slot], None]
) -> None:
    workers = 64
    lent: list[int] = []
    with crew(segment, workers) as send:
        for turn in range(12):
            first, second = claim(segment, f"{turn}-first"), claim(segment, f"{turn}-second")
            assert send(first) == 0, "a handle of a task that is gone counted"
            assert send(second) == 2 * workers, "those of the first task count, all older ones do not"
            assert (first.count, second.count) == (3 * workers, workers)
            for task, each in ((first, 3), (second, 1)):
                assert [share for _, _, share, _, _ in shares_of(segment, task)] == [each] * workers
                lent += lent_to(segment, task)
                gone(task)
    assert len(lent) > len(pool_of(segment)), "they were lent more than once"
    assert segment.shared_counters == 0
