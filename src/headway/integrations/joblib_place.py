"""Where calls of joblib's Parallel are taken: in the class of all; and which ones are wanted. Imports little."""

from __future__ import annotations

import functools
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from joblib import parallel

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.engine.board import Board

__all__ = ["NESTED", "Taker", "Wanted", "patch", "unpatch", "want", "want_all", "want_no_more", "with_board"]


class Wanted(NamedTuple):
    """How a call of Parallel shall be a task."""

    label: str | None = None
    """None: the name of the function that it calls."""
    board: str | Board | None = None
    """Where it goes if it is in nothing else; None: where `install` said, else where `headway.track` would go."""


Taker: TypeAlias = "Callable[[Callable[[Any, Any], Any], Any, Any, Wanted], Any]"

NESTED = Wanted()

_all: Wanted | None = None  # for every call of this process
_wanted: ContextVar[Wanted | None] = ContextVar("headway_joblib", default=None)  # for those of a block, or in an item
_patch: tuple[Any, Any] | None = None  # Parallel.__call__ of joblib, and ours, which is in its place


def want(wanted: Wanted) -> Token[Wanted | None]:
    """From here on the calls of this context are wanted. Undone by `want_no_more`."""
    return _wanted.set(wanted)


want_no_more = _wanted.reset


def want_all(wanted: Wanted | None) -> None:
    """Have all calls of this process be wanted; None: no longer."""
    global _all
    _all = wanted


def with_board(wanted: Wanted) -> Wanted:
    """The same, on the board of all calls if it names none."""
    return wanted if wanted.board is not None or _all is None else wanted._replace(board=_all.board)


def patch(taker: Taker) -> None:
    """Have Parallel give each call that is wanted to taker(its own method, self, iterable, wanted). Idempotent."""
    global _patch
    if _patch is not None:
        return
    original = parallel.Parallel.__call__

    @functools.wraps(original)
    def call(self: Any, iterable: Any) -> Any:
        wanted = _wanted.get() or _all
        return original(self, iterable) if wanted is None else taker(original, self, iterable, wanted)

    _patch = original, call
    parallel.Parallel.__call__ = call


def unpatch() -> None:
    """Undo `patch`, unless somebody has put something in the place of ours: then ours passes all calls on."""
    global _patch
    if _patch is not None and vars(parallel.Parallel).get("__call__") is _patch[1]:
        parallel.Parallel.__call__, _patch = _patch[0], None
