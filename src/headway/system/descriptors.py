"""Descriptors of files, never one of 0, 1 and 2.

A program may have closed its standard streams, as daemons do. A file of ours would get such a number, and whatever is
printed would be written into it. Native code does the same by `native/descriptor.h`.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

__all__ = ["above", "open_file", "pipe", "socket_pair"]

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
