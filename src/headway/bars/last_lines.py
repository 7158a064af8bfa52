"""The last lines of a terminal, on which bars are drawn while others print above them.

They do not scroll; see `headway.bars.region`. Each frame is one write, and the kernel does not mix two writes to one
terminal: save the cursor, draw, restore it. If two programs share a terminal, only the first one draws bars.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import time
from typing import TYPE_CHECKING

from headway.bars.region import Region, fresh_line
from headway.system import descriptors, support

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["BARS_MOST", "Place", "Terminal", "can_scroll_apart", "this_in_front", "wait"]

WAIT_MOST_S = 3600.0  # at a time: longer ones are too long for the system
SIZE_S = 0.05  # between two checks of the size: after a change all lines scroll until bars are drawn again
REDRAW_S = 2.0  # after which bars that another program has erased are drawn again
BARS_MOST = 12


class Place:
    """The owner of the last lines of a terminal."""

    HIDDEN = "hidden"
    """Nobody: the program is not in the terminal's foreground."""
    OURS = "ours"
    OTHERS = "others"
    """Another program, which draws its bars there."""


class Terminal:
    """The last lines of a terminal. in_front: is the program in the terminal's foreground now?"""

    def __init__(self, descriptor: int, in_front: Callable[[], bool]) -> None:
        self._descriptor = descriptor
        self._in_front = in_front
        self._region = Region()
        self._size = (0, 0)  # columns and rows, as they were when the last frame was due
        self._shown: list[str] = []
        self._drawn_at = 0.0
        self._claim = _Claim(descriptor)

    @property
    def drawn(self) -> bool:
        """Are bars on the terminal now?"""
        return self._region.held > 0

    def place(self) -> str:
        """Who owns the last lines? Takes them if nobody does; erases the bars if the shell is in the foreground."""
        if not self._in_front():
            self.hide()
            return Place.HIDDEN
        return Place.OURS if self._claim.held() else Place.OTHERS

    def draw(self, lines_of: Callable[[int, int], list[str]], now: float) -> None:
        """Draw lines, made for a number of columns and rows, if the place is ours. now: monotonic seconds."""
        columns, rows = self._size = os.get_terminal_size(self._descriptor)
        if not _ready([self._descriptor], select.POLLOUT, 0.0):
            return  # it accepts nothing at the moment (Ctrl-S): whoever draws must not wait
        if columns < 10 or rows < 4:  # no room, or the size was never set
            self._write(self._region.release(columns, rows))
            return
        shown = lines_of(columns - 1, min(rows // 2, BARS_MOST))
        size = (self._region.columns, self._region.rows)
        due = now >= self._drawn_at + REDRAW_S
        if shown and (due or shown != self._shown or size != (columns, rows) or not self.drawn):
            self._write(self._region.frame(shown, columns, rows, anew=due))
            self._shown, self._drawn_at = shown, now

    def resized(self) -> bool:
        """Has the size changed since the last frame was due? Then bars have to be redrawn as soon as possible."""
        return self.drawn and os.get_terminal_size(self._descriptor) != self._size

    def hide(self) -> None:
        """Erase the bars, and release the last lines to other programs."""
        if self.drawn:
            self._write(self._region.release(*os.get_terminal_size(self._descriptor)))
        self._claim.drop()

    def leave(self, lines_of: Callable[[int, int], list[str]]) -> None:
        """Erase the bars, and print lines as any program does, if the program is in the foreground."""
        columns, rows = os.get_terminal_size(self._descriptor)
        text = self._region.release(columns, rows)
        if self._in_front() and columns and rows:
            shown = lines_of(columns - 1, min(max(rows, 8) // 2, BARS_MOST)) if columns >= 10 else []
            text += fresh_line(columns) + "".join(f"{line}\r\n" for line in shown)
        self._write(text)

    def _write(self, text: str) -> None:
        data = text.encode()
        while data:
            _ready([self._descriptor], select.POLLOUT, None)
            with contextlib.suppress(BlockingIOError):
                data = data[os.write(self._descriptor, data) :]


def wait(descriptors: Sequence[int], until: float, terminal: Terminal | None) -> list[int]:
    """Wait until one of these can be read, until a moment in monotonic seconds, or until the terminal's size changes.

    Returns those that can be read.
    """
    while True:
        left_s = until - time.monotonic()
        watched = terminal is not None and terminal.drawn
        ready = _ready(descriptors, select.POLLIN, max(min(left_s, SIZE_S if watched else WAIT_MOST_S), 0.0))
        if ready or left_s <= 0 or (terminal is not None and terminal.resized()):
            return ready


def _ready(descriptors: Sequence[int], event: int, timeout_s: float | None) -> list[int]:
    """Those for which an event has come, or which are gone. (select() takes no descriptor above 1023.)"""
    waiting = select.poll()
    for descriptor in descriptors:
        waiting.register(descriptor, event)
    return [descriptor for descriptor, _ in waiting.poll(None if timeout_s is None else timeout_s * 1000)]


class _Claim:
    """Decides which of several programs draws on a terminal: the one that holds the lock on its file.

    If the file cannot be opened, as after `su`, each of them draws.
    """

    def __init__(self, terminal: int) -> None:
        self._file: int | None = None
        self._locked = False
        # Opened again: what programs inherit from the shell is one open file, with one lock for all of them.
        with contextlib.suppress(OSError):
            self._file = descriptors.open_file(f"/proc/self/fd/{terminal}", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)

    def held(self) -> bool:
        """Take the lock if it is free. Returns whether this process has it."""
        if self._file is not None and not self._locked:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._locked = True
        return self._file is None or self._locked

    def drop(self) -> None:
        """Release the lock."""
        if self._file is not None and self._locked:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            self._locked = False

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)


def can_scroll_apart(descriptor: int) -> bool:
    """Can a part of this terminal scroll by itself? Its entry in the terminal database says so; yes without one.

    A terminal that does not do what its entry says cannot be found out without reading its answers, which would take
    what the user types from the program: there HEADWAY_BARS=lines says so.
    """
    if support.lines_only():
        return False
    try:
        import curses
    except (ImportError, OSError):  # it is not there, or cannot be read: no descriptor is left, for example
        return True
    try:
        curses.setupterm(fd=descriptor)
    except curses.error:
        return True
    return (curses.tigetstr("csr") or b"").startswith(b"\x1b[")


def this_in_front(descriptor: int) -> bool:
    """Is this process in the terminal's foreground?"""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:  # it is not our controlling terminal, so it has no foreground for us to lose
        return True
