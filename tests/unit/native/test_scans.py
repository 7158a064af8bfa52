"""What a view or a recorder looks for in the records of a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from headway.native import records, scans
from tests.unit.conftest import NOW, SECOND, SUCCESS, Arrays, build_raw

if TYPE_CHECKING:
    from collections.abc import Callable

PENDING, RUNNING, LOST = 0, 1, 5


def tasks_of(*states: int, edit: Callable[[np.ndarray[Any, Any]], object] | None = None) -> bytes:
    """The records of one task for each state, which is written as it reads."""

    def change(arrays: Arrays) -> None:
        arrays["tasks"]["state"] = arrays["tasks"]["written"] = states
        if edit is not None:
            edit(arrays["tasks"])

    return bytes(build_raw(len(states), edit=change).tasks)


def test_a_task_is_unsettled_while_it_reads_otherwise_than_its_state_is_written() -> None:
    def edit(tasks: np.ndarray[Any, Any]) -> None:
        tasks["written"][1], tasks["owner"][1] = RUNNING, 7

    assert scans.unsettled(tasks_of(RUNNING, LOST, LOST, edit=edit)) == [(1, 1, 7, "lost")]


def test_only_what_has_ended_for_good_and_is_not_archived_is_to_be_archived() -> None:
    def edit(tasks: np.ndarray[Any, Any]) -> None:
        tasks["archived"][2], tasks["written"][3], tasks["version"][1], tasks["count"][1] = 1, RUNNING, 9, 5

    assert scans.unarchived(tasks_of(RUNNING, SUCCESS, SUCCESS, LOST, edit=edit)) == [(1, 1, 1, 9, 5)]


def test_what_is_archived_and_ended_before_a_time_can_go() -> None:
    def edit(tasks: np.ndarray[Any, Any]) -> None:
        tasks["archived"], tasks["ended_ns"] = [1, 1, 0], [5, 6, 5]

    assert scans.archived_before(tasks_of(SUCCESS, SUCCESS, SUCCESS, edit=edit), 6) == [(0, 1)]


def test_running_tasks_read_as_in_a_view() -> None:
    def edit(tasks: np.ndarray[Any, Any]) -> None:
        tasks["rate"][1], tasks["total"][1], tasks["beat_ns"][1] = np.nan, -1, 0

    assert scans.running(tasks_of(PENDING, RUNNING, edit=edit)) == [
        (1, 21, None, None, None, NOW - 10.0, NOW - 10.0, 10.0)
    ]


def test_the_newest_tasks_are_restored_where_there_is_not_room_for_all() -> None:
    tasks = tasks_of(RUNNING, RUNNING, RUNNING)  # the last one was created first
    assert scans.restorable(tasks, 3) == ([2, 1, 0], [])
    assert scans.restorable(tasks, 2) == ([1, 0], [2])


def test_only_open_tasks_become_lost_and_when_they_were_last_heard_of() -> None:
    def edit(tasks: np.ndarray[Any, Any]) -> None:
        tasks["beat_ns"] = [0, (NOW - 2) * SECOND, (NOW - 2) * SECOND]

    tasks = bytearray(tasks_of(PENDING, RUNNING, SUCCESS, edit=edit))
    assert scans.mark_lost(tasks, NOW * SECOND) == 2
    found = np.frombuffer(tasks, np.dtype(records.DTYPES["tasks"]))
    assert found["state"].tolist() == [LOST, LOST, SUCCESS]
    assert found["ended_ns"].tolist() == [NOW * SECOND, (NOW - 2) * SECOND, 0]
    assert not found["owner_alive"][:2].any()


@pytest.mark.parametrize("scan", [scans.unsettled, scans.unarchived, scans.running, scans.places])
def test_a_part_of_a_record_is_refused(scan: Callable[[bytes], object]) -> None:
    with pytest.raises(ValueError, match="not a whole number of records"):
        scan(tasks_of(RUNNING)[:-1])
