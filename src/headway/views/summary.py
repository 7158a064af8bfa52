"""A board in a few numbers: for lists of boards, charts and metrics."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from headway.native.records import DTYPES
from headway.tasks.states import LIVE_STATES, STATES
from headway.views.numbers import RATE_LEAST, Counts, TimeLeft

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway.views.board_view import BoardView

__all__ = ["UNITS_MAX", "Summary", "rate_shown", "records"]

UNITS_MAX = 8
INTERVAL_MOST_S = 3600.0  # longer values in a file are ignored
_LIVE = [STATES.index(state) for state in LIVE_STATES]


@dataclass(frozen=True, slots=True)
class Summary:
    """One board in numbers.

    counts, time_left: as of a BoardView; workers_lost: dead processes that counted on tasks that go on; rates: items a
    second by unit, of running tasks without running children, the busiest UNITS_MAX units; interval: seconds until the
    recorder means to write again; recorder_error: why it could not the last time.
    """

    name: str
    uuid: str
    host: str
    sequence: int
    taken_at: float
    created_at: float
    capacity: int
    worker_capacity: int
    dropped: int
    from_prev: bool
    counts: Counts
    time_left: TimeLeft
    workers_alive: int
    workers_gone: int
    workers_lost: int
    rates: Mapping[str, float]
    interval: float | None
    recorder_error: str | None

    @classmethod
    def of(cls, view: BoardView) -> Summary:
        """The summary of a view that has records. Raises DamagedSnapshot or CorruptBoard."""
        meta = view.meta
        tasks, shares, workers = (records(view, name) for name in ("tasks", "shares", "workers"))
        alive = int(np.count_nonzero(workers["alive"]))
        open_tasks = np.isin(tasks["state"], _LIVE)
        lost = shares[(shares["alive"] == 0) & open_tasks[shares["task"]]] if len(shares) else shares
        return cls(
            name=view.name,
            uuid=view.uuid,
            host=meta["host"],
            sequence=view.sequence,
            taken_at=view.taken_at,
            created_at=meta["created_ns"] / 1e9,
            capacity=meta["capacity"],
            worker_capacity=meta["workers"],
            dropped=view.dropped,
            from_prev=view.from_prev,
            counts=view.counts,
            time_left=view.time_left,
            workers_alive=alive,
            workers_gone=len(workers) - alive,
            workers_lost=len(np.unique(lost["worker"])),
            rates=_rates(view, tasks),
            interval=_number(meta.get("interval_s")),
            recorder_error=error if isinstance(error := meta.get("recorder_error"), str) else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything, in types that JSON has."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return values | {"counts": self.counts.to_dict(), "time_left": asdict(self.time_left)}


def records(view: BoardView, name: str) -> np.ndarray[Any, Any]:
    """The array `tasks`, `stages`, `shares` or `workers` of a view, read only. No copy is made."""
    return np.frombuffer(getattr(view.raw, name), dtype=np.dtype(DTYPES[name]))


def rate_shown(rate: float) -> float | None:
    """Four significant digits; None for one that is not known."""
    if not math.isfinite(rate):
        return None
    return float(f"{rate:.4g}") if abs(rate) >= RATE_LEAST else 0.0


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 < value < INTERVAL_MOST_S else None


def _rates(view: BoardView, tasks: np.ndarray[Any, Any]) -> dict[str, float]:
    running = [pace.number for pace in view.paces]
    ids, lengths, units = (tasks[name][running].tolist() for name in ("id", "parent_bytes", "unit"))
    parents = {id[:length] for id, length in zip(ids, lengths, strict=True) if length}
    rates: dict[bytes, float] = {}
    for id, unit, pace in zip(ids, units, view.paces, strict=True):
        if pace.rate is not None and 0 < pace.rate < math.inf and id not in parents:
            rates[unit] = rates.get(unit, 0.0) + pace.rate
    busiest = sorted(rates, key=lambda unit: rates[unit], reverse=True)[:UNITS_MAX]
    return {unit.decode(errors="replace"): rate_shown(rates[unit]) or 0.0 for unit in sorted(busiest)}
