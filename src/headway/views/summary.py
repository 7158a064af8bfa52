"""A board at a glance: what lists of boards, charts and metrics show of it, worked out from its records at once."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headway.native.records import DTYPES, STATES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway.views.board_view import BoardView

__all__ = ["RATE_LEAST", "UNITS_MAX", "Summary", "rate_shown", "records"]

UNITS_MAX = 8
_PENDING, _RUNNING = STATES.index("pending"), STATES.index("running")
INTERVAL_MOST_S = 3600.0  # what a file says beyond it is not believed
RATE_LEAST = 1e-9  # a rate that fades does so for ever; below this it is none


@dataclass(frozen=True, slots=True)
class Summary:
    """One board in numbers.

    counts: tasks by state, every state is there; stalled: running tasks without a sign of life for `stall_after`
    seconds; workers_lost: dead processes that counted on tasks that go on; rates: items a second by unit, of running
    tasks without running children, the busiest UNITS_MAX units; interval: seconds until the recorder means to write
    again; recorder_error: why it could not the last time.
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
    counts: Mapping[str, int]
    stalled: int
    workers_alive: int
    workers_gone: int
    workers_lost: int
    rates: Mapping[str, float]
    stall_after: float
    interval: float | None
    recorder_error: str | None

    @classmethod
    def of(cls, view: BoardView) -> Summary:
        """Of a view that has records. Raises DamagedSnapshot or CorruptBoard."""
        meta = view.meta
        tasks, shares, workers = (records(view, name) for name in ("tasks", "shares", "workers"))
        alive = int(np.count_nonzero(workers["alive"]))
        open_tasks = tasks["state"] <= _RUNNING
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
            stalled=_stalled(tasks, meta["taken_ns"], view.stall_after),
            workers_alive=alive,
            workers_gone=len(workers) - alive,
            workers_lost=len(np.unique(lost["worker"])),
            rates=_rates(tasks),
            stall_after=view.stall_after,
            interval=_number(meta.get("interval_s")),
            recorder_error=error if isinstance(error := meta.get("recorder_error"), str) else None,
        )

    @property
    def open(self) -> int:
        """Tasks that have not ended."""
        return self.counts["pending"] + self.counts["running"]

    def to_dict(self) -> dict[str, Any]:
        """Everything, in types that JSON has."""
        return asdict(self)


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


def _stalled(tasks: np.ndarray[Any, Any], taken_ns: int, stall_after: float) -> int:
    running = tasks["state"] == _RUNNING
    beat, started, created = (tasks[name][running] for name in ("beat_ns", "started_ns", "created_ns"))
    last = np.where(beat > 0, beat, np.where(started > 0, started, created))  # as TaskView.idle
    idle_s = (float(taken_ns) - last.astype(np.float64)) / 1e9  # in floating point: hostile times must not overflow
    return int(np.count_nonzero((last > 0) & (idle_s > stall_after)))


def _rates(tasks: np.ndarray[Any, Any]) -> dict[str, float]:
    running = tasks["state"] == _RUNNING
    ids, lengths, units, all_rates = (tasks[name][running].tolist() for name in ("id", "parent_bytes", "unit", "rate"))
    parents = {id[:length] for id, length in zip(ids, lengths, strict=True) if length}
    rates: dict[bytes, float] = {}
    for id, unit, rate in zip(ids, units, all_rates, strict=True):
        if 0 < rate < math.inf and id not in parents:
            rates[unit] = rates.get(unit, 0.0) + rate
    busiest = sorted(rates, key=lambda unit: rates[unit], reverse=True)[:UNITS_MAX]
    return {unit.decode(errors="replace"): rate_shown(rates[unit]) or 0.0 for unit in sorted(busiest)}
