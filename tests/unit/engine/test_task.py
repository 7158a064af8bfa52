"""The life of a task, on a board in shared memory and on one of its stand-in: what one promises, the other keeps."""

from __future__ import annotations

import enum
import math
import os
import pickle
import threading
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
        ({"id": "one", "total": 1 << 63}, ValueError),
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


def test_of_any_number_of_stages_the_last_are_kept_and_the_one_that_it_is_in_is_entered_once(any_board: Board) -> None:
    task = any_board.task("one")
    for number in range(100):
        for _ in range(2):
            task.stage = f"{number:03}" + "x" * 60
    view = view_of(any_board)
    assert [stage.name[:3] for stage in view.stages] == [f"{number:03}" for number in range(85, 100)]
    assert view.stages_left_out == 85
    assert [stage.left for stage in view.stages] == [*(stage.entered for stage in view.stages[1:]), None]
    assert (view.stage, view.stage_entered) == (task.stage, view.stages[-1].entered)


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
