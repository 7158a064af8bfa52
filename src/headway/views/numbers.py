"""The rules for numbers that are derived from recorded ones: rate, fraction, time left, stalled, totals of a run.

Every view asks here: task and board views, lists of boards, the terminal, metrics, the report, the dashboard's server.
The page has the rules once more in TypeScript (web/src/model/derive.ts); a table of examples, generated from this
module, holds the two equal.

- A task is *stalled* while it runs without a sign of life for longer than its own `stall_after`: what was given for it,
  or for the board, else three times as long as its slowest item took so far, and 10 s at least. Who copies a task
  notes that in its record (native/stall.h). A stalled task has the rate 0 and no time left. It is still one of the
  running tasks.
- A count above its total shows that the total was wrong, so the total is dropped: no fraction, no time left. The same
  goes for a total of 0.
- A task whose rate is below `RATE_LEAST` does not move; a time left above `LEFT_MOST_S` is not given.
- A board's time left is the longest of its running tasks that have one. It is a lower bound ("at least") while tasks
  are pending, are stalled, or run without a time left of their own.
- Counts are those of the whole run: tasks that gave up their slot on the board are counted, too, by the state in which
  they ended.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Protocol

from headway.tasks.states import FINAL_STATES, STATES, URGENCY

__all__ = [
    "LEFT_MOST_S",
    "RATE_LEAST",
    "SMALL",
    "STALL_AFTER_SECONDS",
    "Counts",
    "Pace",
    "TimeLeft",
    "counts_in",
    "fraction",
    "gone_in",
    "idle",
    "is_stalled",
    "paces_of",
    "seconds_left",
    "time_left",
    "total_shown",
    "urgency",
]

STALL_AFTER_SECONDS = 10.0  # where nothing was given or timed; a test holds native/stall.h to it
RATE_LEAST = 1e-9  # items a second: a fading rate never reaches 0 by itself
SMALL = 256  # tasks: up to here, the rules are applied to one task after the other, not to arrays
LEFT_MOST_S = 100 * 365 * 86_400.0


def idle(beat: float | None, started: float | None, created: float | None, at: float) -> float | None:
    """Seconds from the last sign of life to `at`; None if there never was one.

    A task has a beat from its creation on. The beat comes from a monotonic clock, so it is preferred: the other times
    may be in the future if the wall clock was set back.
    """
    last = beat if beat is not None else started if started is not None else created
    return None if last is None else max(0.0, at - last)


def is_stalled(state: str, idle_s: float | None, stall_after: float) -> bool:
    """Does the task run without a sign of life for longer than `stall_after` seconds?"""
    return state == "running" and idle_s is not None and idle_s > stall_after


def urgency(state: str, stalled: bool) -> tuple[int, bool]:
    """The place of a task in a list that is sorted by urgency: by its state, of the running ones the stalled first."""
    return URGENCY[state], not stalled


def total_shown(count: int, total: int | None) -> int | None:
    """The total, unless the count shows that it is wrong or there is nothing to divide by."""
    return total if total is not None and total > 0 and count <= total else None


def fraction(count: int, total: int | None) -> float | None:
    """How much of the total is counted, from 0 to 1; None without a total that holds."""
    whole = total_shown(count, total)
    return None if whole is None else max(count / whole, 0.0)


def seconds_left(state: str, count: int, total: int | None, rate: float | None) -> float | None:
    """Seconds until the total is reached at this rate; None if that is unknown. A stalled task's rate is 0."""
    whole = total_shown(count, total)
    if state != "running" or whole is None:
        return None
    if count == whole:
        return 0.0
    if rate is None or not RATE_LEAST <= rate < math.inf:
        return None
    left = (whole - count) / rate
    return left if left <= LEFT_MOST_S else None


class Countable(Protocol):
    """The attributes of a task that are needed to count it."""

    @property
    def state(self) -> str: ...
    @property
    def stalled(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Counts(Mapping[str, int]):
    """How many tasks of a run are in each state: `counts.failed` or `counts["failed"]`.

    As a mapping it has the six states. `total` and `ended` are sums of them; `stalled` tasks are also counted in
    `running`. Tasks that gave up their slot on the board are counted, so `total`, `ended` and the final states never
    fall during a run, except when a task that had ended is resumed.
    """

    pending: int = 0
    running: int = 0
    success: int = 0
    failed: int = 0
    cancelled: int = 0
    lost: int = 0
    stalled: int = 0

    @classmethod
    def of(cls, tasks: Iterable[Countable]) -> Counts:
        """The counts of these tasks alone."""
        found = dict.fromkeys(STATES, 0)
        stalled = 0
        for task in tasks:
            found[task.state] += 1
            stalled += task.stalled
        return cls(**found, stalled=stalled)

    @property
    def total(self) -> int:
        """Tasks in all."""
        return sum(self.values())

    @property
    def ended(self) -> int:
        """Tasks in a final state, however they ended: success, failed, cancelled or lost."""
        return sum(self[state] for state in FINAL_STATES)

    @property
    def open(self) -> int:
        """Tasks that have not ended: pending or running."""
        return self.pending + self.running

    def abandoned(self) -> Counts:
        """The counts once the open tasks are lost, as all their processes are dead."""
        return replace(self, pending=0, running=0, stalled=0, lost=self.lost + self.open)

    def __add__(self, other: Counts) -> Counts:
        """The counts of two sets of tasks."""
        return Counts(*(getattr(self, what) + getattr(other, what) for what in _COUNTED))

    def __sub__(self, other: Counts) -> Counts:
        """The counts of what is left without these tasks."""
        return Counts(*(getattr(self, what) - getattr(other, what) for what in _COUNTED))

    def to_dict(self) -> dict[str, int]:
        """The states, and `total`, `ended` and `stalled`."""
        return {**self, "total": self.total, "ended": self.ended, "stalled": self.stalled}

    def __getitem__(self, state: str) -> int:
        if state not in STATES:
            raise KeyError(state)
        return int(getattr(self, state))

    def __iter__(self) -> Iterator[str]:
        return iter(STATES)

    def __len__(self) -> int:
        return len(STATES)


_COUNTED = tuple(one.name for one in fields(Counts))


def gone_in(meta: Mapping[str, Any]) -> Counts:
    """How many tasks gave up their slot on the board in this run, by state, from the meta data of a copy.

    A file may hold anything: what is not a number of tasks is ignored.
    """
    told = meta.get("gone")
    if not isinstance(told, dict):
        return Counts()
    return Counts(**{state: told[state] for state in FINAL_STATES if _is_count(told.get(state))})


def counts_in(told: object) -> Counts | None:
    """Counts as a file has them: every state, and "stalled". None for anything else, as a file may hold anything."""
    if not isinstance(told, dict) or told.keys() != set(_COUNTED) or not all(map(_is_count, told.values())):
        return None
    return Counts(**told)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


class Pace(NamedTuple):
    """The progress of a running task. number: of its record; rate: items a second; left: seconds."""

    number: int
    stalled: bool
    rate: float | None
    left: float | None


def paces_of(running: Iterable[tuple[Any, ...]], at: float) -> tuple[Pace, ...]:
    """The pace of each running task, from its (number, count, total, rate, beat, started, created, stall_after)."""
    found = []
    for number, count, total, rate, beat, started, created, stall_after in running:
        seen = beat is not None and at - beat <= stall_after  # the usual case, faster than calling the rule
        stalled = not seen and is_stalled("running", idle(beat, started, created, at), stall_after)
        if stalled:
            rate = 0.0
        found.append(Pace(number, stalled, rate, seconds_left("running", count, total, rate)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """When the running tasks of a board can be expected to end.

    seconds: the longest time left of its running tasks, None where none of them has one; at_least: it is a lower bound,
    because of tasks that are not in it; stalled: how many of these are stalled.
    """

    seconds: float | None
    at_least: bool
    stalled: int


def time_left(lefts: Iterable[float | None], counts: Counts) -> TimeLeft:
    """The time left of a board.

    lefts: the time left of each running task; counts: of the board.
    """
    known = [left for left in lefts if left is not None]
    return TimeLeft(max(known, default=None), counts.pending > 0 or counts.running > len(known), counts.stalled)
