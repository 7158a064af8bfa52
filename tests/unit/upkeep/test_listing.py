"""Which boards there are, and in which state."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway import errors
from headway.engine.board import Board
from headway.files import directory as directory_of_boards
from headway.upkeep import listing, removal

if TYPE_CHECKING:
    from tests.unit.upkeep.conftest import StartWorker

SHM = Path("/dev/shm")


def state(name: str) -> str | None:
    info = listing.find(name)
    return None if info is None else info.state


def test_a_board_is_live_then_unused_then_a_snapshot_then_gone(board_name: str, worker: StartWorker) -> None:
    assert state(board_name) is None
    with worker(board_name):
        assert state(board_name) == "live"
    assert state(board_name) == "unused"
    removal.gc([board_name])
    assert state(board_name) == "snapshot"
    removal.remove(board_name)
    assert state(board_name) is None


def test_boards_are_listed_by_name_with_their_state(board: Board) -> None:
    board.task("x").update(3)
    (info,) = listing.boards()
    assert (info.name, info.state, info.error) == (board.name, "live", None)
    assert info.directory == board.directory
    assert info.view is not None
    assert info.view.tasks[0].count == 3
    assert info.bytes == next(SHM.glob(f"headway-*-{board.name}-*")).stat().st_size


def test_a_board_that_cannot_be_read_is_listed_with_the_reason(board: Board) -> None:
    (board.directory / "segment").rename(board.directory / "kept")
    (board.directory / "segment").write_text("nonsense\n")
    (info,) = listing.boards()
    (board.directory / "kept").replace(board.directory / "segment")
    assert info.state == "damaged"
    assert info.error is not None
    assert "does not name a segment" in info.error


def test_looking_at_a_board_leaves_no_trace(abandoned: str) -> None:
    for _ in range(3):
        assert [info.name for info in listing.boards()] == [abandoned]
        assert [board.name for board in map(listing.glance, listing.newest_first()) if board] == [abandoned]
        watched = listing.attach(abandoned)
        assert watched is not None
        assert len(watched.snapshot().workers) == 1
        watched.close()
    assert state(abandoned) == "unused"


def test_no_board_is_made_by_asking_for_one(board_name: str, headway_dir: Path) -> None:
    assert listing.attach(board_name) is None
    assert listing.find(board_name) is None
    assert not headway_dir.exists()


def test_names_are_those_of_directories_that_hold_something_of_a_board(board: Board, headway_dir: Path) -> None:
    (headway_dir / "past").mkdir()
    (headway_dir / "past" / "history.sqlite3").touch()
    (headway_dir / "no-board").mkdir()
    (headway_dir / "no-board" / "board.lock").touch()
    assert directory_of_boards.names() == sorted([board.name, "past"])


def test_the_last_sign_of_life_is_the_newest_file_of_program_or_recorder(headway_dir: Path) -> None:
    directory = headway_dir / "some"
    directory.mkdir(parents=True)
    assert directory_of_boards.last_sign_of_life(directory) is None
    for file, at in (("snapshot.npz", 1000), ("recorder.lock", 3000), ("history.sqlite3", 2000), ("board.lock", 9000)):
        (directory / file).touch()
        os.utime(directory / file, (at, at))
    assert directory_of_boards.last_sign_of_life(directory) == 3000


def test_a_board_is_live_as_long_as_a_process_uses_it(board_name: str, worker: StartWorker) -> None:
    assert not listing.is_live(board_name)
    with worker(board_name):
        assert listing.is_live(board_name)
    assert not listing.is_live(board_name)
    removal.remove(board_name)


@pytest.mark.parametrize(
    ("there", "hint"),
    [
        ([], "there are none: start a program that opens one, or 'headway demo'"),
        (["nightly", "weekly"], "did you mean 'nightly'?"),
        (["abc", "xyz"], "there are: abc, xyz"),
        (
            [f"b{n:02}" for n in range(11)],
            "there are: b00, b01, b02, b03, b04, b05, b06, b07 and 3 more, see 'headway ls'",
        ),
    ],
)
def test_an_unknown_name_is_answered_with_its_like_or_with_some_that_there_are(
    there: list[str], hint: str, headway_dir: Path
) -> None:
    for name in there:
        (headway_dir / name).mkdir(parents=True)
        (headway_dir / name / "snapshot.npz").touch()
    error = directory_of_boards.unknown("nightyl")
    assert isinstance(error, errors.UnknownBoard)
    assert str(error) == f"there is no board 'nightyl' in {headway_dir}: {hint}"
