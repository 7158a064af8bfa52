"""What a long history costs those who open, record and read its board: of 1 000 and 10 000 rows, and of 1 000 000 with
--large (1 GiB of disk, minutes to make). Half of the rows are older than what a recorder keeps.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.contest import Contest, Side
from headway.engine.board import open_board
from headway.exporters.report import report_of
from headway.files import archive, history, query, retention, snapshot
from headway.files.query import Query
from headway.recorder.recorder import Recorder
from headway.upkeep import removal

MILLION = 1_000_000
SEED = 256
DAY_S = 24 * 3600.0
SPAN_DAYS = 2 * 30


@dataclass(frozen=True)
class Long:
    """A board that nobody has open, with a history."""

    name: str
    directory: Path


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "long" in metafunc.fixturenames:
        sizes = [1_000, 10_000, *([MILLION] if metafunc.config.getoption("--large") else [])]
        metafunc.parametrize("grown", sizes, indirect=True, scope="module")


def grow(directory: Path, rows: int) -> None:
    """Copy the rows that are there until there are so many, evenly over the last days, each a task of its own."""
    with closing(sqlite3.connect(directory / history.HISTORY, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        columns = [name for (name,) in connection.execute("SELECT name FROM pragma_table_info('runs')")]
        when = f"{time.time()!r} - {SPAN_DAYS * DAY_S!r} * (1.0 - n / {rows / SEED!r})"
        other = dict.fromkeys(("created", "started", "ended", "archived"), when)
        other |= {"generation": "generation + 2 * n", "id": f"'task ' || (n * {SEED} + slot)"}
        chosen = ", ".join(other.get(name, name) for name in columns)
        copies = f"WITH RECURSIVE copy(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copy WHERE n < {rows // SEED - 1})"
        connection.execute("CREATE TEMP TABLE seed AS SELECT * FROM runs")
        connection.execute(f"INSERT INTO runs ({', '.join(columns)}) {copies} SELECT {chosen} FROM seed, copy")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


@pytest.fixture(scope="module")
def grown(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder with such a board, made once for each size: a million rows take minutes."""
    with (
        tempfile.TemporaryDirectory(prefix="headway-bench-", dir=os.environ.get("HEADWAY_BENCH_DIR")) as folder,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.setenv("HEADWAY_DIR", folder)
        make(request.param)
        yield Path(folder)


@pytest.fixture
def long(grown: Path, monkeypatch: pytest.MonkeyPatch) -> Long:
    monkeypatch.setenv("HEADWAY_DIR", str(grown))
    return Long("long", grown / "long")


def make(rows: int) -> None:
    """Make the board, with a history of so many rows."""
    board = open_board("long", capacity=2 * SEED, workers=8, record=False)
    for number in range(SEED):
        task = board.task(f"seed {number}", total=100)
        task.update(100)
        task.set(stage="fit", message="fold 3/5", metrics={"loss": 0.12})
        task.result = {"auc": 0.91, "folds": [0.9, 0.91, 0.92]}
        if number == 0:
            task.fail("ValueError: no prices")
        else:
            task.succeed()
    with history.Writer(board.directory) as writer:
        while ended := board._segment.finished(SEED):  # gives some at a time
            archive.add(board._segment, writer, board._at.copy_meta(), ended)
    grow(board.directory, rows)
    board.write_snapshot()
    board.remove(files=False)


def bench_open(contest: Contest, long: Long) -> None:
    """Open the board, which is made from its snapshot, and remove it again."""
    contest(Side(lambda: open_board(long.name, record=False).remove(files=False)), rounds=10)


def bench_first_look(contest: Contest, long: Long) -> None:
    """What a recorder does until the first snapshot is there."""
    board = open_board(long.name, record=False)
    board._segment.want_recorder()

    def look() -> None:
        recorder = Recorder.elected(board)
        assert recorder._look() is None
        recorder.resign()

    contest(Side(look), rounds=10)
    board.remove(files=False)


@pytest.mark.parametrize(
    "asked",
    {
        "all": Query(),
        "failed": Query(states=("failed",)),
        "text": Query(text="777"),
        "id": Query(id="task 777"),
        "state that none has": Query(states=("lost",)),
        "text that none has": Query(text="no such text"),
    }.items(),
    ids=lambda asked: asked[0],
)
def bench_fifty(contest: Contest, long: Long, asked: tuple[str, Query]) -> None:
    """The newest 50 that fit. What fits nowhere is looked for in all rows."""
    contest(Side(lambda: query.page(long.directory, asked[1], limit=50)), rounds=10)


def bench_count(contest: Contest, long: Long) -> None:
    """How many there are of a state."""
    contest(Side(lambda: query.count(long.directory, Query(states=("failed",)))), rounds=10)


def bench_report(contest: Contest, long: Long) -> None:
    """The report of all runs."""
    view = snapshot.read(long.directory)
    contest(Side(lambda: report_of(view, long.directory, Query())), rounds=10)


def bench_gc(contest: Contest, long: Long) -> None:
    """Look for what is to be tidied away."""
    contest(Side(lambda: removal.gc([long.name], dry_run=True)), rounds=10)


def bench_step_of_tidying_up(contest: Contest, long: Long) -> None:
    """One step of a round that is going on: rows that are too old."""
    with history.Writer(long.directory) as writer:
        steps = writer.round(keep_hours=retention.Retention().hours, keep_rows=MILLION)
        writer.tidy(steps)
        contest(Side(lambda: writer.tidy(steps)), rounds=10)
