"""A board is followed by its name, whatever becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headway.engine.board import open_board
from headway.top import follow
from headway.top.follow import Follow

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def followed(board_name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Follow]:
    monkeypatch.setattr(follow, "CHECK_S", 0.0)
    made = Follow(board_name)
    yield made
    made.close()


def test_a_board_that_is_not_there_is_waited_for(followed: Follow) -> None:
    assert followed.look() == (None, "waiting", "there is no such board yet")


def test_a_board_is_live_and_begun_anew_it_is_followed_again(followed: Follow) -> None:
    for number in range(2):
        board = open_board(followed.name, capacity=8)
        board.task(f"t{number}")
        seen = followed.look()
        assert seen.state == "live"
        assert seen.view is not None
        assert [task.id for task in seen.view] == [f"t{number}"]
        board.remove(files=True)
        seen = followed.look()
        assert (seen.state, seen.told) == ("ended", "it was removed")
        assert seen.view is not None
        assert [task.state for task in seen.view] == ["cancelled"]


def test_a_board_of_which_a_snapshot_is_left_tells_when_it_was_last_seen(followed: Follow) -> None:
    board = open_board(followed.name, capacity=8)
    board.task("one")
    board.write_snapshot()
    board.remove(files=False)
    seen = followed.look()
    assert seen.state == "ended"
    assert seen.told.startswith("last seen ")
    assert seen.view is not None
    assert [task.id for task in seen.view] == ["one"]
    open_board(followed.name, capacity=8).remove(files=True)


def test_a_damaged_snapshot_is_told_and_not_raised(followed: Follow) -> None:
    board = open_board(followed.name, capacity=8)
    board.write_snapshot()
    board.remove(files=False)
    for name in ("snapshot.npz", "snapshot.prev.npz"):
        (board.directory / name).write_bytes(b"nonsense")
    seen = followed.look()
    assert (seen.view, seen.state) == (None, "damaged")
    assert "snapshot.npz" in seen.told
