"""Ctrl-C at each bytecode of what a program does with a board: no lock stays held, and every task ends as it should.

    python -m tests.faults.interrupts [--seed N] [--stride N] [SCENARIO...]

It arrives as the real one does: Python's handler runs at the next place where Python looks for signals. What is
promised: whoever comes afterwards, in the same process or another one, gets everything at once; a block that was
entered has ended its task, cancelled unless it had ended already; what was not entered ends with the program.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import headway
from headway import errors
from headway.engine import claims
from headway.engine.board import Board, open_board
from headway.files import snapshot
from headway.standin.nobody import NOBODY
from headway.system import locks
from tests.faults.children import fresh
from tests.faults.tally import Tally, nothing_left

HERE = Path(__file__).parent
BOUND_S = 2.0
MOST = 40_000  # bytecodes; no scenario has so many
ENOUGH = 20  # failures that are told: all have one reason by then


def compiled(folder: Path) -> ctypes.PyDLL:
    """interrupt.c for this Python."""
    library = folder / "interrupt.so"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    command = [compiler, "-O1", "-shared", "-fPIC", f"-I{sysconfig.get_path('include')}", str(HERE / "interrupt.c")]
    subprocess.run([*command, "-o", str(library)], check=True, timeout=500)
    native = ctypes.PyDLL(str(library))
    native.interrupt_arm.argtypes, native.interrupt_arm.restype = (ctypes.c_long,), None
    native.interrupt_disarm.restype = ctypes.c_long
    return native


def made(name: str) -> Board:
    return open_board(name, capacity=16, workers=16, result_bytes=64)


def descriptors() -> set[str]:
    return {f"{link.name} {link.readlink()}" for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}


@dataclass(frozen=True)
class Scenario:
    """prepare: before, undisturbed; operate: what Ctrl-C comes into; ends: the states that its task may be in then."""

    prepare: Callable[[str], object]
    operate: Callable[[Board | None, str], object]
    ends: tuple[str | None, ...]


# --- what Ctrl-C comes into


def block(board: Board | None, _name: str) -> None:
    assert board is not None
    task = board.task("t", total=3)
    with task:
        task.update()
        task.set(stage="fit", message="m")


def claim(board: Board | None, _name: str) -> None:
    assert board is not None
    task = board.task("t", total=3)
    task.update(4)
    task.succeed()


def nested(board: Board | None, _name: str) -> None:
    assert board is not None
    with board.attach("t") as task:
        for _ in headway.track(range(2), label="inner"):
            task.update()


def loop(board: Board | None, _name: str) -> None:
    for _ in headway.track(range(3), label="t", board=board):
        pass


def writes(board: Board | None, _name: str) -> None:
    assert board is not None
    task = board.attach("t")
    task.update(2)
    task.set(stage="fit", message="m", metrics={"a": 1.0}, total=7)
    task.result = {"a": 1}
    task.merge_result({"b": [1, 2, 3]})
    task.adopt()
    for item in task.track([1, 2]):
        task.metrics, item  # noqa: B018
    task.succeed("done")


def reads(board: Board | None, _name: str) -> None:
    assert board is not None
    board.snapshot().to_dict()
    board.tasks()
    board.get("t")
    for _ in board.watch(0.001):
        break
    board.reap()
    board.history()
    board.write_snapshot()


def close(board: Board | None, _name: str) -> None:
    assert board is not None
    board.close()


def unlink(board: Board | None, _name: str) -> None:
    assert board is not None
    board.remove(files=False)


def opened(_board: Board | None, name: str) -> None:
    made(name)


def leave(_board: Board | None, _name: str) -> None:
    claims.leave_all()


def running(name: str) -> Board:
    board = made(name)
    board.task("t", total=9).update()
    return board


SCENARIOS = {
    "block": Scenario(made, block, (None, "pending", "cancelled", "success")),
    "claim": Scenario(made, claim, (None, "pending", "running", "success")),
    "nested": Scenario(running, nested, ("running", "cancelled", "success")),
    "loop": Scenario(made, loop, (None, "pending", "running", "cancelled", "success")),
    "writes": Scenario(running, writes, ("running", "success")),
    "reads": Scenario(running, reads, ("running",)),
    "close": Scenario(running, close, ("running", "cancelled")),
    "unlink": Scenario(running, unlink, ("running", "cancelled", None)),
    "open": Scenario(lambda _name: None, opened, (None,)),
    "attach": Scenario(lambda name: fresh(lambda: running(name)), opened, ("lost",)),
    "leave": Scenario(running, leave, ("running", "cancelled")),
}


# --- what has to hold then


def goes_on(name: str) -> None:
    """Whoever comes now gets everything, and soon."""
    began = time.monotonic()
    board = made(name)
    task = board.task(f"after-{os.getpid()}", total=3)
    task.update(2)
    task.set(stage="one")
    task.result = {"four": 4}
    task.succeed()
    board.write_snapshot()
    assert snapshot.read(board.directory).get(task.id) is not None
    with locks.locked(board.directory, wait_s=BOUND_S / 2):  # a lock of this very process would be in the way, too
        assert (board.directory / "segment").exists()
    took = time.monotonic() - began
    assert took < BOUND_S, f"it took {took:.2f} s: something was locked"


def at_rest(name: str) -> None:
    """What was left open ended with its program; nothing stays anywhere."""
    board = made(name)
    view = board.get("t")
    assert view is None or view.state in ("success", "cancelled", "lost"), view
    left = [path.name for path in board.directory.iterdir() if path.name.startswith(".")]
    assert not left, f"left over: {left}"
    board.remove(files=True)
    nothing_left(name)


class Tries(Tally):
    """Goes through the bytecodes of scenarios, and counts."""

    def __init__(self, folder: Path, native: ctypes.PyDLL) -> None:
        super().__init__()
        self._folder, self._native = folder, native

    def once(self, kind: str, at: int) -> bool:
        """One try, in a process of its own. Returns whether there were so many bytecodes."""
        scenario, name = SCENARIOS[kind], f"i-{os.getpid()}-{self.tried}"
        told = self._folder / "told"
        told.unlink(missing_ok=True)

        def attempt() -> None:
            warnings.simplefilter("ignore")
            found = scenario.prepare(name)
            board = found if isinstance(found, Board) else None
            kept = descriptors()
            interrupted, passed = False, 0
            try:
                self._native.interrupt_arm(at)
                try:
                    scenario.operate(board, name)
                finally:
                    passed = self._native.interrupt_disarm()
            except KeyboardInterrupt:
                interrupted = True
                passed = max(passed, at)  # it may come out at the very last of them
            grown = len(descriptors() - kept)
            told.write_text(f"{passed} {int(interrupted)} {grown}")
            assert headway.current() is NOBODY, f"{headway.current()} is still the current task"
            view = made(name).get("t")
            state = None if view is None else view.state
            assert state in scenario.ends, f"the task is {state}: {view}"
            if view is not None and state == "running" and kind in ("nested", "block"):
                assert view.count <= 1, "the block was entered, and did not end its task"
            try:
                goes_on(name)
            except errors.LockTimeout as error:
                raise AssertionError(f"a lock stayed held: {error}") from error
            claims.leave_all()

        self.held(f"{kind}, Ctrl-C at bytecode {at}", name, attempt, partial(goes_on, name), partial(at_rest, name))
        shutil.rmtree(self._folder / "boards" / name, ignore_errors=True)
        if not told.exists():
            return at < MOST and self.failed < ENOUGH
        passed, interrupted, grown = map(int, told.read_text().split())
        self.ends["came out"] += interrupted
        self.ends["descriptors left open"] += grown if interrupted and kind not in ("open", "attach") else 0
        return passed >= at


def warm_up(kind: str) -> None:
    """Import what is imported on first use: what Ctrl-C does to an import is Python's affair."""
    scenario, name = SCENARIOS[kind], f"i-{os.getpid()}-{kind}"
    found = scenario.prepare(name)
    scenario.operate(found if isinstance(found, Board) else None, name)
    made(name).remove(files=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    parser.add_argument("--stride", type=int, default=1, help="each n-th bytecode only, beginning at a random one")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    given = parser.parse_args()
    choose = random.Random(given.seed)
    os.environ["HEADWAY_RECORD"] = "0"
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are started without
    with tempfile.TemporaryDirectory(prefix="headway-interrupts-") as name:
        os.environ["HEADWAY_DIR"] = f"{name}/boards"
        tries = Tries(Path(name), compiled(Path(name)))
        for kind in SCENARIOS:
            warm_up(kind)
        for kind in given.scenarios or SCENARIOS:
            at = 1 + choose.randrange(given.stride)
            while tries.once(kind, at):
                at += given.stride
    return tries.report("interrupts", f"seed {given.seed}")


if __name__ == "__main__":
    sys.exit(main())
