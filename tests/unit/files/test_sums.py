"""Sums over many runs of a history, made in SQL: the page that is made of them is that of all runs, read whole."""

from __future__ import annotations

import math
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from headway import errors
from headway.exporters import _gathered
from headway.exporters import report as report_module
from headway.exporters._gathered import BINS, Gathered
from headway.files import history, past_task, query, schema, sums
from headway.files.query import Query
from headway.views.board_view import BoardView
from tests.unit.conftest import FAILED, NOW, SECOND, add, ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.files.past_task import PastTask
    from tests.unit.conftest import Arrays

VIEW = "e" * 32  # the segment of the board; other rows are of an earlier one


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with such a history."""
    directory = tmp_path_factory.mktemp("filled")
    make(directory)
    return directory


@pytest.fixture
def directory(filled: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(filled, tmp_path / "board"))


def make(directory: Path, batches: int = 40, each: int = 10) -> None:
    """Runs that overlap, most of them short; of two segments, units and kinds, some parts of others, some failed."""
    for batch in range(batches):

        def edit(arrays: Arrays, batch: int = batch) -> None:
            tasks, numbers = arrays["tasks"], range(each)
            tasks["state"] = [(2, 2, 4, 2, FAILED if batch % 8 == 0 else 2)[number % 5] for number in numbers]
            tasks["error"] = [b"OSError: 7" if state == FAILED else b"" for state in tasks["state"]]
            took = [(1 + (7 * batch + 3 * number) % 11) * SECOND // 8 for number in numbers]
            took[0] = (3 + batch) * SECOND if batch % 5 == 0 else took[0]
            tasks["started_ns"] = tasks["ended_ns"] - took
            tasks["created_ns"] = tasks["started_ns"]
            tasks["base"], tasks["count"] = [number % 3 for number in numbers], [number % 3 + 5 for number in numbers]
            tasks["unit"] = [(b"file", b"bar")[number % 2] for number in numbers]
            tasks["id"] = [f"task-{batch}-{number}".encode() for number in numbers]
            if batch == 3:
                tasks["id"][1], tasks["parent_bytes"][1] = b"task-2-1/part", len("task-2-1")
            arrays["shares"]["alive"] = 1

        uuid = VIEW if batch >= batches // 2 else "f" * 32
        add(directory, ended(each, at=NOW + 30.0 * batch, generation=2 * batch + 1, uuid=uuid, edit=edit))


def board_of(directory: Path, asked: Query, longest: int = 20) -> sums.Sums:
    return sums.summed(directory, asked, sums.Board(VIEW, (), None, None), longest=longest, intervals=BINS)


def gathered_of(found: sums.Sums, runs: Sequence[PastTask]) -> Gathered:
    gathered = Gathered(NOW + 9e3, found.wholes)
    for run in runs:
        gathered.add(run, former=run.uuid != VIEW)
    return gathered


@pytest.mark.parametrize("few", [True, False], ids=["by the segment", "by the numbers"])
@pytest.mark.parametrize("index", [True, False], ids=["indexed", "of an older release"])
@pytest.mark.parametrize(
    "asked", [Query(), Query(uuid=VIEW), Query(since=NOW + 100.0), Query(since=NOW + 100.0, until=NOW + 900.0)], ids=str
)
def test_sums_and_what_is_read_whole_tell_what_all_runs_do(
    asked: Query, index: bool, few: bool, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_gathered, "BARS_MOST", 20)
    monkeypatch.setattr(query, "FEW", 10**9 if few else 1)
    if not index:
        with closing(sqlite3.connect(directory / history.HISTORY)) as connection:
            connection.execute(f"DROP INDEX {schema.BY_NUMBERS}")
    found = board_of(directory, asked)
    everything = [run for run in history.read(directory) if asked.uuid in (None, run.uuid)]
    since, until = asked.since or 0, asked.until or math.inf
    everything = [run for run in everything if since <= (run.ended or 0) < until]
    rest = list(sums.whole(directory, found.rest))
    assert found.tasks > len(everything) / 2
    assert found.tasks + len(rest) == len(everything)
    all_of_them, by_sums = gathered_of(found, everything), gathered_of(found, rest)
    by_sums.add_sums(found)
    for name in ("tasks", "begun", "begin", "end", "former"):
        assert getattr(by_sums, name) == getattr(all_of_them, name)
    keys = [(task.serial, task.started) for task in all_of_them.bars.tasks()]
    assert [(task.serial, task.started) for task in by_sums.bars.tasks()] == keys
    assert [task.id for task in by_sums.slow.tasks()] == [task.id for task in all_of_them.slow.tasks()]
    assert {key: kind.count for key, kind in by_sums.kinds.items()} == {
        key: kind.count for key, kind in all_of_them.kinds.items()
    }
    assert set(by_sums.throughput) == set(all_of_them.throughput) == {"file", "bar"}
    assert found.begin is not None
    assert found.end is not None
    for unit, grown in all_of_them.throughput.items():
        assert by_sums.throughput[unit].tasks == grown.tasks
        rates = by_sums.throughput[unit].spread(found.begin, found.end)
        assert rates == pytest.approx(grown.spread(found.begin, found.end), abs=1e-4)


def test_only_what_is_not_short_is_read_whole(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    decode = past_task.decode

    def counting(row: Sequence[Any]) -> PastTask:
        run = decode(row)
        decoded.append(run.id)
        return run

    monkeypatch.setattr(query, "decode", counting)
    view = BoardView({"name": "b", "uuid": VIEW, "taken_ns": (NOW + 9000) * SECOND}, tasks=[], workers=[])
    monkeypatch.setattr(report_module, "BARS_MOST", 20)
    page = report_module.report_of(view, directory, Query())
    assert "380" not in page
    assert 20 <= len(decoded) < 100


@pytest.mark.parametrize("most", [0, 1, 3, 10**6])
def test_runs_that_went_wrong_are_found_however_many_there_are(
    most: int, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sums, "REST_MOST", most)
    found = board_of(directory, Query())
    assert found == board_of(directory, Query())
    rest = list(sums.whole(directory, found.rest))
    assert sum(run.state == "failed" for run in rest) == 10
    assert found.tasks + len(rest) == 400
    assert found.tasks > 300


@pytest.mark.parametrize("longest", [0, 400, 1000])
def test_where_all_are_among_the_longest_none_is_short(longest: int, directory: Path) -> None:
    found = board_of(directory, Query(), longest)
    assert (found.tasks, found.counted, sum(map(len, found.rest.values()))) == (0, {}, 400)


def test_what_is_both_on_the_board_and_in_the_history_counts_once(directory: Path) -> None:
    runs = history.read(directory)
    there = [run for run in runs if run.uuid == VIEW][:5]
    former = [run for run in runs if run.uuid != VIEW][:5]
    board = sums.Board(VIEW, [*there, *former], None, None)
    found = sums.summed(directory, Query(), board, longest=20, intervals=BINS)
    assert found.known == {(run.serial, run.started) for run in there}
    found = sums.summed(directory, Query(until=NOW - 1e6), board, longest=20, intervals=BINS)
    assert (found.known, found.rest, found.tasks) == (set(), {"runs": found.rest["runs"][:0]}, 0)


def test_a_board_without_a_history_is_all_there_is(tmp_path: Path) -> None:
    assert board_of(tmp_path, Query()) == sums.Sums(set(), None, None, 0, {}, {}, {}, set(), {})


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("started", None),
        ("started", "yesterday"),
        ("started", -1.0),
        ("ended", "now"),
        ("ended", 1e300),
        ("count", "many"),
        ("count", 1e300),
        ("base", -1e300),
        ("workers_lost", "[[7, 1, 5, 101.0, false]]"),
        ("state", "lost"),
        ("state", "odd"),
    ],
)
def test_what_is_odd_is_read_whole_and_damage_is_told(column: str, value: Any, directory: Path) -> None:
    before = board_of(directory, Query())
    short = sorted(set(range(1, 401)) - set(before.rest["runs"]))[7]
    with closing(sqlite3.connect(directory / history.HISTORY)) as connection, connection:
        connection.execute(f"UPDATE runs SET {column} = ? WHERE rowid = ?", [value, short])
    found = board_of(directory, Query())
    assert short in found.rest["runs"]
    if value is None or column == "workers_lost" or value == "lost":
        assert list(sums.whole(directory, found.rest))
    else:
        with pytest.raises(errors.DamagedHistory):
            list(sums.whole(directory, found.rest))


def test_a_run_that_is_deleted_before_it_is_read_whole_is_left_out(directory: Path) -> None:
    found = board_of(directory, Query(), 400)
    with history.Writer(directory) as writer:
        writer.prune(keep_rows=5)
    assert len(list(sums.whole(directory, found.rest))) == 5
    history.remove(directory)
    assert list(sums.whole(directory, found.rest)) == []


def test_all_of_a_long_history_is_summed_up_in_one_index(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Noted(sums._Part):
        def select(
            self, what: str, also: str = "true", end: str = "", first: Sequence[Any] = (), asked_of: Query | None = None
        ) -> sqlite3.Cursor:
            where, values = (self._where, self._values) if asked_of is None else asked_of.sql()
            statement = f"EXPLAIN QUERY PLAN SELECT {what} FROM {self._source} WHERE {where} AND {also} {end}"
            asked.extend(row[3] for row in self._connection.execute(statement, [*first, *values]))
            return super().select(what, also, end, first, asked_of)

    monkeypatch.setattr(sums, "_Part", Noted)
    assert board_of(directory, Query(since=NOW + 100.0)).tasks
    read = [step for step in asked if " runs " in step]
    assert len(read) > BINS
    assert [step for step in read if f"USING COVERING INDEX {schema.BY_NUMBERS}" not in step] == []
    assert sum(step.startswith("SCAN runs") for step in read) == 0
