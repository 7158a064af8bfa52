"""Tasks for other programs: as JSON, as a JSON object a line, or as CSV."""

from __future__ import annotations

import csv
import io
import json
import sys
from typing import TYPE_CHECKING, Any

from headway.cli._output import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from headway.views.board_view import TaskView

__all__ = ["FORMATS", "emit", "lines_of"]

FORMATS = ("json", "ndjson", "csv")
COLUMNS = (
    *("board", "id", "label", "parent", "state", "count", "total", "unit", "fraction", "rate", "eta", "elapsed"),
    *("stage", "message", "error", "created", "started", "ended", "beat", "owner_pid", "resumed_from"),
    *("metrics", "result"),
)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, allow_nan=False)


def _line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _list(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """A JSON list, an object at a time: a history may have a million."""
    text = ""
    for row in rows:
        yield f"{text}," if text else "["
        text = "  " + json.dumps(row, indent=2, allow_nan=False).replace("\n", "\n  ")
    yield text or "[]"
    if text:
        yield "]"


def lines_of(board: str, tasks: Iterable[TaskView], form: str) -> Iterator[str]:
    """The tasks of a board in one of FORMATS, as lines without their ends.

    The first line of CSV holds the names of the columns. Its cells hold numbers and texts as they are, None as nothing,
    and everything else as JSON.
    """
    rows = ({"board": board, **task.to_dict()} for task in tasks)
    if form == "json":
        yield from _list(rows)
    elif form == "ndjson":
        for row in rows:
            yield json.dumps(row, allow_nan=False)
    else:
        yield _line(COLUMNS)
        for row in rows:
            yield _line(_cell(row[name]) for name in COLUMNS)


def emit(lines: Iterable[str]) -> None:
    """Print lines in UTF-8, whatever the locale; on a terminal with unprintable characters as escapes."""
    for line in lines:
        if sys.stdout.isatty():
            say(line)
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(line.encode("utf-8", "backslashreplace") + b"\n")
