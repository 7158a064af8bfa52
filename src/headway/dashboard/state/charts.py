"""The points of the charts of tasks: counts and metrics of running tasks while the server watched.

About once a second the counts and metrics of all running tasks are noted, as arrays. When there are too many notes,
every other one is dropped, and they are taken half as often: so they reach back to when the server first saw the board,
in bounded memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headway.tasks.states import STATES
from headway.views.summary import rate_shown, records

if TYPE_CHECKING:
    from headway.views.board_view import BoardView

__all__ = ["Charts", "Note"]

POINTS_MAX, POINTS_MIN = 240, 32
NUMBERS_MAX = 500_000  # of a board, or 4 MB
APART_S = 1.0
_RUNNING = STATES.index("running")

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Note:
    """The running tasks at one moment, by serial; metrics: of the tasks that have any."""

    uuid: str
    at: float
    serials: Array
    counts: Array
    metric_serials: Array
    metrics: Array

    @classmethod
    def of(cls, view: BoardView) -> Note:
        """The note of a view that has records."""
        tasks = records(view, "tasks")
        running = np.flatnonzero(tasks["state"] == _RUNNING)
        running = running[np.argsort(tasks["serial"][running], kind="stable")]
        measured = running[tasks["metric_name"][running].astype(bool).any(1)] if len(running) else running
        return cls(
            view.uuid,
            view.taken_at,
            tasks["serial"][running],
            tasks["count"][running],
            tasks["serial"][measured],
            tasks["metric"][measured],
        )

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return 2 * self.serials.size + self.metric_serials.size + self.metrics.size


class Charts:
    """The notes of one board."""

    def __init__(self) -> None:
        self._notes: list[Note] = []
        self._apart_s = APART_S

    @property
    def due_at(self) -> float:
        """When the next note is due, on the clock of the snapshots."""
        return self._notes[-1].at + self._apart_s if self._notes else 0.0

    def add(self, note: Note) -> None:
        """Add a note, unless the last one is too recent. A note of another segment starts over."""
        if self._notes and (note.uuid != self._notes[-1].uuid or note.at < self._notes[-1].at):
            self._notes.clear()
            self._apart_s = APART_S
        if note.at < self.due_at:
            return
        self._notes.append(note)
        largest = max(one.size for one in self._notes)
        if len(self._notes) > min(POINTS_MAX, max(POINTS_MIN, NUMBERS_MAX // max(largest, 1))):
            self._notes = self._notes[::2]
            self._apart_s *= 2

    def of(self, serial: int, metrics: list[str]) -> dict[str, Any]:
        """The count of a task over time, and its metrics in the order of its record: lists of [time, value]."""
        series: list[list[Any]] = []
        metric_series: dict[str, list[list[Any]]] = {name: [] for name in metrics}
        for note in self._notes:
            at = round(note.at, 3)
            if (place := _place(note.serials, serial)) is not None:
                series.append([at, int(note.counts[place])])
            if (place := _place(note.metric_serials, serial)) is not None:
                for points, value in zip(metric_series.values(), note.metrics[place].tolist(), strict=False):
                    points.append([at, rate_shown(value)])
        return {"series": series, "metric_series": metric_series}


def _place(serials: Array, serial: int) -> int | None:
    place = int(np.searchsorted(serials, np.uint64(serial)))
    return place if place < serials.size and int(serials[place]) == serial else None
