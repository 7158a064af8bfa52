"""What all tasks can do, on the engine and its stand-in."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from headway import errors
from headway.views.board_view import TaskView

if TYPE_CHECKING:
    from headway.engine.board import Board


def view_of(board: Board, id: str = "one") -> TaskView:
    view = board.get(id)
    assert view is not None
    return view


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


def test_an_end_that_cannot_be_written_is_told_and_stops_nothing(board: Board) -> None:
    task = board.task("one")
    task.__enter__()
    board.close()
    with pytest.warns(errors.StaleTaskWarning, match="the end of task 'one' could not be written: board .* was closed"):
        task.__exit__(None, None, None)


def test_a_block_whose_task_was_ended_and_started_anew_by_another_process_ends_quietly(board: Board) -> None:
    task = board.task("one")
    task.__enter__()
    pid = os.fork()
    if pid == 0:
        task.fail("by another process")
        board.task("one").succeed()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    with pytest.warns(errors.StaleTaskWarning, match="the end of task 'one' could not be written"):
        task.__exit__(None, None, None)
    assert view_of(board).state == "success"


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
