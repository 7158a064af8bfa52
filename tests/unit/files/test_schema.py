"""The table of a history: what passes for one, and how an older one becomes one of this version."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway import errors
from headway.files import schema

if TYPE_CHECKING:
    from collections.abc import Iterator

WHERE = Path("history.sqlite3")


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        for statement in schema.NEW:
            made.execute(statement)
        yield made


def test_a_new_one_passes(connection: sqlite3.Connection) -> None:
    assert schema.check(connection, WHERE) == schema.SCHEMA_VERSION


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("PRAGMA application_id=0", "it is not the history of a board"),
        ("CREATE TRIGGER extra AFTER INSERT ON tasks BEGIN DELETE FROM tasks; END", "it has triggers"),
        ("DROP INDEX tasks_by_id", "its tables are not those of a history"),
        ("PRAGMA user_version=0", "its tables are not those of a history"),
    ],
)
def test_another_database_is_damage_and_says_why(connection: sqlite3.Connection, statement: str, why: str) -> None:
    connection.execute(statement)
    with pytest.raises(errors.DamagedHistory, match=why):
        schema.check(connection, WHERE)


def test_one_of_a_newer_version_is_told_from_damage_by_its_tables(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA user_version={schema.SCHEMA_VERSION + 1}")
    with pytest.raises(errors.DamagedHistory):  # with the tables of this version it cannot be newer
        schema.check(connection, WHERE)
    connection.execute("ALTER TABLE tasks ADD COLUMN more TEXT")
    with pytest.raises(errors.LayoutMismatch, match="newer version of Headway"):
        schema.check(connection, WHERE)


def test_an_older_one_is_accepted_and_becomes_one_of_this_version(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE tasks DROP COLUMN version")
    connection.execute("PRAGMA user_version=1")
    assert schema.check(connection, WHERE) == 1
    schema.upgrade(connection)
    assert schema.check(connection, WHERE) == schema.SCHEMA_VERSION
    assert not connection.in_transaction
