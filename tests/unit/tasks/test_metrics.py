"""The metrics of a task, on the engine and its stand-in."""

from __future__ import annotations

import json
import math
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from headway.tasks.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.engine.board import Board
    from headway.views.board_view import TaskView


def view_of(board: Board, id: str = "one") -> TaskView:
    view = board.get(id)
    assert view is not None
    return view


def test_metrics_are_added_and_changed_and_what_is_returned_is_read_only(any_board: Board) -> None:
    task = any_board.task("one")
    task.set(metrics={"loss": 0.5})
    task.set(metrics={"loss": 0.25, "nan": math.nan})
    assert task.metrics["loss"] == 0.25
    assert math.isnan(task.metrics["nan"])
    changes: list[Callable[[Any], object]] = [
        lambda metrics: metrics.update(loss=1.0),
        lambda metrics: metrics.__setitem__("loss", 1.0),
        lambda metrics: metrics.__delitem__("loss"),
        lambda metrics: metrics.pop("loss"),
        lambda metrics: metrics.popitem(),
        lambda metrics: metrics.clear(),
        lambda metrics: metrics.setdefault("more", 1.0),
        lambda metrics: metrics.__ior__({"more": 1.0}),
    ]
    for found in (task.metrics, task.view().metrics, view_of(any_board).metrics, any_board.snapshot().tasks[0].metrics):
        for change in changes:
            with pytest.raises(TypeError, match=r"task\.set\(metrics="):
                change(found)
        assert set(found) == {"loss", "nan"}
        assert type(pickle.loads(pickle.dumps(found))) is type(found)
        assert json.loads(json.dumps({**found, "nan": 0})) == {"loss": 0.25, "nan": 0}


def test_metrics_are_a_dict_in_every_way_but_one() -> None:
    metrics = Metrics(a=1.0)
    assert metrics == {"a": 1.0}
    assert {**metrics, "b": 2.0} == {"a": 1.0, "b": 2.0}
    assert metrics | {"b": 2.0} == {"a": 1.0, "b": 2.0}
    assert dict(metrics) == {"a": 1.0}
