"""Copies of a board are consistent."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from headway.native import core
from headway.native import records as native_records
from tests.unit.native.handles import beside, claim, end, fork, killed_after, tasks_of


def test_a_copy_of_an_empty_board_is_empty(segment: core.Segment) -> None:
    now, *arrays = segment.copy()
    assert now == pytest.approx(time.time_ns(), abs=5e9)
    assert [len(array) for array in arrays] == [0] * 7


def test_a_copy_has_every_task_and_its_own_memory(segment: core.Segment) -> None:
    tasks = [claim(segment, f"t{n}", total=n) for n in range(16)]
    _, records, *_ = segment.copy()
    tasks[3].update(9)
    found = np.frombuffer(records, np.dtype(native_records.DTYPES["tasks"]))
    assert [bytes(id).decode() for id in found["id"]] == [f"t{n}" for n in range(16)]
    assert list(found["total"]) == list(range(16))
    assert found["count"].sum() == 0


def test_a_copy_of_one_task_is_of_that_one_or_none(segment: core.Segment) -> None:
    task = claim(segment)
    claim(segment, "b")
    raw = segment.copy_task(*task._where)
    assert raw is not None
    assert native_records.task_ids(raw[1]) == ["a"]
    slot, generation = task._where
    for other in ((slot, generation + 1), (slot, generation + 2), (slot + 2, 1), (16, 1), (2**32 - 1, 1)):
        assert segment.copy_task(*other) is None


def test_a_copy_lists_who_is_there(segment: core.Segment) -> None:
    claim(segment)
    pid = killed_after(segment.register)
    with beside(segment.register, lambda: segment.register(with_row=False)) as (worker, _):
        workers = np.frombuffer(segment.copy()[4], np.dtype(native_records.DTYPES["workers"]))
        assert {(w["pid"], bool(w["alive"])) for w in workers} == {(os.getpid(), True), (worker, True), (pid, False)}


def test_copies_are_whole_while_tasks_come_and_go(segment: core.Segment) -> None:
    """A child starts tasks anew and writes to them, all the time."""
    ids = [f"t{n}" for n in range(6)]
    for id in ids:
        end(claim(segment, id))

    def churn() -> None:
        while True:
            for number, id in enumerate(ids):
                task = claim(segment, id)
                task._set(stage=f"s{number}", message=f"m{number}" * 20, total=number)
                task.update(number)
                end(task)

    pid = fork(churn)
    try:
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            found = tasks_of(segment)
            assert set(found) == set(ids)
            for number, id in enumerate(ids):
                if found[id]["stage"]:
                    record = found[id]
                    assert (record["message"], record["total"]) == (f"m{number}".encode() * 20, number)
                    assert record["count"] in (0, number)
                assert segment.find(id) is not None
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_the_standing_of_a_board_changes_with_its_tasks_and_not_with_their_counts(segment: core.Segment) -> None:
    seen = {segment.standing()}

    def is_new() -> bool:
        now = segment.standing()
        assert now == segment.standing()
        new = now not in seen
        seen.add(now)
        return new

    segment.copy()
    empty = segment.content_version, segment.states_version

    task = claim(segment)
    assert is_new(), "a task came"
    task.update(5)
    assert is_new(), "its first count had it run"
    task.update(5)
    assert not is_new(), "only a count changed"
    task._set(stage="fit")
    assert is_new(), "a stage was entered"
    assert task._write_result(b"{}")
    assert is_new(), "a result was written"
    assert task._write_result(b"[]")
    assert is_new(), "another result was written"
    end(task)
    assert is_new(), "the task ended"
    claim(segment, anew=True)
    assert is_new(), "it was started anew"
    segment.copy()
    assert not {segment.content_version, segment.states_version} & set(empty), "slot 1, generation 1 are not nothing"
    with beside(segment.register, lambda: claim(segment, "of another")):
        assert is_new(), "another process has a task"
    assert is_new(), "that process is dead, so its task is lost"
