"""Files that several processes write: whole or not there, one writer at a time, and read as hostile input."""

from __future__ import annotations

import fcntl
import os
import random
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from headway import errors
from headway.system import locks

__all__ = ["FILE_BYTES_MAX", "lock_file", "read_file", "sync_folder", "write_new"]

FILE_BYTES_MAX = 1 << 26
_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW


def read_file(path: Path) -> bytes | None:
    """The bytes of a file; None for what is no regular file of this user, or is too large. Raises FileNotFoundError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _OPEN)  # O_NONBLOCK: do not wait for a pipe's writer
    except FileNotFoundError:
        raise
    except OSError:
        return None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_size > FILE_BYTES_MAX:
            return None
        content = b""
        while piece := os.read(fd, found.st_size + 1 - len(content)):
            content += piece
        return content
    finally:
        os.close(fd)


def write_new(path: Path, content: bytes) -> None:
    """Write a file that was not there, and force it to the disk. Its name is not yet: sync_folder does that.

    Raises OSError, and leaves nothing then.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o600)
    try:
        with open(fd, "wb", buffering=0) as file:
            left = memoryview(content)
            while left:
                left = left[file.write(left) :]
            os.fsync(fd)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def lock_file(path: Path, wait_s: float, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a lock file, which is made if it is not there. The kernel releases it when the holder dies.

    shared: beside other readers. Raises LockTimeout that names the holder after wait_s seconds; OSError.
    """
    give_up = time.monotonic() + wait_s
    lock = locks.Flock()
    try:
        while lock.take(path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX) is not None:
            if time.monotonic() >= give_up:
                raise errors.LockTimeout(f"{path} has been locked for {wait_s:g} s{_holder(path)}: resume or end it")
            time.sleep(random.uniform(50e-6, 500e-6))  # about as long as a write takes
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    """Who holds the lock, for people. Source: proc_locks(5)."""
    with suppress(OSError, ValueError):
        inode = str(path.lstat().st_ino)
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode:
                return f" by pid {words[4]}"
    return ""
