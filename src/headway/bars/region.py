"""The last lines of a terminal, kept out of what scrolls, as escape sequences: pure, and no more than that.

A terminal can be told which lines scroll. What stands below those stays, and whatever any process prints goes by above
it, unchanged.
"""

from __future__ import annotations

from headway.process.drawing import RELEASE

__all__ = ["Region", "fresh_line"]

LAST = 9999  # the last line, whichever number that has


class Region:
    """Each method returns the text to write, as one piece, and updates the state to that after the write."""

    def __init__(self) -> None:
        self.rows = self.columns = 0
        self.held = 0  # lines that do not scroll

    def frame(self, shown: list[str], columns: int, rows: int, *, anew: bool = True) -> str:
        """Draw these lines below what scrolls. anew: another program may have had all lines scroll meanwhile.

        A terminal that changes its size has all lines scroll from then on, and tells the kernel later. A frame in
        between must not count its lines from the top, nor keep the old number of them from scrolling.
        """
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
        margins = f"\x1b[1;{rows - self.held}r" if more or anew else ""
        body = "".join(
            f"\x1b[{LAST};1H{_up(self.held - 1 - at)}{shown[at] if at < len(shown) else ''}\x1b[K"
            for at in range(self.held)
        )
        return f"{start}\x1b7{margins}\x1b[0m\x1b[?7l{body}\x1b8\x1b[?7h"

    def release(self) -> str:
        """Erase the bars, and let all lines scroll."""
        held, self.held = self.held, 0
        return RELEASE if held else ""


def _up(lines: int) -> str:
    """Move the cursor up. (Up by nothing is up by one.)"""
    return f"\x1b[{lines}A" if lines else ""


def fresh_line(columns: int) -> str:
    """To the beginning of an empty line, wherever the cursor is.

    So many blanks fill the line if the cursor is in the first column, and it stays there, waiting to wrap; from any
    other column they reach the next line.
    """
    return " " * columns + "\r\x1b[K"
