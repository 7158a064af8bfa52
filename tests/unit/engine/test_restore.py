"""A board whose segment is gone begins with the tasks of its last snapshot."""

from __future__ import annotations

import pytest

from headway.engine.board import open_board


def left_behind(name: str) -> None:
    """A snapshot of two tasks, and no segment."""
    with open_board(name, capacity=8) as board:
        board.task("ended").succeed("all is well")
        board.task("open", total=10).update(4)
        board.write_snapshot()
        board.remove(files=False)


def test_ended_tasks_are_as_they_were_and_open_ones_are_lost(board_name: str) -> None:
    left_behind(board_name)
    board = open_board(board_name, capacity=8)
    try:
        ended, was_open = board.get("ended"), board.get("open")
        assert ended is not None
        assert was_open is not None
        assert (ended.state, ended.message) == ("success", "all is well")
        assert (was_open.state, was_open.count, was_open.total) == ("lost", 4, 10)
    finally:
        board.remove(files=True)


def test_with_less_room_the_newest_are_taken(board_name: str) -> None:
    left_behind(board_name)
    board = open_board(board_name, capacity=1)
    try:
        assert [task.id for task in board] == ["open"]
    finally:
        board.remove(files=True)


def test_a_snapshot_that_cannot_be_read_is_kept_aside_and_named(board_name: str) -> None:
    left_behind(board_name)
    with open_board(board_name, capacity=8) as board:
        snapshot = board.directory / "snapshot.npz"
        board.remove(files=False)
    snapshot.write_bytes(b"nonsense")
    (board.directory / "snapshot.prev.npz").unlink(missing_ok=True)
    with pytest.warns(RuntimeWarning, match=r"begins empty, .* was kept as .*\.damaged-\d+\.npz"):
        board = open_board(board_name, capacity=8)
    try:
        assert len(board) == 0
        (aside,) = board.directory.glob("snapshot.damaged-*.npz")
        assert aside.read_bytes() == b"nonsense"
        aside.unlink()
    finally:
        board.remove(files=True)
