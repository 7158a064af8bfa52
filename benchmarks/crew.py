"""Processes that do the same job at the same time."""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
import time
from collections.abc import Callable, Sequence
from itertools import repeat
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.building import load_floor
from benchmarks.contest import Side
from headway.engine.task import Task

__all__ = ["LOCKED", "NATIVE", "PYTHON", "WORKERS", "Crew", "native_jobs", "python_jobs"]

WORKERS = 2
PATIENCE_S = 120.0
START_S = 0.002  # from the command until all begin: long enough for each worker to be awake and waiting

Job = Callable[[], object]


def _obey(orders: Connection, make: Callable[..., dict[str, Job]], *args: Any) -> None:
    """A worker: for each (job, when) it starts that job at that time, and answers its duration and CPU time."""
    jobs = make(*args)
    orders.send(None)
    while (order := orders.recv()) is not None:
        name, begin = order
        job = jobs[name]
        while time.monotonic() < begin:
            pass
        cpu = time.thread_time()
        job()
        orders.send((time.monotonic() - begin, time.thread_time() - cpu))


class Crew:
    """Workers that do the same job at the same time."""

    def __init__(self, make: Callable[..., dict[str, Job]], *args: Any, workers: int = WORKERS) -> None:
        context = multiprocessing.get_context("spawn")
        self._links, self._processes = [], []
        for number in range(workers):
            link, orders = context.Pipe()
            process = context.Process(target=_obey, args=(orders, make, number, *args), daemon=True)
            process.start()
            orders.close()
            self._links.append(link)
            self._processes.append(process)
        self._answers(self._links)

    def _answers(self, links: Sequence[Connection]) -> list[Any]:
        answers = []
        for link in links:
            if not link.poll(PATIENCE_S):
                raise TimeoutError(f"a worker has not answered for {PATIENCE_S:g} s")
            answers.append(link.recv())
        return answers

    def clocks(self, job: str, workers: int | None = None) -> tuple[float, float]:
        """Seconds that the job took, and seconds of CPU, on the mean of the workers, or of the first so many."""
        links = self._links[:workers]
        begin = time.monotonic() + START_S
        for link in links:
            link.send((job, begin))
        wall, cpu = zip(*self._answers(links), strict=True)
        return sum(wall) / len(links), sum(cpu) / len(links)

    def run(self, job: str) -> float:
        """Seconds that the job took, on the mean of the workers."""
        return self.clocks(job)[0]

    def side(self, job: str, operations: int) -> Side:
        return Side(lambda: self.run(job), operations, timed=True)

    def dismiss(self) -> None:
        for link in self._links:
            link.send(None)
            link.close()
        for process in self._processes:
            process.join(PATIENCE_S)


NATIVE, PYTHON, LOCKED = 1_000_000, 200_000, 5_000  # operations of a round: some milliseconds each


def native_jobs(number: int, one: Task, own: list[Task], page: str) -> dict[str, Job]:
    floor = load_floor()
    handles = [one.native(), own[number].native()]
    with open(page, "r+b") as file:
        shared = mmap.mmap(file.fileno(), mmap.PAGESIZE)
    word = ctypes.c_uint64.from_buffer(shared)  # keeps the mapping
    return {
        "one": lambda: floor.add(handles[0].address, NATIVE),
        "two": lambda: floor.add(handles[1].address, NATIVE),
        "counter": lambda: floor.add_to_word(ctypes.addressof(word), NATIVE),
    }


def python_jobs(number: int, one: Task, own: list[Task], value: Any) -> dict[str, Job]:
    def update(task: Task) -> Job:
        def run() -> None:
            add = task.update
            for _ in repeat(None, PYTHON):
                add()

        return run

    def add_under_lock() -> None:
        for _ in repeat(None, LOCKED):
            with value.get_lock():
                value.value += 1

    return {"one": update(one), "two": update(own[number]), "value": add_under_lock}
