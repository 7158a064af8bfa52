"""The public API as type checkers see it. Never run: mypy and pyright read it, and have to agree with each line."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import assert_type

import headway
from headway import errors


def square(number: int) -> int:
    return number * number


def boards() -> None:
    board = headway.open("nightly", capacity=64, workers=16, result_bytes=4096, record=False)
    assert_type(board, headway.Board)
    assert_type(board.name, str)
    assert_type(board.directory, Path)
    assert_type(board.get("one"), headway.TaskView | None)
    assert_type(board.snapshot(), headway.BoardView)
    assert_type(board.write_snapshot(), Path)
    assert_type([view for view in board], list[headway.TaskView])  # noqa: C416 - its iterator is what is looked at
    assert_type(len(board), int)
    assert_type("one" in board, bool)
    board.remove(files=True)
    for view in board.watch(0.5):
        assert_type(view, headway.BoardView)
    for past in board.history(hours=1.0):
        assert_type(past.id, str)
        assert_type(past.ended, float | None)
    with headway.open() as entered, entered.live():
        assert_type(entered, headway.Board)
    assert_type(headway.get_include(), str)


def tasks(board: headway.Board) -> None:
    with board.task("sums", total=100, label="Sums", unit="number") as task, ProcessPoolExecutor() as pool:
        assert_type(task, headway.Task)
        assert_type(list(pool.map(task.counts(square), range(100))), list[int])
    assert_type(task.update(), None)
    task.update(3)
    assert_type(task.count, int)
    assert_type(task.total, int | None)
    assert_type(task.state, str)
    assert_type(task.stage, str)
    task.set(stage="fit", message="fold 3/5", metrics={"loss": 0.5}, count=7)
    assert_type(task.metrics, Mapping[str, float])
    assert_type(task.view(), headway.TaskView)
    assert_type(board.task("shared", join=True), headway.Task)
    task.result = {"auc": 0.91}
    assert_type(task.task("part", total=3), headway.Task)
    assert_type(headway.current(), headway.Task)
    for number in task.track([1, 2, 3]):
        assert_type(number, int)
    task.fail(ValueError("no such bar"))


def views(path: Path) -> None:
    board = headway.read("nightly")
    assert_type(board, headway.BoardView)
    assert_type(headway.read(path), headway.BoardView)
    for task in board.tasks:
        assert_type(task, headway.TaskView)
        assert_type(task.count, int)
        assert_type(task.total, int | None)
        assert_type(task.fraction, float | None)
        assert_type(task.eta, float | None)
        assert_type(task.metrics, Mapping[str, float])
    for worker in board.workers:
        assert_type(worker, headway.WorkerView)
        assert_type(worker.pid, int)


def loops(names: Iterator[str], sizes: list[int]) -> None:
    for name in headway.track(names, total=3, label="names", unit="name"):
        assert_type(name, str)
    for size in headway.track(sizes, board="nightly"):
        assert_type(size, int)


async def asynchronous(source: AsyncIterable[bytes]) -> None:
    tracked = headway.track(source)
    assert_type(tracked, AsyncIterator[bytes])
    async for part in tracked:
        assert_type(part, bytes)


def failures() -> None:
    try:
        headway.open("nightly").task("sums")
    except headway.errors.TaskExists as error:
        assert_type(error, errors.TaskExists)
    except errors.BoardFull as error:
        assert_type(error, errors.BoardFull)
    except headway.HeadwayError:
        pass


def calls_of_joblib(board: headway.Board) -> None:
    from headway.integrations import joblib

    joblib.install()
    joblib.install("nightly")
    joblib.install(board)
    with joblib.tracked(label="fits", board=board):
        joblib.Parallel(2, label="fits", board="nightly")([joblib.delayed(square)(1)])
    assert_type(joblib.uninstall(), None)


def maps(names: list[str]) -> None:
    assert_type(headway.process_map(square, range(10)), list[int])
    assert_type(headway.process_map(square, range(10), mp_context="spawn", retries=2, on_error="finish"), list[int])
    assert_type(headway.process_map(len, names, on_error="return"), list[int | BaseException])
    assert_type(headway.process_map(len, names, lazy=True), Iterator[int])
    assert_type(headway.thread_map(len, names, max_workers=4, chunksize=1, label="names"), list[int])
    assert_type(headway.thread_map(len, names, on_error="return", lazy=True), Iterator[int | BaseException])
    for error in [errors.WorkerDied("the worker died")]:
        assert_type(error.item, str)
        assert_type(error.exitcode, int | None)
