"""Messages over the pipes between a program and its workers: eight bytes of length, then the message.

The program's ends never wait: a worker that is stopped, or was killed in the middle of a message, holds up nobody.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

__all__ = ["Inbox", "Outbox", "read", "write"]

_LENGTH = struct.Struct("=Q")
_AT_ONCE = 1 << 16


def write(descriptor: int, message: bytes | memoryview) -> None:
    """Write a whole message, as a worker does. Raises OSError if nobody reads any more."""
    for part in (_LENGTH.pack(len(message)), memoryview(message)):
        while part:
            part = part[os.write(descriptor, part) :]


def read(descriptor: int) -> bytes | None:
    """Read a whole message, as a worker does; None at the end. Raises OSError."""
    head = _exactly(descriptor, _LENGTH.size)
    return None if head is None else _exactly(descriptor, _LENGTH.unpack(head)[0])


def _exactly(descriptor: int, size: int) -> bytes | None:
    found = bytearray()
    while len(found) < size:
        piece = os.read(descriptor, min(size - len(found), 1 << 20))
        if not piece:
            return None
        found += piece
    return bytes(found)


class Outbox:
    """Messages that are still to be written, as far as the pipe takes them."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._left = memoryview(b"")

    def put(self, message: bytes | memoryview) -> bool:
        """Write a message. Returns False if a part of it is left. Raises BrokenPipeError if nobody reads any more."""
        self._left = memoryview(b"".join((self._left, _LENGTH.pack(len(message)), message)))
        return self.flush()

    def flush(self) -> bool:
        """Write what is left, without waiting. Returns False if something still is."""
        while self._left:
            try:
                self._left = self._left[os.write(self._descriptor, self._left) :]
            except BlockingIOError:
                return False
        return True


class Inbox:
    """Messages that have arrived, whole or in part."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._read = bytearray()

    def receive(self) -> bool:
        """Read what has arrived, without waiting. Returns False if nobody writes any more."""
        while True:
            try:
                piece = os.read(self._descriptor, _AT_ONCE)
            except BlockingIOError:
                return True
            if not piece:
                return False
            self._read += piece

    def messages(self) -> Iterator[bytes]:
        """The messages that are whole."""
        while len(self._read) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._read)[0]
            if len(self._read) < end:
                return
            message = bytes(memoryview(self._read)[_LENGTH.size : end])
            del self._read[:end]
            yield message
