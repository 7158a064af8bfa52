"""Which calls of joblib's Parallel are tasks: all of the process, those of a block. What such a task is comes with the
first call: so a program that merely imports joblib pays nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from headway.integrations.joblib_place import Wanted, patch, unpatch, want, want_all, want_no_more, with_board

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headway.engine.board import Board

__all__ = ["install", "take", "tracked", "uninstall"]

_blocks: set[object] = set()  # of `tracked` that are open


def install(board: str | Board | None = None) -> None:
    """Have every call of joblib.Parallel that this process makes from now on be a task. Again: changes the board.

    board: a board, or its name, for calls that are in no task's block and in no loop; default: what `headway.track`
    would take. Calls inside of what is called, in workers, too, are parts of that task. Raises nothing: where no board
    can be had, the first call warns.
    """
    want_all(Wanted(board=board))
    patch(take)


def uninstall() -> None:
    """Take no more calls of joblib.Parallel, except in blocks of `tracked`. Those that run are counted to their end."""
    want_all(None)
    if not _blocks:
        unpatch()


@contextmanager
def tracked(*, label: str | None = None, board: str | Board | None = None) -> Iterator[None]:
    """A block in which each call of joblib.Parallel by this thread is a task, those that libraries make as well.

    label: for people, also the id; default: the name of the function that is called. board: as of `install`.
    """
    patch(take)
    block = object()
    _blocks.add(block)
    token = want(Wanted(label, board))
    try:
        yield
    finally:
        want_no_more(token)
        _blocks.discard(block)


def take(original: Callable[[Any, Any], Any], parallel: Any, iterable: Any, wanted: Wanted) -> Any:
    """What original(parallel, iterable) returns; the call is a task, if that can be."""
    try:
        from headway.integrations.joblib_calls import call
    except Exception:  # no descriptor left, say: progress never stops a job
        return original(parallel, iterable)
    return call(original, parallel, iterable, with_board(wanted))
