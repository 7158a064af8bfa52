"""Tasks as an output of a notebook's cell: a table in HTML, and the same as plain lines where no HTML is shown.

Notebooks have light and dark themes, and strip what they do not trust. So all neutral colours are inherited from the
page, styles are inline at each element, and without them a readable table is left.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from headway.process import notebook
from headway.terminal.plain import bars, choose, lines, placed, rest, summary
from headway.terminal.row import Style, detail, row_of
from headway.terminal.text import safe
from headway.views.words import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headway.terminal.row import Row
    from headway.views.board_view import BoardView, TaskView

__all__ = ["CellPainter", "board_bundle", "tasks_bundle"]

EVERY_S = 0.2
COLUMNS = 100  # of the plain lines
COLOURS = {
    "pending": "#8a949e",
    "running": "#2487d8",
    "stalled": "#d08700",
    "success": "#2f9e5c",
    "failed": "#e03e3e",
    "cancelled": "#b58a2a",
    "lost": "#b44bc8",
}
_TABLE = "table-layout:auto;border-collapse:collapse;border:0;margin:0;color:inherit;font-size:13px;line-height:1.4"
_CELL = "text-align:left;padding:2px 14px 2px 0;background:none;border:0;white-space:nowrap"
_LABEL = f"{_CELL};max-width:22em;overflow:hidden;text-overflow:ellipsis"
_NUMBER = "text-align:right;padding:2px 14px 2px 0;background:none;border:0;white-space:nowrap"
_TEXT = "text-align:left;padding:2px 0;background:none;border:0;white-space:normal"
_TRACK = "width:11em;height:8px;border-radius:4px;background:rgba(128,128,128,.22);overflow:hidden"
_PLAIN = Style(colour=False)


class CellPainter:
    """Draws some tasks again and again as one output of the cell, as `Painter` does on a terminal."""

    def __init__(self) -> None:
        self._output: notebook.Output | None = None
        self._ended: list[tuple[TaskView, int]] = []
        self._due = -math.inf

    def draw_tasks(
        self, tasks: Sequence[tuple[TaskView, int]], now: float, *, ended: Sequence[TaskView] | None = None
    ) -> None:
        """Show these tasks below those that have ended, each as one row; at most five times a second.

        now: monotonic seconds; ended: tasks that have ended meanwhile and stay visible; they are shown at once.
        """
        if (now < self._due and ended is None) or not (tasks or ended or self._output):
            return
        self._due = now + EVERY_S
        self._ended += [(task, 0) for task in ended or ()]
        bundle = tasks_bundle([*self._ended, *tasks])
        if self._output is None:
            self._output = notebook.Output(bundle)
        else:
            self._output.show(bundle)


def board_bundle(view: BoardView, rows: int) -> dict[str, str]:
    """A board in a limited number of rows, as `lines` chooses them."""
    chosen, details = choose(view, max(rows - 1, 0))
    head = "".join(_span(text, "font-weight:600" if tone == "bold" else "") for text, tone in summary(view, _PLAIN))
    more = ""
    if left := len(view) - len(chosen):
        more = _span(f"… and {number(left)} more ({rest(view, chosen)})", "opacity:.7")
    body = _table((row_of(task, _PLAIN, depth, orphan=orphan) for task, depth, orphan in placed(chosen)), details)
    return {
        "text/html": f'<div style="font-variant-numeric:tabular-nums"><div>{head}</div>{body}{more}</div>',
        "text/plain": "\n".join(lines(view, COLUMNS, rows)),
    }


def tasks_bundle(tasks: Sequence[tuple[TaskView, int]]) -> dict[str, str]:
    """Some tasks, each as one row. The number is the depth of its indent."""
    why = {task.id: said for task, _ in tasks if task.final and (said := detail(task))}
    body = _table((row_of(task, _PLAIN, depth, alone=True) for task, depth in tasks), why)
    return {"text/html": f"<div>{body}</div>", "text/plain": "\n".join(bars(tasks, COLUMNS))}


def _table(rows: Iterable[Row], details: dict[str, str]) -> str:
    return f'<table style="{_TABLE}"><tbody>{"".join(_row(row, details) for row in rows)}</tbody></table>'


def _row(row: Row, details: dict[str, str]) -> str:
    label = row.label.lstrip()
    indent = f";padding-left:{(len(row.label) - len(label)) * 8}px" if label != row.label else ""
    stage, message = row.tail
    said = " · ".join(escape(text) for text in (stage, message) if text)
    dot = f'<span style="color:{COLOURS[row.tone]}" aria-hidden="true">●</span> ' if row.state else ""
    cells = [
        f'<td style="{_LABEL}{indent}"><bdi>{escape(label)}</bdi></td>',
        f'<td style="{_CELL}">{_bar(row)}</td>',
        *(f'<td style="{_NUMBER}">{escape(text)}</td>' for text in (row.percent, row.counts, row.rate, row.time)),
        f'<td style="{_CELL}">{dot}{row.state}</td>',
        f'<td style="{_TEXT}"><bdi>{said}</bdi></td>',
    ]
    line = f'<tr style="background:none">{"".join(cells)}</tr>'
    if why := details.get(row.task.id):
        text = f'<span style="color:{COLOURS[row.tone]}" aria-hidden="true">↳</span> <bdi>{escape(safe(why))}</bdi>'
        wide = f'<td colspan="8" style="{_TEXT}{indent or ";padding-left:16px"}">{text}</td>'
        line += f'<tr style="background:none">{wide}</tr>'
    return line


def _bar(row: Row) -> str:
    """The bar; a faint one for a running task without a total."""
    fraction = row.task.fraction
    faint = ";opacity:.35" if fraction is None and not row.task.final else ""
    if fraction is None:
        fraction = 1.0 if row.tone in ("running", "stalled", "success") else 0.0
    inner = f"width:{100 * fraction:.1f}%;height:100%;background:{COLOURS[row.tone]}{faint}"
    return f'<div style="{_TRACK}"><div style="{inner}"></div></div>'


def _span(text: str, style: str) -> str:
    return f'<span style="{style}">{escape(text)}</span>' if style else escape(text)
