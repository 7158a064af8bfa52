"""One task as one line, and what of it an output can show."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import pytest

from headway.terminal.plain import lines
from headway.terminal.row import Style, bar
from headway.views.board_view import BoardView, ShareView, TaskView

if TYPE_CHECKING:
    from collections.abc import Iterable

NOW = 1_700_000_000.0
PLAIN = Style()
ASCII = Style(unicode=False, encoding="ascii")


def task(id: str, state: str = "running", **values: Any) -> TaskView:
    values = {"started": NOW - 10, "beat": NOW - 1, "taken_at": NOW, "unit": "bar", **values}
    if state not in ("pending", "running"):
        values.setdefault("ended", NOW - 1)
    return TaskView(id=id, state=state, **values)


def board(tasks: Iterable[TaskView]) -> BoardView:
    return BoardView.of("nightly", tasks, taken_at=NOW)


def test_a_lost_task_says_whose_death_and_where_it_stood() -> None:
    died = task("x", "lost", owner_pid=4242, stage="parse", message="decoder.py", count=12, total=40)
    assert "pid 4242 died in stage parse at 12/40 bar: decoder.py" in lines(board([died]), 100)[2]


def test_a_failed_task_says_why() -> None:
    assert "ValueError: no such bar" in lines(board([task("x", "failed", error="ValueError: no such bar")]), 100)[2]


def test_a_dead_worker_of_a_running_task_is_named_with_its_share() -> None:
    share = ShareView(pid=77, incarnation=3, count=1200, beat=NOW - 3, alive=False)
    line = lines(board([task("x", workers_lost=(share,))]), 100)[2]
    assert "worker pid 77 died here: it counted 1,200 bar, last 3.0 s ago" in line


def test_who_died_is_named_with_what_it_had_in_hand() -> None:
    one = ShareView(77, 3, 1200, NOW - 3, False, "BTC-1h", 42.0)
    other = ShareView(78, 4, 5, NOW - 3, False)
    running = lines(board([task("x", workers_lost=(one,))]), 120)[2]
    assert "worker pid 77 (BTC-1h, taken up 42 s ago) died here: it counted 1,200 bar" in running
    assert "2 workers died here: pid 77 (BTC-1h), 78" in lines(board([task("x", workers_lost=(one, other))]), 120)[2]
    lost = task("x", "lost", count=12, total=40, owner_pid=77, workers_lost=(other, one))
    assert "pid 77 died with BTC-1h in hand for 42 s, at 12/40 bar" in lines(board([lost]), 120)[2]
    parents = task("x", "lost", count=12, total=40, owner_pid=9, workers_lost=(one,))
    assert "pid 9 died and pid 77, which had BTC-1h in hand for 42 s, at 12/40" in lines(board([parents]), 120)[2]


def test_all_who_died_on_a_lost_task_are_named_with_what_they_had_in_hand() -> None:
    names = ("BTC", "ETH", "SOL", "ADA", "XRP", "DOT", "LTC")
    shares = [ShareView(77 + n, n, 1, NOW - 3 - n, False, name, 42.0) for n, name in enumerate(names)]

    def told(owner: int, count: int) -> str:
        died = task("x", "lost", count=12, total=40, owner_pid=owner, workers_lost=tuple(reversed(shares[:count])))
        return lines(board([died]), 200)[2].partition(": ")[0].strip(" ↳")

    assert told(77, 2) == "pid 77 died with BTC in hand for 42 s, and pid 78 (ETH), at 12/40 bar"
    assert (
        told(9, 3) == "pid 9 died and pid 77, which had BTC in hand for 42 s, and pid 78 (ETH), 79 (SOL), at 12/40 bar"
    )
    four = "pid 77 (BTC), 78 (ETH), 80 (ADA), 81 (XRP)"
    assert told(79, 7) == f"pid 79 died with SOL in hand for 42 s, and {four} and 2 others, at 12/40 bar"


def test_a_stalled_task_says_what_its_workers_have_in_hand() -> None:
    shares = (ShareView(77, 3, 9, NOW - 60, True, "ETH", 60.0), ShareView(78, 4, 9, NOW - 90, True, "BTC", 192.0))
    hangs = task("x", beat=NOW - 60, workers=shares)
    assert "pid 78 has had BTC in hand for 3:12, 1 other have theirs" in lines(board([hangs]), 120)[2]
    assert len(lines(board([task("x", beat=NOW - 1, workers=shares)]), 120)) == 2, "only if it is stalled"
    assert len(lines(board([task("x", beat=NOW - 60)]), 120)) == 2, "there is nothing to tell"


@pytest.mark.parametrize("total", [0, 10])
def test_a_count_above_its_total_drops_the_total(total: int) -> None:
    shown = bar(task("x", total=total, count=35, rate=2.0), 200, PLAIN)
    assert "35 bar" in shown
    assert "/10" not in shown
    assert "%" not in shown
    assert "ETA" not in shown


def test_an_estimate_of_more_than_a_hundred_years_is_none() -> None:
    assert "ETA" not in bar(task("x", total=10**12, count=0, rate=1e-3), 200, PLAIN)
    assert "ETA 31 y 259 d" in bar(task("x", total=10**6, count=0, rate=1e-3), 200, PLAIN)


@pytest.mark.parametrize(("count", "full"), [(0, 0), (1, 0), (50, 10), (99, 19), (100, 20)])
def test_the_bar_is_never_fuller_than_the_count(count: int, full: int) -> None:
    shown = bar(task("x", total=100, count=count), 200, ASCII)
    found = re.search(r"\[(#*) *\]", shown)
    assert found is not None
    cells = len(found[0]) - 2
    assert len(found[1]) == int(min(count / 100, 1.0) * cells)
    assert (count >= 100) == ("100%" in shown)
    assert full <= len(found[1]) * 20 / cells + 1


def test_one_task_as_one_line() -> None:
    shown = bar(task("x", total=5000, count=2100, rate=95.2, stage="fit", message="fold 3/5"), 120, PLAIN)
    assert re.fullmatch(r"x +▕█+.? +▏ +42% +2,100/5,000 bar +95\.2/s +ETA 30 s +fit · fold 3/5", shown), shown


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "colour"),
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({}, False)],
)
def test_colours_are_for_terminals_that_want_them(environ: dict[str, str], colour: bool) -> None:
    assert Style.of(_Terminal(), environ).colour is colour
    assert Style.of(io.StringIO(), environ).colour is False


def test_an_output_that_cannot_show_blocks_gets_ascii(tmp_path: Any) -> None:
    for encoding, unicode in (("utf-8", True), ("ascii", False), ("latin-1", False)):
        with (tmp_path / encoding).open("w", encoding=encoding) as file:
            assert Style.of(file).unicode is unicode
