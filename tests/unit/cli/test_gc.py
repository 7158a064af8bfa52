"""`headway gc` says what it did with each board that it was given.

Always with a name: without one it removes what any program of this user left.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway.cli.main import main
from headway.engine.board import Board, open_board

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def live(board_name: str) -> Iterator[Board]:
    board = open_board(board_name, capacity=8)
    yield board
    with contextlib.suppress(FileNotFoundError):
        board.remove(files=True)


def test_a_board_that_there_is_not_is_an_error_and_the_others_are_done(
    live: Board, capsys: pytest.CaptureFixture[str]
) -> None:
    live.close()
    assert main(["gc", "no-such-board", live.name]) == 1
    told = capsys.readouterr()
    assert f"removed board {live.name}" in told.out
    assert told.err.startswith("headway: there is no board 'no-such-board' in ")
    assert told.err.count("\n") == 1


def test_a_board_with_nothing_to_remove_is_no_error(live: Board, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gc", live.name]) == 0
    assert capsys.readouterr().out == "there is nothing to remove\n"


def test_only_unknown_boards_are_not_called_nothing_to_remove(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gc", "no-such-board", "nor-this-one"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("there is no board") == 2


def test_a_dry_run_removes_nothing(live: Board, headway_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    live.close()
    assert main(["gc", "--dry-run", live.name]) == 0
    assert f"would remove board {live.name}: nobody uses it" in capsys.readouterr().out
    assert (headway_dir / live.name / "segment").exists()
    assert main(["gc", live.name]) == 0
    assert not (headway_dir / live.name / "segment").exists()
