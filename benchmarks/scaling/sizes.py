"""What readers do, on boards of 10 to 100 000 tasks, and what a recorder costs at other intervals than its own.

Times are CPU time of the thread, that of the kernel included: the same whatever else the machine does. Only what waits
for the disk is measured by the clock on the wall.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.bench_recorder import cpu_seconds
from benchmarks.contest import turns
from headway.engine.board import Board, open_board
from headway.files import snapshot
from headway.upkeep import removal

__all__ = ["HZ", "SIZES", "Line", "Recorded", "fit", "measure", "recorders"]

SIZES = (10, 100, 1_000, 10_000, 100_000)
ROUNDS, QUICK_ROUNDS = 5, 2
GETS = 200
HZ = (1, 4, 20)
RECORDED = (1_000, 10_000)
WATCHED_S, QUICK_WATCHED_S = 5.0, 2.0
START_S = 60.0


@dataclass
class Line:
    """What one thing takes for each of SIZES, in seconds, and a straight line through it: seconds + seconds a task."""

    what: str
    clock: str
    seconds: list[float]
    base_s: float
    slope_s: float
    off: float  # the largest deviation from the line, as a share of it, of boards of 1 000 tasks and more


@dataclass
class Recorded:
    """The share of a core that a recorder took which looked at a board of so many live tasks so often, unstretched."""

    tasks: int
    hz: float
    cpu: float
    snapshots: int
    seconds: float


@contextlib.contextmanager
def filled(tasks: int) -> Iterator[Board]:
    """A board with so many running tasks on it, of which each has counted and shows a stage and a message."""
    name = f"bench-{os.getpid()}-{secrets.token_hex(4)}"
    board = open_board(name, capacity=max(16, tasks), workers=64, result_bytes=0, record=False)
    try:
        for number in range(tasks):
            task = board.task(f"task-{number}", total=5000, unit="bar", label=f"Task {number}")
            task.update(number)
            task.set(stage="fit", message="fold 3/5", metrics={"loss": 0.12})
        yield board
    finally:
        with contextlib.suppress(OSError):
            removal.remove(name, force=True)


def _cpu(run: Callable[[], object], times: int) -> float:
    begin = time.thread_time()
    for _ in range(times):
        run()
    return (time.thread_time() - begin) / times


def _steps(board: Board, tasks: int) -> dict[str, Callable[[], float]]:
    """Everything that is measured of a board, as functions that return seconds."""
    ids = itertools.cycle([f"task-{(number * 7919) % tasks}" for number in range(GETS)])  # all over the board
    raw = board._copy()
    board.write_snapshot()
    often = max(1, 2_000 // tasks)

    def written() -> float:
        begin = time.perf_counter()
        board.write_snapshot()
        return time.perf_counter() - begin

    return {
        "board.get": lambda: _cpu(lambda: board.get(next(ids)), GETS),
        "copy": lambda: _cpu(board._copy, often),
        "encode": lambda: _cpu(lambda: snapshot._pieces(raw, True), often),
        "write": lambda: _cpu(lambda: snapshot.write(raw, board.directory, sync=False), max(1, often // 10)),
        "copy, encode, write, fsync": written,
        "read back": lambda: _cpu(lambda: snapshot.read(board.directory), max(1, often // 4)),
        "views of all tasks": lambda: _cpu(lambda: snapshot.read(board.directory).tasks, 1),
        "open and restore": lambda: _restored(board),
    }


def _restored(board: Board) -> float:
    """A second board of this size, begun from a copy of the snapshot."""
    source = board.directory / snapshot.SNAPSHOT
    name = f"{board.name}-again"
    place = Path(os.environ["HEADWAY_DIR"], name)
    place.mkdir(mode=0o700)
    (place / snapshot.SNAPSHOT).write_bytes(source.read_bytes())
    (place / snapshot.SNAPSHOT).chmod(0o600)
    begin = time.thread_time()
    again = open_board(name, capacity=board._segment.capacity, workers=64, result_bytes=0, record=False)
    taken = time.thread_time() - begin
    if again.get("task-1") is None:
        raise RuntimeError("nothing was restored")
    again.remove(files=True)
    return taken


def fit(seconds: list[float]) -> tuple[float, float, float]:
    """A straight line through what SIZES took, by least squares of relative deviations: base, slope, largest deviation
    of it from 1 000 tasks on."""
    sizes, took = np.array(SIZES[: len(seconds)], float), np.array(seconds)
    slope, base = np.polyfit(sizes, took, 1, w=1 / took)
    line = base + slope * sizes
    off = np.abs(took / line - 1)[sizes >= 1_000]
    return float(base), float(slope), float(off.max())


def measure(say: Callable[[str], None], *, quick: bool = False) -> list[Line]:
    """All steps at all sizes, in turns."""
    with contextlib.ExitStack() as stack:
        boards = {}
        for tasks in SIZES:
            say(f"a board of {tasks} tasks")
            boards[str(tasks)] = _steps(stack.enter_context(filled(tasks)), tasks)
        found: dict[str, dict[str, list[float]]] = {}
        for turn, size in enumerate(turns(list(boards), (QUICK_ROUNDS if quick else ROUNDS) + 1)):
            for what, step in boards[size].items():
                seconds = step()
                if turn >= len(boards):  # the first round is for warming up
                    found.setdefault(what, {}).setdefault(size, []).append(seconds)
            say(f"{size} tasks")
    lines = []
    for what, of_sizes in found.items():
        seconds_of = [median(of_sizes[str(tasks)]) for tasks in SIZES]
        clock = "wall" if "fsync" in what else "CPU"
        lines.append(Line(what, clock, seconds_of, *fit(seconds_of)))
    return lines


# ---------------------------------------------------------------------------------------------------------- recorder

RECORDER = """
import sys
from headway.recorder.recorder import recorder
recorder.INTERVAL_S, recorder.DUTY = float(sys.argv[3]), 1.0  # as often as asked for, whatever it costs
recorder.record(sys.argv[1], sys.argv[2])
"""


def recorders(say: Callable[[str], None], *, quick: bool = False) -> list[Recorded]:
    """What recorders at several intervals take while every task of the board counts ten times a second."""
    found = []
    for tasks in RECORDED:
        with filled(tasks) as board:
            handles = [board.attach(f"task-{number}") for number in range(tasks)]
            for hz in HZ:
                say(f"a recorder of {tasks} tasks, {hz} a second")
                command = [sys.executable, "-c", RECORDER, board.name, board._segment.uuid, str(1 / hz)]
                with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
                    try:
                        found.append(
                            _recorded(board, handles, process.pid, hz, QUICK_WATCHED_S if quick else WATCHED_S)
                        )
                    finally:
                        process.terminate()
                        process.wait(START_S)
    return found


def _recorded(board: Board, handles: list[Any], pid: int, hz: float, watched_s: float) -> Recorded:
    until = time.monotonic() + START_S
    while board.snapshot().raw.meta["recorder_pid"] != pid:
        if time.monotonic() > until:
            raise TimeoutError("the recorder did not start")
        time.sleep(0.05)
    time.sleep(1 / hz + 0.2)
    began, used, sequence = time.monotonic(), cpu_seconds(pid), board._segment.sequence
    while (elapsed := time.monotonic() - began) < watched_s:
        for task in handles:
            task.update()
        time.sleep(0.1)
    written = board._segment.sequence - sequence
    return Recorded(len(handles), hz, (cpu_seconds(pid) - used) / elapsed, written, elapsed)
