"""Two processes that count at once: on one task, on two, on one counter that is shared."""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.contest import Contest
from benchmarks.crew import LOCKED, NATIVE, PYTHON, WORKERS, Crew, native_jobs, python_jobs
from headway.engine.board import Board


@pytest.fixture
def hire() -> Iterator[Callable[..., Crew]]:
    crews = []

    def start(make: Callable[..., Any], *args: Any) -> Crew:
        crews.append(Crew(make, *args))
        return crews[-1]

    yield start
    for crew in crews:
        crew.dismiss()


def bench_two_processes_native(contest: Contest, board: Board, hire: Callable[..., Crew], directory: Path) -> None:
    """hw_add in two processes. The one counter is a word in shared memory, the clock read as often."""
    page = directory / "counter"
    page.write_bytes(bytes(mmap.PAGESIZE))
    one, own = board.task("one"), [board.task(f"own-{number}") for number in range(WORKERS)]
    crew = hire(native_jobs, one, own, str(page))
    beside = {"two tasks": crew.side("two", NATIVE), "one native counter": crew.side("counter", NATIVE)}
    contest(crew.side("one", NATIVE), beside, rounds=60)
    assert one.count == sum(task.count for task in own)


def bench_two_processes_python(contest: Contest, board: Board, hire: Callable[..., Crew]) -> None:
    """Task.update in two processes."""
    value = multiprocessing.get_context("spawn").Value(ctypes.c_int64)
    one, own = board.task("one"), [board.task(f"own-{number}") for number in range(WORKERS)]
    crew = hire(python_jobs, one, own, value)
    beside = {"two tasks": crew.side("two", PYTHON), "one multiprocessing.Value": crew.side("value", LOCKED)}
    contest(crew.side("one", PYTHON), beside, rounds=60)
    assert one.count == sum(task.count for task in own)
