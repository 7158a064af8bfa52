"""Live bars, the program's side: starts the helper process that draws them, and tells it when to stop.

No stream of the program is redirected, and no thread is started. The helper excludes the last lines of the terminal
from scrolling, so that everything that any process prints scrolls above them; see `headway.bars.drawer`. In a notebook
it sends what it draws to the kernel; see `headway.process.notebook`.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
import time
from typing import TYPE_CHECKING, TextIO

from headway import errors
from headway.process import notebook, pidfd
from headway.process.drawing import DONE, DRAWN, HIDE, LEFT, RELEASE, STOP
from headway.system import descriptors, support, workers

if TYPE_CHECKING:
    from types import TracebackType

    from headway.native.core import Segment

__all__ = ["Helper", "Live", "flush", "has_place", "is_worker", "shown"]

BOARD_DRAWER = "headway.bars.board_process"
STOP_WAIT_S = 5.0
HIDE_WAIT_S = 2.0
DEATH_WAIT_S = 1.0
MSG_DONTWAIT = 0x40  # socket.MSG_DONTWAIT; programs without bars do not import socket

_active: Live | None = None  # a process draws one set of bars at a time; in a forked child this is the parent's
_helpers: set[Helper] = set()  # the helpers of this process that draw, or may draw


class Helper:
    """The program's hold on the helper process that draws. The helper is not its child, and ends with the program.

    module: the module that the helper runs; arguments: of its `main`; terminal: the descriptor it draws on, None in a
    notebook. Raises OSError, and ValueError if `sys.executable` is not a Python that could be started.
    """

    def __init__(self, module: str, *arguments: str, terminal: int | None) -> None:
        try:
            from socket import SOCK_SEQPACKET  # imported only here: workers never need it

            from headway.process import launch
        except ImportError as error:
            raise ValueError(str(error)) from None
        self.pid = os.getpid()
        self.terminal = terminal
        self.drawn = False
        """Whether bars of loops are on the terminal."""
        self._lock = threading.Lock()
        self._helper = -1  # a pidfd: a plain pid may belong to another process by the time it is killed
        self._alive = -1  # without pidfds: a pipe that the kernel closes when this process ends
        self.control, theirs = descriptors.socket_pair(SOCK_SEQPACKET)
        program = -1
        try:
            program = pidfd.open_pidfd(self.pid)
            if program < 0:
                program, self._alive = descriptors.pipe()
            handed = (theirs.fileno(), program) if terminal is None else (theirs.fileno(), program, terminal)
            self._helper_pid = launch.beside(module, *arguments, descriptors=handed)
            self._helper = pidfd.open_pidfd(self._helper_pid)  # -1: the socket shows whether it has ended
            self._helper_started = pidfd.started(self._helper_pid) if self._helper < 0 else None
        except BaseException:
            self.control.close()
            if self._alive >= 0:
                os.close(self._alive)
            raise
        finally:
            theirs.close()
            if program >= 0:
                os.close(program)
        self._told = pidfd.told_by(self._helper)
        self._files = [_file_of(descriptor) for descriptor in (self.control.fileno(), self._helper, self._alive)]
        _helpers.add(self)

    def _has(self, descriptor: int) -> bool:
        """Is it still ours? A program that closes all its descriptors closes these, too, and may get a number anew."""
        if (found := _file_of(descriptor)) is None or found not in self._files:
            return False
        return descriptor != self._helper or pidfd.told_by(descriptor) in (self._told, pidfd.GONE)

    def say(self, message: bytes) -> bool:
        """Send a message without waiting. False if that is impossible: the helper is busy, or has ended."""
        if not self._has(self.control.fileno()):
            return False
        try:
            self.control.send(message, MSG_DONTWAIT)
        except OSError:
            return False
        return True

    def answers(self, timeout_s: float) -> bool:
        """Wait for the answer DONE. False if it does not come in time, or if the helper ends without it."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            if not self._has(self.control.fileno()) or not _readable(self.control.fileno(), left):
                break
            with contextlib.suppress(ConnectionResetError):  # it was killed: earlier messages can still be read
                message = self.control.recv(16)
                if not message or message == DONE:
                    return message == DONE
        return False

    # ---------------------------------------------------------------------------------------------- bars of loops

    def is_there(self) -> bool | None:
        """Is the helper running? None if it ended because it had nothing to show. Also updates `drawn`."""
        if not self._lock.acquire(blocking=False):  # another thread is waiting for its answer
            return True
        try:
            return self._heard()
        finally:
            self._lock.release()

    def _heard(self) -> bool | None:
        if not self._has(self.control.fileno()):
            return False
        with contextlib.suppress(BlockingIOError):
            for _ in range(16):
                try:
                    message = self.control.recv(16, MSG_DONTWAIT)
                except ConnectionResetError:  # it has ended: earlier messages can still be read
                    continue
                if message == LEFT:
                    return None
                if not message:
                    return False
                self.drawn = message == DRAWN
        return True

    def hide(self) -> bool:
        """Make the helper erase the bars of loops. False if it has ended, or was killed because it did not answer.

        When this returns, no bars are on the terminal, and all of its lines scroll.
        """
        if not self._lock.acquire(timeout=HIDE_WAIT_S):  # another thread is hiding them already
            return True
        try:
            there = self.say(HIDE)
            # If DRAWN has not come by now, nothing is drawn: the helper sends it first, and then checks for HIDE.
            there = self._heard() is True and there
            if self.drawn and not (there and self.answers(HIDE_WAIT_S)):
                self.end()
                self.tidy()
                return False
            self.drawn = False
            return there
        finally:
            self._lock.release()

    # ------------------------------------------------------------------------------------------------- its end

    def end(self, *, control: bool = True) -> None:
        """Kill the helper if it has not ended: it may be stopped, and must not draw when it is continued."""
        known = self._has(self._helper)
        if (known or self._helper < 0) and pidfd.kill(self._helper, self._helper_pid, self._helper_started):
            with contextlib.suppress(OSError):
                _readable(self._helper if known else self.control.fileno(), DEATH_WAIT_S)
        self.close(control=control)

    def close(self, *, control: bool = True) -> None:
        """Close the descriptors: without the socket the helper ends. control: False if a notebook closes the socket."""
        _helpers.discard(self)
        if control and self._has(self.control.fileno()):
            self.control.close()
        elif control:
            self.control.detach()
        for descriptor in (self._helper, self._alive):
            if self._has(descriptor):
                os.close(descriptor)
        self._helper = self._alive = -1
        self._helper_started = None

    def tidy(self) -> None:
        """Make the terminal usable again after the helper was killed; not one that accepts nothing (Ctrl-S)."""
        self.drawn = False
        with contextlib.suppress(OSError):  # the terminal is gone, too
            if self.terminal is not None and os.isatty(self.terminal) and _ready(self.terminal, select.POLLOUT, 0.0):
                os.write(self.terminal, RELEASE.encode())


def _file_of(descriptor: int) -> tuple[int, int] | None:
    """What is open by this number; None if nothing is."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _readable(descriptor: int, timeout_s: float) -> bool:
    """Wait until this can be read, or has come to its end. False if not in time."""
    return _ready(descriptor, select.POLLIN, timeout_s)


def _ready(descriptor: int, event: int, timeout_s: float) -> bool:
    waiting = select.poll()  # select() takes no descriptor above 1023
    waiting.register(descriptor, event)
    return bool(waiting.poll(timeout_s * 1000))


class Live:
    """Shows a board during a `with` block. The outermost block of a process draws, nested ones do nothing."""

    __slots__ = ("_cell", "_helper", "_segment")

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._helper: Helper | None = None
        self._cell: notebook.Output | None = None  # in a notebook: used instead of the terminal

    def __enter__(self) -> None:
        global _active
        in_cell = notebook.is_notebook()
        stream = None if in_cell else _stream()
        if (stream is None and not in_cell) or _active is not None or is_worker() or support.silenced():
            return
        flush()
        segment = self._segment
        encoding = "" if stream is None else stream.encoding or "ascii"
        terminal = None if stream is None else stream.fileno()
        try:
            self._helper = Helper(BOARD_DRAWER, segment.name, segment.uuid, encoding, terminal=terminal)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            errors.tell(f"no live bars: {reason}; see 'headway watch'")
            return
        _active = self
        for other in _helpers - {self._helper}:
            other.hide()  # from now on loops draw no bars of their own
        if in_cell:
            try:
                self._cell = notebook.Output({"text/plain": f"board {segment.name}"})
                self._cell.follow(self._helper.control)
            except BaseException:  # Ctrl-C, for example: later blocks can draw
                _active = None
                helper, self._helper, self._cell = self._helper, None, None
                helper.end(control=True)
                raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _active
        helper, self._helper = self._helper, None
        if helper is None or helper.pid != os.getpid():  # this is a forked child that leaves the block
            return
        _active = None
        done = False
        try:
            flush()
            helper.say(STOP)  # if it was killed, no answer comes
            done = helper.answers(STOP_WAIT_S) if self._cell is None else self._cell.last(STOP_WAIT_S) == DONE
        finally:
            if done:
                helper.close(control=self._cell is None)
            else:
                helper.end(control=self._cell is None)
                helper.tidy()


def shown() -> str | None:
    """The uuid of the board whose live bars this process draws; None if it draws none."""
    live = _active
    if live is None or live._helper is None or live._helper.pid != os.getpid():  # in a forked child: the parent's
        return None
    return live._segment.uuid


def has_place(uuid: str | None) -> bool:
    """May a loop on this board draw its own bar? Not if live bars show the board, or if they use the same terminal.

    uuid: None for a board without a segment. A forked child draws nothing over its parent's bars either.
    """
    live = _active
    if live is None or (helper := live._helper) is None:
        return True
    if live._segment.uuid == uuid:
        return False
    stream = sys.stderr
    shared = helper.terminal is not None and os.isatty(helper.terminal) and stream is not None and not stream.closed
    return not (shared and stream.isatty())


def _stream() -> TextIO | None:
    """The stream for bars: standard error, or standard output if only that is a terminal. None if neither is open."""
    found = None
    for stream in (sys.stderr, sys.stdout):
        try:
            if stream is not None and stream.fileno() >= 0:
                if stream.isatty():
                    return stream
                found = found or stream
        except (OSError, ValueError):  # closed, or not a file, as in a notebook
            continue
    return found


def is_worker() -> bool:
    """Is this a worker of a pool? Workers draw no bars: they share their parent's terminal."""
    return workers.library() is not None


def flush() -> None:
    """Flush what the program has printed so far: it belongs above the bars."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):  # the stream is closed
                stream.flush()


def _after_fork_in_child() -> None:
    """Close the sockets in a forked child: otherwise the helpers would not notice the end of the program."""
    for helper in list(_helpers):
        helper.close()


os.register_at_fork(after_in_child=_after_fork_in_child)
