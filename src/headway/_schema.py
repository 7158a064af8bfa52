"""The table of a history: the statements that make it, fill it and read it, and whether a database has it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headway import _database, errors
from headway._past_task import COLUMNS, NO_SERIES

if TYPE_CHECKING:
    import sqlite3

__all__ = ["ADD", "MOVE", "NEW", "SELECT", "WHEN", "check"]

SCHEMA_VERSION = 1
APPLICATION = int.from_bytes(b"hdwy", "big")  # in the file's header: whose it is
_KEY = ("uuid", "slot", "generation")
_WRITTEN = COLUMNS | {"version": "INTEGER NOT NULL"}  # the latter is of no interest to readers
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
    "PRAGMA journal_mode=WAL",  # last: all is in the database itself then, and nothing in a log that stays behind
)

_ELSEWHERE = "id = :id AND created = :created AND uuid <> :uuid"  # the same task, in the segment it was restored from
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
    NO_SERIES,  # who makes room on the board has none: the recorder's stays
)
SELECT = f"SELECT {', '.join(COLUMNS)} FROM tasks"


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Is it a history, of this version? Raises DamagedHistory, LayoutMismatch."""
    try:
        rows = connection.execute("SELECT name, type, sql FROM sqlite_master").fetchall()
    except MemoryError:  # what SQLite says of some damaged schemas; nothing here needs much memory
        raise _database.damaged(path, "its schema cannot be read") from None
    found = {name: (kind, sql) for name, kind, sql in rows}
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise _database.damaged(path, "it is no history of a board")
    if any(kind == "trigger" for kind, _ in found.values()):
        raise _database.damaged(path, "it has triggers")
    whole = all(found.get(name, ("", ""))[1] == sql for name, sql in _SCHEMA.items())
    if version != SCHEMA_VERSION and not whole and 0 < version < 1000:
        raise errors.LayoutMismatch(
            f"{path} has version {version}, and this version of Headway knows version {SCHEMA_VERSION}: read it with "
            f"the version that wrote it, or move it away"
        )
    if not whole or version != SCHEMA_VERSION:
        raise _database.damaged(path, "its tables are not those of a history")
