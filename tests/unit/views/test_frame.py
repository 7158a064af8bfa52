"""Views as pandas data frames."""

from __future__ import annotations

import sys

import pytest

from headway import errors
from headway.views.board_view import BoardView, TaskView

NOW = 1_700_000_000.0

TASKS = (
    TaskView(
        id="<one>", state="running", count=35, total=10, unit="bar", started=NOW - 5, beat=NOW, taken_at=NOW, serial=1
    ),
    TaskView(id="two", state="lost", message="<b>", metrics={"loss": 0.5}, started=NOW - 5, taken_at=NOW, serial=2),
)


def test_a_view_as_a_data_frame_has_a_row_for_each_task() -> None:
    pytest.importorskip("pandas")
    frame = BoardView.of("board", TASKS, taken_at=NOW).to_pandas()
    assert list(frame.index) == ["<one>", "two"]
    assert list(frame["state"]) == ["running", "lost"]
    assert frame["started"].iloc[0].timestamp() == NOW - 5
    assert frame["ended"].isna().all()
    assert frame["metrics.loss"].iloc[1] == 0.5


def test_without_pandas_a_data_frame_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(errors.MissingExtra, match="pip install pandas"):
        BoardView.of("board", TASKS, taken_at=NOW).to_pandas()
