"""A lock between processes that is a file: released by the kernel when its holder dies, whatever way it dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from headway import errors

__all__ = ["LOCK_WAIT_S", "locked"]

LOCK_WAIT_S = 10.0


def _try_lock(path: Path) -> int | str:
    """A descriptor that holds the lock, or the pid of who holds it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(path.lstat(), os.fstat(fd)):
            found, fd = fd, -1
            return found
        return "unknown"  # its last holder removed the file: the next one's lock is another file
    except BlockingIOError:
        return os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
    except FileNotFoundError:
        return "unknown"
    finally:
        if fd >= 0:
            os.close(fd)


@contextmanager
def locked(path: Path, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Hold the lock that this file is; it is made if it is not there.

    A flock: released by the kernel at death, and explicitly here, because a child forked meanwhile shares it.
    Raises LockTimeout naming the holder's pid after wait_s seconds.
    """
    give_up = time.monotonic() + wait_s
    nap_s = 0.0005
    while isinstance(fd := _try_lock(path), str):
        if time.monotonic() >= give_up:
            raise errors.LockTimeout(f"{path} has been held by pid {fd} for {wait_s:g} s: resume or end that process")
        time.sleep(nap_s)
        nap_s = min(nap_s * 2, 0.02)
    try:
        with suppress(OSError):  # a full disk: the pid in the file is for people only
            os.pwrite(fd, f"{os.getpid():<31}\n".encode(), 0)
        try:
            yield
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)
