"""The rows of one board, and the revision at which each last changed: for patches that bring a page up to date.

A table is made from one snapshot and advanced to the next by comparing their records as bytes, all at once: of 10 000
tasks most have not changed, and most of the others only counted. A table is never changed; advancing makes a new one.
So a thread can make the next one while the present one is being served.

Times and rates are rounded in every row in the same way, so that a patched row equals one that was requested. Tiny
changes are ignored: beats are converted from a monotonic clock and vary slightly with every snapshot, and the rate of a
task that does not count fades all the time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from headway.dashboard.state.removed import Removed
from headway.dashboard.state.workers import HOLD_BEAT_S, Workers, milliseconds, seconds_or_never
from headway.native.records import DTYPES, RECORD_BYTES, task_fields
from headway.tasks.states import ENDED_STATES, STATES
from headway.views.numbers import RATE_LEAST
from headway.views.summary import rate_shown, records

if TYPE_CHECKING:
    from headway.views.board_view import BoardView

__all__ = ["NOTHING_MOVED", "Patch", "Table"]

HOLD_RATE = 0.2
_WORDS = RECORD_BYTES["tasks"] // 8
_OFFSETS: Any = np.dtype(DTYPES["tasks"]).fields
_MOVING = [_OFFSETS[name][1] // 8 for name in ("count", "rate", "beat_ns")]
_RATE, _BEAT = 1, 2  # of them
_TIMES = ("created", "started", "ended", "stage_entered")
_ENDED = [STATES.index(state) for state in ENDED_STATES]
_LEFT_OUT = ("owner", "stages_left_out", "lost_left_out")  # of a row, not of a task

NOTHING_MOVED: dict[str, list[Any]] = {"serial": [], "count": [], "rate": [], "beat": []}

Array = np.ndarray[Any, Any]


class Patch(NamedTuple):
    """What changed since a revision: complete rows, the tasks that only counted, and the keys of removed rows."""

    rows: list[dict[str, Any]]
    moved: dict[str, list[Any]]
    removed: list[int]
    workers: list[dict[str, Any]]
    workers_removed: list[int]

    def __bool__(self) -> bool:
        return bool(self.rows or self.moved["serial"] or self.removed or self.workers or self.workers_removed)


class Table:
    """The rows of the tasks and workers of one board, by serial and by incarnation."""

    def __init__(self, view: BoardView, revision: int) -> None:
        self.view = view
        tasks = records(view, "tasks")
        # If a serial occurs twice, which no board writes, the last one is used.
        self.serials, first = np.unique(tasks["serial"][::-1], return_index=True)
        self._order = len(tasks) - 1 - first
        # Compared as machine words: ten times as fast as record by record, and NaN equals itself.
        self._fixed = np.frombuffer(view.raw.tasks, np.int64).reshape(-1, _WORDS)[self._order]
        self._moving = self._fixed[:, _MOVING].T.copy()
        self._fixed[:, _MOVING] = 0
        rates = self._moving[_RATE].view(np.float64)
        rates[np.abs(rates) < RATE_LEAST] = 0.0  # such a rate fades for another hour, and is shown as 0
        self._shares = _shares(view, len(tasks))[:, self._order]
        self.workers = Workers(view, revision)
        self._fixed_since = np.full(len(self.serials), revision)
        self._moved_since = self._fixed_since
        self._gone = Removed(revision)

    @property
    def complete_since(self) -> int:
        """The first revision from which a patch is possible."""
        return max(self._gone.complete_since, self.workers.gone.complete_since)

    def __len__(self) -> int:
        return len(self.serials)

    def advanced(self, view: BoardView, revision: int) -> Table:
        """The table of a later snapshot of the same board (the same uuid), at this revision."""
        new = Table(view, revision)
        if np.array_equal(self.serials, new.serials):
            mine: Any = slice(None)  # views instead of copies
            theirs: Any = mine
        else:
            _, mine, theirs = np.intersect1d(self.serials, new.serials, assume_unique=True, return_indices=True)
        same = (self._fixed[mine] == new._fixed[theirs]).all(1)
        same &= (self._shares[:, mine] == new._shares[:, theirs]).all(0)
        held, now = self._moving[:, mine], new._moving[:, theirs]
        still = same & _is_calm(held, now)
        new._moving[:, theirs] = np.where(still, held, now)
        new._moved_since = new._fixed_since.copy()
        new._fixed_since[theirs] = np.where(same, self._fixed_since[mine], revision)
        new._moved_since[theirs] = np.where(still, self._moved_since[mine], revision)
        new._gone = self._gone.with_removed(np.delete(self.serials, mine).tolist(), revision)
        new.workers = self.workers.advanced(view, revision)
        return new

    def patch(self, revision: int) -> Patch:
        """The patch from this revision, which is not before `complete_since`, to the present."""
        changed = self._fixed_since > revision
        moved = np.flatnonzero((self._moved_since > revision) & ~changed)
        return Patch(
            [self._row(at) for at in np.flatnonzero(changed).tolist()],
            {"serial": self.serials[moved].tolist(), **_shown(self._moving[:, moved])},
            self._gone.since(revision),
            self.workers.since(revision),
            self.workers.gone.since(revision),
        )

    def page(self, after: int | None, count: int) -> tuple[list[dict[str, Any]], bool]:
        """The first rows whose serial is above `after`, at most `count`; and whether there are more."""
        begin = 0 if after is None else int(np.searchsorted(self.serials, np.uint64(after), side="right"))
        return [self._row(at) for at in range(len(self))[begin : begin + count]], begin + count < len(self)

    def rows(self) -> list[dict[str, Any]]:
        """All rows, by serial."""
        return [self._row(at) for at in range(len(self))]

    def _row(self, at: int) -> dict[str, Any]:
        values = task_fields(self.view.raw.tasks, int(self._order[at]))
        for name in _LEFT_OUT:
            del values[name]
        for name in _TIMES:
            values[name] = milliseconds(values[name])
        for name, (value,) in _shown(self._moving[:, at : at + 1]).items():
            values[name] = value
        values["stall_after"] = seconds_or_never(values["stall_after"])
        values["metrics"] = {name: value if math.isfinite(value) else None for name, value in values["metrics"].items()}
        values["worker_count"], values["lost_count"] = self._shares[:, at].tolist()
        return values


def _shares(view: BoardView, tasks: int) -> Array:
    """How many processes count on each task, and how many died: like `workers` and `workers_lost` of a TaskView."""
    shares = records(view, "shares")
    dead = np.bincount(shares["task"][shares["alive"] == 0], minlength=tasks)
    alive = np.bincount(shares["task"], minlength=tasks) - dead
    state = records(view, "tasks")["state"]
    ended = np.isin(state, _ENDED)
    return np.stack([np.where(ended, alive + dead, alive), np.where(ended, 0, dead)]).astype(np.int64)


def _is_calm(held: Array, now: Array) -> Array:
    """Which tasks have not counted since, and may keep the values that they showed before."""
    rate, before = now[_RATE].view(np.float64), held[_RATE].view(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(rate - before) <= HOLD_RATE * np.abs(before)
    trembles = np.abs(now[_BEAT] - held[_BEAT]) < HOLD_BEAT_S * 1e9
    calm: Array = (now[0] == held[0]) & trembles & (near | (now[_RATE] == held[_RATE]))
    return calm


def _shown(moving: Array) -> dict[str, list[Any]]:
    count, rate, beat_ns = moving
    return {
        "count": count.tolist(),
        "rate": [rate_shown(one) for one in rate.view(np.float64).tolist()],
        "beat": [milliseconds(ns / 1e9) if ns > 0 else None for ns in beat_ns.tolist()],
    }
