"""Records: what NumPy sees is what C declares, and no bytes whatever do more harm than a ValueError."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headway
from headway.native import records as native_records
from headway.native import scans as native_scans
from headway.views import numbers
from headway.views.task_view import Raw, TaskView

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.conftest import Arrays, MakeRaw

PACKAGE = Path(headway.__file__).parent
STRUCTS = {"tasks": "task", "stages": "stage", "shares": "share", "workers": "worker", "index": "result"}
TEXTS = ("id", "label", "unit", "stage", "message", "error")


# --- descriptions


@pytest.mark.parametrize("array", STRUCTS)
def test_every_field_of_the_c_record_is_described_in_order(array: str) -> None:
    header = (PACKAGE / "native" / "record.h").read_text()
    body = re.search(rf"typedef struct hw_{STRUCTS[array]}_record {{(.*?)}}", header, re.DOTALL)
    assert body is not None
    declared = re.findall(r"^\s+\w+ (\w+)(?:\[\w+\])*;", body[1], re.MULTILINE)
    assert declared == [field[0] for field in native_records.DTYPES[array]]


@pytest.mark.parametrize("array", STRUCTS)
def test_a_record_is_as_long_in_numpy_as_in_c(array: str) -> None:
    assert np.dtype(native_records.DTYPES[array]).itemsize == native_records.RECORD_BYTES[array]


def test_offsets_are_those_of_the_compiler() -> None:
    """The numbers below are what the static asserts and the alignment rules of C give; NumPy must find them there."""
    tasks = np.dtype(native_records.DTYPES["tasks"])
    assert tasks.fields is not None
    found = {name: tasks.fields[name][1] for name in ("id", "error", "metric", "rate", "serial", "state", "pad")}
    assert found == {"id": 0, "error": 448, "metric": 832, "rate": 896, "serial": 968, "state": 1024, "pad": 1030}
    assert tasks["metric_name"].shape == (8,)


def test_states_stand_in_the_order_of_their_numbers() -> None:
    header = (PACKAGE / "include" / "headway_layout.h").read_text()
    numbers = dict(re.findall(r"HW_(\w+?)(?:_STATE)? = (\d),", header))
    assert [int(numbers[state.upper()]) for state in native_records.STATES] == list(range(len(native_records.STATES)))


def test_records_are_read_at_any_alignment(make_raw: MakeRaw) -> None:
    raw = make_raw()
    shifted = memoryview(b"x" + raw.tasks)[1:]
    assert native_records.task_fields(shifted, 2) == native_records.task_fields(raw.tasks, 2)
    assert native_records.stage_rows(memoryview(b"x" + raw.stages)[1:], 2) == native_records.stage_rows(raw.stages, 2)


@pytest.mark.parametrize("index", [-1, 3, 2**40])
def test_a_record_that_is_not_there_is_an_index_error(make_raw: MakeRaw, index: int) -> None:
    with pytest.raises(IndexError):
        native_records.task_fields(make_raw().tasks, index)
    with pytest.raises(IndexError):
        native_records.worker_fields(make_raw().workers, index)


def set_field(array: str, field: str, value: Any, at: Any = 1) -> Callable[[Arrays], object]:
    def edit(arrays: Arrays) -> None:
        arrays[array][field][at] = value

    return edit


IMPOSSIBLE_TASKS = [
    *(pytest.param(set_field("tasks", name, b"x" * 192), id=f"{name} without an end") for name in TEXTS),
    pytest.param(set_field("tasks", "metric_name", b"x" * 24, (1, 7)), id="metric without an end"),
    pytest.param(set_field("tasks", "state", 6), id="state 6"),
    pytest.param(set_field("tasks", "state", 255), id="state 255"),
    pytest.param(set_field("tasks", "slot", 2**20), id="slot beyond every board"),
    pytest.param(set_field("tasks", "id", b""), id="no id"),
    pytest.param(set_field("tasks", "parent_bytes", 6), id="parent as long as the id"),
    pytest.param(set_field("tasks", "parent_bytes", 95), id="parent beyond the id"),
    pytest.param(set_field("tasks", "parent_bytes", 255), id="parent beyond the field"),
]


@pytest.mark.parametrize("edit", IMPOSSIBLE_TASKS)
def test_a_task_that_cannot_be_is_a_value_error(make_raw: MakeRaw, edit: Callable[[Arrays], object]) -> None:
    raw = make_raw(edit=edit)
    with pytest.raises(ValueError, match="record 1 of the tasks"):
        native_records.task_fields(raw.tasks, 1)
    with pytest.raises(ValueError, match="record 1 of the tasks"):
        native_records.check(
            raw.tasks, raw.stages, raw.shares, raw.workers, raw.result_index, len(raw.results), raw.durations or b""
        )
    assert native_records.task_fields(raw.tasks, 0)["id"] == "task-0"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (set_field("stages", "task", 3), "stages: there is no task number 3"),
        (set_field("stages", "task", 2), "stages: it stands out of order"),
        (set_field("stages", "stage", b"x" * 48), "stages: its text has no end"),
        (set_field("shares", "task", 2**32 - 1), "shares: there is no task"),
        (set_field("shares", "task", 2), "shares: it stands out of order"),
        (set_field("workers", "name", b"x" * 48), "workers: its name has no end"),
        (set_field("index", "task", 0), "index: it stands out of order"),
        (set_field("index", "task", 9), "index: there is no task number 9"),
        (set_field("index", "bytes", 13), "index: it points outside"),
        (set_field("index", "offset", 2**64 - 1), "index: it points outside"),
        (set_field("index", "offset", 13), "index: it points outside"),
        (set_field("shares", "item", b"x" * 48), "shares: its item has no end"),
        (set_field("durations", "task", 9), "durations: there is no task number 9"),
        (set_field("durations", "task", 0), "durations: it stands out of order"),
        (set_field("durations", "slowest", b"x" * 48), "durations: the item of the slowest has no end"),
    ],
)
def test_records_that_contradict_each_other_are_a_value_error(
    make_raw: MakeRaw, edit: Callable[[Arrays], object], message: str
) -> None:
    raw = make_raw(edit=edit)
    with pytest.raises(ValueError, match=message):
        native_records.check(
            raw.tasks, raw.stages, raw.shares, raw.workers, raw.result_index, len(raw.results), raw.durations or b""
        )


def test_what_a_board_writes_is_accepted(make_raw: MakeRaw) -> None:
    for count in (0, 1, 3, 100):
        raw = make_raw(count)
        native_records.check(
            raw.tasks, raw.stages, raw.shares, raw.workers, raw.result_index, len(raw.results), raw.durations or b""
        )


# --- what belongs to a task


def test_each_task_gets_its_own_stages_shares_and_result(make_raw: MakeRaw) -> None:
    raw = make_raw(50)
    for number in range(50):
        assert native_records.stage_rows(raw.stages, number) == [("load", 1_699_999_991.0), ("fit", 1_699_999_998.0)]
        assert native_records.share_rows(raw.shares, number) == [
            (700, 7, 10, 1_699_999_998.0, True, f"item {number}", 1_699_999_995.0),
            (701, 8, None, 1_699_999_997.0, False, "", None),
        ]
        place = native_records.result_place(raw.result_index, number, len(raw.results))
        if number % 2:
            assert place is None
        else:
            assert place is not None
            assert raw.results[slice(*place)] == b'{"auc": 0.%d}' % (number // 2)


def test_a_task_without_stages_shares_and_result_has_none(make_raw: MakeRaw) -> None:
    raw = make_raw()
    for number in (3, 2**32 - 1):
        assert native_records.stage_rows(raw.stages, number) == []
        assert native_records.share_rows(raw.shares, number) == []
        assert native_records.result_place(raw.result_index, number, len(raw.results)) is None


def test_a_result_outside_of_the_results_is_a_value_error(make_raw: MakeRaw) -> None:
    with pytest.raises(ValueError, match="outside of the results"):
        native_records.result_place(make_raw(edit=set_field("index", "offset", 2**64 - 3)).result_index, 2, 24)


def test_tasks_are_counted_by_state_and_the_stalled_among_the_running_ones(make_raw: MakeRaw) -> None:
    def edit(arrays: Arrays) -> None:
        arrays["tasks"]["state"] = [1, 1, 0, 2, 5, 2]
        arrays["tasks"]["beat_ns"] = [90 * 10**9, *5 * [80 * 10**9]]

    counts = native_scans.counts(make_raw(6, edit=edit).tasks, 100.0)
    assert counts == {"pending": 1, "running": 2, "success": 2, "failed": 0, "cancelled": 0, "lost": 1, "stalled": 1}


_MOMENTS = st.sampled_from([-(2**63), -1, 0, 1, 10**9, 90 * 10**9, 100 * 10**9, 2**63 - 1])


@given(st.integers(0, 5), _MOMENTS, _MOMENTS, _MOMENTS, st.sampled_from([-(2**63), -1, 0, 1, 25 * 10**9, 2**63 - 1]))
def test_the_native_code_has_the_rule_of_the_views_for_what_is_stalled(
    state: int, beat: int, started: int, created: int, after_ns: int
) -> None:
    record = np.zeros(1, np.dtype(native_records.DTYPES["tasks"]))
    record["id"], record["state"], record["rate"] = b"one", state, 3.0
    record["beat_ns"], record["started_ns"], record["created_ns"] = beat, started, created
    record["stall_after_ns"] = after_ns
    raw = Raw({"taken_ns": 100 * 10**9}, record.tobytes(), b"", b"", b"", b"", b"")
    view = TaskView.from_raw(raw)
    stall_after = 10.0 if after_ns <= 0 else math.inf if after_ns == 2**63 - 1 else after_ns / 1e9
    assert view.stall_after == stall_after
    idle = numbers.idle(view.beat, view.started, view.created, 100.0)
    stalled = numbers.is_stalled(view.state, idle, stall_after)
    assert native_scans.counts(raw.tasks, 100.0)["stalled"] == int(stalled)
    assert view.rate == (0.0 if stalled else 3.0)
    assert view.stalled == stalled


# --- hostile bytes


READERS: dict[str, list[Callable[[bytes], object]]] = {
    "tasks": [
        lambda data: native_records.task_fields(data, 0),
        native_records.task_ids,
        native_scans.serials,
        lambda data: native_scans.counts(data, 1.7e9),
        lambda data: native_records.check(data, b"", b"", b"", b"", 0),
    ],
    "stages": [
        lambda data: native_records.stage_rows(data, 1),
        lambda data: native_records.check(b"", data, b"", b"", b"", 0),
    ],
    "shares": [
        lambda data: native_records.share_rows(data, 1),
        lambda data: native_records.shares_of_workers(data, bytes(native_records.RECORD_BYTES["tasks"])),
    ],
    "durations": [
        lambda data: native_records.duration_row(data, 1),
        lambda data: native_records.check(b"", b"", b"", b"", b"", 0, data),
    ],
    "workers": [
        lambda data: native_records.worker_fields(data, 0),
        lambda data: native_records.check(b"", b"", b"", data, b"", 0),
    ],
    "index": [
        lambda data: native_records.result_place(data, 1, 24),
        lambda data: native_records.check(b"", b"", b"", b"", data, 9),
    ],
}


@pytest.mark.parametrize("array", READERS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_arbitrary_bytes_are_read_or_refused(array: str, data: st.DataObject) -> None:
    size = native_records.RECORD_BYTES[array]
    count = data.draw(st.integers(0, 3))
    block = data.draw(st.binary(min_size=size, max_size=size) | st.just(bytes(size)) | st.just(b"\xff" * size))
    records = block * count + data.draw(st.binary(max_size=3))
    for read in READERS[array]:
        try:
            read(records)
        except (ValueError, IndexError):
            continue


@given(st.integers(0, 1015), st.binary(min_size=1, max_size=32))
@settings(max_examples=300, deadline=None)
def test_a_task_with_any_bytes_overwritten_is_read_or_refused(make_raw: MakeRaw, at: int, patch: bytes) -> None:
    record = bytearray(make_raw(1).tasks)
    record[at : at + len(patch)] = patch[: len(record) - at]
    try:
        fields = native_records.task_fields(record, 0)
    except ValueError:
        with pytest.raises(ValueError, match="record 0 of the tasks"):
            native_records.check(record, b"", b"", b"", b"", 0)
    else:
        assert fields["state"] in native_records.STATES
        assert fields["id"]
        native_records.check(record, b"", b"", b"", b"", 0)


@pytest.mark.parametrize("array", STRUCTS)
def test_a_part_of_a_record_is_a_value_error(array: str) -> None:
    for read in READERS[array]:
        with pytest.raises(ValueError, match="not a whole number of records"):
            read(bytes(native_records.RECORD_BYTES[array] + 1))


def test_only_bytes_are_read() -> None:
    with pytest.raises(TypeError):
        native_records.task_fields("text", 0)  # type: ignore[arg-type]
    with pytest.raises(OverflowError):
        native_records.stage_rows(b"", -1)
