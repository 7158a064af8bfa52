"""`headway.process_map` and `thread_map` in this process: what they refuse, and what they show."""

from __future__ import annotations

import functools
import inspect
import operator
import threading
from typing import TYPE_CHECKING, Any

import pytest

import headway
from headway.pools.crew import ended_by

if TYPE_CHECKING:
    from headway.engine.board import Board

BOTH = pytest.mark.parametrize("call", [headway.process_map, headway.thread_map])


@BOTH
@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((3, [1]), {}, "fn is called for each item, and 3 cannot be called"),
        ((abs,), {}, "there is nothing to go through"),
        ((abs, 3), {}, r"3 is not iterable: for so many steps say range\(3\)"),
        ((abs, [1]), {"on_error": "ignore"}, "on_error 'ignore' is none of 'raise', 'finish', 'skip', 'return'"),
        ((abs, [1]), {"max_workers": -1}, "max_workers -1 is too small: give 0 or more"),
        ((abs, [1]), {"max_workers": "two"}, "max_workers 'two' is not a whole number: give 0 or more"),
        ((abs, [1]), {"chunksize": 0}, "chunksize 0 is too small: give 1 or more"),
        ((abs, [1]), {"label": 3}, "label"),
        ((abs, [1]), {"total": -1}, "total -1 is out of range"),
    ],
)
def test_what_makes_no_sense_is_refused_at_the_call(
    call: Any, arguments: Any, options: Any, message: str, board: Board
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call(*arguments, board=board, lazy=True, **options)
    assert not list(board)


def test_an_unknown_start_method_is_refused_at_the_call(board: Board) -> None:
    with pytest.raises(ValueError, match="jump"):
        headway.process_map(abs, [1], mp_context="jump", board=board, lazy=True)


def test_the_names_and_the_order_of_arguments_are_tqdms_where_both_have_them() -> None:
    names = list(inspect.signature(headway.process_map).parameters)
    assert names[:4] == ["fn", "iterables", "max_workers", "chunksize"]
    assert {"total", "unit", "disable", "mp_context"} <= set(names)
    of_threads = list(inspect.signature(headway.thread_map).parameters)
    assert of_threads == [name for name in names if name not in ("retries", "mp_context")]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_task_is_named_by_the_function_and_its_total_is_that_of_the_shortest_iterable(
    workers: int, board: Board
) -> None:
    found = headway.thread_map(operator.add, [1, 2, 3], range(10), max_workers=workers, board=board)
    assert found == [1, 3, 5]
    headway.thread_map(functools.partial(pow, 2), iter([1, 2]), max_workers=workers, board=board, unit="B")
    headway.thread_map(lambda n: n, [1], label="lambdas", max_workers=workers, board=board)
    add, power, named = board
    assert (add.id, add.total, add.count, add.state) == ("add", 3, 3, "success")
    assert (power.id, power.total, power.count, power.unit) == ("pow", 2, 2, "B")
    assert (named.id, named.label) == ("lambdas", "lambdas")


def test_a_map_is_the_current_task_of_its_items_and_of_nobody_else_afterwards(board: Board) -> None:
    def inside(_: int) -> str:
        return headway.current().id

    before = headway.current()
    assert set(headway.thread_map(inside, range(8), max_workers=2, label="outer", board=board)) == {"outer"}
    assert headway.current() is before


def test_a_map_that_runs_again_within_a_loop_is_the_same_task(board: Board) -> None:
    for _ in headway.track(range(3), "outer", board=board):
        headway.thread_map(abs, range(4), max_workers=0)
    assert [(view.id, view.count) for view in board] == [("outer", 3), ("outer/abs", 4)]


def test_nothing_is_told_of_a_map_that_is_disabled(board: Board) -> None:
    assert headway.thread_map(abs, [-1], disable=True, board=board) == [1]
    assert not list(board)


def test_the_failure_of_a_thread_keeps_its_traceback_and_names_the_item(board: Board) -> None:
    def fail(item: str) -> None:
        raise LookupError(item)

    with pytest.raises(LookupError, match="BTC") as caught:
        headway.thread_map(fail, ["BTC-1h"], max_workers=1, board=board)
    assert caught.traceback[-1].name == "fail"
    assert caught.value.__notes__ == ["headway: item BTC-1h", "headway: fail was at 0/1"]


def test_a_thread_that_ends_itself_ends_its_item_alone(board: Board) -> None:
    def leave(item: int) -> int:
        if item == 3:
            raise SystemExit(item)
        return item

    found = headway.thread_map(leave, range(6), max_workers=2, on_error="return", board=board)
    assert [type(one).__name__ for one in found] == ["int"] * 3 + ["SystemExit"] + ["int"] * 2


def test_an_iterable_that_raises_ends_the_map_with_its_exception(board: Board) -> None:
    def numbers() -> Any:
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        headway.thread_map(abs, numbers(), max_workers=1, board=board)
    view = board.get("abs")
    assert view is not None
    assert view.state == "failed"


def test_results_that_are_slow_to_come_are_handed_out_one_by_one(board: Board) -> None:
    go_on = threading.Event()

    def wait_at_one(item: int) -> int:
        if item == 1:
            go_on.wait(60)
        return item

    results = headway.thread_map(wait_at_one, range(3), max_workers=1, chunksize=1, lazy=True, board=board)
    assert next(results) == 0
    go_on.set()
    assert list(results) == [1, 2]


def test_how_a_process_ended_is_said_in_words() -> None:
    assert ended_by(-9) == "was killed by SIGKILL"
    assert ended_by(-40) == "was killed by signal 40"
    assert ended_by(3) == "ended with exit code 3"
    assert ended_by(None) == "ended"
