"""Keeps free slots on a board ahead of need, by the rate at which tasks are claimed.

A claim on a full board archives tasks itself, and then waits until the slots of some have rested. So a recorder looks
again, between its looks at the whole board, before the free slots are used up: it archives what has ended, which costs
no more than what the claims would do, and frees the slots of tasks that the history has, the oldest first.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from headway.files import archive
from headway.native import scans

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway.files.history import Writer
    from headway.native.core import Segment
    from headway.native.series import Series
    from headway.views.board_view import Raw

__all__ = ["Room"]

AHEAD_S = 0.5  # free slots for the tasks of so long a time
SOONEST_S = 0.01
MOST = 8  # at most an eighth of the board is kept free
BATCH = 256
RETENTION_S = 24 * 3600.0  # on the board
OLD_EVERY_S = 60.0


class Room:
    """The free slots of a board."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._claimed, self._at = segment.claimed, time.monotonic()
        self._rate = 0.0
        self._freed_at = -1e9
        self._in_vain = False  # was there nothing to do, the last time?

    def _wanted(self) -> int:
        """How many slots are to be free: none, as long as nobody claims any."""
        return min(self._segment.capacity // MOST, int(self._rate * AHEAD_S))

    def look(self) -> None:
        """After a look at the whole board: note how fast tasks are claimed, and make room. Raises LockTimeout."""
        claimed, now = self._segment.claimed, time.monotonic()
        self._rate = max(0, claimed - self._claimed) / max(now - self._at, SOONEST_S)
        self._claimed, self._at, self._in_vain = claimed, now, False
        self._make()

    def lasts_until(self, took_s: float) -> float:
        """When there is need to look again, by the monotonic clock: before half of what is wanted is used up.

        took_s: of a core, by the last look: as much time is left to others.
        """
        if not self._rate or self._in_vain:  # the next look at the whole board is soon enough
            return float("inf")
        left_s = (self._segment.stock - self._wanted() / 2) / self._rate
        return time.monotonic() + max(SOONEST_S, took_s, left_s)

    def more(self, writer: Writer, meta: Mapping[str, Any], series: Series) -> int:
        """Between looks at the whole board: archive some tasks, the oldest first, and make room.

        Returns how many it archived; raises what archive.add does.
        """
        self._in_vain = True  # also if it raises
        places = self._segment.finished(BATCH) if self._segment.recorder_wanted else []
        if places:
            archive.add(self._segment, writer, meta, places, series)
        added = len(places) - len(self._segment.owed(places))
        self._in_vain = not self._make() and not added
        return added

    def _make(self) -> int:
        """Free slots of tasks that the history has, the oldest first. Returns how many."""
        lacks = self._wanted() - self._segment.stock
        return self._segment.free_archived(self._segment.archived(lacks)) if lacks > 0 else 0

    def free_old(self, raw: Raw) -> None:
        """Free slots of tasks that ended a day ago, and that the history has. Raises LockTimeout."""
        if (now := time.monotonic()) - self._freed_at >= OLD_EVERY_S:
            self._freed_at = now
            before_ns = raw.meta["taken_ns"] - int(RETENTION_S * 1e9)
            self._segment.free_archived(scans.archived_before(raw.tasks, before_ns))
