"""A task of this process alone: what tasks can do, over plain objects."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from headway.standin.nobody import StandinNative
from headway.standin.records import Record, register_of, registers
from headway.standin.slots import PlainSlot
from headway.tasks.counting import Sized, counting
from headway.tasks.methods import Label, OnEnd, OnTick, TaskMethods

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType

    from headway.standin.records import Register
    from headway.views.task_view import TaskView

__all__ = ["StandinTask", "create"]


class StandinTask(TaskMethods, PlainSlot):
    """A task of this process alone. It works as headway.Task does, but no other process sees it."""

    __slots__ = ("_joined", "_pid", "_token")

    _pid: int
    _token: Token[Any] | None
    _joined: bool

    @classmethod
    def _of(cls, record: Record, joined: bool = False) -> StandinTask:
        task = cls.__new__(cls)
        task._record = record
        task._pid = 0
        task._token = None
        task._joined = joined
        return task

    def __init__(self) -> None:
        raise TypeError("a Task is made by board.task(id) or found by board.attach(id)")

    def __reduce__(self) -> tuple[Any, ...]:
        one = self._record
        return _unpickled, (one.board, one.id, one.serial, one.total, one.unit, one.label, one.parent, self._joined)

    def __repr__(self) -> str:
        return f"<headway.Task {self.id!r} on board {self._record.board!r}, of this process alone>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StandinTask):
            return NotImplemented
        return self._record is other._record

    def __hash__(self) -> int:
        return hash(self._key())

    def __enter__(self) -> StandinTask:
        return self._enter_block()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave_block(error)

    def _key(self) -> object:
        """The key for comparing and hashing: no other task has the same."""
        return self._record.number

    def _handed_down(self) -> None:
        """None: children of this process cannot reach the task."""
        return

    def _loop(
        self, iterable: Any, sized: bool, on_end: OnEnd | None, on_tick: OnTick | None, label: Label | None
    ) -> Any:
        tracker = counting(self, iter(iterable), on_end, on_tick)
        next(tracker)
        return Sized(tracker, iterable) if sized else tracker

    def _part(
        self, id: str, total: int | None, unit: str, label: str, stall_after: float | None, resume: bool, join: bool
    ) -> StandinTask:
        register = self._record.register or register_of(self._record.board)
        if register.closed:  # the board may be open again
            register = registers.get(register.name, register)
        return create(register, id, total, unit, label, stall_after, resume, join, parent=self.id)

    def view(self) -> TaskView:
        """As Task.view."""
        return self._writable().view(time.time())

    def native(self) -> StandinNative:
        """A handle for C, Cython and numba code that counts nothing."""
        return StandinNative()


def create(
    register: Register,
    id: str,
    total: int | None,
    unit: str,
    label: str,
    stall_after: float | None,
    resume: bool,
    join: bool,
    parent: str | None = None,
) -> StandinTask:
    """Claim a record and return its task. The arguments are those of `Register.claim`."""
    return StandinTask._of(
        *register.claim(id, total, unit, label, stall_after, resume=resume, join=join, parent=parent)
    )


def _unpickled(
    board: str,
    id: str,
    serial: int,
    total: int | None,
    unit: str,
    label: str,
    parent: str | None,
    joined: bool,
) -> StandinTask:
    """The task itself in the process that made it, and in others one like it that stands on no board."""
    register = registers.get(board)
    record = None if register is None else register.tasks.get(id)
    if record is None or record.serial != serial:  # of another process, or of a task that ended since
        record = Record(board, id, total, unit, label, parent)
        record.serial = serial  # it may go back
    return StandinTask._of(record, joined)
