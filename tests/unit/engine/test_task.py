"""The life of a task, on a board in shared memory and on one of its stand-in: what one promises, the other keeps."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import enum
import gc
import json
import math
import os
import pickle
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from headway import errors
from headway.engine.task import Task
from headway.views.board_view import TaskView

if TYPE_CHECKING:
    from headway.engine.board import Board
    from tests.conftest import RunPython


def view_of(board: Board, id: str = "one") -> TaskView:
    view = board.get(id)
    assert view is not None
    return view


# --- how it begins


class Symbol(enum.StrEnum):
    FIRST = "one"


def test_an_id_may_be_a_member_of_an_enum_of_texts(any_board: Board) -> None:
    task = any_board.task(Symbol.FIRST, unit=Symbol.FIRST, label=Symbol.FIRST)
    assert task.id == "one"
    assert any_board.attach(Symbol.FIRST) == task
    view = any_board.get(Symbol.FIRST)
    assert view is not None
    assert (view.id, view.unit, view.label) == ("one", "one", "one")


def test_a_new_task_is_pending_and_empty(any_board: Board) -> None:
    task = any_board.task("one")
    assert (task.id, task.state, task.count, task.total, task.parent) == ("one", "pending", 0, None, None)
    assert (task.stage, task.message, task.metrics, task.result, task.resumed_from) == ("", "", {}, None, None)
    view = view_of(any_board)
    assert (view.unit, view.started, view.ended, view.owner_pid) == ("it", None, None, os.getpid())


@pytest.mark.parametrize(
    "begin",
    [
        lambda task: task.__enter__(),
        lambda task: task.update(),
        lambda task: task.update(0),
        lambda task: task.adopt(),
        lambda task: task.set(stage="fit"),
        lambda task: setattr(task, "message", "hello"),
        lambda task: task.set(metrics={"loss": 1}),
    ],
    ids=["with", "update", "update of none", "adopt", "stage", "message", "metrics"],
)
def test_a_task_runs_from_its_first_use_on(begin: Any, any_board: Board) -> None:
    task = any_board.task("one")
    begin(task)
    assert task.state == "running"
    view = view_of(any_board)
    assert view.started is not None
    assert view.created is not None
    assert view.started >= view.created
    task.__exit__(None, None, None)


def test_a_total_alone_does_not_make_it_run(any_board: Board) -> None:
    task = any_board.task("one")
    task.total = 5
    assert (task.state, task.total) == ("pending", 5)


LEGAL_IDS = ["a", "BTC-1h/fold 3", "../../etc/passwd", "/", "..", "🦊 and 日本", "x" * 95, "é" * 47, "\n\x1b[2J", "NaN"]
ILLEGAL_IDS = ["", "x" * 96, "é" * 48, "a\0b", "\0", "\ud800"]


@pytest.mark.parametrize("id", LEGAL_IDS)
def test_legal_ids_are_kept_to_the_letter(id: str, any_board: Board) -> None:
    assert any_board.task(id).id == id
    assert [view.id for view in any_board.tasks()] == [id]
    any_board.attach(id).update(2)
    assert view_of(any_board, id).count == 2


@pytest.mark.parametrize("id", ILLEGAL_IDS)
def test_illegal_ids_are_refused_and_named_and_nothing_is_created(id: str, any_board: Board) -> None:
    with pytest.raises(ValueError, match="task id"):
        any_board.task(id)
    with pytest.raises(ValueError, match="task id"):
        any_board.attach(id)
    with pytest.raises(ValueError, match="task id"):
        any_board.get(id)
    assert not any_board.tasks()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"id": 5}, TypeError),
        ({"id": "one", "total": -1}, ValueError),
        ({"id": "one", "total": 1 << 47}, ValueError),
        ({"id": "one", "total": 1.5}, TypeError),
        ({"id": "one", "unit": 5}, TypeError),
        ({"id": "one", "label": 5}, TypeError),
    ],
    ids=str,
)
def test_wrong_arguments_create_nothing(arguments: dict[str, Any], error: type[Exception], any_board: Board) -> None:
    with pytest.raises(error):
        any_board.task(**arguments)
    assert not any_board.tasks()


def test_texts_for_people_are_cut_at_a_character(any_board: Board) -> None:
    task = any_board.task("one", label="é" * 200, unit="ü" * 50)
    task.set(stage="s" * 100, message="🦊" * 100)
    for text in (task.stage, task.message, view_of(any_board).label, view_of(any_board).unit):
        assert text.endswith("…")
        assert "\N{REPLACEMENT CHARACTER}" not in text
    assert set(task.message[:-1]) == {"🦊"}
    task.fail("💥" * 200)
    assert set(view_of(any_board).error[:-1]) == {"💥"}


# --- how it ends


@pytest.mark.parametrize(
    ("error", "state", "text"),
    [
        (None, "success", ""),
        (ValueError("bad row"), "failed", "ValueError: bad row"),
        (RuntimeError(), "failed", "RuntimeError"),
        (KeyError("x"), "failed", "KeyError: 'x'"),
        (SystemExit(), "success", ""),
        (SystemExit(0), "success", ""),
        (SystemExit(1), "failed", "SystemExit: 1"),
        (SystemExit("no input"), "failed", "SystemExit: no input"),
        (KeyboardInterrupt(), "cancelled", "KeyboardInterrupt"),
        (GeneratorExit(), "cancelled", "GeneratorExit"),
        (asyncio.CancelledError("stop"), "cancelled", "CancelledError: stop"),
        (concurrent.futures.CancelledError(), "cancelled", "CancelledError"),
    ],
    ids=repr,
)
def test_the_exception_that_leaves_the_block_tells_how_it_ends(
    error: BaseException | None, state: str, text: str, any_board: Board
) -> None:
    def run() -> None:
        with any_board.task("one") as task:
            task.update()
            if error is not None:
                raise error

    if error is None:
        run()
    else:
        with pytest.raises(type(error)) as caught:
            run()
        assert caught.value is error
    view = view_of(any_board)
    assert (view.state, view.error, view.count) == (state, text, 1)
    assert view.ended is not None


def test_an_exception_that_cannot_be_shown_ends_it_all_the_same(any_board: Board) -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("not even this")

    with pytest.raises(Broken), any_board.task("one"):
        raise Broken
    assert (view_of(any_board).state, view_of(any_board).error) == ("failed", "Broken")


def test_the_first_end_counts(any_board: Board) -> None:
    task = any_board.task("one")
    assert task.succeed("all of it")
    assert not task.fail("too late")
    assert not task.cancel("too late")
    with pytest.warns(errors.StaleTaskWarning, match=r"'one' has ended \(success\)"):
        assert not task.set(stage="late", message="late", total=7, metrics={"late": 1}, count=9)
    assert not task.succeed("later")
    view = view_of(any_board)
    assert (view.state, view.message, view.error, view.stage, view.total) == ("success", "all of it", "", "", None)
    assert not view.metrics


@pytest.mark.parametrize(
    "write",
    [
        lambda task: setattr(task, "message", "late"),
        lambda task: setattr(task, "stage", "late"),
        lambda task: setattr(task, "total", 7),
        lambda task: task.set(message="late"),
    ],
    ids=["message", "stage", "total", "set"],
)
def test_a_write_after_the_end_is_dropped_and_told_once_a_task_where_it_stands(write: Any, any_board: Board) -> None:
    for id in ("one", "two"):
        task = any_board.task(id)
        task.succeed()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            write(task)
            task.message = "later"
            any_board.attach(id).set(stage="latest")
            assert not task.succeed()
            assert not task.fail("too late")
            task.update()
        assert [(one.category, one.filename) for one in told] == [(errors.StaleTaskWarning, __file__)]
        assert f"'{id}' has ended (success)" in str(told[0].message)
        view = view_of(any_board, id)
        assert (view.message, view.stage, view.total, view.count) == ("", "", None, 1)


def test_a_count_may_be_set_as_a_whole(any_board: Board) -> None:
    task = any_board.task("one", total=10)
    assert task.set(count=4, message="four")
    assert (task.count, task.state, task.message) == (4, "running", "four")
    task.update(2)
    assert task.set(count=5)
    assert task.set(count=5.0)  # type: ignore[arg-type]
    assert task.view().count == 5
    wrong: list[tuple[Any, type[Exception]]] = [(-1, ValueError), (1 << 47, ValueError), (1.5, TypeError)]
    for count, error in wrong:
        with pytest.raises(error, match=f"count {count!r}"):
            task.set(count=count, message="other")
        assert (task.count, task.message) == (5, "four")
    task.fail("why")
    again = any_board.task("one", resume=True)
    again.set(count=7)
    assert (again.count, again.resumed_from) == (7, 5)


def test_a_task_shows_its_view(any_board: Board) -> None:
    with any_board.task("one", total=4, unit="bar") as task:
        task.update(3)
        assert (task.view().id, task.view().count, task.view().fraction) == ("one", 3, 0.75)
        assert pickle.loads(pickle.dumps(task)).view().unit == "bar"
    assert task.view().state == "success"
    any_board.close()
    with pytest.raises(errors.BoardClosed):
        task.view()


def test_a_task_ends_with_an_exception_or_a_text(any_board: Board) -> None:
    any_board.task("one").fail(OSError("disk away"))
    any_board.task("two").fail("by hand")
    any_board.task("three").cancel("not needed")
    found = {view.id: (view.state, view.error) for view in any_board.tasks()}
    assert found == {
        "one": ("failed", "OSError: disk away"),
        "two": ("failed", "by hand"),
        "three": ("cancelled", "not needed"),
    }


def test_ending_it_by_hand_inside_its_block_stays(any_board: Board) -> None:
    with any_board.task("one") as task:
        task.cancel("enough")
    assert view_of(any_board).state == "cancelled"


def test_a_task_is_entered_once(any_board: Board) -> None:
    with any_board.task("one") as task:
        with pytest.raises(errors.HeadwayError, match="entered already"):
            task.__enter__()
        assert task.state == "running"
    with pytest.raises(errors.HeadwayError, match=r"has ended \(success\)"):
        task.__enter__()
    with pytest.raises(errors.HeadwayError, match=r"has ended \(success\)"):
        task.adopt()


def test_a_forked_child_that_leaves_the_block_does_not_end_the_task(any_board: Board) -> None:
    with any_board.task("one") as task:
        pid = os.fork()
        if pid == 0:
            try:
                task.__exit__(ValueError, ValueError("of the child"), None)
            finally:
                os._exit(0 if task.state == "running" else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert task.state == "running"
    assert view_of(any_board).state == "success"


def test_an_end_that_cannot_be_written_does_not_hide_the_error_of_the_block(board: Board) -> None:
    def run() -> None:
        with board.task("one"):
            board.close()
            raise ValueError("of the block")

    with pytest.raises(ValueError, match="of the block"):
        run()


def test_an_end_that_cannot_be_written_is_told_if_nothing_else_went_wrong(board: Board) -> None:
    with pytest.raises(errors.BoardClosed), board.task("one"):
        board.close()


# --- counting


def test_updates_add_up(any_board: Board) -> None:
    task = any_board.task("one")
    task.update()
    task.update(41)
    task.update(-2)
    task.update(np.int64(2))
    task.update(2.0)  # type: ignore[arg-type]
    task.update(np.float64(-2))  # type: ignore[arg-type]
    assert task.count == view_of(any_board).count == 42


@pytest.mark.parametrize("n", [1.5, math.nan, math.inf, "1", None, [1]], ids=repr)
def test_only_whole_numbers_count(n: Any, any_board: Board) -> None:
    task = any_board.task("one")
    with pytest.raises(TypeError, match=r"^n .* is not a whole number: .*smaller unit"):
        task.update(n)
    assert task.count == 0


def test_a_count_beyond_its_range_is_refused(any_board: Board) -> None:
    task = any_board.task("one")
    task.update((1 << 47) - 1)
    with pytest.raises(OverflowError, match="out of range"):
        task.update()
    assert task.count == (1 << 47) - 1


def test_threads_count_exactly(any_board: Board) -> None:
    task = any_board.task("one")

    def count() -> None:
        for _ in range(20_000):
            task.update()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert task.count == 80_000


def test_a_straggler_counts_and_changes_no_state(any_board: Board) -> None:
    with any_board.task("one") as task:
        task.update()
    task.update(2)
    assert (task.count, task.state) == (3, "success")


def test_a_straggler_after_its_slot_was_given_away_is_told_once_and_counts_nowhere(
    run_python: RunPython, board_name: str
) -> None:
    script = """
import sys, warnings
from headway import errors
from headway.engine.board import open_board

board = open_board(sys.argv[1], capacity=1)
try:
    with board.task("old") as old:
        old.update()
    with board.task("new") as new:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for _ in range(3):
                old.update(5)
        assert [warning.category for warning in told] == [errors.StaleTaskWarning], told
        assert told[0].filename == __file__, told[0].filename
        assert "'old'" in str(told[0].message)
        assert new.count == 0
        for use in (lambda: old.count, lambda: old.set(stage="x"), lambda: old.result, old.succeed, lambda: old.state):
            try:
                use()
            except errors.UnknownTask as error:
                assert "'old'" in str(error)
            else:
                raise AssertionError("a stale handle wrote or read")
        assert board.get("new").stage == ""
finally:
    board.remove(files=True)
"""
    run_python(script, board_name)


# --- what it shows


def test_a_transition_changes_all_or_nothing(any_board: Board) -> None:
    task = any_board.task("one", total=3)
    assert task.set(stage="fit", message="fold 3/5", total=10, metrics={"loss": 0.5, "f1": 1})
    assert (task.stage, task.message, task.total) == ("fit", "fold 3/5", 10)
    wrong: list[dict[str, Any]] = [
        {"stage": 5},
        {"message": b"x"},
        {"total": -1},
        {"total": "7"},
        {"metrics": {"loss": "high"}},
        {"metrics": {"": 1.0}},
        {"metrics": {"a\0b": 1.0}},
        {"metrics": {5: 1.0}},
        {"metrics": {str(number): 1.0 for number in range(9)}},
        {"metrics": {str(number): 1.0 for number in range(7)}},
    ]
    for bad in wrong:
        with pytest.raises((TypeError, ValueError)):
            task.set(**{"stage": "other", "message": "other", "total": 11, "metrics": {"other": 1.0}, **bad})
        assert (task.stage, task.message, task.total) == ("fit", "fold 3/5", 10), bad
        assert task.metrics == {"loss": 0.5, "f1": 1.0}, bad


def test_assigning_one_field_is_shorthand(any_board: Board) -> None:
    task = any_board.task("one")
    task.stage = "load"
    task.stage = "fit"
    task.message = "fold 1"
    task.total = 9
    assert (task.stage, task.message, task.total) == ("fit", "fold 1", 9)
    task.total = None
    assert task.total is None
    for name, value in (("stage", 5), ("message", None), ("total", "x")):
        with pytest.raises(TypeError):
            setattr(task, name, value)
    view = view_of(any_board)
    assert [stage.name for stage in view.stages] == ["load", "fit"]
    assert view.stages[0].left == view.stages[1].entered
    assert view.stages[1].left is None


def test_metrics_are_added_and_changed_and_what_is_returned_is_read_only(any_board: Board) -> None:
    task = any_board.task("one")
    task.set(metrics={"loss": 0.5})
    task.set(metrics={"loss": 0.25, "nan": math.nan})
    assert task.metrics["loss"] == 0.25
    assert math.isnan(task.metrics["nan"])
    changes: list[Callable[[Any], object]] = [
        lambda metrics: metrics.update(loss=1.0),
        lambda metrics: metrics.__setitem__("loss", 1.0),
        lambda metrics: metrics.__delitem__("loss"),
        lambda metrics: metrics.pop("loss"),
        lambda metrics: metrics.popitem(),
        lambda metrics: metrics.clear(),
        lambda metrics: metrics.setdefault("more", 1.0),
        lambda metrics: metrics.__ior__({"more": 1.0}),
    ]
    for found in (task.metrics, task.view().metrics, view_of(any_board).metrics, any_board.snapshot().tasks[0].metrics):
        for change in changes:
            with pytest.raises(TypeError, match=r"task\.set\(metrics="):
                change(found)
        assert set(found) == {"loss", "nan"}
        assert type(pickle.loads(pickle.dumps(found))) is type(found)
        assert json.loads(json.dumps({**found, "nan": 0})) == {"loss": 0.25, "nan": 0}


@pytest.mark.parametrize("name", ["mesage", "unit", "_x", "__dict__"])
def test_a_mistyped_name_raises(name: str, any_board: Board) -> None:
    task = any_board.task("one")
    with pytest.raises(AttributeError):
        setattr(task, name, 5)
    with pytest.raises(AttributeError):
        getattr(task, name)


@pytest.mark.parametrize("name", ["id", "count", "state", "parent", "metrics", "resumed_from"])
def test_what_only_headway_changes_cannot_be_assigned(name: str, any_board: Board) -> None:
    with pytest.raises(AttributeError):
        setattr(any_board.task("one"), name, 5)


def test_no_task_is_made_by_hand() -> None:
    with pytest.raises(TypeError, match=r"board\.task"):
        Task()


def test_a_task_says_what_it_is(any_board: Board) -> None:
    assert f"'one' on board {any_board.name!r}" in repr(any_board.task("one"))


def test_handles_on_one_task_are_equal(any_board: Board) -> None:
    task, other = any_board.task("one"), any_board.task("two")
    assert task == any_board.attach("one")
    assert hash(task) == hash(any_board.attach("one"))
    assert task != other
    assert task != "one"
    task.succeed()
    assert any_board.task("one") != task


# --- parts


def test_a_part_of_a_task_knows_it(any_board: Board) -> None:
    task = any_board.task("BTC/1h")
    part = task.task("fold 3", total=5, unit="step")
    below = part.task("x/y", label="deep")
    assert (part.id, part.parent, part.total) == ("BTC/1h/fold 3", "BTC/1h", 5)
    assert (below.id, below.parent) == ("BTC/1h/fold 3/x/y", "BTC/1h/fold 3")
    assert [(view.label, view.parent) for view in any_board.tasks()][1:] == [
        ("fold 3", "BTC/1h"),
        ("deep", "BTC/1h/fold 3"),
    ]
    with pytest.raises(ValueError, match="task id"):
        task.task("x" * 90)


# --- counts


def test_counts_counts_calls_that_return(any_board: Board) -> None:
    task = any_board.task("one")

    @task.counts
    def half(number: int, *, by: int = 2) -> float:
        """Half of it."""
        return number / by

    assert (half.__name__, half.__doc__) == ("half", "Half of it.")
    assert half(4) == 2
    assert half(4, by=4) == 1
    with pytest.raises(ZeroDivisionError):
        half(4, by=0)
    with pytest.raises(TypeError):
        half()
    assert task.count == 2


def test_counts_counts_asynchronous_calls_when_they_are_done(any_board: Board) -> None:
    task = any_board.task("one")
    seen = []

    async def work(fails: bool) -> str:
        await asyncio.sleep(0)
        seen.append(task.count)
        if fails:
            raise OSError("gone")
        return "done"

    async def main() -> None:
        counted: Any = task.counts(work)
        assert await counted(False) == "done"
        with pytest.raises(OSError, match="gone"):
            await counted(True)

    asyncio.run(main())
    assert seen == [0, 1]
    assert task.count == 1


def test_counts_refuses_what_cannot_be_called(any_board: Board) -> None:
    with pytest.raises(TypeError, match="wraps a function"):
        any_board.task("one").counts(5)  # type: ignore[arg-type]


def test_a_function_counts_on_several_tasks(any_board: Board) -> None:
    one, two = any_board.task("one"), any_board.task("two")
    assert list(map(two.counts(one.counts(abs)), [-1, -2])) == [1, 2]
    assert (one.count, two.count) == (2, 2)


def test_a_counting_function_can_be_pickled(any_board: Board) -> None:
    task = any_board.task("one")
    counted = pickle.loads(pickle.dumps(task.counts(math.factorial)))
    assert counted(5) == 120
    assert task.count == 1


# --- track


def test_an_item_counts_when_the_next_is_asked_for(any_board: Board) -> None:
    task = any_board.task("one")
    seen = [task.count for _ in task.track("abc")]
    assert seen == [0, 1, 2]
    assert (task.count, task.total, task.state) == (3, 3, "running")


def test_the_item_that_breaks_does_not_count(any_board: Board) -> None:
    task = any_board.task("one")
    for item in task.track(range(10)):
        if item == 4:
            break
    assert task.count == 4


def test_the_item_that_raises_does_not_count(any_board: Board) -> None:
    def run() -> None:
        with any_board.task("one") as task:
            for item in task.track(range(10)):
                if item == 4:
                    raise ValueError(item)

    with pytest.raises(ValueError, match="4"):
        run()
    assert (view_of(any_board).count, view_of(any_board).state) == (4, "failed")


def test_the_exception_of_the_iterable_comes_through(any_board: Board) -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("gone")

    task = any_board.task("one")
    tracker = task.track(items())
    assert [next(tracker), next(tracker)] == [1, 2]
    with pytest.raises(OSError, match="gone"):
        next(tracker)
    with pytest.raises(StopIteration):
        next(tracker)
    assert task.count == 2


def test_an_iterator_that_has_ended_stays_so(any_board: Board) -> None:
    task = any_board.task("one")
    tracker = task.track([1])
    assert list(tracker) == [1]
    assert list(tracker) == []
    assert task.count == 1


def test_a_length_is_kept_where_there_is_one_that_works(any_board: Board) -> None:
    class Loader:
        def __len__(self) -> int:
            raise TypeError("a stream has no length")

        def __iter__(self) -> Iterator[int]:
            return iter(range(3))

    task = any_board.task("one")
    sized: Any = task.track([1, 2, 3])
    assert len(sized) == 3
    assert task.total == 3
    for iterable in (iter([1, 2]), (item for item in [1, 2]), Loader()):
        tracker = any_board.task(f"of a {type(iterable).__name__}").track(iterable)
        assert not hasattr(tracker, "__len__")
        assert list(tracker)
    assert [view.total for view in any_board.tasks()][1:] == [None, None, None]


def test_the_total_of_a_task_is_taken_from_the_iterable_only_if_it_has_none(any_board: Board) -> None:
    task = any_board.task("one", total=100)
    list(task.track(range(3)))
    assert task.total == 100
    list(task.track(range(3), total=50))
    assert task.total == 50
    with pytest.raises(ValueError, match="total"):
        task.track(range(3), total=-1)


def test_what_is_not_iterable_is_refused(any_board: Board) -> None:
    with pytest.raises(TypeError, match="not iterable"):
        any_board.task("one").track(5)  # type: ignore[call-overload]


def test_an_infinite_iterable_is_tracked(any_board: Board) -> None:
    import itertools

    task = any_board.task("one")
    for number in task.track(itertools.count()):
        if number == 1000:
            break
    assert (task.count, task.total) == (1000, None)


def test_a_generator_is_closed_when_the_loop_is_left(any_board: Board) -> None:
    closed = []

    def items() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            closed.append(True)

    for _ in any_board.task("one").track(items()):
        break
    gc.collect()
    assert closed == [True]


def test_an_asynchronous_iterable_is_tracked(any_board: Board) -> None:
    async def items(fails: bool) -> AsyncIterator[int]:
        for number in range(3):
            await asyncio.sleep(0)
            yield number
        if fails:
            raise OSError("gone")

    async def main() -> None:
        one, two, three = (any_board.task(id) for id in ("one", "two", "three"))
        assert [number async for number in one.track(items(False))] == [0, 1, 2]
        with pytest.raises(OSError, match="gone"):
            _ = [number async for number in two.track(items(True))]
        async for number in three.track(items(False)):
            if number == 1:
                break
        assert (one.count, two.count, three.count) == (3, 3, 1)

    asyncio.run(main())


# --- results


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ({"auc": 0.91, "folds": [1, 2, 3], "ok": True, "none": None}, None),
        ("text é", None),
        ([1, 2], None),
        (0, None),
        (False, None),
        ({}, None),
        ((1, 2), [1, 2]),
        ({"nan": math.nan, "inf": -math.inf}, {"nan": None, "inf": None}),
        ({3, 1, 2}, [1, 2, 3]),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        ({"a": np.arange(3), "nan": np.float64("nan")}, {"a": [0, 1, 2], "nan": None}),
        ({1: "number", None: "nothing"}, {"1": "number", "null": "nothing"}),
    ],
    ids=repr,
)
def test_a_result_reads_as_json(value: Any, read: Any, any_board: Board) -> None:
    expected = value if read is None else read
    with any_board.task("one") as task:
        task.result = value
        assert task.result == expected
        assert type(task.result) is type(expected)
    assert view_of(any_board).result == expected


def test_a_result_that_does_not_fit_is_refused_and_the_old_one_kept(any_board: Board) -> None:
    task = any_board.task("one")
    task.result = {"auc": 0.91}
    with pytest.raises(errors.ResultTooLarge, match="256"):
        task.result = "x" * 255
    with pytest.raises(errors.ResultTooLarge):
        task.merge_result({"long": "x" * 250})
    assert task.result == {"auc": 0.91}
    task.result = "x" * 254
    assert len(task.result) == 254


@pytest.mark.parametrize("value", [object(), {"f": print}, {(1, 2): 3}, b"bytes"], ids=repr)
def test_what_is_no_json_is_refused_and_the_old_one_kept(value: Any, any_board: Board) -> None:
    task = any_board.task("one")
    task.result = 5
    with pytest.raises(TypeError):
        task.result = value
    assert task.result == 5


def test_a_result_is_merged_key_by_key(any_board: Board) -> None:
    task = any_board.task("one")
    assert task.merge_result({"a": 1}) == {"a": 1}
    assert task.merge_result({"b": np.float64(2), "a": 3}) == {"a": 3, "b": 2.0}
    task.result = [1]
    with pytest.raises(TypeError, match="no object"):
        task.merge_result({"a": 1})
    assert task.result == [1]
    task.result = None
    assert task.result is None
    assert task.merge_result({"c": 1}) == {"c": 1}


def test_a_result_may_still_be_written_when_the_task_has_ended(any_board: Board) -> None:
    with any_board.task("one") as task:
        pass
    task.result = "late"
    assert view_of(any_board).result == "late"


def test_four_processes_that_merge_at_once_lose_nothing(board_name: str, run_python: RunPython) -> None:
    script = """
import multiprocessing, sys
from headway.engine.board import open_board

def merge(task, number):
    for round in range(100):
        task.merge_result({f"{number}-{round % 10}": round})

board = open_board(sys.argv[1], capacity=4, result_bytes=1024)
try:
    task = board.task("one")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=merge, args=(task, number)) for number in range(4)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert task.result == {f"{number}-{last}": 90 + last for number in range(4) for last in range(10)}, task.result
finally:
    board.remove(files=True)
"""
    run_python(script, board_name)


# --- again


@pytest.mark.parametrize("end", ["succeed", "fail", "cancel"])
def test_an_id_that_ended_starts_anew(end: str, any_board: Board) -> None:
    task = any_board.task("one", total=3)
    task.set(stage="fit", metrics={"loss": 1})
    task.update(2)
    task.result = "old"
    getattr(task, end)(*(["why"] if end == "fail" else []))
    new = any_board.task("one")
    assert (new.state, new.count, new.total, new.stage, new.metrics, new.result) == ("pending", 0, None, "", {}, None)
    assert [view.id for view in any_board.tasks()] == ["one"]


def test_an_id_that_runs_in_this_process_is_refused_and_says_so(any_board: Board) -> None:
    with any_board.task("one") as task:
        task.update()
        for resume in (False, True):
            with pytest.raises(errors.TaskExists, match=r"owned by this process: cancel\(\) it.*join=True\)"):
                any_board.task("one", resume=resume)
        assert task.count == 1
    assert view_of(any_board).state == "success"


@pytest.mark.parametrize(("end", "why"), [("fail", ("why",)), ("cancel", ("why",))])
def test_resuming_goes_on_where_the_last_run_stood(end: str, why: tuple[str, ...], any_board: Board) -> None:
    task = any_board.task("one", total=10)
    task.update(4)
    task.result = {"so": "far"}
    getattr(task, end)(*why)
    again = any_board.task("one", total=12, resume=True)
    assert (again.state, again.count, again.total, again.resumed_from) == ("running", 4, 12, 4)
    assert again.result == {"so": "far"}
    view = view_of(any_board)
    assert (view.error, view.ended, view.resumed_from, view.base) == ("", None, 4, 4)
    with again:
        again.update(8)
    view = view_of(any_board)
    assert (view.state, view.count, view.fraction) == ("success", 12, 1.0)


def test_resuming_creates_what_is_not_there_and_starts_anew_after_success(any_board: Board) -> None:
    with any_board.task("one", resume=True) as task:
        assert task.resumed_from is None
        task.update(3)
    again = any_board.task("one", resume=True)
    assert (again.resumed_from, again.count, again.state) == (None, 0, "pending")


def test_a_run_resumed_at_zero_is_a_resumed_one(any_board: Board) -> None:
    any_board.task("one").cancel()
    assert any_board.task("one", resume=True).resumed_from == 0


# --- pickling


def test_a_handle_travels(any_board: Board) -> None:
    task = any_board.task("one", total=5)
    for other in (pickle.loads(pickle.dumps(task)), copy.copy(task), copy.deepcopy(task)):
        other.update()
        assert (other.id, other.total, other.state) == ("one", 5, "running")
    assert task.count == 3


def test_unpickling_touches_nothing(run_python: RunPython, board_name: str) -> None:
    """In a process of its own: the warning comes once in each."""
    script = """
import pickle
import sys
import warnings

from headway import errors
from headway.engine.board import open_board

board = open_board(sys.argv[1], capacity=4)
dumped = pickle.dumps(board.task("one"))
board.remove(files=True)
handle = pickle.loads(dumped)  # an error here would break the pool
assert handle.id == "one"
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    handle.update()
assert [one.category for one in caught] == [errors.StaleTaskWarning], caught
assert "not counted" in str(caught[0].message)
for touch in (lambda: setattr(handle, "stage", "fit"), lambda: handle.count):
    try:
        touch()
    except errors.BoardClosed as error:
        assert "was removed" in str(error)
    else:
        raise AssertionError("no error")
"""
    run_python(script, board_name)


def test_after_close_an_update_counts_nothing_and_a_write_says_so(any_board: Board) -> None:
    task = any_board.task("one")
    task.update()
    any_board.close()
    task.update()
    assert task.count == 1
    with pytest.raises(errors.BoardClosed, match=rf"headway\.open\('{any_board.name}'\)"):
        task.stage = "fit"


def test_a_native_handle_counts_and_keeps_its_address(board: Board) -> None:
    task = board.task("one")
    native = task.native()
    assert native.address == native.address > 0
    assert "headway.hw_task" in repr(native.capsule)
    assert task.state == "running"
