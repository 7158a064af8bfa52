"""A board whose segment is gone begins with the tasks of its last snapshot."""

from __future__ import annotations

import ctypes

import pytest

from headway.engine.board import open_board
from headway.files import snapshot
from headway.views.durations import Durations


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


def test_items_and_durations_are_restored_and_what_was_not_timed_stays_so(board_name: str) -> None:
    """The first time from a snapshot that knows durations, the second time from one of before."""
    for knows in (True, False):
        board = open_board(board_name, capacity=4, record=False)
        with board.task("one") as task:
            task.update(5)
            native = task.native()
            address = native.item_function
            ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(address)(native.address, b"BTC")
            view = board.snapshot()
        snapshot.write(view.raw if knows else view.raw._replace(durations=None), board.directory)
        board.remove(files=False)
        board = open_board(board_name, capacity=4, record=False)
        try:
            found = board.get("one")
            assert found is not None
            assert [share.item for share in found.workers_lost] == ["BTC"]
            assert found.durations == (Durations(quick=5) if knows else None)
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
