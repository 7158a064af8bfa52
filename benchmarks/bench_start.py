"""The CPU time of starts: a spawned worker, a forked worker's first update, and commands in a shell."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from benchmarks.bench_import import command, python
from benchmarks.contest import Contest, Side
from headway.engine.board import Board
from headway.engine.task import Task

PATIENCE_S = 30.0


def bench_spawned_worker(contest: Contest, board: Board) -> None:
    """A fresh interpreter gets a task by pickle, finds its board, registers and counts, as spawned workers do."""
    with board.task("one") as task:
        handle = pickle.dumps(task)
        beside = {"bare Python": python("pass"), "import pickle": python("import pickle")}
        contest(python(f"import pickle; pickle.loads({handle!r}).update()"), beside, rounds=30)
        assert task.count >= 30 // 4


def first_update(task: Task, answer: Connection) -> None:
    begin = time.thread_time()
    task.update()
    first = time.thread_time()
    task.update()
    answer.send((first - begin, time.thread_time() - first))


def bench_first_update(contest: Contest, board: Board) -> None:
    """The first update of a forked worker draws an identity, locks a byte for it, takes a row and a stripe."""
    context = multiprocessing.get_context("fork")
    seconds: list[float] = []

    def fork_and_count(which: int) -> float:
        link, answer = context.Pipe()
        child = context.Process(target=first_update, args=(task, answer))
        child.start()
        answer.close()
        if not link.poll(PATIENCE_S):
            raise TimeoutError(f"a worker has not counted for {PATIENCE_S:g} s")
        seconds[:] = link.recv()
        child.join(PATIENCE_S)
        return seconds[which]

    with board.task("one") as task:
        side = Side(lambda: fork_and_count(0), timed=True)
        contest(side, {"the second one": Side(lambda: fork_and_count(1), timed=True)}, rounds=40)


@pytest.mark.parametrize("word", ["--version", "ls"])
def bench_command(contest: Contest, make_board: Callable[..., Board], word: str) -> None:
    """`headway` in a shell, from the start of the interpreter to its end; ls with one board in shared memory."""
    make_board(10).write_snapshot()
    headway = str(Path(sys.executable).with_name("headway"))
    beside = {"bare Python": python("pass"), "import argparse": python("import argparse")}
    contest(command(headway, word), beside, rounds=30)


def bench_run(contest: Contest, tmp_path: Path) -> None:
    """`headway run` of a program that does nothing, beside Python's own start with that program."""
    program = tmp_path / "nothing.py"
    program.write_text("pass\n")
    headway = str(Path(sys.executable).with_name("headway"))
    beside = {"Python": command(sys.executable, str(program)), "import argparse": python("import argparse")}
    contest(command(headway, "run", str(program)), beside, rounds=30)
