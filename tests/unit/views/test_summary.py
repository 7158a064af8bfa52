"""A board in a few numbers, on real boards."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from headway.engine.board import Board, open_board
from headway.views.board_view import BoardView
from headway.views.summary import UNITS_MAX, Summary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def board(headway_dir: Path, board_name: str) -> Iterator[Board]:
    made = open_board(board_name, capacity=32)
    yield made
    made.remove(files=True)


def test_rates_leave_parents_out_and_keep_the_busiest_units(board: Board) -> None:
    parent = board.task("all", unit="file")
    parent.update(1_000_000)
    for number in range(UNITS_MAX + 2):
        parent.task(f"c{number}", unit=f"u{number}").update(1000 * (number + 1))
    time.sleep(0.01)
    summary = Summary.of(board.snapshot())
    assert "file" not in summary.rates
    assert sorted(summary.rates) == [f"u{number}" for number in range(2, UNITS_MAX + 2)]
    for number in range(UNITS_MAX + 2):
        board.attach(f"all/c{number}").succeed()
    assert list(Summary.of(board.snapshot()).rates) == ["file"], "its children have ended: it is at work itself"


def test_stalled_tasks_are_those_of_the_view(board: Board) -> None:
    board.task("one").update()
    board.task("two")
    raw = board.snapshot().raw
    later = raw._replace(meta={**raw.meta, "taken_ns": raw.meta["taken_ns"] + 60_000_000_000})
    for moment in (raw, later):
        view = BoardView.from_raw(moment)
        summary = Summary.of(view)
        assert summary.counts.stalled == sum(task.stalled for task in view.tasks)
        assert summary.counts == view.counts
        assert (summary.workers_alive, summary.workers_gone) == (1, 0)
    assert Summary.of(BoardView.from_raw(later)).counts.stalled == 1


@pytest.mark.parametrize("said", [0, -1, 1e9, "x", None, float("nan"), [], True])
def test_what_a_file_says_of_its_interval_is_believed_within_reason(board: Board, said: object) -> None:
    raw = board.snapshot().raw
    view = BoardView.from_raw(raw._replace(meta={**raw.meta, "interval_s": said, "recorder_error": said}))
    summary = Summary.of(view)
    assert summary.interval in (None, 1.0)
    assert summary.recorder_error in (None, "x")
