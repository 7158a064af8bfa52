"""Every allocation of what a program does with a board fails, one after the other: no lock stays held, nothing is half.

    python -m tests.faults.memory [--seed N] [--stride N] [SCENARIO...]

A preloaded library has malloc, calloc and realloc fail, those of Python and those of the native code alike. What is
promised: MemoryError, or an error of Headway's own, or it works all the same; afterwards the same process and another
one get everything at once.

Left out is what Python itself does not survive, as seen with CPython 3.11: `ContextVar.set`, which a block and a loop
call, reads through a null pointer; where all later allocations fail, too, it goes round in circles as it unwinds.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from functools import partial
from pathlib import Path

from headway import errors
from headway.engine import claims
from headway.engine.board import Board
from tests.faults.interrupts import SCENARIOS, at_rest, goes_on, made, warm_up
from tests.faults.tally import Tally

HERE = Path(__file__).parent
CHOSEN = ("claim", "writes", "reads", "close", "unlink", "open", "attach", "leave")
MOST = 20_000  # no scenario allocates so often
ENOUGH = 20  # failures that are told: all have one reason by then


class Tries(Tally):
    """Goes through the allocations of scenarios, and counts."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._native = ctypes.CDLL(None)
        self._native.memory_arm.argtypes = (ctypes.c_long,)
        self._native.memory_disarm.restype = ctypes.c_long

    def once(self, kind: str, at: int) -> bool:
        """One try, in a process of its own. Returns whether there were so many allocations."""
        scenario, name = SCENARIOS[kind], f"m-{os.getpid()}-{self.tried}"
        told = self._folder / "told"
        told.unlink(missing_ok=True)

        def attempt() -> None:
            warnings.simplefilter("ignore")
            sys.unraisablehook = lambda _: None  # what cannot be told for want of memory
            found = scenario.prepare(name)
            board = found if isinstance(found, Board) else None
            end = "worked all the same"
            self._native.memory_arm(at)
            try:
                scenario.operate(board, name)
            except MemoryError:
                passed = self._native.memory_disarm()
                end = "MemoryError"
            except (errors.HeadwayError, OSError, RuntimeError, TypeError, SystemError) as error:
                # The last three are what Python itself makes of it: "path should be os.PathLike, not PosixPath", say.
                passed = self._native.memory_disarm()
                end = type(error).__name__
            else:
                passed = self._native.memory_disarm()
            told.write_text(f"{passed} {end}")
            view = made(name).get("t")
            assert view is None or view.count in (0, 1, 3, 4, 5), view
            assert view is None or view.state != "success" or kind in ("claim", "writes"), view
            goes_on(name)
            claims.leave_all()

        self.held(f"{kind}, allocation {at} failed", name, attempt, partial(goes_on, name), partial(at_rest, name))
        shutil.rmtree(self._folder / "boards" / name, ignore_errors=True)
        if not told.exists():
            return at < MOST and self.failed < ENOUGH
        passed, _, end = told.read_text().partition(" ")
        if int(passed) >= at:
            self.ends[end] += 1
        return int(passed) >= at


def inside(given: argparse.Namespace) -> int:
    choose = random.Random(given.seed)
    with tempfile.TemporaryDirectory(prefix="headway-memory-") as name:
        os.environ["HEADWAY_DIR"] = f"{name}/boards"
        tries = Tries(Path(name))
        for kind in CHOSEN:
            warm_up(kind)
        for kind in given.scenarios or CHOSEN:
            at = 1 + choose.randrange(given.stride)
            while tries.once(kind, at):
                at += given.stride
    return tries.report("failed allocations", f"seed {given.seed}")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    parser.add_argument("--stride", type=int, default=1, help="each n-th allocation only, beginning at a random one")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    given = parser.parse_args()
    if "HEADWAY_MEMORY" in os.environ:
        return inside(given)
    with tempfile.TemporaryDirectory(prefix="headway-memory-") as folder:
        library = f"{folder}/memory.so"
        compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
        command = [compiler, "-O1", "-shared", "-fPIC", str(HERE / "memory.c"), "-o", library, "-ldl"]
        subprocess.run(command, check=True, timeout=500)
        preloaded = {"LD_PRELOAD": library, "PYTHONMALLOC": "malloc", "HEADWAY_MEMORY": "1", "HEADWAY_RECORD": "0"}
        again = [sys.executable, "-m", "tests.faults.memory", *sys.argv[1:]]
        return subprocess.run(again, env={**os.environ, **preloaded}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
