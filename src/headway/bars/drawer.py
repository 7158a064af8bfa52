"""A terminal that bars are drawn on while others print, and live bars of a board on it, in a log, or in a notebook.

The bars stand in the last lines, which do not scroll; see `headway.bars.region`. Each frame is one write, and the
kernel does not mix two writes to one terminal: save the cursor, draw, restore it. Of two programs on one terminal the
first has bars. Where there are none, lines are written now and then. To a notebook's kernel whole outputs are sent.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import socket
import time
from typing import TYPE_CHECKING

from headway.bars.cell import board_bundle
from headway.bars.region import Region, fresh_line
from headway.process.drawing import OUTPUT, PROGRAM
from headway.terminal.painter import Painter
from headway.terminal.plain import lines
from headway.terminal.row import Style, is_terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from headway.views.board_view import BoardView

__all__ = [
    "BARS_MOST",
    "DUTY",
    "INTERVAL_MOST_S",
    "INTERVAL_S",
    "Place",
    "Terminal",
    "can_scroll_apart",
    "output",
    "program_in_front",
    "screen_of",
    "this_in_front",
]

INTERVAL_S = 0.2
INTERVAL_MOST_S = 2.0
DUTY = 0.1  # of a core, at most: of 10 000 tasks a frame takes 60 ms
REDRAW_S = 1.0  # so soon bars come back that a program has wiped away
BARS_MOST = 12
LAST_WAIT_S = 3.0


class Place:
    """Whose the last lines of a terminal are now."""

    HIDDEN = "hidden"
    """Nobody's: the program has not got the terminal."""
    OURS = "ours"
    OTHERS = "others"
    """Another program's, which draws its bars there."""


class Terminal:
    """The last lines of a terminal. in_front: has the program the terminal now, or the shell?"""

    def __init__(self, descriptor: int, in_front: Callable[[], bool]) -> None:
        self._descriptor = descriptor
        self._in_front = in_front
        self._region = Region()
        self._shown: list[str] = []
        self._drawn_at = 0.0
        self._claim = _Claim(descriptor)

    @property
    def drawn(self) -> bool:
        """Are there bars?"""
        return self._region.held > 0

    def place(self) -> str:
        """Whose are the last lines? Takes them if they are nobody's; takes the bars away where the shell has them."""
        if not self._in_front():
            self.hide()
            return Place.HIDDEN
        return Place.OURS if self._claim.held() else Place.OTHERS

    def draw(self, lines_of: Callable[[int, int], list[str]], now: float) -> None:
        """Draw lines, made for a number of columns and rows, where the place is ours. now: monotonic seconds."""
        columns, rows = os.get_terminal_size(self._descriptor)
        if columns < 10 or rows < 4:
            return  # no room, or a size that nobody has set
        if not select.select([], [self._descriptor], [], 0)[1]:
            return  # it takes nothing at the moment (Ctrl-S): whoever draws must not wait
        shown = lines_of(columns - 1, min(rows // 2, BARS_MOST))
        size = (self._region.columns, self._region.rows)
        due = now >= self._drawn_at + REDRAW_S
        if shown and (due or shown != self._shown or size != (columns, rows) or not self.drawn):
            self._write(self._region.frame(shown, columns, rows))
            self._shown, self._drawn_at = shown, now

    def hide(self) -> None:
        """Take the bars away, and let another program have the place."""
        self._write(self._region.release())
        self._claim.drop()

    def leave(self, lines_of: Callable[[int, int], list[str]]) -> None:
        """Take the bars away, and print lines as any program does, where the program has the terminal."""
        columns, rows = os.get_terminal_size(self._descriptor)
        text = self._region.release()
        if self._in_front() and columns and rows:
            shown = lines_of(columns - 1, min(max(rows, 8) // 2, BARS_MOST)) if columns >= 10 else []
            text += fresh_line(columns) + "".join(f"{line}\r\n" for line in shown)
        self._write(text)

    def _write(self, text: str) -> None:
        data = text.encode()
        while data:
            select.select([], [self._descriptor], [])
            with contextlib.suppress(BlockingIOError):
                data = data[os.write(self._descriptor, data) :]


class _Claim:
    """Of all programs that have bars on a terminal, one at a time draws them: who has the lock on its file.

    Where the file cannot be opened, as after `su`, everyone draws.
    """

    def __init__(self, terminal: int) -> None:
        self._file: int | None = None
        self._locked = False
        with contextlib.suppress(OSError):  # opened anew: what the shell hands down is one file for all that it starts
            self._file = os.open(f"/proc/self/fd/{terminal}", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)

    def held(self) -> bool:
        """Have we got it, or do we get it now?"""
        if self._file is not None and not self._locked:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._locked = True
        return self._file is None or self._locked

    def drop(self) -> None:
        """Let another program have it."""
        if self._file is not None and self._locked:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            self._locked = False

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)


# --------------------------------------------------------------------------------------------- live bars of a board


class _BoardOnTerminal:
    def __init__(self, stream: TextIO) -> None:
        self._style = Style.of(stream)
        self._terminal = Terminal(OUTPUT, program_in_front)
        self._log = _BoardInLog(stream)  # while another program's bars stand there

    def draw(self, view: BoardView) -> None:
        place = self._terminal.place()
        if place == Place.OURS:
            self._terminal.draw(lambda columns, rows: lines(view, columns, rows, self._style), time.monotonic())
        elif place == Place.OTHERS:
            self._log.draw(view)

    def end(self, view: BoardView) -> None:
        if self._terminal.place() == Place.OTHERS:
            self._log.end(view)
        else:
            self._terminal.leave(lambda columns, rows: lines(view, columns, rows, self._style))


class _BoardInLog:
    def __init__(self, stream: TextIO) -> None:
        self._painter = Painter(stream)
        self._painter.live = False

    def draw(self, view: BoardView) -> None:
        self._painter.draw(view)

    def end(self, view: BoardView) -> None:
        self._painter.draw(view, last=True)


class _BoardInCell:
    """The output of a cell, as the program's kernel is to show it."""

    def __init__(self, kernel: socket.socket) -> None:
        self._kernel = kernel
        self._sent: dict[str, str] = {}

    def draw(self, view: BoardView) -> None:
        bundle = board_bundle(view, BARS_MOST + 1)
        if bundle != self._sent:
            # It is busy, with all that we sent before unread: the next one will do.
            with contextlib.suppress(TimeoutError):
                self._kernel.send(json.dumps(bundle).encode())
                self._sent = bundle

    def end(self, view: BoardView) -> None:
        self._kernel.settimeout(LAST_WAIT_S)
        self.draw(view)


def screen_of(control: socket.socket, encoding: str) -> _BoardOnTerminal | _BoardInLog | _BoardInCell:
    """Where the helper of a board draws. encoding: of its terminal; none if it is a notebook's kernel."""
    if not encoding:
        control.settimeout(INTERVAL_S)
        return _BoardInCell(control)
    stream = output(encoding)
    return _BoardOnTerminal(stream) if is_terminal(stream) and can_scroll_apart(OUTPUT) else _BoardInLog(stream)


def output(encoding: str) -> TextIO:
    """What a helper was handed to draw on."""
    return os.fdopen(OUTPUT, "w", encoding=encoding, errors="replace", closefd=False)


def can_scroll_apart(descriptor: int) -> bool:
    """Has this terminal a part that scrolls by itself, as its entry in the terminal database says? Yes without one."""
    try:
        import curses
    except ImportError:
        return True
    try:
        curses.setupterm(fd=descriptor)
    except curses.error:
        return True
    return (curses.tigetstr("csr") or b"").startswith(b"\x1b[")


def this_in_front(descriptor: int) -> bool:
    """Has this process the terminal now?"""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:  # it is no terminal of ours: then nobody takes it away, either
        return True


def program_in_front() -> bool:
    """Has the program of this helper the terminal now? Not while it is stopped, or in the background."""
    with open(f"/proc/self/fdinfo/{PROGRAM}") as file:
        pid = next((line.split()[1] for line in file if line.startswith("Pid:")), "-1")
    try:
        with open(f"/proc/{pid}/stat") as file:
            _, _, group, _, _, foreground = file.read().rpartition(")")[2].split()[:6]
    except (FileNotFoundError, ProcessLookupError):  # it has ended, before or meanwhile
        return True
    return foreground in (group, "-1")
