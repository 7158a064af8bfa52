"""How long counts take: the histogram of a task, and the slowest with its item."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator

import pytest

from headway.native import core
from headway.native import records as native_records
from tests.unit.native.handles import (
    STRIPES,
    beside,
    claim,
    durations_of,
    end,
    file_of,
    fork,
    handle,
    killed_after,
    quiet,
    slot_offset,
)

FIRST, LINE = 128, 128  # the stripes of a slot
WORKER = 16
SECOND = 10**9


def take_back(segment: core.Segment, task: core.Slot, ns: int) -> None:
    """Have the last count of this process be so much longer ago."""
    with file_of(segment) as memory:
        first = slot_offset(segment, task._where[0]) + FIRST
        for at in range(first, first + STRIPES * LINE, LINE):
            (beat,) = struct.unpack_from("<Q", memory, at + 8)
            if struct.unpack_from("<Q", memory, at + WORKER)[0]:
                struct.pack_into("<Q", memory, at + 8, beat - ns)


def kind(ns: int) -> int:
    return min(21, max(0, ns.bit_length() - 25))


@pytest.mark.parametrize("seconds", [0.1, 1.5, 10, 60])
def test_the_time_between_two_counts_is_noted_once_by_its_power_of_two(seconds: float, segment: core.Segment) -> None:
    task = claim(segment)
    ns = int(seconds * SECOND)
    for _ in range(3):
        task.update()
        take_back(segment, task, ns)
        task.update(1000)
    counts, slowest, item = durations_of(segment, task)
    assert sum(counts) == 3 or (seconds < 1 and sum(counts) > 3), "a machine that is busy adds short ones"
    kinds = [n for n, count in enumerate(counts) if count]
    assert kinds[-1] == kind(int(slowest * SECOND) + 1024)
    assert kinds[0] >= kind(ns - SECOND // 50) or seconds < 1
    assert seconds - 0.02 <= slowest
    assert item == ""


def test_a_quick_loop_has_none(segment: core.Segment) -> None:
    task = claim(segment)
    take_back(segment, task, 0)
    for _ in core.Tracker(task, range(1000)):
        pass
    counts, _, _ = durations_of(segment, task)
    assert sum(counts) <= 3, "but for what the machine was busy with"


def test_what_was_counted_by_slow_updates_is_not_quick(segment: core.Segment) -> None:
    task = claim(segment)
    for _ in range(10):
        task.update(0)
        take_back(segment, task, 10 * SECOND)
        task.update(1000)
    raw = segment.copy_task(*task._where)
    assert raw is not None
    row = native_records.duration_row(raw[7], 0)
    assert row is not None
    assert (sum(row[0]), row[1]) == (10, 10_000)


def test_who_read_the_clock_before_another_thread_counted_notes_nothing(segment: core.Segment) -> None:
    task = claim(segment)
    task.update()
    take_back(segment, task, -SECOND // 2)  # as if another thread had counted a moment later
    task.update()
    take_back(segment, task, 0)
    task.update()
    assert sum(durations_of(segment, task)[0]) == 0


def test_the_slowest_is_never_lowered_by_who_names_it(segment: core.Segment) -> None:
    task = claim(segment)
    longest = 0.0
    for seconds in (3, 50, 7, 20, 51, 1):
        for number in core.Tracker(task, [0, seconds]):
            if number:
                take_back(segment, task, seconds * SECOND)
        longest = max(longest, float(seconds))
        _, slowest, item = durations_of(segment, task)
        assert slowest >= longest - 0.02
        assert item == str(int(longest))


@pytest.mark.parametrize("n", [0, -1])
def test_what_counts_nothing_takes_no_time(n: int, segment: core.Segment) -> None:
    task = claim(segment)
    task.update(5)
    take_back(segment, task, 5 * SECOND)
    task.update(n)
    assert durations_of(segment, task) == ((0,) * 22, 0.0, "")


def test_the_slowest_is_told_with_its_item(segment: core.Segment) -> None:
    task = claim(segment)
    for item, seconds in (("quick", 1), ("BTC", 9), ("ETH", 3)):
        for _ in core.Tracker(task, [item, "after"]):
            take_back(segment, task, seconds * SECOND)
            break  # not counted
        with task.item(item):
            time.sleep(0.001)
    for numbers, seconds in ((range(2), 20), (range(7, 9), 30)):
        for _ in core.Tracker(task, numbers):
            if _ == numbers[-1]:
                take_back(segment, task, seconds * SECOND)
    counts, slowest, item = durations_of(segment, task)
    assert 30 <= slowest < 60
    assert item == "8"
    assert sum(counts) >= 2


def test_waiting_for_the_next_item_is_no_part_of_it(segment: core.Segment) -> None:
    task = claim(segment)
    task.update()

    def source() -> Iterator[int]:
        for number in range(3):
            take_back(segment, task, 100 * SECOND)  # so long nothing came
            yield number

    for _ in core.Tracker(task, source()):
        pass
    assert durations_of(segment, task)[1] < 50


def test_all_workers_of_a_task_add_to_one_histogram(segment: core.Segment) -> None:
    task = claim(segment)

    def work() -> None:
        for _ in range(10):
            task.update()
            take_back(segment, task, 5 * SECOND)
            task.update()

    with beside(work):
        pass
    killed_after(work)
    work()
    counts, _, _ = durations_of(segment, task)
    assert sum(counts[kind(4 * SECOND) :]) >= 30


def test_a_handle_of_a_task_that_is_gone_adds_nothing_to_the_next_one(segment: core.Segment) -> None:
    old = claim(segment)
    old.update()
    end(old)
    assert segment.free(*old._where, 2**63)
    time.sleep(0.15)  # a freed slot rests
    new = next(new for n in range(16) if (new := claim(segment, f"new {n}"))._where[0] == old._where[0])
    new.update()
    take_back(segment, new, 1000 * SECOND)
    with quiet():
        old.update()
    assert durations_of(segment, new) == ((0,) * 22, 0.0, "")
    new.update()
    assert 1000 <= durations_of(segment, new)[1] < 2000


def test_the_next_task_of_a_slot_begins_with_none(segment: core.Segment) -> None:
    for n in range(40):
        task = claim(segment, f"task {n}")
        assert durations_of(segment, task) == ((0,) * 22, 0.0, "")
        for item in core.Tracker(task, [0, n + 1]):
            if item:
                take_back(segment, task, 50 * SECOND)
        assert durations_of(segment, task)[2] == str(n + 1)
        end(task)
        segment.free(*task._where, 2**63)
        if n % 12 == 11:
            time.sleep(0.12)


def resume(task: core.Slot) -> None:
    assert task._transition("running", ("failed", "lost"), own=True, resume=True) is not None


def test_the_time_at_rest_of_a_task_that_is_resumed_is_no_duration(segment: core.Segment) -> None:
    """Of the handle that goes on, of one that is made for it, and of an item that was still in hand."""
    task = claim(segment)
    for other in (task, handle(segment, *task._where, "a")):
        task.update()
        with task.item("BTC"):
            end(task, "failed")
            take_back(segment, task, 1000 * SECOND)
            resume(task)
            other.update()
    other.update()
    counts, slowest, item = durations_of(segment, task)
    assert slowest < 100
    assert sum(counts[kind(100 * SECOND) :]) == 0
    assert item in ("", "BTC")


def test_nor_is_it_one_of_a_worker_that_waited_for_it(segment: core.Segment) -> None:
    task = claim(segment)
    came, went = os.pipe(), os.pipe()

    def work() -> None:
        task.update()
        os.write(came[1], b".")
        os.read(went[0], 1)
        task.update()

    pid = fork(work)
    assert os.read(came[0], 1)
    end(task, "failed")
    take_back(segment, task, 1000 * SECOND)
    resume(task)
    os.write(went[1], b".")
    assert os.waitpid(pid, 0)[1] == 0
    for descriptor in (*came, *went):
        os.close(descriptor)
    assert task.count == 2
    assert durations_of(segment, task)[1] < 100


def test_what_a_resumed_task_counts_then_is_timed_beside_what_it_counted_before(segment: core.Segment) -> None:
    task = claim(segment)
    task.update()
    take_back(segment, task, 50 * SECOND)
    task.update()
    end(task, "failed")
    resume(task)
    task.update()
    for _ in range(3):
        time.sleep(0.06)
        task.update()
    counts, slowest, _ = durations_of(segment, task)
    assert sum(counts) >= 4
    assert 50 <= slowest < 100


def test_a_task_that_was_resumed_and_timed_nothing_has_no_durations(segment: core.Segment) -> None:
    task = claim(segment)
    end(task, "failed")
    resume(task)
    raw = segment.copy_task(*task._where)
    assert raw is not None
    assert raw[7] == b""
