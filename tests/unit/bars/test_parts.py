"""`bars/parts.py`: the running parts of a task, as they stand below its bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.bars.parts import MOST, parts_of

if TYPE_CHECKING:
    from headway.engine.board import Board


def test_running_parts_are_found_with_their_depth_and_nothing_else(board: Board) -> None:
    outer = board.task("map")
    board.task("map-2").update()
    board.task("map-2/other").update()
    inner = outer.task("inner")
    inner.update()
    inner.task("deeper").update()
    outer.task("pending")
    outer.task("ended").succeed()
    assert [(view.id, depth) for view, depth in parts_of(board, "map")] == [("map/inner", 1), ("map/inner/deeper", 2)]


def test_there_are_no_more_than_have_room(board: Board) -> None:
    outer = board.task("map")
    for number in range(MOST + 3):
        outer.task(str(number)).update()
    assert [view.id for view, _ in parts_of(board, "map")] == [f"map/{number}" for number in range(MOST)]
