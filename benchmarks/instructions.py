"""Instructions of the hot paths, counted by valgrind's callgrind: the same on every run, however busy the machine.

Run as a script this is the program that is counted; valgrind dumps its counters each time floor.phase() is called.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from itertools import repeat
from pathlib import Path
from typing import Any

__all__ = ["FAILED", "count"]

FAILED = "valgrind is there, but it did not count"
LIMIT_S = 120.0
TIMES = 2_000  # of each operation; the counts are exact, so few do
PYTHON, ITERATION, NATIVE = "a call loop in Python", "a for loop in Python", "a loop in C"
PHASES = {  # what is counted, and the loop around it, which is taken off
    PYTHON: "",
    ITERATION: "",
    NATIVE: "",
    "empty Cython method": PYTHON,
    "task.update()": PYTHON,
    "hw_add in C": NATIVE,
    "track, an item": ITERATION,
    "task.stage = text": PYTHON,
    "task.message = text": PYTHON,
    "board.get of 1": PYTHON,
}


def count(say: Callable[[str], None] = lambda _: None) -> tuple[dict[str, float] | None, str]:
    """Instructions an operation by name, or None and why there are none."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return None, "valgrind is not installed, so they were not counted"
    say("counting instructions with valgrind")
    root = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as folder:
        out = Path(folder, "out")
        command = [valgrind, "--tool=callgrind", f"--callgrind-out-file={out}", "--dump-before=headway_phase"]
        command += [sys.executable, __file__]
        if setarch := shutil.which("setarch"):
            command = [setarch, "-R", *command]
        environment = {**os.environ, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "HEADWAY_DIR": folder}
        environment["PYTHONPATH"] = os.pathsep.join(
            [str(root), str(root / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        try:
            ran = subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            say(f"valgrind took longer than {LIMIT_S:g} s")
            return None, FAILED
        names = re.findall(r"^phase (.+)$", ran.stdout, re.MULTILINE)
        dumps = sorted(Path(folder).glob("out.*"), key=lambda path: int(path.suffix[1:]))
        # The first dump is what went before; then one for each phase, in the order in which they were told.
        found = [re.search(r"^totals: (\d+)$", dump.read_text(), re.MULTILINE) for dump in dumps[1:]]
        totals = [int(match[1]) for match in found if match]
        if ran.returncode or not names or len(totals) < len(names):
            say(f"valgrind ended with {ran.returncode}, {len(totals)} of {len(names)} counts\n{ran.stdout}{ran.stderr}")
            return None, FAILED
    counts = dict(zip(names, totals, strict=False))
    loops = {loop: counts.pop(loop) for loop in dict.fromkeys(PHASES.values()) if loop}
    return {name: (total - loops[PHASES[name]]) / TIMES for name, total in counts.items()}, ""


def _program() -> None:
    from benchmarks.building import load_floor
    from headway.board import open_board

    floor: Any = load_floor()
    board = open_board(f"bench-{os.getpid()}", capacity=16)
    task = board.task("one")
    empty = floor.Empty()
    items = range(TIMES)
    native = task.native()  # its memory is what hw_add works on

    def loop(function: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            for _ in repeat(None, TIMES):
                function()

        return run

    def nothing() -> None:
        for _ in repeat(None, TIMES):
            pass

    def iterate(iterable: Iterable[object]) -> None:
        for _ in iterable:
            pass

    def stage() -> None:
        for _ in repeat(None, TIMES):
            task.stage = "fit"

    def message() -> None:
        for _ in repeat(None, TIMES):
            task.message = "fold 3/5"

    def get() -> None:
        for _ in repeat(None, TIMES):
            board.get("one")

    runs: list[Callable[[], object]] = [
        nothing,
        lambda: iterate(items),
        lambda: floor.nothing(TIMES),
        loop(empty.update),
        loop(task.update),
        lambda: floor.add(native.address, TIMES),
        lambda: iterate(task.track(items)),
        stage,
        message,
        get,
    ]
    for run in runs:  # once before, so that nothing happens for the first time while it is counted
        run()
    for name, run in zip(PHASES, runs, strict=True):
        floor.phase()
        run()
        print(f"phase {name}", flush=True)
    floor.phase()
    board.unlink(files=True)


if __name__ == "__main__":
    _program()
