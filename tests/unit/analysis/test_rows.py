"""Columns of the records of a copy, held equal to the views that are made of the same board."""

from __future__ import annotations

from headway.analysis.rows import Rows
from headway.engine.board import Board
from headway.tasks.states import STATES


def test_columns_texts_and_results_are_those_of_the_views(board: Board) -> None:
    for number in range(3):
        task = board.task(f"id-{number}", label="é" * (number + 1))
        task.result = {"number": number} if number else None
    board.task("id-3").succeed()
    segment = board._segment
    rows, views = Rows(segment.copy()), {view.id: view for view in board.snapshot().tasks}
    assert len(rows) == len(views) == 4
    created = rows.numbers("created_ns")
    for number in range(len(rows)):
        view = views[rows.text(number, "id")]
        assert rows.text(number, "label") == view.label
        assert STATES[rows.states[number]] == view.state
        assert created[number] / 1e9 == view.created
        assert (segment.find(view.id) or (None,))[0] == rows.numbers("slot")[number]
        assert rows.result(number) == (f'{{"number":{view.id[-1]}}}'.encode() if view.result else b"")


def test_results_that_were_left_out_are_empty(board: Board) -> None:
    board.task("one").result = {"number": 1}
    assert Rows(board._segment.copy(False)).result(0) == b""
