"""Asks the history of a board: which runs of tasks, the newest first, all at once or a page at a time.

What is asked for is decided in SQL, and rows are read when they are needed, so that a history of a million rows costs
the memory of a page. Each page is one short transaction: who reads for an hour does not keep writers waiting, and need
not fear them; the place in the order (time of the end, then row) is kept, not the transaction.
"""

from __future__ import annotations

import heapq
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from headway import errors
from headway.files import database
from headway.files.past_task import COLUMNS, PastTask, PastTasks, decode
from headway.files.schema import BY_PLACE, HISTORY, OLDER, RUNS, WHEN, check, selected, tables
from headway.tasks import checks
from headway.tasks.states import FINAL_STATES

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "PLACE",
    "TEXT_MOST",
    "Page",
    "Query",
    "count",
    "page",
    "read",
    "read_columns",
    "stream",
]

T = TypeVar("T")

FEW = 1024  # rows
PAGE = 256  # rows that `stream` has in memory
TRIES = 4  # where the file is moved aside or removed while it is read
TEXT_MOST = 1000  # letters: SQLite refuses patterns beyond some ten thousand
# What `page` gives as `next`, and takes as `before`: seconds, whether of the present table, row. All that fit count.
PLACE = (
    r"(-?[0-9]{1,17}(\.[0-9]{1,22})?|-?[0-9](\.[0-9]{1,17})?e[+-](0[0-9]|[1-9][0-9]|[12][0-9]{2})),[01],-?[0-9]{1,18}"
)
_NO_LIMIT = -1


@dataclass(frozen=True, slots=True)
class Query:
    """Which runs are asked for: those that fit all of what is given. Raises ValueError for what cannot be asked.

    id: of this task, exactly; text: a part of the id or of the label, in any case of ASCII letters; states: ended in
    one of these (); uuid: in this segment; since, until: ended then or later, and before then, in seconds since 1970.
    """

    id: str | None = None
    text: str | None = None
    states: Sequence[str] = ()
    uuid: str | None = None
    since: float | None = None
    until: float | None = None

    def __post_init__(self) -> None:
        for state in self.states:
            if state not in FINAL_STATES:
                raise ValueError(f"state {state!r} is not a final state: choose one of {', '.join(FINAL_STATES)}")
        if self.text is not None and len(self.text) > TEXT_MOST:
            raise ValueError(f"text {self.text!r:.60} is too long to look for: give {TEXT_MOST} letters at most")
        for name, value in (("since", self.since), ("until", self.until)):
            if value is not None and math.isnan(value):
                raise ValueError(f"{name} {value!r} is not a time: give seconds since 1970")

    def sql(self, *, by_uuid: bool = False) -> tuple[str, list[Any]]:
        """The condition, and its values. by_uuid: it may be looked up by the segment."""
        like = None if self.text is None else f"%{self.text.translate(_ESCAPED)}%"
        asked: list[tuple[str, list[Any]]] = []
        if self.id is not None:
            asked.append(("id = ?", [self.id]))
        if like is not None:
            asked.append((r"(id LIKE ? ESCAPE '\' OR label LIKE ? ESCAPE '\')", [like, like]))
        if self.states:
            asked.append((f"state IN ({', '.join('?' * len(self.states))})", [*self.states]))
        if self.uuid is not None:
            asked.append(("uuid = ?" if by_uuid else "+uuid = ?", [self.uuid]))
        if self.since is not None:
            asked.append((f"{WHEN} >= ?", [self.since]))
        if self.until is not None:
            asked.append((f"{WHEN} < ?", [self.until]))
        return " AND ".join(text for text, _ in asked) or "true", [value for _, values in asked for value in values]


_ESCAPED = str.maketrans({letter: f"\\{letter}" for letter in r"\%_"})


@dataclass(frozen=True, slots=True)
class Page:
    """Some runs, the newest first. next: what `page` needs as `before` for those after them; None after the last."""

    tasks: PastTasks
    next: str | None


def page(directory: str | os.PathLike[str], query: Query, *, limit: int, before: str | None = None) -> Page:
    """The newest runs that fit, `limit` (1 or more) of them at most; `before`: only those after the `next` of a page.

    What ends meanwhile shifts nothing: the pages of one walk have no run twice and leave none out. Raises ValueError
    for a `before` that no page gave, and as `read` does.
    """
    if limit < 1:
        raise ValueError(f"limit {limit!r} is not a number of tasks: give 1 or more")
    path = Path(directory, HISTORY)
    rows = _fetched(path, tuple(COLUMNS), query, limit + 1, None if before is None else _Place.parsed(before))
    found = PastTasks(_decoded(path, row.values) for row in rows[:limit])
    return Page(found, str(rows[limit - 1].place) if len(rows) > limit else None)


def stream(directory: str | os.PathLike[str], query: Query, *, limit: int | None = None) -> Iterator[PastTask]:
    """The runs that fit, the newest first, read as they are asked for. Raises as `read` does, at any of them."""
    checks.check_history(None, limit)
    path, place, left = Path(directory, HISTORY), None, math.inf if limit is None else limit
    while left > 0:
        asked = int(min(PAGE, left))
        rows = _fetched(path, tuple(COLUMNS), query, asked, place)
        for row in rows:
            yield _decoded(path, row.values)
        if len(rows) < asked:
            return
        place, left = rows[-1].place, left - asked


def count(directory: str | os.PathLike[str], query: Query) -> int:
    """How many runs fit. Raises as `read` does."""

    def counted(connection: sqlite3.Connection) -> int:
        asked = (_asking(connection, table, query) for table in tables(connection))
        return sum(
            connection.execute(f"SELECT count(*) FROM {source} WHERE {where}", values).fetchone()[0]
            for source, where, values in asked
        )

    return _asked(Path(directory, HISTORY), counted) or 0


def read(
    directory: str | os.PathLike[str],
    *,
    hours: float | None = None,
    id: str | None = None,
    state: str | None = None,
    limit: int | None = None,
) -> PastTasks:
    """The runs in the history of a board's directory, the newest first; [] if it has none.

    hours: only what ended in the last so many hours; id, state: only with these; limit: at most so many.
    A reader sees complete batches only, and does not block writers.
    Raises ValueError, DamagedHistory, LayoutMismatch, NotOwner, LockTimeout; OSError if the file cannot be read,
    NoSpace if the disk has no room even for the file of readers' locks.
    """
    path = Path(directory, HISTORY)
    rows = _fetched(path, tuple(COLUMNS), _query(hours, id, state, limit), _NO_LIMIT if limit is None else limit)
    return PastTasks(_decoded(path, row.values) for row in rows)


def read_columns(
    directory: str | os.PathLike[str],
    columns: Sequence[str],
    *,
    hours: float | None = None,
    id: str | None = None,
    state: str | None = None,
) -> list[tuple[Any, ...]]:
    """As read(), but return only these columns of each row, not decoded: faster for callers that need a few."""
    rows = _fetched(Path(directory, HISTORY), columns, _query(hours, id, state), _NO_LIMIT)
    return [row.values for row in rows]


def _query(hours: float | None, id: str | None, state: str | None, limit: int | None = None) -> Query:
    checks.check_history(hours, limit)
    since = None if hours is None else time.time() - hours * 3600
    return Query(id=id, states=() if state is None else (state,), since=since)


# ------------------------------------------------------------------------------------------------------------- rows


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """Where a row stands in the order, from the oldest to the newest: rows of older versions come before others."""

    when: float
    present: bool
    rowid: int

    def __str__(self) -> str:
        return f"{self.when!r},{self.present:d},{self.rowid}"

    @classmethod
    def parsed(cls, text: str) -> _Place:
        if not re.fullmatch(PLACE, text):
            raise ValueError(f"before {text!r:.60} is no place in a history: give the 'next' of a page")
        when, present, rowid = text.split(",")
        return cls(float(when), present == "1", int(rowid))


@dataclass(frozen=True, slots=True)
class _Row:
    place: _Place
    values: tuple[Any, ...]


def _decoded(path: Path, row: Sequence[Any]) -> PastTask:
    try:
        return decode(row)
    except ValueError as error:
        raise database.damaged(path, error) from None


def _fetched(path: Path, columns: Sequence[str], query: Query, limit: int, after: _Place | None = None) -> list[_Row]:
    """Rows in order, the newest first; limit: at most so many, if it is not negative; after: only older ones."""

    def fetched(connection: sqlite3.Connection) -> list[_Row]:
        found = [_of_table(connection, table, columns, query, limit, after) for table in tables(connection)]
        if len(found) == 1:
            return found[0]
        merged = list(heapq.merge(*found, key=lambda row: row.place, reverse=True))
        return merged if limit < 0 else merged[:limit]

    return _asked(path, fetched) or []


def _asking(connection: sqlite3.Connection, table: str, query: Query) -> tuple[str, str, list[Any]]:
    """(table and index, condition, its values).

    Most rows of a history are of one segment, as a rule, so rows are walked through by time. A segment with few rows is
    looked up by its own index: among a million rows of others, they would all be walked through.
    """
    few = False
    if query.uuid is not None and table == RUNS:
        counted = f"SELECT count(*) FROM (SELECT 1 FROM {RUNS} INDEXED BY {BY_PLACE} WHERE uuid = ? LIMIT {FEW + 1})"
        few = connection.execute(counted, [query.uuid]).fetchone()[0] <= FEW
    where, values = query.sql(by_uuid=few)
    return f"{table} INDEXED BY {BY_PLACE}" if few else table, where, values


def _of_table(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], query: Query, limit: int, after: _Place | None
) -> list[_Row]:
    source, where, values = _asking(connection, table, query)
    present = table != OLDER
    if after is not None:
        # For the index on the times to be used, the first condition is on a time alone.
        where += f" AND {WHEN} <= ? AND ({WHEN} < ? OR rowid < ?)"
        ceiling = after.rowid if present == after.present else 2**63 - 1 if after.present else -(2**63)
        values += [after.when, after.when, ceiling]
    order = f"ORDER BY {WHEN} DESC, rowid DESC"
    chosen = f"SELECT rowid FROM {source} WHERE {where} {order} LIMIT ?"  # reads an index alone
    wanted = selected(connection, table, columns)
    select = f"SELECT {WHEN}, rowid, {wanted} FROM {table} WHERE rowid IN ({chosen}) {order}"
    rows = connection.execute(select, [*values, limit])  # negative: no limit
    return [_Row(_place(when, present, rowid), tuple(rest)) for when, rowid, *rest in rows]


def _place(when: Any, present: bool, rowid: int) -> _Place:
    return _Place(when if type(when) is float else math.nan, present, rowid)  # anything else is damage: see _decoded


def _ask(connection: sqlite3.Connection, path: Path, ask: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN")
    check(connection, path)
    return ask(connection)


def _asked(path: Path, ask: Callable[[sqlite3.Connection], T]) -> T | None:
    """What `ask` gives for an open database, of one moment; None if there is none.

    If the file was moved aside or removed meanwhile, it is asked again: rows may come from two different databases. So
    it is where somebody began to write: a database that nobody has open is read without a lock, which leaves no file.
    """
    for last in (False,) * (TRIES - 1) + (True,):
        before, rest = database.identity(path), None if last else database.at_rest(path)
        if before is None:
            return None
        try:
            with database.typed(path):
                connection = database.connect(path, write=False, alone=rest is not None)
                try:
                    found = database.patient(path, connection, partial(_ask, connection, path, ask))
                finally:
                    connection.close()
            if database.identity(path) == before and rest in (None, database.at_rest(path)):
                return found
        except (errors.DamagedHistory, FileNotFoundError):
            if last or (database.identity(path) == before and rest in (None, database.at_rest(path))):
                raise
    return None
