"""Reads what a command says: on HEADWAY_FD, and on streams that go their way byte for byte while they are read along.

One loop waits for all of them, and for nobody else: where the reader of a stream is slow, the others go on.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import stat
import struct
import termios
import tty
from typing import TYPE_CHECKING, NoReturn

from headway.integrations.told import Lines, Told, together
from headway.system import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from headway.integrations.recognisers import Kind

__all__ = ["Channel", "Tee", "leave_rest", "relay", "tees_of"]

PIECE = 1 << 16
WRITTEN = 4096  # at a time: a pipe that can be written has room for so much
LOOKED_AT = 8192  # of a piece, its end: what is printed by megabytes is not read for progress from end to end
READS_MOST = 256  # after the command has ended: more than what pipes and pseudo-terminals hold


class Channel:
    """HEADWAY_FD: lines that are read for what they say, and go nowhere. of_line: what other lines say."""

    def __init__(self, descriptor: int, of_line: Callable[[bytes], Told | None]) -> None:
        self.descriptor = descriptor
        self._lines = Lines()
        self._of_line = of_line

    @property
    def waits_for(self) -> tuple[int, int]:
        """The descriptor and the event that it waits for."""
        return self.descriptor, select.POLLIN

    @property
    def target(self) -> int | None:
        """The descriptor that it writes to."""
        return None

    def go_on(self) -> Told | None:
        """Read what is there, and return what it says. At the end the descriptor is closed, and negative."""
        piece = self._read()
        lines = self._lines.feed(piece)
        if self.descriptor < 0:
            lines.append(self._lines.rest)
        return self._said(lines)

    def _read(self) -> bytes:
        piece = b""
        with contextlib.suppress(OSError):  # a pseudo-terminal that nobody has any more
            piece = os.read(self.descriptor, PIECE)
        if not piece:
            os.close(self.descriptor)
            self.descriptor = -1
        return piece

    def _said(self, lines: Iterable[bytes]) -> Told | None:
        return together([told for line in lines if (told := self._of_line(line)) is not None])


class Tee(Channel):
    """A stream that is copied to where it would have gone, and read along."""

    def __init__(self, descriptor: int, target: int, of_line: Callable[[bytes], Told | None]) -> None:
        super().__init__(descriptor, of_line)
        self._target = target
        self._pending = memoryview(b"")

    @property
    def waits_for(self) -> tuple[int, int]:
        return (self._target, select.POLLOUT) if self._pending else (self.descriptor, select.POLLIN)

    @property
    def target(self) -> int | None:
        return self._target

    def go_on(self) -> Told | None:
        if self._pending:
            self._write()
            return None
        piece = self._read()
        self._pending = memoryview(piece)
        lines = self._lines.feed(piece[-LOOKED_AT:])
        return self._said([*lines, self._lines.rest])  # that may be all that is said for long

    def _write(self) -> None:
        try:
            self._pending = self._pending[os.write(self._target, self._pending[:WRITTEN]) :]
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EINTR):  # others made it a descriptor that does not wait
                return
            # Whoever read it is gone. The command shall learn that as if it wrote there itself.
            self._pending = memoryview(b"")
            if self.descriptor >= 0:
                os.close(self.descriptor)
                self.descriptor = -1

    @property
    def is_pending(self) -> bool:
        """Is there anything that was read, and not written yet?"""
        return bool(self._pending)


def relay(channels: Sequence[Channel], over: int, say: Callable[[Told], object]) -> None:
    """Read, and say what was told, until the command is over, and all that it wrote until then is read and written.

    over: a descriptor that can be read then.
    """
    while over not in (ready := _ready(channels, None, over)):
        _go_on(channels, ready, say)
    left = READS_MOST
    while left and (ready := _ready(channels, None if _is_pending(channels) else 0)):
        _go_on(channels, ready, say)
        left -= 0 if _is_pending(channels) else 1


def _is_pending(channels: Iterable[Channel]) -> bool:
    return any(isinstance(channel, Tee) and channel.is_pending for channel in channels)


def _ready(channels: Iterable[Channel], timeout_ms: float | None, *others: int) -> set[int]:
    """The descriptors that are ready."""
    waiting = select.poll()
    for descriptor in others:
        waiting.register(descriptor, select.POLLIN)
    for channel in channels:
        descriptor, event = channel.waits_for
        if descriptor >= 0:
            waiting.register(descriptor, event)
    return {descriptor for descriptor, _ in waiting.poll(timeout_ms)}


def _go_on(channels: Iterable[Channel], ready: set[int], say: Callable[[Told], object]) -> None:
    for channel in channels:
        if channel.waits_for[0] in ready and (told := channel.go_on()) is not None:
            say(told)


def leave_rest(channels: Sequence[Channel], mask: Iterable[int]) -> None:
    """Have what the command left in the background write on, in a process of its own: it would be ended by its writing.

    mask: the signals that are blocked in it.
    """
    open_ones = [channel for channel in channels if channel.descriptor >= 0]
    if open_ones and os.fork() == 0:
        _serve(open_ones, mask)


def _serve(channels: list[Channel], mask: Iterable[int]) -> NoReturn:
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        kept = {channel.descriptor for channel in channels} | {channel.target for channel in channels}
        for name in os.listdir("/proc/self/fd"):
            if int(name) not in kept:
                with contextlib.suppress(OSError):  # that of the listing
                    os.close(int(name))
        while any(channel.descriptor >= 0 for channel in channels) or _is_pending(channels):
            _go_on(channels, _ready(channels, None), lambda _: None)
    finally:
        os._exit(0)


# ---------------------------------------------------------------------------------------------------------- its streams


def tees_of(kind: Kind) -> tuple[list[Tee], dict[int, int], Callable[[], None]]:
    """The streams that a kind of output is read from.

    Returns them, the descriptors that the command gets in their place, and what is to be called when the terminal has
    another size. Where both streams go to one place, both go through one tee, in the order in which they are written.
    """
    tees: list[Tee] = []
    given: dict[int, int] = {}
    terminals: list[tuple[int, int]] = []
    for stream in kind.streams:
        place = _place_of(stream)
        if stream in given or place is None:
            continue
        target = descriptors.above(os.dup(stream))
        if os.isatty(stream):
            source, theirs = _pseudo_terminal(stream)
            terminals.append((stream, source))
        else:
            source, theirs = descriptors.pipe()
        tees.append(Tee(source, target, kind.of_line))
        given.update({other: theirs for other in (1, 2) if _place_of(other) == place})
    return tees, given, lambda: _resize(terminals)


def _place_of(stream: int) -> tuple[int, int, int] | None:
    """What a stream is open on; None if it is closed."""
    try:
        found = os.fstat(stream)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_rdev if stat.S_ISCHR(found.st_mode) else 0


def _pseudo_terminal(stream: int) -> tuple[int, int]:
    """A terminal that changes no byte, of the size of this one: its two ends, ours first."""
    ours, theirs = map(descriptors.above, os.openpty())
    tty.setraw(theirs)
    _resize([(stream, ours)])
    return ours, theirs


def _resize(terminals: list[tuple[int, int]]) -> None:
    for real, ours in terminals:
        with contextlib.suppress(OSError):
            size = fcntl.ioctl(real, termios.TIOCGWINSZ, struct.pack("4H", 0, 0, 0, 0))
            fcntl.ioctl(ours, termios.TIOCSWINSZ, size)
