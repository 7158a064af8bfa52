"""A view of a board: what a run has counted, what stands in it, and how it shows itself."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from headway.standin import board as standin
from headway.views.board_view import BoardView, TaskView
from headway.views.numbers import Counts

if TYPE_CHECKING:
    from headway.engine.board import Board

NOW = 1_700_000_000.0


def test_the_totals_of_a_run_never_go_backwards_though_tasks_give_up_their_places(board: Board) -> None:
    seen = [board.snapshot().counts]
    for number in range(100):
        task = board.task(f"t{number}")
        if number % 3 == 0:
            task.fail("why")
        else:
            task.succeed()
        seen.append(board.snapshot().counts)
    for before, after in itertools.pairwise(seen):
        assert after.total == before.total + 1
        assert after.ended == before.ended + 1
        assert all(after[state] >= before[state] for state in ("success", "failed", "lost"))
    assert seen[-1] == Counts(success=66, failed=34)
    assert len(board.snapshot()) <= 16


def test_a_task_that_is_started_anew_leaves_its_last_run_in_the_totals(board: Board) -> None:
    board.task("one").fail("why")
    board.task("one").succeed()
    assert board.snapshot().counts == Counts(success=1, failed=1)


def test_a_snapshot_file_tells_the_totals_of_the_run(board: Board) -> None:
    from headway.files import snapshot

    for number in range(40):
        board.task(f"t{number}").succeed()
    board.write_snapshot()
    assert snapshot.read(board.directory).counts == Counts(success=40)


def test_the_stand_in_counts_a_run_as_the_engine_does() -> None:
    with standin.open_board("totals", capacity=4) as board:
        for number in range(9):
            board.task(f"t{number}").succeed()
        board.task("t8").fail("why")
        assert board.snapshot().counts == Counts(success=9, failed=1)


TASKS = (
    TaskView(
        id="<one>", state="running", count=35, total=10, unit="bar", started=NOW - 5, beat=NOW, taken_at=NOW, serial=1
    ),
    TaskView(id="two", state="lost", message="<b>", metrics={"loss": 0.5}, started=NOW - 5, taken_at=NOW, serial=2),
)


@pytest.mark.parametrize("id", [None, 5, b"two", "three"])
def test_what_is_no_id_of_a_task_is_not_in_a_view(id: Any) -> None:
    view = BoardView.of("board", TASKS, taken_at=NOW)
    assert id not in view
    assert "two" in view
    assert [task.id for task in view] == ["<one>", "two"]
