"""Files that several processes write: complete or absent, one writer at a time, and read as hostile input."""

from __future__ import annotations

import fcntl
import os
import random
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_ident

from headway import errors
from headway.system import descriptors

__all__ = ["FILE_BYTES_MAX", "lock_file", "read_file", "read_with_number", "reading", "sync_folder", "write_new"]

FILE_BYTES_MAX = 1 << 26
_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW
_held: set[tuple[int, int, str]] = set()  # locks, each with the process and the thread that holds it


def read_file(path: str | Path, *, anyone: bool = False) -> bytes | None:
    """The bytes of a file; None if it is not a regular file, or too large. Raises FileNotFoundError.

    anyone: accept the file of any user, not only of this one.
    """
    return read_with_number(path, anyone=anyone)[0]


def read_with_number(path: str | Path, *, anyone: bool = False) -> tuple[bytes | None, int]:
    """The same as read_file, and the file's inode, 0 if it cannot be opened."""
    with reading(path, anyone=anyone) as found:
        return found


@contextmanager
def reading(path: str | Path, *, anyone: bool = False) -> Iterator[tuple[bytes | None, int]]:
    """The same for a block: the file stays open, so that meanwhile no other file gets its inode."""
    try:
        fd = descriptors.open_file(
            path, os.O_RDONLY | os.O_NONBLOCK | _OPEN
        )  # O_NONBLOCK: do not wait for a pipe's writer
    except FileNotFoundError:
        raise
    except OSError:
        yield None, 0
        return
    try:
        yield _content(fd, anyone)
    finally:
        os.close(fd)


def _content(fd: int, anyone: bool) -> tuple[bytes | None, int]:
    found = os.fstat(fd)
    size = found.st_size
    if not stat.S_ISREG(found.st_mode) or size > FILE_BYTES_MAX or (not anyone and found.st_uid != os.geteuid()):
        return None, found.st_ino
    content = os.read(fd, size + 1)
    while len(content) < size and (piece := os.read(fd, size + 1 - len(content))):  # interrupted, or a slow disk
        content += piece
    return content, found.st_ino


def write_new(path: str | Path, content: bytes, mode: int = 0o600, *, exactly: bool = False) -> None:
    """Write a new file, and force it to the disk. Its directory entry is not forced: sync_folder does that.

    mode: reduced by the umask, unless `exactly`. Raises OSError, and FileTooLarge (EFBIG) for what read_file would
    refuse; then it leaves no file.
    """
    if len(content) > FILE_BYTES_MAX:
        raise OSError(27, f"{len(content)} bytes are more than the {FILE_BYTES_MAX} that are read", str(path))
    fd = descriptors.open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, mode)
    try:
        try:
            if exactly:
                os.fchmod(fd, mode)
            left = memoryview(content)
            while left:
                left = left[os.write(fd, left) :]
            os.fsync(fd)
        finally:
            os.close(fd)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(path)
        raise


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    fd = descriptors.open_file(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def lock_file(path: Path, wait_s: float) -> Iterator[None]:
    """Hold the lock of a lock file, which is made if it is not there. The kernel releases it when the holder dies.

    The file may be another user's: it is only opened for reading. Raises LockTimeout that names the holder after
    wait_s seconds, and at once in a signal handler that interrupts a holder in this thread; OSError.
    """
    pid = os.getpid()
    holder = pid, get_ident(), str(path)
    fd = _take(path)
    if fd < 0:
        if holder in _held:
            raise errors.LockTimeout(f"{path} is locked by the call that this one interrupts: try again after it")
        give_up = time.monotonic() + wait_s
        while fd < 0:
            if time.monotonic() >= give_up:
                raise errors.LockTimeout(f"{path} has been locked for {wait_s:g} s{_holder(path)}: resume or end it")
            time.sleep(random.uniform(50e-6, 500e-6))  # about as long as a write takes
            fd = _take(path)
    try:
        _held.add(holder)
        yield
    finally:
        _held.discard(holder)
        try:
            if pid == os.getpid():  # in a child that was forked meanwhile, the lock is the parent's
                fcntl.flock(fd, fcntl.LOCK_UN)  # explicitly: a child that was forked meanwhile shares the descriptor
        finally:
            os.close(fd)


def _take(path: Path) -> int:
    """A descriptor of the file that holds its lock; -1 if another process has the lock, or has removed the file."""
    try:
        fd = descriptors.open_file(path, os.O_RDONLY | os.O_CREAT | os.O_NONBLOCK | _OPEN, 0o666)
    except PermissionError:  # in a folder of all users, O_CREAT is refused for another user's file
        if not os.path.lexists(path):
            raise
        fd = descriptors.open_file(path, os.O_RDONLY | os.O_NONBLOCK | _OPEN)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.lstat(path), os.fstat(fd)):
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass  # held, or replaced since: try again
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return -1


def _holder(path: Path) -> str:
    """The holder of the lock, for people. Source: proc_locks(5)."""
    with suppress(OSError, ValueError):
        inode = str(path.lstat().st_ino)
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode:
                return f" by pid {words[4]}"
    return ""
