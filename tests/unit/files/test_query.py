"""Asking the history: what fits and nothing else, page by page, whatever happens between two pages."""

from __future__ import annotations

import math
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway import errors
from headway.files import database, history, query, schema
from headway.files.query import Query
from tests.unit.conftest import FAILED, LOST, NOW, SECOND, add, ended

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.unit.conftest import Arrays

STATES = {2: "success", 3: "failed", 4: "cancelled", 5: "lost"}


def labelled(number: int) -> str:
    return f"Größe {number}% of_it"


def fill(directory: Path, batches: int = 6, each: int = 7) -> None:
    """Batches of tasks that ended at the same moment, each a second after the one before."""
    for batch in range(batches):

        def edit(arrays: Arrays, batch: int = batch) -> None:
            arrays["tasks"]["state"] = [2 + (batch + number) % 4 for number in range(each)]
            arrays["tasks"]["label"] = [labelled(number).encode() for number in range(each)]

        add(directory, ended(each, at=NOW + batch, generation=2 * batch + 1, edit=edit))


def pages(directory: Path, asked: Query, limit: int) -> Iterator[query.Page]:
    before = None
    while True:
        page = query.page(directory, asked, limit=limit, before=before)
        yield page
        if page.next is None:
            return
        before = page.next


@given(
    limit=st.integers(1, 50),
    text=st.none()
    | st.sampled_from(["task-1", "TASK", "3%", "%", "_", "größe", "Größe", "\\", "f_i", "G%t", "t_sk", "no"]),
    states=st.lists(st.sampled_from(sorted(STATES.values())), unique=True, max_size=3),
    since=st.none() | st.integers(-1, 6),
    until=st.none() | st.integers(-1, 6),
    id=st.none() | st.sampled_from(["task-1", "task-", "TASK-1"]),
)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_stream_and_count_agree_with_a_plain_search(
    tmp_path: Path,
    limit: int,
    text: str | None,
    states: list[str],
    since: int | None,
    until: int | None,
    id: str | None,
) -> None:
    if not (tmp_path / history.HISTORY).exists():
        fill(tmp_path)
    asked = Query(
        id=id,
        text=text,
        states=states,
        since=None if since is None else NOW + since,
        until=None if until is None else NOW + until,
    )

    def folded(text: str) -> str:
        return "".join(letter.lower() if letter.isascii() else letter for letter in text)

    expected = [
        task
        for task in history.read(tmp_path)
        if (id is None or task.id == id)
        and (text is None or any(folded(text) in folded(one) for one in (task.id, task.label)))
        and (not states or task.state in states)
        and (since is None or (task.ended or 0) >= NOW + since)
        and (until is None or (task.ended or 0) < NOW + until)
    ]
    walked = list(pages(tmp_path, asked, limit))
    assert [task for page in walked for task in page.tasks] == expected
    assert all(len(page.tasks) == limit for page in walked[:-1])
    assert len(walked[-1].tasks) <= limit
    assert list(query.stream(tmp_path, asked)) == expected
    assert list(query.stream(tmp_path, asked, limit=limit)) == expected[:limit]
    assert query.count(tmp_path, asked) == len(expected)


@pytest.mark.parametrize(("text", "found"), [("G%t", 0), ("t_sk", 0), ("\\", 0), ("1% of_", 1), ("% OF_", 7)])
def test_letters_that_mean_something_to_sql_are_letters(tmp_path: Path, text: str, found: int) -> None:
    fill(tmp_path, batches=1)
    assert query.count(tmp_path, Query(text=text)) == found


def test_only_runs_of_a_segment_are_found_when_it_is_named(tmp_path: Path) -> None:
    add(tmp_path, ended(2))

    def later(arrays: Arrays) -> None:
        arrays["tasks"]["created_ns"] += SECOND

    add(tmp_path, ended(3, uuid="f" * 32, generation=3, at=NOW + 5, edit=later))
    assert query.count(tmp_path, Query(uuid="f" * 32)) == 3
    assert {task.uuid for task in query.stream(tmp_path, Query(uuid="f" * 32))} == {"f" * 32}
    assert query.count(tmp_path, Query(uuid="a" * 32)) == 0


def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From now on, a number for every ten instructions that SQLite executes: its work, whatever the machine does."""
    done: list[int] = []
    connect = database.connect

    def counting(path: Path, *, write: bool, alone: bool = False) -> sqlite3.Connection:
        connection = connect(path, write=write, alone=alone)
        connection.set_progress_handler(lambda: done.append(1), 10)
        return connection

    monkeypatch.setattr(database, "connect", counting)
    return done


def test_few_runs_of_a_segment_are_found_without_a_walk_through_those_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def part(arrays: Arrays) -> None:
        arrays["tasks"]["id"][0] = b"all/one"
        arrays["tasks"]["parent_bytes"][0] = 3

    add(tmp_path, ended(3, uuid="f" * 32, generation=3, at=NOW - 100, edit=part))
    work = []
    for batch in range(2):
        for number in range(10 + 30 * batch):
            add(tmp_path, ended(60, at=NOW + 100 * batch + number, generation=5 + 200 * batch + 2 * number))
        asked, done = Query(uuid="f" * 32), steps(monkeypatch)
        assert len(list(query.stream(tmp_path, asked))) == query.count(tmp_path, asked) == 3
        monkeypatch.undo()
        work.append(len(done))
    assert work[1] <= work[0] + 2, "it grows with the rows of others"


def test_many_runs_of_a_segment_are_read_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "FEW", 5)
    fill(tmp_path)
    asked = Query(uuid=next(iter(history.read(tmp_path))).uuid)
    assert list(query.stream(tmp_path, asked)) == history.read(tmp_path)
    assert query.count(tmp_path, asked) == 42


def test_what_ends_or_is_deleted_between_two_pages_shifts_nothing(tmp_path: Path) -> None:
    fill(tmp_path, batches=4, each=5)
    all_of_them = [(task.generation, task.slot) for task in history.read(tmp_path)]
    first = query.page(tmp_path, Query(), limit=7)
    add(tmp_path, ended(3, at=NOW + 99, generation=99, state=FAILED))
    with history.Writer(tmp_path) as writer:
        writer.prune(keep_rows=20 + 3 - 2)
    second = query.page(tmp_path, Query(), limit=100, before=first.next)
    assert second.next is None
    seen = [(task.generation, task.slot) for page in (first, second) for task in page.tasks]
    assert seen == all_of_them[: 20 - 2]


def test_a_stream_holds_a_page_of_rows_and_no_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "PAGE", 4)
    fill(tmp_path, batches=3, each=5)
    stream = query.stream(tmp_path, Query())
    seen = [next(stream)]
    with history.Writer(tmp_path) as writer:
        writer.prune(keep_rows=0)  # a reader's transaction would keep the rows for it
    seen += stream
    assert len(seen) == 4


def test_the_search_for_a_text_in_a_state_reads_one_index_alone(tmp_path: Path) -> None:
    """Else it would read the rows, a hundred times as much."""
    fill(tmp_path)
    asked = Query(text="x", states=("failed", "lost"), since=0, until=NOW)
    where, values = asked.sql()
    with closing(sqlite3.connect(tmp_path / history.HISTORY)) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN SELECT count(*) FROM runs WHERE {where}", values).fetchall()
    assert ["COVERING INDEX runs_by_end" in step[3] for step in plan] == [True]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"states": ("running",)}, "choose one of success, failed, cancelled, lost"),
        ({"since": math.nan}, "since nan is not a time"),
        ({"until": math.nan}, "until nan is not a time"),
        ({"text": "x" * 1001}, "1000 letters at most"),
    ],
)
def test_what_cannot_be_asked_is_a_value_error(asked: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Query(**asked)


@pytest.mark.parametrize(
    "before", ["", "1", "1,2,3,4", "nan,1,1", "inf,1,1", "1.0,1,x", "1.0,7,1", f"1.0,1,{2**63}", "1.0, 1,1"]
)
def test_a_place_that_no_page_gave_is_a_value_error(tmp_path: Path, before: str) -> None:
    with pytest.raises(ValueError, match="give the 'next' of a page"):
        query.page(tmp_path, Query(), limit=1, before=before)
    with pytest.raises(ValueError, match="give 1 or more"):
        query.page(tmp_path, Query(), limit=0)


def settled(directory: Path) -> None:
    """The history as a writer leaves it that closed it a while ago."""
    os.utime(directory / history.HISTORY, (NOW, NOW))


def test_reading_a_history_that_nobody_writes_leaves_no_file(tmp_path: Path) -> None:
    fill(tmp_path)
    settled(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert before.keys() == {history.HISTORY, "history.lock"}
    assert (
        len(list(query.stream(tmp_path, Query()))) == len(query.read(tmp_path)) == query.count(tmp_path, Query()) == 42
    )
    assert query.page(tmp_path, Query(), limit=5).next is not None
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_what_is_written_while_a_history_is_read_without_locks_has_it_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path)
    settled(tmp_path)
    looks = 0

    def written_meanwhile(connection: sqlite3.Connection) -> Sequence[str]:
        nonlocal looks
        looks += 1
        if looks == 1:
            fill(tmp_path, batches=9)  # the log is gone again afterwards
        return schema.tables(connection)

    monkeypatch.setattr("headway.files.query.tables", written_meanwhile)
    assert query.count(tmp_path, Query()) == 63
    assert looks == 2


def test_without_a_history_there_is_nothing(tmp_path: Path) -> None:
    assert query.page(tmp_path, Query(), limit=5) == query.Page(history.read(tmp_path), None)
    assert list(query.stream(tmp_path, Query(states=("lost",)))) == []
    assert query.count(tmp_path, Query()) == 0


def test_a_damaged_row_names_its_file(tmp_path: Path) -> None:
    add(tmp_path, ended(2, state=LOST))
    with closing(sqlite3.connect(tmp_path / history.HISTORY)) as connection:
        connection.execute("UPDATE runs SET state = 'running'")
        connection.commit()
    for ask in (lambda: query.page(tmp_path, Query(), limit=1), lambda: next(query.stream(tmp_path, Query()))):
        with pytest.raises(errors.DamagedHistory, match="column state"):
            ask()
