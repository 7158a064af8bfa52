"""How a shared tracker gets its board, and what it remembers of the analyses there."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway import errors
from headway.analysis import MLPredictionResult, SharedMemoryProgressTracker, SupportResistanceResult, access
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


def test_of_a_document_that_this_process_wrote_only_the_changed_parts_are_decoded(board_name: str) -> None:
    tracker = SharedMemoryProgressTracker(board_name, strict=True)
    tracker.start_analysis("BTC", "one")
    tracker.update_support_resistance("one", SupportResistanceResult("ok", 1, 0, [{"price": 1.0}]))
    entry = tracker._at.entries["one"]
    before = entry.document(*entry.task._read_result())
    tracker.update_ml_prediction("one", MLPredictionResult("ok", 7))
    after = entry.document(*entry.task._read_result())
    assert after["support_resistance"] is before["support_resistance"]
    assert after["ml_prediction"].predictions_count == 7
    open_board(board_name).remove(files=True)


def test_what_a_program_does_to_a_record_changes_no_later_one(board_name: str) -> None:
    """Unchanged parts are decoded once, so later records are made of the same ones."""
    tracker = SharedMemoryProgressTracker(board_name, strict=True)
    tracker.start_analysis("BTC", "one")
    tracker.update_support_resistance("one", SupportResistanceResult("ok", 1, 0, [{"price": 1.0, "near": [2.0]}]))
    for number in range(2):
        tracker.update_ml_prediction("one", MLPredictionResult("ok", number))
        record = tracker.get_progress("one")
        assert record is not None
        assert record.support_resistance.supports == [{"price": 1.0, "near": [2.0]}]
        assert record.ml_prediction.predictions_count == number
        record.support_resistance.supports[0]["near"].append(3.0)
        record.support_resistance.supports[0]["price"] = 9.0
        record.support_resistance.supports.clear()
        record.support_resistance.status = "spoilt"
    open_board(board_name).remove(files=True)


@pytest.mark.parametrize("damaged", [b'{"start":1.0,"ml_prediction":5}', b'{"ml_prediction":[[]],"end":{}}'])
def test_a_damaged_part_that_this_process_passes_on_raises_nothing(board_name: str, damaged: bytes) -> None:
    tracker = SharedMemoryProgressTracker(board_name, strict=True)
    tracker.start_analysis("BTC", "one")
    tracker._at.entries["one"].written = None  # another process writes
    assert tracker._at.entries["one"].task._write_result(damaged)
    assert tracker.update_market_context("one", {"status": "ok", "trend_direction": "up"})
    assert tracker.get_progress("one") is None
    assert tracker.update_ml_prediction("one", MLPredictionResult("ok", 3))
    record = tracker.get_progress("one")
    assert record is not None
    assert (record.ml_prediction.predictions_count, record.market_context.trend_direction) == (3, "up")
    open_board(board_name).remove(files=True)
