"""Live bars, as the program has them: it starts the process that draws them, and tells it when to stop.

Nothing of the program is redirected, and no thread is started. The helper keeps the last lines of the terminal out of
the part that scrolls, so that whatever any process prints goes by above them; see `headway.terminal.live`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from headway import _launch

if TYPE_CHECKING:
    from types import TracebackType

    from headway._core import Segment

__all__ = ["CONTROL", "DONE", "OUTPUT", "PROGRAM", "RELEASE", "STOP", "Live"]

SCRIPT = Path(__file__).with_name("_bars.py")
CONTROL, OUTPUT, PROGRAM = 3, 4, 5  # the helper's descriptors: a socket to the program, its terminal, its pidfd
STOP, DONE = b"s", b"d"  # what the program says, and what the helper answers once the terminal is tidy
STOP_WAIT_S = 5.0
# Save the cursor, have all lines scroll again, restore it; no colour, no bars below it, wrapping as ever.
RELEASE = "\x1b7\x1b[r\x1b8\x1b[0m\x1b[?7h\x1b[J"

_active: Live | None = None  # a process draws one set of bars at a time; in a forked child, its parent's


class Live:
    """Shows a board while a `with` block goes on. The outermost block of a process draws, others do nothing."""

    __slots__ = ("_control", "_helper", "_output", "_pid", "_segment")

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._control: socket.socket | None = None
        self._helper = self._pid = 0
        self._output = -1

    def __enter__(self) -> None:
        global _active
        stream = _stream()
        if stream is None or _active is not None or _is_worker():
            return
        _flush()
        self._pid, self._output = os.getpid(), stream.fileno()
        ours, theirs = socket.socketpair()
        program = -1
        try:
            program = os.pidfd_open(self._pid)
            descriptors = (theirs.fileno(), self._output, program)
            encoding = stream.encoding or "ascii"
            self._helper = _launch.beside(SCRIPT, self._segment, encoding, descriptors=descriptors)
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _active
        if self._control is None or self._pid != os.getpid():  # a forked child leaves the block, too
            return
        _active = None
        _flush()
        try:
            if not self._stop(self._control):
                _tidy(self._output)
        finally:
            self._control.close()
            self._control = None

    def _stop(self, control: socket.socket) -> bool:
        """Have the helper draw for the last time. Has it tidied the terminal up?"""
        with contextlib.suppress(OSError):  # it was killed: told below
            control.send(STOP)
        answer = b""
        deadline = time.monotonic() + STOP_WAIT_S
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([control], [], [], left)[0]:
                break
            try:
                part = control.recv(16)
            except ConnectionResetError:
                part = b""
            if not part:
                return answer == DONE
            answer += part
        with contextlib.suppress(ProcessLookupError):  # stopped, perhaps: it must not wake up to draw later on
            os.kill(self._helper, signal.SIGKILL)
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
