"""The table of a history: the statements that create, fill and read it, and the check that a database has it.

A history outlives the release that wrote it. Columns keep their names and meanings for ever, so readers can read older
versions, too. The next writer copies the rows of an older version into a table of the present version, in one
transaction. `_LATER` has the columns that older versions may lack, with the value that their rows get.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headway import errors
from headway.files import database
from headway.files.past_task import COLUMNS, NO_SERIES

if TYPE_CHECKING:
    import sqlite3

__all__ = ["ADD", "HOLDING", "MOVE", "NEW", "SCHEMA_VERSION", "SELECT", "WHEN", "check", "upgrade"]

SCHEMA_VERSION = 2  # version 1 was before the first release
APPLICATION = int.from_bytes(b"hdwy", "big")  # in the file's header: it marks the database as a history
_KEY = ("uuid", "slot", "generation")
_WRITTEN = COLUMNS | {"version": "INTEGER NOT NULL"}  # readers do not need the version
WHEN = "coalesce(ended, archived)"
_SCHEMA = {
    "tasks": "CREATE TABLE tasks ({}, UNIQUE ({}))".format(
        ", ".join(f"{name} {sql}" for name, sql in _WRITTEN.items()), ", ".join(_KEY)
    ),
    "tasks_by_end": f"CREATE INDEX tasks_by_end ON tasks ({WHEN})",
    "tasks_by_id": "CREATE INDEX tasks_by_id ON tasks (id, created)",
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

_ELSEWHERE = "id = :id AND created = :created AND uuid <> :uuid"  # the same task, in an earlier segment
MOVE = f"""
UPDATE OR REPLACE tasks SET uuid = :uuid, slot = :slot, generation = :generation, version = -1
WHERE {_ELSEWHERE} AND taken_at < :taken_at"""
ADD = """
INSERT INTO tasks ({}) SELECT {} WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE {})
ON CONFLICT ({}) DO UPDATE SET {},
    series = CASE excluded.series WHEN '{}' THEN tasks.series ELSE excluded.series END
WHERE (excluded.version, excluded.taken_at) > (tasks.version, tasks.taken_at)""".format(
    ", ".join(_WRITTEN),
    ", ".join(f":{name}" for name in _WRITTEN),
    _ELSEWHERE,
    ", ".join(_KEY),
    ", ".join(f"{name} = excluded.{name}" for name in _WRITTEN if name not in (*_KEY, "series")),
    NO_SERIES,  # a worker that archives tasks has no series: keep the recorder's
)
HOLDING = "SELECT 1 FROM tasks WHERE uuid = ? AND slot = ? AND generation = ? AND version = ? AND count = ?"
SELECT = f"SELECT {', '.join(COLUMNS)} FROM tasks"
_LATER = {"version": "0"}  # columns that version 1 may lack, with the value of its rows


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
    if 0 < version < SCHEMA_VERSION and _is_older(connection, *found.get("tasks", ("", ""))):
        return int(version)
    if not whole or version != SCHEMA_VERSION:
        raise database.damaged(path, "its tables are not those of a history")
    return SCHEMA_VERSION


def _is_older(connection: sqlite3.Connection, kind: str, sql: str) -> bool:
    """Is `tasks` a plain table with all columns of the first version?"""
    columns = connection.execute("SELECT name, hidden FROM pragma_table_xinfo('tasks')").fetchall()
    names = {name for name, hidden in columns if not hidden}
    plain = kind == "table" and sql.startswith("CREATE TABLE tasks (") and len(names) == len(columns)
    return plain and names >= _WRITTEN.keys() - _LATER.keys()


def upgrade(connection: sqlite3.Connection) -> None:
    """Convert an older history that `check` accepted to this version, in one transaction. No one else may write."""
    connection.execute("BEGIN IMMEDIATE")
    names = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info('tasks')")}
    values = (name if name in names else _LATER[name] for name in _WRITTEN)
    connection.execute("ALTER TABLE tasks RENAME TO older")
    connection.execute(_SCHEMA["tasks"])
    connection.execute(f"INSERT INTO tasks ({', '.join(_WRITTEN)}) SELECT {', '.join(values)} FROM older")
    connection.execute("DROP TABLE older")  # with its indexes
    for name, statement in _SCHEMA.items():
        if name != "tasks":
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")
