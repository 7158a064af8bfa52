"""The points of a board's chart, on real boards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headway.dashboard.state.throughput import Throughput
from headway.engine.board import Board, open_board
from headway.views.board_view import BoardView
from headway.views.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def board(headway_dir: Path, board_name: str) -> Iterator[Board]:
    made = open_board(board_name, capacity=32)
    yield made
    made.remove(files=True)


def test_the_throughput_has_a_point_a_second_and_begins_anew_with_the_board(board: Board) -> None:
    board.task("one", unit="row").update()
    raw = board.snapshot().raw
    throughput = Throughput()

    def at(seconds: float, uuid: str = "0" * 32) -> None:
        meta = {**raw.meta, "taken_ns": raw.meta["taken_ns"] + int(seconds * 1e9), "uuid": uuid}
        throughput.add(Summary.of(BoardView.from_raw(raw._replace(meta=meta))))

    for seconds in (0, 0.3, 0.9, 1.1, 2.2, 2.3):
        at(seconds)
    told = throughput.to_dict()
    assert [len(told["at"]), len(told["running"]), len(told["success"])] == [3, 3, 3]
    assert all(len(column) == 3 for column in told["rates"].values())
    at(3.5, "1" * 32)
    assert len(throughput.to_dict()["at"]) == 1
    at(1.5, "1" * 32)
    assert len(throughput.to_dict()["at"]) == 1, "the clock was set back"
