"""Tidies a history up in small steps: deletes what is too old or too much, moves older rows, shrinks the file.

A step is bounded, whatever the history holds, so that neither the one who does it nor other writers are kept long.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from headway.files.schema import OLDER, WHEN, move_older, tables

if TYPE_CHECKING:
    import sqlite3

__all__ = ["FREE_PAGES_MIN", "STEP_ROWS", "Round"]

STEP_ROWS = 500  # deleted or moved in one transaction: other writers wait for it
FREE_PAGES_MIN = 256  # fewer unused pages are not worth giving back


class Round:
    """Steps until nothing is left to do. deleted: how many rows so far."""

    def __init__(self, before: float | None, keep_rows: int | None) -> None:
        self.deleted = 0
        self._before = before
        self._keep_rows = keep_rows
        self._surplus = 0
        self._file: object = None  # whose surplus this is

    def step(self, connection: sqlite3.Connection, file: object) -> bool:
        """Do a part of it. Returns whether there is more to do. file: the identity of the database."""
        if file != self._file:
            self._file, self._surplus = file, self._too_many(connection)
        connection.execute("PRAGMA synchronous=NORMAL")  # a power cut may bring back what was deleted
        more = self._delete(connection) or _move_some(connection) or _give_back(connection)
        connection.execute("PRAGMA synchronous=FULL")
        return more

    def _too_many(self, connection: sqlite3.Connection) -> int:
        if self._keep_rows is None:
            return 0
        counts = (connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables(connection))
        return max(0, sum(map(int, counts)) - self._keep_rows)

    def _delete(self, connection: sqlite3.Connection) -> bool:
        for table in reversed(tables(connection)):  # rows of older versions are the oldest
            rows = 0
            if self._before is not None:
                rows = _delete_oldest(connection, table, self._before, STEP_ROWS)
            if not rows and self._surplus:
                rows = _delete_oldest(connection, table, math.inf, min(self._surplus, STEP_ROWS))
            self.deleted += rows
            self._surplus = max(0, self._surplus - rows)
            if rows:
                return True
        return False


def _delete_oldest(connection: sqlite3.Connection, table: str, before: float, most: int) -> int:
    oldest = f"SELECT rowid FROM {table} WHERE {WHEN} < ? ORDER BY {WHEN}, rowid LIMIT ?"
    return connection.execute(f"DELETE FROM {table} WHERE rowid IN ({oldest})", (before, most)).rowcount


def _move_some(connection: sqlite3.Connection) -> bool:
    """Move some rows of an older version, and drop its table once it is empty."""
    if OLDER not in tables(connection):
        return False
    connection.execute("BEGIN IMMEDIATE")
    if not move_older(connection, f"SELECT rowid FROM {OLDER} ORDER BY rowid DESC LIMIT {STEP_ROWS}"):
        connection.execute(f"DROP TABLE {OLDER}")
    connection.execute("COMMIT")
    return True


def _give_back(connection: sqlite3.Connection) -> bool:
    """Shrink the file a little, if a quarter of it is unused."""
    free, pages = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count"))
    if free < max(FREE_PAGES_MIN, pages // 4):
        return False
    connection.execute(f"PRAGMA incremental_vacuum({FREE_PAGES_MIN})").fetchall()
    return True
