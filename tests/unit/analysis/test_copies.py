"""The lists of a shared tracker, made from copies of its board."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from headway.analysis import SharedMemoryProgressTracker, copies
from headway.analysis.document import key_of
from headway.engine.board import Board, open_board


@pytest.fixture
def tracker(board_name: str) -> Iterator[SharedMemoryProgressTracker]:
    tracker = SharedMemoryProgressTracker(board_name, strict=True)
    tracker.start_analysis("BTC", "one")
    yield tracker
    open_board(board_name).remove(files=True)


@pytest.fixture
def on(tracker: SharedMemoryProgressTracker) -> Board:
    return open_board(tracker.name)


def test_active_follows_every_start_and_end(tracker: SharedMemoryProgressTracker, on: Board) -> None:
    lists = copies.Copies()
    assert lists.active(on) == ["one"]
    tracker.start_analysis("BTC", "x" * 200)
    assert lists.active(on) == ["one", "x" * 200], "by its id, of which the task's id is a digest"
    tracker.complete_analysis("one", "no_signal")
    assert lists.active(on) == ["x" * 200]


def test_a_list_belongs_to_its_caller(on: Board) -> None:
    lists = copies.Copies()
    lists.active(on).append("two")
    assert lists.active(on) == ["one"]
    lists.recent(on, 0.0)["one"].symbol = "ETH"
    assert lists.recent(on, 0.0)["one"].symbol == "BTC"


def test_recent_follows_changes_and_goes_by_the_start(tracker: SharedMemoryProgressTracker, on: Board) -> None:
    lists = copies.Copies()
    assert lists.recent(on, 0.0)["one"].current_stage == "initializing"
    tracker.update_stage("one", "ml_prediction")
    assert lists.recent(on, 0.0)["one"].current_stage == "ml_prediction"
    between = time.time()
    tracker.start_analysis("ETH", "y" * 200)
    assert list(lists.recent(on, between)) == [key_of("y" * 200)]


def test_a_record_that_has_not_changed_is_not_decoded_again(on: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = copies.Copies()
    found = lists.recent(on, 0.0)
    monkeypatch.setattr(copies, "loaded", lambda _: pytest.fail("decoded again"))
    assert lists.recent(on, 0.0) == found
