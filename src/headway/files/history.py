"""The history of a board: its finished and lost tasks, in `history.sqlite3` in the board's directory.

Any number of processes read and write at the same time: the recorder, and processes that need free slots on the board.
A batch is one transaction: each of its tasks is in the history completely or not at all, whichever process is killed,
at any moment. A commit is forced to the disk (synchronous=FULL): the slots of a batch are reused right after it, so no
snapshot has these tasks any more, and after a power cut the history is the only record of them.

The key of a task is the segment's uuid, its slot and its generation, so adding a task twice changes nothing. Of two
copies of one task, the one with the higher version is kept (every write on the board raises the version); of two
copies of the same version, the one taken later. So a lost task that revived, or a failed one that was resumed, has its
last state in the history, in whatever order the copies arrive. A restore moves tasks into another segment: a task with
the same id and creation time there is the same task, and its row gets the new key if the copy there was taken later.

The next writer moves a damaged database aside and begins a new one. `history.lock` is held while a database is opened
for writing, created, moved aside or removed, but not while it is written or read.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from headway import errors
from headway.files import database
from headway.files.past_task import PastTask, PastTasks, decode, encode, signed
from headway.files.schema import ADD, HOLDING, MOVE, NEW, SCHEMA_VERSION, SELECT, WHEN, check, upgrade
from headway.system import locks
from headway.tasks import checks
from headway.tasks.states import FINAL_STATES
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

HISTORY = "history.sqlite3"
LOCK = "history.lock"
LOG_BYTES_MAX = 8 << 20  # of the write-ahead log, unless readers keep it from being emptied
LOG_WAIT_MS = 100  # how long emptying the log waits for readers
PRUNE_ROWS = 500  # deleted in one transaction: other writers wait for it
FREE_PAGES_MIN = 256  # fewer unused pages are not worth giving back
_TRIES = 4
_SETTINGS = ("PRAGMA synchronous=FULL", f"PRAGMA journal_size_limit={LOG_BYTES_MAX}")

_inherited: list[sqlite3.Connection] = []  # connections of the parent process: a forked child must not even close them


class Writer:
    """Puts tasks into the history of a board. The file is created with the first task, and opened on first use.

    For one thread at a time. A call waits at most some seconds for other processes. A call that raises has changed
    nothing; the next one tries again. `aside`: the damaged databases that this writer moved away; a RuntimeWarning
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
        archived, grown = time.time(), series or {}
        rows = [encode(raw, number, grown.get(number, ()), archived) for number in sorted(set(numbers))]

        def work(connection: sqlite3.Connection) -> int:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(MOVE, rows)
            changed = connection.executemany(ADD, rows).rowcount
            connection.execute("COMMIT")
            self._bound_log(connection)
            return changed

        return (self._run(work, begin=True) or 0) if rows else 0

    def holding(
        self, uuid: str, tasks: Sequence[tuple[int, int, int, int, int]]
    ) -> list[tuple[int, int, int, int, int]]:
        """Those of the tasks of a segment, (number, slot, generation, version, count), that stand there like that."""

        def work(connection: sqlite3.Connection) -> list[tuple[int, int, int, int, int]]:
            return [task for task in tasks if connection.execute(HOLDING, (uuid, *map(signed, task[1:]))).fetchone()]

        return self._run(work, begin=False) or []

    def prune(self, *, keep_hours: float | None = None, keep_rows: int | None = None) -> int:
        """Delete tasks that ended more than keep_hours ago, and all but the keep_rows newest. Returns how many.

        Each transaction deletes only a few, so that other writers do not wait long. Free pages of the file are used
        again; when they are more than a quarter of the file, it shrinks. Raises as `add` does.
        """
        if keep_hours is not None and not keep_hours >= 0:
            raise ValueError(f"keep_hours {keep_hours!r} is not a number of hours: give 0 or more")
        if keep_rows is not None and keep_rows < 0:
            raise ValueError(f"keep_rows {keep_rows!r} is not a number of rows: give 0 or more")
        gone = []
        if keep_hours is not None:
            gone.append(f"{WHEN} < {time.time() - keep_hours * 3600!r} ORDER BY {WHEN} LIMIT {PRUNE_ROWS}")
        if keep_rows is not None:
            gone.append(f"true ORDER BY {WHEN} DESC, rowid DESC LIMIT {PRUNE_ROWS} OFFSET {keep_rows}")

        def work(connection: sqlite3.Connection) -> int:
            deleted = 0
            connection.execute("PRAGMA synchronous=NORMAL")  # a power cut may bring back what was deleted
            for which in gone:
                delete = f"DELETE FROM tasks WHERE rowid IN (SELECT rowid FROM tasks WHERE {which})"
                while rows := connection.execute(delete).rowcount:
                    deleted += rows
            self._give_back(connection)
            connection.execute("PRAGMA synchronous=FULL")
            self._bound_log(connection)
            return deleted

        return self._run(work, begin=False) or 0

    def check(self) -> bool:
        """Read the whole file, and move it aside if it is damaged. Returns False if it was.

        A writer notices damage only in the pages that it touches: damage to old tasks may stay unnoticed for long.
        """

        def work(connection: sqlite3.Connection) -> None:
            told = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]  # indexes included
            if told != "ok":
                raise database.damaged(self.path, told)
            for row in connection.execute(SELECT):
                _decoded(self.path, row)

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

    def _run(self, work: Callable[[sqlite3.Connection], T], *, begin: bool) -> T | None:
        """Call `work` with the open database. None if there is none and `begin` is not set.

        If another process moved the file aside or removed it meanwhile, `work` is done again on the new one. A file
        that looks damaged is opened a second time first: when no descriptor is free, SQLite opens it for reading only.
        """
        suspected: tuple[int, int] | None = None
        for _ in range(2 * _TRIES):
            try:
                with database.typed(self.path):
                    connection = self._opened(begin)
                    if connection is None:
                        return None
                    done = work(connection)
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

    def _opened(self, begin: bool) -> sqlite3.Connection | None:
        if self._connection is not None and self._pid == os.getpid():
            return self._connection
        self.close()
        if not begin and database.identity(self.path) is None:
            return None
        with locks.held(self._lock, database.BUSY_S):
            self._file = database.identity(self.path)
            if self._file is None:
                database.create(self.path, NEW)
                self._file = database.identity(self.path)
            connection = database.connect(self.path, write=True)
            self._connection, self._pid = connection, os.getpid()
            if check(connection, self.path) < SCHEMA_VERSION:  # this opens the log of the same database, too
                upgrade(connection)
            for setting in _SETTINGS:
                connection.execute(setting).fetchall()
        return connection

    def _move_aside(self, error: errors.HeadwayError) -> None:
        with database.typed(self.path), locks.held(self._lock, database.BUSY_S):
            if database.identity(self.path) != self._file:
                return  # another process moved it aside first
            where = database.set_aside(self.path)
        self.aside.append(where)
        told = str(error).removesuffix(database.remedy(self.path))
        warnings.warn(f"{told}. It is now {where.name}, and a new one is begun", RuntimeWarning, stacklevel=4)

    def _bound_log(self, connection: sqlite3.Connection) -> None:
        """Write a log that has grown back and empty it: SQLite itself does not while there is always a reader."""
        with suppress(FileNotFoundError):  # the file was moved aside
            size = self.path.with_name(f"{HISTORY}-wal").lstat().st_size
            if size <= self._log_bytes:
                return
            connection.execute(f"PRAGMA busy_timeout={LOG_WAIT_MS}").fetchall()
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            connection.execute(f"PRAGMA busy_timeout={int(database.BUSY_S * 1000)}").fetchall()
            # A reader takes long: try again when the log has grown by as much again.
            self._log_bytes = 2 * size if busy else LOG_BYTES_MAX

    def _give_back(self, connection: sqlite3.Connection) -> None:
        """Shrink the file, a little at a time."""
        while True:
            free, pages = (
                connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count")
            )
            if free < max(FREE_PAGES_MIN, pages // 4):
                return
            connection.execute(f"PRAGMA incremental_vacuum({FREE_PAGES_MIN})").fetchall()


# ---------------------------------------------------------------------------------------------------------- reading


def _decoded(path: Path, row: Sequence[Any]) -> PastTask:
    try:
        return decode(row)
    except ValueError as error:
        raise database.damaged(path, error) from None


def read(
    directory: str | os.PathLike[str],
    *,
    hours: float | None = None,
    id: str | None = None,
    state: str | None = None,
    limit: int | None = None,
) -> PastTasks:
    """The tasks in the history of a board's directory, the newest first; [] if it has none.

    hours: only tasks that ended in the last so many hours; id, state: only tasks with these; limit: at most so many.
    A reader sees complete batches only, and does not block writers.
    Raises ValueError, DamagedHistory, LayoutMismatch, NotOwner, LockTimeout; OSError if the file cannot be read,
    NoSpace if the disk has no room even for the file of readers' locks.
    """
    if state is not None and state not in FINAL_STATES:
        raise ValueError(f"state {state!r} is not a final state: choose one of {', '.join(FINAL_STATES)}")
    return PastTasks(_read(directory, SELECT, _decoded, hours=hours, id=id, state=state, limit=limit))


def read_columns(
    directory: str | os.PathLike[str],
    columns: Sequence[str],
    *,
    hours: float | None = None,
    id: str | None = None,
    state: str | None = None,
) -> list[tuple[Any, ...]]:
    """As read(), but return only these columns of each row, not decoded: faster for callers that need a few."""
    select = f"SELECT {', '.join(columns)} FROM tasks"
    return _read(directory, select, lambda _, row: row, hours=hours, id=id, state=state)


def _read(
    directory: str | os.PathLike[str],
    select: str,
    decoded: Callable[[Path, tuple[Any, ...]], T],
    *,
    hours: float | None,
    id: str | None,
    state: str | None = None,
    limit: int | None = None,
) -> list[T]:
    checks.check_history(hours, limit)
    asked = {
        f"{WHEN} >= ?": None if hours is None else time.time() - hours * 3600,
        "id = ?": id,
        "state = ?": state,
    }
    where = " AND ".join(condition for condition, value in asked.items() if value is not None) or "true"
    values = [value for value in asked.values() if value is not None]
    query = f"{select} WHERE {where} ORDER BY {WHEN} DESC, rowid DESC LIMIT ?"
    path = Path(directory, HISTORY)
    for last in (False,) * (_TRIES - 1) + (True,):
        before = database.identity(path)
        if before is None:
            return []
        try:
            rows = _rows(path, query, (*values, -1 if limit is None else limit))
            if database.identity(path) == before:
                return [decoded(path, row) for row in rows]
        except (errors.DamagedHistory, FileNotFoundError):
            if last or database.identity(path) == before:
                raise
        # The file was moved aside or removed meanwhile: the rows may come from two different databases.
    return []


def _rows(path: Path, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    with database.typed(path):
        connection = database.connect(path, write=False)
        try:
            connection.execute("BEGIN")
            check(connection, path)
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()


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
