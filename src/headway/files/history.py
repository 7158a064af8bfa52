"""The history of a board: its finished and lost tasks, in `history.sqlite3` in the board's directory.

Any number of processes read and write at the same time: the recorder, and processes that need free slots on the board.
A batch is one transaction: each of its tasks is in the history completely or not at all, whichever process is killed,
at any moment. A commit is forced to the disk (synchronous=FULL): the slots of a batch are reused right after it, so no
snapshot has these tasks any more, and after a power cut the history is the only record of them.

The key of a row is the segment's uuid, the slot and generation of the task, and the time at which the run began: a task
that was resumed has a row for each run, and adding one twice changes nothing. Of two copies of one run, the one added
last is kept. Two copies alone could not tell which is later: counts go up and down, and the clock may be set. So where
others may archive a task, too, the board decides within the transaction whose copy goes in (`add_begun`). A copy is
made into rows before the transaction, and the transaction itself is one native call: others wait for little more than
the disk, and no signal handler finds the thread that it interrupted within one. A restore moves
tasks into another segment: a run with the same id, creation time and beginning there is the same run, and its row gets
the new key if the copy there was taken later.

The next writer moves a damaged database aside and begins a new one. `history.lock` is held while a database is opened
for writing, created, moved aside or removed, but not while it is written or read.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import compress, repeat
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from headway import errors
from headway.files import database
from headway.files.past_task import COLUMNS, PastTask, decode, encode
from headway.files.query import read, read_columns
from headway.files.schema import (
    ADD,
    FETCH_OLDER,
    HISTORY,
    MOVE,
    NEW,
    OLDER,
    SCHEMA_VERSION,
    check,
    index_numbers,
    move_older,
    selected,
    tables,
    upgrade,
)
from headway.files.tidying import Round
from headway.system import locks
from headway.views.board_view import Raw

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "HISTORY",
    "PastTask",
    "Writer",
    "files",
    "read",
    "read_columns",
    "remove",
    "remove_abandoned",
]

T = TypeVar("T")

LOCK = "history.lock"
LOG_BYTES_MAX = 8 << 20  # of the write-ahead log, unless readers keep it from being emptied
_TRIES = 4

_inherited: list[sqlite3.Connection] = []  # connections of the parent process: a forked child must not even close them


class Writer:
    """Puts tasks into the history of a board. The file is created with the first task, and opened on first use.

    For one thread at a time. A call waits at most some seconds for other processes. A call that raises has changed no
    row; the next one tries again. `aside`: the damaged databases that this writer moved away; a RuntimeWarning
    reports each of them, too.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.path = Path(directory, HISTORY)
        self.aside: list[Path] = []
        self._lock = self.path.with_name(LOCK)
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # the file that is open, or that was found damaged
        self._pid = 0
        self._log_bytes = LOG_BYTES_MAX

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(
        self, raw: Raw, numbers: Collection[int], series: Mapping[int, Sequence[tuple[float, int]]] | None = None
    ) -> int:
        """Add tasks that have ended or were lost, all or none. Returns how many rows are new or changed.

        raw: a copy of the board; numbers: the indexes of the tasks' records in it; series: for each of these indexes,
        how the count grew, as points (seconds since 1970, count).
        Raises ValueError for a task that has not ended, CorruptBoard for an impossible record; LockTimeout, NoSpace or
        OSError if the file cannot be written, LayoutMismatch for a history of a newer version.
        """
        return self.add_begun(raw, sorted(set(numbers)), series or {}, lambda: repeat(True))[1] if numbers else 0

    def add_begun(
        self,
        raw: Raw,
        numbers: Sequence[int],
        series: Mapping[int, Sequence[tuple[float, int]]],
        begin: Callable[[], Iterable[bool]],
        until: float = math.inf,
    ) -> tuple[list[int], int]:
        """As `add`, of those of `numbers` that may go in. Returns these, and how many rows are new or changed.

        begin: returns an iterator that says of each of them whether it may; it is read while no other process can
        write. It is native, so that no signal handler comes meanwhile, and called anew if the file was moved away.
        until: the moment of the monotonic clock until which others are waited for, if it is earlier than for `add`.
        """
        from headway.native.core import at_once

        archived = time.time()
        rows = [encode(raw, number, series.get(number, ()), archived) for number in numbers]

        def work(connection: sqlite3.Connection) -> tuple[list[int], int]:
            chosen: list[tuple[int, dict[str, Any]]] = []
            begun: list[dict[str, Any]] = []
            steps: list[Callable[[], Any]] = [
                partial(connection.execute, "BEGIN IMMEDIATE"),
                partial(chosen.extend, compress(zip(numbers, rows, strict=True), begin())),
                partial(begun.extend, map(itemgetter(1), chosen)),
                partial(connection.executemany, MOVE, begun),
                partial(connection.executemany, ADD, begun),
                partial(connection.execute, "COMMIT"),
            ]
            if OLDER in tables(connection):  # as long as the rows of an older version are not moved
                steps.insert(3, lambda: _fetch_older(connection, begun))
            done = at_once(steps, connection.rollback)
            self._bound_log(connection)
            return [number for number, _ in chosen], done[-2].rowcount

        return self._run(work, begin=True, until=until) or ([], 0)

    def prune(self, *, keep_hours: float | None = None, keep_rows: int | None = None) -> int:
        """Delete tasks that ended more than keep_hours ago, and all but the keep_rows newest. Returns how many.

        Each transaction deletes only a few, so that other writers do not wait long. Free pages of the file are used
        again; when they are more than a quarter of the file, it shrinks. Raises as `add` does.
        """
        tidied = self.round(keep_hours=keep_hours, keep_rows=keep_rows)
        while self.tidy(tidied):
            pass
        return tidied.deleted

    def round(self, *, keep_hours: float | None = None, keep_rows: int | None = None) -> Round:
        """What `prune` does, for `tidy` to do in small steps. Raises ValueError."""
        if keep_hours is not None and not keep_hours >= 0:
            raise ValueError(f"keep_hours {keep_hours!r} is not a number of hours: give 0 or more")
        if keep_rows is not None and keep_rows < 0:
            raise ValueError(f"keep_rows {keep_rows!r} is not a number of rows: give 0 or more")
        return Round(None if keep_hours is None else time.time() - keep_hours * 3600, keep_rows)

    def tidy(self, tidied: Round) -> bool:
        """One bounded step. Returns whether there is more to do. Raises as `add` does."""

        def work(connection: sqlite3.Connection) -> bool:
            more = tidied.step(connection, self._file)
            self._bound_log(connection)
            return more

        return self._run(work, begin=False) or False

    def check(self) -> bool:
        """Read the whole file, and move it aside if it is damaged. Returns False if it was.

        A writer notices damage only in the pages that it touches: damage to old tasks may stay unnoticed for long. A
        file of an older release gets the index that reports are quick by.
        """

        def work(connection: sqlite3.Connection) -> None:
            told = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]  # indexes included
            if told != "ok":
                raise database.damaged(self.path, told)
            for table in tables(connection):
                for row in connection.execute(f"SELECT {selected(connection, table, tuple(COLUMNS))} FROM {table}"):
                    try:
                        decode(row)
                    except ValueError as error:
                        raise database.damaged(self.path, error) from None
            index_numbers(connection, rows=None)

        before = len(self.aside)
        self._run(work, begin=False)
        return len(self.aside) == before

    def close(self) -> None:
        """Close the file. Idempotent; the next call opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None and self._pid != os.getpid():
            _inherited.append(connection)
        elif connection is not None:
            import sqlite3

            with suppress(sqlite3.Error):  # all that counts was committed
                connection.close()

    # ----------------------------------------------------------------------------------------------------- the file

    def _run(self, work: Callable[[sqlite3.Connection], T], *, begin: bool, until: float = math.inf) -> T | None:
        """Call `work` with the open database. None if there is none and `begin` is not set.

        If another process moved the file aside or removed it meanwhile, `work` is done again on the new one. A file
        that looks damaged is opened a second time first: when no descriptor is free, SQLite opens it for reading only.
        """
        suspected: tuple[int, int] | None = None
        until = min(until, time.monotonic() + database.BUSY_S)
        for _ in range(2 * _TRIES):
            try:
                with database.typed(self.path):
                    connection = self._opened(begin, until)
                    if connection is None:
                        return None
                    done = database.patient(self.path, connection, partial(work, connection), until)
            except (errors.DamagedHistory, errors.NotOwner) as error:
                self.close()
                if suspected == self._file:
                    self._move_aside(error)
                suspected = self._file
            except BaseException:
                self.close()
                raise
            else:
                if database.identity(self.path) == self._file:
                    return done
                self.close()
        raise database.damaged(self.path, f"it was replaced or damaged {2 * _TRIES} times while it was being written")

    def _opened(self, begin: bool, until: float) -> sqlite3.Connection | None:
        if self._connection is not None and self._pid == os.getpid():
            return self._connection
        self.close()
        if not begin and database.identity(self.path) is None:
            return None
        # A signal handler that interrupts this may open the file, too, under the same lock, except while it is made:
        # what it put into one of its own would be replaced.
        with locks.held(self._lock, round(max(0.0, until - time.monotonic()), 2), again=True) as lock:
            if database.identity(self.path) is None:
                lock.again = False
                try:
                    if database.identity(self.path) is None:
                        database.create(self.path, NEW)
                finally:
                    lock.again = True
            self._file = database.identity(self.path)
            connection = database.connect(self.path, write=True)
            self._connection, self._pid = connection, os.getpid()
            database.patient(self.path, connection, partial(self._prepare, connection), until)
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if check(connection, self.path) < SCHEMA_VERSION:  # this opens the log of the same database, too
            upgrade(connection)
        index_numbers(connection)
        for setting in ("PRAGMA synchronous=FULL", f"PRAGMA journal_size_limit={LOG_BYTES_MAX}"):
            connection.execute(setting).fetchall()

    def _move_aside(self, error: errors.HeadwayError) -> None:
        with database.typed(self.path), locks.held(self._lock, database.BUSY_S):
            if database.identity(self.path) != self._file:
                return  # another process moved it aside first
            where = database.set_aside(self.path)
        self.aside.append(where)
        told = str(error).removesuffix(database.remedy(self.path))
        errors.tell(f"{told}. It is now {where.name}, and a new one is begun")

    def _bound_log(self, connection: sqlite3.Connection) -> None:
        """Write a log that has grown back and empty it: SQLite itself does not while there is always a reader."""
        with suppress(FileNotFoundError):  # the file was moved aside
            size = self.path.with_name(f"{HISTORY}-wal").lstat().st_size
            if size <= LOG_BYTES_MAX:
                self._log_bytes = LOG_BYTES_MAX  # the readers have gone, and SQLite has cut it
            if size <= self._log_bytes:
                return
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]  # waits for TRY_S
            # A reader takes long: try again when the log has grown by as much again.
            self._log_bytes = 2 * size if busy else LOG_BYTES_MAX


def _fetch_older(connection: sqlite3.Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Move the rows of an older version that these rows may replace. Within a transaction."""
    if OLDER in tables(connection):
        for row in rows:
            move_older(connection, FETCH_OLDER, row)


# ------------------------------------------------------------------------------------------------------------ files


def files(directory: str | os.PathLike[str]) -> dict[Path, int]:
    """The sizes of all files of a board's history, including damaged ones that were moved aside."""
    path = Path(directory, HISTORY)
    beside = [path.with_name(HISTORY + side) for side in database.SIDES]
    found = {}
    for one in (path, *beside, *database.aside(path), *database.abandoned(path), path.with_name(LOCK)):
        with suppress(FileNotFoundError, NotADirectoryError):
            found[one] = one.lstat().st_size
    return found


def remove_abandoned(directory: str | os.PathLike[str], *, dry_run: bool = False) -> dict[Path, int]:
    """Remove temporary files of killed processes. Returns their sizes by path. dry_run: remove nothing."""
    path, lock = Path(directory, HISTORY), Path(directory, LOCK)
    found = {}
    if database.abandoned(path):
        with locks.held(lock, database.BUSY_S):  # so no process is creating a history
            for one in database.abandoned(path):
                with suppress(OSError):  # a file that cannot be removed belongs to another user
                    size = one.lstat().st_size
                    if not dry_run:
                        one.unlink()
                    found[one] = size
    return found


def remove(directory: str | os.PathLike[str]) -> None:
    """Remove the history of a board, with all its files. Raises LockTimeout, OSError."""
    lock = Path(directory, LOCK)
    if not files(directory):
        return
    with locks.held(lock, database.BUSY_S):
        for one in files(directory):  # the database before its log: nobody may open it without its last changes
            if one != lock:
                _unlink(one)
        lock.unlink(missing_ok=True)


def _unlink(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()  # somebody else's folder: not emptied here
    else:
        path.unlink(missing_ok=True)
