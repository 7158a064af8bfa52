"""Callbacks for the end of this process, also in children of multiprocessing; and the exception that ended it."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable
from types import FrameType

from headway.tasks.ending import ending

__all__ = ["at_exit", "uncaught"]

_armed: dict[Callable[[], object], int] = {}  # the pid in which each was last registered; 0 once it has run
_bootstrap: FrameType | None = None  # in a child of multiprocessing: the function that runs it


def at_exit(callback: Callable[[], object]) -> None:
    """Register callback() to be called once when this process ends, before callbacks that were registered earlier.

    It holds for this process only: a forked child registers again. Children of multiprocessing skip atexit under fork
    (before Python 3.13), and under spawn they run both atexit and multiprocessing's finalizers; so both are used.
    """
    global _bootstrap
    armed = _armed.get(callback)
    if armed == os.getpid():
        return
    _armed[callback] = os.getpid()
    if armed is None:
        atexit.register(_call, callback)  # a child of os.fork inherits the registration
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, _call, (callback,), exitpriority=0)
        _bootstrap = _frame_of(process.BaseProcess._bootstrap)


def _call(callback: Callable[[], object]) -> None:
    if _armed.get(callback) == os.getpid():
        _armed[callback] = 0  # done: the second of the two calls does nothing
        callback()


def _frame_of(function: Callable[..., object]) -> FrameType | None:
    """The frame of the innermost running call of this function in the main thread, or None."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_code is not function.__code__:
        frame = frame.f_back
    return frame


def uncaught() -> BaseException | None:
    """The exception that ends this process, if any: one that was reported, or one that multiprocessing is handling.

    None for Ctrl-C and for a normal exit. From Python 3.13 on, multiprocessing has dropped the exception of a child by
    the time it runs finalizers: then this is a SystemExit with the exit code.
    """
    reported: BaseException | None = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    error = sys.exception() or reported
    if error is None and _bootstrap is not None:
        error = SystemExit(_bootstrap.f_locals.get("exitcode", 0))
    return None if error is None or ending(error)[0] != "failed" else error
