"""What a report needs of the runs of a history: sums over all, made in SQL, and which few of them it shows whole.

A million rows take seconds to become Python's values, and their sums, made where they lie, a fraction of one. A run is
*short* if it went well, no worker of it died, and it is neither among the longest nor longer than an interval of the
charts: of it nothing is shown but what it counted. All of it is of one moment, and reads one index (`BY_NUMBERS`); a
file that has none, of an older release, is read by its rows, which takes some times as long.
"""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from headway.files import query
from headway.files.past_task import COLUMNS
from headway.files.schema import BY_NUMBERS, BY_PLACE, HISTORY, RUNS, WHEN, has_numbers, selected, tables

if TYPE_CHECKING:
    import sqlite3

    from headway.files.past_task import PastTask
    from headway.files.query import Query
    from headway.views.task_view import TaskView

__all__ = ["Board", "Sums", "summed", "whole"]

REST_MOST = 16_384  # so many that did not go well are found together with the longest
UNITS_FEW = 1  # so many are summed up without grouping, which takes twice as long
# In SQL a text is greater than every number, and NULL is neither: so what passes all of this can be calculated with.
_WELL = (
    "started >= 0 AND ended >= started AND ended < 9.3e9 AND state IN ('success', 'cancelled') AND workers_lost = '[]' "
    "AND count <= 9e15 AND base >= -9e15"
)
_UNREAD = {"metrics": "'{}'", "result": "NULL", "durations": "''"}  # no report shows them: the values that stand in


class Board(NamedTuple):
    """What is on the board besides: its segment, its tasks, and when the first of them began and the last ended."""

    uuid: str
    tasks: Iterable[TaskView]  # gone through more than once
    begin: float | None
    end: float | None


class Sums(NamedTuple):
    """Sums over the short runs of a history, and what else there is.

    wholes: (id, unit) of tasks whose parts count the same items as they do; begin, end: of all, the board's tasks
    included; tasks: how many are short; former: by state, those of other segments than the board's; counted: by unit,
    how many counted; gained: by unit, how much was counted in each of equal intervals from begin to end; known:
    (serial, beginning) of the board's tasks that are among the runs; rest: the rows of the runs that are not short, by
    table.
    """

    wholes: set[tuple[str, str]]
    begin: float | None
    end: float | None
    tasks: int
    former: dict[str, int]
    counted: dict[str, int]
    gained: dict[str, list[float]]
    known: set[tuple[int, float | None]]
    rest: dict[str, array[int]]


def summed(directory: str | os.PathLike[str], asked: Query, board: Board, *, longest: int, intervals: int) -> Sums:
    """Sum up the runs that fit. longest: so many of them are not short. Raises as `query.read` does."""
    wholes = {(task.parent, task.unit) for task in board.tasks if task.parent is not None and task.count}
    ask = partial(_summed, asked=asked, board=board, wholes=wholes, longest=longest, intervals=intervals)
    nothing = Sums(wholes, board.begin, board.end, 0, {}, {}, {}, set(), {})
    return query._asked(Path(directory, HISTORY), ask) or nothing


def whole(directory: str | os.PathLike[str], rest: dict[str, array[int]]) -> Iterator[PastTask]:
    """These rows as tasks, but for what no report shows, in any order; what was deleted meanwhile is left out."""
    path = Path(directory, HISTORY)

    def fetched(connection: sqlite3.Connection, table: str, rows: array[int]) -> list[tuple[Any, ...]]:
        if table not in tables(connection):
            return []
        shown = selected(connection, table, [name for name in COLUMNS if name not in _UNREAD]).split(", ")
        columns = iter(shown)
        wanted = ", ".join(_UNREAD[name] if name in _UNREAD else next(columns) for name in COLUMNS)
        some = ", ".join("?" * len(rows))
        return connection.execute(f"SELECT {wanted} FROM {table} WHERE rowid IN ({some})", rows.tolist()).fetchall()

    for table, rows in rest.items():
        for first in range(0, len(rows), query.PAGE):
            ask = partial(fetched, table=table, rows=rows[first : first + query.PAGE])
            for row in query._asked(path, ask) or ():
                yield query._decoded(path, row)


class _Part:
    """The runs of one table that fit."""

    def __init__(self, connection: sqlite3.Connection, table: str, asked: Query) -> None:
        self.table = table
        self._connection, self._asked = connection, asked
        self._source, self._where, self._values = query._asking(connection, table, asked)
        if self._source == RUNS and has_numbers(connection):
            self._source = f"{RUNS} INDEXED BY {BY_NUMBERS}"

    def select(
        self, what: str, also: str = "true", end: str = "", first: Sequence[Any] = (), asked_of: Query | None = None
    ) -> sqlite3.Cursor:
        """Ask the rows that fit. first: the values of what is asked; asked_of: other rows instead."""
        where, values = (
            (self._where, self._values) if asked_of is None else asked_of.sql(by_uuid=BY_PLACE in self._source)
        )
        statement = f"SELECT {what} FROM {self._source} WHERE {where} AND {also} {end}"
        return self._connection.execute(statement, [*first, *values])

    def between(self, what: str, since: float, until: float, also: str, end: str, first: Sequence[Any]) -> list[Any]:
        """Ask the rows that fit, and ended then: one range of the index."""
        asked = self._asked
        since = since if asked.since is None else max(since, asked.since)
        until = until if asked.until is None else min(until, asked.until)
        narrower = replace(asked, since=since, until=until)
        return self.select(what, also, end, first, narrower).fetchall()

    def is_of(self, uuid: str) -> bool:
        """Are all of them of this segment?"""
        return self._asked.uuid == uuid

    def has(self, uuid: str, task: TaskView) -> bool:
        """Is this run of a board's task among them?"""
        run = "id = ? AND created IS ? AND started IS ? AND +uuid = ?"
        statement = f"SELECT 1 FROM {self.table} INDEXED BY {self.table}_by_id WHERE {run} AND {self._where} LIMIT 1"
        values = [task.id, task.created, task.started, uuid, *self._values]
        return self._connection.execute(statement, values).fetchone() is not None


def _summed(
    connection: sqlite3.Connection,
    asked: Query,
    board: Board,
    wholes: set[tuple[str, str]],
    longest: int,
    intervals: int,
) -> Sums:
    parts = [_Part(connection, table, asked) for table in tables(connection)]
    known = {(task.serial, task.started) for task in board.tasks if any(part.has(board.uuid, task) for part in parts)}
    units = set()
    for part in parts:
        for unit, parent in part.select("DISTINCT unit, CASE WHEN count <> 0 THEN parent END"):
            units.add(str(unit))
            wholes = wholes if parent is None else wholes | {(str(parent), str(unit))}
    short, rows = _short(parts, longest, intervals)
    begins, ends = [board.begin], [board.end]
    rest: dict[str, array[int]] = {}
    for part, found in rows.items():
        rest[part.table] = array("q", [row for row, _, _ in found])
        begins += [started for _, started, _ in found]
        ends += [ended for _, _, ended in found]
        if short is not None:
            first, last = (part.select(f"{which}({WHEN})", short.sql).fetchone()[0] for which in ("min", "max"))
            until = -math.inf if first is None else first + short.seconds  # what began first ended before
            ends.append(last)
            begins.append(part.select("min(started)", f"{WHEN} <= {_sql(until)} AND {short.sql}").fetchone()[0])
    begin = min((at for at in begins if type(at) is float), default=None)
    end = max((at for at in ends if type(at) is float), default=None)
    sums = Sums(wholes, begin, end, 0, {}, {}, {}, known, rest)
    if short is None:
        return sums
    _write_wholes(connection, wholes)
    for part in parts:
        sums = _with_counts(sums, part, short.sql, board.uuid, intervals, grouped=len(units) > UNITS_FEW)
    return sums


@dataclass(frozen=True, slots=True)
class _Short:
    """Which runs that went well are short: they took so many seconds at most, and less than the last of the longest."""

    seconds: float
    than: tuple[float, float]  # seconds, beginning

    @property
    def sql(self) -> str:
        """The condition."""
        took, started = map(_sql, self.than)
        shorter = f"(ended - started < {took} OR (ended - started = {took} AND started < {started}))"
        return f"{_WELL} AND ended - started <= {_sql(self.seconds)} AND {shorter}"

    def holds(self, started: float, ended: float) -> bool:
        """The same."""
        return ended - started <= self.seconds and (ended - started, started) < self.than


def _short(
    parts: Sequence[_Part], longest: int, intervals: int
) -> tuple[_Short | None, dict[_Part, list[tuple[int, Any, Any]]]]:
    """Which runs are short, and of each table (row, beginning, end) of the others. None: no run is."""
    most = longest + REST_MOST
    columns, order = f"rowid, started, ended, ifnull({_WELL}, 0)", "ended - started DESC, started DESC"
    rows = {part: part.select(columns, end=f"ORDER BY 4, {order} LIMIT {most:d}").fetchall() for part in parts}
    whole = {part: len(found) < most for part, found in rows.items()}
    well = [(ended - started, started) for found in rows.values() for _, started, ended, good in found if good]
    if len(well) < longest and not all(whole.values()):  # most went wrong
        limit = f"ORDER BY {order} LIMIT {longest:d}"
        well = [run for part in parts for run in part.select("ended - started, started", _WELL, limit)]
    ends = [part.select(f"{which}({WHEN})", _WELL).fetchone()[0] for part in parts for which in ("min", "max")]
    times = [at for at in ends if at is not None]
    if len(well) < max(longest, 1) or not longest:
        short = None
    else:
        short = _Short((max(times) - min(times)) / intervals, sorted(well, reverse=True)[longest - 1])
    others = {}
    for part, found in rows.items():
        if not whole[part] and (short is None or not (found[-1][3] and short.holds(*found[-1][1:3]))):
            unlike = "true" if short is None else f"NOT ifnull({short.sql}, 0)"
            others[part] = part.select("rowid, started, ended", unlike).fetchall()
        else:
            others[part] = [row for *row, good in found if not (good and short is not None and short.holds(*row[1:]))]
    return short, others


def _sql(number: float) -> str:
    return f"{number!r}".replace("inf", "9e999")


def _write_wholes(connection: sqlite3.Connection, wholes: Collection[tuple[str, str]]) -> None:
    """Make a table of them, in memory."""
    connection.execute("CREATE TEMP TABLE wholes (id, unit, PRIMARY KEY (id, unit)) WITHOUT ROWID")
    connection.executemany("INSERT INTO wholes VALUES (?, ?)", wholes)


def _with_counts(sums: Sums, part: _Part, short: str, uuid: str, intervals: int, *, grouped: bool) -> Sums:
    """The sums, and those over the short runs of a table.

    A run that ended in an interval began in it, or in the one before.
    """
    begin, end = sums.begin or 0.0, sums.end or 0.0
    wide = (end - begin) / intervals
    counts = "count > base" + (" AND (id, unit) NOT IN (SELECT id, unit FROM temp.wholes)" if sums.wholes else "")
    group = "GROUP BY unit" if grouped else ""
    values = [uuid, uuid]
    others = "total(uuid <> ?), total(uuid <> ? AND state = 'success')"
    if part.is_of(uuid):
        others, values = "0.0, 0.0", []
    tasks, former, counted, gained = sums.tasks, dict(sums.former), dict(sums.counted), dict(sums.gained)
    for at in range(intervals if wide > 0 else 1):
        since = begin + at * wide
        until = since + wide if wide > 0 and at + 1 < intervals else math.inf
        before = f"total((count - base) * ({since!r} - started) / (ended - started))"
        what = (
            f"min(unit), count(*), {others}, "
            f"count(*) FILTER (WHERE {counts}), total(count - base) FILTER (WHERE {counts}), "
            f"{before} FILTER (WHERE started < {since!r} AND {counts})"
        )
        found = part.between(what, since if at else -math.inf, until, short, group, values)
        for unit, runs, former_runs, former_well, counting, gain, gain_before in found:
            tasks += runs
            for state, number in (("success", former_well), ("cancelled", former_runs - former_well)):
                former[state] = former.get(state, 0) + int(number)
            if counting:
                counted[str(unit)] = counted.get(str(unit), 0) + counting
                bins = gained.setdefault(str(unit), [0.0] * intervals)
                bins[at] += gain - gain_before
                bins[max(at - 1, 0)] += gain_before
    return sums._replace(tasks=tasks, former=former, counted=counted, gained=gained)
