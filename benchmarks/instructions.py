"""Instructions of the hot paths, counted by valgrind's callgrind: the same on every run, however busy the machine.

Each path has two counts: all instructions, including Python's, and those of the package's modules alone. The latter
depend only on the compilers, so they can be compared with recorded ones (recorded.py).

Run as a script, this is the program whose instructions are counted; valgrind dumps its counters at each floor.phase().
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

__all__ = ["FAILED", "FLOOR", "Count", "count"]

FAILED = "valgrind is there, but it did not count"
FLOOR = "empty Cython method"
LIMIT_S = 540.0  # of a machine that others use; by itself it takes half a minute
TIMES = 2_000  # of each operation; the counts are exact, so a few are enough
TASKS = 1_000
OWN = re.compile(r"(/|^)(core|records|rates|floor)\.[^/]*\.so$")
PYTHON, ITERATION, NATIVE = "a call loop in Python", "a for loop in Python", "a loop in C"
PHASES = {  # what is counted, the loop around it, which is subtracted, and the number of operations
    PYTHON: ("", TIMES),
    ITERATION: ("", TIMES),
    NATIVE: ("", TIMES),
    FLOOR: (PYTHON, TIMES),
    "task.update()": (PYTHON, TIMES),
    "hw_add in C": (NATIVE, TIMES),
    "hw_batch_add in C": (NATIVE, TIMES),
    "track, an item": (ITERATION, TIMES),
    "track, a number of a list": (ITERATION, TIMES),
    "track, a text of a list": (ITERATION, TIMES),
    "a block of task.item": (PYTHON, TIMES),
    "a call of task.counts": (PYTHON, TIMES),
    "task.stage = text": (PYTHON, TIMES),
    "task.message = text": (PYTHON, TIMES),
    "task.count": (PYTHON, TIMES),
    "board.get of 2": (PYTHON, 200),
    f"board.get of {TASKS}": (PYTHON, 200),
    f"snapshot of {TASKS}, a task": (PYTHON, TASKS),
    "claim, end and free a task": (PYTHON, 200),
}


@dataclass(frozen=True)
class Count:
    """Instructions of one operation: all of them, and those of the package's own modules."""

    all: float
    own: float


def count(say: Callable[[str], None] = lambda _: None) -> tuple[dict[str, Count] | None, str]:
    """Instructions of each operation by its name, or None and why there are none."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return None, "valgrind is not installed, so they were not counted"
    from benchmarks.building import load_floor

    load_floor()  # built here if it has to be: under valgrind that takes a minute
    say("counting instructions with valgrind")
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as folder:
        try:
            ran = _run(valgrind, folder)
        except subprocess.TimeoutExpired:
            say(f"valgrind took longer than {LIMIT_S:g} s")
            return None, FAILED
        names = re.findall(r"^phase (.+)$", ran.stdout, re.MULTILINE)
        dumps = sorted(Path(folder).glob("out.*"), key=lambda path: int(path.suffix[1:]))
        # The first dump is what went before; then one for each phase, in the order in which they were told.
        counts = [_read(dump.read_text()) for dump in dumps[1:]]
    if ran.returncode or names != list(PHASES) or len(counts) < len(names):
        say(f"valgrind ended with {ran.returncode}, {len(counts)} of {len(PHASES)} counts\n{ran.stdout}{ran.stderr}")
        return None, FAILED
    totals = dict(zip(names, counts, strict=False))
    found = {}
    for name, (loop, times) in PHASES.items():
        if loop:
            # The loop has TIMES rounds; for an operation with fewer, only that share of the loop is subtracted.
            share = times / TIMES if name != f"snapshot of {TASKS}, a task" else 0
            both = zip(totals[name], totals[loop], strict=True)
            found[name] = Count(*((mine - share * around) / times for mine, around in both))
    return found, ""


def _run(valgrind: str, folder: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parent.parent
    command = [valgrind, "--tool=callgrind", f"--callgrind-out-file={folder}/out", "--dump-before=headway_phase"]
    command += ["--compress-strings=no", "--compress-pos=no", sys.executable, __file__]
    if setarch := shutil.which("setarch"):
        command = [setarch, "-R", *command]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
    environment |= {"HEADWAY_DIR": folder, "HEADWAY_RECORD": "0"}  # a recorder would be a program of its own
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(root), str(root / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    return subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def _read(dump: str) -> tuple[int, int]:
    """(all instructions, those of our own modules) of one dump: costs stand below the object that has them."""
    everything = own = 0
    is_own = is_call = False
    for line in dump.splitlines():
        if line.startswith("ob="):
            is_own = OWN.search(line) is not None
        elif line.startswith("calls="):
            is_call = True  # the next line is what the call cost all in all: that stands with the function called
        elif line[:1].isdigit():
            cost = int(line.split()[1])
            if not is_call:
                everything += cost
                own += cost * is_own
            is_call = False
    return everything, own


def _program() -> None:
    from benchmarks.building import load_floor
    from headway.engine.board import open_board

    floor: Any = load_floor()
    board = open_board(f"bench-{os.getpid()}", capacity=16, result_bytes=0)
    large = open_board(f"bench-{os.getpid()}-large", capacity=TASKS, result_bytes=0)
    again = open_board(f"bench-{os.getpid()}-again", capacity=1024, result_bytes=0)  # no slot is asked for twice
    task = board.task("one")
    for number in range(TASKS):
        other = large.task(f"task-{number}", total=5000, unit="bar", label=f"Task {number}")
        other.update(number)
        other.set(stage="fit", message="fold 3/5", metrics={"loss": 0.12})
    board.task("two").set(stage="fit", message="fold 3/5", metrics={"loss": 0.12})
    empty = floor.Empty()
    items = range(TIMES)
    native = task.native()  # its memory is what hw_add works on
    numbers, texts = list(items), [f"BTC-{number}" for number in items]

    def loop(function: Callable[[], object], times: int = TIMES) -> Callable[[], None]:
        def run() -> None:
            for _ in repeat(None, times):
                function()

        return run

    def nothing() -> None:
        for _ in repeat(None, TIMES):
            pass

    def iterate(iterable: Iterable[object]) -> None:
        for _ in iterable:
            pass

    def stage() -> None:
        for _ in repeat(None, TIMES // 2):
            task.stage = "fit"
            task.stage = "load"

    def message() -> None:
        for _ in repeat(None, TIMES):
            task.message = "fold 3/5"

    def block() -> None:
        for _ in repeat(None, TIMES):
            with task.item("BTC-1h"):
                pass

    def get_count() -> None:
        for _ in repeat(None, TIMES):
            _ = task.count

    runs: list[Callable[[], object]] = [
        nothing,
        lambda: iterate(items),
        lambda: floor.nothing(TIMES),
        loop(empty.update),
        loop(task.update),
        lambda: floor.add(native.address, TIMES),
        lambda: floor.add_in_batches(native.address, TIMES, 1000),
        lambda: iterate(task.track(items)),
        lambda: iterate(task.track(numbers)),
        lambda: iterate(task.track(texts)),
        block,
        loop(task.counts(empty.update)),
        stage,
        message,
        get_count,
        loop(lambda: board.get("two"), 200),
        loop(lambda: large.get("task-500"), 200),
        large.snapshot,
        loop(lambda: again.task("again").succeed(), 200),
    ]
    for run in runs:  # a warm-up, so that nothing happens for the first time while it is counted
        run()
    for name, run in zip(PHASES, runs, strict=True):
        floor.phase()
        run()
        print(f"phase {name}", flush=True)
    floor.phase()
    for one in (board, large, again):
        one.remove(files=True)


if __name__ == "__main__":
    _program()
