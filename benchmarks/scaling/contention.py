"""Processes that count at once, and readers that copy without pause: CPU time of one update.

There are more processes here than cores. What a process waits for a core is not in its CPU time; what it waits for a
cache line that another core has is.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import multiprocessing
import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from statistics import median, quantiles
from typing import TypeAlias

from benchmarks.building import load_floor
from benchmarks.contest import turns
from benchmarks.crew import Crew
from headway.engine.board import Board, board_of, open_board
from headway.engine.task import Task
from headway.upkeep import listing, removal

__all__ = ["CASES", "COPIERS", "PROCESSES", "Beside", "Crowded", "beside_readers", "crowds"]

PROCESSES = (1, 2, 4, 8, 16)
ROUNDS, QUICK_ROUNDS = 11, 3
NATIVE, PYTHON = 1_000_000, 200_000
STATUS_EVERY, SNAPSHOT_EVERY = 100, 10_000  # updates, in the mixed case
COPIERS = (0, 1, 8)
START_S = 120.0
CASES = {
    "hw_add, one task": ("native one", NATIVE),
    "hw_add, a task each": ("native own", NATIVE),
    "hw_add, one word for all": ("native word", NATIVE),
    "update(), one task": ("one", PYTHON),
    "update(), a task each": ("own", PYTHON),
    "update(), one task, with status and snapshots": ("mixed", PYTHON),
}

Words: TypeAlias = ctypes.Array[ctypes.c_uint64]


@dataclass
class Crowded:
    """CPU seconds of one update by so many processes at once: quartiles of the rounds."""

    case: str
    processes: int
    cpu: tuple[float, float, float]


@dataclass
class Beside:
    """CPU seconds of one update while so many readers copy the board without pause, and the copies a second."""

    what: str
    tasks: int
    readers: int
    cpu: tuple[float, float, float]
    copies_per_s: float


def _quartiles(values: list[float]) -> tuple[float, float, float]:
    low, middle, high = quantiles(values, n=4)
    return low, middle, high


@contextlib.contextmanager
def _board(tasks: int) -> Iterator[tuple[Board, list[Task]]]:
    name = f"bench-{os.getpid()}-{secrets.token_hex(4)}"
    board = open_board(name, capacity=max(64, tasks), workers=64, result_bytes=0, record=False)
    try:
        yield board, [board.task(f"task-{number}") for number in range(tasks)]
    finally:
        with contextlib.suppress(OSError):
            removal.remove(name, force=True)


# -------------------------------------------------------------------------------------------------------- contention


def jobs(number: int, one: Task, own: list[Task], page: str) -> dict[str, Callable[[], object]]:
    """What a worker of a crew can be told to do."""
    floor = load_floor()
    handles = one.native(), own[number].native()
    with open(page, "r+b") as file:
        shared = mmap.mmap(file.fileno(), mmap.PAGESIZE)
    word = ctypes.c_uint64.from_buffer(shared)  # keeps the mapping
    board = board_of(one)

    def update(task: Task) -> Callable[[], object]:
        def run() -> None:
            add = task.update
            for _ in repeat(None, PYTHON):
                add()

        return run

    def mixed() -> None:
        add = one.update
        for done in range(0, PYTHON, STATUS_EVERY):
            for _ in repeat(None, STATUS_EVERY):
                add()
            one.message = f"worker {number} at {done}"
            if done % SNAPSHOT_EVERY == 0:
                board.snapshot()

    return {
        "native one": lambda: floor.add(handles[0].address, NATIVE),
        "native own": lambda: floor.add(handles[1].address, NATIVE),
        "native word": lambda: floor.add_to_word(ctypes.addressof(word), NATIVE),
        "one": update(one),
        "own": update(own[number]),
        "mixed": mixed,
    }


def crowds(page: str, say: Callable[[str], None], *, quick: bool = False) -> list[Crowded]:
    """All cases with all numbers of processes, in turns. page: a file of a page of zeros."""
    with _board(1 + max(PROCESSES)) as (_, (one, *own)):
        crew = Crew(jobs, one, own, page, workers=max(PROCESSES))
        try:
            found: dict[tuple[str, int], list[float]] = {}
            turn_of = {f"{case}|{count}": (case, count) for case in CASES for count in PROCESSES}
            for key in turns(list(turn_of), (QUICK_ROUNDS if quick else ROUNDS) + 1):
                case, count = turn_of[key]
                name, operations = CASES[case]
                _, cpu = crew.clocks(name, count)
                found.setdefault((case, count), []).append(cpu / operations)
            say("counted")
        finally:
            crew.dismiss()
    return [Crowded(case, count, _quartiles(values[1:])) for (case, count), values in found.items()]


# ----------------------------------------------------------------------------------------------------------- readers


def _copy_without_pause(board: str, number: int, page: str) -> None:
    """A reader: while its number is below the first word of the page it copies; it counts its copies in another one."""
    found = listing.attach(board)
    if found is None:
        raise RuntimeError("the board is gone")
    with open(page, "r+b") as file:
        shared = mmap.mmap(file.fileno(), mmap.PAGESIZE)
    words = (ctypes.c_uint64 * 64).from_buffer(shared)
    while True:
        if number < words[0]:
            found._copy()
            words[8 + number] += 1
        else:
            time.sleep(0.001)


def _sides(task: Task) -> dict[str, tuple[Callable[[], object], int]]:
    """What the writer does, and how many operations that is."""
    floor = load_floor()
    handle = task.native()

    def count() -> None:
        add = task.update
        for _ in repeat(None, PYTHON):
            add()

    def write() -> None:
        for _ in repeat(None, PYTHON // 20):
            task.message = "fold 3/5"
            task.message = "fold 4/5"

    return {
        "hw_add": (lambda: floor.add(handle.address, NATIVE), NATIVE),
        "update()": (count, PYTHON),
        "message =": (write, PYTHON // 10),
    }


@contextlib.contextmanager
def _copiers(board: str, page: str) -> Iterator[Words]:
    """Readers, of which the first words[0] copy without pause; from words[8] on each counts its copies."""
    context = multiprocessing.get_context("spawn")
    with open(page, "r+b") as file:
        words = (ctypes.c_uint64 * 64).from_buffer(mmap.mmap(file.fileno(), mmap.PAGESIZE))
    ctypes.memset(words, 0, ctypes.sizeof(words))
    words[0] = max(COPIERS)
    readers = [
        context.Process(target=_copy_without_pause, args=(board, number, page), daemon=True)
        for number in range(max(COPIERS))
    ]
    try:
        for reader in readers:
            reader.start()
        until = time.monotonic() + START_S
        while not all(words[8 + number] for number in range(len(readers))):
            if time.monotonic() > until:
                raise TimeoutError("the readers did not start")
            time.sleep(0.01)
        yield words
    finally:
        for reader in readers:
            reader.kill()
            reader.join()


def _beside(words: Words, active: int, run: Callable[[], object], operations: int) -> tuple[float, float]:
    """CPU seconds of one operation while so many readers are active, and their copies a second."""
    words[0] = active
    time.sleep(0.005)
    copies, begin, cpu = sum(words[8:16]), time.monotonic(), time.thread_time()
    run()
    cpu = time.thread_time() - cpu
    rate = (sum(words[8:16]) - copies) / (time.monotonic() - begin)
    words[0] = 0
    return cpu / operations, rate


def beside_readers(page: str, say: Callable[[str], None], *, quick: bool = False) -> list[Beside]:
    """What a writer pays, in C and in Python, on a small board and a larger one, beside 0, 1 and 8 readers."""
    results = []
    for tasks in (16, 1_000):
        say(f"readers of a board of {tasks} tasks")
        with _board(tasks) as (board, (task, *_)), _copiers(board.name, page) as words:
            sides = _sides(task)
            found: dict[tuple[str, int], list[tuple[float, float]]] = {}
            turn_of = {f"{what}|{active}": (what, active) for what in sides for active in COPIERS}
            for key in turns(list(turn_of), (QUICK_ROUNDS if quick else ROUNDS) + 1):
                what, active = turn_of[key]
                found.setdefault((what, active), []).append(_beside(words, active, *sides[what]))
        for (what, active), values in found.items():
            cpus, rates = zip(*values[1:], strict=True)
            results.append(Beside(what, tasks, active, _quartiles(list(cpus)), median(rates)))
    return results
