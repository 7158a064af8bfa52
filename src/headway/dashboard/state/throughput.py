"""The points of a board's chart: its counts and rates in the last minutes, while it was watched."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from headway.views.summary import UNITS_MAX

if TYPE_CHECKING:
    from headway.views.summary import Summary

__all__ = ["Throughput"]

POINTS = 900
APART_S = 1.0


class Throughput:
    """At most one point a second, for a quarter of an hour."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int, int, tuple[tuple[str, float], ...]]] = deque(maxlen=POINTS)
        self._uuid = ""

    def add(self, summary: Summary) -> None:
        """Note a summary, unless the last point is too recent. A summary of another segment starts over."""
        if summary.uuid != self._uuid or (self._points and summary.taken_at < self._points[-1][0]):
            self._uuid = summary.uuid
            self._points.clear()
        if self._points and summary.taken_at < self._points[-1][0] + APART_S:
            return
        counts = summary.counts
        self._points.append((summary.taken_at, counts.running, counts.success, tuple(summary.rates.items())))

    def to_dict(self) -> dict[str, Any]:
        """Columns of equal length; a unit has None where it was missing. If there are many units, the newest."""
        units: dict[str, None] = {}
        for point in reversed(self._points):
            units.update(dict.fromkeys(unit for unit, _ in point[3]))
            if len(units) >= UNITS_MAX:
                break
        rates = [dict(point[3]) for point in self._points]
        return {
            "at": [round(point[0], 3) for point in self._points],
            "running": [point[1] for point in self._points],
            "success": [point[2] for point in self._points],
            "rates": {unit: [one.get(unit) for one in rates] for unit in list(units)[:UNITS_MAX]},
        }
