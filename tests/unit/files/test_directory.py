"""The directories of boards: what a board that is removed leaves, and how a name that no board has is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import headway
from headway import errors
from headway.files import directory

if TYPE_CHECKING:
    from pathlib import Path

    from headway.engine.board import Board


def test_reading_a_name_that_no_board_has_speaks_of_boards_and_names_those_there_are(board: Board) -> None:
    with pytest.raises(errors.UnknownBoard, match=rf"there is no board 'nosuch' in .*: .*{board.name}"):
        headway.read("nosuch")


def test_removing_takes_what_a_board_left_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "board"
    place.mkdir()
    for name in ("board.lock", "recorder.lock", "users.lock", "recorder.log", f"result-{'0' * 32}.json"):
        (place / name).touch()
    (place / "notes.txt").touch()
    directory.remove(place)
    assert [path.name for path in place.iterdir()] == ["notes.txt"]
    (place / "notes.txt").unlink()
    directory.remove(place)
    assert not place.exists()
