"""Opens SQLite files that may hold anything: they are checked first, and every failure becomes a typed error.

A file that SQLite may have open is only examined with `lstat`, never opened: POSIX locks belong to a process and a
file, and closing any descriptor of the file would drop the locks of all connections to it.

sqlite3 is imported where it is used, so that a worker that keeps no history does not pay for the import.
"""

from __future__ import annotations

import errno
import functools
import math
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from headway import errors
from headway.files import gate
from headway.system import descriptors, memory

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "BUSY_S",
    "SIDES",
    "abandoned",
    "aside",
    "at_rest",
    "connect",
    "create",
    "damaged",
    "identity",
    "patient",
    "remedy",
    "set_aside",
    "typed",
]

T = TypeVar("T")

BUSY_S = 5.0  # how long to wait for another process's lock
TRY_S = 0.1  # SQLite itself waits for so long at most: see `patient`
READ_S = 60.0  # of a core: then a reader gives up, as a damaged file can make SQLite loop for ever
SIDES = ("-wal", "-shm", "-journal")  # the endings of files that SQLite keeps beside a database
TICK_S = 0.1  # of the clock by which files get their times; two writes within one may look like one
INDEX_BYTES = 1 << 15  # the index of a log grows by so much; if the disk has less, SQLite reports a general I/O error
VALUE_BYTES_MAX = 16 << 20  # a longer value means damage: none of ours is so long
ASIDE_MAX = 8  # damaged files to keep: a failing disk must not fill up with them
_SHORT = (522, 8458)  # SQLITE_IOERR_SHORT_READ, SQLITE_IOERR_CORRUPTFS: the file is shorter than it says
_CAREFUL = ("trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0", "temp_store=MEMORY")


def identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of the file at this path; None if there is none."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _beside(path: Path, side: str) -> Path:
    return path.with_name(path.name + side)


def _inspect(path: Path) -> None:
    """Check that the file, and those that SQLite keeps beside it, are regular files of this user.

    SQLite overwrites the files beside it whatever they hold, so none may be a hard link to another file. Raises
    DamagedHistory, NotOwner, FileNotFoundError.
    """
    for one in (path, *(_beside(path, side) for side in SIDES)):
        try:
            found = one.lstat()
        except FileNotFoundError:
            if one == path:
                raise
            continue
        if not stat.S_ISREG(found.st_mode):
            raise damaged(path, f"{one.name} is not a regular file")
        if one != path and found.st_nlink > 1:
            raise damaged(path, f"{one.name} is another name of some other file")
        if found.st_uid != os.geteuid():
            raise errors.NotOwner(
                f"{one} belongs to user {found.st_uid}, not to you ({os.geteuid()}): read your own copy, or remove it"
            )


def damaged(path: Path, why: object) -> errors.DamagedHistory:
    """The error for a file that is not what was written."""
    return errors.DamagedHistory(f"{path} is not what was written: {why}{remedy(path)}")


def remedy(path: Path) -> str:
    """What to do about a damaged history, as the end of a sentence."""
    return (
        f". 'headway history {path.parent.name} --check' moves it aside, so that a new one begins; "
        f"'sqlite3 FILE .recover' saves what can be saved of it"
    )


def at_rest(path: Path) -> tuple[int, ...] | None:
    """What changes with each write of a database that nobody has open for writing; None if somebody may have.

    A writer has a log beside the database as long as it has it open.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if any(os.path.lexists(_beside(path, side)) for side in SIDES) or abs(time.time() - found.st_mtime) < TICK_S:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def connect(path: Path, *, write: bool, alone: bool = False) -> sqlite3.Connection:
    """Open a database that exists, for writing or for reading. Call it within `typed`.

    A reader does not create the database, but SQLite may create the files beside it that hold the locks of readers.
    alone: it takes no locks and writes nothing; what was read counts if the database was `at_rest` before and is after.
    """
    import sqlite3

    _inspect(path)
    mode = "rw" if write else "ro"
    if alone or not (write or os.access(path.parent, os.W_OK) or _beside(path, "-wal").exists()):
        mode = "ro&immutable=1"  # nobody writes here, so no locks are needed
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(
        uri,
        uri=True,
        timeout=min(TRY_S, BUSY_S),
        isolation_level=None,
        factory=_connection_class(),
        check_same_thread=False,  # it may be collected, and closed, in another thread
    )
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)
        for setting in _CAREFUL:
            connection.execute(f"PRAGMA {setting}")
        if not write:
            give_up = time.thread_time() + READ_S
            connection.set_progress_handler(lambda: time.thread_time() > give_up, 100_000)
    except BaseException:
        connection.close()
        raise
    return connection


def patient(path: Path, connection: sqlite3.Connection, work: Callable[[], T], until: float = math.inf) -> T:
    """Do something with a database, and do it again as long as others have it locked. Call it within `typed`.

    until: a moment of the monotonic clock; no longer than BUSY_S from now. A transaction that has begun is undone.
    SQLite takes the naps of its own wait as slept when a signal ends them: beside a timer of a program (a profiler, an
    alarm) five seconds of them are over in a moment. So each of its waits is short, and how long all of them take is
    measured here, where the program's signal handlers are called in between.
    Raises LockTimeout, and what `work` does.
    """
    import sqlite3

    began = time.monotonic()
    until = min(until, began + BUSY_S)
    while True:
        try:
            return work()
        except sqlite3.OperationalError as error:
            if not _is_busy(error):
                raise
            if connection.in_transaction:
                connection.rollback()
            now = time.monotonic()
            if now >= until:
                raise _locked(path, f"for {now - began:.3g} s") from None


def _is_busy(error: sqlite3.Error) -> bool:
    import sqlite3

    # SQLITE_PROTOCOL: others were in the way each of the many times that it tried to begin to read, napping in between.
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL)


@functools.cache
def _connection_class() -> type[sqlite3.Connection]:
    import sqlite3

    class Connection(sqlite3.Connection):
        """A connection that is inside the gate from before it is opened until it is closed."""

        _token: object = None

        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._token = gate.enter()
            super().__init__(*arguments, **options)

        def close(self) -> None:
            try:
                super().close()
            finally:
                gate.leave(self._token)

        def __del__(self) -> None:
            with suppress(sqlite3.Error):  # it was never opened
                self.close()

    return Connection


def create(path: Path, statements: tuple[str, ...]) -> None:
    """Create a database under a temporary name and rename it. Call it within `typed`, and under the lock.

    statements: what creates it; they must leave the write-ahead log empty, because only the database is renamed.
    A process that is killed here leaves a temporary file, which the next call finds with `abandoned` and removes.
    """
    if any(os.path.lexists(_beside(path, side)) for side in SIDES):
        set_aside(path)  # a log whose database is missing: SQLite would apply it to the new database
    for stale in abandoned(path):
        with suppress(OSError):  # it may belong to another user
            stale.unlink()
    temporary = path.with_name(f".{path.stem}.{os.urandom(8).hex()}.tmp")
    try:
        descriptor = descriptors.open_file(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW)
        try:
            descriptors.close_to_others(descriptor, temporary)  # SQLite gives the files beside it the same mode
        finally:
            os.close(descriptor)
        connection = connect(temporary, write=True)
        try:
            for statement in statements:
                connection.execute(statement).fetchall()
        finally:
            connection.close()
            for side in SIDES:  # on a full disk SQLite may leave an empty log
                _beside(temporary, side).unlink(missing_ok=True)
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = descriptors.open_file(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        descriptors.to_disk(folder)
    finally:
        os.close(folder)


def abandoned(path: Path) -> list[Path]:
    """Temporary files left by processes that were killed while they created this database. Call it under the lock."""
    return sorted(path.parent.glob(f".{path.stem}.*.tmp*"))


def aside(path: Path) -> list[Path]:
    """The damaged databases that were moved aside from this path, and the files beside them."""
    return sorted(path.parent.glob(f"{path.stem}.damaged-*{path.suffix}*"))


def set_aside(path: Path) -> Path:
    """Move a damaged database aside, with the files beside it. Returns its new path. Call it under the lock.

    Raises DamagedHistory if there are too many of them already, OSError.
    """
    kept = {one for one in aside(path) if one.suffix == path.suffix}
    if len(kept) >= ASIDE_MAX:
        raise errors.DamagedHistory(
            f"{path} is damaged, and {len(kept)} damaged ones lie beside it already ({path.stem}.damaged-*): find out "
            f"what damages them, and remove them"
        )
    stamp, tries = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), 1
    to = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}")
    while any(os.path.lexists(_beside(to, side)) for side in ("", *SIDES)):
        tries += 1
        to = path.with_name(f"{path.stem}.damaged-{stamp}-{tries}{path.suffix}")
    for side in ("", *SIDES):  # the database first: nobody may open it without its log, which has the last changes
        with suppress(FileNotFoundError):
            os.rename(_beside(path, side), _beside(to, side))
    return to


# ----------------------------------------------------------------------------------------------------------- errors


@contextmanager
def typed(path: Path) -> Iterator[None]:
    """Turn the errors of SQLite, and of a full disk, into typed ones.

    These are DamagedHistory, LockTimeout and NoSpace; OSError if the file cannot be read or written; Unsupported if
    SQLite cannot be loaded.
    """
    token = gate.enter()
    try:
        import sqlite3

        if not hasattr(sqlite3, "connect"):  # a signal handler came while it was being imported
            raise ImportError("it is being loaded, and a signal came meanwhile")
    except ImportError as error:  # this Python has no sqlite3, or no descriptor was left to load it
        raise errors.Unsupported(f"{path} cannot be opened, because SQLite cannot be loaded: {error}") from error
    finally:
        gate.leave(token)
    try:
        yield
    except sqlite3.Error as error:
        raise _fault(path, error) from None
    except UnicodeDecodeError as error:  # for example in a text of the schema
        raise damaged(path, error) from None
    except errors.HeadwayError:
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _no_space(path) from None


def _no_space(path: Path) -> errors.NoSpace:
    return errors.NoSpace(errno.ENOSPC, "no room: free some; what is in it was kept", str(path))


def _locked(path: Path, how_long: str) -> errors.LockTimeout:
    return errors.LockTimeout(
        f"{path} has been locked by another program {how_long}: end the one that keeps a transaction open"
    )


def _fault(path: Path, error: sqlite3.Error) -> Exception:
    import sqlite3

    code: int = getattr(error, "sqlite_errorcode", 0)
    kind = code & 0xFF
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
        return _locked(path, "too often")
    if kind == sqlite3.SQLITE_INTERRUPT:
        return errors.LockTimeout(f"reading {path} took more than {READ_S:g} s of a core: ask for less of it")
    if kind == sqlite3.SQLITE_FULL:
        return _no_space(path)
    if kind in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        is_refused = kind == sqlite3.SQLITE_CANTOPEN or (kind == sqlite3.SQLITE_IOERR and code not in _SHORT)
        return _refusal(path, is_refused) or damaged(path, error)
    return damaged(path, error)


def _refusal(path: Path, is_refused: bool) -> OSError | None:
    """Why the system refused SQLite's request, as far as that can be found out; None if the file is damaged.

    is_refused: SQLite reports that the system refused, but not why.
    """
    try:
        os.close(descriptors.open_file(path.parent, os.O_RDONLY | os.O_DIRECTORY))  # is there a descriptor left?
        room = memory.free_room(path.parent)
        if room is not None and room.f_flag & os.ST_RDONLY:
            return OSError(errno.EROFS, "the file system is read-only", str(path))
        if room is not None and room.f_bavail * room.f_frsize < INDEX_BYTES:
            return _no_space(path)
        path.lstat()
    except OSError as error:
        return error
    if not os.access(path, os.R_OK):
        return OSError(errno.EACCES, f"no permission to read it: 'chmod u+rw {path.name}*' in its directory", str(path))
    if not os.access(path.parent, os.W_OK | os.X_OK) or not os.access(path, os.R_OK | os.W_OK):
        return OSError(errno.EACCES, "no permission to write it or its directory: change their modes", str(path))
    text = "opening, reading or writing failed: see the system's log"
    return OSError(errno.EIO, text, str(path)) if is_refused else None
