"""A whole board as lines of text: a pure function of its view, the width and the height; the clock is in the view.

Lost tasks stand first and say what they died of; children stand under their parent; a last line counts the
tasks that do not fit into the height.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from headway.terminal.row import Piece, Style, bar, detail, line_of, render, row_of, widths_of
from headway.terminal.text import safe
from headway.views import words
from headway.views.chosen import most_urgent
from headway.views.numbers import Counts, gone_in
from headway.views.words import number, plural
from headway.views.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headway.views.board_view import BoardView, TaskView

__all__ = ["Style", "bar", "bars", "choose", "lines", "placed", "rest", "summary", "tally"]

_QUIET = ("pending", "cancelled")  # states that have no colour in the first line


def lines(view: BoardView, columns: int, rows: int | None = None, style: Style | None = None) -> list[str]:
    """The board as at most `rows` lines (None: as many as it takes) of at most `columns` columns each.

    Lost and failed tasks have a second line that says why. If not all fit, the most urgent go first, and of those that
    ended the last; the last line tells how many more there are.
    """
    style = style or Style()
    found = [render(summary(view, style), columns, style)]
    chosen, details = choose(view, None if rows is None else max(rows - 1, 0))
    cells = [row_of(task, style, depth, orphan=orphan) for task, depth, orphan in placed(chosen)]
    widths = widths_of(cells, columns, style)
    hook = "↳ " if style.unicode else "-> "
    for row in cells:
        found.append(render(line_of(row, widths, style), columns, style))
        if row.task.id in details:
            indent = " " * (len(row.label) - len(row.label.lstrip()) + 2)
            tone = row.tone if row.task.final else "stalled"
            why = Piece(indent + hook + safe(details[row.task.id], style.encoding), tone)
            found.append(render([why], columns, style))
    if len(chosen) < len(view):
        some = "and" if chosen else "there are"
        more = f"{style.ellipsis} {some} {number(len(view) - len(chosen))} more ({rest(view, chosen)})"
        found.append(render([Piece(more, "dim")], columns, style))
    return found if rows is None else found[: max(rows, 0)]


def bars(tasks: Sequence[tuple[TaskView, int]], columns: int, style: Style | None = None) -> list[str]:
    """Some tasks, each as one line of at most so many columns, which also says why a task ended as it did.

    The number tells how far it is indented.
    """
    style = style or Style()
    cells = [row_of(task, style, depth, alone=True) for task, depth in tasks]
    cells = [
        row._replace(tail=(row.tail[0], why)) if row.task.final and (why := detail(row.task, style.encoding)) else row
        for row in cells
    ]
    widths = widths_of(cells, columns, style)
    return [render(line_of(row, widths, style), columns, style) for row in cells]


def rest(view: BoardView, chosen: Sequence[TaskView]) -> str:
    """2 running, 30 success: the tasks on the board that are not among the chosen ones."""
    return tally(view.counts - gone_in(view.meta) - Counts.of(chosen))


def tally(counts: Counts) -> str:
    """2 running (1 stalled), 30 success: the states that occur, the most urgent first."""
    return ", ".join(words.tally(counts).values())


def summary(view: BoardView, style: Style) -> list[Piece]:
    """The first line: the board's name, its tasks by state, the time left, its workers."""
    items = [Piece(told, "" if state in _QUIET else state) for state, told in words.tally(view.counts).items()]
    items = items or [Piece("no tasks")]
    if left := words.time_left(view.time_left, at_least="≥" if style.unicode else ">="):
        items.append(Piece(f"ETA {left}", "stalled" if view.counts.stalled else ""))
    workers = Workers.of(view)
    items.append(Piece(plural(workers.alive, "worker")))
    if workers.died:
        items.append(Piece(f"{number(workers.died)} died", "lost"))
    if view.dropped:
        items.append(Piece(f"{number(view.dropped)} dropped", "stalled"))
    pieces = [Piece(safe(view.name, style.encoding), "bold")]
    for item in items:
        pieces += Piece("  " if len(pieces) == 1 else style.dot, "dim"), item
    return pieces


def choose(view: BoardView, rows: int | None) -> tuple[list[TaskView], dict[str, str]]:
    """The tasks that get a line, and the details of those that have any."""
    if rows is None or len(view) <= rows:
        chosen, details = _fitting(view.tasks, rows)
        if len(chosen) == len(view):
            return chosen, details
    assert rows is not None  # without a limit, all fitted
    return _fitting(most_urgent(view, max(rows - 1, 0)), rows - 1)


def _fitting(tasks: Iterable[TaskView], rows: int | None) -> tuple[list[TaskView], dict[str, str]]:
    """The first of these tasks, as long as there are rows for them and their details."""
    chosen: list[TaskView] = []
    details: dict[str, str] = {}
    used = 0
    for task in tasks:
        said = detail(task)
        used += 2 if said else 1
        if rows is not None and used > rows:
            break
        chosen.append(task)
        if said:
            details[task.id] = said
    return chosen, details


class _Placed(NamedTuple):
    task: TaskView
    depth: int
    orphan: bool  # its parent has no line of its own


def placed(tasks: list[TaskView]) -> list[_Placed]:
    """The tasks in the order of their creation, children under their parent, those with a lost one among them first."""
    ids = {task.id for task in tasks}
    children: dict[str | None, list[TaskView]] = {}
    for task in tasks:
        parent = task.parent if task.parent in ids and task.parent != task.id else None
        children.setdefault(parent, []).append(task)
    parents = {task.id: task.parent for task in tasks}
    hurt: set[str | None] = set()
    for task in tasks:
        at: str | None = task.id
        while task.state == "lost" and at in ids and at not in hurt:
            hurt.add(at)
            at = parents[at]

    found: list[_Placed] = []

    def place(parent: str | None, depth: int) -> None:
        for task in sorted(children.pop(parent, ()), key=lambda task: (task.id not in hurt, task.serial)):
            found.append(_Placed(task, depth, parent is None and task.parent is not None))
            place(task.id, depth + 1)

    place(None, 0)
    return found
