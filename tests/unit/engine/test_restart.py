"""What the trackers of analyses need of a board beyond the life of a task: start over, enter, hand on, take off."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from headway import errors
from headway.engine.board import Board, open_board
from headway.native import core

if TYPE_CHECKING:
    from collections.abc import Iterator

STAGE_BYTES = 47


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    one = open_board(board_name, capacity=4, workers=4, result_bytes=64)
    yield one
    one.remove(files=True)


def coarse_ns() -> int:
    return time.clock_gettime_ns(6)  # CLOCK_MONOTONIC_COARSE, by which beats are told


def test_a_task_that_runs_starts_over_and_its_old_handles_find_it_gone(board: Board) -> None:
    old = board.task("one")
    old.stage = "fit"
    with pytest.raises(errors.TaskExists):
        board.task("one")
    new = board._restart("one", "Label")
    assert (new.stage, new.state) == ("", "pending")
    for write in (lambda: old._enter("late"), lambda: setattr(old, "stage", "late"), lambda: setattr(old, "result", 1)):
        with pytest.raises(errors.UnknownTask):
            write()
    (view,) = board.tasks()
    assert (view.label, view.stage, view.result) == ("Label", "", None)


def test_starting_over_in_vain_waits_for_a_free_slot_and_then_says_so(board: Board) -> None:
    for number in range(4):
        board.task(f"{number}").stage = "busy"
    with pytest.raises(errors.BoardFull):
        board._restart("0", "")
    assert board.attach("0")._enter("still there")
    board.attach("1").succeed()
    board._restart("0", "")  # the ended one makes room, and its slot rests for 0.1 s
    assert sorted(view.id for view in board.tasks()) == ["0", "2", "3"]


def test_entering_a_stage_runs_a_pending_task_and_writes_its_timeline(board: Board) -> None:
    task = board._restart("one", "")
    assert task._enter("a")
    assert task._enter("x" * STAGE_BYTES)
    view = board.get("one")
    assert view is not None
    assert (view.state, view.stage) == ("running", "x" * STAGE_BYTES)
    assert [stage.name for stage in view.stages] == ["a", "x" * STAGE_BYTES]


@pytest.mark.parametrize("stage", ["", "x" * (STAGE_BYTES + 1), "é" * 24, "a\0b"])
def test_a_stage_that_a_slot_cannot_show_is_not_entered(board: Board, stage: str) -> None:
    task = board._restart("one", "")
    assert task._enter("a")
    assert not task._enter(stage)
    assert task.stage == "a"


@pytest.mark.parametrize("end", ["succeed", "cancel"])
def test_no_stage_is_entered_after_the_end(board: Board, end: str) -> None:
    task = board._restart("one", "")
    task._enter("a")
    getattr(task, end)()
    before = board.get("one")
    assert not task._enter("b")
    after = board.get("one")
    assert before is not None
    assert after is not None
    assert (after.stage, after.state, after.stages) == (before.stage, before.state, before.stages)


def test_no_stage_is_entered_on_a_board_that_was_closed_or_removed(board_name: str) -> None:
    board = open_board(board_name, capacity=4, workers=4)
    task = board._restart("one", "")
    board._segment.retire()
    assert not task._enter("a")
    assert task.stage == ""
    board.remove(files=True)
    assert not task._enter("a")


def test_who_is_no_owner_hands_nothing_on(board: Board) -> None:
    task = board._restart("one", "")
    me = board._segment.incarnation
    assert task._hand_to(me + 1000, 77)
    assert task._run[2:] == (me + 1000, 77)
    assert not task._hand_to(me, 1)
    assert task.state == "lost", "an owner that never was is dead"
    assert task._enter("a"), "and who writes takes over"
    assert task._run[2] == me


def test_a_task_is_taken_off_only_if_nothing_touched_it(board: Board) -> None:
    task = board._restart("one", "")
    place = board._segment.find("one")
    assert place is not None
    task.result = {"a": 1}
    assert not board._segment.free(*place, 1)
    assert not board._segment.free(core.CAPACITY_MAX, place[1], coarse_ns() + 10**9)
    assert board.get("one") is not None
    assert board._segment.free(*place, coarse_ns() + 1)
    assert board.get("one") is None
    assert not board._segment.free(*place, coarse_ns() + 10**9), "it is gone already"
    with pytest.raises(errors.UnknownTask):
        task._enter("late")
