"""The pool, its board, and what happens when a worker dies.

The thread that waits for the pool also draws: a second thread would make each later fork unsafe. All workers are forked
before the pool starts its thread, so they import nothing again.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway import errors
from headway.demo.corpus import packages
from headway.demo.report import Killed, Report
from headway.demo.work import NOTHING, begin, index_file, index_package
from headway.engine.board import open_board
from headway.files import snapshot
from headway.system import support
from headway.upkeep import listing, removal
from headway.views.words import number, plural

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from headway.engine.board import Board
    from headway.engine.task import Task
    from headway.terminal.painter import Painter
    from headway.views.board_view import BoardView, TaskView

__all__ = ["Options", "run"]

LABEL = "headway demo"  # of the task "all": it identifies a board of the demo
TICK_S = 0.1
POOLS_MOST = 10


@dataclass(frozen=True)
class Options:
    """What to run. watch: the command line for watching, which the first message suggests."""

    board: str
    source: Path
    workers: int
    repeat: int = 1
    kill_one: bool = False
    watch: str = "headway watch"


def run(options: Options, painter: Painter) -> Report:
    """Index the files, draw the progress, write the last snapshot, and remove the board from shared memory.

    Raises HeadwayError if the board is in use or was not made by the demo, if there is nothing to index, or if the
    counts do not add up.
    """
    if support.disabled():
        raise errors.HeadwayError("HEADWAY_DISABLE is set, so there would be nothing to see: unset it for the demo")
    found = packages(options.source)
    _make_way(options.board)
    board = open_board(options.board, capacity=len(found) + 8)
    try:
        everything = board.task("all", total=0, unit="file", label=LABEL)
    except errors.TaskExists:  # another demo opened this board first
        board.close()
        raise
    demo = _Demo(options, painter, board, everything)
    with contextlib.ExitStack() as end:
        end.callback(board.remove, files=False)
        end.callback(demo.keep)
        end.callback(demo.draw_last)  # called first; if it fails (the terminal is gone), the others are still called
        files = {package.id: package.files * options.repeat for package in found}
        with everything:
            demo.index(files)
        demo.report.counted = everything.count
    return demo.report


def _make_way(name: str) -> None:
    """Remove a board of this name that an earlier demo left. Raises HeadwayError if any other board has the name."""
    info = listing.find(name)
    if info is None:
        return
    if info.state == "live":
        pids = ", ".join(str(worker.pid) for worker in info.view.workers if worker.alive) if info.view else ""
        who = f"pid {pids}" if pids else "another process"
        raise errors.HeadwayError(
            f"board {name!r} is in use by {who}: wait for its end, or choose another with --board"
        )
    if info.view is None:
        raise errors.HeadwayError(
            f"what is left of board {name!r} cannot be read ({info.error}): remove it with 'headway rm --force {name}' "
            "or choose another name with --board"
        )
    task = info.view.get("all")
    if task is None or task.label != LABEL:
        raise errors.HeadwayError(f"board {name!r} was not made by the demo: choose another name with --board")
    if info.state == "unused":
        removal.remove(name, files=False)
    snapshot.remove(info.directory)  # otherwise the new board would restore the old tasks


class _Demo:
    """One run of the demo."""

    def __init__(self, options: Options, painter: Painter, board: Board, everything: Task) -> None:
        self._options = options
        self._painter = painter
        self._board = board
        self._all = everything
        self._tasks: dict[str, Task] = {}
        self._kill = options.kill_one
        self._killed: int | None = None
        self.report = Report(options.board, str(options.source), options.workers, 0)

    def index(self, files: dict[str, tuple[str, ...]]) -> None:
        """Index the files of each package. All tasks are created before the first one begins."""
        total = sum(map(len, files.values()))
        self.report.files = self._all.total = total
        self._tasks = {name: self._all.task(name, total=len(some), unit="file") for name, some in files.items()}
        self._painter.say(
            f"indexing {plural(total, 'file')} of {self._options.source}, {plural(len(files), 'task')}, "
            f"{plural(self._options.workers, 'worker')}\n"
            f"watch it from another terminal: {self._options.watch} {self._board.name}"
        )
        began = time.monotonic()
        try:
            self._until_done(files)
        finally:
            self.report.seconds = time.monotonic() - began
        found = {name: task.result or NOTHING for name, task in self._tasks.items()}
        self.report.packages = found
        sums = (self._all.count, sum(task.count for task in self._tasks.values()), self.report.total["files"])
        if any(one != total for one in sums):
            raise errors.HeadwayError(
                f"of {total} files {' / '.join(map(str, sums))} were counted: this is a fault of Headway"
            )
        if self._kill:
            raise errors.HeadwayError("no worker could be killed: the run ended too soon; make it longer with --repeat")

    def draw_last(self) -> None:
        self._painter.draw(self._board.snapshot(), last=True)
        if self._painter.live:
            self._painter.say("")

    def keep(self) -> None:
        """Write the last snapshot. If the disk is full, the report is still printed."""
        with contextlib.suppress(OSError):
            self.report.snapshot = self._board.write_snapshot()

    def _until_done(self, files: dict[str, tuple[str, ...]]) -> None:
        while todo := [name for name, task in self._tasks.items() if task.state != "success"]:
            if self.report.pools == POOLS_MOST:
                raise errors.HeadwayError(f"{POOLS_MOST} pools of workers died one after the other: is memory short?")
            if self.report.pools:
                self._carry_on(todo, files)
            self.report.pools += 1
            with contextlib.suppress(BrokenProcessPool):
                self._pool({name: files[name] for name in todo})

    def _pool(self, files: dict[str, tuple[str, ...]]) -> None:
        """Index the packages in a pool. Raises BrokenProcessPool if a worker dies, which ends the whole pool."""
        index = self._all.counts(index_file)
        root = str(self._options.source)
        fork = multiprocessing.get_context("fork")
        _await_single_thread()
        with ProcessPoolExecutor(min(self._options.workers, len(files)), fork, begin) as pool:
            try:
                waiting = {pool.submit(index_package, self._tasks[name], index, root, files[name]) for name in files}
                while waiting:
                    done, waiting = wait(waiting, TICK_S)
                    for future in done:
                        future.result()
                    self._tick()
            except BrokenProcessPool:
                raise
            except BaseException:  # Ctrl-C above all: end now, without waiting for the packages in work
                for worker in multiprocessing.active_children():
                    worker.terminate()
                    if worker.pid is not None:
                        os.kill(worker.pid, signal.SIGCONT)  # a stopped worker would not receive SIGTERM
                pool.shutdown(cancel_futures=True)
                for task in self._tasks.values():
                    task.cancel("interrupted")
                raise

    def _tick(self) -> None:
        view = self._board.snapshot()
        self._painter.draw(view)
        if self._kill and 2 * self._all.count >= self.report.files:
            self._kill_one(view.tasks)

    def _kill_one(self, tasks: Iterable[TaskView]) -> None:
        """Kill the worker whose package has the most files left."""
        busy = [task for task in tasks if task.parent and task.state == "running" and task.owner_pid != os.getpid()]
        left = {task.owner_pid: (task.total or 0) - task.count for task in busy if task.owner_alive and task.count}
        pid = max(left, key=left.__getitem__, default=0)
        if left.get(pid, 0) > 1:
            self._kill = False
            self._killed = pid
            os.kill(pid, signal.SIGKILL)

    def _carry_on(self, todo: list[str], files: dict[str, tuple[str, ...]]) -> None:
        """After the death of a pool: report what was lost, correct the counts, and resume the tasks.

        A worker counts a file on "all", then in its package's result, then on its package. If it is killed in between,
        these three differ by one; the next worker continues from the result.
        """
        self._board.reap()
        view = self._board.snapshot()
        self._painter.draw(view)
        self._tell(view)
        indexed = 0
        for name, task in self._tasks.items():
            done = int((task.result or NOTHING)["files"])
            indexed += done
            if name in todo and task.state == "lost":
                task = self._tasks[name] = self._all.task(name, total=len(files[name]), unit="file", resume=True)
                task.update(done - task.count)
        self._all.update(indexed - self._all.count)

    def _tell(self, view: BoardView) -> None:
        lost = [task for task in view.tasks if task.state == "lost"]
        if self._killed is not None:
            mine = [task for task in lost if task.owner_pid == self._killed]
            told = [_killed(task) for task in mine] or [Killed(self._killed)]
            self._killed = None
        else:
            told = [_killed(task) for task in lost]
        self.report.killed += told
        for killed in told:
            self._painter.say(str(killed))
        others = len(lost) - len([killed for killed in told if killed.task])
        with_them = f", and with it {plural(others, 'other task')} ended" if others else ""
        self._painter.say(f"the pool is broken{with_them}: a new one goes on at file {number(self._all.count)}")


def _await_single_thread() -> None:
    """Wait until the kernel has ended all other threads: Thread.join returns a moment earlier, and Python warns if a
    process forks in that moment."""
    give_up = time.monotonic() + 1.0
    while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < give_up:
        time.sleep(0.001)


def _killed(task: TaskView) -> Killed:
    return Killed(task.owner_pid, task.id, task.stage, task.message, task.count, task.total)
