"""How routes read requests, and how they answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.responses import Response

from headway import errors
from headway.dashboard.encode import with_now
from headway.dashboard.problem import Problem
from headway.dashboard.state.faults import code_of, detail_of

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["HOURS_MOST", "answer", "board_of", "number_of", "unknown_board", "unreadable"]

HOURS_MOST = 8760.0
_BOARD = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}\Z")


def answer(fields: bytes) -> Response:
    """An encoded object as an answer, with the server's clock in it."""
    return Response(with_now(fields), media_type="application/json")


def board_of(text: str) -> str:
    """The name of a board. Raises Problem if it is not a legal one."""
    if not _BOARD.match(text):
        raise unknown_board(text)
    return text


def number_of(request: Request, name: str, default: float, most: float) -> float:
    """A number in the query: above 0, and at most `most`. Raises Problem."""
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= most or not text.isascii():
        raise Problem(422, "bad-parameter", f"{name} {text!r:.100} is not a number above 0 and at most {most:g}")
    return value


def unknown_board(name: str) -> Problem:
    """The problem of a board that does not exist."""
    return Problem(404, "unknown-board", f"there is no board {name!r:.100}: '/api/boards' lists them")


def unreadable(error: Exception) -> Problem:
    """The problem of a file that exists but cannot be read or shown."""
    known = isinstance(error, errors.HeadwayError | OSError)
    detail = detail_of(error) if known else f"this cannot be shown as JSON: {error}"
    return Problem(503, code_of(error), detail)
