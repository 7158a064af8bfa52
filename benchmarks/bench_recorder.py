"""The cost of a recorder: of one board on which every task counts, and of the boards of many programs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.contest import Contest, Side
from headway.engine.board import Board
from headway.files import snapshot

WATCHED_S = 3.0
PATIENCE_S = 30.0
SETTLING_S = 12.0  # until the recorder knows what each board costs
BOARDS = 40
MIB_MOST = 20.0
LOOP = """
import os, sys, time
import headway

for _ in headway.track(range(10**9)):
    time.sleep(0.05)
    if not os.path.exists(sys.argv[1]):
        break
"""


def cpu_seconds(pid: int) -> float:
    """The CPU time of the process's threads so far, in nanoseconds: the first field of each one's schedstat."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def resident_mib(pid: int) -> float:
    """The memory of the process; of what it shares with others, its part (PSS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


@pytest.mark.parametrize("live", [1_000, 10_000])
def bench_recorder(
    contest: Contest, make_board: Callable[..., Board], live: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CPU seconds per second, without waits for the disk."""
    monkeypatch.setenv("HEADWAY_RECORD", "1")
    board = make_board(live)
    tasks = [board.attach(f"task-{number}") for number in range(live)]
    give_up = time.monotonic() + PATIENCE_S
    while (pid := board.snapshot().raw.meta["recorder_pid"]) is None:
        if time.monotonic() > give_up:
            raise TimeoutError("the board has no recorder")
        time.sleep(0.05)
    sequence = board.snapshot().sequence

    def watched() -> float:
        began, used = time.monotonic(), cpu_seconds(pid)
        while (elapsed := time.monotonic() - began) < WATCHED_S:
            for task in tasks:
                task.update()
            time.sleep(0.1)
        return (cpu_seconds(pid) - used) / elapsed

    contest(Side(watched, timed=True), rounds=5)
    assert board.snapshot().sequence > sequence + 5, "the recorder wrote nothing"


def bench_recorder_of_boards(contest: Contest, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CPU seconds per second of the recorder of programs with a loop each, and that it is one and small."""
    monkeypatch.setenv("HEADWAY_RECORD", "1")
    goes_on = directory / "goes-on"
    goes_on.touch()
    with contextlib.ExitStack() as programs:
        for number in range(BOARDS):
            programs.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", LOOP, str(goes_on)],
                    env={**os.environ, "HEADWAY_BOARD": f"bench-{os.getpid()}-{number}"},
                    stdin=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        programs.callback(goes_on.unlink)
        boards = [directory / f"bench-{os.getpid()}-{number}" for number in range(BOARDS)]
        give_up = time.monotonic() + PATIENCE_S
        while not all((board / snapshot.SNAPSHOT).exists() for board in boards):
            if time.monotonic() > give_up:
                raise TimeoutError("not all boards are recorded")
            time.sleep(0.05)
        time.sleep(SETTLING_S)
        (pid,) = {snapshot.read(board).meta["recorder_pid"] for board in boards}

        def watched() -> float:
            began, used = time.monotonic(), cpu_seconds(pid)
            time.sleep(WATCHED_S)
            return (cpu_seconds(pid) - used) / (time.monotonic() - began)

        contest(Side(watched, timed=True), rounds=5)
        assert (mib := resident_mib(pid)) <= MIB_MOST, f"the recorder of {BOARDS} boards has {mib:.1f} MiB"
    give_up = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{pid}").exists() and time.monotonic() < give_up:  # it writes there until it has left
        time.sleep(0.05)
