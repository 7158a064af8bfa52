"""What this process does when it ends, also in children of multiprocessing; and the exception that it ends with."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable
from types import FrameType

from headway.tasks.ending import ending

__all__ = ["at_exit", "uncaught"]

_armed: dict[Callable[[], object], int] = {}  # the process that each was last asked for in; 0 once it has run
_bootstrap: FrameType | None = None  # in a child of multiprocessing: the function that runs it


def at_exit(callback: Callable[[], object]) -> None:
    """Have callback() called once when this process ends, before those that were asked for earlier.

    It holds for the process that asks: a forked child asks again. Children of multiprocessing skip atexit under fork
    (before Python 3.13) and run both it and multiprocessing's finalizers under spawn, so both are used.
    """
    global _bootstrap
    armed = _armed.get(callback)
    if armed == os.getpid():
        return
    _armed[callback] = os.getpid()
    if armed is None:
        atexit.register(_call, callback)  # a child of os.fork inherits this
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, _call, (callback,), exitpriority=0)
        _bootstrap = _frame_of(process.BaseProcess._bootstrap)


def _call(callback: Callable[[], object]) -> None:
    if _armed.get(callback) == os.getpid():
        _armed[callback] = 0  # done: whichever of the two comes second does nothing
        callback()


def _frame_of(function: Callable[..., object]) -> FrameType | None:
    """The innermost call of this function that the main thread is in."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_code is not function.__code__:
        frame = frame.f_back
    return frame


def uncaught() -> BaseException | None:
    """The exception that ends this process, if one does: already reported, or on its way through multiprocessing.

    None for Ctrl-C and for an orderly exit. From Python 3.13 on, multiprocessing forgets the exception of a child
    before it runs finalizers: then it is a SystemExit with the exit code.
    """
    reported: BaseException | None = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    error = sys.exception() or reported
    if error is None and _bootstrap is not None:
        error = SystemExit(_bootstrap.f_locals.get("exitcode", 0))
    return None if error is None or ending(error)[0] != "failed" else error
