"""The cost of a board's recorder while every task counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.contest import Contest, Side
from headway.engine.board import Board

WATCHED_S = 3.0
PATIENCE_S = 30.0


def cpu_seconds(pid: int) -> float:
    """The CPU time of the process so far, in nanoseconds: the first field of its schedstat."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


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
