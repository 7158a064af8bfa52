"""Shared by the examples of native code: a process that watches a task, and the cost of counting in a kernel."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Event

import headway

PATIENCE_S = 60.0
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # otherwise the spinning of waiting threads would be measured, too


def _watch(board: str, id: str, ready: Event, done: Event) -> None:
    task = headway.open(board).attach(id)
    ready.set()
    deadline = time.monotonic() + PATIENCE_S
    while not done.wait(0.1) and time.monotonic() < deadline:
        print(f"seen from another process: {task.count:>11,} of {task.total:,}", flush=True)


@contextlib.contextmanager
def watched(board: headway.Board, task: headway.Task) -> Iterator[None]:
    """Have another process print the count of the task ten times a second, as long as the block runs."""
    spawn = multiprocessing.get_context("spawn")
    ready, done = spawn.Event(), spawn.Event()
    process = spawn.Process(target=_watch, args=(board.name, task.id, ready, done))
    process.start()
    try:
        ready.wait(PATIENCE_S)
        yield
    finally:
        done.set()
        process.join()


def cost(bare: Callable[[], object], counted: Callable[[], object], iterations: int, rounds: int = 41) -> str:
    """The processor time that counting adds to an iteration: both sides run in turns; the median of the pairs."""

    def nanoseconds(run: Callable[[], object]) -> float:
        begin = time.process_time_ns()
        run()
        return (time.process_time_ns() - begin) / iterations

    pairs = [(nanoseconds(bare), nanoseconds(counted)) for _ in range(rounds)]
    ratio = statistics.median(after / before for before, after in pairs)
    one = statistics.median(before for before, _ in pairs)
    return f"an iteration takes {one:.1f} ns; counting adds {100 * (ratio - 1):.2f} % to it"


if __name__ == "__main__":
    print(__doc__)
