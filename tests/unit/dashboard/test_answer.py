"""What routes are asked is read strictly: what cannot be meant is a problem that names it."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from starlette.requests import Request

from headway import errors
from headway.dashboard.answer import board_of, number_of, unreadable
from headway.dashboard.problem import Problem


def asked(**query: str) -> Request:
    return Request({"type": "http", "query_string": urlencode(query).encode(), "headers": []})


@pytest.mark.parametrize(("text", "value"), [("1", 1.0), ("0.5", 0.5), ("24", 24.0), ("1e1", 10.0)])
def test_a_number_is_read(text: str, value: float) -> None:
    assert number_of(asked(hours=text), "hours", 3.0, 24.0) == value


def test_a_number_that_is_not_given_has_its_default() -> None:
    assert number_of(asked(), "hours", 3.0, 24.0) == 3.0


@pytest.mark.parametrize("text", ["", "0", "-1", "24.1", "nan", "inf", "one", "٣", "9" * 500])
def test_a_number_that_cannot_be_meant_is_a_problem(text: str) -> None:
    with pytest.raises(Problem, match="is not a number above 0 and at most 24") as caught:
        number_of(asked(hours=text), "hours", 3.0, 24.0)
    assert (caught.value.status, caught.value.code) == (422, "bad-parameter")
    assert len(caught.value.detail) < 200


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\n", "x" * 65, "é"])
def test_a_name_that_no_board_can_have_is_unknown(name: str) -> None:
    with pytest.raises(Problem) as caught:
        board_of(name)
    assert (caught.value.status, caught.value.code) == (404, "unknown-board")


def test_a_legal_name_is_taken_as_it_is() -> None:
    assert board_of("nightly-2.x_") == "nightly-2.x_"


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (errors.DamagedHistory("it is damaged"), "damaged-history", "it is damaged"),
        (PermissionError(13, "Permission denied"), "unreadable", "Permission denied"),
        (ValueError("Out of range"), "unreadable", "this cannot be shown as JSON: Out of range"),
    ],
)
def test_what_cannot_be_read_says_why(error: Exception, code: str, detail: str) -> None:
    problem = unreadable(error)
    assert (problem.status, problem.code) == (503, code)
    assert detail in problem.detail
