"""The rows of the workers of a board, when each last changed, and how fast each worker counts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from headway.dashboard.state.removed import Removed
from headway.views.summary import rate_shown, records

if TYPE_CHECKING:
    from headway.views.board_view import BoardView, WorkerView

__all__ = ["HOLD_BEAT_S", "Workers", "milliseconds", "seconds_or_never"]

TASKS_MAX = 20
HOLD_BEAT_S = 0.02
_TREMBLING = ("beat", "item_since", "item_until")
_STILL: dict[str, Any] = dict.fromkeys(_TREMBLING)
TAU_S = 5.0  # the time constant of the average: weights fall by a factor e in it, as in the rates of tasks


class Workers:
    """The workers of one snapshot. Never changed: `advanced` makes those of the next one."""

    def __init__(self, view: BoardView, revision: int) -> None:
        self._taken_at = view.taken_at
        self._counts, self._unknown = _shares(view)
        self._paces: dict[int, tuple[float, float]] = {}  # by worker: items and seconds, weighed by age
        self.rows = {worker.incarnation: _row(worker) for worker in view.workers}
        self._since = dict.fromkeys(self.rows, revision)
        self.gone = Removed(revision)

    def advanced(self, view: BoardView, revision: int) -> Workers:
        """The workers of a later snapshot of the same board, at this revision."""
        new = Workers(view, revision)
        new._learn_paces(self)
        for key, row in new.rows.items():
            held = self.rows.get(key)
            if held is not None and _is_calm(held, row):
                new.rows[key], new._since[key] = held, self._since[key]
        new.gone = self.gone.with_removed([key for key in self.rows if key not in new.rows], revision)
        return new

    def since(self, revision: int) -> list[dict[str, Any]]:
        """The rows that changed after this revision."""
        return [row for key, row in self.rows.items() if self._since[key] > revision]

    def _learn_paces(self, before: Workers) -> None:
        """What each worker has counted since, on tasks that existed then and exist now."""
        seconds = self._taken_at - before._taken_at
        counted = dict.fromkeys(self.rows, 0)
        for (worker, task), count in self._counts.items():
            then = before._counts.get((worker, task))
            if then is not None and count > then and worker in counted:
                counted[worker] += count - then
        fresh = -math.expm1(-seconds / TAU_S) if seconds > 0 else 0.0
        for worker, items in counted.items():
            weighed, watched = before._paces.get(worker, (0.0, 0.0))
            if worker in before.rows and seconds > 0:
                weighed += (items / seconds * TAU_S - weighed) * fresh
                watched += (TAU_S - watched) * fresh
            self._paces[worker] = weighed, watched
            row = self.rows[worker]
            if row["alive"] and worker not in self._unknown and watched > 0:
                row["rate"] = rate_shown(weighed / watched)


def _is_calm(held: dict[str, Any], row: dict[str, Any]) -> bool:
    """May the worker keep its old row? These times vary slightly, as they are converted from a monotonic clock."""
    trembles = all(
        held[one] == row[one] or abs((held[one] or 0.0) - (row[one] or 0.0)) < HOLD_BEAT_S for one in _TREMBLING
    )
    return trembles and {**held, **_STILL} == {**row, **_STILL}


def _shares(view: BoardView) -> tuple[dict[tuple[int, int], int], set[int]]:
    """What each worker has counted on each task, by its serial; and the workers of which some counts are unknown."""
    shares = records(view, "shares")
    serials = records(view, "tasks")["serial"][shares["task"]].tolist()
    workers, counts, known = (shares[name].tolist() for name in ("worker", "count", "known"))
    rows = list(zip(workers, serials, counts, known, strict=True))
    return (
        {(worker, serial): count for worker, serial, count, is_known in rows if is_known},
        {worker for worker, _, _, is_known in rows if not is_known},
    )


def _row(worker: WorkerView) -> dict[str, Any]:
    return {
        "incarnation": worker.incarnation,
        "pid": worker.pid,
        "name": worker.name,
        "alive": worker.alive,
        "started": milliseconds(worker.started),
        "beat": milliseconds(worker.beat),
        "rate": None,
        "tasks": list(worker.tasks[:TASKS_MAX]),
        "task_count": len(worker.tasks),
        "item": worker.item,
        "item_since": milliseconds(worker.item_since),
        "item_until": milliseconds(worker.item_until),
        "stall_after": seconds_or_never(worker.stall_after),
    }


def seconds_or_never(after: float) -> float | None:
    """A `stall_after`, for rows; None for never, as JSON has no infinity."""
    return after if math.isfinite(after) else None


def milliseconds(at: float | None) -> float | None:
    """A time, rounded for rows."""
    return None if at is None else round(at, 3)
