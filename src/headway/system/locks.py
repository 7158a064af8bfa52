"""The lock files in a board's directory.

`board.lock` is held while a segment is made or removed, `recorder.lock` by the recorder as long as it lives, and
`users.lock` is shared by the programs that have the board open.

The kernel keeps the locks, so they end with their holder, however it ends. The text in the files is only informative.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from headway import errors
from headway.system import descriptors, machine

__all__ = [
    "FLOCK",
    "FileLock",
    "Flock",
    "elsewhere",
    "held",
    "lock_holder",
    "locked",
    "recorder_lock",
    "refusal",
    "use",
    "user",
    "without_locks",
]

LOCK_WAIT_S = 10.0
TOLD_MOST = 512  # bytes of a lock file that are read: host names have 64, and nobody has to write more
F_OFD_GETLK: int = getattr(fcntl, "F_OFD_GETLK", 36)  # Pythons that were built with old headers do not name them
F_OFD_SETLK: int = getattr(fcntl, "F_OFD_SETLK", 37)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
FLOCK = struct.Struct("hhxxxxqqixxxx")  # struct flock of 64-bit Linux: type, whence, start, length, pid


def _plain(told: bytes) -> str:
    """What a lock file says, for a message: whatever was written there, nothing in it moves a cursor."""
    text = told.decode("utf-8", "replace")
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def _is_own(found: os.stat_result) -> bool:
    """Is it a regular file of this user without other hard links? The holder of the lock overwrites its content."""
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink <= 1


def _open(path: Path) -> int:
    """Open a lock file, which is created if it does not exist, with mode 600 whatever the umask is.

    Raises NotOwner if it is not a regular file of this user alone, OSError.
    """
    fd = -1
    try:
        fd = descriptors.open_file(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK)
        found = os.fstat(fd)
        if _is_own(found):
            descriptors.close_to_others(fd, path)
            opened, fd = fd, -1
            return opened
    except OSError:
        with suppress(FileNotFoundError):
            found = path.lstat()
            if _is_own(found):
                raise
            raise _not_own(path, found) from None
        raise
    finally:
        if fd >= 0:
            os.close(fd)
    raise _not_own(path, found)


def _not_own(path: Path, found: os.stat_result) -> errors.NotOwner:
    if found.st_uid != os.geteuid():
        return errors.NotOwner(
            f"{path} belongs to user {found.st_uid}, not to you ({os.geteuid()}): leave this board to that user; "
            f"your own needs another name, or another directory (HEADWAY_DIR)"
        )
    return errors.NotOwner(f"{path} is a link or not a file, where a lock file has to be: remove it")


_flocks: weakref.WeakSet[Flock] = weakref.WeakSet()  # those that have a descriptor: a forked child closes it
# What a thread holds or waits for. Weak: after Ctrl-C in the middle of it a lock ends with its object, as this does.
_asked: dict[tuple[Path, int], weakref.ref[Flock]] = {}


def without_locks(path: Path, error: OSError) -> errors.UnusableDirectory | None:
    """The typed error, with the remedy, if the file system of a lock file has no locks; None for any other error."""
    if error.errno not in _NO_LOCKS:
        return None
    return errors.UnusableDirectory(
        error.errno,
        f"the file system has no locks on files ({error.strerror}): set HEADWAY_DIR to a directory on another one",
        str(path),
    )


def refusal(directory: Path) -> errors.UnusableDirectory | None:
    """Why a board's directory cannot be locked, if its file system has no locks. Nothing is made or waited for."""
    path = directory / "board.lock"
    try:
        fd = descriptors.open_file(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return without_locks(path, error)
    finally:
        os.close(fd)
    return None


def _is(fd: int, file: os.stat_result | None) -> bool:
    """Is the descriptor still that of this file? A program that closes all its descriptors may get the number anew."""
    if file is None:
        return True
    with suppress(OSError):
        return os.path.samestat(os.fstat(fd), file)
    return False


class Flock:
    """A lock on a file, held until `release`.

    This object owns the descriptor even before it is locked: if Ctrl-C comes between two steps, the lock is released
    with the object. A forked child has no part in it.
    """

    fd = -1
    again = False  # may code that interrupts the holder's thread go on under this lock?
    _file: os.stat_result | None = None  # None: opened a moment ago

    def take(self, path: Path, operation: int = fcntl.LOCK_EX) -> str | None:
        """Lock the file, creating it if needed. Returns None, or the pid of the holder if another process has it."""
        _flocks.add(self)
        self._file = None
        self.fd = _open(path)
        try:
            self._file = os.fstat(self.fd)
            fcntl.flock(self.fd, operation | fcntl.LOCK_NB)
            if os.path.samestat(path.lstat(), self._file):
                return None
            holder = "unknown"  # the file was replaced after we opened it: other processes lock the new one
        except BlockingIOError:
            holder = _plain(os.pread(self.fd, 32, 0).strip()) or "unknown"
        except FileNotFoundError:
            holder = "unknown"
        except OSError as error:
            self.release()
            raise without_locks(path, error) or error from None
        self.release()
        return holder

    def join(self, path: Path) -> bool:
        """Hold the lock by this descriptor, as code that interrupted `take`, the holder, or `release`.

        False if another process has it, or if the file was replaced since it was opened: others lock the new one then,
        as this code has to. What the descriptor had locked before, it has still.
        """
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.path.samestat(path.lstat(), os.fstat(self.fd))
        except OSError:
            return False

    def release(self) -> None:
        """Release the lock. Idempotent."""
        fd = self.fd
        if fd >= 0:
            is_ours = _is(fd, self._file)
            try:
                if is_ours:
                    with suppress(OSError):  # a file system without locks
                        fcntl.flock(fd, fcntl.LOCK_UN)  # closing is not enough: a child may still have the descriptor
            finally:
                self.fd = -1
                if is_ours:
                    os.close(fd)

    def forget(self) -> None:
        """In a forked child: close the descriptor, and leave the lock to the parent."""
        fd, self.fd = self.fd, -1
        if fd >= 0 and _is(fd, self._file):
            with suppress(OSError):
                os.close(fd)

    __del__ = release


@contextmanager
def held(path: Path, wait_s: float = LOCK_WAIT_S, *, again: bool = False) -> Iterator[Flock]:
    """Hold the lock of this file, which is created if it does not exist.

    It is a flock: the kernel releases it when the process dies.
    again: a signal handler or a finalizer that interrupts this thread over the lock may hold it, too, with the same
    argument. The holder may take that back for a while (`Flock.again`).
    Raises LockTimeout with the holder's pid after wait_s seconds, and at once in a signal handler or a finalizer that
    interrupted this thread while it had the same lock; NotOwner if the file is not a regular file of this user alone,
    OSError.
    """
    give_up = time.monotonic() + wait_s
    nap_s = 0.0005
    asked = (path, threading.get_ident())
    interrupted = _asked.get(asked)
    outer = None if interrupted is None else interrupted()
    if outer is not None and outer.fd >= 0:  # else that one waits for others, as this one does then
        if not (again and outer.again):
            raise errors.LockTimeout(
                f"{path} is being locked by this very thread, which this code interrupted: do in a signal handler or a "
                f"finalizer only what needs no lock, such as to set a flag, and the rest when it has returned"
            )
        if outer.join(path):
            yield outer
            return
    lock = Flock()
    lock.again = again
    try:
        _asked[asked] = weakref.ref(lock)
        while (holder := lock.take(path)) is not None:
            if time.monotonic() >= give_up:
                raise errors.LockTimeout(
                    f"{path} has been held by pid {holder} for {wait_s:g} s: resume or end that process"
                )
            time.sleep(nap_s)
            nap_s = min(nap_s * 2, 0.02)
        with suppress(OSError):  # a full disk: the pid in the file is only informative
            os.pwrite(lock.fd, f"{os.getpid():<31}\n".encode(), 0)
        yield lock
    finally:
        try:
            lock.release()
        finally:
            if interrupted is None:
                _asked.pop(asked, None)
            else:
                _asked[asked] = interrupted


def _after_fork_in_child() -> None:
    """The locks are the parent's: a child that had their descriptors would hold them for a parent that was killed."""
    _asked.clear()
    for lock in list(_flocks):
        lock.forget()


os.register_at_fork(after_in_child=_after_fork_in_child)


@contextmanager
def locked(directory: Path, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Hold the lock of a board's directory, `board.lock`. Raises LockTimeout."""
    with held(directory / "board.lock", wait_s):
        yield


# ------------------------------------------------------------------------------------------------ the recorder's lock


RECORDER, USERS = "recorder.lock", "users.lock"


class FileLock:
    """A lock on `recorder.lock` or `users.lock`, held until `release`, or until this process and its children ended."""

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._file = os.fstat(fd)
        self._name = name

    def touch(self) -> None:
        """Set the modification time of the file, which shows readers of files that the recorder is alive."""
        with suppress(OSError):  # a read-only file system: the snapshots fail too, and those errors are counted
            if _is(self._fd, self._file):
                os.utime(self._fd)

    def stands(self, directory: Path) -> bool:
        """Is the locked file still the one of its name in this directory?"""
        try:
            return os.path.samestat((directory / self._name).lstat(), os.fstat(self._fd))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Release the lock. Idempotent."""
        if _is(self._fd, self._file):
            os.close(self._fd)
        self._fd = -1


def _byte(kind: int) -> bytes:
    return FLOCK.pack(kind, os.SEEK_SET, 0, 1, 0)


def recorder_lock(directory: Path) -> FileLock | None:
    """Take the recorder's lock of a board's directory; None if another process holds it, on this or another machine.

    It is a lock of the open file description: it ends with its process, and network file systems support it. Raises
    NotOwner, OSError.
    """
    return _locked(directory / RECORDER, fcntl.F_WRLCK)


def use(directory: Path) -> FileLock | None:
    """Share the lock of those who have the board of this directory open.

    It tells other machines and containers, which do not see the segment, that the board is in use, also before it has a
    recorder. None where the file system has no such locks: then nobody is told.
    """
    with suppress(OSError, errors.NotOwner):
        return _locked(directory / USERS, fcntl.F_RDLCK)
    return None


def _locked(path: Path, kind: int) -> FileLock | None:
    fd = _open(path)
    try:
        fcntl.fcntl(fd, F_OFD_SETLK, _byte(kind))
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    text = f"pid {os.getpid()} on {machine.host()}\n{machine.shared_memory()}\n".encode()
    with suppress(OSError):  # a full disk: without the text nobody is named, and everybody is elsewhere
        if os.pread(fd, len(text) + 1, 0) != text:
            os.ftruncate(fd, 0)
            os.pwrite(fd, text, 0)
    return FileLock(fd, path.name)


def lock_holder(directory: Path) -> str | None:
    """The holder of the recorder's lock, as "pid N on HOST"; None if nobody holds it."""
    return _named(_holder(directory / RECORDER))


def user(directory: Path) -> str | None:
    """A process that has the board of this directory open or records it, as "pid N on HOST"; None if none does."""
    return _named(_holder(directory / RECORDER) or _holder(directory / USERS))


def elsewhere(directory: Path) -> str | None:
    """The same, but only one whose /dev/shm is not this process's, or may not be."""
    here = machine.shared_memory()
    for name in (RECORDER, USERS):
        holder = _holder(directory / name)
        if holder is not None and (not here or holder[1:2] != [here]):
            return _named(holder)
    return None


def _named(lines: list[str] | None) -> str | None:
    return None if lines is None else lines[0] if lines and lines[0] else "another process"


def _holder(path: Path) -> list[str] | None:
    """What the holder wrote, by lines: see `_locked`. None if nobody holds the lock."""
    try:
        fd = descriptors.open_file(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if not _is_own(os.fstat(fd)):
            return None  # not a file that a recorder would lock
        # Asked with F_WRLCK: shared locks conflict, too.
        if FLOCK.unpack(fcntl.fcntl(fd, F_OFD_GETLK, _byte(fcntl.F_WRLCK)))[0] == fcntl.F_UNLCK:
            return None
        return [_plain(line) for line in os.pread(fd, TOLD_MOST, 0).splitlines()]
    except OSError:
        return None  # the file system has no locks, so nobody holds one
    finally:
        os.close(fd)
