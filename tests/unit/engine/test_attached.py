"""What is attached in a process: handles that travel find it or open it."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.engine.board import Board
    from tests.conftest import RunPython


def test_a_handle_travels(any_board: Board) -> None:
    task = any_board.task("one", total=5)
    for other in (pickle.loads(pickle.dumps(task)), copy.copy(task), copy.deepcopy(task)):
        other.update()
        assert (other.id, other.total, other.state) == ("one", 5, "running")
    assert task.count == 3


def test_unpickling_touches_nothing(run_python: RunPython, board_name: str) -> None:
    """In a process of its own: the warning comes once in each."""
    script = """
import pickle
import sys
import warnings

from headway import errors
from headway.engine.board import open_board

board = open_board(sys.argv[1], capacity=4)
dumped = pickle.dumps(board.task("one"))
board.remove(files=True)
handle = pickle.loads(dumped)  # an error here would break the pool
assert handle.id == "one"
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    handle.update()
assert [one.category for one in caught] == [errors.StaleTaskWarning], caught
assert "not counted" in str(caught[0].message)
handle.stage = "fit"  # dropped, and said already
assert not handle.set(message="on"), "the worker's job goes on"
try:
    handle.count
except errors.BoardClosed as error:
    assert "was removed" in str(error)
else:
    raise AssertionError("no error")
"""
    run_python(script, board_name)
