"""A view of a board: what a run has counted, what stands in it, and how it shows itself."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Any

import pytest

from headway import errors
from headway.files import history
from headway.standin import board as standin
from headway.views.board_view import BoardView, TaskView
from headway.views.numbers import Counts
from tests.unit.conftest import add, ended

if TYPE_CHECKING:
    from pathlib import Path

    from headway.engine.board import Board
    from tests.unit.conftest import Arrays

NOW = 1_700_000_000.0


def test_the_totals_of_a_run_never_go_backwards_though_tasks_give_up_their_places(board: Board) -> None:
    seen = [board.snapshot().counts]
    for number in range(100):
        task = board.task(f"t{number}")
        if number % 3 == 0:
            task.fail("why")
        else:
            task.succeed()
        seen.append(board.snapshot().counts)
    for before, after in itertools.pairwise(seen):
        assert after.total == before.total + 1
        assert after.ended == before.ended + 1
        assert all(after[state] >= before[state] for state in ("success", "failed", "lost"))
    assert seen[-1] == Counts(success=66, failed=34)
    assert len(board.snapshot()) <= 16


def test_a_task_that_is_started_anew_leaves_its_last_run_in_the_totals(board: Board) -> None:
    board.task("one").fail("why")
    board.task("one").succeed()
    assert board.snapshot().counts == Counts(success=1, failed=1)


def test_a_snapshot_file_tells_the_totals_of_the_run(board: Board) -> None:
    from headway.files import snapshot

    for number in range(40):
        board.task(f"t{number}").succeed()
    board.write_snapshot()
    assert snapshot.read(board.directory).counts == Counts(success=40)


def test_the_stand_in_counts_a_run_as_the_engine_does() -> None:
    with standin.open_board("totals", capacity=4) as board:
        for number in range(9):
            board.task(f"t{number}").succeed()
        board.task("t8").fail("why")
        assert board.snapshot().counts == Counts(success=9, failed=1)


TASKS = (
    TaskView(
        id="<one>", state="running", count=35, total=10, unit="bar", started=NOW - 5, beat=NOW, taken_at=NOW, serial=1
    ),
    TaskView(id="two", state="lost", message="<b>", metrics={"loss": 0.5}, started=NOW - 5, taken_at=NOW, serial=2),
)


def test_a_view_in_a_notebook_is_a_table_in_which_texts_are_text() -> None:
    html = BoardView.of("<board>", TASKS, taken_at=NOW)._repr_html_()
    assert "1 lost · 1 running" in html
    assert "&lt;one&gt;" in html
    assert "35 bar" in html
    for text in ("<one>", "<b>", "<board>"):
        assert text not in html.replace("<b><bdi>", "").replace("</bdi></b>", "")
    assert TASKS[1]._repr_html_().count("<tr>") == 2


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


@pytest.mark.parametrize("id", [None, 5, b"two", "three"])
def test_what_is_no_id_of_a_task_is_not_in_a_view(id: Any) -> None:
    view = BoardView.of("board", TASKS, taken_at=NOW)
    assert id not in view
    assert "two" in view
    assert [task.id for task in view] == ["<one>", "two"]


def test_a_history_in_a_notebook_is_a_table(tmp_path: Path) -> None:
    def name(arrays: Arrays) -> None:
        arrays["tasks"]["label"] = b"<label>"

    add(tmp_path, ended(2, edit=name))
    past = history.read(tmp_path)
    assert len(past) == 2
    for html in (past._repr_html_(), past[0]._repr_html_()):
        assert "&lt;label&gt;" in html
        assert "<label>" not in html
