"""A task as its record shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headway.native import records as native_records

if TYPE_CHECKING:
    from tests.unit.conftest import Arrays, MakeRaw


def test_a_task_reads_as_it_was_written(make_raw: MakeRaw) -> None:
    def edit(arrays: Arrays) -> None:
        task = arrays["tasks"][1]
        task["id"], task["parent_bytes"] = "task-0/fünf".encode(), 6
        task["resumed"], task["base"] = 1, 7

    assert native_records.task_fields(make_raw(edit=edit).tasks, 1) == {
        "id": "task-0/fünf",
        "label": "Task 1 é",
        "unit": "bar",
        "parent": "task-0",
        "state": "running",
        "count": 21,
        "total": 100,
        "base": 7,
        "stage": "fit",
        "message": "fold 3/5",
        "error": "",
        "metrics": {"loss": 0.5},
        "rate": 4.0,
        "created": 1_699_999_990.0,
        "started": 1_699_999_990.0,
        "ended": None,
        "stage_entered": 1_699_999_998.0,
        "beat": 1_699_999_998.0,
        "serial": 2,
        "owner": 1,
        "owner_pid": 4242,
        "owner_alive": True,
        "resumed_from": 7,
        "stages_left_out": 0,
        "lost_left_out": 0,
        "stall_after": 10.0,
    }


def test_what_is_not_known_reads_as_none(make_raw: MakeRaw) -> None:
    def edit(arrays: Arrays) -> None:
        arrays["tasks"]["total"], arrays["tasks"]["rate"], arrays["tasks"]["started_ns"] = -1, np.nan, 0

    fields = native_records.task_fields(make_raw(edit=edit).tasks, 0)
    assert (fields["total"], fields["rate"], fields["started"], fields["parent"]) == (None, None, None, None)


def test_broken_utf8_reads_with_replacement_characters(make_raw: MakeRaw) -> None:
    raw = make_raw(edit=lambda arrays: arrays["tasks"]["message"].__setitem__(0, b"\xff\xfe ok \xc3"))
    assert native_records.task_fields(raw.tasks, 0)["message"] == "�� ok �"


def test_a_worker_is_said_to_count_on_what_goes_on_or_was_lost(make_raw: MakeRaw) -> None:
    def edit(arrays: Arrays) -> None:
        arrays["tasks"]["state"] = range(6)

    raw = make_raw(6, edit=edit)
    shares = native_records.shares_of_workers(raw.shares, raw.tasks)
    assert shares[7][1] == [0, 1, 5]  # pending, running, lost
    assert shares[7][0] == 1_699_999_998.0
