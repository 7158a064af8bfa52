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

    def all_lines(self) -> list[str]:
        """All lines from the first one on, those that scrolled off included, without what follows the last text."""
        rows = [*self.history.top, *(self.buffer[number] for number in range(self.lines))]
        found = ["".join(row[column].data for column in range(self.columns)).rstrip() for row in rows]
        while found and not found[-1]:
            found.pop()
        return found
