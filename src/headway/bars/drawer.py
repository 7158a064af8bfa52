"""Live bars, as their process has them: it owns the last lines of the terminal, and leaves all others alone.

A terminal can be told which lines scroll. The bars stand below those, so whatever any process prints goes by above
them, unchanged. Each frame is one write, and the kernel does not mix two writes to one terminal: save the cursor, draw,
restore it. Of two programs on one terminal the first has bars. Where there are none, lines are written now and then. To
a notebook's kernel whole outputs are sent.
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
from headway.process.live import OUTPUT, PROGRAM, RELEASE
from headway.terminal.painter import Painter
from headway.terminal.plain import lines
from headway.terminal.row import Style, is_terminal

if TYPE_CHECKING:
    from typing import TextIO

    from headway.views.board_view import BoardView

__all__ = ["Region", "screen_of"]

INTERVAL_S = 0.2
INTERVAL_MOST_S = 2.0
DUTY = 0.1  # of a core, at most: of 10 000 tasks a frame takes 60 ms
REDRAW_S = 1.0  # so soon bars come back that a program has wiped away
BARS_MOST = 12
LAST_WAIT_S = 3.0


class Region:
    """The last lines of a terminal. Pure: each method gives what to write, as one piece, and notes what it will do."""

    def __init__(self) -> None:
        self.rows = self.columns = 0
        self.held = 0  # lines that do not scroll

    def frame(self, shown: list[str], columns: int, rows: int) -> str:
        """Draw these lines below what scrolls."""
        start = ""
        if self.held and (columns, rows) != (self.columns, self.rows):
            start = self.release()  # lines were broken anew, and all of them scroll: begin again
        self.columns, self.rows = columns, rows
        more = max(len(shown) - self.held, 0)
        if more:
            # Down as far as more lines are needed, which scrolls if there are none, and up again. Index, not line
            # feed: the terminal makes a carriage return of that, and the cursor may stand in the middle of a line.
            start += "\x1bD" * more + f"\x1b[{more}A"
            self.held = len(shown)
        top = rows - self.held
        body = "".join(f"\x1b[{top + at + 1};1H{shown[at] if at < len(shown) else ''}\x1b[K" for at in range(self.held))
        return f"{start}\x1b7\x1b[1;{top}r\x1b[0m\x1b[?7l{body}\x1b8\x1b[?7h"

    def release(self) -> str:
        """Erase them, and have all lines scroll."""
        held, self.held = self.held, 0
        return RELEASE if held else ""

    def leave(self, shown: list[str]) -> str:
        """The same, and print these lines as any program does."""
        # So many blanks reach the next line from any column but the first: there the lines begin.
        fresh = " " * (self.columns - 1) + "\r\x1b[J"
        return self.release() + fresh + "".join(f"{line}\r\n" for line in shown)


class _Terminal:
    def __init__(self, stream: TextIO, style: Style) -> None:
        self._style = style
        self._region = Region()
        self._shown: list[str] = []
        self._drawn_at = 0.0
        self._claim = _Claim()
        self._log = _Log(stream)  # while another program's bars stand there

    def draw(self, view: BoardView) -> None:
        if not _in_front():
            if self._region.held:
                _write(self._region.release())
            self._claim.drop()
            return
        if not self._claim.held():
            self._log.draw(view)
            return
        columns, rows = os.get_terminal_size(OUTPUT)
        shown = self._lines(view, columns, rows)
        size = (self._region.columns, self._region.rows)
        due = time.monotonic() >= self._drawn_at + REDRAW_S
        if shown and (due or shown != self._shown or size != (columns, rows) or not self._region.held):
            _write(self._region.frame(shown, columns, rows))
            self._shown, self._drawn_at = shown, time.monotonic()

    def _lines(self, view: BoardView, columns: int, rows: int) -> list[str]:
        if columns < 10 or rows < 4:
            return []  # no room, or a size that nobody has set
        return lines(view, columns - 1, min(rows // 2, BARS_MOST), self._style)

    def end(self, view: BoardView) -> None:
        columns, rows = os.get_terminal_size(OUTPUT)
        if not _in_front() or not columns or not rows:
            _write(self._region.release())
        elif self._claim.held():
            self._region.columns = columns
            _write(self._region.leave(self._lines(view, columns, max(rows, 8))))
        else:
            self._log.end(view)


class _Claim:
    """Of all programs that have live bars on a terminal, one at a time draws them: who has the lock on its file.

    Where the file cannot be opened, as after `su`, everyone draws.
    """

    def __init__(self) -> None:
        self._file: int | None = None
        self._locked = False
        with contextlib.suppress(OSError):  # opened anew: what the shell hands down is one file for all that it starts
            self._file = os.open(f"/proc/self/fd/{OUTPUT}", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)

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


class _Log:
    def __init__(self, stream: TextIO) -> None:
        self._painter = Painter(stream)
        self._painter.live = False

    def draw(self, view: BoardView) -> None:
        self._painter.draw(view)

    def end(self, view: BoardView) -> None:
        self._painter.draw(view, last=True)


class _Cell:
    """The output of a cell, as the program's kernel is to show it."""

    def __init__(self, kernel: socket.socket) -> None:
        self._kernel = kernel
        self._sent: dict[str, str] = {}

    def draw(self, view: BoardView) -> None:
        bundle = board_bundle(view, BARS_MOST + 1)
        if bundle != self._sent:
            with contextlib.suppress(
                TimeoutError
            ):  # it is busy, with all that we sent before unread: the next one will do
                self._kernel.send(json.dumps(bundle).encode())
                self._sent = bundle

    def end(self, view: BoardView) -> None:
        self._kernel.settimeout(LAST_WAIT_S)
        self.draw(view)


def screen_of(control: socket.socket, encoding: str) -> _Terminal | _Log | _Cell:
    if not encoding:
        control.settimeout(INTERVAL_S)
        return _Cell(control)
    stream = os.fdopen(OUTPUT, "w", encoding=encoding, errors="replace", closefd=False)
    return _Terminal(stream, Style.of(stream)) if is_terminal(stream) else _Log(stream)


def _write(text: str) -> None:
    data = text.encode()
    while data:
        select.select([], [OUTPUT], [])
        with contextlib.suppress(BlockingIOError):
            data = data[os.write(OUTPUT, data) :]


def _in_front() -> bool:
    """Has the program the terminal now? Not while it is stopped, or in the background: then the shell has it."""
    with open(f"/proc/self/fdinfo/{PROGRAM}") as file:
        pid = next((line.split()[1] for line in file if line.startswith("Pid:")), "-1")
    try:
        with open(f"/proc/{pid}/stat") as file:
            _, _, group, _, _, foreground = file.read().rpartition(")")[2].split()[:6]
    except (FileNotFoundError, ProcessLookupError):  # it has ended, before or meanwhile
        return True
    return foreground in (group, "-1")
