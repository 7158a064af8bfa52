"""'headway record', as a person calls it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from headway.engine.board import Board, open_board
from headway.files import snapshot


def headway(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headway", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL, env=env
    )


@pytest.fixture
def board(board_name: str) -> Any:
    board = open_board(board_name, capacity=8, workers=8)
    yield board
    if not board._segment.closed:
        board.remove(files=True)


def test_record_writes_the_files_until_it_is_stopped_and_leaves_the_board(board: Board) -> None:
    task = board.task("one", total=10)
    with subprocess.Popen(
        [sys.executable, "-m", "headway", "record", board.name], stdout=subprocess.PIPE, text=True
    ) as recorder:
        assert recorder.stdout is not None
        assert "recording" in recorder.stdout.readline()
        task.update(3)
        until = time.monotonic() + 30
        while not ((board.directory / "snapshot.npz").exists() and snapshot.read(board.directory).get("one")):
            assert time.monotonic() < until
            time.sleep(0.01)
        second = headway("record", board.name)
        assert second.returncode == 1
        assert f"pid {recorder.pid}" in second.stderr
        task.update(4)
        recorder.send_signal(signal.SIGINT)
        assert "stopped" in recorder.stdout.read()
        assert recorder.wait(timeout=30) == 0
    view = snapshot.read(board.directory).get("one")
    assert view is not None
    assert (view.count, view.state) == (7, "running")
    assert not board._segment.retired
    assert board._segment.recorder == 0


def test_record_ends_with_the_board(board: Board) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "headway", "record", board.name], stdout=subprocess.PIPE, text=True
    ) as recorder:
        assert recorder.stdout is not None
        assert "recording" in recorder.stdout.readline()
        board.remove(files=False)
        assert "removed" in recorder.stdout.read()
        assert recorder.wait(timeout=30) == 0


def test_record_of_a_board_that_is_not_there_says_so(board_name: str) -> None:
    told = headway("record", board_name)
    assert told.returncode == 1
    assert "--wait" in told.stderr
