"""How a count grew, in a few points: what is kept of the thousands of looks that a recorder takes at a task."""

from __future__ import annotations

__all__ = ["POINTS", "Thinning"]

POINTS = 64
INTERVAL_S = 0.1  # shorter than between any two looks of a recorder: of a short task every look is kept


class Thinning:
    """A series of (time, count) that never has more than `most` points, however long it goes on.

    The time since the first look is divided into equal intervals, and of each the first look is kept. When all places
    are taken, the interval doubles: two intervals become one, and of their two points the first stays. So after a long
    time `most` / 2 to `most` points lie evenly over all of it, no two neighbours more than two intervals and a look
    apart. The latest look stands at the end, wherever in its interval it came. A look costs the same however long the
    series is, amortised.

    most: points, at least 4; interval: seconds, to begin with.
    """

    __slots__ = ("_interval", "_latest", "_most", "_points")

    def __init__(self, most: int = POINTS, interval: float = INTERVAL_S) -> None:
        if most < 4 or not interval > 0:
            raise ValueError(f"a series of {most} points, {interval!r} s apart: give at least 4, and more than 0 s")
        self._most = most
        self._interval = interval
        self._points: list[tuple[float, int]] = []
        self._latest: tuple[float, int] | None = None

    def add(self, at: float, count: int) -> None:
        """Take notice that the task stood at `count`, at `at` seconds since 1970.

        A time before that of an earlier look (the clock was set back) counts as that one: the series never goes back.
        """
        if self._latest is None:
            self._points.append((at, count))
        else:
            at = max(at, self._latest[0])
            if self._place(at) > self._place(self._points[-1][0]):
                self._points.append((at, count))
        self._latest = (at, count)
        while len(self._points) >= self._most:  # one place is for the latest look
            self._interval *= 2
            places = [self._place(one) for one, _ in self._points]
            self._points = [
                point for point, here, before in zip(self._points, places, [-1, *places], strict=False) if here > before
            ]

    def _place(self, at: float) -> int:
        """The number of the interval in which a time lies."""
        return int((at - self._points[0][0]) / self._interval)

    @property
    def points(self) -> tuple[tuple[float, int], ...]:
        """The series. The first and the latest look are in it."""
        if self._latest is None or self._points[-1] == self._latest:
            return tuple(self._points)
        return (*self._points, self._latest)
