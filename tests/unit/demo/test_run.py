"""The parts of the demo: which files, what a worker does with one, what is told in the end."""

from __future__ import annotations

import io
import os
import signal
from typing import TYPE_CHECKING

import pytest

from headway.demo.corpus import standard_library
from headway.demo.report import Killed
from headway.demo.run import Options, _Demo
from headway.demo.work import NOTHING
from headway.engine.board import open_board
from headway.terminal.painter import Painter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.engine.task import Task


@pytest.fixture
def task(board_name: str) -> Iterator[Task]:
    board = open_board(board_name, capacity=8)
    yield board.task("work")
    board.remove(files=True)


@pytest.mark.parametrize(("counted", "on_all"), [(2, 3), (2, 2), (1, 2)], ids=["indexed", "kept", "kept, not counted"])
def test_counts_that_a_killed_worker_left_apart_are_put_right(board_name: str, counted: int, on_all: int) -> None:
    board = open_board(board_name, capacity=8)
    everything = board.task("all")
    told = io.StringIO()
    demo = _Demo(Options(board_name, standard_library(), 1), Painter(told), board, everything)
    demo._tasks = {"a": everything.task("a", total=5), "b": everything.task("b", total=1)}
    pid = os.fork()
    if pid == 0:
        with demo._tasks["a"] as task:
            task.set(stage="parse", message="x.py")
            task.result = {**NOTHING, "files": 2}
            task.update(counted)
            everything.update(on_all)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    demo._carry_on(["a", "b"], {"a": ("x.py",) * 5, "b": ("y.py",)})
    task = demo._tasks["a"]
    assert (task.count, task.state, everything.count) == (2, "running", 2)
    assert demo._tasks["b"].state == "pending"
    assert demo.report.killed == [Killed(pid, "all/a", "parse", "x.py", counted, 5)]
    assert f"worker {pid} was killed at all/a, file {counted + 1} of 5, in stage parse: x.py" in told.getvalue()
    board.remove(files=True)
