"""Programs that have no file descriptor left: when they open a board, fork, count, read, write, and start a recorder.

    python -m tests.faults.descriptors

Real limits and really full tables. What is promised: what needs a descriptor says so by an error that names the remedy;
counting never raises, and forked workers count although their table is full; a recorder starts all the same; and with
descriptors back, everything works in the same process.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from headway import errors
from headway.engine.board import Board, open_board
from headway.files import history, snapshot
from headway.upkeep import listing
from tests.faults.children import eventually, fresh
from tests.faults.tally import Tally

LIMIT = 64
BOUND_S = 30.0


@contextmanager
def none_left(spare: int = 0) -> Iterator[None]:
    """Fill the table of descriptors, but for some."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, hard))
    try:
        try:
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
        for fd in taken[len(taken) - spare :]:
            os.close(fd)
        del taken[len(taken) - spare :]
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def refused(operation: Callable[[], object], where: str) -> None:
    """It says that there is no descriptor, and where it wanted one."""
    said = None
    try:
        operation()
    except OSError as error:
        said = error
    assert said is not None, f"{where}: a full table was enough"
    assert said.errno == errno.EMFILE, f"{where}: {said!r}"
    assert "/" in str(said), f"{where}: {said} names no place"


def bare(name: str) -> None:
    """Made, opened, looked for: refused at every number of descriptors that is too small, then done."""
    for spare in range(16):
        said = board = None
        with none_left(spare):
            try:
                board = open_board(name, capacity=8, workers=8)
            except OSError as error:
                said = error
        if board is None:
            assert said is not None
            assert said.errno == errno.EMFILE, said
            assert "ulimit" in str(said), said
            continue
        board.task(f"t-{spare}").update()
        assert spare > 1
        board.remove(files=True)
        return
    raise AssertionError("16 descriptors are not enough for a board")


def attached(name: str) -> None:
    fresh(lambda: open_board(name, capacity=8, workers=8).task("t").update())
    with none_left():
        refused(lambda: open_board(name), "open")
        refused(lambda: listing.attach(name), "watch")
    assert open_board(name).get("t") is not None


def working(name: str) -> None:
    """A program that has its board open goes on with a full table: all that is memory works."""
    board = open_board(name, capacity=8, workers=8)
    with board.task("earlier", total=1) as task:
        task.update()
    with history.Writer(board.directory) as writer:
        writer.add(board._copy(), [0])
    with none_left():
        with board.task("t", total=3) as task:
            task.update()
            task.set(stage="fit", message="m")
            task.result = {"a": 1}
            task.merge_result({"b": 2})
        assert [view.state for view in board.tasks()] == ["success", "success"]
        assert board.get("t") is not None
        refused(board.write_snapshot, "write_snapshot")
        refused(lambda: snapshot.read(board.directory), "read")
        refused(board.history, "history")
    board.write_snapshot()
    assert snapshot.read(board.directory).get("t") is not None


def first_block(name: str) -> None:
    """A block is entered before anything has imported multiprocessing, and that cannot be imported now."""
    for module in [module for module in sys.modules if module.partition(".")[0] == "multiprocessing"]:
        del sys.modules[module]
    board = open_board(name, capacity=8, workers=8)
    with none_left(), board.task("t", total=1) as task:
        task.update()
    assert [view.state for view in board.tasks()] == ["success"]


def full_of_ended(name: str) -> None:
    """No room, tasks to archive, and no descriptor to archive them with: they are dropped, and work goes on."""
    board = open_board(name, capacity=4, workers=8)
    board._segment.want_recorder()
    for number in range(4):
        board.task(f"old-{number}").succeed()
    with none_left():
        board.task("new").update()
    assert board._segment.dropped >= 1
    assert board.get("new") is not None


def forked(name: str) -> None:
    """Forked workers are somebody, count, and are seen to die; although their table was full when they were forked."""
    board = open_board(name, capacity=8, workers=32)
    task = board.task("t")
    task.update(0)
    with none_left():
        pids = []
        for _ in range(8):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    task.update(10)
                    task.set(message="from a child")
                    assert board._segment.incarnation
                    code = 0
                finally:
                    if code:
                        traceback.print_exc()
                    os._exit(code)
            pids.append(pid)
        for pid in pids:
            assert os.waitpid(pid, 0)[1] == 0
    view = board.get("t")
    assert view is not None
    assert view.count == 80, view
    assert {share.pid for share in (*view.workers, *view.workers_lost)} > set(pids[:1]), view.workers_lost


def orphaned(name: str) -> None:
    """The child does not keep its parent alive: a program that dies with a full table is seen to be dead."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        board = open_board(name, capacity=8, workers=8)
        board.task("t").update()
        with none_left():
            child = os.fork()
            if child == 0:
                os.close(reader)
                time.sleep(20)
                os._exit(0)
        os.write(writer, f"{child}\n".encode())
        os.kill(os.getpid(), 9)
    child = int(os.read(reader, 32))
    os.waitpid(pid, 0)
    board = open_board(name)
    try:  # the child may still be on its way out of the fork
        eventually(lambda: [view.state for view in board.tasks()] == ["lost"], "its dead owner is taken for alive", 5.0)
    finally:
        os.kill(child, 9)


def unnamed(name: str) -> None:
    """Where there is no descriptor and the segment has no name any more, counting raises nothing, and warns."""
    board = open_board(name, capacity=8, workers=8)
    task = board.task("t")
    task.update()
    board._segment.leave()
    os.close(_lock_descriptor())
    with none_left(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            task.update()
    assert [one.category for one in caught] == [errors.StaleTaskWarning], caught
    task.update(5)
    assert task.count == 6, task.count


def _lock_descriptor() -> int:
    """The one that is never mapped: the last of the segment."""
    found = [
        link for link in Path("/proc/self/fd").iterdir() if link.is_symlink() and "headway-" in str(link.readlink())
    ]
    return max(int(link.name) for link in found)


def recorded(name: str) -> None:
    """A recorder starts from a full table, and has descriptors of its own, whatever the program's limit is."""
    del os.environ["HEADWAY_RECORD"]
    board = open_board(name, capacity=8, workers=8)
    try:
        task = board.task("t")
        until = time.monotonic() + BOUND_S
        os.kill(_recorder(board, until), 9)
        board._segment.want_recorder()
        with none_left():
            while time.monotonic() < until:
                task.update()
                time.sleep(0.05)
                if board._segment.recorder_alive:
                    break
            else:
                raise AssertionError("no recorder was started from a full table")
            before = board._segment.sequence
            task.update()
            while board._segment.sequence == before:
                assert time.monotonic() < until, "the recorder writes nothing"
                time.sleep(0.05)
        task.succeed()
        while not board.history():
            assert time.monotonic() < until, "the recorder archives nothing"
            time.sleep(0.05)
        assert board._segment.recorder_errors[0] == 0, board._segment.recorder_errors
    finally:
        os.environ["HEADWAY_RECORD"] = "0"


def _recorder(board: Board, until: float) -> int:
    while not board._segment.recorder_alive:
        assert time.monotonic() < until, "no recorder came"
        time.sleep(0.02)
    return board._segment.recorder_pid


SCENARIOS = (bare, attached, working, first_block, full_of_ended, forked, orphaned, unnamed, recorded)


def remove(name: str) -> None:
    open_board(name).remove(files=True)


def main() -> int:
    os.environ["HEADWAY_RECORD"] = "0"
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="headway-descriptors-") as folder:
        os.environ["HEADWAY_DIR"] = folder
        for scenario in SCENARIOS:
            name = f"d-{os.getpid()}-{scenario.__name__.replace('_', '-')}"
            tally.held(
                scenario.__name__, name, partial(scenario, name), last=partial(remove, name), bound_s=2 * BOUND_S
            )
    return tally.report("exhaustions")


if __name__ == "__main__":
    sys.exit(main())
