"""The methods of tasks, implemented once on top of the few operations of a slot.

The slot is `Slot` of the native code, in shared memory, or `PlainSlot` of the stand-in, in this process.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from headway import errors
from headway.tasks import checks, current
from headway.tasks.counting import AsyncTracker, Counted, check_iterable, is_async, length_of, total_kept
from headway.tasks.ending import ending, failure_text, is_leaving
from headway.tasks.metrics import Metrics
from headway.tasks.results import dump_result, load_result, merged
from headway.tasks.states import ENDED_STATES, OPEN_STATES

if TYPE_CHECKING:
    from contextvars import Token
    from types import EllipsisType
    from typing import Self, SupportsIndex

__all__ = ["TaskMethods"]

T = TypeVar("T")
OnEnd = Callable[[BaseException | None], object]
OnTick = Callable[[], object]
Label = Callable[[Any], object]

_told: set[tuple[int, object]] = set()  # (process, task) that were told that a write came too late
_TOLD_MOST = 10_000


class TaskMethods:
    """A handle on one tracked piece of work. Made by Board.task, Board.attach and Task.task.

    Any process, thread or unpickled copy of the handle may count and write; all refer to the same task. It is a context
    manager: entering makes this process the owner, leaving ends the task according to the exception. A handle from
    board.task(id, join=True) on another process's task neither owns nor ends it.
    """

    if not TYPE_CHECKING:  # mypy would have no others below
        __slots__ = ()

    if TYPE_CHECKING:  # what the place of the numbers gives
        _pid: int  # the process that entered a `with` block of this handle; 0: none
        _token: Token[Any] | None
        _joined: bool  # it came from task(id, join=True), and the task is somebody else's

        @property
        def id(self) -> str: ...
        @property
        def state(self) -> str: ...
        @property
        def total(self) -> int | None: ...
        @total.setter
        def total(self, total: int | None) -> None: ...
        @property
        def count(self) -> int: ...
        def update(self, n: SupportsIndex = 1) -> None: ...
        @property
        def _run(self) -> tuple[int, bool, int, int]: ...
        @property
        def _metrics(self) -> dict[str, float]: ...
        def _own(self) -> bool: ...
        def _set(
            self,
            stage: str | None = None,
            message: str | None = None,
            total: int | object | None = ...,
            metrics: Mapping[str, float] | None = None,
        ) -> bool: ...
        def _transition(
            self,
            state: str,
            allowed: Iterable[str],
            error: str | None = None,
            message: str | None = None,
            stage: str | None = None,
            own: bool = False,
            resume: bool = False,
            expected_owner: int = 0,
        ) -> str | None: ...
        def _read_result(self) -> tuple[bytes, int]: ...
        def _write_result(self, json: bytes, expected: int | None = None) -> bool: ...
        def _key(self) -> object: ...
        def _handed_down(self) -> object: ...
        def item(self, item: object) -> Any: ...
        def _called(self, function: str, arguments: tuple[object, ...]) -> Any: ...
        def _loop(
            self, iterable: Any, sized: bool, on_end: OnEnd | None, on_tick: OnTick | None, label: Label | None
        ) -> Any: ...
        def _part(
            self, id: str, total: int | None, unit: str, label: str, stall_after: float | None, resume: bool, join: bool
        ) -> Self: ...

    # ---------------------------------------------------------------------------------------------------- ownership

    def _enter_block(self) -> Self:
        """Enter a `with` block."""
        if self._pid == os.getpid():
            raise checks.entered_twice(self.id)
        self._pid = os.getpid()  # first: from here on there is something to undo
        try:
            if not self._joined:
                self.adopt()
            self._token = current.enter(self, self._handed_down())
        except Exception:
            self._pid = 0
            current.leave(self, None)
            raise
        return self

    def _leave_block(self, error: BaseException | None) -> None:
        """Leave a `with` block. If it was interrupted and is called again, it does the rest.

        Never raises: the work of the block is done, whatever keeps its end from being written (somebody else ended the
        task, or started it anew, or removed the board).
        """
        if self._pid != os.getpid():
            return  # a forked child that left the parent's block: the task is the parent's to end
        state, text = ending(error)
        try:
            if not self._joined:
                self._transition(state, OPEN_STATES, error=text)
        except (errors.HeadwayError, OSError) as problem:
            if error is None and not is_leaving():  # otherwise the exception of the block matters more
                errors.tell(f"the end of task {self.id!r} could not be written: {problem}", errors.StaleTaskWarning)
        finally:
            current.leave(self, self._token)
            self._pid, self._token = 0, None

    def adopt(self) -> Self:
        """Make this process the owner: if it dies and no other process counts, the task is lost. Returns the task.

        Raises headway.errors.HeadwayError if the task has ended.
        """
        if not self._own():
            raise checks.task_ended(self.id, self.state)
        self._joined = False
        return self

    def _again(self) -> bool:
        """Run again, from zero, in the same slot. Returns False if it has not ended, or if its slot has another task.

        For loops inside loops: they may begin a thousand times a second, and each new task would be archived.
        """
        try:
            self.update(-self.count)
            return self._transition("running", ENDED_STATES, message="", own=True, resume=True) is not None
        except errors.HeadwayError:
            return False

    def succeed(self, message: str | None = None) -> bool:
        """End the task with success. Returns False if it had ended already: the first end counts."""
        if message is not None:
            checks.check_text(message, "message")
        return self._transition("success", OPEN_STATES, message=message) is not None

    def fail(self, error: BaseException | str) -> bool:
        """End the task with an error: a text, or an exception, shown as "Type: text". Returns False if it had ended."""
        text = failure_text(error) if isinstance(error, BaseException) else checks.check_text(error, "error")
        return self._transition("failed", OPEN_STATES, error=text) is not None

    def cancel(self, reason: str | None = None) -> bool:
        """End the task unfinished on purpose. Returns False if it had ended already."""
        if reason is not None:
            checks.check_text(reason, "reason")
        return self._transition("cancelled", OPEN_STATES, error=reason) is not None

    @property
    def resumed_from(self) -> int | None:
        """The count at which this run continued an earlier one; None if it began at zero."""
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
        count: int | None = None,
    ) -> bool:
        """Change what the task shows, in one transition that is seen whole or not at all.

        stage: the next stage of its timeline (47 bytes are kept); message: a line for people (191 bytes); total: items,
        None = unknown; metrics: at most 8 named floats, others keep their value. count: how many items are done, where
        that is told as a whole; by one writer at a time, as it counts the difference, in a step of its own. Returns
        False, and changes nothing, if the task has ended; says so once, by a StaleTaskWarning. Raises ValueError,
        TypeError, headway.errors.LockTimeout.
        """
        if count is not None:
            count = checks.check_count(count)
        if not self._set(stage, message, total, metrics):
            self._tell_ended()
            return False
        if count is not None:
            self.update(count - self.count)
        return True

    def _tell_ended(self) -> None:
        """Say, once a task and process, that a write came after the end."""
        place = os.getpid(), self._key()
        if place in _told or len(_told) >= _TOLD_MOST or is_leaving():
            return
        _told.add(place)
        errors.tell(
            f"task {self.id!r} has ended ({self.state}): what is written to it now is dropped; start it anew with "
            f"board.task({self.id!r})",
            errors.StaleTaskWarning,
        )

    @property
    def metrics(self) -> Mapping[str, float]:
        """The named floats of the task, read only; set(metrics=...) adds or changes some of the at most 8."""
        return Metrics(self._metrics)

    @overload
    def track(
        self, iterable: Iterable[T], *, total: int | None = None, label: Callable[[T], object] | None = None
    ) -> Iterator[T]: ...
    @overload
    def track(
        self, iterable: AsyncIterable[T], *, total: int | None = None, label: Callable[[T], object] | None = None
    ) -> AsyncIterator[T]: ...
    def track(self, iterable: Any, *, total: int | None = None, label: Label | None = None) -> Any:
        """Iterate and count: an item counts when the next one is asked for, so not the one that breaks or raises.

        total: items, set on the task; default: the iterable's length, if it has one and the task has no total yet.
        Above 2**63 - 1 it is unknown. Until an item counts it is in hand, and seen if this process dies or stalls: by
        what label(item) returns; without label, numbers, texts, paths and tuples of those by themselves, others by
        their number in the loop.
        The iterator has a length if the iterable can tell one. An asynchronous iterable gives an asynchronous iterator.
        """
        if label is not None and not callable(label):
            raise TypeError(f"label is a function that names an item, and {label!r:.60} cannot be called")
        return self._tracker(iterable, total, None, None, label)

    def _tracker(
        self,
        iterable: Any,
        total: int | None,
        on_end: OnEnd | None,
        on_tick: OnTick | None,
        label: Label | None = None,
    ) -> Any:
        check_iterable(iterable)
        length = length_of(iterable)
        if total is None and length is not None and self.total is None:
            total = length
        if (total := total_kept(total)) is not None:
            self._set(total=total)
        if is_async(iterable):
            return AsyncTracker(self, iterable, on_end, on_tick, label=label)
        return self._loop(iterable, length is not None, on_end, on_tick, label)

    def counts(self, function: Callable[..., T]) -> Callable[..., T]:
        """Wrap a function so that each call that returns counts one item here. Picklable if the function is.

        While it runs the call is the item in hand: the function's name, and the arguments that `track` would name.
        """
        return Counted(self, function)

    def task(
        self,
        name: str,
        *,
        total: int | None = None,
        unit: str = "it",
        label: str | None = None,
        stall_after: float | None = None,
        resume: bool = False,
        join: bool = False,
    ) -> Self:
        """Create a task that is part of this one; its id is "<this id>/<name>". Arguments and errors as Board.task."""
        checks.check_name(name)
        label = name if label is None else label or name
        return self._part(f"{self.id}/{name}", total, unit, label, stall_after, resume, join)

    # ------------------------------------------------------------------------------------------------------- result

    @property
    def result(self) -> Any:
        """The result of the task: JSON and NumPy scalars; assigning replaces it. None if there is none.

        Assigning raises headway.errors.ResultTooLarge, and keeps the old one, if the JSON does not fit; TypeError if it
        is not JSON.
        """
        return load_result(self._read_result()[0])

    @result.setter
    def result(self, value: Any) -> None:
        self._write_result(dump_result(value))

    def merge_result(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Add keys to the result, which is a JSON object; processes that do so at once lose nothing. Returns the whole.

        Raises headway.errors.ResultTooLarge and headway.errors.LockTimeout; TypeError if the present result is not an
        object.
        """
        return merged(self, values)
