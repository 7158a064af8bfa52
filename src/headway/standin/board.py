"""Boards without shared memory: the same names as those of the engine, seen by this process alone.

They are used if Headway is switched off (HEADWAY_DISABLE=1), and by `headway.track` if there is no shared memory. A
program must not fail because of that: `attach` assumes that an unknown task belongs to another process, and methods
that concern other processes do nothing. Works without the native modules.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway import errors
from headway.standin.records import Record, Register, guard, register_of
from headway.standin.task import StandinTask, create
from headway.system import paths
from headway.tasks import checks
from headway.tasks.states import STATES
from headway.views.board_view import BoardView, WorkerView

if TYPE_CHECKING:
    from types import TracebackType

    from headway.views.task_view import TaskView

__all__ = ["StandinBoard", "StandinTask", "board_of", "open_board"]

_boards: dict[str, StandinBoard] = {}  # one object per process and name
_told: set[str] = set()  # names of boards whose differing sizes were warned about


class StandinBoard:
    """A board of this process alone. As headway.Board, but nobody else sees it, and no file is written."""

    __slots__ = ("_register", "_sequence", "name")

    def __init__(self, register: Register) -> None:
        self.name = register.name
        self._register = register
        self._sequence = 0

    @property
    def directory(self) -> Path:
        """The directory in which the board's files would be."""
        try:
            return paths.board_directory(self.name)
        except OSError:  # there is no place for them: nothing is to fail because of that
            return Path(paths.temporary(), "headway", self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return open_board, (self.name,)

    def __repr__(self) -> str:
        return f"<headway.Board {self.name!r}, of this process alone>"

    def _repr_html_(self) -> str:
        html: str = self.snapshot()._repr_html_()
        return html

    def __enter__(self) -> StandinBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and checks.check_id(id) in self._register.opened()

    def __len__(self) -> int:
        return len(self._register.opened())

    def __bool__(self) -> bool:
        return True  # also without tasks

    def __iter__(self) -> Iterator[TaskView]:
        return iter(self.snapshot().tasks)

    def task(
        self,
        id: str,
        *,
        total: int | None = None,
        unit: str = "it",
        label: str | None = None,
        stall_after: float | None = None,
        resume: bool = False,
        join: bool = False,
    ) -> StandinTask:
        """As Board.task."""
        return create(self._register, id, total, unit, "" if label is None else label, stall_after, resume, join)

    def attach(self, id: str) -> StandinTask:
        """As Board.attach. A task that is unknown here may belong to another process, so a handle is returned."""
        record = self._register.opened().get(checks.check_id(id))
        return StandinTask._of(Record(self.name, id, None, "it", "", None) if record is None else record)

    def get(self, id: str) -> TaskView | None:
        """As Board.get."""
        record = self._register.opened().get(checks.check_id(id))
        return None if record is None else record.view(time.time())

    def tasks(self, state: str | None = None) -> list[TaskView]:
        """As Board.tasks."""
        if state is not None:
            checks.check_state(state, STATES)
        return [task for task in self.snapshot().tasks if state is None or task.state == state]

    def snapshot(self) -> BoardView:
        """As Board.snapshot; the view has no `array`."""
        now = time.time()
        with guard:
            self._sequence += 1
            tasks = [record.view(now) for record in self._register.opened().values()]
        worker = WorkerView(incarnation=1, pid=os.getpid(), taken_at=now)
        return BoardView.of(
            self.name,
            tasks,
            [worker],
            taken_at=now,
            sequence=self._sequence,
            gone=self._register.gone,
            stall_after_ns=self._register.stall_after_ns,
        )

    def watch(self, interval: float = 0.25) -> Iterator[BoardView]:
        """As Board.watch."""
        checks.check_interval(interval)
        return self._views(interval)

    def _views(self, interval: float) -> Iterator[BoardView]:
        while not self._register.closed:
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
        checks.check_history(hours, limit)
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
            self._register.close()

    def remove(self, files: bool = True) -> None:
        """As Board.remove; there are no files."""
        self.close()


def open_board(
    name: str | None = None,
    *,
    capacity: int | None = None,
    workers: int | None = None,
    result_bytes: int | None = None,
    stall_after: float | None = None,
    record: bool = True,
) -> StandinBoard:
    """As headway.open, for this process alone: nothing is recorded."""
    name = paths.default_name(strict=False) if name is None else paths.check_name(name)
    given = {"capacity": capacity, "workers": workers, "result_bytes": result_bytes}
    checks.board_geometry(**given)
    stall_after_ns = checks.check_stall_after(stall_after)
    with guard:
        board = _boards.get(name)
        if board is not None:
            board._register.stall_after_ns = stall_after_ns or board._register.stall_after_ns
            text = checks.differences(name, board._register.geometry, given)
            if text is not None and name not in _told:
                _told.add(name)
                warnings.warn(text, RuntimeWarning, stacklevel=errors.stacklevel())
            return board
        board = _boards[name] = StandinBoard(register_of(name, **given))  # (known, if a task was unpickled first)
        board._register.stall_after_ns = stall_after_ns
        return board


def board_of(task: StandinTask) -> StandinBoard:
    """The board that a task is on."""
    with guard:
        register = task._record.register or register_of(task._record.board)
        board = _boards.get(register.name)
        if board is None or board._register is not register:
            board = _boards[register.name] = StandinBoard(register)
        return board
