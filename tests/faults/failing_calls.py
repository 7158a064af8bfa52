"""System calls that fail while boards are made, restored, used, written and removed: full and broken disks, and more.

    python -m tests.faults.failing_calls [--seed N] [--stride N] [SCENARIO...]

Each call of a scenario fails once, and then, in another try, with all that follow. What is promised: the operation
works all the same, or says why by an error of its own kind that names the place; nothing is half there; what was safe
before is safe; and as soon as calls work again, the same process and a fresh one get all that they want.
"""

from __future__ import annotations

import argparse
import errno
import os
import random
import shutil
import sqlite3  # noqa: F401 - loaded now: what failing calls do to an import is its own affair
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from headway import errors
from headway.engine.board import Board, open_board
from headway.files import history, snapshot
from headway.recorder.recorder import Recorder
from headway.upkeep import listing, removal
from tests.faults.children import fresh
from tests.faults.injection import during
from tests.faults.look import unfinished_semaphores
from tests.faults.tally import UNTRUE, Tally, shared_memory

_FILES = (
    "write", "writev", "pwrite64", "fsync", "fdatasync", "ftruncate", "fallocate", "rename", "renameat", "renameat2",
    "link", "linkat", "mkdir", "mkdirat", "openat",
)  # fmt: skip
KINDS: dict[int, tuple[str, ...]] = {
    errno.ENOSPC: _FILES,
    errno.EIO: (*_FILES, "read", "pread64", "unlink", "unlinkat", "newfstatat", "fchmod", "flock"),
    errno.EMFILE: ("openat", "dup", "dup2", "dup3"),
    errno.EINTR: ("read", "write", "writev", "pwrite64", "fallocate", "ftruncate", "flock", "futex", "fsync",
                  "clock_nanosleep"),
    errno.ENOMEM: ("mmap", "madvise", "openat", "mprotect"),
}  # fmt: skip
EXPECTED = (errors.HeadwayError, OSError, MemoryError)
BOUND_S = 8.0  # an operation that takes longer hangs
MOST = 400  # no scenario makes so many calls of one kind
ENOUGH = 20  # failures that are told: all have one reason by then
COUNT = 7


@dataclass(frozen=True)
class Scenario:
    """What is there before, what is done while a call fails, and what has to hold then. worked: it said that it did."""

    prepare: Callable[[str], object]
    operate: Callable[[str], object]
    check: Callable[[str, bool], object]  # in the same process, then in a fresh one; both with all calls working
    gone: bool = False  # where it worked, nothing is left in /dev/shm at first


def made(name: str) -> Board:
    return open_board(name, capacity=16, workers=16, result_bytes=64)


def goes_on(name: str) -> None:
    """Whoever comes now can do everything."""
    board = made(name)
    task = board.task(f"after-{os.getpid()}", total=3)
    task.update(2)
    task.set(stage="one", message="two")
    task.result = {"four": 4}
    task.succeed()
    view = board.get(task.id)
    assert view is not None
    assert (view.count, view.state, view.result) == (2, "success", {"four": 4}), view
    board.write_snapshot()
    assert snapshot.read(board.directory).get(task.id) is not None


def tidy(name: str) -> None:
    """Nothing lies about that nobody will tidy up."""
    info = listing.find(name)
    assert info is not None, "the board is gone"
    left = [path.name for path in info.directory.iterdir() if path.name.startswith(".")]
    assert not left, f"left over: {left}"
    assert not list(info.directory.glob("*damaged*")), "something was taken for damaged"


# --- making, restoring, opening


def before(name: str) -> Board:
    """A board with something of each kind on it."""
    board = made(name)
    with board.task("good", total=3) as good:
        good.update(3)
        good.result = {"answer": 42}
    board.task("bad").fail("nonsense")
    board.task("going on").update(COUNT)
    return board


def still_there(name: str, state: str = "running") -> None:
    board = made(name)
    for id, states, count in (("good", ("success",), 3), ("bad", ("failed",), 0), ("going on", (state, "lost"), COUNT)):
        view = board.get(id)
        assert view is not None, f"{id!r} is gone"
        assert view.state in states, view
        assert view.count >= count, view


def left(name: str) -> None:
    """The same, on disk only."""
    board = before(name)
    board.write_snapshot()
    removal.retire(board)
    assert not shared_memory(name)


def use(name: str) -> None:
    board = made(name)
    task = board.task("new", total=9)
    task.update(4)
    task.set(stage="fit", message="m", metrics={"a": 1.0})
    task.result = {"a": 1}
    task.merge_result({"b": 2})
    task.succeed()
    board.attach("going on").update()
    board.snapshot()
    board.close()


def used(name: str, worked: bool) -> None:
    still_there(name)
    if worked:
        view = made(name).get("new")
        assert view is not None
        assert (view.state, view.count, view.result) == ("success", 4, {"a": 1, "b": 2}), view
    goes_on(name)
    tidy(name)


def create(name: str) -> None:
    made(name).task("first").update()


def created(name: str, worked: bool) -> None:
    goes_on(name)
    if worked:
        assert made(name).get("first") is not None
    tidy(name)


def restored(name: str, worked: bool) -> None:
    del worked
    still_there(name, "lost")
    goes_on(name)
    tidy(name)


# --- files


def with_snapshot(name: str) -> None:
    before(name).write_snapshot()


def write(name: str) -> None:
    board = made(name)
    board.attach("going on").update()
    board.write_snapshot()


def written(name: str, worked: bool) -> None:
    board = made(name)
    view = snapshot.read(board.directory)
    found = view.get("going on")
    assert found is not None
    assert found.count >= COUNT + worked, found
    used(name, False)


def with_history(name: str) -> None:
    board = before(name)
    board._segment.want_recorder()
    board.write_snapshot()
    look(name)
    board.task("later", total=1).update()
    board.attach("later").succeed()


def recorder_of(name: str) -> Recorder:
    board = listing.attach(name)
    assert board is not None
    return Recorder.elected(board)


def look(name: str) -> None:
    """One look of a recorder. It may fail, but not by an exception, and the next look does all of it."""
    recorder = recorder_of(name)
    try:
        reason = recorder._look()
        if reason is not None:
            raise AssertionError(reason)
        if recorder.problem is not None:
            raise recorder.problem
    finally:
        recorder.resign()


def looked(name: str, worked: bool) -> None:
    board = made(name)
    if not worked:
        look(name)
    past = Counter(task.id for task in history.read(board.directory))
    for id in ("good", "bad", "later"):
        assert past[id] == 1, past
    assert snapshot.read(board.directory).get("later") is not None
    used(name, False)


def finish(name: str) -> None:
    recorder = recorder_of(name)
    try:
        if not recorder.finish():
            raise recorder.problem or errors.HeadwayError(f"board {name} stays")
    finally:
        recorder.resign()


def finished(name: str, worked: bool) -> None:
    restored(name, worked)


def unlink(name: str) -> None:
    made(name).remove(files=True)


def unlinked(name: str, worked: bool) -> None:
    del worked
    goes_on(name)  # whatever of it was left: a board of this name can be made or opened
    tidy(name)


SCENARIOS = {
    "create": Scenario(lambda _name: None, create, created),
    "restore": Scenario(left, lambda name: made(name).close(), restored),
    "use": Scenario(before, use, used),
    "snapshot": Scenario(with_snapshot, write, written),
    "look": Scenario(with_history, look, looked),
    "finish": Scenario(with_history, finish, finished, gone=True),
    "unlink": Scenario(with_history, unlink, unlinked, gone=True),
}


# ----------------------------------------------------------------------------------------------------------- the tries


class Tries(Tally):
    """Goes through the calls of scenarios, and counts."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self._said = folder / "said"

    def once(self, kind: str, error: int, at: int, lasting: bool) -> bool:
        """One try. Returns whether there was such a call."""
        scenario, name = SCENARIOS[kind], f"w-{os.getpid()}-{self.tried}"
        fresh(lambda: scenario.prepare(name))
        self.tried += 1
        end: list[str] = []

        def operate() -> None:
            warnings.simplefilter("ignore")
            began = time.monotonic()
            try:
                scenario.operate(name)
                end.append("")
            except EXPECTED as problem:
                end.append(f"{type(problem).__name__}: {problem}")
                if isinstance(problem, UNTRUE):
                    end.append(f"UNTRUE {type(problem).__name__}, and nothing is damaged: {problem}")
                if not _names_a_place(problem, name):
                    end.append(f"UNNAMED {type(problem).__name__}: {problem}")
            except BaseException:  # noqa: BLE001 - told, whatever it is
                end.append(f"UNTYPED {traceback.format_exc()}")
            if time.monotonic() - began > BOUND_S:
                end.append(f"SLOW: {time.monotonic() - began:.1f} s")

        def afterwards() -> None:
            self._said.write_text("\n".join(end))
            for wrong in end[1:]:
                raise AssertionError(wrong)
            assert not end[0].startswith("UNTYPED"), end[0]
            assert end[0] or not scenario.gone or not shared_memory(name), f"it is still there: {shared_memory(name)}"
            scenario.check(name, not end[0])

        try:
            self._said.unlink(missing_ok=True)
            came = during(operate, afterwards, KINDS[error], at, error=error, lasting=lasting)
            if came.code:
                raise AssertionError(f"the check in the same process ended with {came.code}")
            worked = not self._said.read_text()
            self.ends["worked all the same" if worked else self._said.read_text().partition(":")[0]] += came.hit
            fresh(lambda: scenario.check(name, worked))
            fresh(lambda: made(name).remove(files=True))
            if shared_memory(name):  # nothing could be removed: what nobody refers to is left to gc
                self.ends["left for gc"] += 1
                fresh(lambda: removal.gc([name]))
            assert not shared_memory(name), f"left in /dev/shm: {shared_memory(name)}"
        except (AssertionError, TimeoutError) as problem:
            self.failed += 1
            said = self._said.read_text() if self._said.exists() else ""
            which = f"{errno.errorcode[error]} at call {at}{' and all later ones' if lasting else ''}"
            print(f"{kind}, {which} of {KINDS[error]}: {problem}; it had said: {said!r}", file=sys.stderr)
            return at < MOST and self.failed < ENOUGH
        finally:
            for path in shared_memory(name):
                path.unlink()
            shutil.rmtree(self.folder / "boards" / name, ignore_errors=True)
        return came.hit


def _names_a_place(problem: BaseException, name: str) -> bool:
    return isinstance(problem, MemoryError) or "/" in str(problem) or name in str(problem)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("scenarios", nargs="*", default=list(SCENARIOS), metavar="SCENARIO")
    parser.add_argument("--stride", type=int, default=1, help="try each n-th call only, beginning at a random one")
    parser.add_argument("--errno", action="append", help="only this one")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    given = parser.parse_args()
    choose = random.Random(given.seed)
    os.environ["HEADWAY_RECORD"] = "0"
    removal.GRACE_S = 0.0  # what is to be removed some day is removed at once
    known = unfinished_semaphores(set())
    with tempfile.TemporaryDirectory(prefix="headway-calls-") as name:
        os.environ["HEADWAY_DIR"] = f"{name}/boards"
        tries = Tries(Path(name))
        for kind in given.scenarios:
            for error in KINDS:
                if given.errno and errno.errorcode[error] not in given.errno:
                    continue
                for lasting in (False, True) if error != errno.EINTR else (False,):
                    at = 1 + choose.randrange(given.stride)
                    while tries.once(kind, error, at, lasting):
                        at += given.stride
    for path in unfinished_semaphores(known):
        path.unlink()
        tries.ends["left by the C library's sem_open, whose unlink failed, too"] += 1
    return tries.report("failing calls", f"seed {given.seed}")


if __name__ == "__main__":
    sys.exit(main())
