"""What a report gathers of a run: sums over all of its tasks, and of the tasks themselves a bounded number."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import pytest

from headway.exporters import _gathered
from headway.exporters._gathered import Gathered, Throughput
from headway.exporters.report import report
from headway.files.past_task import PastTask
from headway.views.board_view import BoardView, TaskView
from headway.views.numbers import Counts

if TYPE_CHECKING:
    from collections.abc import Iterator


def task(number: int, **more: Any) -> TaskView:
    values: dict[str, Any] = {"state": "success", "count": 10, "total": 10, "unit": "file", "owner_pid": 7}
    values |= {"started": 100.0 + number, "ended": 110.0 + number, "taken_at": 9e6, "serial": number, **more}
    return TaskView(id=f"t{number}", **values)


@pytest.mark.parametrize(
    "lines",
    [
        [[(0.0, 0.0), (10.0, 100.0)]],
        [[(0.0, 0.0), (3.0, 5.0), (3.0, 9.0), (10.0, 60.0)], [(9.99, 0.0), (10.0, 40.0)]],
        [[(0.0, 0.0), (0.001, 99.0), (10.0, 100.0)]],
        [[(0.0, 90.0), (5.0, 0.0), (10.0, 100.0)]],
    ],
)
def test_throughput_adds_up_to_what_was_counted(lines: list[list[tuple[float, float]]]) -> None:
    grown = Throughput()
    for points in lines:
        grown.add(points)
    assert grown.tasks == len(lines)
    for begin, end in ((0.0, 10.0), (-5.0, 20.0), (2.0, 4.0)):
        rates = grown.spread(begin, end)
        assert sum(rates) * (end - begin) / len(rates) == pytest.approx(100)
        assert min(rates) >= 0


def test_throughput_of_nothing_has_no_intervals() -> None:
    grown = Throughput()
    assert grown.spread(0.0, 10.0) == []
    grown.add([(5.0, 0.0), (5.0, 7.0)])
    assert grown.spread(5.0, 5.0) == []
    assert sum(grown.spread(0.0, 160.0)) == pytest.approx(7.0)


def test_steps_of_many_tasks_are_added_up_and_keep_their_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, bounded = Throughput(), Throughput()
    for number in range(9000):
        points = [(float(number), 0.0), (number + 3.0, 1.0 + number % 7)]
        whole.add(points)
        with monkeypatch.context() as patched:
            patched.setattr(_gathered, "STEPS_MOST", 3000)
            bounded.add(points)
        assert len(bounded._steps) <= 3 * 3001
    rates, alike = whole.spread(0.0, 9002.0), bounded.spread(0.0, 9002.0)
    assert sum(alike) == pytest.approx(sum(rates))
    assert alike == pytest.approx(rates, rel=0.1)


def test_of_any_number_of_tasks_a_bounded_number_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in (("BARS_MOST", 10), ("SLOWEST", 3), ("KINDS_MOST", 4), ("NAMED_MOST", 20), ("DEAD_MOST", 9)):
        monkeypatch.setattr(_gathered, name, most)
    there: list[weakref.ref[TaskView]] = []

    def stream() -> Iterator[TaskView]:
        for number in range(3000):
            error = f"{'ABCDEFG'[number % 7]}Error: {number}" if number % 3 == 0 else ""
            one = task(number, state="failed" if error else "success", error=error)
            there.append(weakref.ref(one))
            yield one

    gathered, most = Gathered(9e6, ()), 0
    for one in stream():
        gathered.add(one, former=True)
        del one
        if len(there) % 100 == 0:
            most = max(most, sum(reference() is not None for reference in there))
    assert most <= 10 + 3 + 4 + 1
    assert gathered.tasks == gathered.begun == 3000
    assert gathered.former == Counts(success=2000, failed=1000)
    assert sum(kind.count for kind in gathered.kinds.values()) + gathered.dead_of_more_kinds == 1000
    assert sum(len(kind.named) for kind in gathered.kinds.values()) == 20
    assert gathered.throughput["file"].tasks == 3000


def test_the_order_in_which_tasks_come_changes_nothing_that_is_shown() -> None:
    place: dict[str, Any] = {"uuid": "f" * 32, "generation": 1, "archived": 150.0}
    tasks = [
        PastTask(
            **{**task(number).__dict__, "state": ("failed", "lost", "success")[number % 3], "error": "OSError"},
            slot=number,
            **place,
        )
        for number in range(50)
    ]
    view = BoardView.of("night", (), taken_at=200.0)
    assert report(view, tasks) == report(view, tasks[::-1])
