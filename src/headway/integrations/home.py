"""Where the work of another library goes: its task, which one it is a part of, and what is said where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from headway import errors
from headway.api import current
from headway.bars.loop import Loop, enclosing, fresh
from headway.process import live
from headway.standin.board import StandinTask
from headway.standin.nobody import NOBODY
from headway.system import support
from headway.tasks import checks
from headway.tasks import current as context

if TYPE_CHECKING:
    from headway.engine.board import Board

__all__ = ["begun", "give_up"]

L = TypeVar("L", bound=Loop)

_told = False  # that something went wrong here


def begun(kind: type[L], id: str, label: str | None, unit: str, board: str | Board | None) -> L | None:
    """A loop that begins now, or None where nobody could see it; then one warning says so, and why.

    id: what ids are made of where there is no label. Inside a loop that is gone through, and inside its `with` block,
    it is a part of that one, and inside a task's block of that one; else it is on this board, else on the one that the
    process shows live, that the parent handed down, or that `headway.track` would take.
    """
    if support.disabled():
        return None
    outer: Any = current()
    if isinstance(outer, StandinTask):
        return None  # which was told
    reason = support.unusable()
    if reason is None:
        try:
            found = kind.again(enclosing(), label)
            if found is None:
                found = kind(*fresh(id, label, unit, _board(board) if outer is NOBODY else None))
            if outer is NOBODY:
                context.hand_down_board(found.board_name)
            found.begin(label)
        except (errors.HeadwayError, OSError, ImportError, ValueError) as error:  # a full /dev/shm, an illegal name
            reason = str(error)
        else:
            return found
    support.warn_once(reason)
    return None


def _board(chosen: str | Board | None) -> str | Board | None:
    if chosen is not None or live.shown() is not None:
        return chosen
    name = context.board_handed_down()
    if name is None:
        return None
    from headway.engine.board import open_or_make
    from headway.files import loops

    # It stays what it is to the parent: that of a loop, or one with a name.
    return open_or_make(name, **(checks.LOOPS if loops.is_of_loops(name) else {}))


def give_up(error: Exception, what: str) -> None:
    """Say once what does not work as it should: progress never stops a job."""
    global _told
    if not _told:
        _told = True
        errors.tell(f"{what}: {type(error).__name__}: {error}")
