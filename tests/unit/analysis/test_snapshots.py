"""Analyses for those who only watch: what the files of a board tell of them, and when they are behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

import headway
from headway.analysis import AnalysisProgress, AnalysisSnapshots, SharedMemoryProgressTracker, SupportResistanceResult
from headway.engine.board import Board, open_board

LARGE = 2000  # levels: far more than a slot has room for


def levels(price: float) -> SupportResistanceResult:
    return SupportResistanceResult("success", LARGE, 0, [{"price": price}] * LARGE, [])


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    tracker = SharedMemoryProgressTracker(board_name)
    tracker.start_analysis("BTC", "one")
    board = open_board(board_name)
    yield board
    board.remove(files=True)


def test_without_a_snapshot_there_are_no_analyses(board: Board) -> None:
    watcher = AnalysisSnapshots(board.name)
    assert watcher.get_progress("one") is None
    assert watcher.get_all_recent() == []
    board.write_snapshot()
    assert [progress.symbol for progress in watcher.get_all_recent()] == ["BTC"]
    assert watcher.get_progress("two") is None


def test_an_id_that_no_slot_can_hold_is_found_too(board: Board) -> None:
    tracker, watcher = SharedMemoryProgressTracker(board.name), AnalysisSnapshots(board.name)
    tracker.start_analysis("BTC", "x" * 5000)
    board.write_snapshot()
    found = watcher.get_progress("x" * 5000)
    assert found is not None
    assert found.execution_id == "x" * 5000
    assert watcher.get_progress("x" * 5001) is None
    with pytest.raises(ValueError, match="execution id"):
        watcher.get_progress("")


def test_a_result_that_was_replaced_since_the_snapshot_comes_from_the_next_one(board: Board) -> None:
    tracker, watcher = SharedMemoryProgressTracker(board.name), AnalysisSnapshots(board.name)
    tracker.update_support_resistance("one", levels(1.0))
    board.write_snapshot()
    tracker.update_support_resistance("one", levels(2.0))  # and the file that the snapshot names is gone
    timer = threading.Timer(0.3, board.write_snapshot)
    timer.start()
    found = watcher.get_progress("one")
    timer.join()
    assert found is not None
    assert found.support_resistance == levels(2.0)
    assert watcher.get_all_recent() == [found]


def test_a_result_that_was_replaced_is_pending_while_there_is_no_next_snapshot(board: Board) -> None:
    tracker, watcher = SharedMemoryProgressTracker(board.name), AnalysisSnapshots(board.name)
    tracker.update_support_resistance("one", levels(1.0))
    tracker.update_stage("one", "ml_prediction")
    board.write_snapshot()
    tracker.update_support_resistance("one", levels(2.0))
    found = watcher.get_progress("one")
    assert found is not None
    assert (found.overall_status, found.current_stage) == ("running", "ml_prediction")
    assert found.support_resistance.status == "pending"


def test_who_was_killed_reads_as_failed_in_its_stage(board: Board) -> None:
    script = f"""
import os, signal
from headway.analysis import SharedMemoryProgressTracker
tracker = SharedMemoryProgressTracker({board.name!r})
tracker.start_analysis("ETH", "dead")
tracker.update_stage("dead", "market_context")
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    board.write_snapshot()
    found = AnalysisSnapshots(board.name).get_progress("dead")
    assert found is not None
    assert (found.overall_status, found.failure_stage) == ("failed", "market_context")
    assert "died" in found.final_message


def test_what_had_to_make_room_is_found_in_the_history(board_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_RECORD", "1")
    board = open_board(board_name, capacity=8)
    tracker, watcher = SharedMemoryProgressTracker(board_name), AnalysisSnapshots(board_name)
    for number in range(40):
        tracker.start_analysis("BTC", f"id-{number}")
        tracker.complete_analysis(f"id-{number}", "signal_detected", f"message {number}")
    messages: list[str | None] = []
    found: list[AnalysisProgress | None] = []
    give_up = time.monotonic() + 20
    while messages != [f"message {number}" for number in range(40)]:
        assert time.monotonic() < give_up, messages
        board.write_snapshot()  # over it the recorder may put a copy that it took before
        found = [watcher.get_progress(f"id-{number}") for number in range(40)]
        messages = [None if progress is None else progress.final_message for progress in found]
    assert headway.read(board_name).get("id-0") is None, "it is on the board still"
    assert {progress.overall_status for progress in found if progress} == {"success"}
    board.remove(files=True)
