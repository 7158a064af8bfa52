"""A task without shared memory; part of `headway.standin.board`, which tells more."""

from __future__ import annotations

import operator
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, SupportsIndex

from headway import errors
from headway.tasks import current
from headway.tasks.counting import AsyncTracker, Counted, Sized, counting, is_async, length_of
from headway.tasks.ending import ending, failure_text
from headway.tasks.nobody import StandinNative
from headway.tasks.results import dump_result, load_result
from headway.views.board_view import StageView, TaskView

if TYPE_CHECKING:
    from contextvars import Token
    from types import EllipsisType, TracebackType

    from headway.standin.board import StandinBoard

__all__ = ["OPEN", "StandinTask", "check_id", "check_text", "check_total", "guard"]

_ID_BYTES = 95
_COUNT_LIMIT = 1 << 47
_METRICS = 8
_METRIC_BYTES = 23
OPEN = ("pending", "running")

guard = threading.RLock()
os.register_at_fork(after_in_child=guard._at_fork_reinit)  # type: ignore[attr-defined]  # a thread may have held it


# ------------------------------------------------------------------------------------------- what the engine checks


def check_id(id: str) -> None:
    _check_key(id, _ID_BYTES, "task id")


def _check_key(key: str, most: int, what: str) -> None:
    if not isinstance(key, str):
        raise TypeError(f"{what} must be a str, not {type(key).__name__}")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{what} {key!r} is not valid Unicode: give it without lone surrogates") from None
    if not 1 <= size <= most or "\0" in key:
        raise ValueError(f"{what} {key!r} is not legal: give it 1 to {most} bytes of UTF-8 without NUL")


def check_total(total: int | None) -> int | None:
    if total is None:
        return None
    number = operator.index(total)
    if not 0 <= number < _COUNT_LIMIT:
        raise ValueError(f"total {number} is out of range: give 0 to {_COUNT_LIMIT - 1}, or None if it is unknown")
    return number


def check_text(text: str | None, what: str, *, optional: bool = True) -> None:
    if not (isinstance(text, str) or (optional and text is None)):
        raise TypeError(f"{what} must be a str, not {type(text).__name__}")


class StandinTask:
    """A task of this process alone. Everything is as on headway.Task, but nobody else sees it."""

    __slots__ = (
        *("_base", "_beat", "_board", "_count", "_created", "_ended", "_error", "_id", "_label", "_message"),
        *("_metrics", "_parent", "_pid", "_result", "_resumed", "_room", "_seen", "_serial", "_stages", "_started"),
        *("_state", "_token", "_total", "_unit"),
    )

    def __init__(self, board: str, id: str, total: int | None, unit: str, label: str, parent: str | None) -> None:
        self._id = id
        self._board = board
        self._label = label
        self._unit = unit
        self._parent = parent
        self._total = total
        self._state = "pending"
        self._message = self._error = ""
        self._metrics: dict[str, float] = {}
        self._result = b""
        self._room: int | None = None  # for a result, in bytes
        self._stages: list[tuple[str, float]] = []
        self._count = self._base = self._serial = 0
        self._resumed = False
        self._created = time.time()
        self._started: float | None = None
        self._ended: float | None = None
        self._seen = 0  # the count when it was last looked at,
        self._beat: float | None = None  # and when it was first seen to be that
        self._pid = 0
        self._token: Token[Any] | None = None

    @property
    def id(self) -> str:
        """As Task.id."""
        return self._id

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._board, self.id, self._serial, self._total, self._unit, self._label, self._parent)

    def __repr__(self) -> str:
        return f"<headway.Task {self.id!r} on board {self._board!r}, of this process alone>"

    def _home(self) -> StandinBoard:
        from headway.standin.board import open_board

        return open_board(self._board)

    def _change(self, state: str, error: str | None = None, message: str | None = None) -> bool:
        """Go on to a state, unless the task has ended."""
        with guard:
            if self._state not in OPEN:
                return False
            if message is not None:
                self._message = message
            if error is not None:
                self._error = error
            if self._started is None and state == "running":
                self._started = time.time()
            if state not in OPEN:
                self._ended = time.time()
            self._state = state
            return True

    def _resume(self, total: int | None) -> None:
        self._state, self._error = "running", ""
        self._base, self._resumed = self._count, True
        self._started, self._ended = time.time(), None
        if total is not None:
            self._total = total

    # ownership

    def __enter__(self) -> StandinTask:
        if self._pid == os.getpid():
            raise errors.HeadwayError(f"task {self.id!r} was entered already: use one 'with' for it")
        self.adopt()
        self._pid = os.getpid()
        self._token = current.enter(self, None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pid != os.getpid():
            return
        self._pid = 0
        token, self._token = self._token, None
        current.leave(self, token)
        self._change(*ending(error))

    def adopt(self) -> StandinTask:
        """As Task.adopt."""
        if not self._change("running"):
            raise errors.HeadwayError(f"task {self.id!r} has ended ({self._state}): start it anew with board.task")
        return self

    def _again(self) -> bool:
        """As Task._again."""
        with guard:
            if self._state in OPEN:
                return False
            self._count = 0
            self._message = ""
            self._resume(None)
            return True

    def succeed(self, message: str | None = None) -> bool:
        """As Task.succeed."""
        return self._change("success", message=message)

    def fail(self, error: BaseException | str) -> bool:
        """As Task.fail."""
        return self._change("failed", error if isinstance(error, str) else failure_text(error))

    def cancel(self, reason: str | None = None) -> bool:
        """As Task.cancel."""
        return self._change("cancelled", reason)

    @property
    def resumed_from(self) -> int | None:
        """As Task.resumed_from."""
        return self._base if self._resumed else None

    # progress

    def update(self, n: SupportsIndex = 1) -> None:
        """As Task.update."""
        if type(n) is not int:
            n = operator.index(n)
        if self._state == "pending":
            self._change("running")
        self._count += n  # exact in threads, too: Python changes threads at calls and jumps, not between load and store

    @property
    def count(self) -> int:
        """As Task.count, of this process."""
        return self._count

    def set(
        self,
        *,
        stage: str | None = None,
        message: str | None = None,
        total: int | EllipsisType | None = ...,
        metrics: Mapping[str, float] | None = None,
    ) -> bool:
        """As Task.set."""
        check_text(stage, "stage")
        check_text(message, "message")
        if not isinstance(total, type(...)):
            total = check_total(total)
        for name in metrics or ():
            _check_key(name, _METRIC_BYTES, "metric name")
        with guard:
            more = self._metrics | {name: float(value) for name, value in (metrics or {}).items()}
            if len(more) > _METRICS:
                raise ValueError(f"task {self.id!r} would have {len(more)} metrics, there is room for {_METRICS}")
            if self._state not in OPEN:
                return False
            if stage is not None or message is not None or metrics:
                self._change("running", message=message)
            if stage is not None:
                self._stages.append((stage, time.time()))
            if not isinstance(total, type(...)):
                self._total = total
            self._metrics = more
            return True

    @property
    def stage(self) -> str:
        """As Task.stage."""
        return self._stages[-1][0] if self._stages else ""

    @stage.setter
    def stage(self, stage: str) -> None:
        check_text(stage, "stage", optional=False)
        self.set(stage=stage)

    @property
    def message(self) -> str:
        """As Task.message."""
        return self._message

    @message.setter
    def message(self, message: str) -> None:
        check_text(message, "message", optional=False)
        self.set(message=message)

    @property
    def total(self) -> int | None:
        """As Task.total."""
        return self._total

    @total.setter
    def total(self, total: int | None) -> None:
        self.set(total=total)

    @property
    def metrics(self) -> dict[str, float]:
        """As Task.metrics."""
        return dict(self._metrics)

    @property
    def state(self) -> str:
        """As Task.state."""
        return self._state

    @property
    def parent(self) -> str | None:
        """As Task.parent."""
        return self._parent

    def track(self, iterable: Any, *, total: int | None = None) -> Any:
        """As Task.track."""
        return self._tracker(iterable, total, None, None)

    def _tracker(
        self,
        iterable: Any,
        total: int | None,
        on_end: Callable[[BaseException | None], object] | None,
        on_tick: Callable[[], object] | None,
    ) -> Any:
        length = length_of(iterable)
        if total is None and length is not None and self._total is None:
            total = length
        if total is not None:
            self.set(total=total)
        if is_async(iterable):
            return AsyncTracker(self, iterable, on_end, on_tick)
        tracker = counting(self, iter(iterable), on_end, on_tick)
        next(tracker)
        return tracker if length is None else Sized(tracker, iterable)

    def counts(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """As Task.counts."""
        return Counted(self, function)

    def task(
        self,
        name: str,
        *,
        total: int | None = None,
        unit: str = "it",
        label: str | None = None,
        resume: bool = False,
    ) -> StandinTask:
        """As Task.task."""
        return self._home()._create(f"{self.id}/{name}", total, unit, label or name, resume, parent=self.id)

    def native(self) -> StandinNative:
        """A handle for C, Cython and numba code that counts nothing."""
        return StandinNative()

    # result

    @property
    def result(self) -> Any:
        """As Task.result."""
        return load_result(self._result)

    @result.setter
    def result(self, value: Any) -> None:
        raw = dump_result(value)
        if self._room is not None and len(raw) > self._room:
            raise errors.ResultTooLarge(
                f"the result of task {self.id!r} has {len(raw)} bytes of JSON, its place {self._room}: make it smaller"
            )
        self._result = raw

    def merge_result(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """As Task.merge_result."""
        with guard:
            present = self.result
            if present is not None and not isinstance(present, dict):
                raise TypeError(
                    f"task {self.id!r} has the result {present!r:.60}, which is no object: assign task.result"
                )
            self.result = {**(present or {}), **values}
            whole: dict[str, Any] = self.result
            return whole

    # views

    def _view(self, now: float) -> TaskView:
        """What it shows at this moment."""
        count = self._count
        if count != self._seen:
            self._seen, self._beat = count, now
        elapsed = (self._ended or now) - (self._started or now)
        left = [entered for _, entered in self._stages[1:]] + [self._ended]
        return TaskView(
            id=self.id,
            label=self._label,
            unit=self._unit,
            parent=self._parent,
            state=self._state,
            count=count,
            total=self._total,
            base=self._base,
            stage=self.stage,
            message=self._message,
            error=self._error,
            metrics=self.metrics,
            rate=(count - self._base) / elapsed if elapsed > 0 else None,
            created=self._created,
            started=self._started,
            ended=self._ended,
            stage_entered=self._stages[-1][1] if self._stages else None,
            beat=self._beat,
            serial=self._serial,
            owner_pid=os.getpid(),
            owner_alive=True,
            resumed_from=self.resumed_from,
            taken_at=now,
            stages=tuple(StageView(*stage, until) for stage, until in zip(self._stages, left, strict=False)),
            result=self.result,
        )


def _unpickled(
    board: str, id: str, serial: int, total: int | None, unit: str, label: str, parent: str | None
) -> StandinTask:
    """The task itself in the process that made it, and in others one like it that stands on no board."""
    from headway.standin.board import found

    task = found(board, id, serial)
    if task is None:
        task = StandinTask(board, id, total, unit, label, parent)
        task._serial = serial  # it may go back
    return task
