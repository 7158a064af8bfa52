"""Where calls of joblib's Parallel are taken: in the class of all of them. Imports little, so that a program which
merely imports joblib pays nothing; the rest comes with the first call.
"""

from __future__ import annotations

import functools
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, NamedTuple

from joblib import parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headway.engine.board import Board

__all__ = ["Wanted", "as_wanted", "install", "nested", "not_nested", "patch", "tracked", "uninstall"]


class Wanted(NamedTuple):
    """How a call of Parallel shall be a task."""

    label: str | None = None
    """None: the name of the function that it calls."""
    board: str | Board | None = None
    """Where it goes if it is in nothing else; None: where `install` said, else where `headway.track` would go."""


NESTED = Wanted()

_installed: Wanted | None = None  # for every call of this process
_wanted: ContextVar[Wanted | None] = ContextVar("headway_joblib", default=None)  # for those of a block, or in an item
_blocks: set[object] = set()  # that are open
_original: Any = None  # Parallel.__call__ of joblib, while ours is in its place


def install(board: str | Board | None = None) -> None:
    """Have every call of joblib.Parallel that this process makes from now on be a task. Again: changes the board.

    board: a board, or its name, for calls that are in no task's block and in no loop; default: what `headway.track`
    would take. Calls inside of what is called, in workers, too, are parts of that task. Raises nothing: where no board
    can be had, the first call warns.
    """
    global _installed
    _installed = Wanted(board=board)
    patch()


def uninstall() -> None:
    """Take no more calls of joblib.Parallel. Those that run are counted to their end."""
    global _installed, _original
    _installed = None
    kind = parallel.Parallel
    # Who has put something in the place of ours needs it: then it passes all calls on.
    if _original is not None and not _blocks and getattr(vars(kind).get("__call__"), "_of_headway", False):
        kind.__call__, _original = _original, None


@contextmanager
def tracked(*, label: str | None = None, board: str | Board | None = None) -> Iterator[None]:
    """A block in which each call of joblib.Parallel by this thread is a task, those that libraries make as well.

    label: for people, also the id; default: the name of the function that is called. board: as of `install`.
    """
    patch()
    block = object()
    _blocks.add(block)
    token = _wanted.set(Wanted(label, board))
    try:
        yield
    finally:
        _wanted.reset(token)
        _blocks.discard(block)


def nested() -> Token[Wanted | None]:
    """From here on this context is in an item: calls in it are parts of its task. Undone by `not_nested`."""
    return _wanted.set(NESTED)


not_nested = _wanted.reset


def patch() -> None:
    """Have Parallel ask us at each call. Idempotent."""
    global _original
    if _original is not None:
        return
    original = _original = parallel.Parallel.__call__

    @functools.wraps(original)
    def call(self: Any, iterable: Any) -> Any:
        wanted = _wanted.get() or _installed
        return original(self, iterable) if wanted is None else as_wanted(original, self, iterable, wanted)

    call._of_headway = True  # type: ignore[attr-defined]
    parallel.Parallel.__call__ = call


def as_wanted(original: Callable[[Any, Any], Any], self: Any, iterable: Any, wanted: Wanted) -> Any:
    """What original(self, iterable) returns; the call is a task, if that can be."""
    if wanted.board is None and _installed is not None:
        wanted = wanted._replace(board=_installed.board)
    try:
        from headway.integrations.joblib_calls import call
    except Exception:  # no descriptor left, say: progress never stops a job
        return original(self, iterable)
    return call(original, self, iterable, wanted)
