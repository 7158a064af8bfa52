"""The operations of watchers (get, snapshot), and claiming, ending and freeing tasks."""

from __future__ import annotations

import os
from collections.abc import Callable
from multiprocessing.managers import SyncManager
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.contest import Contest, Side
from headway.engine.board import Board
from headway.files.snapshot import SNAPSHOT
from headway.views.board_view import BoardView, TaskView


def bench_get(
    contest: Contest, make_board: Callable[..., Board], tasks: int, floor: ModuleType, manager: SyncManager
) -> None:
    times, asked = 200, 10
    board = make_board(tasks)
    ids = [f"task-{(number * 7919) % tasks}" for number in range(times)]  # 7919: spread over the board, not in order
    shared = manager.dict({id: {"stage": "fit", "message": "fold 3/5", "count": 1} for id in ids})
    empty = floor.Empty()
    views: list[TaskView | None] = []

    def get() -> None:
        views[:] = [board.get(id) for id in ids]

    def get_none() -> None:
        for id in ids:
            empty.get(id)

    def get_from_manager() -> None:
        for id in ids[:asked]:
            shared[id]

    contest(
        Side(get, times),
        {"empty Cython method": Side(get_none, times), "Manager dict": Side(get_from_manager, asked)},
        rounds=60 if tasks <= 1000 else 30,
    )
    assert [view and view.id for view in views] == ids


def bench_claim(contest: Contest, make_board: Callable[..., Board], manager: SyncManager) -> None:
    """An id that has ended starts anew: one slot is claimed, another one freed, and the task ended."""
    times, shared = 50, manager.dict()
    board = make_board(capacity=16_384)  # a freed slot rests for 100 ms; here no slot is needed twice

    def claim_and_free() -> None:
        for _ in range(times):
            board.task("again").succeed()

    def in_manager() -> None:
        for number in range(5):
            shared[number] = {"state": "pending"}
            del shared[number]

    contest(Side(claim_and_free, times), {"Manager dict, set and del": Side(in_manager, 5)}, rounds=60)


def bench_snapshot_copy(contest: Contest, make_board: Callable[..., Board], tasks: int, manager: SyncManager) -> None:
    board = make_board(tasks)
    shared = manager.dict({id: {"stage": "fit", "message": "fold 3/5", "count": 1} for id in range(tasks)})
    views: list[BoardView] = []

    def copy() -> None:
        views[:] = [board.snapshot()]

    records = len(board.snapshot().raw.tasks)
    block = bytearray(records)
    beside = {
        "memcpy of the task records": Side(lambda: bytes(block)),
        "Manager dict, copied": Side(shared.copy),
    }
    contest(Side(copy), beside, rounds=60 if tasks <= 1000 else 10)
    assert len(views[0].tasks) == tasks


@pytest.mark.parametrize("processes", [4, 256, 700])
def bench_copy_beside(contest: Contest, make_board: Callable[..., Board], processes: int) -> None:
    """A copy of an empty board, in whose table so many living processes stand."""
    times = 50
    board = make_board(workers=1024)
    segment = board._segment
    (come, came), (wait, gate) = os.pipe(), os.pipe()
    pids = []
    try:
        for _ in range(processes):
            pid = os.fork()
            if pid == 0:
                os.close(gate)
                segment.register(True)
                os.write(came, b".")
                os.read(wait, 1)
                os._exit(0)
            pids.append(pid)
        for _ in pids:
            assert os.read(come, 1)

        def copy() -> None:
            for _ in range(times):
                segment.copy()

        contest(Side(copy, times))
    finally:
        os.close(gate)
        for pid in pids:
            os.waitpid(pid, 0)
        for descriptor in (come, came, wait):
            os.close(descriptor)


def bench_snapshot_file(contest: Contest, make_board: Callable[..., Board], tasks: int, directory: Path) -> None:
    """Copy, write, fsync of the file, rename, fsync of the directory."""
    board = make_board(tasks)
    size = board.write_snapshot().stat().st_size
    block = b"\1" * size
    path = board.directory / SNAPSHOT

    def write_alone() -> None:
        """Write the same bytes as safely, from one buffer that exists already."""
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        descriptor = os.open(directory / "temporary", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(descriptor, block)
        os.fsync(descriptor)
        os.close(descriptor)
        os.rename(directory / "temporary", directory / "alone")
        os.fsync(folder)
        os.close(folder)

    contest(Side(board.write_snapshot), {"the same bytes, with fsync": Side(write_alone)}, rounds=20)
    assert path.stat().st_size >= size // 2
