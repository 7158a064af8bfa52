"""What a task shows, and the states it goes through."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from headway.native import core
from tests.unit.native.handles import (
    METRICS,
    STAGES,
    beside,
    claim,
    end,
    handle,
    in_child,
    killed_after,
    stages_of,
    tasks_of,
)


def test_one_transition_shows_everything(segment: core.Segment) -> None:
    task = claim(segment)
    assert task._set(stage="fit", message="fold 3/5", total=9, metrics={"loss": 0.5, "auc": 1})
    assert (task.stage, task.message, task.total, task._metrics) == ("fit", "fold 3/5", 9, {"loss": 0.5, "auc": 1.0})
    assert task._set(metrics={"loss": 0.25}, total=None)
    assert (task.stage, task.total, task._metrics) == ("fit", None, {"loss": 0.25, "auc": 1.0})


def test_a_write_of_another_process_is_seen_at_once(segment: core.Segment) -> None:
    task = claim(segment)
    in_child(lambda: task._set(stage="elsewhere", message="é" * 95))
    assert (task.stage, task.message) == ("elsewhere", "é" * 95)


def test_the_log_keeps_the_last_stages_and_tells_how_many_are_left_out(segment: core.Segment) -> None:
    task = claim(segment)
    for number in range(20):
        task.stage = f"stage {number}"
        task.stage = f"stage {number}"  # it is in that one already
        assert stages_of(segment, task) == [f"stage {n}" for n in range(max(0, number - STAGES + 1), number + 1)]
    assert tasks_of(segment)["a"]["stages_left_out"] == 20 - STAGES


@pytest.mark.parametrize(("text", "shown"), [("x" * 47, "x" * 47), ("x" * 48, "x" * 44 + "…"), ("", "")])
def test_a_stage_that_is_too_long_is_cut(text: str, shown: str, segment: core.Segment) -> None:
    task = claim(segment)
    task.stage = "another"
    task.stage = text
    assert task.stage == shown


def test_a_shorter_text_leaves_nothing_of_a_longer_one(segment: core.Segment) -> None:
    task = claim(segment)
    for text in ("a long message that takes many words", "short", "", "longer again, yes"):
        task.message = text
        assert task.message == text
        assert bytes(tasks_of(segment)["a"]["message"]) == text.encode()


def test_there_are_eight_metrics_and_a_ninth_changes_nothing(segment: core.Segment) -> None:
    task = claim(segment)
    names = [f"m{n}" for n in range(METRICS)]
    for name in names:
        task._set(metrics={name: 1})
    with pytest.raises(ValueError, match="has 8 metrics already: reuse their names"):
        task._set(message="never", metrics={"m0": 2, "ninth": 2})
    assert (task.message, task._metrics) == ("", dict.fromkeys(names, 1.0))
    task._set(metrics=dict.fromkeys(names, 3))
    assert task._metrics == dict.fromkeys(names, 3.0)
    with pytest.raises(ValueError, match="9 metrics are too many: a task has 8"):
        task._set(metrics={f"n{n}": 1.0 for n in range(METRICS + 1)})


class Liar(Mapping[str, float]):
    """A mapping with more items than it says."""

    def __getitem__(self, key: str) -> float:
        return 1.0

    def __iter__(self) -> Iterator[str]:
        return (f"m{n}" for n in range(1000))

    def __len__(self) -> int:
        return 1


def test_a_mapping_that_understates_its_length_is_refused(segment: core.Segment) -> None:
    task = claim(segment)
    with pytest.raises(ValueError, match="more than 8 metrics"):
        task._set(metrics=Liar())
    assert task._metrics == {}


@pytest.mark.parametrize("name", ["", "x" * 24, "a\0"])
def test_a_metrics_name_is_a_key(name: str, segment: core.Segment) -> None:
    task = claim(segment)
    with pytest.raises(ValueError, match="metric name"):
        task._set(metrics={name: 1.0})
    assert task._metrics == {}


@pytest.mark.parametrize(
    "change", [{"stage": 1}, {"message": b"x"}, {"total": 1.5}, {"total": "9"}, {"metrics": {"a": "b"}}]
)
def test_a_value_of_another_type_changes_nothing(change: dict[str, Any], segment: core.Segment) -> None:
    task = claim(segment, total=3)
    with pytest.raises((TypeError, ValueError)):
        task._set(**change)
    assert (task.stage, task.message, task.total, task._metrics, task.state) == ("", "", 3, {}, "pending")


@pytest.mark.parametrize("state", ["success", "failed", "cancelled"])
def test_the_first_end_counts(state: str, segment: core.Segment) -> None:
    task = claim(segment)
    task.update()
    assert task._transition(state, ("pending", "running"), error="why", message="last") == "running"
    for other in ("success", "failed", "cancelled"):
        assert task._transition(other, ("pending", "running", "lost"), error="no") is None
    assert not task._set(stage="late", message="late", total=1, metrics={"late": 1})
    assert not task._own()
    record = tasks_of(segment)["a"]
    assert (task.state, record["error"], task.message, task.stage) == (state, b"why", "last", "")
    assert record["ended_ns"] >= record["started_ns"] > 0


def test_a_transition_happens_only_from_where_and_for_whom_it_may(segment: core.Segment) -> None:
    task = claim(segment)
    assert task._transition("failed", ("running",)) is None
    assert task._transition("failed", ("pending",), expected_owner=segment.incarnation + 1) is None
    assert task.state == "pending"
    assert task._transition("failed", ("pending",), expected_owner=segment.incarnation) == "pending"


def test_a_resumed_run_goes_on_at_the_count_of_that_moment(segment: core.Segment) -> None:
    task = claim(segment)
    task.update(5)
    task._transition("failed", ("running",), error="no")
    assert task._transition("running", ("failed",), own=True, resume=True) == "failed"
    task.update(2)
    assert task._run == (5, True, segment.incarnation, os.getpid())
    record = tasks_of(segment)["a"]
    assert (record["base"], record["count"], record["error"], record["ended_ns"]) == (5, 7, b"", 0)


def test_who_becomes_the_owner_stands_there(segment: core.Segment) -> None:
    task = claim(segment)
    with beside(task._own) as (pid,):
        base, resumed, owner, owner_pid = task._run
        assert (base, resumed, owner_pid) == (0, False, pid)
        assert owner != segment.incarnation
        assert not segment.dead(owner)
    assert segment.dead(owner)
    assert task.state == "lost"


def test_a_task_whose_owner_is_dead_runs_as_long_as_somebody_counts_on_it(segment: core.Segment) -> None:
    killed_after(lambda: claim(segment))
    task = handle(segment, *(segment.find("a") or (0, 0)), "a")
    assert task.state == "lost"
    with beside(task.update):
        assert task.state == "running"
        assert segment.abandoned() == []
        assert task._carried_by_others()
    assert task.state == "lost"
    assert not task._carried_by_others()
    assert [where[:2] for where in segment.abandoned()] == [task._where]
    task._transition("lost", ("pending", "running"))
    assert segment.abandoned() == []
    task.update()
    assert task.state == "running"


def test_what_a_process_owns_is_what_it_began_and_has_not_ended(segment: core.Segment) -> None:
    assert segment.owned() == []
    tasks = [claim(segment, id) for id in "abc"]
    end(tasks[1])
    in_child(lambda: claim(segment, "another's"))
    assert segment.owned() == [tasks[0]._where, tasks[2]._where]
    in_child(tasks[0]._own)
    assert segment.owned() == [tasks[2]._where]
