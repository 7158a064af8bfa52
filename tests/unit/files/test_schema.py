"""The table of a history: what passes for one, and how an older one becomes one of this version."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway import errors
from headway.files import schema
from headway.files.past_task import COLUMNS

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
        ("CREATE TRIGGER extra AFTER INSERT ON runs BEGIN DELETE FROM runs; END", "it has triggers"),
        ("DROP INDEX runs_by_id", "its tables are not those of a history"),
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
    connection.execute("ALTER TABLE runs ADD COLUMN more TEXT")
    with pytest.raises(errors.LayoutMismatch, match="newer version of Headway"):
        schema.check(connection, WHERE)


def test_one_of_version_3_is_accepted_and_gets_the_columns_that_it_lacks(connection: sqlite3.Connection) -> None:
    connection.execute(f"ALTER TABLE {schema.RUNS} DROP COLUMN durations")
    connection.execute("PRAGMA user_version=3")
    assert schema.check(connection, WHERE) == 3
    assert schema.selected(connection, schema.RUNS, ("id", "durations")) == "id, '' AS durations"
    schema.upgrade(connection)
    assert schema.check(connection, WHERE) == schema.SCHEMA_VERSION
    assert schema.selected(connection, schema.RUNS, ("id", "durations")) == "id, durations"
    assert schema.tables(connection) == [schema.RUNS]
    connection.execute("PRAGMA user_version=3")
    with pytest.raises(errors.DamagedHistory):
        schema.check(connection, WHERE)


def test_the_index_of_numbers_may_be_missing_and_comes_where_that_takes_a_moment(
    connection: sqlite3.Connection,
) -> None:
    connection.execute(f"DROP INDEX {schema.BY_NUMBERS}")
    assert schema.check(connection, WHERE) == schema.SCHEMA_VERSION
    names = [name for name in COLUMNS if COLUMNS[name].endswith("NOT NULL")]
    values = f"INSERT INTO runs (version, {', '.join(names)}) VALUES (1, {', '.join('?' * len(names))})"
    for number in range(3):
        connection.execute(values, [number] * len(names))
    schema.index_numbers(connection, rows=2)
    assert not schema.has_numbers(connection)
    for rows in (3, None):
        schema.index_numbers(connection, rows=rows)
        assert schema.has_numbers(connection)
        assert schema.check(connection, WHERE) == schema.SCHEMA_VERSION


def test_another_index_of_that_name_is_damage(connection: sqlite3.Connection) -> None:
    connection.execute(f"DROP INDEX {schema.BY_NUMBERS}")
    connection.execute(f"CREATE INDEX {schema.BY_NUMBERS} ON runs (id)")
    with pytest.raises(errors.DamagedHistory):
        schema.check(connection, WHERE)


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_one_is_accepted_and_gets_the_table_of_this_version_beside_its_own(
    connection: sqlite3.Connection, version: int
) -> None:
    connection.execute(f"ALTER TABLE {schema.RUNS} RENAME TO {schema.OLDER}")
    for index in ("runs_by_place", "runs_by_end", "runs_by_id", "runs_by_numbers"):
        connection.execute(f"DROP INDEX {index}")
    if version == 1:
        connection.execute(f"ALTER TABLE {schema.OLDER} DROP COLUMN version")
    connection.execute(f"PRAGMA user_version={version}")
    connection.execute("PRAGMA writable_schema=ON")  # what ALTER TABLE wrote has quotes, which ours have not
    connection.execute("UPDATE sqlite_master SET sql = replace(sql, '\"', '')")
    connection.execute("PRAGMA writable_schema=OFF")
    assert schema.check(connection, WHERE) == version
    assert schema.tables(connection) == [schema.OLDER]
    schema.upgrade(connection)
    assert schema.check(connection, WHERE) == schema.SCHEMA_VERSION
    assert schema.tables(connection) == [schema.RUNS, schema.OLDER]
    assert not connection.in_transaction
