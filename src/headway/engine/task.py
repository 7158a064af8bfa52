"""A task as its program sees it: the life of section "a task's life" in ARCHITECTURE.md, over a slot of core."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextvars import Token
from typing import TYPE_CHECKING, Any, TypeVar, overload

from headway import errors
from headway.native import core
from headway.tasks import current
from headway.tasks.counting import AsyncTracker, Counted, is_async, length_of
from headway.tasks.ending import ending, failure_text
from headway.tasks.results import dump_result, load_result, merged

if TYPE_CHECKING:
    from types import EllipsisType

    from headway.engine.board import Board

__all__ = ["Task", "unpickled"]

T = TypeVar("T")
OnEnd = Callable[[BaseException | None], object]
OnTick = Callable[[], object]

_OPEN = ("pending", "running", "lost")
_ENDED = ("success", "failed", "cancelled")


class Task(core.Slot):
    """A handle on one tracked piece of work. Made by Board.task, Board.attach and Task.task.

    Any process, thread or unpickled copy of it may count and write; they all mean the same task. It may be used as a
    context: entering makes this process the owner, leaving ends the task according to the exception.
    """

    __slots__ = ("_board", "_pid", "_token", "_uuid")

    _board: str
    _uuid: str
    _pid: int
    _token: Token[Any] | None

    @classmethod
    def _of(cls, board: str, uuid: str, index: int, generation: int, id: str, segment: core.Segment | None) -> Task:
        task = cls.__new__(cls)
        task._place(segment, index, generation, id)
        task._board = board
        task._uuid = uuid
        task._pid = 0
        task._token = None
        return task

    def __init__(self) -> None:
        raise TypeError("a Task is made by board.task(id) or found by board.attach(id)")

    def __reduce__(self) -> tuple[Any, ...]:
        return unpickled, self._handle

    @property
    def _handle(self) -> tuple[str, str, int, int, str]:
        """All that another process needs to find this task."""
        return self._board, self._uuid, *self._where, self.id

    def __repr__(self) -> str:
        return f"<headway.Task {self.id!r} on board {self._board!r}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Task):
            return NotImplemented
        return (self._uuid, self._where) == (other._uuid, other._where)

    def __hash__(self) -> int:
        return hash((self._uuid, self._where))

    def _home(self) -> Board:
        from headway.engine.board import attached

        return attached(self._board, self._uuid)

    def _segment(self) -> core.Segment:
        return self._home()._segment

    # ---------------------------------------------------------------------------------------------------- ownership

    def _enter_block(self) -> Task:
        """What entering a `with` block does: see Slot.__enter__."""
        if self._pid == os.getpid():
            raise errors.HeadwayError(f"task {self.id!r} was entered already: use one 'with' for it")
        self._pid = os.getpid()  # first: from here on there is something to undo
        try:
            self.adopt()
            self._token = current.enter(self, self._handle)
        except Exception:
            self._pid = 0
            current.leave(self, None)
            raise
        return self

    def _leave_block(self, error: BaseException | None) -> None:
        """What leaving a `with` block does. Interrupted anywhere and called again, it does the rest."""
        if self._pid != os.getpid():
            return  # a forked child that left the parent's block: the task is the parent's to end
        state, text = ending(error)
        try:
            self._transition(state, _OPEN, error=text)
        except errors.HeadwayError:
            if error is None:
                raise  # else the exception of the block is what the program has to hear of
        finally:
            current.leave(self, self._token)
            self._pid, self._token = 0, None

    def adopt(self) -> Task:
        """Make this process the owner: the task is lost when it dies and nobody else counts. Returns the task.

        Raises HeadwayError if the task has ended.
        """
        if not self._own():
            raise errors.HeadwayError(
                f"task {self.id!r} has ended ({self.state}): start it anew with board.task({self.id!r}), or go on with "
                f"board.task({self.id!r}, resume=True)"
            )
        return self

    def _again(self) -> bool:
        """Run once more, from zero, in the same place. Returns False if it has not ended, or its place is another's.

        For loops inside loops: they may begin a thousand times a second, and each new task would be archived.
        """
        try:
            self.update(-self.count)
            return self._transition("running", _ENDED, message="", own=True, resume=True) is not None
        except errors.HeadwayError:
            return False

    def succeed(self, message: str | None = None) -> bool:
        """End the task well. Returns False if it had ended already: the first end counts."""
        return self._transition("success", _OPEN, message=message) is not None

    def fail(self, error: BaseException | str) -> bool:
        """End the task with an error: a text, or an exception, shown as "Type: text". Returns False if it had ended."""
        text = error if isinstance(error, str) else failure_text(error)
        return self._transition("failed", _OPEN, error=text) is not None

    def cancel(self, reason: str | None = None) -> bool:
        """End the task unfinished on purpose. Returns False if it had ended already."""
        return self._transition("cancelled", _OPEN, error=reason) is not None

    @property
    def resumed_from(self) -> int | None:
        """The count at which this run went on from an earlier one; None if it began anew."""
        base, resumed, _, _ = self._run
        return base if resumed else None

    # ----------------------------------------------------------------------------------------------------- progress

    def set(
        self,
        *,
        stage: str | None = None,
        message: str | None = None,
        total: int | EllipsisType | None = ...,
        metrics: Mapping[str, float] | None = None,
    ) -> bool:
        """Change what the task shows, in one transition that is seen whole or not at all.

        stage: the next stage of its timeline (47 bytes are kept); message: a line for people (191 bytes); total: items,
        None = unknown; metrics: at most 8 named floats, others keep their value. Returns False, and changes nothing, if
        the task has ended. Raises ValueError, TypeError, LockTimeout.
        """
        return self._set(stage, message, total, metrics)

    @overload
    def track(self, iterable: Iterable[T], *, total: int | None = None) -> Iterator[T]: ...
    @overload
    def track(self, iterable: AsyncIterable[T], *, total: int | None = None) -> AsyncIterator[T]: ...
    def track(self, iterable: Any, *, total: int | None = None) -> Any:
        """Iterate and count: an item counts when the next one is asked for, so not the one that breaks or raises.

        total: items, set on the task; default: the iterable's length, if it has one and the task has no total yet.
        The iterator has a length if the iterable can tell one. An asynchronous iterable gives an asynchronous iterator.
        """
        return self._tracker(iterable, total, None, None)

    def _tracker(self, iterable: Any, total: int | None, on_end: OnEnd | None, on_tick: OnTick | None) -> Any:
        length = length_of(iterable)
        if total is None and length is not None and self.total is None:
            total = length
        if total is not None:
            self._set(total=total)
        if is_async(iterable):
            return AsyncTracker(self, iterable, on_end, on_tick)
        return (core.Tracker if length is None else core.SizedTracker)(self, iterable, on_end, on_tick)

    def counts(self, function: Callable[..., T]) -> Callable[..., T]:
        """Wrap a function so that each call that returns counts one item here. Picklable if the function is."""
        return Counted(self, function)

    def task(
        self,
        name: str,
        *,
        total: int | None = None,
        unit: str = "it",
        label: str | None = None,
        resume: bool = False,
    ) -> Task:
        """Create a task that is part of this one; its id is "<this id>/<name>". Arguments and errors as Board.task."""
        return self._home()._create(f"{self.id}/{name}", total, unit, label or name, resume, parent=self.id)

    # ------------------------------------------------------------------------------------------------------- result

    @property
    def result(self) -> Any:
        """What the task found out: JSON and NumPy scalars; assigning replaces it. None if there is none.

        Assigning raises ResultTooLarge, and keeps the old one, if the JSON does not fit; TypeError if it is no JSON.
        """
        return load_result(self._read_result()[0])

    @result.setter
    def result(self, value: Any) -> None:
        self._write_result(dump_result(value))

    def merge_result(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Add keys to the result, which is a JSON object; processes that do so at once lose nothing. Returns the whole.

        Raises ResultTooLarge, TypeError if the present result is no object, LockTimeout.
        """
        return merged(self, values)


def unpickled(board: str, uuid: str, index: int, generation: int, id: str) -> Task:
    """The task of a handle that was pickled. Touches nothing: an error here would break the pool that unpickles it."""
    return Task._of(board, uuid, index, generation, id, None)
