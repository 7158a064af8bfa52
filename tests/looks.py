"""Looks at the tasks of a board, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.engine.board import Board
    from headway.views.task_view import TaskView

__all__ = ["seen", "told"]


def seen(board: Board, id: str) -> TaskView:
    """The task of this id, which has to be there."""
    view = board.get(id)
    assert view is not None, f"there is no {id}, only {[task.id for task in board]}"
    return view


def told(board: Board) -> dict[str, tuple[str, int, int | None]]:
    """State, count and total of each task, by its id."""
    return {task.id: (task.state, task.count, task.total) for task in board}
