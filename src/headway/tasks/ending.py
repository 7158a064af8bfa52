"""How the exception that leaves a block or a loop ends its task. Shared by the engine and its stand-in."""

from __future__ import annotations

import contextlib
import os
import sys

__all__ = ["LEFT_AT_CLOSE", "LEFT_AT_EXIT", "LEFT_OPEN", "ending", "failure_text", "is_leaving", "leave"]

# Why a task was cancelled whose process left in good order, and left it open.
LEFT_AT_CLOSE = "left open at close"
LEFT_AT_EXIT = "left open at exit"
LEFT_OPEN = (LEFT_AT_CLOSE, LEFT_AT_EXIT)

_leaving = 0  # the pid of a process whose end has begun


def leave() -> None:
    """The end of this process has begun: Headway ends its tasks, while daemon threads of the program may go on."""
    global _leaving
    _leaving = os.getpid()


def is_leaving() -> bool:
    """Has the end of this process begun? Then a write to an ended task is no mistake of the program."""
    return _leaving == os.getpid()


def failure_text(error: BaseException) -> str:
    """ "Type: text" of an exception, or "Type" where it has no text."""
    text = ""
    with contextlib.suppress(Exception):  # a __str__ that fails must not keep the task from ending
        text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _is_cancellation(error: BaseException) -> bool:
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        return True
    # A module that was never imported cannot have raised; importing asyncio to ask would cost 40 ms.
    for module in ("asyncio", "concurrent.futures"):
        kind = getattr(sys.modules.get(module), "CancelledError", None)
        if kind is not None and isinstance(error, kind):
            return True
    return False


def ending(error: BaseException | None) -> tuple[str, str | None]:
    """The state in which a task ends when this exception leaves it, and the text to show as its error."""
    if error is None or (isinstance(error, SystemExit) and error.code in (0, None)):
        return "success", None
    return "cancelled" if _is_cancellation(error) else "failed", failure_text(error)
