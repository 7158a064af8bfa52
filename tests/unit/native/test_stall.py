"""After how long a task is stalled: by what was given for it or for its board, else by its own rhythm."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import pytest

import headway
from headway.engine.board import open_board
from headway.files import snapshot
from headway.standin import board as standin
from headway.views.numbers import STALL_AFTER_SECONDS
from tests.unit.native.handles import file_of, poke, slot_offset

if TYPE_CHECKING:
    from headway.engine.board import Board
    from headway.engine.task import Task

FIRST, LINE, STRIPES = 128, 128, 8  # the stripes of a slot
BEAT, WORKER = 8, 16
CONTROL_BEAT = 32
IDENTITY = 1152
OF_TASK = IDENTITY + 248
OF_BOARD = 392
SECOND = 10**9


def rest(task: Task, seconds: float) -> None:
    """Have the last sign of life of the task be so much longer ago."""
    segment: Any = task._segment()
    with file_of(segment) as memory:
        begin = slot_offset(segment, task._where[0])
        for at in (begin + CONTROL_BEAT, *range(begin + FIRST + BEAT, begin + FIRST + STRIPES * LINE, LINE)):
            (beat,) = struct.unpack_from("<Q", memory, at)
            if beat:
                struct.pack_into("<Q", memory, at, beat - int(seconds * SECOND))


def took(task: Task, seconds: float) -> None:
    """Count an item that took so long."""
    task.update(0)
    rest(task, seconds)
    task.update()


def opener(board: Any) -> Any:
    """What opens boards of this kind."""
    return open_board if isinstance(board, headway.Board) else standin.open_board


def test_without_durations_it_is_ten_seconds(board: Board) -> None:
    task = board.task("a")
    task.update()
    assert task.view().stall_after == 10.0 == STALL_AFTER_SECONDS
    rest(task, 9)
    assert not task.view().stalled
    rest(task, 2)
    view = task.view()
    assert (view.stalled, view.rate) == (True, 0.0)


def test_a_task_of_slow_items_is_not_stalled_in_between(board: Board) -> None:
    task = board.task("a", total=10)
    task.update()
    took(task, 100)
    assert task.view().stall_after == pytest.approx(300, abs=1)
    rest(task, 250)
    assert not task.view().stalled
    assert board.snapshot().counts.stalled == 0
    rest(task, 60)
    assert task.view().stalled
    assert board.snapshot().counts.stalled == 1


@pytest.mark.parametrize("seconds", [0.02, 1, 3.2])
def test_items_that_take_little_are_waited_for_ten_seconds(seconds: float, board: Board) -> None:
    task = board.task("a")
    took(task, seconds)
    assert task.view().stall_after == 10.0


def test_the_slowest_is_what_counts_whoever_counted_it(board: Board) -> None:
    task, other = board.task("a"), board.task("b")
    for seconds in (5, 60, 7):
        took(task, seconds)
    took(other, 8)
    assert task.view().stall_after == pytest.approx(180, abs=1)
    assert other.view().stall_after == pytest.approx(24, abs=1)


def test_what_is_given_for_a_task_comes_before_that_of_its_board_and_both_before_the_rhythm(any_board: Board) -> None:
    plain, own, never = (
        any_board.task("plain"),
        any_board.task("own", stall_after=2.5),
        any_board.task("never", stall_after=math.inf),
    )
    assert [task.view().stall_after for task in (plain, own, never)] == [10.0, 2.5, math.inf]
    assert any_board.snapshot().stall_after is None
    opened = opener(any_board)
    assert opened(any_board.name, stall_after=77) is any_board
    assert [task.view().stall_after for task in (plain, own, never)] == [77.0, 2.5, math.inf]
    assert any_board.snapshot().stall_after == 77.0
    opened(any_board.name)
    assert any_board.snapshot().stall_after == 77.0, "who says nothing changes nothing"
    part = own.task("part")
    assert part.view().stall_after == 77.0, "a part has a rhythm of its own"
    assert own.task("other", stall_after=3).view().stall_after == 3.0
    opened(any_board.name, stall_after=math.inf)
    assert any_board.snapshot().stall_after == math.inf


def test_what_is_given_is_not_raised_by_what_took_long(board: Board) -> None:
    task = board.task("a", stall_after=15)
    took(task, 100)
    assert task.view().stall_after == 15.0
    rest(task, 16)
    assert task.view().stalled


def test_one_that_is_never_stalled_is_not(board: Board) -> None:
    task = board.task("a", stall_after=math.inf)
    task.update()
    rest(task, 500)
    view = board.snapshot()
    assert (view.counts.stalled, task.view().stalled) == (0, False)
    assert view.to_dict()["tasks"][0]["stall_after"] is None, "JSON has no infinity"
    assert [(worker.stall_after, worker.stalled) for worker in view.workers] == [(math.inf, False)]
    assert view.workers[0].to_dict()["stall_after"] is None


def test_a_task_that_is_resumed_takes_what_it_is_given_then_and_else_keeps_it(any_board: Board) -> None:
    any_board.task("a", stall_after=20).fail("why")
    again = any_board.task("a", resume=True)
    assert again.view().stall_after == 20.0
    again.fail("why")
    again = any_board.task("a", resume=True, stall_after=30)
    assert again.view().stall_after == 30.0
    assert any_board.task("a", join=True, stall_after=40).view().stall_after == 30.0, "who joins changes nothing"
    again.succeed()
    assert any_board.task("a").view().stall_after == 10.0, "a new task"


@pytest.mark.parametrize("wrong", [0, -1, math.nan, "9", True, [9], object()])
def test_what_is_no_time_is_refused_before_anything_is_changed(wrong: Any, any_board: Board, board_name: str) -> None:
    opened = opener(any_board)
    kind = TypeError if isinstance(wrong, str | bool | list) or type(wrong) is object else ValueError
    for call in (
        lambda: any_board.task("a", stall_after=wrong),
        lambda: any_board.task("b", join=True, stall_after=wrong),
        lambda: opened(any_board.name, stall_after=wrong),
        lambda: opened(f"{board_name}-new", stall_after=wrong),
    ):
        with pytest.raises(kind, match=r"stall_after .*give a positive number, math\.inf for never"):
            call()
    assert len(any_board) == 0
    assert any_board.snapshot().stall_after is None
    assert not any_board.directory.with_name(f"{board_name}-new").exists()


def test_a_task_that_runs_keeps_its_time_where_another_claim_is_refused(board: Board) -> None:
    task = board.task("a", stall_after=20)
    task.update()
    with pytest.raises(headway.errors.TaskExists):
        board.task("a", stall_after=30)
    assert task.view().stall_after == 20.0


def test_views_of_one_copy_agree_in_memory_and_from_files(board: Board) -> None:
    open_board(board.name, stall_after=50)
    tasks = [board.task("a", stall_after=5), board.task("b"), board.task("c", stall_after=math.inf)]
    for task in tasks:
        task.update()
        rest(task, 20)
    view = board.snapshot()
    read = snapshot.read(board.write_snapshot())
    for one in (view, read):
        assert [task.stall_after for task in one.tasks] == [5.0, 50.0, math.inf]
        assert [task.stalled for task in one.tasks] == [True, False, False]
        assert [pace.stalled for pace in one.paces] == [True, False, False]
        assert (one.counts.stalled, one.time_left.stalled, one.stall_after) == (1, 1, 50.0)
    assert snapshot.glance(board.directory)[0].stalled == 1


def test_what_is_set_for_the_board_is_news_for_its_recorder(board: Board) -> None:
    segment = board._segment
    board.task("a").update()
    board._copy()
    before = segment.content_version
    board._copy()
    assert segment.content_version == before
    segment.stall_after_ns = 5 * SECOND
    board._copy()
    assert segment.content_version != before


@pytest.mark.parametrize("word", [1, 2**63 - 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("place", ["task", "board"])
def test_whatever_stands_in_the_segment_is_a_time(word: int, place: str, board: Board) -> None:
    task = board.task("a")
    task.update()
    segment = board._segment
    poke(segment, slot_offset(segment, task._where[0]) + OF_TASK if place == "task" else OF_BOARD, word)
    view = board.snapshot()
    assert view.tasks[0].stall_after == (1e-9 if word == 1 else math.inf)
    assert view.stall_after == (None if place == "task" or word > 2**63 - 1 else 1e-9 if word == 1 else math.inf)
    snapshot.read(board.write_snapshot())


@pytest.mark.parametrize("told", [None, -1, 0, True, 1.5, "9", 2**63, 2**70, [1]])
def test_whatever_a_file_says_of_the_board_is_a_time_or_nothing(told: Any, board: Board) -> None:
    raw = board.snapshot().raw
    meta = {**raw.meta, "stall_after_ns": told}
    assert headway.BoardView.from_raw(raw._replace(meta=meta)).stall_after is None


def test_a_worker_stalls_by_the_longest_of_its_tasks(board: Board) -> None:
    quick, slow = board.task("quick", stall_after=5), board.task("slow", stall_after=60)
    for task in (quick, slow):
        task.update()
        rest(task, 30)
    (worker,) = board.snapshot().workers
    assert (worker.stall_after, worker.stalled) == (60.0, False)
    slow.succeed()
    (worker,) = board.snapshot().workers
    assert (worker.stall_after, worker.tasks) == (5.0, ("quick",))
