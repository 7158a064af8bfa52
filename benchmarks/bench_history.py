"""The cost of adding ended tasks to the history, and of reading it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.contest import Contest, Side
from headway.engine.board import Board
from headway.files import history
from headway.native.records import DTYPES
from headway.views.board_view import Raw

BATCH = 64
GROWN = [(1e9 + 0.25 * at, at) for at in range(64)]  # how a count grew, as a recorder has it of each task


def batches(board: Board) -> Iterator[Raw]:
    """The ended tasks of a board, repeatedly, each time with a new generation of their slots."""
    for task in board.tasks():
        handle = board.attach(task.id)
        handle.result = {"auc": 0.91, "folds": [0.9, 0.91, 0.92]}
        handle.succeed()
    raw = board.snapshot().raw
    tasks = np.frombuffer(bytearray(raw.tasks), dtype=np.dtype(DTYPES["tasks"]))
    while True:
        tasks["generation"] += 2
        yield raw._replace(tasks=tasks.tobytes())


def bench_history_add(contest: Contest, make_board: Callable[..., Board], directory: Path) -> None:
    """Add a batch by a writer that has the file open, as the recorder does. Figures are per task."""
    place = directory / "add"
    place.mkdir()
    block = os.urandom(2 * 1024 * BATCH)  # about what SQLite writes for a batch
    descriptor = os.open(directory / "alone", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    raws = batches(make_board(BATCH))

    def write_alone() -> None:
        os.write(descriptor, block)
        os.fdatasync(descriptor)

    with history.Writer(place) as writer:
        contest(
            Side(lambda: writer.add(next(raws), range(BATCH), dict.fromkeys(range(BATCH), GROWN)), BATCH),
            {"2 KiB, with fdatasync a batch": Side(write_alone, BATCH)},
            rounds=60,
        )
    os.close(descriptor)
    assert len(history.read(place)) > BATCH


def bench_history_room(contest: Contest, make_board: Callable[..., Board], directory: Path) -> None:
    """Add a batch by a program that opens the file for it. Figures are per task."""
    raws = batches(make_board(BATCH))

    def make_room() -> None:
        with history.Writer(directory) as writer:
            writer.add(next(raws), range(BATCH))

    make_room()
    contest(Side(make_room, BATCH), rounds=40)


def bench_history_read(contest: Contest, make_board: Callable[..., Board], directory: Path) -> None:
    """The 50 newest of 6 400."""
    raws = batches(make_board(BATCH))
    with history.Writer(directory) as writer:
        for _ in range(100):
            writer.add(next(raws), range(BATCH), dict.fromkeys(range(BATCH), GROWN))
        contest(Side(lambda: history.read(directory, limit=50)), rounds=60)
    assert len(history.read(directory)) == 100 * BATCH
