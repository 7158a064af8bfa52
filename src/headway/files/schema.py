"""The table of a history: the statements that create, fill and read it, and the check that a database has it.

A row is one run of a task: a task that was killed and resumed has a row for each time that it ran. A run is named by
the place of its task (segment, slot, generation) and by the time at which the run began; 0 if it never began.

A history outlives the release that wrote it. Columns keep their names and meanings for ever, so readers can read older
versions, too. Versions 1 and 2 kept one row for each task, in a table `tasks`. The next writer adds the table `runs`
beside it, which takes a moment however many rows there are, and moves the rows a few at a time (`move_older`); readers
read both. `_LATER` has the columns that older versions may lack, with the value that their rows get.
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
    from collections.abc import Mapping

__all__ = [
    "ADD",
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
    "move_older",
    "tables",
    "upgrade",
]

HISTORY = "history.sqlite3"
SCHEMA_VERSION = 3  # version 1 was before the first release
APPLICATION = int.from_bytes(b"hdwy", "big")  # in the file's header: it marks the database as a history
RUNS, OLDER = "runs", "tasks"  # the table of this version, and that of versions 1 and 2
BY_PLACE = "runs_by_place"  # its index by segment, slot and generation
_BEGUN = "coalesce(started, 0)"
_KEY = ("uuid", "slot", "generation")
_WRITTEN = COLUMNS | {"version": "INTEGER NOT NULL"}  # readers do not need the version: it tells one copy from another
WHEN = "coalesce(ended, archived)"
_SCHEMA = {
    RUNS: f"CREATE TABLE runs ({', '.join(f'{name} {sql}' for name, sql in _WRITTEN.items())})",
    BY_PLACE: f"CREATE UNIQUE INDEX {BY_PLACE} ON runs ({', '.join(_KEY)}, {_BEGUN})",
    # All that rows are chosen by, so that a search through a million runs reads this index alone.
    "runs_by_end": f"CREATE INDEX runs_by_end ON runs ({WHEN}, state, id, label, uuid, ended, archived)",
    "runs_by_id": "CREATE INDEX runs_by_id ON runs (id, created)",
}
NEW = (
    "PRAGMA auto_vacuum=INCREMENTAL",
    "BEGIN IMMEDIATE",
    *_SCHEMA.values(),
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
_LATER = {"version": "0"}  # columns that version 1 may lack, with the value of its rows


def tables(connection: sqlite3.Connection) -> list[str]:
    """The tables that hold runs: that of this version, and that of older ones as long as it is not moved."""
    found = connection.execute(f"SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('{RUNS}', '{OLDER}')")
    return sorted(name for (name,) in found)


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
    whole = all(found.get(name, ("", ""))[1] == sql for name, sql in _SCHEMA.items())
    if SCHEMA_VERSION < version < 1000 and not whole:
        raise errors.LayoutMismatch(
            f"{path} was written by a newer version of Headway (its version is {version}, this one knows up to "
            f"{SCHEMA_VERSION}): read it with that version, or move it away"
        )
    older = OLDER in found and _is_older(connection, *found[OLDER])
    if 0 < version < SCHEMA_VERSION and older and RUNS not in found:
        return int(version)
    if not whole or version != SCHEMA_VERSION or (OLDER in found and not older):
        raise database.damaged(path, "its tables are not those of a history")
    return SCHEMA_VERSION


def _is_older(connection: sqlite3.Connection, kind: str, sql: str) -> bool:
    """Is `tasks` a plain table with all columns of the first version?"""
    columns = connection.execute(f"SELECT name, hidden FROM pragma_table_xinfo('{OLDER}')").fetchall()
    names = {name for name, hidden in columns if not hidden}
    plain = kind == "table" and sql.startswith(f"CREATE TABLE {OLDER} (") and len(names) == len(columns)
    return plain and names >= _WRITTEN.keys() - _LATER.keys()


def upgrade(connection: sqlite3.Connection) -> None:
    """Give an older history that `check` accepted the table of this version. Its rows are moved by `move_older`."""
    from headway.native.core import at_once

    statements = ("BEGIN IMMEDIATE", *_SCHEMA.values(), f"PRAGMA user_version={SCHEMA_VERSION}", "COMMIT")
    at_once([partial(connection.execute, statement) for statement in statements], connection.rollback)


def move_older(connection: sqlite3.Connection, which: str, values: Mapping[str, Any] | None = None) -> int:
    """Move the rows of the older table that the SELECT `which` names by their rowids. Within a transaction."""
    names = {name for (name,) in connection.execute(f"SELECT name FROM pragma_table_info('{OLDER}')")}
    columns = ", ".join(name if name in names else _LATER[name] for name in _WRITTEN)
    chosen = f"FROM {OLDER} WHERE rowid IN ({which})"
    connection.execute(f"INSERT OR IGNORE INTO {RUNS} ({', '.join(_WRITTEN)}) SELECT {columns} {chosen}", values or {})
    return connection.execute(f"DELETE {chosen}", values or {}).rowcount
