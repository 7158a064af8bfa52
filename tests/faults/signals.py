"""A signal every millisecond, in the program, its workers and its recorder: no call fails, hangs, or does half of it.

    python -m tests.faults.signals [--seconds N] [--seed N]

The handler is one of Python's, so each interrupted call of the system comes back with EINTR, which whoever made it has
to stand. The recorder has no handler for it, and gets SIGWINCH, which does nothing, and SIGCONT.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from functools import partial

import headway
from headway.engine.board import Board, open_board
from headway.files import history, snapshot
from tests.faults.children import fork
from tests.faults.tally import report

WORKERS = 3
SLOWEST_S = 20.0


class Storm:
    """Signals of a timer, to this process, from here on."""

    def __init__(self) -> None:
        self.came = 0
        signal.signal(signal.SIGALRM, self._count)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)

    def _count(self, _number: int, _frame: object) -> None:
        self.came += 1

    def end(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)


def calls(board: Board, name: str, id: str, choose: random.Random) -> Counter[str]:
    """One round of everything."""
    done: Counter[str] = Counter()
    with board.task(id, total=20) as task:
        task.update(3)
        for _ in task.track(range(7)):
            done["track"] += 1
        task.set(stage="fit", message="m", metrics={"loss": choose.random()})
        task.result = {"a": 1}
        task.merge_result({"b": 2})
        for _ in headway.track(range(10), label="inner", board=None):
            task.update()
        part = task.task("part", total=1)
        part.update()
        part.succeed()
    view = board.get(id)
    assert view is not None
    assert (view.state, view.count, view.result) == ("success", 20, {"a": 1, "b": 2}), view
    board.snapshot()
    board.write_snapshot()
    snapshot.read(board.directory)
    board.history(limit=5)
    board.reap()
    other = open_board(f"{name}-{os.getpid()}", capacity=16, workers=8, record=False)
    other.task("x").update()
    other.remove(files=True)
    done["rounds"] += 1
    return done


def worker(name: str, seed: int, until: float) -> None:
    storm = Storm()
    board, choose, number = open_board(name), random.Random(seed), 0
    while time.monotonic() < until:
        began = time.monotonic()
        calls(board, name, f"t-{seed}-{number % 5}", choose)
        assert time.monotonic() - began < SLOWEST_S, "a round took too long"
        board.attach("all").update()
        number += 1
    storm.end()
    assert storm.came > 50, f"only {storm.came} signals came"
    os.write(int(os.environ["TELL"]), f"{number} {storm.came}\n".encode())


def recorders_storm(board: Board, stop: threading.Event) -> None:
    """For the recorder: signals that interrupt what it is in."""
    while not stop.wait(0.001):
        pid = board._segment.recorder_pid
        if board._segment.recorder_alive and pid:
            try:
                os.kill(pid, signal.SIGWINCH)
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                continue


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    given = parser.parse_args()
    os.environ.pop("HEADWAY_RECORD", None)
    sys.stderr.flush()
    failed = rounds = came = 0
    with tempfile.TemporaryDirectory(prefix="headway-signals-") as folder:
        os.environ["HEADWAY_DIR"] = folder
        name = f"s-{os.getpid()}"
        board = open_board(name, capacity=128, workers=64)
        everyone = board.task("all")
        everyone.update(0)
        reader, writer = os.pipe()
        os.environ["TELL"] = str(writer)
        until = time.monotonic() + given.seconds
        pids = [fork(partial(worker, name, given.seed + number, until)) for number in range(WORKERS)]
        os.close(writer)
        stop = threading.Event()
        thread = threading.Thread(target=recorders_storm, args=(board, stop))
        thread.start()
        for pid in pids:
            failed += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0
        with os.fdopen(reader) as told:
            for line in told:
                rounds, came = rounds + int(line.split()[0]), came + int(line.split()[1])
        stop.set()
        thread.join()
        try:
            assert everyone.count == rounds, f"{everyone.count} of {rounds} rounds are counted"
            assert board._segment.recorder_errors[0] == 0, board._segment.recorder_errors
            everyone.succeed()
            deadline = time.monotonic() + SLOWEST_S
            while not any(task.id == "all" for task in history.read(board.directory)):
                assert time.monotonic() < deadline, "the recorder archives nothing"
                time.sleep(0.05)
        except AssertionError:
            failed += 1
            traceback.print_exc()
        board.remove(files=True)
    return report(came, "signals", failed, f"seed {given.seed}: {rounds:,} rounds of {WORKERS} processes")


if __name__ == "__main__":
    sys.exit(main())
