"""The operations of workers: count, iterate, set stage and message."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
from collections.abc import Callable, Iterator
from itertools import repeat
from multiprocessing.managers import SyncManager
from types import ModuleType

import pytest
from tqdm import tqdm

from benchmarks.contest import Contest, Side
from headway.engine.board import Board

TIMES = 20_000  # a round takes half a millisecond: longer than a tick of any clock, shorter than a time slice


def calls(function: Callable[[], object], times: int = TIMES) -> Side:
    """A function called in a loop; the loop is part of the figure, on every side."""

    def run() -> None:
        for _ in repeat(None, times):
            function()

    return Side(run, times)


@pytest.fixture
def bar() -> Iterator[tqdm[int]]:
    """A tqdm bar that draws ten times a second, its default, to a stream that discards everything."""
    with open(os.devnull, "w") as void, tqdm(total=10**12, file=void) as one:
        yield one


def bench_update(contest: Contest, board: Board, floor: ModuleType, manager: SyncManager, bar: tqdm[int]) -> None:
    value = multiprocessing.Value(ctypes.c_int64)
    shared = manager.dict(count=0)

    def add_under_lock() -> None:
        with value.get_lock():
            value.value += 1

    def add_in_manager() -> None:
        shared["count"] += 1

    with board.task("one") as task:
        contest(
            calls(task.update),
            {
                "empty Cython method": calls(floor.Empty().update),
                "tqdm.update": calls(bar.update, TIMES // 10),
                "multiprocessing.Value": calls(add_under_lock, TIMES // 20),
                "Manager dict": calls(add_in_manager, 10),
            },
            rounds=200,
        )
        assert task.count >= 200 // 4 * TIMES


def bench_track(contest: Contest, board: Board) -> None:
    items = range(TIMES)

    def bare() -> None:
        for _ in items:
            pass

    def with_tqdm() -> None:
        with open(os.devnull, "w") as void:
            for _ in tqdm(items, file=void):
                pass

    with board.task("one") as task:

        def tracked() -> None:
            for _ in task.track(items):
                pass

        contest(Side(tracked, TIMES), {"bare loop": Side(bare, TIMES), "tqdm": Side(with_tqdm, TIMES)}, rounds=150)
        assert task.count >= 150 // 4 * TIMES


def bench_stage(contest: Contest, board: Board, floor: ModuleType, manager: SyncManager) -> None:
    stages = ("fit", "load") * (TIMES // 20)
    empty, shared = floor.Empty(), manager.dict(stage="")

    def write_none() -> None:
        for stage in stages:
            empty.stage = stage

    def write_in_manager() -> None:
        for stage in stages[:10]:
            shared["stage"] = stage

    with board.task("one") as task:

        def write() -> None:
            for stage in stages:
                task.stage = stage

        beside = {"empty Cython setter": Side(write_none, len(stages)), "Manager dict": Side(write_in_manager, 10)}
        contest(Side(write, len(stages)), beside, rounds=150)
        assert task.stage == "load"


def bench_message(contest: Contest, board: Board, floor: ModuleType, bar: tqdm[int]) -> None:
    messages = ("fold 3/5", "fold 4/5 of 5") * (TIMES // 20)
    empty = floor.Empty()

    def write_none() -> None:
        for message in messages:
            empty.stage = message

    def write_on_bar() -> None:
        for message in messages[:500]:
            bar.set_description_str(message, refresh=False)

    with board.task("one") as task:

        def write() -> None:
            for message in messages:
                task.message = message

        beside = {"empty Cython setter": Side(write_none, len(messages)), "tqdm's description": Side(write_on_bar, 500)}
        contest(Side(write, len(messages)), beside, rounds=150)
        assert task.message == "fold 4/5 of 5"


def bench_hw_add(contest: Contest, board: Board, floor: ModuleType) -> None:
    times = 10 * TIMES
    with board.task("one") as task:
        native = task.native()
        address = native.address
        contest(
            Side(lambda: floor.add(address, times), times),
            {
                "clock and atomic add alone": Side(lambda: floor.add_alone_and_clock(times), times),
                "clock alone": Side(lambda: floor.clock(times), times),
                "hw_add without clock": Side(lambda: floor.add_without_clock(address, times), times),
            },
            rounds=100,
        )
        assert task.count >= 100 // 4 * times


def bench_kernel(contest: Contest, board: Board, floor: ModuleType) -> None:
    """A C kernel whose iterations take about 100 ns; each is counted, in batches of 1 000."""
    times = 10_000
    with board.task("one") as task:
        native = task.native()
        address = native.address
        contest(
            Side(lambda: floor.iterations_counted(address, 0.5, times, 1000), times),
            {"the kernel alone": Side(lambda: floor.iterations(0.5, times), times)},
            rounds=100,
        )
        assert task.count >= 100 // 4 * times
