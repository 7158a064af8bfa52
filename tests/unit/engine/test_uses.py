"""A program that has a board open says so to other containers, for as long as it has it open."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from headway.engine import uses
from headway.engine.board import open_board
from headway.system import locks


def test_a_board_is_in_use_from_its_making_to_its_closing(board_name: str) -> None:
    board = open_board(board_name, capacity=4, record=False)
    assert locks.user(board.directory) is not None
    open_board(board_name)
    board.close()
    assert locks.user(board.directory) is None
    board = open_board(board_name, record=False)
    assert locks.user(board.directory) is not None, "also by who opens a board that is there"
    board.remove(files=True)
    open_now = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert not [path for path in open_now if path.startswith(str(board.directory))], "nor once it was removed"


def test_the_next_segment_of_a_directory_is_told_anew(tmp_path: Path) -> None:
    uses.begin(tmp_path, "one")
    (tmp_path / locks.USERS).unlink()  # removed with the board
    assert locks.user(tmp_path) is None
    uses.begin(tmp_path, "two")
    assert locks.user(tmp_path) is not None
    uses.end(tmp_path)
    uses.end(tmp_path)
    assert locks.user(tmp_path) is None


def test_a_directory_that_was_removed_and_made_anew_is_told_anew(tmp_path: Path) -> None:
    directory = tmp_path / "board"
    directory.mkdir()
    uses.begin(directory, "one")
    shutil.rmtree(directory)
    directory.mkdir()
    assert locks.user(directory) is None
    for _ in range(2):
        uses.begin(directory, "one")
        assert locks.user(directory) is not None
    uses.end(directory, "one")
    assert locks.user(directory) is None
