"""The points of the charts of tasks, on real boards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headway.dashboard.state import charts
from headway.dashboard.state.charts import Charts, Note
from headway.engine.board import Board, open_board
from headway.views.board_view import BoardView

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def board(headway_dir: Path, board_name: str) -> Iterator[Board]:
    made = open_board(board_name, capacity=32)
    yield made
    made.remove(files=True)


def test_the_course_of_a_task_reaches_back_in_bounded_memory(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "POINTS_MAX", 20)
    monkeypatch.setattr(charts, "POINTS_MIN", 10)
    task = board.task("one", total=1000)
    board.task("other").update()
    charts_of_a_board = Charts()
    base = board.snapshot().raw.meta["taken_ns"]
    for second in range(200):
        task.update()
        task.set(metrics={"loss": 1 / (second + 1)})
        raw = board.snapshot().raw
        view = BoardView.from_raw(raw._replace(meta={**raw.meta, "taken_ns": base + second * 1_000_000_000}))
        if view.taken_at >= charts_of_a_board.due_at:
            charts_of_a_board.add(Note.of(view))
    view = board.snapshot()
    found = view.get("one")
    assert found is not None
    told = charts_of_a_board.of(found.serial, list(found.metrics))
    series = told["series"]
    assert 10 <= len(series) <= 20
    assert series[0][0] == round(base / 1e9, 3), "from the beginning"
    assert series[-1][0] > series[0][0] + 150, "to the present"
    assert [count for _, count in series] == sorted(count for _, count in series)
    assert len(told["metric_series"]["loss"]) == len(series)
    other = view.get("other")
    assert other is not None
    assert charts_of_a_board.of(other.serial, [])["metric_series"] == {}
    assert charts_of_a_board.of(999, ["x"]) == {"series": [], "metric_series": {"x": []}}
