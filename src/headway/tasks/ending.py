"""How the exception that leaves a block or a loop ends its task. Shared by the engine and its stand-in."""

from __future__ import annotations

import contextlib
import sys

__all__ = ["LEFT_AT_CLOSE", "LEFT_AT_EXIT", "LEFT_OPEN", "ending", "failure_text"]

# Why a task was cancelled whose process left in good order, and left it open.
LEFT_AT_CLOSE = "left open at close"
LEFT_AT_EXIT = "left open at exit"
LEFT_OPEN = (LEFT_AT_CLOSE, LEFT_AT_EXIT)


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
