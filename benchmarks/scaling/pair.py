"""Two cores of this machine that use one line (pair.c), beside what the simulator says of two such cores."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from benchmarks.scaling.coherence import Costs, Line, Machine, Reader, Simulation, crowd
from benchmarks.scaling.lines import build

__all__ = ["AHEAD_NS", "Compared", "Places", "Used", "compare", "measure", "regroup", "update_ns"]

LIMIT_S = 55.0
PASSES = 5
UPDATES = 20_000
AHEAD_NS = 70.0  # fitted to one row, `shared` with the longest work where the two are far apart
MOVED = 1.3  # the core was moved if the messages before and after a case differ so much
PLACES = {"one core's threads": 15.0, "one cluster": 60.0, "two clusters": 150.0, "two sockets": float("inf")}


@dataclass(frozen=True)
class Used:
    """ns of one operation, alone and with the other core beside it. `size`: rounds of work, or lines read."""

    what: str
    size: int
    alone_ns: float
    together_ns: float
    rounds: int


@dataclass(frozen=True)
class Places:
    """What was measured while the two cores were that far from each other."""

    name: str
    message_ns: float
    used: list[Used]


@dataclass(frozen=True)
class Compared:
    """One figure: measured, and simulated with one demand an update, and with two."""

    places: str
    what: str
    size: int
    alone_ns: float
    measured_ns: float
    simulated_ns: float
    twice_ns: float


def measure() -> str:
    """Some seconds of both cores. Returns the output of pair.c."""
    command = [str(build("pair")), str(PASSES)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT_S).stdout


def regroup(output: str) -> list[Places]:
    """Medians of the rounds, for each distance of the two cores that was met. A case in which one moved is dropped."""
    rows = [line.split() for line in output.splitlines() if line]
    pings = [number for number, row in enumerate(rows) if row[0] == "ping" and row[-1] != "0"]
    met: dict[str, list[float]] = {}
    cases: dict[tuple[str, str, int], list[tuple[float, float, int]]] = {}
    for before, after in pairwise(pings):
        low, high = sorted((float(rows[before][4]), float(rows[after][4])))
        row = rows[before + 1]
        if after != before + 2 or high > MOVED * low or row[-1] == "0":
            continue
        place = next(name for name, most in PLACES.items() if low < most)
        met.setdefault(place, []).append(low)
        cases.setdefault((place, row[0], int(row[1])), []).append((float(row[2]), float(row[4]), int(row[6])))
    found = []
    for place, messages in met.items():
        used = [
            Used(what, size, median(a for a, _, _ in rows), median(t for _, t, _ in rows), sum(n for _, _, n in rows))
            for (where, what, size), rows in cases.items()
            if where == place
        ]
        found.append(Places(place, median(messages), used))
    return found


def update_ns(found: list[Places]) -> float:
    """One hw_add alone."""
    return min(one.alone_ns for places in found for one in places.used if (one.what, one.size) == ("own", 0))


def compare(places: Places) -> list[Compared]:
    """Simulate all that was measured, from the time of a message and what each operation takes alone."""
    message = places.message_ns
    machine = Machine(places.name, 1, 2, message, message, message, "measured")
    bare = {one.what: one.alone_ns for one in places.used if one.size == 0}
    found = []
    for one in places.used:
        if one.what == "sum":
            once = twice = _read(machine, one.size)
        else:
            work, stripes = one.alone_ns - bare[one.what], 2 if one.what == "own" else 1
            once, twice = (
                one.alone_ns
                - bare[one.what]
                + crowd(
                    machine, Costs(bare[one.what], once=way, ahead_ns=AHEAD_NS), 2, stripes, work, UPDATES, spread=0.0
                ).update_ns
                for way in (True, False)
            )
        found.append(Compared(places.name, one.what, one.size, one.alone_ns, one.together_ns, once, twice))
    return found


def _read(machine: Machine, lines: int) -> float:
    """ns a line, to read so many that another core has written."""
    written = [Line() for _ in range(lines)]
    for line in written:
        line.owner, line.has = 0, 1
    reader = Reader(1, written, [0.0])
    Simulation(machine, Costs(4.0)).run([Line()], 1000.0, 200, readers=[reader])
    return reader.took[0] / lines
