"""Boards of other processes, to be looked at and removed."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from headway import errors
from headway.engine.board import Board, open_board
from headway.upkeep import removal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    StartWorker = Callable[[str], AbstractContextManager[subprocess.Popen[str]]]

WORKER = """
import sys, time
from headway.engine.board import open_board
task = open_board(sys.argv[1], capacity=8).task("work", total=100)
task.update(40)
task.set(stage="parse", message="decoder.py")
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    made = open_board(board_name, capacity=8)
    yield made
    with contextlib.suppress(FileNotFoundError):  # the test removed the board's directory
        made.remove(files=True)


@contextlib.contextmanager
def _worker(name: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that works on a board; killed in the end, if the test has not done so."""
    command = [sys.executable, "-c", WORKER, name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


@pytest.fixture(scope="session")
def worker() -> StartWorker:
    """Starts another process that works on a board of this name; killed in the end, if the test has not done so."""
    return _worker


@pytest.fixture
def abandoned(board_name: str) -> Iterator[str]:
    """The name of a board whose only process was killed."""
    with _worker(board_name):
        pass
    yield board_name
    with contextlib.suppress(errors.UnknownBoard):
        removal.remove(board_name, force=True)
