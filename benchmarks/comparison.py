"""Several processes use a tracker at once: latency, rate, cost, lost updates, and the slowdown of their work.

`ci/bench --trackers` runs it, prints tables and draws docs/trackers.svg. It takes some minutes: every side runs
in each of several rounds, in rotating order, so that figures that are compared were measured at the same time.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

from benchmarks.contest import turns
from benchmarks.hammering import EDGES, Hammered, Pair, hammer, job, look_for_lost, together
from benchmarks.old_tracker import FileBasedProgressTracker as OldFileTracker
from benchmarks.work import calibrate
from headway.analysis import FileBasedProgressTracker, SharedMemoryProgressTracker
from headway.engine.board import open_board

__all__ = ["SIDES", "Comparison", "Job", "Lost", "Rate", "compare", "load", "save", "tables"]

SIDES = ("shared memory", "file on disk", "file in tmpfs", "old file on disk", "old file in tmpfs")
PROCESSES = (1, 2, 4, 8)
ROUNDS, ROUND_S = 5, 0.25
LOST_S, LOST_PROCESSES = 2.0, 4
JOB_ROUNDS, JOB_PAIRS, JOB_UNITS, JOB_RATES = 4, 8, 100, (10, 100, 1000)

Quartiles = tuple[float, float, float]


@dataclass
class Rate:
    """update_stage, by so many processes at once, on one execution or on one each: the calls that returned True."""

    side: str
    processes: int
    same: bool
    calls_per_s: float
    p50_s: float
    p90_s: float
    p99_s: float
    p999_s: float
    cpu_s_per_call: float
    bytes_per_call: float
    refused: int  # because the record was no longer readable


@dataclass
class Lost:
    """Four processes that each store a result on one execution, and then check whether it is there."""

    side: str
    updates: int  # that returned True
    lost: int  # of those
    refused: int


@dataclass
class Job:
    """A job with so many updates a second in each of several workers: how much longer it takes than without.

    Rate 0: two runs without updates, which shows the noise.
    """

    side: str
    rate: int
    wall: Quartiles
    cpu: Quartiles


@dataclass
class Comparison:
    """All results. machine: the machine that they were measured on."""

    machine: str
    taken: str
    job_workers: int
    rates: list[Rate] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)


@contextmanager
def trackers() -> Iterator[dict[str, Any]]:
    """A tracker of each side, on the disk and in memory. The files of the board are on the disk."""
    disk = Path(tempfile.mkdtemp(prefix="headway-bench-", dir=os.environ.get("HEADWAY_BENCH_DIR")))
    memory = Path(tempfile.mkdtemp(prefix="headway-bench-", dir="/dev/shm"))
    before = os.environ.get("HEADWAY_DIR")
    os.environ["HEADWAY_DIR"] = str(disk / "headway")
    shared = SharedMemoryProgressTracker(f"bench-{secrets.token_hex(4)}")
    files = [FileBasedProgressTracker(disk), FileBasedProgressTracker(memory)]
    old = [OldFileTracker(disk / "old"), OldFileTracker(memory / "old")]
    try:
        yield dict(zip(SIDES, (shared, *files, *old), strict=True))
    finally:
        open_board(shared.name).remove(files=True)
        if before is None:
            del os.environ["HEADWAY_DIR"]
        else:
            os.environ["HEADWAY_DIR"] = before
        shutil.rmtree(disk, ignore_errors=True)  # a recorder may still be writing there
        shutil.rmtree(memory)


def compare(machine: str, say: Callable[[str], None], *, quick: bool = False) -> Comparison:
    """Measure everything; quick: in fewer rounds."""
    rounds, job_rounds = (2, 1) if quick else (ROUNDS, JOB_ROUNDS)
    found = Comparison(machine, time.strftime("%Y-%m-%d"), min(4, os.cpu_count() or 1))
    with trackers() as sides:
        for tracker in sides.values():
            for execution_id in ("one", *(f"{kind}-{n}" for kind in ("one", "job") for n in range(max(PROCESSES)))):
                tracker.start_analysis("BTC", execution_id)
        for processes, same in itertools.product(PROCESSES, (True, False)):
            say(f"update_stage, {processes} processes, {'one execution' if same else 'one each'}")
            found.rates += _rates(sides, processes, same, rounds)
        say(f"lost updates, {LOST_PROCESSES} processes")
        for name, tracker in sides.items():
            answers = together(LOST_PROCESSES, look_for_lost, tracker, LOST_S)
            found.lost.append(Lost(name, *(sum(column) for column in zip(*answers, strict=True))))
        say(f"a job in {found.job_workers} workers")
        found.jobs = _jobs(sides, found.job_workers, job_rounds)
    return found


def _rates(sides: dict[str, Any], processes: int, same: bool, rounds: int) -> list[Rate]:
    answers: dict[str, list[list[Hammered]]] = {name: [] for name in sides}
    for name in turns(list(sides), rounds):
        answers[name].append(together(processes, hammer, sides[name], same, ROUND_S))
    return [_rate(name, processes, same, of_rounds) for name, of_rounds in answers.items()]


def _rate(name: str, processes: int, same: bool, of_rounds: list[list[Hammered]]) -> Rate:
    everyone = [one for round in of_rounds for one in round]
    calls = sum(one.calls for one in everyone)
    cumulated = np.cumsum(sum(one.took for one in everyone))

    def percentile(share: float) -> float:
        bin = int(np.searchsorted(cumulated, share * cumulated[-1]))
        return float(np.sqrt(EDGES[bin] * EDGES[min(bin + 1, len(EDGES) - 1)]) * 1e-9)

    return Rate(
        name,
        processes,
        same,
        calls_per_s=median(sum(one.calls for one in round) / ROUND_S for round in of_rounds),
        p50_s=percentile(0.5),
        p90_s=percentile(0.9),
        p99_s=percentile(0.99),
        p999_s=percentile(0.999),
        cpu_s_per_call=sum(one.cpu_s for one in everyone) / max(1, calls),
        bytes_per_call=sum(one.bytes for one in everyone) / max(1, calls),
        refused=sum(one.refused for one in everyone),
    )


def _jobs(sides: dict[str, Any], workers: int, rounds: int) -> list[Job]:
    times = calibrate()
    cases = {f"{name}, {rate}": (name, rate) for rate in JOB_RATES for name in sides} | {"nothing": (SIDES[0], 0)}
    pairs: dict[str, list[Pair]] = {case: [] for case in cases}
    for case in turns(list(cases), rounds):
        name, rate = cases[case]
        for of_worker in together(workers, job, sides[name], rate, times, JOB_PAIRS, JOB_UNITS):
            pairs[case] += of_worker
    return [Job(*cases[case], _longer(pairs[case], 0), _longer(pairs[case], 1)) for case in cases]


def _longer(pairs: Sequence[Pair], clock: int) -> Quartiles:
    low, middle, high = quantiles([on[clock] / off[clock] - 1 for on, off in pairs], n=4)
    return low, middle, high


# ----------------------------------------------------------------------------------------------------------- results


def save(found: Comparison, path: Path) -> None:
    """As JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(found), indent=1))


def load(path: Path) -> Comparison:
    """Read what save() wrote. Raises OSError, or ValueError for any other file."""
    try:
        values = json.loads(path.read_text())
        found = Comparison(**values)
        found.rates = [Rate(**one) for one in values["rates"]]
        found.lost = [Lost(**one) for one in values["lost"]]
        found.jobs = [Job(**one) for one in values["jobs"]]
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} holds no comparison of trackers ({error!r}): run ci/bench --trackers") from None
    return found


def tables(found: Comparison, time_of: Callable[[float], str]) -> Iterator[list[list[str]]]:
    """The results as three tables of text. time_of: formats seconds."""
    heads = ["calls/s", "median", "90 %", "99 %", "99.9 %", "CPU a call", "bytes a call", "refused"]
    table = [["update_stage by", "tracker", *heads]]
    for rate in found.rates:
        who = f"{rate.processes}, {'one execution' if rate.same else 'one each'}"
        times = [time_of(value) for value in (rate.p50_s, rate.p90_s, rate.p99_s, rate.p999_s, rate.cpu_s_per_call)]
        counts = [f"{rate.bytes_per_call:,.0f}", f"{rate.refused:,}"]
        table.append([who, rate.side, f"{rate.calls_per_s:,.0f}", *times, *counts])
    yield table
    table = [[f"results by {LOST_PROCESSES} on one execution", "updates", "lost", "refused"]]
    table += [[one.side, f"{one.updates:,}", f"{one.lost:,}", f"{one.refused:,}"] for one in found.lost]
    yield table
    table = [
        [f"a job in {found.job_workers} workers", "updates/s each", "longer", "25 to 75 %", "more CPU", "25 to 75 %"]
    ]
    for one_job in found.jobs:
        row = [one_job.side if one_job.rate else "without, twice", f"{one_job.rate:,}"]
        for low, middle, high in (one_job.wall, one_job.cpu):
            row += [f"{middle:+.1%}", f"{low:+.1%} to {high:+.1%}"]
        table.append(row)
    yield table
