"""Live bars of a board, as their process draws them: on a terminal, as lines in a log, or in a notebook.

Where bars are impossible, lines are written now and then. A notebook's kernel is sent whole outputs.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import time
from typing import TYPE_CHECKING

from headway.bars.cell import board_bundle
from headway.bars.last_lines import BARS_MOST, Place, Terminal, can_scroll_apart
from headway.process.drawing import CONTROL, OUTPUT, PROGRAM
from headway.system import descriptors
from headway.terminal.painter import Painter
from headway.terminal.plain import lines
from headway.terminal.row import Style, is_terminal

if TYPE_CHECKING:
    from typing import TextIO

    from headway.views.board_view import BoardView

__all__ = ["DUTY", "INTERVAL_MOST_S", "INTERVAL_S", "output", "program_in_front", "screen_of"]

INTERVAL_S = 0.2
INTERVAL_MOST_S = 2.0
DUTY = 0.1  # of a core, at most: with 10 000 tasks a frame takes 60 ms
LAST_WAIT_S = 3.0


class _BoardOnTerminal:
    def __init__(self, stream: TextIO) -> None:
        self._style = Style.of(stream)
        self.terminal = Terminal(OUTPUT, program_in_front)
        self._log = _BoardInLog(stream)  # while another program's bars are there

    def draw(self, view: BoardView) -> None:
        place = self.terminal.place()
        if place == Place.OURS:
            self.terminal.draw(lambda columns, rows: lines(view, columns, rows, self._style), time.monotonic())
        elif place == Place.OTHERS:
            self._log.draw(view)

    def end(self, view: BoardView) -> None:
        if self.terminal.place() == Place.OTHERS:
            self._log.end(view)
        else:
            self.terminal.leave(lambda columns, rows: lines(view, columns, rows, self._style))


class _BoardInLog:
    terminal = None

    def __init__(self, stream: TextIO) -> None:
        self._painter = Painter(stream)
        self._painter.live = False

    def draw(self, view: BoardView) -> None:
        self._painter.draw(view)

    def end(self, view: BoardView) -> None:
        self._painter.draw(view, last=True)


class _BoardInCell:
    """The output of a cell, which the program's kernel shows."""

    terminal = None

    def __init__(self, kernel: socket.socket) -> None:
        self._kernel = kernel
        self._sent: dict[str, str] = {}

    def draw(self, view: BoardView) -> None:
        bundle = board_bundle(view, BARS_MOST + 1)
        if bundle != self._sent:
            # The kernel is busy and has not read what we sent before: skip this frame.
            with contextlib.suppress(TimeoutError):
                self._kernel.send(json.dumps(bundle).encode())
                self._sent = bundle

    def end(self, view: BoardView) -> None:
        self._kernel.settimeout(LAST_WAIT_S)
        self.draw(view)


def screen_of(control: socket.socket, encoding: str) -> _BoardOnTerminal | _BoardInLog | _BoardInCell:
    """The output on which the helper of a board draws. encoding: of its terminal; none for a notebook's kernel."""
    if not encoding:
        control.settimeout(INTERVAL_S)
        return _BoardInCell(control)
    stream = output(encoding)
    return _BoardOnTerminal(stream) if is_terminal(stream) and can_scroll_apart(OUTPUT) else _BoardInLog(stream)


def output(encoding: str) -> TextIO:
    """The output that a helper was started with."""
    return os.fdopen(OUTPUT, "w", encoding=encoding, errors="replace", closefd=False)


def _maker_of(descriptor: int) -> int:
    """The pid of the process that made this pair of sockets."""
    with socket.socket(fileno=descriptors.above(os.dup(descriptor))) as control:
        answer: int = struct.unpack("3i", control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        return answer


def program_in_front() -> bool:
    """Is the program of this helper in the terminal's foreground? Not while it is stopped or in the background."""
    with open(f"/proc/self/fdinfo/{PROGRAM}") as file:
        pid = next((line.split()[1] for line in file if line.startswith("Pid:")), None)
    pid = str(_maker_of(CONTROL)) if pid is None else pid  # not a pidfd, see headway.process.pidfd
    try:
        with open(f"/proc/{pid}/stat") as file:
            _, _, group, _, _, foreground = file.read().rpartition(")")[2].split()[:6]
    except (FileNotFoundError, ProcessLookupError):  # it has ended, before or meanwhile
        return True
    return foreground in (group, "-1")
