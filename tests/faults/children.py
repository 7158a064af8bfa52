"""Children that do one thing to a board and end, each waited for no longer than it may take.

For scripts that stay small and without threads, so that a fork costs a millisecond.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable

__all__ = ["eventually", "fork", "fresh", "told", "wait"]

BOUND_S = 20.0  # a child that takes longer hangs


def fork(operation: Callable[[], object]) -> int:
    """The pid of a child that does this and ends: with 0, or with 1 and a traceback."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            operation()
            code = 0
        finally:  # whatever it was, it must not go on as a second parent
            if code:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(code)
    return pid


def wait(pid: int, options: int = 0, bound_s: float = BOUND_S) -> int:
    """The wait status of a child. One that hangs is killed, and that is an error."""
    deadline = time.monotonic() + bound_s
    nap_s = 0.0002
    while True:
        found, status = os.waitpid(pid, options | os.WNOHANG)
        if found:
            return status
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise TimeoutError(f"a child was not done after {bound_s:g} s")
        time.sleep(nap_s)
        nap_s = min(nap_s * 1.5, 0.01)


def fresh(operation: Callable[[], object], bound_s: float = BOUND_S) -> None:
    """Do this in a process of its own, that nothing has happened to yet."""
    status = wait(fork(operation), bound_s=bound_s)
    if status:
        raise AssertionError(f"a fresh process ended with wait status {status}")


def eventually(look: Callable[[], object], what: str, bound_s: float = BOUND_S) -> None:
    """Wait until this is so. AssertionError saying `what` if it is not in time."""
    until = time.monotonic() + bound_s
    while not look():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def told(operation: Callable[[], str]) -> str:
    """What a process of its own answers: a line, short enough for a pipe."""
    reader, writer = os.pipe()
    try:
        fresh(lambda: os.write(writer, operation().encode()))
        os.set_blocking(reader, False)
        return os.read(reader, 4096).decode()
    finally:
        os.close(reader)
        os.close(writer)
