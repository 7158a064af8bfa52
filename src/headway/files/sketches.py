"""The numbers of a history's runs, thousands at a time, for pictures of all of them; whole only those that it takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from headway.files import query
from headway.files.schema import HISTORY, RUNS, WHEN, tables

if TYPE_CHECKING:
    import sqlite3

    from headway.files.past_task import PastTask
    from headway.files.query import Query

__all__ = ["Scale", "Sketch", "picked", "scale"]

SKETCHES = 4096  # rows that are looked at together
MANY = 16 * SKETCHES


class Sketch(NamedTuple):
    """The numbers of a run, as they stand in the file, unchecked. workers_lost: as JSON."""

    uuid: Any
    serial: Any
    id: Any
    unit: Any
    state: Any
    count: Any
    base: Any
    started: Any
    ended: Any
    workers_lost: Any


def picked(
    directory: str | os.PathLike[str],
    asked: Query,
    passes: Callable[[Sequence[tuple[Any, ...]]], Sequence[bool]],
) -> Iterator[PastTask]:
    """The runs that fit, in any order, but for those of which `passes`, called for some at a time, needs nothing else.

    passes: is given sketches, as tuples, and says for each whether it has what it needs. Reading and checking a run
    whole takes ten times as long as its sketch. Raises as `read` does, at any of them.
    """
    path = Path(directory, HISTORY)
    for sketches, place in _sketches(path, asked):
        wanted = [place(at) for at, passed in enumerate(passes(sketches)) if not passed]
        for first in range(0, len(wanted), query.PAGE):
            for row in query._at(path, wanted[first : first + query.PAGE]):
                yield query._decoded(path, row.values)


class Scale(NamedTuple):
    """What a picture of many runs has to know before it looks at them.

    seconds: between the first and the last end; longest: (seconds, beginning) of the shortest run among the longest of
    those that went well, None if there are not so many.
    """

    seconds: float
    longest: tuple[float, float] | None


def scale(directory: str | os.PathLike[str], asked: Query, longest: int) -> Scale:
    """The scale of the runs that fit. longest: how many are the longest. Raises as `read` does."""
    took = "max(0.0, ended - started)"
    well = "state IN ('success', 'cancelled') AND typeof(ended) = 'real' AND typeof(started) = 'real'"

    def found(connection: sqlite3.Connection) -> Scale:
        ends, runs = [], []
        for table in tables(connection):
            source, where, values = query._asking(connection, table, asked)
            ends += connection.execute(
                f"SELECT min({WHEN}), max({WHEN}) FROM {source} WHERE {where}", values
            ).fetchone()
            select = f"SELECT {took}, started FROM {source} WHERE {where} AND {well} ORDER BY 1 DESC, 2 DESC LIMIT ?"
            runs += connection.execute(select, [*values, longest]).fetchall()
        times = [at for at in ends if type(at) is float]
        runs.sort(reverse=True)
        return Scale(max(times) - min(times) if times else 0.0, runs[longest - 1] if len(runs) >= longest else None)

    return query._asked(Path(directory, HISTORY), found) or Scale(0.0, None)


def _sketches(path: Path, asked: Query) -> Iterator[tuple[list[tuple[Any, ...]], Callable[[int], query._Place]]]:
    """The sketches of the runs that fit, some at a time, the newest first or nearly so; and the place of each.

    Many are read as they stand in the file, which takes a fraction of the time; few, and those of older versions, by
    the index on the times.
    """
    if query.count(path.parent, asked) >= MANY and query._asked(path, tables) == [RUNS]:
        found, last = query._asked(path, partial(_in_file, asked=asked, below=2**63 - 1)) or [], False
        while found:
            rows = found
            yield [row[2:] for row in rows], lambda at, rows=rows: query._place(rows[at][0], True, rows[at][1])  # type: ignore[misc]
            last = len(rows) < SKETCHES
            found = [] if last else query._asked(path, partial(_in_file, asked=asked, below=rows[-1][1])) or []
        return
    after: query._Place | None = None
    while some := query._fetched(path, Sketch._fields, asked, SKETCHES, after):
        yield [row.values for row in some], lambda at, some=some: some[at].place  # type: ignore[misc]
        if len(some) < SKETCHES:
            return
        after = some[-1].place


def _in_file(connection: sqlite3.Connection, asked: Query, below: int) -> list[tuple[Any, ...]]:
    """Time, row and sketch of the rows before this one that fit, from the end of the file on."""
    where, values = asked.sql()
    select = f"SELECT {WHEN}, rowid, {', '.join(Sketch._fields)} FROM {RUNS} NOT INDEXED WHERE rowid < ? AND {where}"
    return connection.execute(f"{select} ORDER BY rowid DESC LIMIT {SKETCHES}", [below, *values]).fetchall()
