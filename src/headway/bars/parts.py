"""The parts of a loop's task that other processes have, to be shown below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from headway.terminal.plain import placed

if TYPE_CHECKING:
    from headway.views.task_view import TaskView

__all__ = ["parts_of"]

MOST = 12  # there is no room for more


class _Board(Protocol):
    def tasks(self, state: str | None = None) -> list[TaskView]: ...


def parts_of(board: _Board, id: str) -> list[tuple[TaskView, int]]:
    """The running parts of a task and their parts, in the order of their creation, and how deep each is below it."""
    below = [task for task in board.tasks("running") if task.id.startswith(f"{id}/")]
    return [(task, depth + 1) for task, depth, _ in placed(below)[:MOST]]
