"""Bars of a program's loops, as their process draws them: on the terminal, or as lines if another program has it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from headway import errors
from headway.bars.drawer import INTERVAL_S, output, program_in_front
from headway.bars.last_lines import Place, Terminal, can_scroll_apart
from headway.bars.parts import parts_of
from headway.engine import segments
from headway.engine.board import Board
from headway.process.drawing import OUTPUT
from headway.terminal.painter import Pace, Painter, chosen_pace_s
from headway.terminal.plain import bars
from headway.terminal.row import Style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.views.task_view import TaskView

__all__ = ["LoopsDrawer"]


class LoopsDrawer:
    """Draws loops, each given by the name and uuid of its board, its id, how many loops it is inside of, and a text.

    That is empty if the parts of the loop which other processes have are not drawn.
    """

    def __init__(self, encoding: str) -> None:
        stream = output(encoding)
        self.due = 0.0
        """When the next frame is, in monotonic seconds."""
        self._style = Style.of(stream)
        self._log = Painter(stream)
        self._pace = Pace(chosen_pace_s())
        self.terminal = Terminal(OUTPUT, program_in_front) if can_scroll_apart(OUTPUT) else None
        self._announced = False
        self._boards: dict[str, Board | None] = {}

    def is_to_begin(self) -> bool:
        """Are the first bars due to be drawn? Reported once, until they are hidden."""
        begins = not self._announced and self.terminal is not None and self.terminal.place() == Place.OURS
        self._announced = self._announced or begins
        return begins

    def draw(self, loops: Sequence[Sequence[str]], now: float) -> float:
        """Show these loops. now: monotonic seconds. Returns when the next frame is due."""
        found: dict[tuple[str, str], tuple[TaskView, int]] = {}
        for loop in loops:
            for view, depth in self._rows(*loop):
                found[loop[1], view.id] = view, depth
        rows = [*found.values()]
        place = Place.OTHERS if self.terminal is None else self.terminal.place()
        if place == Place.OTHERS:
            if rows and self._pace.is_due(now):
                self._pace.told(now)
                self._log.tell_tasks([view for view, _ in rows])
        elif place == Place.OURS and self._announced and self.terminal is not None:
            self.terminal.draw(lambda columns, most: bars(rows, columns, self._style)[:most], now)
        self.due = now + INTERVAL_S
        return self.due

    def _rows(self, name: str, uuid: str, id: str, depth: str, parts: str) -> list[tuple[TaskView, int]]:
        if uuid not in self._boards:
            self._boards[uuid] = None
            with contextlib.suppress(errors.HeadwayError, OSError):
                segment = segments.attach(segments.object_name(name, uuid), watching=True)
                self._boards[uuid] = Board(segment, Path(segment.directory))
        board = self._boards[uuid]
        view = None
        below: list[tuple[TaskView, int]] = []
        with contextlib.suppress(errors.HeadwayError, OSError):  # removed meanwhile
            view = None if board is None else board.get(id)
            below = parts_of(board, id) if board is not None and parts else []
        if view is None or (view.final and int(depth)):
            return []
        return [(view, int(depth)), *((part, int(depth) + further) for part, further in below)]

    def hide(self) -> bool:
        """Erase the bars. True if the program was told that there are some."""
        announced, self._announced = self._announced, False
        if self.terminal is not None:
            self.terminal.hide()
        self.due = 0.0
        return announced

    def end(self) -> None:
        """Erase the bars for good."""
        with contextlib.suppress(OSError):  # the terminal is gone
            self.hide()
