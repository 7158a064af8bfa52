"""Terminals for tests, by pyte."""

from __future__ import annotations

import pyte

__all__ = ["Terminal"]


class Terminal(pyte.HistoryScreen):
    """A terminal that keeps what scrolls off it. keeps_wrap: it saves and restores with the cursor that the next
    character has to wrap, as xterm does; others, tmux among them, forget that."""

    def __init__(self, columns: int, rows: int, *, keeps_wrap: bool = True) -> None:
        self._keeps_wrap = keeps_wrap
        super().__init__(columns, rows, history=100_000)

    def restore_cursor(self) -> None:
        wraps = self._keeps_wrap and bool(self.savepoints) and self.savepoints[-1].cursor.x == self.columns
        super().restore_cursor()
        if wraps:
            self.cursor.x = self.columns

    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        """As xterm does it: of a screen that gets lower, the first lines scroll off. pyte would forget them."""
        excess = self.lines - (lines or self.lines)
        if excess > 0:
            self.history.top.extend(self.buffer[number] for number in range(excess))
            for number in range(self.lines):
                row = self.buffer.pop(number + excess, None)
                self.buffer.pop(number, None)
                if row is not None:
                    self.buffer[number] = row
            self.cursor.y = max(self.cursor.y - excess, 0)
            self.lines -= excess
            self.set_margins()
        super().resize(lines, columns)

    def all_lines(self) -> list[str]:
        """All lines from the first one on, those that scrolled off included, without what follows the last text."""
        rows = [*self.history.top, *(self.buffer[number] for number in range(self.lines))]
        found = ["".join(row[column].data for column in range(self.columns)).rstrip() for row in rows]
        while found and not found[-1]:
            found.pop()
        return found
