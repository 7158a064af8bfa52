"""A process killed at each system call of making, joining and removing a board, and of starting its recorder.

    python crash_segment.py [--long] [--seed N] [WORD...]              with PYTHONPATH leading to this tree

WORD: only scenarios whose name contains it. After each kill a fresh process opens the board, soon and whole; in the end
nothing is left over of it. See test_segment_crashes.py.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from headway import errors
from headway.engine import segments
from headway.engine.board import Board, open_board
from headway.files import snapshot
from headway.files.directory import directories
from headway.native import core
from headway.process import address, launch
from headway.upkeep import removal
from tests.faults.children import fresh
from tests.faults.look import unfinished_semaphores
from tests.faults.syscalls import killed_at
from tests.faults.tally import report, shared_memory

SOON_S = 2.0  # to open a board
RECORDER_S = 15.0
opened = partial(open_board, capacity=8, workers=4, result_bytes=64, record=False)


@dataclass(frozen=True)
class Scenario:
    """What was before, what is killed, and what must hold afterwards: each in a process of its own, given the board."""

    before: Callable[[str], object]
    operation: Callable[[str], object]
    after: Callable[[str], object]
    strides: tuple[int, int] = (1, 1)  # only each so many-th system call is tried: in the quick run, in the long one


# --------------------------------------------------------------------------------------------------------------- boards


def nothing(name: str) -> None:
    assert not shared_memory(name), shared_memory(name)


def with_a_task(name: str) -> None:
    """A board that this process uses; what it shows stands in a snapshot, too."""
    board = opened(name)
    board.task("steady", total=9).update(5)
    board.write_snapshot()


def left_by_all(name: str) -> None:
    """A board of which only files are left."""
    with_a_task(name)
    opened(name).remove(files=False)
    assert not shared_memory(name)


def is_whole(name: str) -> Board:
    """Who opens the board now gets it soon, and can use it. Of other segments of it nothing is left."""
    began = time.monotonic()
    board = opened(name)
    took = time.monotonic() - began
    assert took < SOON_S, f"opening took {took:.3f} s"
    board.task("after").update(2)
    assert board.attach("after").count == 2
    board.task("after-2").succeed()
    segment = segments.object_name(name, board._segment.uuid)[1:]
    assert sorted(path.name for path in shared_memory(name)) == [segment, f"sem.{segment}"], shared_memory(name)
    notes = [path.name for path in board.directory.glob(".segment*")]
    assert not notes, notes
    return board


def is_as_before(name: str) -> None:
    view = is_whole(name).get("steady")
    assert view is not None
    assert (view.count, view.total) == (5, 9), view


def removing(name: str) -> None:
    opened(name).remove(files=False)


def collecting(name: str) -> None:
    """What gc does with a board whose processes are gone: its last snapshot, then the removal."""
    removal.gc([name])


def end(name: str) -> None:
    """Remove the board. Nothing is left of it."""
    board = opened(name)
    directory = board.directory
    board.remove(files=True)
    assert not shared_memory(name), shared_memory(name)
    until = time.monotonic() + RECORDER_S
    while directory.exists() and time.monotonic() < until:  # its recorder holds a file there for a moment longer
        time.sleep(0.01)
        with contextlib.suppress(errors.UnknownBoard):
            removal.remove(name, force=True)
    assert not directory.exists(), list(directory.iterdir())


# ------------------------------------------------------------------------------------------------------------ recorders


def wants_recorder(name: str) -> None:
    with_a_task(name)
    opened(name)._segment.want_recorder()


def starting(name: str) -> None:
    launch.ensure(opened(name)._segment)


def recording(name: str) -> None:
    """Become the recorder of the directory: it is killed on its way to the first snapshot."""
    board = opened(name)
    root = str(board.directory.parent)
    taken = address.take(address.of(root))
    assert taken is not None, "who was killed keeps the address"
    os.dup2(taken.fileno(), launch.LISTENING)
    arguments = launch.RECORDER, launch.FOLDER_OF_POSIX_IPC, root, name, board._segment.uuid
    command = [sys.executable, "-P", str(launch.BOOTSTRAP), *arguments]
    os.execve(sys.executable, command, {**os.environ, launch.GUARD: "1"})


def is_recorded(name: str) -> None:
    """Somebody who counts brings a recorder, and one is enough. Then it goes."""
    core.SILENT_SECONDS, core.START_SECONDS = 0.2, 4.0
    board = opened(name)
    segment = board._segment
    task = board.attach("steady")
    least = segment.sequence
    until = time.monotonic() + RECORDER_S
    while not segment.recorder_alive or segment.sequence == least:
        assert time.monotonic() < until, f"no recorder within {RECORDER_S:g} s"
        launch.ensure(segment)
        task.update(0)
        time.sleep(0.002)
    view = snapshot.read(board.directory).get("steady")
    assert view is not None
    assert (view.count, view.total) == (5, 9), view
    until = time.monotonic() + RECORDER_S
    while segment.recorder_alive:
        # Again, as one that was on its way follows the one that is killed: on a slow machine a second is started.
        with contextlib.suppress(ProcessLookupError):
            os.kill(segment.recorder_pid, signal.SIGKILL)
        assert time.monotonic() < until, "a recorder does not die of SIGKILL"
        time.sleep(0.001)


SCENARIOS = {
    "create": Scenario(nothing, opened, is_whole, (7, 1)),
    "create from a snapshot": Scenario(left_by_all, opened, is_as_before, (11, 1)),
    "attach": Scenario(with_a_task, opened, is_as_before, (7, 1)),
    "unlink": Scenario(with_a_task, removing, is_as_before, (7, 1)),
    "remove what nobody uses": Scenario(with_a_task, collecting, is_as_before, (31, 1)),
    "start a recorder": Scenario(wants_recorder, starting, is_recorded, (7, 1)),
    "be a recorder": Scenario(wants_recorder, recording, is_recorded, (401, 11)),
}


# ------------------------------------------------------------------------------------------------------------ the kills


def killed_everywhere(name: str, scenario: Scenario, first: int, stride: int) -> tuple[int, list[str]]:
    """Kill the operation at these of its system calls. Returns how often, and what failed."""
    failures = []
    for kills in itertools.count():
        number = first + kills * stride
        try:
            fresh(partial(scenario.before, name))
            killed = killed_at(number, partial(scenario.operation, name))
            recorded = scenario.operation is recording and last_sequence(name) > 1
            fresh(partial(scenario.after, name))
            fresh(partial(end, name))
        except (AssertionError, TimeoutError) as error:
            failures.append(f"killed at system call {number}: {error}")
            with contextlib.suppress(errors.HeadwayError, OSError):
                removal.remove(name, force=True)
            removal.GRACE_S = 0.0
            removal.gc([name])
            if len(failures) > 4:
                return kills, failures
            continue
        if not killed or recorded:
            return kills, failures
    raise AssertionError


def last_sequence(name: str) -> int:
    """The number of the last snapshot file. The first was written before there was a recorder."""
    return snapshot.read(next(path for path in directories() if path.name == name)).sequence


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("words", nargs="*")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    given = parser.parse_args()
    names = [name for name in SCENARIOS if not given.words or any(word in name for word in given.words)]
    if not names:
        parser.error(f"no scenario is named so: there are {', '.join(SCENARIOS)}")
    print(f"seed {given.seed}", file=sys.stderr)
    kills, failures, told = 0, [], []
    known = unfinished_semaphores(set())
    for number, scenario in enumerate(names):
        stride = SCENARIOS[scenario].strides[given.long]
        board = f"t-{os.getpid()}-{number}"
        done, wrong = killed_everywhere(board, SCENARIOS[scenario], 1 + given.seed % stride, stride)
        kills += done
        failures += [f"{scenario}, {why}" for why in wrong]
        told.append(f"{scenario} {done}" + (f" (one in {stride})" if stride > 1 else ""))
    print("\n".join(failures), file=sys.stderr)
    left = unfinished_semaphores(known)
    for path in left:
        path.unlink()
    note = f"{', '.join(told)}; {len(left)} times in the C library's sem_open, which leaves 32 bytes; seed {given.seed}"
    return report(kills, "kills", len(failures), note)


if __name__ == "__main__":
    sys.exit(main())
