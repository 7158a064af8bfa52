"""Where the loops of this process are shown: on the terminal, in a log, or in a notebook.

There is no thread, so the program itself can draw only when an item is requested. On a terminal a helper process draws,
which reads the boards; see `headway.bars.loops_process`. Where no helper or no board is possible, the program draws on
the terminal's last lines itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Protocol

from headway.bars.last_lines import BARS_MOST, Place, Terminal, can_scroll_apart, this_in_front
from headway.bars.region import fresh_line
from headway.process import live, notebook
from headway.system import support
from headway.terminal.painter import Pace, Painter, chosen_pace_s, put
from headway.terminal.plain import bars
from headway.terminal.row import Style, is_terminal
from headway.views.words import plural

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from headway.views.board_view import TaskView

__all__ = ["Output", "Shown", "close", "forget", "output_here"]

DRAWER = "headway.bars.loops_process"
START_S = 0.5  # a loop that ends sooner has only its last row, and no bar
IDLE_S = 10.0  # how long a helper waits for the next loop
LOSSES_MOST = 3  # after this many killed helpers the program draws itself
LOOPS_MOST = 10  # loops whose begin and end a log is told at once; later ones have to be long
LONG_S = 60.0
PARTS = "with parts"  # of a loop that is told to the helper

_terminal: _OnTerminal | None = None  # reused, with its helper, for the next loop
_log: _InLog | None = None  # reused, as it knows how much was told


class Shown(Protocol):
    """What is known of a loop to show it."""

    depth: int
    """The number of loops around it."""
    began: float
    """When it began, in monotonic seconds."""
    leave: bool
    """Whether its last row stays."""
    with_parts: bool
    """Whether running parts of its task are shown below it, which other processes have."""

    def view(self) -> TaskView | None:
        """The view of its task, if it can be read."""

    def parts(self) -> Sequence[tuple[TaskView, int]]:
        """The running parts of its task, and how far each is indented below it."""

    def address(self) -> tuple[str, str, str] | None:
        """Its board's name and uuid, and its id there; None on a board that no other process can read."""


class Output(Protocol):
    """An output that shows loops. now: monotonic seconds. Methods raise OSError or ValueError if it is gone."""

    def knows(self, loop: Shown) -> bool:
        """Can this loop, which begins now, be shown at the next tick instead of at once?"""

    def show(self, loops: Sequence[Shown], now: float) -> None:
        """Show the running loops, nested ones after those that contain them."""

    def end(self, loop: Shown, others: Sequence[Shown], now: float) -> None:
        """An outermost loop has ended. others: those that still run."""


def output_here() -> Output | None:
    """Where loops that begin now are shown; None if nowhere."""
    global _log, _terminal
    if support.silenced() or live.is_worker():
        return None
    if notebook.is_notebook():
        return _InCell()
    stream = sys.stderr
    if stream is None or stream.closed:
        return None
    descriptor = _descriptor_of(stream)
    if descriptor < 0:
        if _log is None or _log.stream is not stream:
            with contextlib.suppress(OSError, ValueError):  # the former stream is gone
                _close_log()
            _log = _InLog(stream)
        return _log
    if _terminal is None or _terminal.stream is not stream:
        close()
        _terminal = _OnTerminal(stream, descriptor)
    return _terminal


def _descriptor_of(stream: TextIO) -> int:
    """The descriptor of a terminal; -1 for anything else, such as a stream that only looks like one.

    And for a terminal that is to have lines.
    """
    if support.lines_only():
        return -1
    try:
        return stream.fileno() if is_terminal(stream) and os.isatty(stream.fileno()) else -1
    except OSError:
        return -1


def close() -> None:
    """End the helper: no more loops are shown. Raises OSError or ValueError if the output is gone."""
    global _terminal
    terminal, _terminal = _terminal, None
    try:
        if terminal is not None:
            terminal.close()
    finally:
        _close_log()


def _close_log() -> None:
    global _log
    log, _log = _log, None
    if log is not None:
        log.close()


def forget() -> None:
    """In a forked child: the helper is the parent's."""
    global _log, _terminal
    _log = _terminal = None


def _rows(loops: Sequence[Shown], *, parts: bool = True) -> list[tuple[TaskView, int]]:
    found: dict[str, tuple[TaskView, int]] = {}
    for loop in loops:
        if (view := loop.view()) is not None:
            found[view.id] = view, loop.depth
            if parts and loop.with_parts:
                found |= {part.id: (part, loop.depth + depth) for part, depth in loop.parts()}
    return [*found.values()]


class _OnTerminal:
    def __init__(self, stream: TextIO, descriptor: int) -> None:
        self.stream = stream
        self._descriptor = descriptor
        self._style = Style.of(stream)
        self._helper: live.Helper | None = None
        self._losses = 0
        self._told = b""
        self._known: set[tuple[str, str, str] | None] = set()  # the address part of each loop that was sent
        self._own: Terminal | None = None  # used if no helper can draw

    def knows(self, loop: Shown) -> bool:
        return loop.depth > 0 and loop.address() in self._known

    def show(self, loops: Sequence[Shown], now: float) -> None:
        if not loops:
            self._hide()
            return
        due = min(loop.began for loop in loops) + START_S
        told = [
            [*address, str(loop.depth), PARTS if loop.with_parts else ""]
            for loop in loops[:BARS_MOST]
            if (address := loop.address()) is not None
        ]
        helper = self._there() if told else None
        if helper is None:
            if now >= due:
                self._draw_here(loops, now)
            return
        message = json.dumps({"due": due, "loops": told}).encode()
        if message != self._told and helper.say(message):
            self._told = message
            self._known = {loop.address() for loop in loops[:BARS_MOST]}

    def end(self, loop: Shown, others: Sequence[Shown], now: float) -> None:
        live.flush()
        self.show(others, now)
        if not loop.leave or (last := loop.view()) is None:
            return
        try:
            columns = os.get_terminal_size(self._descriptor).columns or 80
        except OSError:
            columns = 80
        (row,) = bars([(last, 0)], max(columns - 1, 1), self._style)
        put(self.stream, f"{fresh_line(columns)}{row}\n")

    def _there(self) -> live.Helper | None:
        """The helper that draws; it is started if none runs. None if none can be started."""
        helper = self._helper
        if helper is not None and not (there := helper.is_there()):
            if there is False:
                self._losses += 1
                if helper.drawn:
                    helper.tidy()
            self._drop(helper)
        if self._helper is None and self._losses < LOSSES_MOST:
            encoding = self.stream.encoding or "ascii"
            try:
                self._helper = live.Helper(DRAWER, encoding, str(IDLE_S), terminal=self._descriptor)
            except (OSError, ValueError):
                self._losses = LOSSES_MOST
        return self._helper

    def _hide(self) -> None:
        self._told = b""
        self._known = set()
        helper = self._helper
        if helper is not None and not helper.hide():
            self._drop(helper)
        if self._own is not None:
            self._own.hide()

    def _drop(self, helper: live.Helper) -> None:
        helper.close()
        self._helper = None
        self._told = b""
        self._known = set()

    def _draw_here(self, loops: Sequence[Shown], now: float) -> None:
        if self._own is None:
            if not can_scroll_apart(self._descriptor):
                return
            self._own = Terminal(self._descriptor, lambda: this_in_front(self._descriptor))
        if self._own.place() == Place.OURS:
            rows = _rows(loops)
            self._own.draw(lambda columns, most: bars(rows, columns, self._style)[:most], now)

    def close(self) -> None:
        self._hide()
        if self._helper is not None:
            self._drop(self._helper)


class _InLog:
    """Lines for the begin and the end of loops, and in between now and then.

    Of many loops in a row only the first ones have lines of their own: then lines come as `Pace` wants them, whatever
    begins and ends, and tell how many loops have ended meanwhile.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._painter = Painter(stream)
        self._pace = Pace(chosen_pace_s())
        self._known: set[Shown] = set()
        self._told: set[Shown] = set()  # those whose begin was told
        self._left = LOOPS_MOST
        self._untold = 0  # loops that have ended without a line

    def knows(self, loop: Shown) -> bool:
        return loop.depth > 0

    def show(self, loops: Sequence[Shown], now: float) -> None:
        begun = [loop for loop in loops if loop.depth == 0 and loop not in self._known]
        self._known.update(begun)
        told, self._left = begun[: self._left], max(self._left - len(begun), 0)
        for loop in told:
            self._tell([loop])
        if told:
            self._told.update(told)
            self._pace = Pace(chosen_pace_s())
        elif loops and self._pace.is_due(now):
            self._told.update(loop for loop in loops if loop.depth == 0)
            self._tell(loops)
            self._tell_untold()
        else:
            return
        self._pace.told(now)

    def end(self, loop: Shown, others: Sequence[Shown], now: float) -> None:
        self._known &= set(others)
        last = loop.view()
        if loop in self._told or now >= loop.began + LONG_S or (last is not None and last.state == "failed"):
            self._told.discard(loop)
            self._tell([loop])  # whatever `leave` says: a log that shows the begin also shows the end
        else:
            self._untold += 1
        self.show(others, now)

    def _tell_untold(self) -> None:
        number, self._untold = self._untold, 0
        if number:
            self._painter.tell(time.time(), f"{plural(number, 'loop')} ended meanwhile")

    def close(self) -> None:
        self._tell_untold()

    def _tell(self, loops: Sequence[Shown]) -> None:
        if rows := _rows(loops, parts=False):
            self._painter.tell_tasks([view for view, _ in rows])


class _InCell:
    def __init__(self) -> None:
        from headway.bars.cell import CellPainter

        self._painter = CellPainter()

    def knows(self, loop: Shown) -> bool:
        return loop.depth > 0

    def show(self, loops: Sequence[Shown], now: float) -> None:
        self._painter.draw_tasks(_rows(loops), now)

    def end(self, loop: Shown, others: Sequence[Shown], now: float) -> None:
        last = loop.view() if loop.leave else None
        self._painter.draw_tasks(_rows(others), now, ended=() if last is None else (last,))
