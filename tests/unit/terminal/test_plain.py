"""A board as lines: what stands first, what is left out, and that nothing is wider than the screen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from headway.terminal.plain import bars, lines
from headway.terminal.row import Style, bar
from headway.terminal.text import width
from headway.views import words
from headway.views.board_view import BoardView, TaskView

if TYPE_CHECKING:
    from collections.abc import Iterable

NOW = 1_700_000_000.0
PLAIN = Style()
ASCII = Style(unicode=False, encoding="ascii")
COLOURED = Style(colour=True)


def task(id: str, state: str = "running", **values: Any) -> TaskView:
    values = {"started": NOW - 10, "beat": NOW - 1, "taken_at": NOW, "unit": "bar", **values}
    if state not in ("pending", "running"):
        values.setdefault("ended", NOW - 1)
    return TaskView(id=id, state=state, **values)


def board(tasks: Iterable[TaskView]) -> BoardView:
    return BoardView.of("nightly", tasks, taken_at=NOW)


ODD = board(
    [
        task(
            "a/..",
            label="全部" * 20,
            total=5000,
            count=2100,
            rate=95.2,
            stage="fit",
            message="fold 3/5 \x1b[2J",
            serial=1,
        ),
        task("🎉" * 20, total=0, serial=2),
        task("z\u0335\u0335\u0335\u0335", "lost", owner_pid=4242, stage="parse", message="\u202edecoder.py", serial=3),
        task("failed", "failed", error="ValueError: \x1b]0;title\a" + "long " * 40, count=10**15, serial=4),
        task("a/../child", "success", parent="a/..", total=10**12, count=10**12, serial=5),
        task("waiting", "pending", serial=6),
    ]
)


def test_the_last_row_of_a_loop_says_why_it_ended() -> None:
    left = task("files", "cancelled", total=10, count=4, error="the loop was left early", message="row 4")
    (row,) = bars([(left, 0)], 79)
    assert row.endswith("cancelled the loop was left early")
    (row,) = bars([(task("files", "failed", error="OSError: disk \x1b[2Jaway"), 0)], 79)
    assert row.endswith(r"OSError: disk \x1b[2Jaway")
    (row,) = bars([(task("files", message="row 4"), 0)], 79)
    assert row.endswith("row 4")


@pytest.mark.parametrize("style", [PLAIN, ASCII], ids=["unicode", "ascii"])
def test_no_line_is_wider_than_the_screen(style: Style) -> None:
    for columns in range(1, 160):
        for line in lines(ODD, columns, None, style):
            assert width(line) <= columns, (columns, line)
            assert "\x1b" not in line


def test_colours_take_no_columns() -> None:
    for columns in (20, 40, 80, 120):
        bare = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in lines(ODD, columns, None, COLOURED)]
        assert bare == lines(ODD, columns, None, PLAIN)


def test_what_the_encoding_lacks_is_not_in_the_lines() -> None:
    for line in lines(ODD, 80, None, ASCII):
        line.encode("ascii")


@pytest.mark.parametrize("rows", range(12))
def test_there_are_no_more_lines_than_rows(rows: int) -> None:
    shown = lines(ODD, 80, rows)
    assert len(shown) <= rows
    whole = lines(ODD, 80)
    if rows >= len(whole):
        assert shown == whole


def test_each_state_is_told_by_word_and_by_colour() -> None:
    states = ("pending", "running", "success", "failed", "cancelled", "lost")
    shown = lines(board(task(f"t{n}", state, serial=n) for n, state in enumerate(states)), 100, None, COLOURED)
    colours = set()
    for told in map(words.state, states):
        (found,) = {re.search(rf"\x1b\[([\d;]+)m{told}", line)[1] for line in shown[1:] if f"m{told}" in line}  # type: ignore[index]
        colours.add(found)
    assert len(colours) >= 5  # running and the dull ones may not be told by colour alone


def test_a_task_without_a_sign_of_life_is_stalled() -> None:
    assert "stalled" in lines(board([task("x", beat=NOW - 60, started=NOW - 90)]), 100)[1]


def test_if_not_all_fit_the_lost_and_failed_come_first_and_the_rest_is_counted() -> None:
    many = [task(f"ok-{n}", "success", serial=n) for n in range(20)]
    many += [task(f"p-{n}", "pending", serial=100 + n) for n in range(20)]
    many += [task("busy", serial=200), task("dead", "lost", serial=201), task("broken", "failed", serial=202)]
    shown = lines(board(many), 100, 8)
    ids = {line.split()[0] for line in shown[1:-1]}
    assert {"dead", "broken", "busy"} <= ids
    assert len(shown) == 8
    left_out = int(re.search(r"and (\d+) more", shown[-1])[1])  # type: ignore[index]
    told = sum(line.split()[0] in {one.id for one in many} for line in shown[1:-1])
    assert left_out + told == len(many)


def test_children_stand_under_their_parent_wherever_they_were_made() -> None:
    tasks = [task("a", serial=1), task("b", serial=2), task("a/1", parent="a", label="one", serial=3)]
    assert [line.rstrip().split("▕")[0].rstrip() for line in lines(board(tasks), 80)[1:]] == ["a", "  one", "b"]


def test_a_child_whose_parent_is_not_shown_has_its_whole_id() -> None:
    assert "gone/1" in lines(board([task("gone/1", parent="gone", label="1")]), 80)[1]


def test_the_summary_counts_the_states() -> None:
    first = lines(ODD, 200)[0]
    assert first == "nightly  2 running · 1 lost · 1 failed · 1 pending · 1 succeeded · ETA ≥ 30 s · 0 workers"


def test_the_summary_counts_a_stalled_task_once_and_leaves_it_out_of_the_time_left() -> None:
    late: dict[str, Any] = {"beat": NOW - 60, "total": 100, "count": 1, "rate": 1e-7}
    tasks = [task("on", total=100, count=10, rate=1.0), task("stuck", **late), task("too", **late)]
    (first,) = lines(board(tasks), 200, 1)
    assert first == "nightly  3 running (2 stalled) · ETA ≥ 1:30, 2 stalled not counted · 0 workers"


def test_a_stalled_task_shows_no_rate_that_fades_and_no_time_left() -> None:
    shown = bar(task("x", total=100, count=1, rate=1e-7, beat=NOW - 60), 200, PLAIN)
    assert "ETA" not in shown
    assert re.search(r" 0/s ", shown)
