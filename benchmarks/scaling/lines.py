"""Which cache lines an operation touches, by running the native code (touched.c).

Each worker of a task has a counter, up to MOST_WORKERS: INLINE of them are in the slot, the others in blocks of BLOCK,
which are linked to the task one after the other.
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
INLINE, BLOCK, MOST_WORKERS = 8, 15, 512
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
        found[operation] |= Counter(_kind(line, mine[operation]) for line in lines)
    return found


def _kind(line: Touched, mine: int) -> str:
    if line.place in ("page", "handle"):
        return "own"
    if line.place == "stripes":
        if line.operation in ("count", "copy") or line.number // LINES_A_STRIPE != mine:
            return "others write"
        return "own"
    return "all write" if line.written else "read"


def linked(workers: int) -> int:
    """Lines that lead a reader to so many counters: the first of each block, with owner and next one."""
    return -(-max(0, workers - INLINE) // BLOCK)


def asks(workers: int) -> tuple[float, float]:
    """Measured: the seconds that the kernel takes to say that the last of so many processes is alive, and those of the
    first count of that one on a task.
    """
    ((_, _, asked, bound),) = _run("asks", str(workers))
    return float(asked) * 1e-9, float(bound) * 1e-9
