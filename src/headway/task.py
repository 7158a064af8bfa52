"""A task as its program sees it: the life of section "a task's life" in ARCHITECTURE.md, over a slot of _core."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import sys
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, TypeVar, overload

from headway import _core, errors
from headway._result import dump_result, load_result, merged

if TYPE_CHECKING:
    from types import TracebackType

    from headway.board import Board

__all__ = ["AsyncTracker", "Counted", "Task", "current", "failure_text"]

T = TypeVar("T")

_OPEN = ("pending", "running", "lost")
_context: ContextVar[Task | None] = ContextVar("headway_task", default=None)
_entered: list[Task] = []  # innermost last: what threads, which inherit no context, take for the current task


class Task(_core.Slot):
    """A handle on one tracked piece of work. Made by Board.task, Board.attach and Task.task.

    Any process, thread or unpickled copy of it may count and write; they all mean the same task. It may be used as a
    context: entering makes this process the owner, leaving ends the task according to the exception.
    """

    __slots__ = ("_board", "_pid", "_token", "_uuid")

    _board: str
    _uuid: str
    _pid: int
    _token: Token[Task | None] | None

    @classmethod
    def _of(cls, board: str, uuid: str, index: int, generation: int, id: str, segment: _core.Segment | None) -> Task:
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
        return _unpickled, (self._board, self._uuid, *self._where, self.id)

    def __repr__(self) -> str:
        return f"<headway.Task {self.id!r} on board {self._board!r}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Task):
            return NotImplemented
        return (self._uuid, self._where) == (other._uuid, other._where)

    def __hash__(self) -> int:
        return hash((self._uuid, self._where))

    def _home(self) -> Board:
        from headway.board import attached

        return attached(self._board, self._uuid)

    def _segment(self) -> _core.Segment:
        return self._home()._segment

    # ---------------------------------------------------------------------------------------------------- ownership

    def __enter__(self) -> Task:
        if self._pid == os.getpid():
            raise errors.HeadwayError(f"task {self.id!r} was entered already: use one 'with' for it")
        self.adopt()
        self._pid = os.getpid()
        self._token = _context.set(self)
        _entered.append(self)
        _hand_down(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pid != os.getpid():
            return  # a forked child that left the parent's block: the task is the parent's to end
        self._pid = 0
        if self in _entered:
            _entered.remove(self)
        _hand_down(_entered[-1] if _entered else None)
        token, self._token = self._token, None
        if token is not None:
            _leave_context(token)
        if error is None or (isinstance(error, SystemExit) and error.code in (0, None)):
            self.succeed()
        elif _is_cancellation(error):
            self.cancel(failure_text(error))
        else:
            self.fail(error)

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
        total: int | object | None = ...,
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
        The iterator has a length if the iterable has. An asynchronous iterable gives an asynchronous iterator.
        """
        sized = hasattr(iterable, "__len__")
        if total is None and sized and self.total is None:
            total = len(iterable)
        if total is not None:
            self._set(total=total)
        if isinstance(iterable, AsyncIterable):
            return AsyncTracker(self, iterable)
        return (_core.SizedTracker if sized else _core.Tracker)(self, iterable)

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


def _unpickled(board: str, uuid: str, index: int, generation: int, id: str) -> Task:
    """Touches nothing: an error here would break the pool that unpickles it."""
    return Task._of(board, uuid, index, generation, id, None)


def failure_text(error: BaseException) -> str:
    """ "Type: text" of an exception, or "Type" where it has no text."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _is_cancellation(error: BaseException) -> bool:
    futures = sys.modules.get("concurrent.futures")
    kinds: tuple[type[BaseException], ...] = (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError)
    return isinstance(error, kinds if futures is None else (*kinds, futures.CancelledError))


class Counted:
    """A function whose calls count on a task when they return. Asynchronous functions count when awaited to the end."""

    def __init__(self, task: Task, function: Callable[..., Any]) -> None:
        self._task = task
        self._function = function
        functools.update_wrapper(self, function)

    def __reduce__(self) -> tuple[Any, ...]:
        return Counted, (self._task, self._function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        found = self._function(*args, **kwargs)
        if inspect.iscoroutine(found):
            return self._awaited(found)
        self._task.update()
        return found

    async def _awaited(self, coroutine: Any) -> Any:
        found = await coroutine
        self._task.update()
        return found


class AsyncTracker(AsyncIterator[Any]):
    """Iterate asynchronously and count, as _core.Tracker does."""

    def __init__(self, task: Task, iterable: AsyncIterable[Any]) -> None:
        self._task = task
        self._iterator = aiter(iterable)
        self._pending = False

    def __aiter__(self) -> AsyncTracker:
        return self

    async def __anext__(self) -> Any:
        if self._pending:
            self._pending = False
            self._task.update()
        item = await anext(self._iterator)
        self._pending = True
        return item


# ------------------------------------------------------------------------------------------------- the current task


def _leave_context(token: Token[Task | None]) -> None:
    try:
        _context.reset(token)
    except ValueError:  # left in another context than entered, as a generator closed elsewhere does
        _context.set(None)


def _hand_down(task: Task | None) -> None:
    """Have children that multiprocessing starts from here on inherit the current task, under every start method.

    Its Process objects carry a copy of the parent's _config, which is how multiprocessing hands down its own settings.
    """
    from multiprocessing.process import current_process

    config: dict[str, Any] = current_process()._config  # type: ignore[attr-defined]
    if task is None:
        config.pop("headway", None)
    else:
        config["headway"] = (task._board, task._uuid, *task._where, task.id)


def current() -> Task:
    """The task of this context: the innermost `with`, inherited by threads and by the children of a pool.

    Without one: a stand-in whose every method is a cheap no-op.
    """
    task = _context.get()
    if task is not None:
        return task
    if _entered:
        return _entered[-1]
    process = sys.modules.get("multiprocessing.process")
    if process is not None:
        handed: tuple[Any, ...] | None = process.current_process()._config.get("headway")
        if handed is not None:
            task = _unpickled(*handed)
            _context.set(task)
            return task
    from headway.standin import NOBODY

    return NOBODY
