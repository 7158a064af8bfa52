"""The history of a board: its finished and lost tasks, in `history.sqlite3` in the board's directory.

Any number of processes write (the recorder; whoever needs room on the board) and read at the same time. A batch is one
transaction: each of its tasks is in the history as a whole or not at all, whoever is killed and whenever. A commit is
forced to the disk (synchronous=FULL), because the slots of a batch are given away right after it, and then no snapshot
has these tasks any more: a power cut must not take from the history what nobody else knows.

A task is known by the segment's uuid, its slot and its generation, so that to add it twice is to add it once. Of two
copies of one task the one of the later version counts (the board raises it with every write), of one version the one
that was taken later: a lost task that revived, or a failed one that was resumed, is there in its last state, in
whatever order the copies arrive. A restore moves tasks into another segment; one with the same id and time of creation
is the same task there, and its row moves along, if the copy there was taken later.

A database that is damaged is moved aside by the next writer, which begins a new one. `history.lock` is held while one
is opened for writing, begun, moved aside or removed; never while anything is written or read.
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
from headway.files.past_task import PastTask, PastTasks, decode, encode
from headway.files.schema import ADD, MOVE, NEW, SCHEMA_VERSION, SELECT, WHEN, check, upgrade
from headway.system import locks
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
LOG_BYTES_MAX = 8 << 20  # of the write-ahead log, once no reader is in the way
LOG_WAIT_MS = 100  # for readers that are in the way of emptying it
PRUNE_ROWS = 500  # that one transaction deletes: whoever wants to write meanwhile waits for it
FREE_PAGES_MIN = 256  # fewer unused pages are not worth giving back
_TRIES = 4
_SETTINGS = ("PRAGMA synchronous=FULL", f"PRAGMA journal_size_limit={LOG_BYTES_MAX}")

_inherited: list[sqlite3.Connection] = []  # of the parent of this process: a child must not even close them


class Writer:
    """Puts tasks into the history of a board. Begins it with the first task; opened when first needed.

    For one thread at a time. Every call is bounded: it waits for other processes at most some seconds. What a call
    raises has changed nothing; the next call tries anew. `aside`: the damaged databases that this writer moved away,
    each of which is also told by a RuntimeWarning.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.path = Path(directory, HISTORY)
        self.aside: list[Path] = []
        self._lock = self.path.with_name(LOCK)
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # that the connection is to, or that was found damaged
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
        """Put down tasks that have ended or were lost, all or none. Returns how many rows are new or changed.

        raw: a copy of the board; numbers: of its records of these tasks; series: by the same numbers, how their counts
        grew, as (seconds since 1970, count).
        Raises ValueError for a task that goes on, CorruptBoard for a record that cannot be; LockTimeout, NoSpace,
        OSError where nothing can be written, LayoutMismatch for a history of another version.
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

    def prune(self, *, keep_hours: float | None = None, keep_rows: int | None = None) -> int:
        """Delete what ended more than keep_hours ago, and all but the keep_rows newest. Returns how many went.

        Deletes a few at a time, so that nobody waits long. Room in the file is used again, and given back to the disk
        when it is more than a quarter of the file. Raises as `add` does.
        """
        if keep_hours is not None and not keep_hours >= 0:
            raise ValueError(f"keep_hours {keep_hours!r} is no number of hours")
        if keep_rows is not None and keep_rows < 0:
            raise ValueError(f"keep_rows {keep_rows!r} is no number of rows")
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
        """Read all of it, and move it aside if it is damaged. Returns False if it was.

        A writer finds only the damage that is in its way: an old task may be damaged for long before anybody knows.
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
        """Let go of the file. Idempotent; the next call opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None and self._pid != os.getpid():
            _inherited.append(connection)
        elif connection is not None:
            import sqlite3

            with suppress(sqlite3.Error):  # all that counts was committed
                connection.close()

    # ----------------------------------------------------------------------------------------------------- the file

    def _run(self, work: Callable[[sqlite3.Connection], T], *, begin: bool) -> T | None:
        """Do this on the database. None if there is none, and none is to be begun.

        What was written into a file that another process has moved aside or removed meanwhile is written once more.
        What looks damaged is opened anew before that is believed: without a descriptor SQLite opens for reading only.
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
            if check(connection, self.path) < SCHEMA_VERSION:  # which opens the log as well, that of the same database
                upgrade(connection)
            for setting in _SETTINGS:
                connection.execute(setting).fetchall()
        return connection

    def _move_aside(self, error: errors.HeadwayError) -> None:
        with database.typed(self.path), locks.held(self._lock, database.BUSY_S):
            if database.identity(self.path) != self._file:
                return  # another process was quicker
            where = database.set_aside(self.path)
        self.aside.append(where)
        told = str(error).removesuffix(database.remedy(self.path))
        warnings.warn(f"{told}. It is now {where.name}, and a new one is begun", RuntimeWarning, stacklevel=4)

    def _bound_log(self, connection: sqlite3.Connection) -> None:
        """Write the log back and empty it if it has grown: readers who never pause keep SQLite from doing so itself."""
        with suppress(FileNotFoundError):  # the file was moved aside
            size = self.path.with_name(f"{HISTORY}-wal").lstat().st_size
            if size <= self._log_bytes:
                return
            connection.execute(f"PRAGMA busy_timeout={LOG_WAIT_MS}").fetchall()
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            connection.execute(f"PRAGMA busy_timeout={int(database.BUSY_S * 1000)}").fetchall()
            # Somebody reads for long: tried again when it has grown as much once more.
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

    hours: only what ended within so many hours from now; id, state: only these; limit: so many at most. While others
    write, a reader sees whole batches only, and keeps nobody from writing.
    Raises ValueError, DamagedHistory, LayoutMismatch, NotOwner, LockTimeout; OSError if it may not be read, NoSpace
    where not even a reader's locks find room.
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
    """As read(), but only these columns of each row, as they stand there: for those who need few of many tasks."""
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
    if hours is not None and not hours >= 0:
        raise ValueError(f"hours {hours!r} is no number of hours")
    if limit is not None and limit < 0:
        raise ValueError(f"limit {limit!r} is no number of tasks")
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
        # It was moved aside or removed meanwhile: what was read may be half of one and half of the next.
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
    """All files that belong to the history of a board, those that were moved aside included, and their sizes."""
    path = Path(directory, HISTORY)
    beside = [path.with_name(HISTORY + side) for side in database.SIDES]
    found = {}
    for one in (path, *beside, *database.aside(path), *database.abandoned(path), path.with_name(LOCK)):
        with suppress(FileNotFoundError, NotADirectoryError):
            found[one] = one.lstat().st_size
    return found


def remove_abandoned(directory: str | os.PathLike[str], *, dry_run: bool = False) -> dict[Path, int]:
    """Remove what creators of a history left who were killed. Returns it, with the sizes. dry_run: only tell."""
    path, lock = Path(directory, HISTORY), Path(directory, LOCK)
    found = {}
    if database.abandoned(path):
        with locks.held(lock, database.BUSY_S):  # so that no creator is alive
            for one in database.abandoned(path):
                with suppress(OSError):  # what cannot be removed was not theirs
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
        for one in files(directory):  # the database before its log: nobody shall find it without its last changes
            if one != lock:
                _unlink(one)
        lock.unlink(missing_ok=True)


def _unlink(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()  # somebody's; not emptied by us
    else:
        path.unlink(missing_ok=True)
