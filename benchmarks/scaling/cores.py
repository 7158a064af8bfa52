"""What 64 and 192 cores do, without having them: python -m benchmarks.scaling.cores

Counts the lines that operations touch, simulates cores that use them, and writes it into docs/scaling.md and a picture.
--measure measures anew what two cores of this machine do, which takes some seconds of both, and keeps it in cores.json;
distances at which the two cores were not met this time stay as they are. Without it nothing depends on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from dataclasses import asdict, dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from benchmarks.scaling import lines, pair
from benchmarks.scaling.coherence import AT_ONCE, Costs, Line, Machine, Outcome, Reader, Simulation, crowd

__all__ = [
    "KEPT",
    "MACHINES",
    "Bind",
    "Cores",
    "Crowd",
    "Look",
    "Tick",
    "ask_ns",
    "load",
    "main",
    "measured",
    "simulate",
]

KEPT = Path(__file__).resolve().parent / "cores.json"
TABLE = "core-to-core-latency (N. Viennot), medians of its README"
MACHINES = (
    Machine("chiplets", 8, 96, 23.0, 107.0, 197.0, f"AMD EPYC 7R13: {TABLE}"),
    Machine("mesh", 96, 96, 51.0, 51.0, 108.0, f"Intel Xeon Platinum 8375C: {TABLE}"),
)
WORKERS = (1, 2, 8, 16, 64, 192)
WORK_NS = (10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)
UPDATES = 16_000
STRIPES = 8  # of a slot: a test holds it against the layout
COUNTERS = (8, 64, 512)
STARTING = (64, 192, 512)
SHARED, OWN = "eight for all", "one each"  # what was, and what is
BIND_WAIT_NS = 5e7  # how long a first count waits for the slot lock; a test holds it against core.pyx
TICK_NS = 4e6  # of the coarse clock where the kernel ticks at 250 Hz
TICK_SIMULATED_NS, TICK_WORK_NS = 50_000.0, 1_000.0


@dataclass(frozen=True)
class Crowd:
    """Simulated: so many workers on one task, on 8 stripes for all (shared), and with a counter each (own)."""

    machine: str
    workers: int
    work_ns: float
    shared: Outcome
    own: Outcome


@dataclass(frozen=True)
class Look:
    """Simulated: a reader passes once over so many counters, each written by its worker since the last pass."""

    machine: str
    counters: int
    pass_ns: float
    back_ns: float  # until a worker has its line again, in the mean


@dataclass(frozen=True)
class Tick:
    """Simulated: what the line of the clock costs each worker at each tick."""

    machine: str
    workers: int
    lost_ns: float


@dataclass(frozen=True)
class Bind:
    """Computed from counted lines and measured questions: so many workers count for the first time at once."""

    workers: int
    way: str
    longest_ns: float  # one worker holds the lock
    all_ns: float  # one after the other
    late: int  # workers that wait longer than a first count waits, and then share a counter


@dataclass
class Cores:
    """All of it. machine: on which the two cores and the kernel's answers were measured."""

    machine: str
    taken: str
    places: list[pair.Places]
    asks_s: dict[str, float]  # one question about the last of so many
    first_s: dict[str, float]  # the first count, alone
    touched: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    compared: list[pair.Compared] = field(default_factory=list)
    crowds: list[Crowd] = field(default_factory=list)
    twice: list[Crowd] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
    binds: list[Bind] = field(default_factory=list)


# ---------------------------------------------------------------------------------------------------------- simulated


def crowded(machine: Machine, workers: int, work_ns: float, costs: Costs) -> Crowd:
    """One cell of the table."""
    shared, own = (
        crowd(machine, costs, workers, stripes, work_ns, UPDATES) for stripes in (STRIPES, lines.MOST_WORKERS)
    )
    return Crowd(machine.name, workers, work_ns, shared, own)


def look(machine: Machine, counters: int) -> Look:
    """The reader is on the last core, the workers on the others, on some of them more than one."""
    reading = machine.cores - 1
    written, back = [], 0.0
    simulation = Simulation(machine, Costs(4.0))
    for number in range(counters):
        line = Line()
        line.owner = number % reading
        line.has = 1 << line.owner
        written.append(line)
        cluster, socket = machine.masks(line.owner)
        near = cluster >> reading & 1
        back += machine.near_ns if near else machine.far_ns if socket >> reading & 1 else machine.across_ns
    for _ in range(lines.linked(counters)):  # on the way to them; many cores have these
        line = Line()
        line.has = 1
        written.append(line)
    reader = Reader(reading, written, [0.0])
    simulation.run([Line() for _ in range(reading)], 1_000.0, 40 * reading, readers=[reader])
    return Look(machine.name, counters, reader.took[0], back / counters)


def tick(machine: Machine, workers: int, costs: Costs) -> Tick:
    """The clock is written more often than it is, so that enough ticks fall into what is simulated."""
    found = Simulation(machine, costs).run(
        [Line() for _ in range(workers)], TICK_WORK_NS, 400 * workers, tick_ns=TICK_SIMULATED_NS
    )
    lost = found.update_ns - costs.update_ns
    return Tick(machine.name, workers, lost * TICK_SIMULATED_NS / (TICK_WORK_NS + found.update_ns))


def ask_ns(asks_s: dict[str, float], number: int) -> float:
    """One question whether the process is alive that came as the `number`th. The kernel goes through the locks in the
    order of their coming, up to that process's: a straight line between what was measured.
    """
    known = [(int(count), 1e9 * seconds) for count, seconds in asks_s.items()]
    if number <= known[0][0]:
        return known[0][1]
    for (few, less), (many, more) in pairwise(known):
        if number <= many:
            return less + (more - less) * (number - few) / (many - few)
    raise ValueError(f"nothing was measured beyond {known[-1][0]} processes")


def binds(asks_s: dict[str, float], machine: Machine) -> list[Bind]:
    """Each waits for the one before. A worker holds the lock while it looks for a counter, 16 lines at once, and writes
    three lines that others wrote before it. With eight for all it also asked the kernel meanwhile which workers are
    dead, one question after the other.
    """
    found = []
    asked_ns = [0.0, *accumulate(ask_ns(asks_s, number) for number in range(1, max(STARTING) + 1))]
    for workers in STARTING:
        held: dict[str, list[float]] = {SHARED: [], OWN: []}
        for number in range(workers):
            full = number >= STRIPES and (number - STRIPES) % lines.BLOCK == 0  # a block is linked
            each = {
                SHARED: (min(number, STRIPES), asked_ns[STRIPES] if number >= STRIPES else 0.0),
                OWN: (number if full else 1, 0.0),  # whether one was given back; else whether the last block has one
            }
            for way, (looked, asking_ns) in each.items():
                read_ns = machine.far_ns * -(-looked // AT_ONCE)
                held[way].append(read_ns + 3 * machine.far_ns + asking_ns)
        for way, took in held.items():
            late = sum(waited > BIND_WAIT_NS for waited in accumulate(took, initial=0.0)) - (sum(took) > BIND_WAIT_NS)
            found.append(Bind(workers, way, max(took), sum(took), late))
    return found


def simulate(found: Cores) -> None:
    """Everything that follows from what was measured. Deterministic; some seconds."""
    costs = Costs(pair.update_ns(found.places))
    found.compared = [one for places in found.places for one in pair.compare(places)]
    found.crowds = [
        crowded(machine, workers, work_ns, costs) for machine in MACHINES for work_ns in WORK_NS for workers in WORKERS
    ]
    twice = Costs(costs.update_ns, once=False)
    found.twice = [
        crowded(MACHINES[0], workers, work_ns, twice) for workers in (64, 192) for work_ns in (100.0, 1_000.0)
    ]
    found.looks = [look(machine, counters) for machine in MACHINES for counters in COUNTERS]
    found.ticks = [tick(machine, workers, costs) for machine in MACHINES for workers in (64, 192)]
    found.binds = binds(found.asks_s, MACHINES[0])


def count(found: Cores) -> None:
    """The lines of each operation. Needs x86-64."""
    found.touched = {str(workers): lines.counted(workers) for workers in (1, *COUNTERS)}


# ------------------------------------------------------------------------------------------------------------- kept


def measure(kept: Cores | None) -> Cores:
    """Two cores of this machine, and its kernel."""
    places = {one.name: one for one in kept.places} if kept else {}
    places |= {one.name: one for one in pair.regroup(pair.measure())}
    asked = {str(workers): lines.asks(workers) for workers in (8, *STARTING)}
    asks_s, first_s = ({workers: took[which] for workers, took in asked.items()} for which in (0, 1))
    met = [places[name] for name in pair.PLACES if name in places]
    return Cores(_machine(), time.strftime("%Y-%m-%d"), met, asks_s, first_s)


def _machine() -> str:
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    system = os.uname()
    processor = model[1] if model else system.machine
    return f"{os.cpu_count()} cores of {processor}, Linux {system.release.split('-')[0]}"


def measured(path: Path = KEPT) -> Cores:
    """Of what was kept, what was measured. Raises OSError, ValueError for what is none."""
    try:
        values = json.loads(path.read_text())
        places = [
            pair.Places(one["name"], one["message_ns"], [pair.Used(**used) for used in one["used"]])
            for one in values["places"]
        ]
        return Cores(values["machine"], values["taken"], places, values["asks_s"], values["first_s"])
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} holds no such results ({error!r})") from None


def load(path: Path = KEPT) -> Cores:
    """All that was kept. Raises OSError, ValueError for what is none."""
    found, values = measured(path), json.loads(path.read_text())
    try:
        found.touched = values["touched"]
        found.compared = [pair.Compared(**one) for one in values["compared"]]
        found.crowds, found.twice = ([_crowd(one) for one in values[name]] for name in ("crowds", "twice"))
        found.looks = [Look(**one) for one in values["looks"]]
        found.ticks = [Tick(**one) for one in values["ticks"]]
        found.binds = [Bind(**one) for one in values["binds"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is of another version ({error!r}): make it anew") from None
    return found


def _crowd(one: dict[str, Any]) -> Crowd:
    return Crowd(**(one | {side: Outcome(**one[side]) for side in ("shared", "own")}))


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    from benchmarks.scaling import core_tables

    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling.cores", description=__doc__)
    parser.add_argument("--measure", action="store_true", help="measure two cores of this machine anew")
    options = parser.parse_args(arguments)
    try:
        kept = measured()
    except (OSError, ValueError) as error:
        if not options.measure:
            print(f"nothing is kept: {error}: --measure", file=sys.stderr)
            return 1
        kept = None
    found = measure(kept) if options.measure or kept is None else kept
    count(found)
    simulate(found)
    KEPT.write_text(json.dumps(asdict(found), indent=1) + "\n")
    core_tables.record(load())
    return 0


if __name__ == "__main__":
    sys.exit(main())
