"""The worker processes of comparison.py: they call a tracker, and return what they measured."""

from __future__ import annotations

import itertools
import multiprocessing
import time
from array import array
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.work import burn
from headway.analysis import LeverageDecisionResult, MarketContextResult, MLPredictionResult, SupportResistanceResult

__all__ = ["EDGES", "Hammered", "Pair", "hammer", "job", "look_for_lost", "together"]

PATIENCE_S = 60.0
STAGES = ("data_fetch", "ml_prediction")
RESULTS: dict[str, Callable[[int], Any]] = {
    "support_resistance": lambda n: SupportResistanceResult("ok", n),
    "ml_prediction": lambda n: MLPredictionResult("ok", n),
    "market_context": lambda n: MarketContextResult("ok", f"{n}"),
    "leverage_decision": lambda n: LeverageDecisionResult("ok", float(n)),
}
# Latencies in nanoseconds, from 10 ns to 100 s, in bins that are 2.3 % wide.
EDGES = np.logspace(1, 11, 1001)

Histogram: TypeAlias = npt.NDArray[np.int64]
Clocks: TypeAlias = tuple[float, float]  # seconds, and seconds of CPU
Pair: TypeAlias = tuple[Clocks, Clocks]  # with updates, without


def together(processes: int, work: Callable[..., Any], *args: Any) -> list[Any]:
    """What work(number, begin, *args) returned in so many processes; `begin` is when all shall begin."""
    context = multiprocessing.get_context("fork")
    begin = time.monotonic() + 0.05 + 0.02 * processes
    links, children = [], []
    for number in range(processes):
        link, answer = context.Pipe()
        child = context.Process(target=_answer, args=(answer, work, number, begin, *args), daemon=True)
        child.start()
        answer.close()
        links.append(link)
        children.append(child)
    answers = []
    for link in links:
        if not link.poll(PATIENCE_S):
            raise TimeoutError(f"a worker has not answered for {PATIENCE_S:g} s")
        answers.append(link.recv())
        link.close()
    for child in children:
        child.join(PATIENCE_S)
    return answers


def _answer(answer: Connection, work: Callable[..., Any], *args: Any) -> None:
    answer.send(work(*args))


def _wait(begin: float) -> None:
    time.sleep(max(0.0, begin - time.monotonic()))


def _attempt(update: Callable[[], object]) -> bool:
    """Did the update succeed? The old tracker stumbles over its own temporary files."""
    with suppress(OSError):
        return bool(update())
    return False


def _bytes_written() -> int:
    """By this process so far, through write(). Source: proc_pid_io(5)."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("wchar:"):
            return int(line.split()[1])
    raise OSError("/proc/self/io does not tell what was written")


class Hammered(NamedTuple):
    """Calls that returned True and how long they took, refused ones, seconds of CPU, bytes written."""

    calls: int
    took: Histogram
    refused: int
    cpu_s: float
    bytes: int


def hammer(number: int, begin: float, tracker: Any, same: bool, seconds: float) -> Hammered:
    """Call update_stage for a while, on one execution for all processes or on one for each.

    A call is refused if the record is no longer readable: then the execution is started anew, as a program would do.
    """
    execution_id = "one" if same else f"one-{number}"
    stages = itertools.cycle(STAGES)
    took = array("q")
    add, update, clock = took.append, tracker.update_stage, time.perf_counter_ns
    refused = 0
    _wait(begin)
    written, cpu = _bytes_written(), time.process_time()
    now = clock()
    stop = now + int(seconds * 1e9)
    while now < stop:
        stage = next(stages)
        then = clock()
        try:
            done = update(execution_id, stage)
        except OSError:  # the temporary file was another writer's
            done = False
        now = clock()
        if done:
            add(now - then)
        else:
            refused += 1
            _attempt(lambda: tracker.start_analysis("BTC", execution_id))
    cpu = time.process_time() - cpu
    histogram, _ = np.histogram(np.frombuffer(took, np.int64), EDGES)
    return Hammered(len(took), histogram.astype(np.int64), refused, cpu, _bytes_written() - written)


def look_for_lost(number: int, begin: float, tracker: Any, seconds: float) -> tuple[int, int, int]:
    """Store a result of this process repeatedly. Returns the number of updates that returned True, how many of these
    were gone before the next one, and how many were refused.
    """
    name = list(RESULTS)[number]
    update = getattr(tracker, f"update_{name}")
    updates = lost = refused = 0
    stored: Any = None
    _wait(begin)
    stop = time.monotonic() + seconds
    for count in itertools.count(1):
        if time.monotonic() > stop:
            break
        record = tracker.get_progress("one")
        if stored is not None and (record is None or getattr(record, name) != stored):
            lost += 1
        result = RESULTS[name](count)
        if _attempt(partial(update, "one", result)):
            updates += 1
            stored = result
        else:
            refused += 1
            stored = None
            _attempt(lambda: tracker.start_analysis("BTC", "one"))
    return updates, lost, refused


def job(number: int, begin: float, tracker: Any, rate: int, times: int, pairs: int, units: int) -> list[Pair]:
    """Do a job of units of a millisecond, in pairs of blocks: with so many updates a second of work, and without."""
    execution_id = f"job-{number}"

    def block(stride: int) -> Clocks:
        wall, cpu = time.perf_counter(), time.process_time()
        for unit in range(units):
            burn(times)
            if stride and unit % stride == 0:
                tracker.update_stage(execution_id, STAGES[unit // stride % 2])
        return time.perf_counter() - wall, time.process_time() - cpu

    _wait(begin)
    stride = 1000 // rate if rate else 0
    found: list[Pair] = []
    for pair in range(pairs):  # alternate which of the two comes first
        first, second = block(stride if pair % 2 else 0), block(0 if pair % 2 else stride)
        found.append((first, second) if pair % 2 else (second, first))
    return found
