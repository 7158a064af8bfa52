"""Calls that go to any executor of `concurrent.futures` count on a task, and a worker that dies is told with its call.

    with headway.open("nightly").task("sums", total=1000) as task, ProcessPoolExecutor() as pool:
        calls = TrackedExecutor(pool, task)
        found = list(calls.map(work, range(1000), chunksize=20))

Executors of loky, Dask and mpi4py can be wrapped, too: whatever has `submit`.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from headway import errors
from headway.pools.crew import ended_by
from headway.pools.work import call_name

if TYPE_CHECKING:
    from headway.engine.task import Task

__all__ = ["LostCall", "TrackedExecutor"]

R = TypeVar("R")

SHOW_S = 0.1
DEATH_S = 1.0
END_S = 10.0  # how long the workers of a broken executor may take to be gone


@dataclass(frozen=True, eq=False)
class LostCall:
    """A call that came to nothing because its executor broke."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    in_hand: bool = False
    """Whether a worker that died had it in hand: it may be why the executor broke, the others are not."""


class TrackedExecutor(Executor):
    """An executor of which each call counts on a task when it has returned, and is the item in hand while it runs.

    The task's metrics `running` and `pending` say how many calls of `submit`, and chunks of `map`, workers have, and
    how many wait. executor: any; it is the caller's to shut down, by this one or by itself. Where a worker dies, the
    BrokenExecutor that all calls get has a note of how it ended, and of the call that it had in hand.
    """

    def __init__(self, executor: Executor, task: Task) -> None:
        self._executor = executor
        self._task = task
        self._open: dict[Future[Any], _Call] = {}
        self._lost: list[LostCall] = []
        self._told: BaseException | None = None  # the exception that has its note
        self._in_hand: set[str] = set()  # what those had in hand that died
        self._processes: dict[int, Any] = {}  # of the executor, also when it has let go of them
        self._base = task.count
        # The next one is how many have returned. Counts without a lock: the calls of an executor end in its threads.
        self._returned = itertools.count()
        self._show_again = 0.0

    # ------------------------------------------------------------------------------------------------ as an executor

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """As Executor.submit. The call counts one when it has returned."""
        call = _Call(fn, [args], kwargs)
        future: Future[R] = self._submitted(call, self._task.counts(fn), args, kwargs)
        return future

    def map(
        self, fn: Callable[..., R], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[R]:
        """As Executor.map. chunksize: items that go to a worker at a time; each of them counts by itself."""
        if chunksize < 1:
            raise ValueError(f"chunksize {chunksize} is too small: give 1 or more")
        until = None if timeout is None else time.monotonic() + timeout
        items = zip(*iterables, strict=False)
        counted = self._task.counts(fn)
        futures: list[Future[list[R]]] = []
        while chunk := list(itertools.islice(items, chunksize)):
            futures.append(self._submitted(_Call(fn, chunk, {}), _each, (counted, chunk), {}))
        return _in_order(futures, until)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut the executor down."""
        self._executor.shutdown(wait, cancel_futures=cancel_futures)

    def _submitted(self, call: _Call, fn: Callable[..., Any], args: Any, kwargs: Any) -> Future[Any]:
        future = _Future(self._executor.submit(fn, *args, **kwargs))
        self._processes.update(getattr(self._executor, "_processes", None) or {})
        self._open[future] = call
        future.inner.add_done_callback(lambda _: self._ended(future))
        self._show()
        return future

    # ------------------------------------------------------------------------------------------------- what is shown

    @property
    def running(self) -> int:
        """How many calls workers have."""
        workers = getattr(self._executor, "_max_workers", None)
        return len(self._open) if not isinstance(workers, int) else min(len(self._open), workers)

    @property
    def pending(self) -> int:
        """How many calls wait for a worker."""
        return len(self._open) - self.running

    def _show(self) -> None:
        now = time.monotonic()
        if now >= self._show_again or not self._open:
            self._show_again = now + SHOW_S
            with contextlib.suppress(errors.HeadwayError, OSError, ValueError):  # eight other metrics, or no board
                self._task.set(metrics={"running": self.running, "pending": self.pending})

    def _ended(self, future: _Future) -> None:
        error = None if future.inner.cancelled() else future.inner.exception()
        call = self._open[future]
        if isinstance(error, BrokenExecutor):
            self._blame(error)
            self._lost.extend(call.lost(self._in_hand))
        elif error is None and not future.inner.cancelled():
            for _ in call.items:
                next(self._returned)
        del self._open[future]
        self._show()
        future.end()

    # ---------------------------------------------------------------------------------------------- workers that died

    @property
    def lost(self) -> tuple[LostCall, ...]:
        """The calls that came to nothing because the executor broke, and that were not tried again.

        Complete when all futures have ended.
        """
        return tuple(self._lost)

    def _blame(self, error: BaseException) -> None:
        """Note who died, and with which call in hand. Workers that the executor ends because of it are still alive."""
        if error is self._told:
            return
        self._told = error
        self._in_hand = set()
        dead = self._dead()
        in_hand: dict[int, str] = {}
        with contextlib.suppress(errors.HeadwayError, OSError, ImportError):
            view = self._task.view()
            in_hand = {share.pid: share.item for share in (*view.workers, *view.workers_lost) if share.item}
        for pid, process in dead.items():
            item = in_hand.get(pid, "")
            self._in_hand |= {item} - {""}
            what = f" that had {item} in hand" if item else ""
            error.add_note(f"headway: the worker (pid {pid}){what} {ended_by(process.exitcode)}")

    def _dead(self) -> dict[int, Any]:
        """The workers that have died. Waits for one: its pipes, by which it was noticed, close a moment before."""
        deadline = time.monotonic() + DEATH_S
        while True:
            dead = {pid: process for pid, process in self._processes.items() if process.exitcode not in (None, 0)}
            if dead or time.monotonic() >= deadline:
                return dead
            time.sleep(0.002)

    def retry(self, executor: Executor, *, blamed: bool = False) -> dict[LostCall, Future[Any]]:
        """Give the calls that were lost to a fresh executor, which takes the place of the broken one.

        blamed: also those that a dead worker had in hand. Of a chunk of `map` each item is a call. The count of the
        task is set to the calls that have returned: of those that are tried again some had been counted. Returns the
        futures.
        """
        deadline = time.monotonic() + END_S
        while self._open and time.monotonic() < deadline:
            time.sleep(0.01)
        for process in self._processes.values():
            process.join(max(deadline - time.monotonic(), 0))
        chosen = [call for call in self._lost if blamed or not call.in_hand]
        self._lost = [call for call in self._lost if call not in chosen]
        self._executor, self._processes = executor, {}
        if not self._open:
            returned = next(self._returned)
            self._returned = itertools.count(returned)
            with contextlib.suppress(errors.HeadwayError, OSError):
                self._task.set(count=self._base + returned)
        return {call: self.submit(call.function, *call.args, **call.kwargs) for call in chosen}


class _Future(Future[Any]):
    """A call, as its submitter sees it: the executor's future ends first, then what is to be noted of it is noted."""

    def __init__(self, inner: Future[Any]) -> None:
        super().__init__()
        self.inner = inner

    def cancel(self) -> bool:
        return self.inner.cancel()

    def running(self) -> bool:
        return self.inner.running()

    def end(self) -> None:
        """The inner one has ended."""
        if self.inner.cancelled():
            super().cancel()
            self.set_running_or_notify_cancel()
        elif (error := self.inner.exception()) is not None:
            self.set_exception(error)
        else:
            self.set_result(self.inner.result())


@dataclass(eq=False)
class _Call:
    """A call of `submit`, or a chunk of `map`: the arguments of each item."""

    function: Callable[..., Any]
    items: list[tuple[Any, ...]]
    kwargs: dict[str, Any]

    def lost(self, in_hand: set[str]) -> Iterator[LostCall]:
        for args in self.items:
            name = call_name(self.function, (*args, *self.kwargs.values())) if in_hand else ""
            yield LostCall(self.function, args, self.kwargs, name in in_hand)


def _each(function: Callable[..., R], chunk: list[tuple[Any, ...]]) -> list[R]:
    """What a worker does with a chunk."""
    return [function(*args) for args in chunk]


def _in_order(futures: list[Future[list[R]]], until: float | None) -> Iterator[R]:
    """The results, and at the end, whenever that is, no call is left that has not begun."""
    futures.reverse()
    try:
        while futures:
            left = None if until is None else max(until - time.monotonic(), 0)
            yield from futures.pop().result(left)
    finally:
        for future in futures:
            future.cancel()
