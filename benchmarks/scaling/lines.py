"""Which cache lines an operation touches: today's by running the native code (touched.c), the planned ones by rules.

Planned is a counter for each worker of a task, up to MOST_WORKERS: INLINE of them in the slot, as today, and the others
in blocks of BLOCK, which are linked to the task one after the other.
"""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.building import BUILD, INCLUDE, ROOT

__all__ = [
    "BLOCK",
    "INLINE",
    "KINDS",
    "LINES_A_STRIPE",
    "MOST_WORKERS",
    "OPERATIONS",
    "Touched",
    "asks",
    "build",
    "counted",
    "linked",
    "planned",
]

HERE = Path(__file__).resolve().parent
LIMIT_S = 60.0
OPERATIONS = {
    "hw_add": "one hw_add",
    "update": "one update",
    "count": "a reader's task.count",
    "copy": "a copy of the slot",
    "bind": "a worker's first count",
}
KINDS = ("own", "read", "others write", "all write")
INLINE, BLOCK, MOST_WORKERS = 8, 16, 512
LINKS_A_LINE = 16  # of four bytes each
LINES_A_STRIPE = 2


@dataclass(frozen=True)
class Touched:
    """A line that an operation read or wrote: the `number`th of a place, such as a slot's stripes."""

    operation: str
    place: str
    number: int
    written: bool


def build(name: str) -> Path:
    """Compile a C program of this folder if its sources are newer. Raises what the compiler raises."""
    source, program = HERE / f"{name}.c", BUILD / name
    native = ROOT / "src" / "headway" / "native"
    newest = max(path.stat().st_mtime for path in (source, *INCLUDE.glob("*.h"), *native.glob("*.h")))
    if not program.exists() or program.stat().st_mtime < newest:
        BUILD.mkdir(parents=True, exist_ok=True)
        part = program.with_suffix(f".{os.getpid()}")
        compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
        flags = ["-std=c11", "-O3", "-D_GNU_SOURCE", f"-I{INCLUDE}", f"-I{native}", "-w"]
        subprocess.run([compiler, *flags, "-o", str(part), str(source), "-ldl", "-lpthread"], check=True)
        part.replace(program)
    return program


def _run(*arguments: str) -> list[list[str]]:
    command = [str(build("touched")), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT_S)
    return [line.split() for line in done.stdout.splitlines()]


def counted(workers: int) -> dict[str, dict[str, int]]:
    """Of each operation on a task that so many workers count on: lines by kind, and `asks`, questions to the kernel.

    The worker is the last one that came; who reads is somebody else.
    """
    touched: dict[str, list[Touched]] = {operation: [] for operation in OPERATIONS}
    found: dict[str, dict[str, int]] = {}
    mine = dict.fromkeys(OPERATIONS, -1)
    for operation, place, number, access in _run("lines", str(workers)):
        if place == "asks":
            found[operation] = {"asks": int(number)}
        elif place == "stripe":
            mine[operation] = int(number)
        else:
            touched[operation].append(Touched(operation, place, int(number), int(access) > 1))
    for operation, lines in touched.items():
        found[operation] |= Counter(_kind(line, mine[operation], workers) for line in lines)
    return found


def _kind(line: Touched, mine: int, workers: int) -> str:
    if line.place in ("page", "handle"):
        return "own"
    if line.place == "stripes":
        if line.operation in ("count", "copy") or line.number // LINES_A_STRIPE != mine:
            return "others write"
        return "own" if workers <= INLINE else "all write"
    return "all write" if line.written else "read"


def linked(workers: int) -> int:
    """Lines that lead a reader to so many counters: links, and of each block the first, which says whose it is."""
    blocks = -(-max(0, workers - INLINE) // BLOCK)
    return blocks + -(-blocks // LINKS_A_LINE)


def planned(today: dict[str, dict[str, int]], workers: int) -> dict[str, dict[str, int]]:
    """The same with a counter for each, from `today`, which is of a task with one worker."""
    found = {operation: dict(kinds) for operation, kinds in today.items()}
    for operation in ("count", "copy"):
        found[operation]["others write"] = workers
        found[operation]["read"] += linked(workers)
    found["copy"]["asks"] = workers
    found["bind"]["others write"] = workers - 1  # as today each is looked at: whose is it
    if linked(workers):  # the links, the first line of the block, and the head of the pool, from which a block comes
        found["bind"]["all write"] += 3
    return found


def asks(workers: int) -> tuple[float, float]:
    """Measured: the seconds that the kernel takes to say that the last of so many processes is alive, and those of the
    first count of that one on a task.
    """
    ((_, _, asked, bound),) = _run("asks", str(workers))
    return float(asked) * 1e-9, float(bound) * 1e-9
