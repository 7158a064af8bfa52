"""Tasks are claimed, found, freed and restored, against what a plain model of them says; with real processes beside."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from headway import errors
from headway.native import core
from tests.unit.native.handles import REST_S, beside, claim, end, handle, killed_after, tasks_of


def test_a_claimed_slot_shows_what_it_was_claimed_with(segment: core.Segment) -> None:
    before = time.time_ns()
    task = claim(segment, "a/ä", label="A label", unit="bar", parent_bytes=1, total=7)
    record = tasks_of(segment)["a/ä"]
    assert (record["label"], record["unit"], record["parent_bytes"]) == (b"A label", b"bar", 1)
    assert (record["total"], record["count"], record["state"]) == (7, 0, 0)
    assert (record["owner"], record["owner_pid"], record["owner_alive"]) == (segment.incarnation, os.getpid(), 1)
    assert before <= record["created_ns"] <= time.time_ns()
    assert (record["started_ns"], record["ended_ns"], record["resumed"]) == (0, 0, 0)
    assert (task.state, task.total, task.parent, task.stage, task.message, task._metrics) == (
        ("pending", 7, "a", "", "", {})
    )
    assert task._read_result()[0] == b""


@pytest.mark.parametrize("id", ["a", "x" * 95, "ä" * 47, "a/b", "../..", "/", " ", "🦊", "a\nb", "."])
def test_a_legal_id_is_found_again(id: str, segment: core.Segment) -> None:
    core.check_id(id)
    task = claim(segment, id)
    assert segment.find(id) == task._where
    assert list(tasks_of(segment)) == [id]


@pytest.mark.parametrize(
    ("id", "says"),
    [
        ("", "is empty: give it 1 to 95 bytes"),
        ("a\0b", "NUL"),
        ("x" * 96, "has 96 bytes of UTF-8: shorten it to 95"),
        ("ä" * 48, "has 96 bytes"),
        ("\ud800", "lone surrogates"),
    ],
)
def test_an_id_that_is_no_key_is_refused_and_nothing_is_claimed(id: str, says: str, segment: core.Segment) -> None:
    for refuse in (core.check_id, segment.find, lambda id: claim(segment, id)):
        with pytest.raises(ValueError, match=says):
            refuse(id)
    assert not tasks_of(segment)
    assert segment.copy()[4] == b"", "who was refused stands in the process table"


@pytest.mark.parametrize("id", [None, b"a", 1])
def test_an_id_of_another_type_is_refused(id: Any, segment: core.Segment) -> None:
    for refuse in (core.check_id, segment.find, lambda id: claim(segment, id)):
        with pytest.raises(TypeError):
            refuse(id)


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("x" * 95, "x" * 95),
        ("x" * 96, "x" * 92 + "…"),
        ("ä" * 60, "ä" * 46 + "…"),
        ("🦊" * 30, "🦊" * 23 + "…"),
        ("a\0b", "a b"),
        ("\ud800", "?"),
    ],
)
def test_a_text_for_people_is_cut_at_a_character(label: str, shown: str, segment: core.Segment) -> None:
    claim(segment, label=label)
    assert bytes(tasks_of(segment)["a"]["label"]).decode() == shown


def test_an_id_that_runs_is_refused_with_the_pid_of_its_owner(segment: core.Segment) -> None:
    claim(segment)
    before = segment.find("a")
    with pytest.raises(errors.TaskExists, match="owned by this process"):
        claim(segment)
    assert segment.find("a") == before
    with (
        beside(lambda: claim(segment, "b")) as (pid,),
        pytest.raises(errors.TaskExists, match=rf"its owner \(pid {pid}\) is alive"),
    ):
        claim(segment, "b")


def test_an_id_whose_owner_is_dead_is_refused_with_the_pid_of_a_worker(segment: core.Segment) -> None:
    killed_after(lambda: claim(segment))
    found = segment.find("a")
    assert found is not None
    with beside(lambda: handle(segment, *found, "a").update()) as (pid,):
        with pytest.raises(errors.TaskExists, match=rf"its owner is dead, but a worker on it \(pid {pid}\)"):
            claim(segment)
        assert handle(segment, *found, "a").state == "running"
    claim(segment)


def test_an_ended_task_starts_anew_in_another_slot(segment: core.Segment) -> None:
    old = claim(segment, total=3)
    old.update(2)
    old._write_result(b"1")
    old.stage = "fit"
    end(old)
    new = claim(segment)
    assert new._where[0] != old._where[0]
    assert (new.count, new.total, new.stage, new._read_result()[0]) == (0, None, "", b"")
    assert segment.find("a") == new._where
    assert tasks_of(segment)["a"]["serial"] == 2


def test_generations_are_odd_and_never_used_twice(small: core.Segment) -> None:
    seen: dict[int, list[int]] = {0: [], 1: []}
    for _ in range(8):
        task = claim(small)
        end(task)
        seen[task._where[0]].append(task._where[1])
    assert seen == {0: [1, 3, 5, 7], 1: [1, 3, 5, 7]}


def test_a_freed_slot_rests_for_a_moment_also_where_there_is_no_other(small: core.Segment) -> None:
    other = claim(small, "other")
    end(claim(small))
    end(other)
    claim(small, "other")  # a slot has to be freed for it, and rests
    freed = claim(small)  # as does the one that this frees
    began = time.monotonic()
    end(freed)
    claim(small)
    took = time.monotonic() - began
    assert REST_S / 10 <= took + 0.002 < 10 * REST_S


def test_of_free_slots_a_claim_takes_the_one_that_has_rested_longest_unless_one_was_never_used(
    segment: core.Segment,
) -> None:
    slots = [claim(segment, f"{number}") for number in range(4)]
    for number in (2, 0, 3):
        assert segment.free(*slots[number]._where, 2**63)
    assert claim(segment, "fresh")._where[0] == 4
    time.sleep(REST_S)
    assert [claim(segment, f"again {number}")._where[0] for number in range(3)] == [2, 0, 3]
    assert segment.stock == segment.capacity - 5


def test_a_board_full_of_live_tasks_is_full_and_nothing_changed(small: core.Segment) -> None:
    claim(small, "a").update(3)
    claim(small, "b")
    before = tasks_of(small)
    with pytest.raises(errors.BoardFull, match="has 2 slots and all hold tasks that have not ended: end some"):
        claim(small, "c")
    after = tasks_of(small)
    assert list(before) == list(after)
    assert [before[id]["count"] for id in before] == [after[id]["count"] for id in after]
    assert small.dropped == 0


def test_where_room_is_needed_the_task_that_ended_first_goes(small: core.Segment) -> None:
    first, second = claim(small, "first"), claim(small, "second")
    end(second)
    time.sleep(0.002)
    end(first)
    claim(small, "third")
    assert set(tasks_of(small)) == {"first", "third"}
    assert small.dropped == 1


def test_a_task_in_a_state_to_be_resumed_is_handed_back(segment: core.Segment) -> None:
    task = claim(segment)
    end(task, "failed")
    states = ("failed", "lost")
    assert segment.claim("a", "", "it", 0, None, states) == (*task._where, ("failed", segment.incarnation))
    assert segment.claim("b", "", "it", 0, None, states)[2] is None
    end(handle(segment, *(segment.find("b") or (0, 0)), "b"))
    assert segment.claim("b", "", "it", 0, None, states)[2] is None


@pytest.mark.parametrize("total", [-1, 2**63, 2**64])
def test_a_total_out_of_range_is_refused_and_nothing_is_claimed(total: int, segment: core.Segment) -> None:
    with pytest.raises((ValueError, OverflowError)):
        claim(segment, total=total)
    assert not tasks_of(segment)


def test_a_retired_board_takes_no_task(segment: core.Segment) -> None:
    segment.retire()
    assert segment.retired
    with pytest.raises(errors.BoardClosed, match="was removed: open it anew"):
        claim(segment)
