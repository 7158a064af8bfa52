"""Tasks as text for other programs: JSON, a JSON object a line, or CSV. One task at a time, so that any number fits.

CSV is that of RFC 4180: every field in quotation marks, lines end with CR LF. A spreadsheet may run a text as a formula
that begins with one of "=+-@" or with a tab or line end: such a text gets an apostrophe in front. So does one that
begins with an apostrophe, so that taking one away from each text that has one gives back what the program wrote.
Numbers are written as they are, negative ones, too.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from headway.views.board_view import TaskView

__all__ = ["COLUMNS", "FORMATS", "lines_of", "list_lines", "object_line", "object_lines", "row_of"]

FORMATS = ("json", "ndjson", "csv")
COLUMNS = (
    *("board", "id", "label", "parent", "state", "count", "total", "unit", "fraction", "rate", "eta", "elapsed"),
    *("stage", "message", "error", "created", "started", "ended", "beat", "owner_pid", "resumed_from"),
    *("metrics", "result"),
)
AS_JSON = ("metrics", "result")  # columns whose cells hold JSON, also where it is a single text or number
RISKY = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")


def row_of(board: str, task: TaskView) -> dict[str, Any]:
    """All that is known of a task, in types that JSON has, with the name of its board."""
    return {"board": board, **task.to_dict()}


def lines_of(board: str, tasks: Iterable[TaskView], form: str) -> Iterator[str]:
    """The tasks of a board in one of FORMATS, as lines with their ends.

    The first line of CSV holds the names of the columns. What is None is an empty cell.
    """
    rows = (row_of(board, task) for task in tasks)
    if form == "json":
        yield from list_lines(rows, "\n")
    elif form == "ndjson":
        for row in rows:
            yield json.dumps(row, allow_nan=False) + "\n"
    else:
        yield _csv_line(COLUMNS)
        for row in rows:
            yield _csv_line(_cell(name, row[name]) for name in COLUMNS)


def object_lines(values: Mapping[str, Any]) -> Iterator[str]:
    """A JSON object as lines, as json.dumps(..., indent=2) writes it. Of an iterator among its values, one element is
    held at a time; it is written as a list.
    """
    yield from _pieces(values, "")
    yield "\n"


def object_line(values: Mapping[str, Any]) -> Iterator[str]:
    """The same on one line, as json.dumps writes it."""
    for at, (name, value) in enumerate(values.items()):
        yield f"{', ' if at else '{'}{json.dumps(name)}: "
        if isinstance(value, Iterator):
            yield "["
            for number, one in enumerate(value):
                yield f"{', ' if number else ''}{json.dumps(one, allow_nan=False)}"
            yield "]"
        else:
            yield json.dumps(value, allow_nan=False)
    yield "}\n"


def list_lines(values: Iterable[Any], end: str = "", indent: str = "") -> Iterator[str]:
    """The same for a list. Its elements may be objects with iterators among their values. end: of the last line."""
    values = iter(values)
    first = list(itertools.islice(values, 1))
    if not first:
        yield f"[]{end}"
        return
    for at, value in enumerate(itertools.chain(first, values)):
        yield f"{',' if at else '['}\n{indent}  "
        yield from _pieces(value, indent + "  ")
    yield f"\n{indent}]{end}"


def _pieces(value: Any, indent: str) -> Iterator[str]:
    """JSON that is indented but for its first line."""
    if isinstance(value, Iterator):
        yield from list_lines(value, "", indent)
    elif isinstance(value, dict) and any(isinstance(one, Iterator) for one in value.values()):
        for at, (name, one) in enumerate(value.items()):
            yield f"{',' if at else '{'}\n{indent}  {json.dumps(name)}: "
            yield from _pieces(one, indent + "  ")
        yield f"\n{indent}}}"
    else:
        yield _indented(value, indent)


def _indented(value: Any, indent: str) -> str:
    """JSON that is indented but for its first line. Its texts have no line ends: these are escaped."""
    return json.dumps(value, indent=2, allow_nan=False).replace("\n", f"\n{indent}")


def _cell(name: str, value: Any) -> str:
    if value is None or (name == "metrics" and not value):
        return ""
    if name in AS_JSON or not isinstance(value, str):
        return json.dumps(value, allow_nan=False)
    return f"'{value}" if value.startswith(RISKY) else value


def _csv_line(cells: Iterable[str]) -> str:
    line = io.StringIO(newline="")
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow(cells)
    return line.getvalue()
