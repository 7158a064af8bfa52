"""Fixtures of the benchmarks: boards filled with tasks, and the peers that they are compared with."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing import Manager
from multiprocessing.managers import SyncManager
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.building import load_floor
from benchmarks.contest import Benchmark, Contest
from headway.engine.board import Board, open_board

LARGE = 100_000


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="a quarter of the rounds: a look, not a measurement")
    parser.addoption("--large", action="store_true", help=f"boards of {LARGE} tasks, too (430 MB of /dev/shm)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`tasks`: how many there are on the board."""
    if "tasks" in metafunc.fixturenames:
        sizes = [10, 1_000, 10_000, *([LARGE] if metafunc.config.getoption("--large") else [])]
        metafunc.parametrize("tasks", sizes)


@pytest.fixture(autouse=True)
def directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of the boards, on a disk, because fsync costs nothing in memory."""
    for name in ("HEADWAY_BOARD", "HEADWAY_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    with tempfile.TemporaryDirectory(prefix="headway-bench-", dir=os.environ.get("HEADWAY_BENCH_DIR")) as path:
        monkeypatch.setenv("HEADWAY_DIR", path)
        monkeypatch.setenv(
            "HEADWAY_RECORD", "0"
        )  # the work of a recorder would be measured, too; only one benchmark wants that
        yield Path(path)


@pytest.fixture
def contest(benchmark: Benchmark, request: pytest.FixtureRequest) -> Contest:
    return Contest(benchmark, 0.25 if request.config.getoption("--quick") else 1.0)


@pytest.fixture(scope="session")
def floor() -> ModuleType:
    """benchmarks/floor.pyx"""
    return load_floor()


@pytest.fixture(scope="session")
def manager() -> Iterator[SyncManager]:
    with Manager() as running:
        yield running


@pytest.fixture
def make_board() -> Iterator[Callable[..., Board]]:
    """Opens a board with so many running tasks; each has counted and has a stage and a message."""
    boards = []

    def make(tasks: int = 0, *, capacity: int | None = None, workers: int = 64) -> Board:
        # Results have the length 0 where there are very many tasks: they are in nobody's snapshot here.
        few = tasks <= 1000
        name = f"bench-{os.getpid()}-{secrets.token_hex(4)}"
        board = open_board(name, capacity=capacity or max(tasks, 16), workers=workers, result_bytes=2048 if few else 0)
        boards.append(board)
        for number in range(tasks):
            task = board.task(f"task-{number}", total=5000, unit="bar", label=f"Task {number}")
            task.update(number)
            task.set(stage="fit", message="fold 3/5", metrics={"loss": 0.12})
        return board

    yield make
    for board in boards:
        board.remove(files=True)


@pytest.fixture
def board(make_board: Callable[..., Board]) -> Board:
    return make_board()
