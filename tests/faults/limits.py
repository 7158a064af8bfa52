"""A process that may have little more memory than it has: what needs more raises an error, and nothing is half done.

    python -m tests.faults.limits [--steps N] [SCENARIO...]

The address space is limited (RLIMIT_AS) to what there is, and a headroom that grows step by step from 64 KiB to more
than the operation needs. So what is large fails (mapping a board, copying it, encoding and reading a snapshot), and
fails for as long as the limit stands. What is promised: MemoryError, an OSError or an error of Headway's own that does
not speak of damage, or it works; with more memory the same process goes on, and another one finds everything.

A headroom of nothing at all is not tried: Python itself goes round in circles there, see memory.py.
"""

from __future__ import annotations

import argparse
import errno
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from headway import errors
from headway.engine.board import Board, open_board
from headway.engine.claims import leave_all
from headway.files import snapshot
from headway.views import columns  # noqa: F401 - it loads NumPy, which says ImportError where memory is short
from tests.faults.children import fresh
from tests.faults.tally import UNTRUE, Tally, nothing_left

CAPACITY, TASKS = 2_000, 1_500
HEADROOM = 64 << 10  # bytes, the least
MOST = 256 << 20  # bytes; no scenario needs so many
LABEL, TEXT = "a label of some length", "x" * 150


def made(name: str) -> Board:
    return open_board(name, capacity=CAPACITY, workers=16, result_bytes=256)


def filled(name: str) -> Board:
    board = made(name)
    for number in range(TASKS):
        task = board.task(f"t{number}", total=3, label=LABEL)
        task.update(2)
        task.result = {"number": number, "text": TEXT}
    return board


def written(name: str) -> Board:
    board = filled(name)
    board.write_snapshot()
    return board


def restored(name: str) -> None:
    """There is a snapshot of a board whose segment is gone."""
    written(name).remove(files=False)


def elsewhere(name: str) -> None:
    """Another process made the board, and left; nobody removes it, since there is no recorder."""
    fresh(lambda: filled(name))


@dataclass(frozen=True)
class Scenario:
    """prepare: with all the memory there is; operate: with little. tasks: how many the board has to have afterwards."""

    prepare: Callable[[str], Board | None]
    operate: Callable[[Board | None, str], object]
    tasks: int = TASKS


def on(operation: Callable[[Board], object]) -> Callable[[Board | None, str], object]:
    def operate(board: Board | None, _name: str) -> object:
        assert board is not None
        return operation(board)

    return operate


def claims(board: Board) -> None:
    for number in range(TASKS, TASKS + 100):
        task = board.task(f"t{number}", total=1)
        task.result = {"text": "y" * 200}
        task.update()


def works(board: Board) -> None:
    task = board.attach("t7")
    for _ in range(20):
        task.update()
        task.set(stage="fit", message="m" * 100, metrics={"a": 1.0})
        task.merge_result({"more": list(range(10))})


SCENARIOS = {
    "make": Scenario(lambda _name: None, lambda _board, name: made(name), 0),
    "attach": Scenario(elsewhere, lambda _board, name: made(name)),
    "restore": Scenario(restored, lambda _board, name: made(name)),
    "copy": Scenario(filled, on(lambda board: board.snapshot().to_dict())),
    "tasks": Scenario(filled, on(lambda board: board.tasks())),
    "write": Scenario(filled, on(lambda board: board.write_snapshot())),
    "read": Scenario(written, on(lambda board: snapshot.read(board.directory).to_dict())),
    "claim": Scenario(filled, on(claims)),
    "work": Scenario(filled, on(works)),
}


def in_use() -> int:
    """The address space of this process, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


class Tries(Tally):
    """Goes through the headrooms of scenarios, and counts."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._said = folder / "said"

    def once(self, kind: str, headroom: int) -> str:
        """How it ended with this headroom in bytes, in a process of its own; "" if a promise was broken."""
        scenario, name = SCENARIOS[kind], f"limits-{os.getpid()}-{self.tried}"
        steps = (
            lambda: self._said.write_text(self._attempt(scenario, name, headroom)),
            lambda: self._goes_on(scenario, name),
            lambda: self._at_rest(name),
        )
        held = self.held(f"{kind} with {headroom >> 10} KiB", name, *steps)
        end = self._said.read_text() if held else ""
        self.ends[end or "failed"] += 1
        shutil.rmtree(Path(os.environ["HEADWAY_DIR"]) / name, ignore_errors=True)
        return end

    def _attempt(self, scenario: Scenario, name: str, headroom: int) -> str:
        board = scenario.prepare(name)
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (in_use() + headroom, most))
        end = "worked"
        try:
            scenario.operate(board, name)
        except UNTRUE as error:
            raise AssertionError(f"nothing is damaged, and it says so: {error}") from error
        except (MemoryError, errors.HeadwayError, OSError, SystemError) as error:
            # SystemError: CPython 3.11, where there is no memory for a frame of its interpreter.
            end = type(error).__name__
            if isinstance(error, OSError) and error.errno == errno.ENOMEM and "ulimit -v" not in str(error):
                raise AssertionError(f"it names no remedy: {error}") from error
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
        self._goes_on(scenario, name)
        leave_all()
        return end

    def _goes_on(self, scenario: Scenario, name: str) -> None:
        board = made(name)
        tasks = {task.id: task for task in board.tasks()}
        for number in range(scenario.tasks):
            view = tasks[f"t{number}"]
            assert view.count >= 2, view
            assert view.label == LABEL, view
            assert view.result["number"] == number, view.result
            assert view.result["text"] == TEXT, view.result
        left = [path.name for path in board.directory.iterdir() if path.name.startswith(".")]
        assert not left, f"left over: {left}"
        task = board.task(f"after-{os.getpid()}", total=3)
        task.update(2)
        task.succeed()
        board.write_snapshot()
        written = snapshot.read(board.directory).get(task.id)
        assert written is not None, f"{task.id} is not in the snapshot"
        assert written.count == 2, written

    def _at_rest(self, name: str) -> None:
        made(name).remove(files=True)
        nothing_left(name)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}")
    parser.add_argument("--steps", type=int, default=24, help="headrooms to each doubling (default: 24)")
    given = parser.parse_args()
    os.environ["HEADWAY_RECORD"] = "0"
    with tempfile.TemporaryDirectory(prefix="headway-limits-") as folder:
        os.environ["HEADWAY_DIR"] = f"{folder}/boards"
        tries = Tries(Path(folder))
        fresh(lambda: written("warm").remove(files=True))  # what is compiled or cached at the first use, is
        for kind in given.scenarios or SCENARIOS:
            headroom = HEADROOM
            while (end := tries.once(kind, headroom)) not in ("worked", ""):
                headroom += max(4096, headroom // given.steps)
                if headroom > MOST:
                    tries.failed += 1
                    print(f"{kind} does not work with {headroom >> 20} MiB: {end}", file=sys.stderr)
                    break
    return tries.report("limits of memory")


if __name__ == "__main__":
    sys.exit(main())
