"""Follows a board for hours: its program may end, be killed, be started again, or not have started yet."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, NamedTuple

from headway import errors
from headway.files import snapshot
from headway.system import paths
from headway.upkeep import listing

if TYPE_CHECKING:
    from headway.engine.board import Board
    from headway.views.board_view import BoardView

__all__ = ["Follow", "Seen"]

CHECK_S = 1.0  # how often to check whether anybody uses the board, and whether there is a new one


class Seen(NamedTuple):
    """What is visible now. state: live, unused, ended, waiting or damaged; told: why, for people."""

    view: BoardView | None
    state: str
    told: str = ""


class Follow:
    """Looks at one board by its name, as a watcher. look() never raises: it reports the state of the board."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._board: Board | None = None
        self._last: BoardView | None = None
        self._state, self._told = "waiting", ""
        self._check_at = 0.0

    def look(self) -> Seen:
        """The board as it is now; once it is gone, its last state."""
        now = time.monotonic()
        due = now >= self._check_at
        if due:
            self._check_at = now + CHECK_S
        try:
            if self._board is not None and self._board._segment.retired:
                self._last = self._board.snapshot()  # whoever removes a board ends its tasks first
                self.close()
                due = True
            if self._board is None and due:
                self._board = listing.attach(self.name)
                due = self._board is not None
                if self._board is None:
                    self._without()
            if self._board is not None:
                self._last = self._board.snapshot()
                if due:
                    used = listing.in_use(self.name, self._last.uuid)
                    self._state = "live" if used else "unused"
                    self._told = "" if used else "no process uses it any more"
        except (errors.HeadwayError, OSError) as error:
            self.close()
            self._state, self._told = "damaged", str(error)
        return Seen(self._last, self._state, self._told)

    def _without(self) -> None:
        """Without shared memory: the last snapshot shows how the board ended."""
        try:
            view = snapshot.read(paths.board_directory(self.name))
        except errors.UnknownBoard:
            self._state = "waiting" if self._last is None else "ended"
            self._told = "there is no such board yet" if self._last is None else "it was removed"
            return
        if self._last is None or view.taken_at >= self._last.taken_at or view.uuid != self._last.uuid:
            self._last = view
        self._state, self._told = "ended", time.strftime("last seen %Y-%m-%d %H:%M:%S", time.localtime(view.taken_at))

    def close(self) -> None:
        """Close the board."""
        if self._board is not None:
            with contextlib.suppress(OSError):
                self._board.close()
            self._board = None
