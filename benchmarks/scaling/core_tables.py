"""What cores.py found, as tables in docs/scaling.md and as a picture."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmarks import pages
from benchmarks.building import ROOT
from benchmarks.plot import style
from benchmarks.scaling.coherence import Outcome
from benchmarks.scaling.cores import (
    BIND_WAIT_NS,
    MACHINES,
    OWN,
    SHARED,
    TICK_NS,
    WORK_NS,
    WORKERS,
    Cores,
    Crowd,
    ask_ns,
)
from benchmarks.scaling.lines import BLOCK, KINDS, OPERATIONS

__all__ = ["COMMAND", "draw", "record", "text"]

COMMAND = "python -m benchmarks.scaling.cores"
PAGE, PICTURE = ROOT / "docs" / "scaling.md", ROOT / "docs" / "scaling-cores.svg"
LOOKS_A_SECOND = 4
BUSY_NS = 30.0  # work enough that a core leaves a line in between
COLOURS = ("#0969da", "#1a7f37", "#8250df", "#bc4c00", "#cf222e")
WHAT = {
    "own": "update, a counter each",
    "shared": "update, one counter",
    "word": "add to one word, and the clock",
    "sum": "read what the other wrote, a line",
}

Table = list[list[str]]


def _ns(ns: float) -> str:
    for unit, size in (("ms", 1e6), ("µs", 1e3)):
        if abs(ns) >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.3g} ns"


def _share(part: float) -> str:
    return f"{max(0.0, part):.0%}" if part >= 0.095 else f"{abs(part):.1%}"


# ------------------------------------------------------------------------------------------------------------- tables


def touched(found: Cores) -> Table:
    """Counted."""
    heads = (
        "its own",
        "read, seldom written",
        "read, others write them",
        "written, others write them, too",
        "questions to the kernel",
    )
    rows = [["64-byte lines of", "workers", *heads]]
    for operation, told in OPERATIONS.items():
        for workers, kinds in found.touched.items():
            numbers = kinds[operation]
            cells = [str(numbers.get(kind, 0)) for kind in KINDS]
            rows.append([told, workers, *cells, str(numbers["asks"])])
    return rows


def compared(found: Cores) -> Table:
    """Measured beside simulated."""
    rows = [["two cores in", "what", "alone", "measured", "simulated", "off by", "with two demands an update"]]
    message = {one.name: one.message_ns for one in found.places}
    for one in found.compared:
        size = f", {one.size} lines" if one.what == "sum" else ""
        off = round(100 * (one.simulated_ns / one.measured_ns - 1))
        simulated = [_ns(one.simulated_ns), f"{off:+d}%" if off else "0%"]
        alone = "" if one.what == "sum" else _ns(one.alone_ns)
        twice = _ns(one.twice_ns) if one.what == "shared" else ""
        places = f"{one.places}, {_ns(message[one.places])} a message"
        rows.append([places, WHAT[one.what] + size, alone, _ns(one.measured_ns), *simulated, twice])
    return rows


def _cell(one: Outcome) -> str:
    return f"{_ns(one.update_ns)}, {_share(one.waiting)}"


def _heads() -> list[str]:
    return [f"{workers} workers" if workers > 1 else "1 worker" for workers in WORKERS]


def crowds(found: Cores) -> Table:
    """Simulated. With a counter each, the worst of all amounts of work."""
    rows = [["machine", "counters", "work between updates", *_heads()]]
    for machine in MACHINES:
        mine = [one for one in found.crowds if one.machine == machine.name]
        for work_ns in WORK_NS:
            cells = (_cell(one.shared) for one in mine if one.work_ns == work_ns)
            rows.append([machine.name, SHARED, _ns(work_ns), *cells])
        worst = (
            max((one.own for one in mine if one.workers == workers), key=lambda one: one.update_ns)
            for workers in WORKERS
        )
        rows.append([machine.name, OWN, f"{_ns(WORK_NS[0])} to {_ns(WORK_NS[-1])}", *map(_cell, worst)])
    return rows


def rates(found: Cores) -> Table:
    """Simulated: how many updates a second one task takes."""
    work_ns = WORK_NS[0]
    rows = [[f"updates a second on one task, {_ns(work_ns)} of work", *_heads()]]
    for machine in MACHINES:
        mine = [one for one in found.crowds if (one.machine, one.work_ns) == (machine.name, work_ns)]
        for counters, side in ((SHARED, "shared"), (OWN, "own")):
            outcomes: Iterable[Outcome] = (getattr(one, side) for one in mine)
            rows.append([f"{machine.name}, {counters}", *(f"{one.rate / 1e6:,.0f} million" for one in outcomes)])
    return rows


def twice(found: Cores) -> Table:
    """Simulated: the same with the cautious assumption."""
    rows = [[f"chiplets, {SHARED}", "work", "one demand an update", "two"]]
    for one in found.twice:
        (same,) = (
            other
            for other in found.crowds
            if (other.machine, other.workers, other.work_ns) == (one.machine, one.workers, one.work_ns)
        )
        rows.append([f"{one.workers} workers", _ns(one.work_ns), _cell(same.shared), _cell(one.shared)])
    return rows


def looks(found: Cores) -> Table:
    """Simulated, and scaled to LOOKS_A_SECOND."""
    rows = [
        [
            "machine",
            "counters of the task",
            "lines",
            "one pass of a reader",
            "a worker waits for its line",
            f"of a worker's time, at {LOOKS_A_SECOND} Hz",
            "the same with 100 readers",
        ]
    ]
    for one in found.looks:
        numbers = found.touched[str(one.counters)]["count"]
        count = sum(numbers.get(kind, 0) for kind in KINDS)
        lost = LOOKS_A_SECOND * one.back_ns * 1e-9
        rows.append(
            [
                one.machine,
                str(one.counters),
                str(count),
                _ns(one.pass_ns),
                _ns(one.back_ns),
                f"{lost:.5%}",
                f"{100 * lost:.3%}",
            ]
        )
    return rows


def binds(found: Cores) -> Table:
    """Computed from counted lines and measured questions."""
    heads = (
        "they hold the slot lock for, in all",
        "one of them, at most",
        "measured: the last one, alone",
        f"wait longer than {_ns(BIND_WAIT_NS)}",
    )
    rows = [["first counts at once", "workers", *heads]]
    for one in found.binds:
        alone = _ns(found.first_s[str(one.workers)] * 1e9) if one.way == OWN else ""
        rows.append([one.way, str(one.workers), _ns(one.all_ns), _ns(one.longest_ns), alone, str(one.late)])
    return rows


def others(found: Cores) -> Table:
    """Simulated, measured."""
    rows = [["what", "workers", "kind of figure", "it takes", "share"]]
    for tick in found.ticks:
        lost = f"{tick.lost_ns / TICK_NS:.4%} of a worker's time"
        rows.append(
            [f"the clock's line, {tick.machine}", str(tick.workers), "simulated", f"{_ns(tick.lost_ns)} a tick", lost]
        )
    for workers, seconds in found.asks_s.items():
        takes = f"{_ns(seconds * 1e9)} a question about the last of them"
        rows.append(["the kernel's answer, who is alive", workers, "measured", takes, ""])
    for one in found.looks:
        asked = sum(ask_ns(found.asks_s, number) for number in range(1, one.counters + 1))
        spent = f"{(LOOKS_A_SECOND * one.pass_ns + asked) * 1e-9:.3%} of a core, at {LOOKS_A_SECOND} Hz"
        takes = f"{_ns(one.pass_ns)} of waiting, and once a second {_ns(asked)} of questions"
        rows.append([f"copies of the task, {one.machine}", str(one.counters), "computed", takes, spent])
    return rows


def text(found: Cores) -> list[str]:
    """The lines that belong into the page."""
    busy = [one for one in found.compared if one.what != "sum" and one.alone_ns >= BUSY_NS]
    most, most_at_all = (
        max(abs(one.simulated_ns / one.measured_ns - 1) for one in some) for some in (busy, found.compared)
    )
    told = [f"Measured: {found.machine}; {found.taken}. Blocks have {BLOCK} counters."]
    for name, table in (
        ("Counted: the lines that an operation touches", touched(found)),
        ("Measured and simulated: two cores, with more and more work between two operations", compared(found)),
        ("Simulated: ns of one update, and the share of its time in which a worker waits for lines", crowds(found)),
        ("Simulated: what one task takes", rates(found)),
        ("Simulated: the same if an update asks for its line twice", twice(found)),
        ("Simulated: a reader's sum", looks(found)),
        ("Computed from counted lines and measured questions: many workers begin at once", binds(found)),
        ("Other things that all workers have in common", others(found)),
    ):
        told += ["", f"*{name}.*", "", *pages.markdown(table)]
        if table[0][0] == "two cores in":
            worst = f"off by {most:.0%} at most; all rows: by {most_at_all:.0%}"
            told += ["", f"With {BUSY_NS:g} ns or more from one operation to the next the simulator is {worst}."]
    return [
        *told,
        "",
        *(
            f"*{one.name}*: clusters of {one.cluster}, {one.sockets} sockets of {one.socket} cores; a message takes"
            f" {_ns(one.near_ns)}, {_ns(one.far_ns)} in a socket, {_ns(one.across_ns)} between them ({one.source})."
            for one in MACHINES
        ),
    ]


def record(found: Cores, page: Path = PAGE, picture: Path = PICTURE) -> None:
    """Write page and picture."""
    pages.write(page, COMMAND, text(found))
    draw(found, picture)


# ------------------------------------------------------------------------------------------------------------ picture


def draw(found: Cores, path: Path) -> None:
    """Write the picture. The same figures give the same bytes."""
    plt = style()
    figure, axes = plt.subplots(1, 2, figsize=(12.5, 4.2), layout="constrained", sharey=True)
    for axis, machine in zip(axes, MACHINES, strict=True):
        for colour, work_ns in zip(COLOURS, WORK_NS, strict=True):
            mine: list[Crowd] = [one for one in found.crowds if (one.machine, one.work_ns) == (machine.name, work_ns)]
            waits = [max(0.0, 100 * one.shared.waiting) for one in mine]
            axis.plot(WORKERS, waits, "o-", color=colour, markersize=4, linewidth=1, label=f"{_ns(work_ns)}, {SHARED}")
        most = [
            max(
                0.0,
                *(
                    100 * one.own.waiting
                    for one in found.crowds
                    if (one.machine, one.workers) == (machine.name, workers)
                ),
            )
            for workers in WORKERS
        ]
        axis.plot(WORKERS, most, "k--", linewidth=1, label=f"all of them, {OWN}")
        axis.set_xscale("log", base=2)
        axis.set_xticks(WORKERS, [str(workers) for workers in WORKERS])
        axis.set_ylim(-3, 103)
        axis.minorticks_off()
        axis.set_xlabel("workers on one task, a core each")
        axis.set_title(f"{machine.name}: {machine.source.split(':')[0]}")
    axes[0].set_ylabel("% of its time a worker waits for lines")
    axes[0].legend(fontsize=8, title="work between two updates", title_fontsize=8, loc="upper left")
    figure.suptitle("simulated", fontsize=8, color="#57606a")
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)
