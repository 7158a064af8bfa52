"""Which tasks are shown, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headway.top.order import Order
from headway.views.board_view import BoardView

if TYPE_CHECKING:
    from tests.unit.conftest import Arrays, MakeRaw

FAILED = 3


@pytest.fixture
def view(make_raw: MakeRaw) -> BoardView:
    """Tasks b, b/part, a and c, made in this order; c has failed and was made last."""

    def edit(arrays: Arrays) -> None:
        tasks = arrays["tasks"]
        tasks["id"], tasks["label"] = [b"c", b"a", b"b/part", b"b"], b""
        tasks["parent_bytes"] = [0, 0, 1, 0]
        tasks["state"] = [FAILED, 1, 1, 1]
        tasks["count"], tasks["total"], tasks["rate"] = [1, 90, 50, 10], [0, 100, 100, 100], [0, 1, 7, 3]

    return BoardView.from_raw(make_raw(4, edit=edit))


def shown(order: Order, view: BoardView) -> list[str]:
    order.update(view)
    return [order.id(number) for number in order.numbers.tolist()]


@pytest.mark.parametrize(
    ("sort", "ids"),
    [
        ("tree", ["b", "b/part", "a", "c"]),
        ("newest", ["c", "a", "b/part", "b"]),
        ("progress", ["c", "b", "b/part", "a"]),
        ("state", ["b", "b/part", "a", "c"]),
    ],
)
def test_tasks_are_sorted(sort: str, ids: list[str], view: BoardView) -> None:
    order = Order()
    order.sort = sort
    assert shown(order, view) == ids


def test_parts_are_indented_and_hidden_when_their_task_is_collapsed(view: BoardView) -> None:
    order = Order()
    assert shown(order, view) == ["b", "b/part", "a", "c"]
    assert [order.depth(number) for number in order.numbers.tolist()] == [0, 1, 0, 0]
    assert [order.mark(number) for number in order.numbers.tolist()] == ["▾ ", "", "", ""]
    order.collapsed = {"b"}
    assert shown(order, view) == ["b", "a", "c"]
    assert order.mark(int(order.numbers[0])) == "▸ "


def test_a_needle_is_found_whatever_its_case_and_in_parts_of_collapsed_tasks(view: BoardView) -> None:
    order = Order()
    order.collapsed = {"b"}
    order.needle = "PART"
    assert shown(order, view) == ["b/part"]


def test_tasks_that_ended_are_left_out_on_demand(view: BoardView) -> None:
    order = Order()
    order.open_only = True
    assert shown(order, view) == ["b", "b/part", "a"]


def test_a_task_that_is_its_own_parent_is_shown_once(make_raw: MakeRaw) -> None:
    def edit(arrays: Arrays) -> None:
        arrays["tasks"]["id"], arrays["tasks"]["parent_bytes"] = b"x", 1

    assert shown(Order(), BoardView.from_raw(make_raw(1, edit=edit))) == ["x"]


def test_tasks_of_one_parent_stand_by_urgency_and_a_task_is_as_urgent_as_its_parts(make_raw: MakeRaw) -> None:
    def edit(arrays: Arrays) -> None:
        tasks = arrays["tasks"]
        tasks["id"] = [b"wait", b"old", b"old/won", b"old/won/bad", b"old/runs", b"new", b"new/bad"]
        tasks["label"], tasks["parent_bytes"] = b"", [0, 0, 3, 7, 3, 0, 3]
        tasks["serial"] = range(1, 8)
        tasks["state"] = [0, 2, 2, FAILED, 1, 2, FAILED]

    order = Order()
    view = BoardView.from_raw(make_raw(7, edit=edit))
    expected = ["old", "old/runs", "old/won", "old/won/bad", "new", "new/bad", "wait"]
    assert shown(order, view) == expected
    assert [order.depth(number) for number in order.numbers.tolist()] == [0, 1, 1, 2, 0, 1, 0]
    order.collapsed = {"old/won"}
    assert shown(order, view) == [id for id in expected if id != "old/won/bad"]
    assert shown(order, BoardView.from_raw(make_raw(0))) == []
