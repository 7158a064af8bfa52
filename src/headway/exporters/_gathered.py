"""What a report needs to know of the tasks of a run, gathered from one task after the other.

A night has hundreds of thousands of tasks. Those that the page shows are kept, and sums over all: the memory that this
takes does not grow with the number of tasks. Of most of a long history only sums are given (`headway.files.sums`).
"""

from __future__ import annotations

import heapq
import itertools
import re
from array import array
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from headway.tasks.states import STATES
from headway.terminal.row import detail
from headway.views.numbers import Counts

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from headway.files.sums import Sums
    from headway.views.task_view import TaskView

Numbers: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"

__all__ = ["Gathered", "Kind", "Throughput", "end_of"]

SLOWEST = 20
BARS_MOST = 4000
KINDS_MOST = 1000
DEAD_MOST = 500  # named, of one kind
NAMED_MOST = 20_000  # of all kinds
BINS = 160
FINE_BINS = 16 * BINS
STEPS_MOST = 1 << 18  # of one unit; then they are added up in FINE_BINS intervals

_NUMBERS = re.compile(r"0x[0-9a-f]+|\d+", re.IGNORECASE)  # errors that differ only in these are of one kind
_QUIET = ("success", "cancelled")


def end_of(task: TaskView, now: float) -> float:
    """When a task ended; for a lost one, its last sign of life."""
    if task.ended is not None:
        return task.ended
    return now if not task.final else task.beat or task.started or now


class Named(NamedTuple):
    """A task that died. order: when it began."""

    order: tuple[float, int]
    name: str
    why: str


class Kind:
    """Tasks that died of the same kind of error. first: the one that began first; last: when one died, 0: unknown."""

    def __init__(self, task: TaskView, why: str) -> None:
        self.first, self.why = task, why
        self.count = 0
        self.last = 0.0
        self.alike = True
        self.named: list[Named] = []

    def add(self, task: TaskView, why: str, *, named: bool) -> None:
        """One more of them. named: there is room for its name."""
        self.count += 1
        self.last = max(self.last, task.ended or task.beat or 0.0)
        self.alike = self.alike and why == self.why
        if _order(task) < _order(self.first):
            self.first, self.why = task, why
        if named:
            self.named.append(Named(_order(task), task.label or task.id, why))


class Largest:
    """The tasks with the largest keys; of equal ones, those that began last: a history is read from its end."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[tuple[Any, ...]] = []
        self._number = itertools.count()

    def add(self, task: TaskView, *key: float) -> None:
        """Keep it if it is among the largest."""
        item = (*key, *_order(task), next(self._number), task)
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, item)
        elif item > self._heap[0]:
            heapq.heapreplace(self._heap, item)

    def tasks(self) -> list[TaskView]:
        """Those that were kept, the largest first."""
        return [item[-1] for item in sorted(self._heap, reverse=True)]


class Throughput:
    """How counts of one unit grew: steps (from, until, how many), added up at the end. tasks: how many counted."""

    def __init__(self) -> None:
        self.tasks = 0
        self._steps = array("d")
        self._sums: Numbers = np.zeros(BINS)

    def add(self, points: Sequence[tuple[float, float]]) -> None:
        """The count of one task over time: points of (seconds since 1970, count)."""
        self.tasks += 1
        for (at, count), (later, more) in pairwise(points):
            if later >= at and more > count:
                self._steps.extend((at, later, more - count))
        if len(self._steps) > 3 * STEPS_MOST:
            self._bound()

    def add_sums(self, tasks: int, gained: Sequence[float]) -> None:
        """So many tasks, and what they counted in each of BINS intervals: those that are asked for in the end."""
        self.tasks += tasks
        self._sums = self._sums + np.array(gained)

    def _bound(self) -> None:
        begins, ends, gained = self._columns()
        begin, end = float(begins.min()), float(ends.max())
        if end > begin:
            edges = np.linspace(begin, end, FINE_BINS + 1)
            gained = _gained(begins - begin, ends - begin, gained, (end - begin) / FINE_BINS, FINE_BINS)
            self._steps = array("d", np.column_stack((edges[:-1], edges[1:], gained))[gained > 0].ravel().tolist())

    def _columns(self) -> tuple[Numbers, Numbers, Numbers]:
        begins, ends, gained = np.array(self._steps, dtype=np.float64).reshape(-1, 3).T
        return begins, ends, gained

    def spread(self, begin: float, end: float) -> list[float]:
        """Units a second in BINS equal intervals between these times; none if there is no time between them."""
        begins, ends, gained = self._columns()
        wide = (end - begin) / BINS
        if wide <= 0 or not (len(gained) or self._sums.any()):
            return []
        begins, ends = (np.clip(at, begin, end) - begin for at in (begins, ends))
        rates: list[float] = ((_gained(begins, ends, gained, wide, BINS) + self._sums) / wide).tolist()
        return rates


def _gained(begins: Numbers, ends: Numbers, gained: Numbers, wide: float, bins: int) -> Numbers:
    """How much was gained in each of so many intervals, by steps that gain evenly. In one look at each step."""
    first = np.clip((begins / wide).astype(np.int64), 0, bins - 1)
    last = np.clip((ends / wide).astype(np.int64), 0, bins - 1)
    within = first == last
    sums = np.zeros(bins + 1)
    np.add.at(sums, first[within], gained[within])
    first, last, begins, ends = first[~within], last[~within], begins[~within], ends[~within]
    paces = gained[~within] / (ends - begins)
    np.add.at(sums, first, paces * ((first + 1) * wide - begins))
    np.add.at(sums, last, paces * (ends - last * wide))
    steady = np.zeros(bins + 1)  # of the whole intervals in between: what begins and what stops there
    np.add.at(steady, first + 1, paces)
    np.add.at(steady, last, -paces)
    return np.maximum((sums + np.cumsum(steady) * wide)[:bins], 0.0)


class Gathered:
    """What was seen of a run's tasks. now: when its board was seen.

    wholes: (id, unit) of tasks whose parts count the same items as they do: these are not added twice.
    """

    def __init__(self, now: float, wholes: Collection[tuple[str | None, str]]) -> None:
        self.now = now
        self.tasks = self.begun = self.dead_of_more_kinds = 0
        self.begin: float | None = None
        self.end: float | None = None
        self.axis: tuple[float, float] | None = None  # of the throughput, if it has sums
        self.kinds: dict[tuple[str, str], Kind] = {}
        self.throughput: dict[str, Throughput] = {}
        self.bars, self.slow = Largest(BARS_MOST), Largest(SLOWEST)
        self._wholes = wholes
        self._states = dict.fromkeys(STATES, 0)
        self._stalled = self._named = 0

    @property
    def former(self) -> Counts:
        """How many tasks of former runs are in each state. The view of this run counts its own."""
        return Counts(**self._states, stalled=self._stalled)

    def add(self, task: TaskView, *, former: bool = False) -> None:
        """One task, in any order. former: of another run than the view's."""
        self.tasks += 1
        if former:
            self._states[task.state] += 1
            self._stalled += task.stalled
        if task.state in ("lost", "failed") or task.workers_lost:
            self._add_dead(task)
        if task.started is None:
            return
        self.begun += 1
        end = end_of(task, self.now)
        self.begin = task.started if self.begin is None else min(self.begin, task.started)
        self.end = end if self.end is None else max(self.end, end)
        self.bars.add(task, task.state not in _QUIET, task.elapsed)  # what went wrong or goes on, then the longest
        self.slow.add(task, task.elapsed)
        if task.count > task.base and (task.id, task.unit) not in self._wholes:
            self._add_counts(task, task.started, end_of(task, task.taken_at))

    def add_sums(self, sums: Sums) -> None:
        """The runs of a history of which the page shows nothing but sums; their intervals are BINS."""
        self.tasks += sums.tasks
        self.begun += sums.tasks
        self.begin = min((at for at in (self.begin, sums.begin) if at is not None), default=None)
        self.end = max((at for at in (self.end, sums.end) if at is not None), default=None)
        self.axis = None if sums.begin is None or sums.end is None else (sums.begin, sums.end)
        for state, runs in sums.former.items():
            self._states[state] += runs
        for unit, gained in sums.gained.items():
            self.throughput.setdefault(unit, Throughput()).add_sums(sums.counted[unit], gained)

    def _add_dead(self, task: TaskView) -> None:
        why = detail(task)
        key = task.state, _NUMBERS.sub("#", why)
        kind = self.kinds.get(key)
        if kind is None:
            if len(self.kinds) == KINDS_MOST:
                self.dead_of_more_kinds += 1
                return
            kind = self.kinds[key] = Kind(task, why)
        named = len(kind.named) < DEAD_MOST and self._named < NAMED_MOST
        self._named += named
        kind.add(task, why, named=named)

    def _add_counts(self, task: TaskView, began: float, end: float) -> None:
        """The count of a task without a series is spread evenly over its run."""
        series: Sequence[tuple[float, int]] = getattr(task, "series", ())
        points: list[tuple[float, float]] = sorted(series) or [(began, task.base), (end, task.count)]
        self.throughput.setdefault(task.unit, Throughput()).add(points)


def _order(task: TaskView) -> tuple[float, int]:
    return task.started or task.created or 0.0, task.serial
