"""The counters of a task are closed before it loses its slot: what was counted is in the history, what comes later is
refused.
"""

from __future__ import annotations

import ctypes
import signal
from functools import partial
from operator import truediv

import pytest

from headway.native import core
from tests.unit.native.handles import HW_STALE, claim, end, hw_add, quiet, tasks_of


def note(segment: core.Segment) -> dict[str, int]:
    """Mark all tasks that have ended as archived; the counts, by id."""
    counts = {}
    for id, record in tasks_of(segment).items():
        place = int(record["slot"]), int(record["generation"])
        number = begun(segment, *place)
        if number is not None and marked(segment, id, number):
            counts[id] = int(tasks_of(segment)[id]["count"])
    return counts


def begun(segment: core.Segment, *place: int) -> int | None:
    """Begin to archive a task as it is now. The number of the copy."""
    for slot, generation, number in segment.owed([(place[0], place[1])]):
        return number if segment.begin_archive(slot, generation, number) else None
    return None


def marked(segment: core.Segment, id: str, number: int) -> bool:
    """Mark a task as archived in its present version and count, by the copy of this number."""
    slot, generation, version, count = (
        int(tasks_of(segment)[id][name]) for name in ("slot", "generation", "version", "count")
    )
    return segment.mark_archived(slot, generation, number, version, count)


@pytest.fixture
def full(small: core.Segment) -> core.Segment:
    """Two slots, and a history that is wanted."""
    small.want_recorder()
    return small


def ended(segment: core.Segment, id: str, state: str = "success") -> core.Slot:
    task = claim(segment, id)
    task.update(1)
    end(task, state)
    return task


def test_what_is_counted_after_the_archive_is_archived_before_the_slot_goes(full: core.Segment) -> None:
    """The older one of two makes room, if both were counted on."""
    task, other = [ended(full, id) for id in ("a", "b")]
    note(full)
    for one in (task, other):
        one.update(10)  # a straggler
    noted: list[dict[str, int]] = []

    def archive(_place: object) -> int:
        with quiet():
            task.update(100)  # too late: the counters are closed
        noted.append(note(full))
        return len(noted[-1])

    claim(full, "c", archive=archive)
    assert [counts["a"] for counts in noted] == [11]
    assert (sorted(tasks_of(full)), full.dropped) == (["b", "c"], 0)


def test_a_count_that_is_refused_is_told_to_who_counts(full: core.Segment) -> None:
    task = ended(full, "a")
    native = task.native()
    note(full)
    assert hw_add(native, 1) == 0
    assert full.free_archived([task._where]) == 0  # its last count is not archived
    assert hw_add(native, 1) == HW_STALE
    assert task.count == 2
    assert note(full) == {"a": 2}
    assert full.free_archived([task._where]) == 1


def test_a_copy_is_marked_only_while_no_later_one_was_begun(full: core.Segment) -> None:
    """The row of the later one may have replaced its own already."""
    task = ended(full, "a")
    first = begun(full, *task._where)
    second = begun(full, *task._where)
    assert first is not None
    assert second is not None
    assert not marked(full, "a", first)
    assert not tasks_of(full)["a"]["archived"]
    assert marked(full, "a", second)
    assert tasks_of(full)["a"]["archived"]


def test_a_copy_that_was_begun_takes_the_mark_of_an_earlier_one(full: core.Segment) -> None:
    """Counts go down, too: the earlier one's count may come back after the row has another one."""
    task = ended(full, "a")
    native = task.native()
    note(full)
    hw_add(native, 1)
    number = begun(full, *task._where)
    hw_add(native, -1)
    assert full.free_archived([task._where]) == 0
    assert number is not None
    assert marked(full, "a", number)
    assert full.free_archived([task._where]) == 1


def test_no_copy_is_begun_of_what_the_history_has_nor_of_another_task(full: core.Segment) -> None:
    task = ended(full, "a")
    slot, generation = task._where
    ((_, _, number),) = full.owed([(slot, generation)])
    note(full)
    places = [(slot, generation), (slot, generation + 1), (slot, generation + 2), (999, generation)]
    assert full.owed(places) == []
    for place in places:
        for one in range(number - 1, number + 3):
            assert not full.begin_archive(*place, one)
    assert full.free_archived([task._where]) == 1


def test_a_copy_is_begun_only_while_no_other_was_begun_since_it_was_taken(full: core.Segment) -> None:
    """That one's row may be of a later copy, and be there already."""
    task = ended(full, "a")
    ((slot, generation, number),) = full.owed([task._where])
    assert full.begin_archive(slot, generation, number)
    assert not full.begin_archive(slot, generation, number)
    assert not full.begin_archive(slot, generation, number + 2)
    assert full.owed([task._where]) == [(slot, generation, number + 1)]
    assert full.begin_archive(slot, generation, number + 1)


def test_only_what_has_ended_and_is_not_archived_as_it_is_is_owed(full: core.Segment) -> None:
    task = claim(full, "a")
    task.update(1)
    native = task.native()
    assert full.owed([task._where]) == []
    end(task)
    assert [place for *place, _ in full.owed([task._where])] == [[*task._where]]
    note(full)
    assert full.owed([task._where]) == []
    hw_add(native, 1)
    assert [place for *place, _ in full.owed([task._where])] == [[*task._where]]


def test_steps_at_once_are_undone_where_one_raises_and_no_signal_handler_comes_between_them() -> None:
    told: list[str] = []
    undo = partial(told.append, "undone")
    interrupt = partial(ctypes.CDLL(None)["raise"], signal.SIGUSR1)  # those of Python call the handler themselves
    fail = partial(truediv, 1, 0)
    raised = [partial(told.append, "first"), interrupt]
    before = signal.signal(signal.SIGUSR1, lambda *_: told.append("handler"))
    try:
        returned: list[object] = core.at_once([*raised, partial(len, "ab"), partial(told.append, "last")], undo)
        assert (told, returned) == (["first", "last", "handler"], [None, 0, 2, None])
        with pytest.raises(ZeroDivisionError):
            core.at_once([*raised, fail, partial(told.append, "never")], undo)
        assert told[3:] == ["first", "undone", "handler"]
        with pytest.raises(ZeroDivisionError):
            core.at_once([fail], partial(int, "x"))
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_task_that_is_resumed_is_counted_on_again(full: core.Segment) -> None:
    task = ended(full, "a", "failed")
    note(full)
    task.update()
    full.free_archived([task._where])
    with quiet():
        task.update(100)
    assert task._transition("running", ("failed",), own=True, resume=True) is not None
    task.update(5)
    assert task.count == 7
    assert tasks_of(full)["a"]["base"] == 2


def test_a_result_after_the_end_does_not_open_the_counters(segment: core.Segment) -> None:
    task = ended(segment, "a")
    native = task.native()
    note(segment)
    hw_add(native, 1)
    segment.free_archived([task._where])
    task._write_result(b"1")
    assert hw_add(native, 1) == HW_STALE


def test_a_task_that_nobody_counts_on_is_archived_once(full: core.Segment) -> None:
    for id in ("a", "b"):
        ended(full, id)
    note(full)
    claim(full, "c", archive=lambda _place: pytest.fail("it is archived once more"))
    assert full.dropped == 0


def test_counts_of_all_stripes_are_closed(full: core.Segment) -> None:
    """Negative ones, too: the tag stands above the sign of a count."""
    task = claim(full, "a")
    native = task.native()
    task.update(-3)
    end(task)
    note(full)
    hw_add(native, -4)
    full.free_archived([task._where])
    assert (task.count, hw_add(native, -1)) == (-7, HW_STALE)
    assert note(full) == {"a": -7}


def test_a_task_that_others_are_archiving_is_not_dropped_however_often_there_was_nothing_to_do(
    full: core.Segment,
) -> None:
    for id in ("a", "b"):
        ended(full, id)
    calls: list[object] = []

    def archive(place: object) -> int:
        calls.append(place)
        if len(calls) == 9:
            note(full)  # by another process
        return 0

    claim(full, "c", archive=archive)
    assert len(calls) == 9
    assert full.dropped == 0
