"""A task of the stand-in has what one of the engine has."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway import errors
from headway.engine.board import Board
from headway.engine.task import Task
from headway.native import core
from headway.standin import board as standin
from headway.standin.board import StandinBoard
from headway.standin.nobody import NOBODY, Nobody
from headway.standin.records import Record
from headway.standin.task import StandinTask
from headway.tasks import checks
from headway.tasks.checks import check_id

ITS_OWN = {"__enter__", "__exit__", "__contains__", "__len__", "__iter__", "__bool__", "_repr_html_"}


def public(cls: type) -> dict[str, Any]:
    """What a class offers: its own public names, and what it is to Python: a context, a container."""
    names = {name for name in dir(cls) if not name.startswith("_")} | ITS_OWN
    return {name: inspect.getattr_static(cls, name, None) for name in names if hasattr(cls, name)}


def shape(function: Any) -> list[tuple[str, Any, Any]]:
    """The parameters of a function: name, kind, default. A built-in method takes itself by position only."""
    parameters = inspect.signature(function).parameters.values()
    return [(one.name, one.kind, one.default) for one in parameters if one.name != "self"]


@pytest.mark.parametrize(
    ("engine", "other"),
    [(Board, StandinBoard), (Task, StandinTask), (Task, Nobody)],
    ids=["board", "task", "nobody"],
)
def test_names_and_signatures_are_those_of_the_engine(engine: type, other: type) -> None:
    theirs, mine = public(engine), public(other)
    assert set(mine) == set(theirs)
    for name in theirs:
        assert callable(getattr(other, name)) == callable(getattr(engine, name)), name
        if callable(getattr(engine, name)):
            assert shape(getattr(other, name)) == shape(getattr(engine, name)), name


def test_a_mistyped_name_raises() -> None:
    with standin.open_board("mistyped") as board:
        things: list[Any] = [board, board.task("one"), NOBODY]
        for one in things:
            with pytest.raises(AttributeError):
                one.mesage = "x"


def test_a_task_on_no_board_grows_no_further_than_the_largest_board_lets_one() -> None:
    task = StandinTask._of(Record("nowhere", "one", None, "it", "", None))
    for number in range(1000):
        task.set(stage=str(number % 20), message=str(number), metrics={str(number % 8): number})
    record = task._record
    assert (len(record.stages), len(record.metrics)) == (checks.STAGES, checks.METRICS)
    task.result = {"kept": 1}
    with pytest.raises(errors.ResultTooLarge, match="the old result is kept"):
        task.merge_result({"more": "x" * checks.RESULT_BYTES_MAX})
    assert task.result == {"kept": 1}


@given(st.text(max_size=100) | st.sampled_from(["é" * 47, "é" * 48, "x" * 95, "x" * 96, "\0", "\ud800"]))
def test_an_id_is_legal_on_both_or_on_none(id: str) -> None:
    def legal(check: Any) -> bool:
        try:
            check(id)
        except ValueError:
            return False
        return True

    assert legal(check_id) == legal(core.check_id)
