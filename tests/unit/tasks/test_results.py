"""Results as JSON, on the engine and its stand-in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from headway import errors
from headway.views.board_view import TaskView

if TYPE_CHECKING:
    from headway.engine.board import Board
    from tests.conftest import RunPython


def view_of(board: Board, id: str = "one") -> TaskView:
    view = board.get(id)
    assert view is not None
    return view


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ({"auc": 0.91, "folds": [1, 2, 3], "ok": True, "none": None}, None),
        ("text é", None),
        ([1, 2], None),
        (0, None),
        (False, None),
        ({}, None),
        ((1, 2), [1, 2]),
        ({"nan": math.nan, "inf": -math.inf}, {"nan": None, "inf": None}),
        ({3, 1, 2}, [1, 2, 3]),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        ({"a": np.arange(3), "nan": np.float64("nan")}, {"a": [0, 1, 2], "nan": None}),
        ({1: "number", None: "nothing"}, {"1": "number", "null": "nothing"}),
    ],
    ids=repr,
)
def test_a_result_reads_as_json(value: Any, read: Any, any_board: Board) -> None:
    expected = value if read is None else read
    with any_board.task("one") as task:
        task.result = value
        assert task.result == expected
        assert type(task.result) is type(expected)
    assert view_of(any_board).result == expected


def test_a_result_that_does_not_fit_is_refused_and_the_old_one_kept(any_board: Board) -> None:
    task = any_board.task("one")
    task.result = {"auc": 0.91}
    with pytest.raises(errors.ResultTooLarge, match="256"):
        task.result = "x" * 255
    with pytest.raises(errors.ResultTooLarge):
        task.merge_result({"long": "x" * 250})
    assert task.result == {"auc": 0.91}
    task.result = "x" * 254
    assert len(task.result) == 254


@pytest.mark.parametrize("value", [object(), {"f": print}, {(1, 2): 3}, b"bytes"], ids=repr)
def test_what_is_no_json_is_refused_and_the_old_one_kept(value: Any, any_board: Board) -> None:
    task = any_board.task("one")
    task.result = 5
    with pytest.raises(TypeError):
        task.result = value
    assert task.result == 5


def test_a_result_is_merged_key_by_key(any_board: Board) -> None:
    task = any_board.task("one")
    assert task.merge_result({"a": 1}) == {"a": 1}
    assert task.merge_result({"b": np.float64(2), "a": 3}) == {"a": 3, "b": 2.0}
    task.result = [1]
    with pytest.raises(TypeError, match="not an object"):
        task.merge_result({"a": 1})
    assert task.result == [1]
    task.result = None
    assert task.result is None
    assert task.merge_result({"c": 1}) == {"c": 1}


def test_a_result_may_still_be_written_when_the_task_has_ended(any_board: Board) -> None:
    with any_board.task("one") as task:
        pass
    task.result = "late"
    assert view_of(any_board).result == "late"


def test_four_processes_that_merge_at_once_lose_nothing(board_name: str, run_python: RunPython) -> None:
    script = """
import multiprocessing, sys
from headway.engine.board import open_board

def merge(task, number):
    for round in range(100):
        task.merge_result({f"{number}-{round % 10}": round})

board = open_board(sys.argv[1], capacity=4, result_bytes=1024)
try:
    task = board.task("one")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=merge, args=(task, number)) for number in range(4)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert task.result == {f"{number}-{last}": 90 + last for number in range(4) for last in range(10)}, task.result
finally:
    board.remove(files=True)
"""
    run_python(script, board_name)
