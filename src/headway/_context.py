"""Which task is the current one: of this context, of this process, or handed down by the process that started it."""

from __future__ import annotations

import sys
from contextvars import ContextVar, Token
from typing import Any

__all__ = ["enter", "hand_down", "handed_down", "innermost", "leave", "put"]

_context: ContextVar[Any] = ContextVar("headway_task", default=None)
_entered: list[Any] = []  # innermost last: what threads, which inherit no context, take for the current task


def innermost() -> Any:
    """The task of the innermost block of this context, else of this process; None if there is none."""
    task = _context.get()
    if task is None and _entered:
        return _entered[-1]
    return task


def put(task: Any) -> Token[Any]:
    """Make a task the current one of this context only."""
    return _context.set(task)


def enter(task: Any) -> Token[Any]:
    """Make a task the current one of this context, and of the threads that have none."""
    _entered.append(task)
    return _context.set(task)


def leave(task: Any, token: Token[Any] | None) -> Any:
    """Undo `enter`. Returns the task that is the current one of the process now, or None."""
    if task in _entered:
        _entered.remove(task)
    if token is not None:
        try:
            _context.reset(token)
        except ValueError:  # left in another context than entered, as a generator closed elsewhere does
            _context.set(None)
    return _entered[-1] if _entered else None


def hand_down(handle: tuple[Any, ...] | None) -> None:
    """Have children that multiprocessing starts from here on inherit the current task, under every start method.

    Its Process objects carry a copy of the parent's _config, which is how multiprocessing hands down its own settings.
    """
    from multiprocessing.process import current_process

    config: dict[str, Any] = current_process()._config  # type: ignore[attr-defined]
    if handle is None:
        config.pop("headway", None)
    else:
        config["headway"] = handle


def handed_down() -> tuple[Any, ...] | None:
    """What the parent handed down when multiprocessing started this process."""
    process = sys.modules.get("multiprocessing.process")
    if process is None:
        return None
    handle: tuple[Any, ...] | None = process.current_process()._config.get("headway")
    return handle
