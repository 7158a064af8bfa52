"""Callbacks for the end of this process, also in children of multiprocessing; and the exception that ended it."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Callable
from types import FrameType

from headway import errors
from headway.system import workers
from headway.tasks.ending import ending, leave

__all__ = ["at_exit", "leave_at_once", "uncaught"]

LAST = -(1 << 30)  # exit priority of a finalizer of multiprocessing: after those of the program

_armed: dict[Callable[[], object], int] = {}  # the pid in which each was last registered
_registered = False  # does atexit hold a _Last?
_bootstrap: FrameType | None = None  # in a child of multiprocessing: the function that runs it


class _Last:
    """Calls what was registered when atexit forgets it.

    Only atexit has it. It runs the handlers, those of the program, too, the latest first, and forgets them then, while
    the interpreter is still whole. So whatever a handler of the program counts or ends still counts, also if it was
    registered before Headway was imported.
    """

    def __call__(self) -> None:
        """As a handler it does nothing: others are still to come."""

    def __del__(self) -> None:
        global _registered
        _registered = False
        _call_all()


def at_exit(callback: Callable[[], object]) -> None:
    """Register callback() to be called once when this process ends, before callbacks that were registered earlier.

    They are called after the exit handlers of the program. It holds for this process only: a forked child registers
    again. Children of multiprocessing, and of the libraries made from it, skip atexit under fork (before Python 3.13),
    and under spawn they run both atexit and multiprocessing's finalizers; so both are used.
    """
    global _bootstrap, _registered
    if _armed.get(callback) == os.getpid():
        return
    _armed.pop(callback, None)  # it is the latest now
    is_first = os.getpid() not in _armed.values()
    _armed[callback] = os.getpid()
    if not _registered:
        _registered = True
        atexit.register(_Last())  # a child of os.fork inherits the registration
    library = workers.library()
    if library is not None and is_first:
        util = importlib.import_module(library.__name__.replace(".process", ".util"))
        util.Finalize(None, _call_all, exitpriority=LAST)
        _bootstrap = _frame_of(type(library.current_process())._bootstrap)


def leave_at_once() -> None:
    """Do now what is to be done at the end of this process, which is about to end itself by a signal."""
    _call_all()


def _call_all() -> None:
    """Call each callback, the latest first. What one raises is printed, and the next one is called."""
    mine = [callback for callback, pid in reversed(list(_armed.items())) if pid == os.getpid()]
    if mine:  # else a forked child forgets what its parent registered, as multiprocessing has it do from Python 3.13 on
        leave()
    for callback in mine:
        if _armed.pop(callback, None) is not None:  # the second of the two calls does nothing
            try:
                callback()
            except (errors.HeadwayError, OSError, ImportError, MemoryError):
                # Without descriptors or memory nothing can be written; the kernel takes back what this process holds.
                continue
            except BaseException as error:  # noqa: BLE001 - nobody could catch it
                with contextlib.suppress(BaseException):  # standard error is closed; a hook of the program ends it
                    sys.excepthook(type(error), error, error.__traceback__)
    if mine and isinstance(_reported(), KeyboardInterrupt):
        _remember_interrupt()


def _remember_interrupt() -> None:
    """Have the process end by SIGINT all the same, as it was ended by Ctrl-C.

    Python notes that of the last text that it ran, and forgets it when a callback imports a module with a dataclass.
    """
    with contextlib.suppress(KeyboardInterrupt):
        exec("raise KeyboardInterrupt")


def _frame_of(function: Callable[..., object]) -> FrameType | None:
    """The frame of the innermost running call of this function in the main thread, or None."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_code is not function.__code__:
        frame = frame.f_back
    return frame


def _reported() -> BaseException | None:
    """The exception that ended the program, as it was printed."""
    found: BaseException | None = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return found


def uncaught() -> BaseException | None:
    """The exception that ends this process, if any: one that was reported, or one that multiprocessing is handling.

    None for Ctrl-C and for a normal exit. From Python 3.13 on, multiprocessing has dropped the exception of a child by
    the time it runs finalizers: then this is a SystemExit with the exit code.
    """
    error = sys.exception() or _reported()
    if error is None and _bootstrap is not None:
        error = SystemExit(_bootstrap.f_locals.get("exitcode", 0))
    return None if error is None or ending(error)[0] != "failed" else error
