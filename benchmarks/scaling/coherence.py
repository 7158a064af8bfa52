"""A simulator of cache lines that many cores count on: MESI with a directory, as an event queue. Deterministic.

A line is in the caches of some cores: modified or exclusive in one, or shared in several, else in memory. A core that
lacks what it needs asks the line's directory, which serves one request for a line at a time, in the order in which they
come:

    read    of a line that another core has changed: it comes from there, and both share it afterwards
            of a line that is shared: a copy from the nearest that has one; such reads overlap
    write   the line comes from the core that has it, or the copies of all others are dropped; then it is this core's

A transfer takes as long as a message from core to core, by where the two are: that is what published tables have. The
core that gives a line up goes on using it until the demand arrives, KEEPS of that time; so two that count without pause
make several counts for each transfer.

An update is what hw_count and hw_beat do: load the word, compare and swap, again if another core was first, then store
the beat. The store is not waited for, but the next update is not begun before it is done.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Costs", "Line", "Machine", "Outcome", "Reader", "Simulation", "crowd"]

KEEPS = 2 / 3  # the demand goes to the directory and on to the owner, then the line to who asked: three ways alike
SERVED_NS = 4.0  # between two copies of a shared line that a directory hands out
AT_ONCE = 16  # reads of different lines that one core has under way
SWAP_NS = 2.0  # a compare and swap in the core's own cache
NEVER = math.inf


@dataclass(frozen=True)
class Machine:
    """Cores in clusters in sockets, filled one after the other, and what a message takes from core to core."""

    name: str
    cluster: int  # cores that share a cache
    socket: int  # cores
    near_ns: float  # within a cluster
    far_ns: float  # within a socket
    across_ns: float  # from socket to socket
    source: str
    sockets: int = 2

    @property
    def cores(self) -> int:
        return self.socket * self.sockets

    def masks(self, core: int) -> tuple[int, int]:
        """The cores of its cluster, and those of its socket, as bits."""
        cluster = core // self.cluster * self.cluster
        socket = core // self.socket * self.socket
        return ((1 << self.cluster) - 1) << cluster, ((1 << self.socket) - 1) << socket


@dataclass(frozen=True)
class Costs:
    """update_ns: one update while nobody else touches its line.

    once: the demand for the swap goes out with the load, which on x86 it mostly does; else the load brings the line as
    shared, and the swap asks again. ahead_ns: so long before an update is due the core can see it coming, and ask for
    its line while it still works: out of order, if the work before it is short and simple.
    """

    update_ns: float
    swap_ns: float = SWAP_NS
    once: bool = True
    ahead_ns: float = 0.0


class Line:
    """owner: who may write it; bits of `has`: who may read it. While it is on its way, they may until `until`."""

    __slots__ = ("arrival", "busy", "has", "owner", "queue", "transfers", "until", "version", "writing")

    def __init__(self) -> None:
        self.owner, self.has, self.version, self.transfers = -1, 0, 0, 0
        self.arrival = 0  # the event at which the line arrives, if it is on its way alone
        self.busy, self.writing, self.until = False, False, NEVER
        self.queue: deque[tuple[int, bool, int]] = deque()

    def readable(self, core: int, now: float) -> bool:
        return bool(self.has >> core & 1) and (not self.writing or now < self.until)

    def writable(self, core: int, now: float) -> bool:
        return self.owner == core and now < self.until


@dataclass
class Reader:
    """Reads all `lines` from `core`, once at each of `times`; took: what each pass lasted."""

    core: int
    lines: Sequence[Line]
    times: Sequence[float]
    took: list[float] = field(default_factory=list)
    began: float = 0.0
    asked: int = 0
    came: int = 0


@dataclass(frozen=True)
class Outcome:
    """Means over the updates of all workers."""

    update_ns: float
    waiting: float  # the share of the workers' time that they wait for lines
    transfers: float  # of lines, for an update
    rate: float  # updates a second of all workers


# What a core waits for, or does next.
LOAD, SWAP, BEAT, STORED, READ, LOOK, TICK, AHEAD = range(8)


class Simulation:
    """Workers that count on lines, one after the other with work in between, until so many updates are done."""

    def __init__(self, machine: Machine, costs: Costs, seed: int = 1) -> None:
        self.machine, self.costs = machine, costs
        self.random = random.Random(seed)
        self.events: list[tuple[float, int, int, int, Line | None]] = []
        self.number = 0
        self.readers: dict[int, Reader] = {}
        self.clock: Line | None = None
        self.places: list[tuple[int, int]] = []

    # ------------------------------------------------------------------------------------------------ the directory

    def _at(self, when: float, what: int, core: int, line: Line | None) -> None:
        self.number += 1
        heapq.heappush(self.events, (when, self.number, what, core, line))

    def _far(self, core: int, others: int) -> float:
        """The longest way to any of these cores."""
        cluster, socket = self.places[core]
        if others & ~socket:
            return self.machine.across_ns
        return self.machine.far_ns if others & ~cluster else self.machine.near_ns

    def _near(self, core: int, others: int) -> float:
        """The shortest; from memory if there are none."""
        cluster, socket = self.places[core]
        if others & cluster:
            return self.machine.near_ns
        return self.machine.across_ns if others and not others & socket else self.machine.far_ns

    def _ask(self, now: float, line: Line, core: int, write: bool, what: int) -> None:
        line.queue.append((core, write, what))
        if not line.busy:
            self._serve(now, line)

    def _serve(self, now: float, line: Line) -> None:
        core, write, what = line.queue.popleft()
        line.transfers += 1
        others = line.has & ~(1 << core)
        if not write and line.owner < 0:
            when = now + self._near(core, others)
            if not line.has:
                line.owner = core  # exclusive: nobody else has it
            line.has |= 1 << core
            self._at(when, what, core, line)
            if line.queue:
                line.busy = True
                self._at(now + SERVED_NS, TICK, -1, line)
            return
        took = self._far(core, others) if others else self.machine.near_ns
        line.busy, line.writing, line.until = True, write, now + KEEPS * took
        self._at(now + took, what, core, line)
        line.arrival = self.number

    def _arrived(self, line: Line, core: int) -> None:
        if line.writing:
            line.owner, line.has = core, 1 << core
        else:
            line.owner, line.has = -1, line.has | 1 << core
        line.busy, line.writing, line.until = False, False, NEVER

    # --------------------------------------------------------------------------------------------------- the workers

    def run(
        self,
        lines: Sequence[Line],
        work_ns: float,
        updates: int,
        *,
        readers: Sequence[Reader] = (),
        tick_ns: float = 0.0,
        spread: float = 0.5,
        warm: float = 0.25,
    ) -> Outcome:
        """Worker i counts on lines[i], from core i; its work lasts work_ns, more or less by `spread` of it. The first
        updates, `warm` of them, are left out. tick_ns: so often one core writes the line of the clock, which every
        update reads.
        """
        workers = len(lines)
        self.places = [self.machine.masks(core) for core in range(workers + len(readers) + 1)]
        began, seen, storing = [0.0] * workers, [0] * workers, [False] * workers
        blocked = [False] * workers
        rest, swap = self.costs.update_ns - self.costs.swap_ns, self.costs.swap_ns
        once, ahead = self.costs.once, self.costs.ahead_ns
        jitter, events = self.random.random, self.events
        done, total, counted, left_out = 0, 0.0, 0, int(updates * warm)
        since, before = 0.0, 0
        for reader in readers:
            self.readers[reader.core] = reader
            for when in reader.times:
                self._at(when, LOOK, reader.core, None)
        if tick_ns:
            self.clock = Line()
            self._at(tick_ns, LOOK, -1, self.clock)
        for core in range(workers):
            begin = jitter() * (work_ns + rest)
            began[core] = begin
            self._at(begin + rest, LOAD, core, lines[core])
        now = 0.0
        while done < updates:
            now, number, what, core, line = heapq.heappop(events)
            if line is not None and number == line.arrival:
                self._arrived(line, core)
            elif line is not None and what == TICK:
                line.busy = False
            if what == AHEAD and line is not None:
                if not storing[core] and not line.writable(core, now):
                    storing[core] = True
                    self._ask(now, line, core, True, STORED)
            elif what == LOAD:
                if self.clock is not None and line is not self.clock and not self.clock.readable(core, now):
                    self._ask(now, self.clock, core, False, LOAD)  # comes back here with the line of the clock
                    continue
                if line is self.clock:
                    self._at(now, LOAD, core, lines[core])
                elif storing[core]:
                    blocked[core] = True
                elif line is not None and (line.has >> core & 1) and line.readable(core, now):
                    seen[core] = line.version
                    what = SWAP
                elif line is not None:
                    self._ask(now, line, core, once, LOAD)
            if what == SWAP and line is not None:
                if not line.writable(core, now):
                    self._ask(now, line, core, True, SWAP)
                elif line.version != seen[core]:
                    seen[core] = line.version
                    self._at(now + swap, SWAP, core, line)
                else:
                    line.version = seen[core] + 1
                    self._at(now + swap, BEAT, core, line)
            elif what == BEAT and line is not None:
                if not line.writable(core, now):
                    storing[core] = True
                    self._ask(now, line, core, True, STORED)
                done += 1
                if done > left_out:
                    total += now - began[core]
                    counted += 1
                elif done == left_out:
                    since, before = now, sum(one.transfers for one in set(lines))
                begin = now + work_ns * (1 - spread + 2 * spread * jitter())
                began[core] = begin
                self._at(begin + rest, LOAD, core, line)
                if ahead:
                    self._at(max(now + swap, begin + rest - ahead), AHEAD, core, line)
            elif what == STORED:
                storing[core] = False
                if blocked[core]:
                    blocked[core] = False
                    self._at(now, LOAD, core, line)
            elif what in (LOOK, READ):
                self._looked(now, what, core, line, tick_ns)
            if line is not None and line.queue and not line.busy:
                self._serve(now, line)
        mean = total / counted
        lasted = now - since
        return Outcome(
            update_ns=mean,
            waiting=(mean - self.costs.update_ns) / (mean + work_ns),
            transfers=(sum(one.transfers for one in set(lines)) - before) / counted,
            rate=counted / lasted * 1e9,
        )

    # --------------------------------------------------------------------------------------------------- the readers

    def _looked(self, now: float, what: int, core: int, line: Line | None, tick_ns: float) -> None:
        if line is not None and line is self.clock:
            if what == LOOK:
                last = len(self.places) - 1
                self._ask(now, line, last, True, READ)
                self._at(now + tick_ns, LOOK, -1, line)
            return
        reader = self.readers[core]
        if what == LOOK:
            reader.began, reader.asked, reader.came = now, 0, 0
        else:
            reader.came += 1
            if reader.came == len(reader.lines):
                reader.took.append(now - reader.began)
        while reader.asked < len(reader.lines) and reader.asked - reader.came < AT_ONCE:
            wanted = reader.lines[reader.asked]
            reader.asked += 1
            if wanted.readable(core, now):
                self._at(now, READ, core, None)
            else:
                self._ask(now, wanted, core, False, READ)


def crowd(
    machine: Machine,
    costs: Costs,
    workers: int,
    stripes: int,
    work_ns: float,
    updates: int,
    *,
    spread: float = 0.5,
    seed: int = 1,
) -> Outcome:
    """So many workers on one task: worker i counts on stripe i modulo `stripes`."""
    lines = [Line() for _ in range(min(workers, stripes))]
    return Simulation(machine, costs, seed).run(
        [lines[core % len(lines)] for core in range(workers)], work_ns, max(updates, 40 * workers), spread=spread
    )
