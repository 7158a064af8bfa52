"""Reads the snapshot of one board and makes what is shown of it. Runs in a thread and changes nothing shared."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from headway import errors
from headway.dashboard.state.charts import Note
from headway.dashboard.state.faults import CODES, UNREADABLE, code_of, detail_of
from headway.dashboard.state.table import Table
from headway.files import snapshot
from headway.views.summary import Summary

if TYPE_CHECKING:
    from headway.dashboard.state.places import Found
    from headway.views.board_view import BoardView

__all__ = ["Look", "Wish", "blank", "look"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """What to look at.

    found: the board; table: the one to advance from; follow: is a table wanted? note_due_at: when the next point of
    the charts is due.
    """

    found: Found
    table: Table | None
    follow: bool
    note_due_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Look:
    """What was found. problem: code and detail if the snapshot could not be read; then there is no summary.

    table: of this snapshot if it was wanted and could be read, else the previous one.
    """

    found: Found
    followed: bool
    summary: Summary | None
    table: Table | None
    note: Note | None = None
    problem: dict[str, str] | None = None


def look(wish: Wish, revision: int) -> Look:
    """Read a snapshot; a table made or advanced has this revision."""
    found, summary, table, note, problem = wish.found, None, wish.table, None, None
    try:
        view = snapshot.read(found.directory, results=False)  # the largest part, and no row shows it
        summary, table = Summary.of(view), _table(wish, view, revision)
        note = Note.of(view) if view.taken_at >= wish.note_due_at else None
    except (errors.HeadwayError, OSError) as error:
        problem = {"code": code_of(error), "detail": detail_of(error)}
        if problem["code"] == UNREADABLE:  # perhaps not the file's fault: an empty signature has it read again
            found = replace(found, signature=())
    except Exception as error:
        # A file is hostile input. An unforeseen error must not end the watch over all the other boards.
        log.exception("the snapshot in %s cannot be shown", found.directory)
        detail = f"{found.directory} cannot be shown ({type(error).__name__}: {error}): see the server's log"
        problem = {"code": CODES[errors.DamagedSnapshot], "detail": detail}
    return Look(found, wish.follow, summary, table, note, problem)


def _table(wish: Wish, view: BoardView, revision: int) -> Table | None:
    if not wish.follow:
        return None
    if wish.table is None or wish.table.view.uuid != view.uuid:
        return Table(view, revision)
    return wish.table.advanced(view, revision)


def blank(name: str) -> dict[str, Any]:
    """The summary of a board of which only the name is known."""
    return dict.fromkeys(Summary.__dataclass_fields__) | {"name": name}
