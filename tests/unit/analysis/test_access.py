"""How a shared tracker gets its board, and what it remembers of the analyses there."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway import errors
from headway.analysis import access
from headway.engine.board import Board, open_board


def test_looking_for_a_board_makes_none(board_name: str, headway_dir: Path) -> None:
    one = access.BoardAccess(board_name)
    assert one.existing() is None
    assert one.readable() is None
    assert not headway_dir.exists() or not list(headway_dir.iterdir())


def test_the_board_to_write_to_is_also_read_once_there_is_one(board_name: str) -> None:
    one = access.BoardAccess(board_name)
    board = one.open()
    assert one.open() is one.existing() is one.readable() is board
    board.remove(files=True)
    assert one.existing() is None
    assert one.readable() is None


def test_who_only_reads_has_a_board_of_its_own_that_is_not_in_use_by_it(board: Board) -> None:
    one = access.BoardAccess(board.name)
    readable = one.readable()
    assert readable is not None
    assert readable is not board
    assert readable._segment.incarnation == 0, "a reader is not registered on the board"
    assert one.readable() is readable


def test_entries_are_found_by_their_ids_until_they_are_forgotten(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    board.task("one")
    one = access.BoardAccess(board.name)
    at = one.attach()
    entry = one.entry("one", at)
    assert one.entry("one", at) is entry
    one.forget("one")
    assert one.entry("one", at) is not entry
    with pytest.raises(errors.UnknownTask):
        one.entry("two", at)
    monkeypatch.setattr(access, "ENTRIES_MAX", 2)
    board.task("two")
    board.task("three")
    for id in ("two", "three"):
        one.entry(id, at)
    assert list(one.entries) == ["three"], "what is remembered is bounded"
    assert open_board(board.name) is at
