"""How the exception that leaves a block ends its task, on the engine and its stand-in."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import TYPE_CHECKING

import pytest

from headway.views.board_view import TaskView

if TYPE_CHECKING:
    from headway.engine.board import Board


def view_of(board: Board, id: str = "one") -> TaskView:
    view = board.get(id)
    assert view is not None
    return view


@pytest.mark.parametrize(
    ("error", "state", "text"),
    [
        (None, "success", ""),
        (ValueError("bad row"), "failed", "ValueError: bad row"),
        (RuntimeError(), "failed", "RuntimeError"),
        (KeyError("x"), "failed", "KeyError: 'x'"),
        (SystemExit(), "success", ""),
        (SystemExit(0), "success", ""),
        (SystemExit(1), "failed", "SystemExit: 1"),
        (SystemExit("no input"), "failed", "SystemExit: no input"),
        (KeyboardInterrupt(), "cancelled", "KeyboardInterrupt"),
        (GeneratorExit(), "cancelled", "GeneratorExit"),
        (asyncio.CancelledError("stop"), "cancelled", "CancelledError: stop"),
        (concurrent.futures.CancelledError(), "cancelled", "CancelledError"),
    ],
    ids=repr,
)
def test_the_exception_that_leaves_the_block_tells_how_it_ends(
    error: BaseException | None, state: str, text: str, any_board: Board
) -> None:
    def run() -> None:
        with any_board.task("one") as task:
            task.update()
            if error is not None:
                raise error

    if error is None:
        run()
    else:
        with pytest.raises(type(error)) as caught:
            run()
        assert caught.value is error
    view = view_of(any_board)
    assert (view.state, view.error, view.count) == (state, text, 1)
    assert view.ended is not None


def test_an_exception_that_cannot_be_shown_ends_it_all_the_same(any_board: Board) -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("not even this")

    with pytest.raises(Broken), any_board.task("one"):
        raise Broken
    assert (view_of(any_board).state, view_of(any_board).error) == ("failed", "Broken")
