"""`multiprocessing.Pool` whose maps count on a task, and raise where a worker is killed: by itself it waits for ever.

    with headway.open("nightly").task("sums", total=1000) as task, multiprocessing.Pool() as pool:
        for found in imap_unordered(pool, work, range(1000), chunksize=20, task=task):
            ...

A pool starts another worker in place of one that died, and never learns that its chunk is lost. These functions take
the place of the pool's methods; the pool stays as it is, and goes on with what it was given. Pools of `multiprocess`
and `billiard` are such pools, too.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from headway import errors
from headway.api import current
from headway.pools.crew import ended_by

if TYPE_CHECKING:
    from headway.engine.task import Task
    from headway.views.task_view import ShareView

__all__ = ["imap", "imap_unordered", "map", "starmap"]

R = TypeVar("R")

LOOK_S = 0.25
STUCK_S = 5.0  # without a result and without anything in hand: what a dead worker has left locked holds up the others


def imap_unordered(
    pool: Any, fn: Callable[[Any], R], iterable: Iterable[Any], chunksize: int = 1, *, task: Task | None = None
) -> Iterator[R]:
    """As pool.imap_unordered: results as they come. Each item counts by itself.

    task: default: headway.current(). Raises headway.errors.WorkerDied if a worker dies that had something in hand; the
    other results that have come until then were yielded.
    """
    return _results(pool, pool.imap_unordered, _Chunk(fn, task or current(), starred=False), iterable, chunksize)


def imap(
    pool: Any, fn: Callable[[Any], R], iterable: Iterable[Any], chunksize: int = 1, *, task: Task | None = None
) -> Iterator[R]:
    """As pool.imap: results in the order of the items. As `imap_unordered` in all else."""
    return _results(pool, pool.imap, _Chunk(fn, task or current(), starred=False), iterable, chunksize)


def map(
    pool: Any,
    fn: Callable[[Any], R],
    iterable: Iterable[Any],
    chunksize: int | None = None,
    *,
    task: Task | None = None,
) -> list[R]:
    """As pool.map. chunksize: default as there: four chunks a worker. As `imap_unordered` in all else."""
    items = list(iterable)
    call = _Chunk(fn, task or current(), starred=False)
    return list(_results(pool, pool.imap, call, items, chunksize or _share(pool, items)))


def starmap(
    pool: Any,
    fn: Callable[..., R],
    iterable: Iterable[Iterable[Any]],
    chunksize: int | None = None,
    *,
    task: Task | None = None,
) -> list[R]:
    """As pool.starmap. As `map` in all else."""
    items = [tuple(arguments) for arguments in iterable]
    call = _Chunk(fn, task or current(), starred=True)
    return list(_results(pool, pool.imap, call, items, chunksize or _share(pool, items)))


def _share(pool: Any, items: list[Any]) -> int:
    return max(-(-len(items) // (4 * len(pool._pool))), 1)


class _Chunk:
    """What a worker does with a chunk: all of it is in hand, also between two items."""

    def __init__(self, function: Callable[..., Any], task: Task, *, starred: bool) -> None:
        self._counted = task.counts(function)
        self._task = task
        self._starred = starred

    def __call__(self, numbered: tuple[int, list[Any]]) -> list[Any]:
        first, items = numbered
        counted = self._counted
        with self._task.item(f"items from #{first + 1} on") as whole:
            whole.counts = False  # its items do
            if self._starred:
                return [counted(*item) for item in items]
            return [counted(item) for item in items]


def _results(
    pool: Any, imap: Callable[..., Any], call: _Chunk, iterable: Iterable[Any], chunksize: int
) -> Iterator[Any]:
    if chunksize < 1:
        raise ValueError(f"chunksize {chunksize} is too small: give 1 or more")
    watch = _Watch(pool, call._task)
    # With a chunksize of its own it would return a generator, which cannot be asked to wait for a while only.
    chunks = imap(call, _numbered(iterable, chunksize))
    return _yielded(chunks, watch)


def _yielded(chunks: Any, watch: _Watch) -> Iterator[Any]:
    while True:
        try:
            found = chunks.next(LOOK_S)
        except StopIteration:
            return
        except Exception as error:
            # An item may raise a TimeoutError, too: then it comes with the traceback of the worker as its cause.
            if type(error).__name__ != "TimeoutError" or error.__cause__ is not None:
                raise
            found = ()
        watch.look(has_moved=bool(found))
        yield from found


def _numbered(iterable: Iterable[Any], chunksize: int) -> Iterator[tuple[int, list[Any]]]:
    items = iter(iterable)
    for first in itertools.count(0, chunksize):
        chunk = list(itertools.islice(items, chunksize))
        if not chunk:
            return
        yield first, chunk


class _Watch:
    """Looks whether workers of a pool have died since the map began."""

    def __init__(self, pool: Any, task: Task) -> None:
        self._pool = pool
        self._task = task
        self._processes: dict[int, Any] = {}
        self._exitcodes: dict[int, int] = {}  # of those that died
        self._known = {share.incarnation for share in self._shares() if not share.alive}
        self._look_again = self._moved_at = 0.0
        self.look(has_moved=True)

    def look(self, *, has_moved: bool) -> None:
        """Raises headway.errors.WorkerDied if a chunk is lost for certain, or nothing goes on any more.

        has_moved: results have come since the last look.
        """
        now = time.monotonic()
        if has_moved:
            self._moved_at = now
        if now < self._look_again:
            return
        self._look_again = now + LOOK_S
        self._processes.update({process.pid: process for process in list(self._pool._pool)})
        for pid, process in list(self._processes.items()):
            if process.exitcode is not None:
                del self._processes[pid]
                if process.exitcode != 0:  # 0: it has done as many chunks as it was to do
                    self._exitcodes[pid] = process.exitcode
        shares = [share for share in self._shares() if share.item]
        for share in shares:
            if not share.alive and share.incarnation not in self._known:
                self._raise(share.pid, share.item)
        if self._exitcodes and not shares and now >= self._moved_at + STUCK_S:
            self._raise(next(iter(self._exitcodes)), "")

    def _raise(self, pid: int, item: str) -> None:
        exitcode = self._exitcodes.get(pid)
        what = f"that had {item} in hand " if item else ""
        told = f"the worker (pid {pid}) {what}{ended_by(exitcode)}"
        raise errors.WorkerDied(told if item else f"{told}, and nothing goes on any more", item, exitcode)

    def _shares(self) -> list[ShareView]:
        with contextlib.suppress(errors.HeadwayError, OSError, ImportError, AttributeError):  # there is no board
            view = self._task.view()
            return [*view.workers, *view.workers_lost]
        return []
