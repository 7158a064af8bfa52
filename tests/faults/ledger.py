"""What the processes of a kill storm tell each other without Headway: words of a mapped file, each with one writer.

A worker notes that it is about to count, counts, and notes that it has: so of each life it is known how much it must
have counted, and how much it can have, at whatever instruction it was killed.
"""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

__all__ = ["LIVES", "PLACES", "Ledger"]

PLACES = 8  # workers of a pool
LIVES = 40_000
GONE_NS = 60_000_000_000
_STOP, _BEAT_NS, _ERA, _NEXT, _KILLED_NS = range(5)
_PLACES, _OF_PLACE = 16, 4  # pid, life, when it had its task, when it counted last
_LIVES, _OF_LIFE = 1024, 3  # place, about to count, counted
_BYTES = 8 * (_LIVES + LIVES * _OF_LIFE)


class Ledger:
    """The words, by name. Times are nanoseconds of CLOCK_MONOTONIC."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0), 0o600)
        try:
            if create:
                os.ftruncate(fd, _BYTES)
            self._words = memoryview(mmap.mmap(fd, _BYTES)).cast("Q")
            if create:
                self.beat()
        finally:
            os.close(fd)

    @property
    def stop(self) -> bool:
        """Everybody is to end in good order: asked for, or the storm itself is gone."""
        return bool(self._words[_STOP]) or time.monotonic_ns() - self._words[_BEAT_NS] > GONE_NS

    @stop.setter
    def stop(self, value: bool) -> None:
        self._words[_STOP] = value

    def beat(self) -> None:
        """The storm is there."""
        self._words[_BEAT_NS] = time.monotonic_ns()

    @property
    def era(self) -> int:
        """Which program is in charge, counted from 1; workers of an earlier one are to end."""
        return self._words[_ERA]

    @era.setter
    def era(self, value: int) -> None:
        self._words[_ERA] = value

    @property
    def killed_ns(self) -> int:
        """When the last SIGKILL was sent."""
        return self._words[_KILLED_NS]

    @killed_ns.setter
    def killed_ns(self, value: int) -> None:
        self._words[_KILLED_NS] = value

    @property
    def lives(self) -> int:
        """How many have been begun."""
        return self._words[_NEXT]

    def begin_life(self, place: int) -> int:
        """The number of a new one. Only the program in charge begins any."""
        life = self._words[_NEXT]
        if life >= LIVES:
            raise OverflowError(f"more than {LIVES} lives")
        self._words[_LIVES + life * _OF_LIFE] = place
        self._words[_NEXT] = life + 1
        return life

    def arrive(self, place: int, life: int) -> None:
        """Called by the worker of that life."""
        at = _PLACES + place * _OF_PLACE
        self._words[at] = 0
        self._words[at + 1 : at + 4] = memoryview(bytes(24)).cast("Q")
        self._words[at + 1] = life + 1
        self._words[at] = os.getpid()

    def pid(self, place: int) -> int:
        """Of who came last to this place, 0 = nobody yet."""
        return self._words[_PLACES + place * _OF_PLACE]

    def life(self, place: int) -> int:
        """Of who came last to this place; -1 = nobody yet."""
        return self._words[_PLACES + place * _OF_PLACE + 1] - 1

    def took_ns(self, place: int) -> int:
        """When it had the task of its place, 0 = not yet."""
        return self._words[_PLACES + place * _OF_PLACE + 2]

    def take(self, place: int, now_ns: int) -> None:
        self._words[_PLACES + place * _OF_PLACE + 2] = now_ns

    def about_to_count(self, life: int) -> None:
        self._words[_LIVES + life * _OF_LIFE + 1] += 1

    def counted(self, life: int) -> None:
        self._words[_LIVES + life * _OF_LIFE + 2] += 1

    def counts(self, place: int | None = None) -> tuple[int, int]:
        """What was counted at least, and at most: at this place, or in all."""
        least = most = 0
        for life in range(self.lives):
            at = _LIVES + life * _OF_LIFE
            if place is None or self._words[at] == place:
                most += self._words[at + 1]
                least += self._words[at + 2]
        return least, most
