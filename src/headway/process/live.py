"""Live bars, as the program has them: it starts the process that draws them, and tells it when to stop.

Nothing of the program is redirected, and no thread is started. The helper keeps the last lines of the terminal out of
the part that scrolls, so that whatever any process prints goes by above them; see `headway.bars.drawer`. In a
notebook it sends what it draws to the kernel; see `headway.process.notebook`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
import warnings
from typing import TYPE_CHECKING, TextIO

from headway.process import launch, notebook

if TYPE_CHECKING:
    import socket
    from types import TracebackType

    from headway.native.core import Segment

__all__ = ["CONTROL", "DONE", "OUTPUT", "PROGRAM", "RELEASE", "STOP", "Live", "has_place", "shown"]

DRAWER = "headway.bars.bars_process"
CONTROL, PROGRAM, OUTPUT = 3, 4, 5  # the helper's descriptors: a socket to the program, its pidfd, its terminal
STOP, DONE = b"s", b"d"  # what the program says, and what the helper answers once all is drawn and the terminal tidy
STOP_WAIT_S = 5.0
# Save the cursor, have all lines scroll again, restore it; no colour, no bars below it, wrapping as ever.
RELEASE = "\x1b7\x1b[r\x1b8\x1b[0m\x1b[?7h\x1b[J"

_active: Live | None = None  # a process draws one set of bars at a time; in a forked child, its parent's


class Live:
    """Shows a board while a `with` block goes on. The outermost block of a process draws, others do nothing."""

    __slots__ = ("_cell", "_control", "_helper", "_pid", "_segment", "_terminal")

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._control: socket.socket | None = None
        self._pid = 0
        self._helper = self._terminal = -1  # descriptors; a pid could be somebody else's by the time that it is killed
        self._cell: notebook.Output | None = None  # of a notebook: instead of the terminal

    def __enter__(self) -> None:
        import socket  # workers never come here, and every import of a board would pay for it

        global _active
        in_cell = notebook.is_notebook()
        stream = None if in_cell else _stream()
        if (stream is None and not in_cell) or _active is not None or _is_worker():
            return
        _flush()
        self._pid = os.getpid()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = -1
        try:
            program = os.pidfd_open(self._pid)
            descriptors = [theirs.fileno(), program]
            if stream is not None:
                self._terminal = stream.fileno()
                descriptors.append(self._terminal)
            encoding = "" if stream is None else stream.encoding or "ascii"
            helper = launch.beside(DRAWER, self._segment, encoding, descriptors=tuple(descriptors))
            with contextlib.suppress(ProcessLookupError):  # it has ended already: the socket tells
                self._helper = os.pidfd_open(helper)
        except (OSError, ValueError) as error:
            ours.close()
            reason = error.strerror if isinstance(error, OSError) else error
            warnings.warn(f"no live bars: {reason}; see 'headway watch'", RuntimeWarning, stacklevel=2)
            return
        finally:
            theirs.close()
            if program >= 0:
                os.close(program)
        self._control = ours
        _active = self
        if in_cell:
            self._cell = notebook.Output({"text/plain": f"board {self._segment.name}"})
            self._cell.follow(ours)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _active
        control, self._control = self._control, None
        helper, self._helper = self._helper, -1
        try:
            if control is None or self._pid != os.getpid():  # a forked child leaves the block, too
                return
            _active = None
            _flush()
            with contextlib.suppress(OSError):  # it was killed: told below
                control.send(STOP)
            if self._cell is not None:
                if self._cell.last(STOP_WAIT_S) != DONE:
                    _kill(helper)
                return
            try:
                if not _is_done(control, STOP_WAIT_S):
                    _kill(helper)
                    _tidy(self._terminal)
            finally:
                control.close()
        finally:
            if helper >= 0:
                os.close(helper)


def _kill(helper: int) -> None:
    """It is stopped, perhaps, and must not wake up to draw later on."""
    if helper >= 0:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(helper, signal.SIGKILL)


def shown() -> str | None:
    """The uuid of the board whose live bars this process draws; None if it draws none."""
    live = _active
    if live is None or live._control is None or live._pid != os.getpid():  # in a forked child they are the parent's
        return None
    return live._segment.uuid


def has_place(uuid: str | None) -> bool:
    """May a loop on this board draw a bar of its own? Not where live bars show it, nor where they have the terminal.

    uuid: None for a board without a segment. In a forked child the bars are its parent's, on the same terminal.
    """
    live = _active
    if live is None or live._control is None:
        return True
    if live._segment.uuid == uuid:
        return False
    stream = sys.stderr
    shared = live._cell is None and os.isatty(live._terminal) and stream is not None and not stream.closed
    return not (shared and stream.isatty())


def _is_done(control: socket.socket, timeout_s: float) -> bool:
    """Does the helper say so? Not if it ends without, or takes too long."""
    deadline = time.monotonic() + timeout_s
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([control], [], [], left)[0]:
            break
        with contextlib.suppress(ConnectionResetError):  # it was killed: what it sent before is still to come
            message = control.recv(16)
            if not message or message == DONE:
                return message == DONE
    return False


def _stream() -> TextIO | None:
    """Where bars go: standard error, or standard output if that alone is a terminal. None if there is neither."""
    found = None
    for stream in (sys.stderr, sys.stdout):
        try:
            if stream is not None and stream.fileno() >= 0:
                if stream.isatty():
                    return stream
                found = found or stream
        except (OSError, ValueError):  # closed, or no file at all, as in a notebook
            continue
    return found


def _is_worker() -> bool:
    """Workers of a pool write to the terminal of their parent: they would only disturb each other's bars."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):  # closed: there is nothing to be seen above the bars
                stream.flush()


def _tidy(output: int) -> None:
    """Where the helper was killed: make the terminal usable again."""
    with contextlib.suppress(OSError):  # the terminal is gone, too
        if os.isatty(output):
            os.write(output, RELEASE.encode())


def _after_fork_in_child() -> None:
    """The child must not keep the socket open: the helper would not see the program's end of it close."""
    if _active is not None and _active._control is not None:
        _active._control.close()


os.register_at_fork(after_in_child=_after_fork_in_child)
