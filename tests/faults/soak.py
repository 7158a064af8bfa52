"""A long run with churn: processes come, claim, count, and die in good order or by SIGKILL, beside a recorder.

    python -m tests.faults.soak [--seconds N | --long] [--seed N]

What is promised: resident memory and descriptors of program and recorder, what lies in /dev/shm, and the files of the
board do not grow; but for the history, which keeps a row a task. Snapshots are numbered without gaps, and no
acknowledged count is lost. Growth is the slope of a line through all samples after a warm-up of a third, times the
rest; it must stay below GROWTH_BYTES, or GROWTH_DESCRIPTORS.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import signal
import statistics
import struct
import sys
import tempfile
import time
from pathlib import Path

from headway import errors
from headway.engine.board import Board, open_board
from headway.engine.claims import leave_all
from headway.files import history, snapshot
from tests.faults.children import fork
from tests.faults.tally import report

PLACES = 6  # workers at a time
CAPACITY = 256
TICK_S = 0.05
WATCHED_S = 0.3  # a recorder writes no two snapshots in less than a quarter of a second, and two files are kept
GROWTH_BYTES = 4 << 20  # of which 2 MiB are the page cache of SQLite, which fills as the history grows
GROWTH_DESCRIPTORS = 1.0
ROW_BYTES = 4096  # of the history, for a task, with its share of indexes and log
LOG_BYTES = 12 << 20  # of the history's log, at most
PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def size_of(paths: list[Path]) -> int:
    total = 0
    for path in paths:
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def growth(samples: list[tuple[float, float]]) -> float:
    """How much it grew after the warm-up, by a line through the samples."""
    began, until = samples[0][0], samples[-1][0]
    steady = [sample for sample in samples if sample[0] >= began + (until - began) / 3]
    slope = statistics.linear_regression(*zip(*steady, strict=True)).slope
    return slope * (steady[-1][0] - steady[0][0])


class Workers:
    """The crew that comes and goes. What each acknowledges stands in memory that it shares with the program."""

    def __init__(self, board: Board, choose: random.Random) -> None:
        self._board, self._choose = board, choose
        self._all = board.task("all")
        self._all.update(0)
        self._acknowledged = mmap.mmap(-1, 8 * PLACES)
        self._pids: dict[int, tuple[int, float]] = {}  # by place: the process, and when it is killed
        self.total = self.begun = self.killed = self.failed = 0

    def _work(self, place: int, seed: int) -> None:
        choose, done = random.Random(seed), 0
        for number in range(choose.randrange(1, 12)):
            try:
                task = self._board.task(f"task-{choose.randrange(600)}", total=60)
            except errors.TaskExists:
                continue
            for step in range(60):
                task.update()
                if step % 20 == 0:
                    task.set(stage=f"stage {step // 20}", message=f"{number}")
                    self._all.update(20)
                    done += 20
                    struct.pack_into("q", self._acknowledged, 8 * place, done)
                    time.sleep(0.002)
            task.result = {"number": number}
            if choose.random() < 0.2:
                task.fail("by chance")
            elif choose.random() < 0.9:
                task.succeed()

    def look_after(self) -> None:
        """Bury, kill, and start."""
        now = time.monotonic()
        for place in range(PLACES):
            if place in self._pids:
                pid, until = self._pids[place]
                found, status = os.waitpid(pid, os.WNOHANG)
                if not found and now > until:
                    os.kill(pid, signal.SIGKILL)
                    found, status = os.waitpid(pid, 0)
                if not found:
                    continue
                self.killed += os.WIFSIGNALED(status)
                self.failed += os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0
                self.total += struct.unpack_from("q", self._acknowledged, 8 * place)[0]
                del self._pids[place]
            self._begin(place, now)

    def _begin(self, place: int, now: float) -> None:
        struct.pack_into("q", self._acknowledged, 8 * place, 0)
        seed = self._choose.randrange(1 << 32)
        self.begun += 1

        def life() -> None:
            self._work(place, seed)
            leave_all()  # as at the end of a program in good order

        self._pids[place] = fork(life), now + self._choose.uniform(0.02, 0.8)

    def end(self) -> None:
        for place, (pid, _) in self._pids.items():
            os.kill(pid, signal.SIGKILL)  # a child that is not waited for yet
            os.waitpid(pid, 0)
            self.total += struct.unpack_from("q", self._acknowledged, 8 * place)[0]


class Watch:
    """The numbers of the snapshots that were seen, and what was measured."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self.numbers: set[int] = set()
        self.unwatched = 0
        self.looked_at = time.monotonic()
        self.samples: dict[str, list[tuple[float, float]]] = {}

    def look(self) -> None:
        now = time.monotonic()
        for name in (snapshot.SNAPSHOT, snapshot.PREVIOUS):
            try:
                self.numbers.add(snapshot.read(self._board.directory / name).sequence)
            except errors.UnknownBoard:
                continue
        if now - self.looked_at > WATCHED_S:  # this machine was busy: what was written meanwhile may be gone
            self.unwatched += 1
            self.numbers = {max(self.numbers, default=0)}
        self.looked_at = now

    def gaps(self) -> list[int]:
        if not self.numbers:
            return []
        return sorted(set(range(min(self.numbers), max(self.numbers))) - self.numbers)

    def measure(self, program: int, recorder: int) -> None:
        now, files = time.monotonic(), list(self._board.directory.iterdir())
        shared = [path for path in Path("/dev/shm").iterdir() if self._board._segment.uuid in path.name]
        for what, value in (
            ("program", resident(program)),
            ("recorder", resident(recorder)),
            ("program's descriptors", descriptors(program)),
            ("recorder's descriptors", descriptors(recorder)),
            ("/dev/shm", size_of(shared)),
            ("files in /dev/shm", len(shared)),
            ("disk", size_of([path for path in files if not path.name.startswith((".", "history"))])),
        ):
            self.samples.setdefault(what, []).append((now, value))


def soak(board: Board, seconds: float, choose: random.Random) -> tuple[int, list[str], str]:
    """Returns how many processes there were, what was wrong, and the figures."""
    deadline = time.monotonic() + 20
    while not board._segment.recorder_alive:
        assert time.monotonic() < deadline, "no recorder came"
        time.sleep(0.02)
    recorder, workers, watch = board._segment.recorder_pid, Workers(board, choose), Watch(board)
    until, measured_at = time.monotonic() + seconds, 0.0
    wrong = []
    try:
        while (now := time.monotonic()) < until:
            workers.look_after()
            watch.look()
            if now - measured_at >= min(1.0, seconds / 60):
                measured_at = now
                watch.measure(os.getpid(), recorder)
                board.snapshot()
                if gaps := watch.gaps():
                    wrong.append(f"snapshots {gaps[:5]} were not seen, among {len(watch.numbers)}")
                    watch.numbers = {max(watch.numbers)}
            time.sleep(TICK_S)
    finally:
        workers.end()
    figures = []
    for what, samples in watch.samples.items():
        grown = growth(samples)
        bound = GROWTH_BYTES if what in ("program", "recorder", "/dev/shm", "disk") else GROWTH_DESCRIPTORS
        told = f"{what} {samples[-1][1] / 2**20:.1f} MiB {grown / 2**10:+.0f} KiB"
        figures.append(told if bound == GROWTH_BYTES else f"{what} {samples[-1][1]:.0f} {grown:+.1f}")
        if grown > bound:
            wrong.append(f"{what} grew by {grown:,.0f}, the bound is {bound:,.0f}")
    if board._segment.recorder_pid != recorder or not board._segment.recorder_alive:
        wrong.append("the recorder is another one")
    if board._segment.recorder_errors[0]:
        wrong.append(f"the recorder had errors: {board._segment.recorder_errors}")
    view = board.get("all")
    if view is None or view.count < workers.total:
        wrong.append(f"{workers.total} were acknowledged, and the count is {view}")
    if workers.failed:
        wrong.append(f"{workers.failed} workers failed")
    rows = len(board.history(hours=None))
    kept, log = (size_of(list(board.directory.glob(name))) for name in (history.HISTORY, f"{history.HISTORY}-*"))
    if kept > rows * ROW_BYTES + (1 << 20) or log > LOG_BYTES:
        wrong.append(f"{kept:,} bytes of history for {rows:,} tasks, and {log:,} of its log")
    figures.append(f"{workers.begun} processes, {workers.killed} killed, {rows:,} tasks archived")
    figures.append(f"{watch.unwatched} times too late to see every snapshot")
    return workers.begun, wrong, "; ".join(figures)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--long", action="store_true", help="twenty minutes")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    given = parser.parse_args()
    os.environ.pop("HEADWAY_RECORD", None)
    with tempfile.TemporaryDirectory(prefix="headway-soak-") as folder:
        os.environ["HEADWAY_DIR"] = folder
        board = open_board(f"s-{os.getpid()}", capacity=CAPACITY, workers=64, result_bytes=128)
        try:
            tried, wrong, figures = soak(board, 1200.0 if given.long else given.seconds, random.Random(given.seed))
        finally:
            board.remove(files=True)
    for line in wrong:
        print(line, file=sys.stderr)
    return report(tried, "processes", len(wrong), f"seed {given.seed}: {figures}")


if __name__ == "__main__":
    sys.exit(main())
