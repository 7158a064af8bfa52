"""Does the work for many boards in turns: each look when it is due, each board for itself.

One thread does all of it as long as each look is short. A look that takes long, whatever it waits for (a disk that
hangs, a lock that somebody holds, a database that is busy), keeps its thread, and another one goes on with the rest.
All that is decided is decided by the thread that calls `turn`; the others only do what they are handed, so there is no
lock. The looks of all boards together take a fiftieth of a core at most: who takes less than an equal share of that
leaves the rest to the others, so one large board slows down nobody but itself.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LATE_S", "THREADS_MOST", "Rounds", "Work", "level"]

LATE_S = 0.5  # what is due waits no longer than that for a thread
THREADS_MOST = 64  # so many looks may hang at once
TURN_S = 0.05  # while a look is on
BEAT_S = 0.5
GRAIN_S = 0.02  # looks that are due within so short a time are done together
SPARE_S = 30.0  # a thread that was needed so long ago may go


class Work(Protocol):
    """Something to be done again and again."""

    cost: float
    """Seconds of a core, of the last time."""

    def do(self) -> float | None:
        """Do it. Returns when it is due again, by the monotonic clock; None: never. It raises nothing."""

    def beat(self) -> None:
        """Show that it is looked after: it is called now and then while it waits until it is due."""

    def allow(self, share: float) -> None:
        """From now on it may take this share of a core."""

    def stop(self) -> None:
        """The next time is to be the last."""


class _Turn:
    """A work at one moment: when it is due, and since when a thread has been at it."""

    __slots__ = ("began", "due", "handed", "work")

    def __init__(self, work: Work, due: float) -> None:
        self.work = work
        self.due = due
        self.handed: float | None = None  # since when it lies there for a thread
        self.began = False


def level(needs: Iterable[float], whole: float) -> float:
    """How much each may take of `whole`: as much as it needs, while those who need more part the rest equally."""
    ordered = sorted(needs)
    left, most = whole, 0.0
    for at, need in enumerate(ordered):
        if need * (len(ordered) - at) > left:
            return left / (len(ordered) - at)
        left -= need
        most = need
    return left + most


class Rounds:
    """The works of a process. All methods are for one thread.

    whole: the share of a core that all works together may take; interval_s: how often each wants to be done.
    """

    def __init__(self, whole: float, interval_s: float) -> None:
        self._whole, self._interval_s = whole, interval_s
        self._waiting: list[tuple[float, int, _Turn]] = []  # a heap, by when they are due
        self._numbers = itertools.count()
        self._todo: SimpleQueue[_Turn | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[_Turn, float | None]] = SimpleQueue()
        self._out: set[_Turn] = set()  # handed to a thread
        self._threads = 0
        self._needed_at = self._beaten_at = -1e9
        self._stopping = False

    def __len__(self) -> int:
        return len(self._waiting) + len(self._out)

    def add(self, work: Work) -> None:
        """Do this from now on."""
        if self._stopping:
            work.stop()
        self._wait_for(_Turn(work, time.monotonic()))

    def stop(self) -> None:
        """Have all works done once more, now, and no more."""
        self._stopping = True
        for turn in [turn for _, _, turn in self._waiting] + list(self._out):
            turn.work.stop()
        self._waiting = [(0.0, number, turn) for _, number, turn in self._waiting]

    def close(self) -> None:
        """Let the threads go, once there is no work."""
        for _ in range(self._threads):
            self._todo.put(None)
        self._threads = 0

    def turn(self) -> float:
        """Hand out what is due, take back what is done. Returns for how long nothing is to be done."""
        now = time.monotonic()
        while not self._done.empty():
            turn, due = self._done.get()
            self._out.discard(turn)
            if due is not None:
                turn.due = 0.0 if self._stopping else due
                self._wait_for(turn)
        while self._waiting and self._waiting[0][0] <= now + GRAIN_S:
            _, _, turn = heapq.heappop(self._waiting)
            turn.handed, turn.began = now, False
            self._out.add(turn)
            self._todo.put(turn)
        self._see_to_threads(now)
        self._see_to_those_who_wait(now)
        next_s = self._waiting[0][0] - now if self._waiting else BEAT_S
        return max(0.0, min(next_s, TURN_S if self._out else BEAT_S))

    def _wait_for(self, turn: _Turn) -> None:
        heapq.heappush(self._waiting, (turn.due, next(self._numbers), turn))

    def _see_to_threads(self, now: float) -> None:
        late = [turn for turn in self._out if not turn.began]
        if late and (not self._threads or now - min(turn.handed or now for turn in late) >= LATE_S):
            self._needed_at = now
            if self._threads < THREADS_MOST:
                self._start()
        elif self._threads - len(self._out) > 1 and now - self._needed_at >= SPARE_S:
            self._threads -= 1
            self._todo.put(None)

    def _start(self) -> None:
        try:
            threading.Thread(target=self._work, daemon=True).start()  # daemon: one that hangs keeps nobody from leaving
            self._threads += 1
        except RuntimeError:  # no thread can be started here
            if not self._threads:
                self._todo.put(None)
                self._work()

    def _work(self) -> None:
        while (turn := self._todo.get()) is not None:
            turn.began, due = True, None
            with suppress(Exception):  # one that raises all the same is not done again
                due = turn.work.do()
            self._done.put((turn, due))

    def _see_to_those_who_wait(self, now: float) -> None:
        if now - self._beaten_at >= BEAT_S:
            self._beaten_at = now
            for _, _, turn in self._waiting:
                turn.work.beat()
            self._part()

    def _part(self) -> None:
        """Part the core among all works."""
        works = [turn.work for _, _, turn in self._waiting] + [turn.work for turn in self._out]
        share = level((work.cost / self._interval_s for work in works), self._whole)
        for work in works:
            work.allow(share)
