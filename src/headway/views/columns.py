"""The rules of `numbers` over the records of many tasks at once: arrays in, arrays out. Tests hold both equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from headway.tasks.states import STATES, URGENCY
from headway.views.numbers import LEFT_MOST_S, RATE_LEAST, STALL_AFTER_SECONDS, Counts, TimeLeft

if TYPE_CHECKING:
    Array: TypeAlias = np.ndarray[Any, Any]

__all__ = ["ranks", "stalled", "time_left"]

_RUNNING = STATES.index("running")
_RANKS = np.array([2 * URGENCY[state] + 1 for state in STATES])  # doubled: a stalled task is one less


def stalled(tasks: Array, at: float) -> Array:
    """Which tasks are stalled, as `numbers.is_stalled` and `numbers.idle` tell."""
    last = np.where(tasks["beat_ns"] > 0, tasks["beat_ns"], tasks["started_ns"])
    last = np.where(last > 0, last, tasks["created_ns"])
    idle = np.maximum(at - last / 1e9, 0.0)
    given = tasks["stall_after_ns"]  # as native/stall.h reads it; what is never reached stands there as 292 years
    after = np.where(given > 0, given / 1e9, STALL_AFTER_SECONDS)
    found: Array = (tasks["state"] == _RUNNING) & (last > 0) & (idle > after)
    return found


def ranks(tasks: Array, at: float) -> Array:
    """How urgent each task is, as a number; the most urgent have the lowest. As `numbers.urgency`."""
    found: Array = _RANKS[np.minimum(tasks["state"], len(STATES) - 1)]
    return found - stalled(tasks, at)


def time_left(tasks: Array, at: float, counts: Counts) -> TimeLeft:
    """The time left of a board, as `numbers.time_left` and `numbers.seconds_left` tell."""
    running = tasks["state"] == _RUNNING
    held = running & (tasks["total"] > 0) & (tasks["count"] <= tasks["total"])
    rate = np.where(stalled(tasks, at), 0.0, tasks["rate"])[held]
    left = (tasks["total"] - tasks["count"])[held]
    moves = (rate >= RATE_LEAST) & (rate < np.inf)
    seconds = np.divide(left, rate, out=np.full(len(left), np.inf), where=moves)
    seconds[left == 0] = 0.0
    known = seconds[seconds <= LEFT_MOST_S]
    longest = float(known.max()) if len(known) else None
    return TimeLeft(longest, counts.pending > 0 or counts.running > len(known), counts.stalled)
