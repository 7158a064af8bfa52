"""What is asked of everything that stands beside Headway: one small class each, in bars.py and stores.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import ClassVar

from benchmarks.peers import workers

__all__ = ["Cannot", "Count", "Peer"]

Count = Callable[[], object]  # what is called for each item


class Cannot(Exception):
    """A peer does not do this. The text says what it does instead."""


class Peer:
    """One way to count what several processes do.

    A program makes it with a directory of its own and calls `open`; the processes that it forks then count. Opened
    again in the same directory it may go on from where it was: all that is measured is a difference.

    Each peer gives `open`, `shared` and `read`; the other methods are for those that need more.
    """

    title: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()  # whose versions are told
    how: ClassVar[str]  # what an update is here
    draws: ClassVar[bool] = False  # has a thread that draws, whether anybody counts or not
    audience: ClassVar[str] = "its program"  # who reads the count, where no process of others' can

    def __init__(self, place: Path) -> None:
        self.place = place

    @classmethod
    @contextmanager
    def service(cls, place: Path) -> Iterator[None]:
        """What has to run before any program does: a server that belongs to none of them."""
        yield

    def open(self) -> None:
        """Set up, in the program that forks the workers."""
        raise NotImplementedError  # each peer has its own way

    def show(self) -> None:
        """Make what the program itself shows, before it forks processes that count by `shared`: bars need it."""

    def close(self) -> None:
        """Leave nothing behind."""

    def shared(self) -> Count:
        """Called in a forked process: how it counts so that others may see it."""
        raise NotImplementedError  # each peer has its own way

    @contextmanager
    def counter(self, number: int) -> Iterator[Count]:
        """Called in worker `number` of a pool: how it counts there, as the documentation has it."""
        yield self.shared()

    def read(self) -> int:
        """The sum of what all have counted, as this process sees it."""
        raise NotImplementedError  # each peer has its own way

    def attach(self) -> None:
        """Called instead of `open`, in a process that was not forked by the program: then `read`. Raises Cannot."""
        raise Cannot("only processes that were forked by the program have it")

    def tend(self) -> None:
        """What the program has to do all the time while its workers work."""

    # ------------------------------------------------------------------------------------- how it is measured, where
    # a library has processes of its own

    def seconds(self, count: Count, times: int) -> float:
        """What so many updates take, the loop included."""
        begin = time.perf_counter()
        for _ in repeat(None, times):
            count()
        return time.perf_counter() - begin

    def cost(self) -> float:
        """Seconds of one update, in a process that has nothing else to do."""
        return workers.cost(self)

    def job(self, times: int, items: int) -> list[float]:
        """The CPU that counting adds to a job of so many items in two workers, as a share of it: see workers.job."""
        return workers.job(self, times, items)
