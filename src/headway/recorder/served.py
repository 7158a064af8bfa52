"""A board among those that a recorder process serves: from the wish of a program until nobody uses it."""

from __future__ import annotations

import contextlib
import os
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from headway import errors
from headway.engine import segments
from headway.engine.board import Board
from headway.files import retention
from headway.recorder.recorder import DUTY, LOCK_NAP_S, LOCK_TRIES, Recorder
from headway.system import descriptors

if TYPE_CHECKING:
    from headway.process.address import Wish

__all__ = ["Served"]


class Served:
    """The work for one board. What is wrong with the board ends this, and nothing else."""

    def __init__(self, wish: Wish) -> None:
        self.cost = 0.0
        self._wish = wish
        self._share = DUTY
        self._board: Board | None = None
        self._recorder: Recorder | None = None
        self._tries = 0
        self._stopping = False

    def do(self) -> float | None:
        """Become the board's recorder; then a look each time. Returns when the next one is due; None: it is over."""
        due: float | None = None
        try:
            begun = self._recorder is not None or self._begin()
            due = self._look() if begun else time.monotonic() + LOCK_NAP_S
        except Exception:  # noqa: BLE001 - the other boards go on, whatever is wrong with this one
            # One that was removed or damaged, or has a recorder: the next process that opens it gets the error.
            if self._recorder is not None and self._board is not None:
                _tell(self._board.directory, traceback.format_exc())
            if self._board is not None:
                self._board._segment.fail()  # a process of its own may do better
        if due is None:
            self._end()
        return due

    def beat(self) -> None:
        """Show that this process is at work, between two looks."""
        board = self._board
        if board is not None and self._recorder is not None:
            board._segment.beat()

    def allow(self, share: float) -> None:
        """It may take this share of a core."""
        self._share = share

    def stop(self) -> None:
        """The next look is the last."""
        self._stopping = True
        recorder = self._recorder
        if recorder is not None:  # it may be looking just now: then it looks once more
            recorder.stop()

    def _begin(self) -> bool:
        """Become the recorder. False while its lock is another's: then try again. Raises HeadwayError, OSError."""
        wish = self._wish
        if self._board is None:
            segment = segments.attach(segments.object_name(wish.name, wish.uuid), watching=True)
            self._board = Board(segment, Path(segment.directory))
        self._tries += 1
        self._recorder = Recorder.tried(self._board, retention.kept(wish.days, wish.rows))
        if self._recorder is not None:
            return True
        if self._tries >= LOCK_TRIES or self._stopping:
            raise Recorder.refused(self._board)
        return False

    def _look(self) -> float | None:
        recorder, board = self._recorder, self._board
        if recorder is None or board is None:
            return None
        if self._stopping:
            recorder.stop()
        recorder.share = self._share
        reason = recorder.step()
        self.cost = recorder.cost
        if reason is None:
            return recorder.due
        if recorder.gave_up:
            _tell(board.directory, f"{reason}\n")
        return None

    def _end(self) -> None:
        recorder, self._recorder = self._recorder, None
        board, self._board = self._board, None
        with contextlib.suppress(errors.HeadwayError, OSError):
            if recorder is not None:
                recorder.resign()
        if board is not None:
            board._segment.close()


def _tell(directory: Path, text: str) -> None:
    """Write why the recorder failed into a file, which `headway doctor` shows: nobody sees its standard error."""
    path = directory / "recorder.log"
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)  # it may be a link to a file that matters
        descriptor = descriptors.open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} pid {os.getpid()}\n{text}")
