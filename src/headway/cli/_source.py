"""Which board a command means, and its state: from shared memory if it is there, else from its last snapshot.

Commands import the engine when they run: who asks for --help waits for nothing.
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
from headway.terminal.text import duration

if TYPE_CHECKING:
    from headway.upkeep.listing import BoardInfo
    from headway.views.board_view import BoardView

__all__ = ["Source", "add_board", "board_name", "choose", "find"]


@dataclass(frozen=True)
class Source:
    """A state of a board. state: live (in use now), unused (in shared memory, but nobody's), or snapshot (a file)."""

    view: BoardView
    state: str
    path: Path | None = None

    def told(self) -> str:
        """Where the state is from, for people."""
        if self.state == "live":
            return "live from shared memory"
        if self.state == "unused":
            return "from shared memory; no process uses the board any more"
        taken = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.view.taken_at))
        older = ", the one before the last, which is damaged" if self.view.from_prev else ""
        return f"from the snapshot of {taken}, {duration(self.view.age)} old{older}: {self.path}"

    def to_dict(self) -> dict[str, Any]:
        """The whole board in types that JSON has."""
        return {"source": self.state, "path": None if self.path is None else str(self.path), **self.view.to_dict()}


def board_name(text: str) -> str:
    """The argument BOARD where it has to be the name of one."""
    try:
        return paths.check_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _board_or_file(text: str) -> str:
    return text if _is_file(text) else board_name(text)


def _is_file(text: str) -> bool:
    return os.sep in text or text.endswith(".npz")


def add_board(parser: argparse.ArgumentParser, *, required: bool = False, files: bool = True) -> None:
    """The argument BOARD. files: the path of a snapshot will do too."""
    parser.add_argument(
        "board",
        metavar="BOARD",
        nargs=None if required else "?",
        type=_board_or_file if files else board_name,
        help=("a board's name" + (", or the path of a snapshot file" if files else ""))
        + ("" if required else "; default: HEADWAY_BOARD, else the only one there is"),
    )


def choose() -> str:
    """The board that is meant if none is named."""
    named = os.environ.get("HEADWAY_BOARD")
    if named:
        try:
            return paths.check_name(named)
        except ValueError as error:
            raise errors.HeadwayError(f"HEADWAY_BOARD is wrong: {error}") from None
    from headway.upkeep import listing

    there = listing.boards()
    live = [info for info in there if info.state == "live"]
    for candidates in (live, there):
        if len(candidates) == 1:
            return candidates[0].name
    if not there:
        raise errors.UnknownBoard("there is no board: start a program that opens one, or 'headway demo'")
    raise errors.UnknownBoard(f"there are {len(there)} boards: name one of {_names(there)}")


def _names(there: list[BoardInfo]) -> str:
    return ", ".join(info.name for info in there) or "none"


def find(board: str | None) -> Source:
    """The state of a board, or of the snapshot at a path; None: of the board that `choose` chooses."""
    from headway.files import snapshot
    from headway.upkeep import listing

    if board is None:
        board = choose()
    if _is_file(board):
        view = snapshot.read(board)
        return Source(view, "snapshot", view.path)
    attached = listing.attach(board)
    if attached is not None:
        with contextlib.closing(attached):
            view = attached.snapshot()
        return Source(view, "live" if listing.in_use(board, view.uuid) else "unused")
    try:
        view = snapshot.read(paths.board_directory(board))
    except errors.UnknownBoard:
        names = _names(listing.boards())
        raise errors.UnknownBoard(
            f"there is no board {board!r}, neither live nor as a snapshot: there are: {names}"
        ) from None
    return Source(view, "snapshot", view.path)
