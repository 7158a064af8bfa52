"""Views as HTML, for notebooks: a line of counts and a table. Texts of the program are escaped."""

from __future__ import annotations

from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from headway.views import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from headway.views.numbers import Counts, TimeLeft

__all__ = ["board_html", "task_html", "tasks_html"]

ROWS_MOST = 60
_CELL = "text-align:left;white-space:nowrap"
_NUMBER = "text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums"
_COLUMNS = (
    ("task", _CELL),
    ("state", _CELL),
    ("progress", _NUMBER),
    ("count", _NUMBER),
    ("rate", _NUMBER),
    ("ETA", _NUMBER),
    ("elapsed", _NUMBER),
    ("stage", _CELL),
    ("message", _CELL),
)


class _Task(Protocol):
    """The fields of a task that are shown, whether it is on a board or in the history."""

    @property
    def id(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def stalled(self) -> bool: ...
    @property
    def fraction(self) -> float | None: ...
    @property
    def count(self) -> int: ...
    @property
    def total(self) -> int | None: ...
    @property
    def rate(self) -> float | None: ...
    @property
    def eta(self) -> float | None: ...
    @property
    def started(self) -> float | None: ...
    @property
    def elapsed(self) -> float: ...
    @property
    def stage(self) -> str: ...
    @property
    def error(self) -> str: ...
    @property
    def message(self) -> str: ...


class _Board(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def counts(self) -> Counts: ...
    @property
    def time_left(self) -> TimeLeft: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[_Task]: ...


def board_html(view: _Board) -> str:
    """A board: its counts, and its first tasks in the order of their creation."""
    told = [f"<b>{_text(view.name)}</b>", *map(escape, words.tally(view.counts).values() or ["no tasks"])]
    if left := words.time_left(view.time_left):
        told.append(f"time left {escape(left)}")
    return f"<div>{' · '.join(told)}</div>{_table(islice(view, ROWS_MOST), len(view))}"


def task_html(task: _Task) -> str:
    """One task."""
    return tasks_html([task])


def tasks_html(tasks: Sequence[_Task]) -> str:
    """Tasks, a row each; at most ROWS_MOST."""
    return _table(tasks[:ROWS_MOST], len(tasks))


def _table(shown: Iterable[_Task], there: int) -> str:
    head = "".join(f'<th style="{style}">{name}</th>' for name, style in _COLUMNS)
    body = "".join(map(_row, shown))
    left_out = there - ROWS_MOST
    more = f"<div>… and {words.number(left_out)} more</div>" if left_out > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _row(task: _Task) -> str:
    cells = zip(_COLUMNS, _cells(task), strict=True)
    row = "".join(f'<td style="{style}">{cell}</td>' for (_, style), cell in cells)
    return f"<tr>{row}</tr>"


def _cells(task: _Task) -> Iterable[str]:
    fraction, running = task.fraction, task.state == "running"
    return (
        _text(task.label or task.id),
        words.state(task.state, stalled=task.stalled),
        "" if fraction is None else words.percent(fraction),
        _text(words.counted(task.count, task.total, task.unit)),
        escape(words.rate(task.rate, task.unit)) if running and task.rate is not None else "",
        "" if task.eta is None else words.duration(task.eta, whole=True),
        "" if task.started is None else words.duration(task.elapsed),
        _text(task.stage),
        _text(task.error or task.message),
    )


def _text(text: str) -> str:
    """Isolated, so that a text that runs from right to left does not turn its neighbours round."""
    return f"<bdi>{escape(text)}</bdi>" if text else ""
