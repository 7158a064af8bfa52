"""The table of a history: the statements that create, fill and read it, and the check that a database has it.

A row is one run of a task: a task that was killed and resumed has a row for each time that it ran. A run is named by
the place of its task (segment, slot, generation) and by the time at which the run began; 0 if it never began.

A history outlives the release that wrote it. Columns keep their names and meanings for ever, so readers can read older
versions, too. Versions 1 and 2 kept one row for each task, in a table `tasks`. The next writer adds the table `runs`
beside it, which takes a moment however many rows there are, and moves the rows a few at a time (`move_older`); readers
read both. Version 3 had the table `runs` without the columns of `_ADDED`, which the next writer adds in a moment.
`_LATER` has the columns that older versions may lack, with the value that their rows get.

The index `runs_by_numbers` may be missing, in a file that was begun before there was one: the next writer makes it
where that takes a moment, `headway history --check` in any file.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway import errors
from headway.files import database
from headway.files.past_task import COLUMNS, NO_SERIES

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

__all__ = [
    "ADD",
    "BY_NUMBERS",
    "BY_PLACE",
    "FETCH_OLDER",
    "HISTORY",
    "MOVE",
    "NEW",
    "OLDER",
    "RUNS",
    "SCHEMA_VERSION",
    "WHEN",
    "check",
    "has_numbers",
    "index_numbers",
    "move_older",
    "selected",
    "tables",
    "upgrade",
]

HISTORY = "history.sqlite3"
SCHEMA_VERSION = 4  # version 1 was before the first release
APPLICATION = int.from_bytes(b"hdwy", "big")  # in the file's header: it marks the database as a history
RUNS, OLDER = "runs", "tasks"  # the table of this version, and that of versions 1 and 2
BY_PLACE = "runs_by_place"  # its index by segment, slot and generation
BY_NUMBERS = "runs_by_numbers"  # its index of what a report sums up; a file may lack it, and is slower to sum up then
ROWS_AT_ONCE = 32_768  # so many rows are indexed in a moment
_BEGUN = "coalesce(started, 0)"
_KEY = ("uuid", "slot", "generation")
_ADDED = ("durations",)  # since version 3: they stand last, where they are in a table to which they were added
# Readers do not need the version: it tells one copy from another.
_WRITTEN_3 = {name: sql for name, sql in COLUMNS.items() if name not in _ADDED} | {"version": "INTEGER NOT NULL"}
_WRITTEN = _WRITTEN_3 | {name: COLUMNS[name] for name in _ADDED}
WHEN = "coalesce(ended, archived)"


def _table(columns: Mapping[str, str]) -> str:
    return f"CREATE TABLE runs ({', '.join(f'{name} {sql}' for name, sql in columns.items())})"


_SCHEMA = {
    RUNS: _table(_WRITTEN),
    BY_PLACE: f"CREATE UNIQUE INDEX {BY_PLACE} ON runs ({', '.join(_KEY)}, {_BEGUN})",
    # All that rows are chosen by, so that a search through a million runs reads this index alone.
    "runs_by_end": f"CREATE INDEX runs_by_end ON runs ({WHEN}, state, id, label, uuid, ended, archived)",
    "runs_by_id": "CREATE INDEX runs_by_id ON runs (id, created)",
}
_SCHEMA_3 = _SCHEMA | {RUNS: _table(_WRITTEN_3)}
# In the order of the rows, so that adding to it costs next to nothing; what is looked at in each row stands first.
_NUMBERS = (
    f"CREATE INDEX {BY_NUMBERS} ON runs "
    f"({WHEN}, started, ended, state, workers_lost, count, base, unit, parent, uuid, id, archived)"
)
NEW = (
    "PRAGMA auto_vacuum=INCREMENTAL",
    "BEGIN IMMEDIATE",
    *_SCHEMA.values(),
    _NUMBERS,
    f"PRAGMA application_id={APPLICATION}",
    f"PRAGMA user_version={SCHEMA_VERSION}",
    "COMMIT",
    "PRAGMA journal_mode=WAL",  # last, so that everything is in the database itself and the log is empty
)

_FOLDED = ("workers", "workers_lost", "lost_left_out")
# The same run, in an earlier segment.
_ELSEWHERE = f"id = :id AND created = :created AND {_BEGUN} = coalesce(:started, 0) AND uuid <> :uuid"
MOVE = f"""
UPDATE OR REPLACE runs SET uuid = :uuid, slot = :slot, generation = :generation
WHERE {_ELSEWHERE} AND taken_at < :taken_at"""
ADD = """
INSERT INTO runs ({}) SELECT {} WHERE NOT EXISTS (SELECT 1 FROM runs WHERE {})
ON CONFLICT ({}, {}) DO UPDATE SET {},
    series = CASE excluded.series WHEN '{}' THEN runs.series ELSE excluded.series END, {}
WHERE (excluded.version, excluded.taken_at, excluded.count) <> (runs.version, runs.taken_at, runs.count)""".format(
    ", ".join(_WRITTEN),
    ", ".join(f":{name}" for name in _WRITTEN),
    _ELSEWHERE,
    ", ".join(_KEY),
    _BEGUN,
    ", ".join(f"{name} = excluded.{name}" for name in _WRITTEN if name not in (*_KEY, "series", *_FOLDED)),
    NO_SERIES,  # a worker that archives tasks has no series: keep the recorder's
    # A task that has ended may lose the counters of its workers to another one: keep what was known of them before.
    ", ".join(
        f"{name} = CASE WHEN excluded.state <> 'lost' AND (excluded.state, excluded.ended) = (runs.state, runs.ended) "
        f"AND excluded.lost_left_out > runs.lost_left_out THEN runs.{name} ELSE excluded.{name} END"
        for name in _FOLDED
    ),
)
# The older rows that a new row may replace have to be in the new table before it.
FETCH_OLDER = f"""
SELECT rowid FROM {OLDER} WHERE (uuid, slot, generation) = (:uuid, :slot, :generation)
UNION SELECT rowid FROM {OLDER} WHERE id = :id AND created = :created"""
_LATER = {"version": "0", "durations": "''"}  # columns that older versions may lack, with the value of their rows


def tables(connection: sqlite3.Connection) -> list[str]:
    """The tables that hold runs: that of this version, and that of older ones as long as it is not moved."""
    found = connection.execute(f"SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('{RUNS}', '{OLDER}')")
    return sorted(name for (name,) in found)


def selected(connection: sqlite3.Connection, table: str, columns: Sequence[str]) -> str:
    """These columns of a table for a SELECT: of an older version, with the values that stand in for those it lacks."""
    names = _names(connection, table)
    return ", ".join(name if name in names else f"{_LATER[name]} AS {name}" for name in columns)


def _names(connection: sqlite3.Connection, table: str) -> set[str]:
    return {name for (name,) in connection.execute(f"SELECT name FROM pragma_table_info('{table}')")}


def check(connection: sqlite3.Connection, path: Path) -> int:
    """Check that a database is a history. Returns its version. Raises DamagedHistory, LayoutMismatch."""
    try:
        rows = connection.execute("SELECT name, type, sql FROM sqlite_master").fetchall()
    except MemoryError:  # SQLite reports some damaged schemas this way; nothing here needs much memory
        raise database.damaged(path, "its schema cannot be read") from None
    found = {name: (kind, sql) for name, kind, sql in rows}
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise database.damaged(path, "it is not the history of a board")
    if any(kind == "trigger" for kind, _ in found.values()):
        raise database.damaged(path, "it has triggers")
    schema = _SCHEMA_3 if version == 3 else _SCHEMA
    whole = all(found.get(name, ("", ""))[1] == sql for name, sql in schema.items())
    whole = whole and found.get(BY_NUMBERS, ("", _NUMBERS))[1] == _NUMBERS
    if SCHEMA_VERSION < version < 1000 and not whole:
        raise errors.LayoutMismatch(
            f"{path} was written by a newer version of Headway (its version is {version}, this one knows up to "
            f"{SCHEMA_VERSION}): read it with that version, or move it away"
        )
    older = OLDER in found and _is_older(connection, *found[OLDER])
    if 0 < version < 3 and older and RUNS not in found:
        return int(version)
    if not whole or version not in (3, SCHEMA_VERSION) or (OLDER in found and not older):
        raise database.damaged(path, "its tables are not those of a history")
    return int(version)


def has_numbers(connection: sqlite3.Connection) -> bool:
    """Has a history that `check` accepted the index of numbers?"""
    found = "SELECT 1 FROM sqlite_master WHERE name = ?"
    return connection.execute(found, [BY_NUMBERS]).fetchone() is not None


def index_numbers(connection: sqlite3.Connection, *, rows: int | None = ROWS_AT_ONCE) -> None:
    """Make the index of numbers if there is none, and not more than so many rows: others wait for it meanwhile."""
    if has_numbers(connection):
        return
    last = connection.execute(f"SELECT max(rowid) FROM {RUNS}").fetchone()[0] or 0
    if rows is None or last <= rows:
        connection.execute(_NUMBERS.replace("INDEX", "INDEX IF NOT EXISTS", 1))


def _is_older(connection: sqlite3.Connection, kind: str, sql: str) -> bool:
    """Is `tasks` a plain table with all columns of the first version?"""
    columns = connection.execute(f"SELECT name, hidden FROM pragma_table_xinfo('{OLDER}')").fetchall()
    names = {name for name, hidden in columns if not hidden}
    plain = kind == "table" and sql.startswith(f"CREATE TABLE {OLDER} (") and len(names) == len(columns)
    return plain and names >= _WRITTEN.keys() - _LATER.keys()


def upgrade(connection: sqlite3.Connection) -> None:
    """Give an older history that `check` accepted the table of this version. `move_older` moves rows of `tasks`."""
    from headway.native.core import at_once

    made = [f"ALTER TABLE {RUNS} ADD COLUMN {name} {COLUMNS[name]}" for name in _ADDED]
    if RUNS not in tables(connection):
        made = [*_SCHEMA.values(), _NUMBERS]
    statements = ("BEGIN IMMEDIATE", *made, f"PRAGMA user_version={SCHEMA_VERSION}", "COMMIT")
    at_once([partial(connection.execute, statement) for statement in statements], connection.rollback)


def move_older(connection: sqlite3.Connection, which: str, values: Mapping[str, Any] | None = None) -> int:
    """Move the rows of the older table that the SELECT `which` names by their rowids. Within a transaction."""
    columns = selected(connection, OLDER, tuple(_WRITTEN))
    chosen = f"FROM {OLDER} WHERE rowid IN ({which})"
    connection.execute(f"INSERT OR IGNORE INTO {RUNS} ({', '.join(_WRITTEN)}) SELECT {columns} {chosen}", values or {})
    return connection.execute(f"DELETE {chosen}", values or {}).rowcount
