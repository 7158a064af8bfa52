"""What a notebook is given to show: a table that is whole, safe, and still a table without its styles."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from headway.bars.cell import COLOURS, board_bundle, tasks_bundle
from headway.views import words
from headway.views.board_view import BoardView, TaskView, WorkerView

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</td></table><script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "\u202etxt.exe",
    "\x1b[31m",
    "&lt;b&gt;",
    "🚀" * 20,
)


class Table(HTMLParser):
    """The rows of the table as texts, and all tags and attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.names: set[str] = set()
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.names |= {tag, *(name for name, _ in attrs)}
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.rows and "td" in self.open:
            self.rows[-1][-1] += data


def task(id: str, **more: object) -> TaskView:
    values: dict[str, object] = {"state": "running", "count": 30, "total": 120, "unit": "row", "taken_at": 20.0}
    return TaskView(id=id, **{**values, **more})  # type: ignore[arg-type]


def board(*tasks: TaskView) -> BoardView:
    return BoardView.of("night <b>", tasks, [WorkerView(incarnation=1, pid=7)], taken_at=20.0)


def test_a_board_is_a_table_with_its_parts_below_each_other() -> None:
    parts = task("all", label="All"), task("all/a", parent="all", serial=1, stage="fit", message="fold 3")
    html = board_bundle(board(*parts), 12)["text/html"]
    assert Table(html).rows == [
        ["All", "", "25%", "30/120 row", "", "", "● running", ""],
        ["all/a", "", "25%", "30/120 row", "", "", "● running", "fit · fold 3"],
    ]
    assert html.count("padding-left:16px") == 1
    assert "night &lt;b&gt;" in html
    assert html.count("width:25.0%") == 2


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_programs_stay_texts(text: str) -> None:
    hostile = task("a", label=text, unit=text[:10], stage=text, message=text, state="failed", error=text)
    for html in (board_bundle(board(hostile), 12)["text/html"], tasks_bundle([(hostile, 0)])["text/html"]):
        table = Table(html)
        assert table.names <= {"div", "span", "table", "tbody", "tr", "td", "bdi", "style", "aria-hidden", "colspan"}
        assert "\u202e" not in html
        assert "\x1b" not in html
        if text.isascii() and text.isprintable():
            assert table.rows[0][0] == text
            assert table.rows[1] == [f"↳ {text}"]


@pytest.mark.parametrize("state", [state for state in COLOURS if state != "stalled"])
def test_every_state_is_a_word_and_a_colour(state: str) -> None:
    html = board_bundle(board(task("a", state=state)), 12)["text/html"]
    assert f"● {words.state(state)}" in [cell for row in Table(html).rows for cell in row]
    assert COLOURS[state] in html


def test_what_has_no_room_is_told() -> None:
    bundle = board_bundle(board(*(task(f"t{n}", serial=n, state="pending") for n in range(50))), 13)
    assert len(Table(bundle["text/html"]).rows) == 11
    assert "… and 39 more (39 pending)" in bundle["text/html"]
    assert len(bundle["text/plain"].splitlines()) == 13
    assert len(bundle["text/html"]) < 20_000


def test_without_a_total_the_bar_is_faint_until_the_end() -> None:
    assert "width:100.0%" in (html := board_bundle(board(task("a", total=None)), 12)["text/html"])
    assert "opacity:.35" in html
    assert "opacity" not in board_bundle(board(task("a", total=None, state="success")), 12)["text/html"]


def test_loops_stand_below_each_other() -> None:
    rows = Table(tasks_bundle([(task("outer"), 0), (task("outer/inner", label="inner"), 1)])["text/html"]).rows
    assert [row[0] for row in rows] == ["outer", "inner"]
