"""What the server knows of the boards, and the revision at which each part last changed.

Each look at the files that finds a change makes a new revision. From the revision that a client has and this state, the
missing changes follow; nothing of the past is kept except the keys that were removed.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headway.dashboard.state.charts import Charts
from headway.dashboard.state.looks import Wish, blank
from headway.dashboard.state.throughput import Throughput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.dashboard.state.charts import Note
    from headway.dashboard.state.looks import Look
    from headway.dashboard.state.places import Found
    from headway.dashboard.state.table import Table
    from headway.views.summary import Summary

__all__ = ["Boards", "Followed", "Known"]

SILENT_S = 3.0  # a recorder gives a sign of life in every interval, normally a quarter of a second
SILENT_INTERVALS = 2.5
STUCK_S = 15.0  # a recorder writes at least every five seconds
GONE_MAX = 1000
LINGER_S = 60.0  # how long a table is kept after its last use, so that a client that comes back gets a patch
IDLE_TABLES_MAX = 8
NOTED_MAX = 32


@dataclass
class Known:
    """A board of the list: its summary as JSON, and the revision at which that last changed."""

    found: Found
    summary: dict[str, Any]
    since: int
    seen: Summary | None = None
    throughput: Throughput = field(default_factory=Throughput)
    charts: Charts = field(default_factory=Charts)


@dataclass
class Followed:
    """A board whose tasks a client wants to see, whether it exists or not.

    born: the revision at which it was replaced (appeared, vanished, was started again), across which no patch leads; 0
    until the first look. signature: of the file from which the table was made.
    """

    born: int = 0
    table: Table | None = None
    signature: tuple[int, ...] | None = None
    listeners: int = 0
    used: float = 0.0


class Boards:
    """All boards that existed at the last look."""

    def __init__(self) -> None:
        self.revision = 0
        self.known: dict[str, Known] = {}
        self.followed: dict[str, Followed] = {}
        self.gone: dict[str, int] = {}
        self.gone_complete_since = 0
        self.problem: dict[str, str] | None = None  # why not all boards are known: code and detail
        self.problem_since = 0
        self._noted: OrderedDict[str, None] = OrderedDict()

    def summaries(self) -> list[dict[str, Any]]:
        """By name."""
        return [self.known[name].summary for name in sorted(self.known)]

    def seen(self) -> Iterator[tuple[str, Summary | None]]:
        """The summaries by name; None for a board that cannot be read."""
        return ((name, self.known[name].seen) for name in sorted(self.known))

    def follow(self, name: str) -> Followed:
        """Note that a client wants to see the tasks of a board."""
        followed = self.followed.setdefault(name, Followed())
        followed.used = time.monotonic()
        return followed

    def drop_unused(self) -> None:
        """Drop the tables that no client has used for a while."""
        idle = [name for name, one in self.followed.items() if not one.listeners]
        idle.sort(key=lambda name: self.followed[name].used, reverse=True)
        before = time.monotonic() - LINGER_S
        for at, name in enumerate(idle):
            if at >= IDLE_TABLES_MAX or self.followed[name].used < before:
                del self.followed[name]

    # --------------------------------------------------------------------------------------------------------- a look

    def wish(self, found: Found, follow: bool) -> Wish | None:
        """What to read, if the file has been replaced since the last read."""
        known, followed = self.known.get(found.name), self.followed.get(found.name)
        due_at = 0.0 if known is None else known.charts.due_at
        if followed is not None and (follow or followed.listeners):
            if followed.signature != found.signature:
                return Wish(found, followed.table, True, due_at)
        elif known is None or known.found.signature != found.signature:
            return Wish(found, None, False, due_at)
        return None

    def take(self, seen: Look, revision: int) -> bool:
        """Store what a look has found. Returns whether anything changed."""
        changed = False
        name = seen.found.name
        if seen.followed and name in self.followed:
            changed = _take_table(self.followed[name], seen, revision)
        known = self.known.get(name)
        if known is None:
            known = self.known[name] = Known(seen.found, {}, revision)
            self.gone.pop(name, None)
        known.found, known.seen = seen.found, seen.summary
        if seen.summary is not None:
            known.throughput.add(seen.summary)
        if seen.note is not None:
            self._note(known, seen.note)
        summary = blank(name) if seen.summary is None else seen.summary.to_dict() | {"name": name}
        summary |= {key: known.summary.get(key) for key in ("recorder", "silent_since")} | {"error": seen.problem}
        if summary != known.summary:
            known.summary, known.since = summary, revision
            changed = True
        return changed

    def _note(self, known: Known, note: Note) -> None:
        """Limit the memory for notes: keep those of the boards that changed last."""
        name = known.found.name
        self._noted[name] = None
        self._noted.move_to_end(name)
        if len(self._noted) > NOTED_MAX:
            oldest, _ = self._noted.popitem(last=False)
            if oldest in self.known:
                self.known[oldest].charts = Charts()
        known.charts.add(note)

    def take_silence(self, found: Found, revision: int) -> bool:
        """Note the recorder's state, and since when a board with open tasks has none. Returns whether it changed."""
        known = self.known[found.name]
        fresh = {"recorder": found.recorder, "silent_since": _silent_since(known.seen, found, time.time())}
        if all(known.summary[key] == value for key, value in fresh.items()):
            return False
        known.summary, known.since = known.summary | fresh, revision
        return True

    def take_problem(self, problem: dict[str, str] | None, revision: int) -> bool:
        """Note why not all boards could be listed. Returns whether it changed."""
        if problem == self.problem:
            return False
        self.problem, self.problem_since = problem, revision
        return True

    def forget(self, name: str, revision: int) -> bool:
        """Remove a board that no longer exists. Returns whether it was known."""
        if self.known.pop(name, None) is None:
            return False
        if name in self.followed:
            followed = self.followed[name]
            followed.born, followed.table, followed.signature = revision, None, None
        self.gone[name] = revision
        while len(self.gone) > GONE_MAX:
            self.gone_complete_since = self.gone.pop(next(iter(self.gone)))
        return True


def _silent_since(seen: Summary | None, found: Found, now: float) -> float | None:
    if seen is None or not seen.counts.open:
        return None
    interval = seen.interval or 0.0
    alive_at = max(seen.taken_at, found.recorder_seen)
    if now - alive_at > max(SILENT_S, SILENT_INTERVALS * interval):
        return alive_at
    # It lives, but with open tasks it writes now and then even if nothing has changed.
    return seen.taken_at if now - seen.taken_at > max(STUCK_S, SILENT_INTERVALS * interval) else None


def _take_table(followed: Followed, seen: Look, revision: int) -> bool:
    followed.signature = seen.found.signature
    if seen.table is followed.table:
        return False
    if followed.table is None or seen.table is None or followed.table.view.uuid != seen.table.view.uuid:
        followed.born = revision
    followed.table = seen.table
    return True
