"""How this process ends, and what is to be done then: in the children of multiprocessing, too."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable
from types import FrameType

from headway.tasks.ending import ending

__all__ = ["at_exit", "uncaught"]

_armed: dict[Callable[[], object], int] = {}  # in which process each was asked for last
_bootstrap: FrameType | None = None  # in a child of multiprocessing: the function that runs it


def at_exit(callback: Callable[[], object]) -> None:
    """Have callback() called once when this process ends, before those that were asked for earlier.

    Children of multiprocessing skip atexit (before Python 3.13); there its own finalizers run, which it clears in a new
    child. So ask again in each process.
    """
    global _bootstrap
    armed = _armed.get(callback)
    if armed == os.getpid():
        return
    _armed[callback] = os.getpid()
    if armed is None:
        atexit.register(callback)  # what os.fork makes has it from its parent
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, callback, exitpriority=0)
        _bootstrap = _frame_of(process.BaseProcess._bootstrap)


def _frame_of(function: Callable[..., object]) -> FrameType | None:
    """The innermost call of this function that the main thread is in."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_code is not function.__code__:
        frame = frame.f_back
    return frame


def uncaught() -> BaseException | None:
    """The exception that ends this process, if one does: reported already, or on its way through multiprocessing.

    Ctrl-C and an exit in good order are none. From Python 3.13 on, multiprocessing has forgotten the exception of a
    child before it runs finalizers; what can be told then is its exit code.
    """
    reported: BaseException | None = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    error = sys.exception() or reported
    if error is None and _bootstrap is not None:
        error = SystemExit(_bootstrap.f_locals.get("exitcode", 0))
    return None if error is None or ending(error)[0] != "failed" else error
