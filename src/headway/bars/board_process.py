"""The process that draws live bars of a board, as headway.process.live starts it."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

from headway import errors
from headway.bars.drawer import DUTY, INTERVAL_MOST_S, INTERVAL_S, screen_of
from headway.bars.last_lines import wait
from headway.engine import segments
from headway.engine.board import Board
from headway.process.drawing import CONTROL, DONE, PROGRAM

__all__ = ["main"]


def main(name: str, uuid: str, encoding: str) -> None:
    """Draw a board until the program says stop, or ends. encoding: of its terminal; none for a notebook's kernel."""
    control = socket.socket(fileno=CONTROL)
    segment = segments.attach(segments.object_name(name, uuid), watching=True)
    board = Board(segment, Path(segment.directory))
    with contextlib.suppress(OSError, errors.HeadwayError):  # the terminal is gone, or the board is damaged
        screen = screen_of(control, encoding)
        view = board.snapshot()
        interval_s = INTERVAL_S
        while not (said := wait((CONTROL, PROGRAM), time.monotonic() + interval_s, screen.terminal)):
            began = time.thread_time()
            view = board.snapshot() if not segment.retired else view
            screen.draw(view)
            interval_s = min(max(INTERVAL_S, (time.thread_time() - began) / DUTY), INTERVAL_MOST_S)
        if CONTROL in said:
            control.recv(16)  # closing with unread data would make the program see an error instead of our last words
        screen.end(board.snapshot())
        with contextlib.suppress(OSError):  # the program was killed
            control.send(DONE)
