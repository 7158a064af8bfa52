"""What a report gathers of a run: sums over all of its tasks, and of the tasks themselves a bounded number."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import pytest

from headway.exporters import _gathered
from headway.exporters._gathered import Gathered, Throughput
from headway.exporters.report import report
from headway.files.past_task import PastTask
from headway.files.sketches import Scale, Sketch
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
    begin, end, rates = grown.spread()
    assert (begin, end, grown.tasks) == (5.0 if lines[0][0][1] else 0.0, 10.0, len(lines))
    assert sum(rates) * (end - begin) / len(rates) == pytest.approx(100)
    assert min(rates) >= 0


def test_throughput_of_nothing_has_no_intervals() -> None:
    grown = Throughput()
    assert grown.spread()[2] == []
    grown.add([(5.0, 0.0), (5.0, 7.0)])
    assert grown.spread()[2] == []


def test_steps_of_many_tasks_are_added_up_and_keep_their_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, bounded = Throughput(), Throughput()
    for number in range(9000):
        points = [(float(number), 0.0), (number + 3.0, 1.0 + number % 7)]
        whole.add(points)
        with monkeypatch.context() as patched:
            patched.setattr(_gathered, "STEPS_MOST", 3000)
            bounded.add(points)
        assert len(bounded._steps) <= 3 * 3001
    (begin, end, rates), (same_begin, same_end, alike) = whole.spread(), bounded.spread()
    assert (begin, end) == pytest.approx((same_begin, same_end))
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


def past(number: int, **more: Any) -> PastTask:
    place: dict[str, Any] = {"uuid": "f" * 32, "generation": 1, "archived": 150.0, "slot": number}
    return PastTask(**{**task(number).__dict__, **place, **more})


def test_runs_of_which_only_numbers_are_read_change_nothing_that_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gathered, "BARS_MOST", 20)
    runs = [
        past(
            number,
            id=f"t{number % 50}",
            state=("success", "success", "failed", "cancelled")[number % 4],
            ended=100.0 + number + (number * 7919 % 101) / 50,
            count=number % 13,
            base=number % 3,
            unit=("file", "bar")[number % 2],
        )
        for number in reversed(range(2000))
    ]
    wholes = {("t1", "bar"), ("t2", "file")}
    whole, by_numbers, passed = Gathered(9e6, wholes), Gathered(9e6, wholes), 0
    for run in runs:
        whole.add(run, former=True)
        texts = {"workers_lost": "[]"}
        sketch = Sketch(*(texts.get(name, getattr(run, name, None)) for name in Sketch._fields))
        if by_numbers.passes(sketch, former=True):
            passed += 1
        else:
            by_numbers.add(run, former=True)
    assert 1000 < passed <= 1500
    for name in ("tasks", "begun", "begin", "end", "former"):
        assert getattr(by_numbers, name) == getattr(whole, name)
    assert by_numbers.bars.tasks() == whole.bars.tasks()
    assert by_numbers.slow.tasks() == whole.slow.tasks()
    assert {key: kind.count for key, kind in by_numbers.kinds.items()} == {k: v.count for k, v in whole.kinds.items()}
    for unit, grown in whole.throughput.items():
        assert by_numbers.throughput[unit].tasks == grown.tasks
        assert by_numbers.throughput[unit].spread() == grown.spread()


def test_runs_that_are_looked_at_all_at_once_change_nothing_that_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gathered, "BARS_MOST", 20)
    uuid, other = "f" * 32, "e" * 32
    runs = [
        past(
            number,
            id=f"t{number % 50}",
            state=("success", "success", "failed", "cancelled")[number % 4],
            ended=100.0 + number + (number * 7919 % 101) / 50,
            count=number % 13,
            base=number % 3,
            unit=("file", "bar")[number % 2],
            uuid=(uuid, other)[number % 5 == 0],
        )
        for number in reversed(range(2000))
    ]
    quiet = sorted(((run.elapsed, run.started or 0.0) for run in runs if run.state != "failed"), reverse=True)
    scale, wholes, left = Scale(1999.0, quiet[19]), {("t1", "bar"), ("t2", "file")}, {(1000, 1100.0)}
    whole, at_once, passed = Gathered(9e6, wholes), Gathered(9e6, wholes), 0
    for first in range(0, len(runs), 100):
        texts = {"workers_lost": "[]"}
        some = runs[first : first + 100]
        sketches = [tuple(texts.get(name, getattr(run, name, None)) for name in Sketch._fields) for run in some]
        for run, passes in zip(some, at_once.passes_many(sketches, scale, uuid, left), strict=True):
            assert not (passes and run.serial == 1000)
            passed += passes
            whole.add(run, former=run.uuid != uuid)
            if not passes:
                at_once.add(run, former=run.uuid != uuid)
    assert passed > 1300
    for name in ("tasks", "begun", "begin", "end", "former"):
        assert getattr(at_once, name) == getattr(whole, name)
    assert at_once.bars.tasks() == whole.bars.tasks()
    assert at_once.slow.tasks() == whole.slow.tasks()
    assert {key: kind.count for key, kind in at_once.kinds.items()} == {k: v.count for k, v in whole.kinds.items()}
    for unit, grown in whole.throughput.items():
        assert at_once.throughput[unit].tasks == grown.tasks
        assert at_once.throughput[unit].spread()[2] == pytest.approx(grown.spread()[2])


@pytest.mark.parametrize(
    "odd",
    [
        {"state": "failed"},
        {"state": "lost"},
        {"workers_lost": "[[7, 1, 5, 101.0, false]]"},
        {"started": None},
        {"ended": None},
        {"started": "yesterday"},
        {"count": "many"},
        {"base": 1.5},
        {"unit": "another"},
        {"ended": 1e6},
    ],
    ids=str,
)
def test_what_is_shown_or_odd_is_read_whole(odd: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gathered, "BARS_MOST", 1)
    monkeypatch.setattr(_gathered, "SLOWEST", 1)
    gathered = Gathered(9e6, ())
    gathered.add(past(5000, started=100.0, ended=9000.0))
    usual: dict[str, Any] = {"uuid": "f" * 32, "serial": 1, "id": "a", "unit": "file", "state": "success"}
    usual |= {"count": 3, "base": 0, "started": 200.0, "ended": 201.0, "workers_lost": "[]"}
    assert not gathered.passes(Sketch(**{**usual, **odd}))
    scale = Scale(9000.0, (500.0, 0.0))
    assert gathered.passes_many([tuple(Sketch(**{**usual, **odd}))], scale, "", ()) == [False]
    assert gathered.tasks == 1
    assert gathered.passes(Sketch(**usual))
    assert gathered.passes_many([tuple(Sketch(**usual))], scale, "", ()) == [True]
