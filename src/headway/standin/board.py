"""Boards and tasks without shared memory: the same names as those of the engine, seen by this process alone.

They stand in where Headway is switched off (HEADWAY_DISABLE=1), and for `headway.track` where there is no shared
memory. A program must not break on that: a task that another process may know is taken for granted (`attach`), and what
would leave this process does nothing. Works without the native modules.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from headway import errors
from headway.standin.task import OPEN, StandinTask, check_id, check_text, check_total, guard
from headway.system import paths
from headway.tasks.states import STATES
from headway.views.board_view import BoardView, TaskView, WorkerView

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

__all__ = ["StandinBoard", "StandinTask", "found", "open_board"]

_RESUMABLE = ("failed", "cancelled", "lost")

_boards: dict[str, StandinBoard] = {}  # one object per process and name


class StandinBoard:
    """A board of this process alone. As headway.Board, but nobody else sees it, and no file is written."""

    __slots__ = (
        "_capacity",
        "_closed",
        "_gone",
        "_result_bytes",
        "_sequence",
        "_serial",
        "_tasks",
        "directory",
        "name",
    )

    def __init__(self, name: str, capacity: int, result_bytes: int) -> None:
        self.name = name
        self.directory: Path = paths.board_directory(name)
        self._capacity = capacity
        self._result_bytes = result_bytes
        self._tasks: dict[str, StandinTask] = {}  # in the order of their creation
        self._serial = self._sequence = 0
        self._gone: Counter[str] = Counter()  # tasks that gave up their place, by state
        self._closed = False

    def __reduce__(self) -> tuple[Any, ...]:
        return open_board, (self.name,)

    def __repr__(self) -> str:
        return f"<headway.Board {self.name!r}, of this process alone>"

    def __enter__(self) -> StandinBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def task(
        self,
        id: str,
        *,
        total: int | None = None,
        unit: str = "it",
        label: str | None = None,
        resume: bool = False,
    ) -> StandinTask:
        """As Board.task."""
        return self._create(id, total, unit, label or "", resume)

    def _create(
        self, id: str, total: int | None, unit: str, label: str, resume: bool, parent: str | None = None
    ) -> StandinTask:
        check_id(id)
        for text, what in ((unit, "unit"), (label, "label")):
            check_text(text, what)
        total = check_total(total)
        with guard:
            if self._closed:
                raise errors.BoardClosed(f"board {self.name!r} was closed in this process: open it again")
            old = self._tasks.get(id)
            if old is not None and old._state in OPEN:
                raise errors.TaskExists(
                    f"task {id!r} is running on board {self.name!r}: its owner (pid {os.getpid()}) is alive; wait for "
                    f"it, choose another id, or join it with board.attach({id!r})"
                )
            if old is not None and resume and old._state in _RESUMABLE:
                old._resume(total)
                return old
            if old is None and len(self._tasks) >= self._capacity:
                self._make_room()
            task = StandinTask(self.name, id, total, unit, label, parent)
            task._room = self._result_bytes
            self._serial += 1
            task._serial = self._serial
            if old is not None:
                del self._tasks[id]
                self._gone[old._state] += 1
            self._tasks[id] = task
            return task

    def _make_room(self) -> None:
        for id, task in self._tasks.items():
            if task._state not in OPEN:
                del self._tasks[id]
                self._gone[task._state] += 1
                return
        raise errors.BoardFull(f"board {self.name!r} has {self._capacity} slots and all hold tasks that have not ended")

    def attach(self, id: str) -> StandinTask:
        """As Board.attach. A task that is not known here may well be another process's: it is taken for granted."""
        check_id(id)
        return self._tasks.get(id) or StandinTask(self.name, id, None, "it", "", None)

    def get(self, id: str) -> TaskView | None:
        """As Board.get."""
        check_id(id)
        task = self._tasks.get(id)
        return None if task is None else task._view(time.time())

    def tasks(self, state: str | None = None) -> list[TaskView]:
        """As Board.tasks."""
        if state is not None and state not in STATES:
            raise ValueError(f"state {state!r} is unknown: choose one of {', '.join(STATES)}")
        return [task for task in self.snapshot().tasks if state is None or task.state == state]

    def snapshot(self) -> BoardView:
        """As Board.snapshot; the view has no `array`."""
        now = time.time()
        with guard:
            self._sequence += 1
            tasks = [task._view(now) for task in self._tasks.values()]
        worker = WorkerView(incarnation=1, pid=os.getpid(), taken_at=now)
        return BoardView.of(self.name, tasks, [worker], taken_at=now, sequence=self._sequence, gone=self._gone)

    def watch(self, interval: float = 0.25) -> Iterator[BoardView]:
        """As Board.watch."""
        if not interval > 0:
            raise ValueError(f"interval {interval!r} is not a positive number of seconds")
        while not self._closed:
            yield self.snapshot()
            time.sleep(interval)

    def live(self) -> AbstractContextManager[None]:
        """Draws nothing."""
        return nullcontext()

    def history(
        self,
        hours: float | None = 24,
        *,
        id: str | None = None,
        state: str | None = None,
        limit: int | None = None,
    ) -> list[TaskView]:
        """Nothing is archived: always empty."""
        return []

    def write_snapshot(self) -> Path:
        """Writes nothing. Returns where Board.write_snapshot would write."""
        return self.directory / "snapshot.npz"

    def reap(self) -> list[str]:
        """No task can be lost here: always empty."""
        return []

    def close(self) -> None:
        """As Board.close."""
        with guard:
            if _boards.get(self.name) is self:
                del _boards[self.name]
            self._closed = True
            for task in self._tasks.values():
                task._change("cancelled", "left open at close")

    def unlink(self, files: bool = False) -> None:
        """As Board.unlink; there are no files."""
        self.close()


def open_board(
    name: str | None = None,
    *,
    capacity: int = 1024,
    workers: int = 1024,
    result_bytes: int = 2048,
    record: bool = True,
) -> StandinBoard:
    """As headway.open, for this process alone: nothing is recorded."""
    name = paths.default_name() if name is None else paths.check_name(name)
    for what, value, least in (("capacity", capacity, 1), ("workers", workers, 1), ("result_bytes", result_bytes, 0)):
        if type(value) is not int or value < least:
            raise ValueError(f"{what} {value!r} is out of range: give an int from {least}")
    with guard:
        board = _boards.get(name)
        if board is None:
            board = _boards[name] = StandinBoard(name, capacity, result_bytes)
        return board


def found(name: str, id: str, serial: int) -> StandinTask | None:
    """The task of a handle that was pickled, if this is the process that made it, and it was not started anew."""
    board = _boards.get(name)
    task = None if board is None else board._tasks.get(id)
    return task if task is not None and task._serial == serial else None
