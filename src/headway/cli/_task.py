"""The task of a command: what the command tells is written to it, and on a terminal a bar shows it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, cast

from headway import errors
from headway.api import current
from headway.bars import shown
from headway.bars.loop import Loop, fresh
from headway.bars.parts import parts_of
from headway.engine.task import handle_of
from headway.integrations.startup import sitecustomize
from headway.integrations.told import write
from headway.standin.nobody import NOBODY
from headway.system import paths
from headway.tasks import current as context
from headway.terminal.row import is_terminal
from headway.upkeep import listing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.bars.loop import AnyBoard, AnyTask
    from headway.bars.shown import Output
    from headway.engine.task import Task
    from headway.integrations.told import Told
    from headway.views.board_view import BoardView
    from headway.views.task_view import TaskView

__all__ = ["CommandTask", "ancestors", "begun", "in_hand"]

EVERY_S = 0.1


class CommandTask(Loop):
    """A command that runs, in place of a loop. Its bar is drawn once something was told: it may have one of its own."""

    leave = True
    with_parts = True

    def __init__(self, home: AnyBoard, task: AnyTask) -> None:
        super().__init__(home, task)
        self.began = time.monotonic()
        self.has_bar = True
        """Whether a bar may be drawn."""
        self._output: Output | None = None
        self._show_again = 0.0

    @property
    def handle(self) -> tuple[str, str, int, int, str]:
        """Everything that another process needs to find its task."""
        return handle_of(cast("Task", self.task))

    def tell(self, told: Told) -> None:
        """Write what was told. Raises nothing: the command goes on, whatever becomes of its board."""
        with contextlib.suppress(errors.HeadwayError, OSError, ValueError, MemoryError):
            write(told, self.task)
        now = time.monotonic()
        if self.has_bar and now >= self._show_again:
            self._show_again = now + EVERY_S
            with contextlib.suppress(OSError, ValueError, MemoryError):  # the terminal is gone: nobody can see it
                self._show(now)

    def parts(self) -> list[tuple[TaskView, int]]:
        """The running parts of its task, and how deep each is below it."""
        try:
            return parts_of(self._home, self.task.id)
        except (errors.HeadwayError, OSError):
            return []

    def _show(self, now: float) -> None:
        if self._output is None and sys.stderr is not None and is_terminal(sys.stderr):
            self._output = shown.output_here()
        if self._output is not None:
            self._output.show([self], now)

    def has_finished(self) -> None:
        output, self._output = self._output, None
        if output is not None:
            with contextlib.suppress(OSError, ValueError, MemoryError):
                output.end(self, [], time.monotonic())
                shown.close()


def begun(id: str, label: str | None, unit: str, board: str | None, total: int | None) -> CommandTask:
    """The task of a command that begins now. Raises HeadwayError, OSError, ImportError, ValueError without a board."""
    if board is None and sitecustomize.VARIABLE in os.environ and current() is NOBODY:
        _enter_program()
    task = CommandTask(*fresh(id, label, unit, board, by_label=False))
    if total is not None:
        task.task.total = total
    task.begin(label)
    return task


# ------------------------------------------------------------------------------------------------ under `headway run`


def _enter_program() -> None:
    """Make the task current that the program of `headway run` has in hand, which started this process."""
    board = listing.attach(paths.default_name())
    if board is None:
        return
    with contextlib.closing(board):
        id = in_hand(board.snapshot(), ancestors())
    if id is not None:
        from headway.engine.board import open_or_make

        with contextlib.suppress(errors.UnknownTask):  # it has ended meanwhile
            context.put(open_or_make(board.name).attach(id))


def in_hand(view: BoardView, pids: Iterator[int]) -> str | None:
    """The id of the innermost running task of the first of these processes that has any; None if there are several."""
    running = [task for task in view.tasks if task.state == "running"]
    for pid in pids:
        of_it = [task for task in running if task.owner_pid == pid]
        outer = {task.parent for task in of_it}
        innermost = [task.id for task in of_it if task.id not in outer]
        if innermost:
            return innermost[0] if len(innermost) == 1 else None
    return None


def ancestors() -> Iterator[int]:
    """The processes that this one comes from, its parent first."""
    pid = os.getppid()
    while pid > 1:
        yield pid
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                pid = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, IndexError):  # it has ended
            return
