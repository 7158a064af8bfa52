"""All of `ci/bench --scaling`: run, kept as JSON, told as tables, drawn, and written into docs/scaling.md."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks import pages
from benchmarks.plot import style
from benchmarks.scaling.contention import CASES, PROCESSES, Beside, Crowded, beside_readers, crowds
from benchmarks.scaling.sizes import SIZES, Line, Recorded, measure, recorders

__all__ = ["Scaling", "draw", "load", "record", "run", "save", "tables"]

TimeOf = Callable[[float], str]
Table = list[list[str]]


@dataclass
class Scaling:
    """All that was found. machine: what it was measured on."""

    machine: str
    taken: str
    lines: list[Line] = field(default_factory=list)
    recorders: list[Recorded] = field(default_factory=list)
    beside: list[Beside] = field(default_factory=list)
    crowds: list[Crowded] = field(default_factory=list)


def run(machine: str, say: Callable[[str], None], *, quick: bool = False) -> Scaling:
    """Measure all of it; quick: in fewer rounds. Needs 480 MB of /dev/shm."""
    found = Scaling(machine, time.strftime("%Y-%m-%d"))
    before = os.environ.get("HEADWAY_DIR")
    with tempfile.TemporaryDirectory(prefix="headway-bench-", dir=os.environ.get("HEADWAY_BENCH_DIR")) as folder:
        os.environ["HEADWAY_DIR"] = str(Path(folder, "boards"))
        page = Path(folder, "page")
        try:
            page.write_bytes(bytes(4096))
            found.crowds = crowds(str(page), say, quick=quick)
            page.write_bytes(bytes(4096))
            found.beside = beside_readers(str(page), say, quick=quick)
            found.lines = measure(say, quick=quick)
            found.recorders = recorders(say, quick=quick)
        finally:
            if before is None:
                del os.environ["HEADWAY_DIR"]
            else:
                os.environ["HEADWAY_DIR"] = before
    return found


# ----------------------------------------------------------------------------------------------------------- results


def save(found: Scaling, path: Path) -> None:
    """As JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(found), indent=1))


def load(path: Path) -> Scaling:
    """What save() wrote. Raises OSError, ValueError for what is none."""
    try:
        values = json.loads(path.read_text())
        return Scaling(
            values["machine"],
            values["taken"],
            [Line(**one) for one in values["lines"]],
            [Recorded(**one) for one in values["recorders"]],
            [Beside(**one) for one in values["beside"]],
            [Crowded(**one) for one in values["crowds"]],
        )
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} holds no such results ({error!r}): run ci/bench --scaling") from None


def tables(found: Scaling, time_of: TimeOf) -> list[Table]:
    """Four of them. time_of: how seconds are written."""
    return [_sizes(found, time_of), _recorders(found), _beside(found, time_of), _crowds(found, time_of)]


def _sizes(found: Scaling, time_of: TimeOf) -> Table:
    table = [["tasks", *(f"{size:,}".replace(",", " ") for size in SIZES), "straight line", "off by, from 1 000 on"]]
    for line in found.lines:
        told = f"{time_of(line.base_s)} + {time_of(line.slope_s)} a task"
        table.append([f"{line.what}, {line.clock}", *map(time_of, line.seconds), told, f"{line.off:.0%}"])
    return table


def _recorders(found: Scaling) -> Table:
    rows = (
        [f"{one.tasks} tasks", f"{one.hz:g}", f"{one.cpu:.2%}", f"{one.snapshots / one.seconds:.1f}"]
        for one in found.recorders
    )
    return [["a recorder of", "looks a second", "share of a core", "snapshots written a second"], *rows]


def _beside(found: Scaling, time_of: TimeOf) -> Table:
    table = [["a writer beside", "tasks", "readers", "CPU an update", "25 to 75 %", "copies/s of all readers"]]
    for one in found.beside:
        low, middle, high = map(time_of, one.cpu)
        table.append(
            [one.what, f"{one.tasks}", f"{one.readers}", middle, f"{low} to {high}", f"{one.copies_per_s:,.0f}"]
        )
    return table


def _crowds(found: Scaling, time_of: TimeOf) -> Table:
    table = [["CPU of one update, processes at once", *map(str, PROCESSES)]]
    for case in CASES:
        of_case = {one.processes: one for one in found.crowds if one.case == case}
        table.append([case, *(_spread(of_case[count], time_of) for count in PROCESSES)])
    return table


def _spread(one: Crowded, time_of: TimeOf) -> str:
    low, middle, high = one.cpu
    return f"{time_of(middle)} ({time_of(low)} to {time_of(high)})"


def record(found: Scaling, page: Path, time_of: TimeOf) -> None:
    """Write the tables into a page. Raises ValueError if it has no place for them."""
    lines = [f"{found.machine}; {found.taken}."]
    for table in tables(found, time_of):
        lines += ["", *pages.markdown(table)]
    pages.write(page, "ci/bench --scaling --record", lines)


# ----------------------------------------------------------------------------------------------------------- picture


COLOURS = ("#0969da", "#1a7f37", "#8250df", "#bc4c00", "#57606a", "#bf8700", "#cf222e", "#1b7c83")


def draw(found: Scaling, path: Path, time_of: TimeOf) -> None:
    """Write the picture. The same figures give the same bytes."""
    plt = style()
    figure, (sizes, crowd) = plt.subplots(1, 2, figsize=(12.5, 4.4), layout="constrained")
    for colour, line in zip(COLOURS, found.lines, strict=True):
        sizes.plot(SIZES, line.seconds, "o", color=colour, markersize=4)
        told = f"{line.what}: {time_of(line.slope_s)} a task"
        between = [10 ** (1 + step / 10) for step in range(41)]
        at = [line.base_s + line.slope_s * size for size in between]
        sizes.plot(between, at, color=colour, linewidth=1, label=told)
    sizes.set_xscale("log")
    sizes.set_yscale("log")
    sizes.set_xticks(SIZES, [f"{size:,}".replace(",", " ") for size in SIZES])
    sizes.set_yticks(
        [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1], ["1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s"]
    )
    sizes.minorticks_off()
    sizes.set_xlabel("tasks on the board")
    sizes.set_title("what readers pay, and straight lines through it")
    sizes.set_ylim(1e-6, 1e4)  # room for the legend
    sizes.legend(fontsize=8, loc="upper left")
    for colour, case in zip(COLOURS, CASES, strict=False):
        mine = sorted((one for one in found.crowds if one.case == case), key=lambda one: one.processes)
        middle = [1e9 * one.cpu[1] for one in mine]
        spread = [[1e9 * (one.cpu[1] - one.cpu[0]) for one in mine], [1e9 * (one.cpu[2] - one.cpu[1]) for one in mine]]
        look = {"color": colour, "marker": "o", "markersize": 4, "linewidth": 1, "capsize": 2}
        crowd.errorbar([one.processes for one in mine], middle, yerr=spread, label=case, **look)
    crowd.set_xscale("log", base=2)
    crowd.set_xticks(PROCESSES, [str(count) for count in PROCESSES])
    crowd.set_ylim(0, 80)
    crowd.set_ylabel("ns of CPU")
    crowd.set_xlabel("processes that count at once, on two cores")
    crowd.set_title("one update")
    crowd.legend(fontsize=8, loc="upper left")
    figure.suptitle(f"{found.machine}; {found.taken}", fontsize=8, color="#57606a")
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)
