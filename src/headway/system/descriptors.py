"""Descriptors of files, never one of 0, 1 and 2; and what is done with a new file.

A program may have closed its standard streams, as daemons do. A file of ours would get such a number, and whatever is
printed would be written into it. Native code does the same by `native/descriptor.h`.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

__all__ = ["above", "close_to_others", "open_file", "pipe", "socket_pair", "to_disk"]

F_DUPFD_CLOEXEC: int = getattr(fcntl, "F_DUPFD_CLOEXEC", 1030)


def open_file(path: str | os.PathLike[str], flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
    """As os.open, but the descriptor is 3 or more, and no child that runs another program has it."""
    return above(os.open(path, flags | os.O_CLOEXEC, mode, dir_fd=dir_fd))


def above(fd: int) -> int:
    """The descriptor itself if it is 3 or more, else a copy that is; then this one is closed. Raises OSError."""
    if fd > 2:
        return fd
    try:
        return fcntl.fcntl(fd, F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(fd)


def close_to_others(fd: int, path: str | os.PathLike[str]) -> None:
    """Give a file the mode 0600, whatever the umask is. Raises OSError, with the path, where its file system cannot.

    Not where it has that mode already: some file systems and sandboxes refuse the call even then.
    """
    if os.fstat(fd).st_mode & 0o777 != 0o600:
        try:
            os.fchmod(fd, 0o600)
        except OSError as error:
            raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def to_disk(fd: int) -> None:
    """As os.fsync, but where the file system has no such call, the file is as safe as it can be. Raises OSError."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise


def pipe() -> tuple[int, int]:
    """The reading and the writing end of a pipe, both 3 or more. Raises OSError."""
    reader, writer = os.pipe()
    other = writer  # to be closed where `above` closes the one that it cannot replace
    try:
        reader = other = above(reader)
        return reader, above(writer)
    except OSError:
        os.close(other)
        raise


def socket_pair(kind: int) -> tuple[socket.socket, socket.socket]:
    """A pair of connected Unix sockets of this kind, whose descriptors are 3 or more. Raises OSError."""
    import socket  # programs without bars do not need it

    first, second = socket.socketpair(socket.AF_UNIX, kind)
    if min(first.fileno(), second.fileno()) > 2:
        return first, second
    with second:  # closed if there is no descriptor left for the first one
        first = socket.socket(fileno=above(first.detach()))
        return first, socket.socket(fileno=above(second.detach()))
