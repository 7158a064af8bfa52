"""Real processes that begin to count on one task at the same moment, of which three are killed.

    python -m tests.faults.workers_at_once [--workers N] [--method fork|spawn]

Promised, and looked at while all are there, after three were killed, and when the others have left: the count is exact,
and so is the share of each process; no counter is shared by two; who was killed is named, with its share. Each process
counts its number, one by one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from headway.engine.board import Board, open_board
from tests.faults.tally import report

KILLED = 3
BOUND_S = 300.0


def wait_for(path: Path) -> None:
    give_up = time.monotonic() + BOUND_S
    while not path.exists():
        assert time.monotonic() < give_up, f"{path.name} did not come"
        time.sleep(0.02 if path.name == "begin" else 0.2)


def count(task: Any, number: int, place: str) -> None:
    """What a worker does."""
    folder = Path(place)
    (folder / f"here-{number}").touch()
    wait_for(folder / "begin")
    for _ in range(number):
        task.update()
    (folder / f"done-{number}").touch()
    wait_for(folder / "over")


def wait_for_all(folder: Path, what: str, number: int, processes: list[Any]) -> None:
    give_up = time.monotonic() + BOUND_S
    while len(list(folder.glob(f"{what}-*"))) < number:
        ended = [process.exitcode for process in processes if process.exitcode is not None]
        assert not ended, f"processes have ended: {ended}"
        assert time.monotonic() < give_up, f"{number} processes were not {what} in time"
        time.sleep(0.05)


def shares(board: Board) -> dict[int, tuple[int | None, bool]]:
    """By pid: the share, and whether the process lives."""
    view = board.get("task")
    assert view is not None
    assert view.lost_left_out == 0
    told = [*view.workers, *view.workers_lost]
    assert len({share.pid for share in told}) == len(told), "a process stands there twice"
    return {share.pid: (share.count, share.alive) for share in told}


def look(board: Board, meant: dict[int, int], killed: set[int]) -> None:
    view = board.get("task")
    assert view is not None
    assert view.count == sum(meant.values()), f"{view.count} of {sum(meant.values())} are counted"
    told = shares(board)
    assert {pid: share for pid, (share, _) in told.items()} == meant, "a share is wrong"
    assert {share.pid for share in view.workers_lost} == killed, "who was killed is not named"
    assert board.snapshot().meta["shared_counters"] == 0


def at_once(board: Board, workers: int, method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    task = board.task("task")
    processes: list[Any] = []
    with tempfile.TemporaryDirectory(prefix="headway-workers-") as place:
        folder = Path(place)
        try:
            for number in range(1, workers + 1):
                processes.append(context.Process(target=count, args=(task, number, place)))
                processes[-1].start()
            wait_for_all(folder, "here", workers, processes)
            (folder / "begin").touch()
            wait_for_all(folder, "done", workers, processes)
            meant = {process.pid: number for number, process in enumerate(processes, 1)}
            look(board, meant, set())
            for process in (victims := [processes[0], processes[workers // 2], processes[-1]]):
                os.kill(process.pid, signal.SIGKILL)
                process.join(BOUND_S)
            killed = {process.pid for process in victims}
            time.sleep(1.1)  # a copy of many workers may tell what it was told within the last second
            look(board, meant, killed)
        finally:
            (folder / "over").touch()
            for process in processes:
                process.join(BOUND_S)
        codes = {process.exitcode for process in processes if process not in victims}
        assert codes == {0}, codes
        look(board, meant, killed)
    task.succeed()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=24)
    parser.add_argument("--method", choices=("fork", "spawn"), default="fork")
    given = parser.parse_args()
    board = open_board(f"t-{os.getpid()}-at-once", capacity=8, result_bytes=64, record=False)
    failed = 0
    try:
        at_once(board, given.workers, given.method)
    except AssertionError as error:
        failed = 1
        print(error, file=sys.stderr)
    finally:
        board.remove(files=True)
    return report(given.workers, "processes", failed, given.method)


if __name__ == "__main__":
    sys.exit(main())
