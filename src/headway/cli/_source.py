"""Finds the board that a command is about, and its state: from shared memory, else from its last snapshot.

The engine is imported when a command runs, not before: --help does not wait for it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway import errors
from headway.system import paths
from headway.views.words import duration

if TYPE_CHECKING:
    from headway.views.board_view import BoardView

__all__ = ["Source", "add_board", "board_name", "choose", "find"]


@dataclass(frozen=True)
class Source:
    """A state of a board. state: live (in use now), unused (in shared memory, but no process uses it), or snapshot."""

    view: BoardView
    state: str
    path: Path | None = None
    alone: bool = False  # a file that a recorder wrote, without the changes that it wrote beside it

    def told(self) -> str:
        """Where the state comes from, as a sentence."""
        if self.state == "live":
            return "live from shared memory"
        if self.state == "unused":
            return "from shared memory; no process uses the board any more"
        taken = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.view.taken_at))
        older = ", the one before the last, which is damaged" if self.view.from_prev else ""
        lacks = "; what changed soon after stood in changes.npz, which is not beside it" if self.alone else ""
        return f"from the snapshot of {taken}, {duration(self.view.age)} old{older}: {self.path}{lacks}"

    def parts(self) -> dict[str, Any]:
        """The whole board in types that JSON has; its tasks and workers are iterators."""
        from headway.views.board_view import parts_of

        return {"source": self.state, "path": None if self.path is None else str(self.path), **parts_of(self.view)}


def board_name(text: str) -> str:
    """Parse the argument BOARD where it has to be a name."""
    try:
        return paths.check_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _board_or_file(text: str) -> str:
    return text if _is_file(text) else board_name(text)


def _is_file(text: str) -> bool:
    return os.sep in text or text.endswith(".npz")


def add_board(parser: argparse.ArgumentParser, *, required: bool = False, files: bool = True) -> None:
    """Add the argument BOARD. files: it may also be the path of a snapshot."""
    parser.add_argument(
        "board",
        metavar="BOARD",
        nargs=None if required else "?",
        type=_board_or_file if files else board_name,
        help=("a board's name" + (", or the path of a snapshot file" if files else ""))
        + ("" if required else "; default: HEADWAY_BOARD, else the only one there is"),
    )


def choose() -> str:
    """The name of the board to use where none is given."""
    named = paths.chosen_name()
    if named is not None:
        return named
    from headway.files import directory as files_of_boards
    from headway.upkeep import listing

    there = files_of_boards.names()
    for candidates in (there, [name for name in there if listing.is_live(name)]):
        if len(candidates) == 1:
            return candidates[0]
    if not there:
        raise errors.UnknownBoard("there is no board: start a program that opens one, or 'headway demo'")
    raise errors.UnknownBoard(f"there are {len(there)} boards: name one of {files_of_boards.some_of(there)}")


def find(board: str | None) -> Source:
    """The state of a board, or of the snapshot at a path. board: None for the one that `choose` returns."""
    from headway.files import directory as files_of_boards
    from headway.files import snapshot
    from headway.files.changes import FILES
    from headway.upkeep import listing

    if board is None:
        board = choose()
    if _is_file(board):
        view = snapshot.read(board)
        changes = [view.path.with_name(name) for name in FILES] if view.path is not None else []
        alone = bool(view.meta.get(snapshot.MAY_HAVE_CHANGES)) and not any(path.exists() for path in changes)
        return Source(view, "snapshot", view.path, alone)
    attached = listing.attach(board)
    if attached is not None:
        with contextlib.closing(attached):
            view = attached.snapshot()
        return Source(view, "live" if listing.in_use(board, view.uuid) else "unused")
    try:
        view = snapshot.read(paths.board_directory(board))
    except errors.UnknownBoard:
        raise files_of_boards.unknown(board) from None
    return Source(view, "snapshot", view.path)
