"""Views in a notebook: tables in which the texts of a program are text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.files import history
from headway.views.board_view import BoardView, TaskView
from headway.views.html import ROWS_MOST
from tests.unit.conftest import add, ended

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Arrays

NOW = 1_700_000_000.0

TASKS = (
    TaskView(
        id="<one>", state="running", count=35, total=10, unit="bar", started=NOW - 5, beat=NOW, taken_at=NOW, serial=1
    ),
    TaskView(id="two", state="lost", message="<b>", metrics={"loss": 0.5}, started=NOW - 5, taken_at=NOW, serial=2),
)


def test_a_view_in_a_notebook_is_a_table_in_which_texts_are_text() -> None:
    html = BoardView.of("<board>", TASKS, taken_at=NOW)._repr_html_()
    assert "1 running · 1 lost" in html
    assert "&lt;one&gt;" in html
    assert "35 bar" in html
    for text in ("<one>", "<b>", "<board>"):
        assert text not in html.replace("<b><bdi>", "").replace("</bdi></b>", "")
    assert TASKS[1]._repr_html_().count("<tr>") == 2


def test_a_history_in_a_notebook_is_a_table(tmp_path: Path) -> None:
    def name(arrays: Arrays) -> None:
        arrays["tasks"]["label"] = b"<label>"

    add(tmp_path, ended(2, edit=name))
    past = history.read(tmp_path)
    assert len(past) == 2
    for html in (past._repr_html_(), past[0]._repr_html_()):
        assert "&lt;label&gt;" in html
        assert "<label>" not in html


def test_a_table_of_many_tasks_is_cut_and_says_so() -> None:
    view = BoardView.of("board", [TaskView(id=f"t{n}", serial=n) for n in range(ROWS_MOST + 7)], taken_at=NOW)
    html = view._repr_html_()
    assert html.count("<tr>") == ROWS_MOST + 1
    assert "and 7 more" in html
