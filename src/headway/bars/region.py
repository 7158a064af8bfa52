"""The last lines of a terminal, kept out of the scrolling region, as escape sequences. Pure: it writes nothing.

A terminal can be told which lines scroll. The lines below those stay in place, and whatever any process prints scrolls
above them, unchanged.
"""

from __future__ import annotations

from headway.process.drawing import RELEASE

__all__ = ["Region", "fresh_line"]

LAST = 9999  # the last line, whatever its number is


class Region:
    """Each method returns the text to write, as one piece, and updates the state as if it were written."""

    def __init__(self) -> None:
        self.rows = self.columns = 0
        self.held = 0  # lines that do not scroll

    def frame(self, shown: list[str], columns: int, rows: int, *, anew: bool = True) -> str:
        """Draw these lines below the scrolling region. anew: another program may have reset the region meanwhile.

        A terminal that changes its size resets the region, so all lines scroll, and tells the kernel later. A frame in
        between must not count its lines from the top, nor use the old number of lines.
        """
        start = ""
        if self.held and (columns, rows) != (self.columns, self.rows):
            start = self.release(columns, rows)  # the terminal has re-wrapped its lines, and all scroll: start over
        self.columns, self.rows = columns, rows
        more = max(len(shown) - self.held, 0)
        if more:
            # Move down by the lines that are still needed, which scrolls at the bottom, and up again. Index, not line
            # feed: a line feed may also return the carriage, and the cursor may be in the middle of a line.
            start += "\x1bD" * more + f"\x1b[{more}A"
            self.held = len(shown)
        margins = f"\x1b[1;{rows - self.held}r" if more or anew else ""
        body = "".join(
            f"\x1b[{LAST};1H{_up(self.held - 1 - at)}{shown[at] if at < len(shown) else ''}\x1b[K"
            for at in range(self.held)
        )
        return f"{start}\x1b7{margins}\x1b[0m\x1b[?7l{body}\x1b8\x1b[?7h"

    def release(self, columns: int, rows: int) -> str:
        """Erase the bars, and let all lines scroll. Colours that the program has begun go on.

        Nothing is erased from the cursor on if that can be avoided: where the next character has to wrap, some
        terminals erase the last one, too.
        """
        held, self.held = self.held, 0
        if not held or (columns, rows) != (self.columns, self.rows):
            return RELEASE if held else ""
        return f"\x1b7\x1b[r\x1b[0m\x1b[{LAST};1H{_up(held - 1)}\x1b[J\x1b8\x1b[?7h"


def _up(lines: int) -> str:
    """Move the cursor up. (To a terminal, up by 0 means up by 1.)"""
    return f"\x1b[{lines}A" if lines else ""


def fresh_line(columns: int) -> str:
    """Move to the beginning of an empty line, wherever the cursor is.

    As many blanks as there are columns: from the first column they fill the line, and the cursor waits at its end to
    wrap; from any other column they reach the next line.
    """
    return " " * columns + "\r\x1b[K"
