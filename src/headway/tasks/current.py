"""Which task is the current one: of this context, of this process, or handed down by the process that started it."""

from __future__ import annotations

import contextlib
import os
import threading
from contextvars import ContextVar, Token
from typing import Any

from headway.system import workers

__all__ = [
    "VARIABLE",
    "board_handed_down",
    "enter",
    "from_environment",
    "hand_down_board",
    "handed_down",
    "inherit",
    "innermost",
    "is_inherited",
    "leave",
    "of_this_context",
    "put",
    "take_back",
    "to_environment",
]

VARIABLE = "HEADWAY_TASK"  # by which the programs that `headway exec` starts learn of their task

DIGITS_MOST = 20  # of a number in it

_KEY = "headway"
_BOARD_KEY = "headway.board"

_context: ContextVar[Any] = ContextVar("headway_task", default=None)
# (task, handle), innermost last: threads, which inherit no context, take the last. Replaced, never changed, as threads
# read it without a lock; replaced under _guard, with what the children are to be handed down.
_entered: tuple[tuple[Any, Any], ...] = ()
_guard = threading.RLock()  # a signal handler may enter a task, too
_inherited: tuple[int, Any] | None = None  # what the parent handed down, while a task of this process hides it
_from_parents: list[Any] = []  # tasks that were current when this process began: they end without its doing


def innermost() -> Any:
    """The task of the innermost block of this context, else of this process; None if there is none."""
    task = _context.get()
    if task is None and (entered := _entered):
        return entered[-1][0]
    return task


def of_this_context() -> Any:
    """The task of the innermost block of this context; None if there is none."""
    return _context.get()


def put(task: Any) -> Token[Any]:
    """Make a task the current one of this context only."""
    return _context.set(task)


def take_back(token: Token[Any]) -> None:
    """Undo `put`. In another context, or a second time, it does nothing."""
    try:
        _context.reset(token)
    except (ValueError, RuntimeError):
        return


def enter(task: Any, handle: Any) -> Token[Any]:
    """Make a task the current one: of this context, of threads that have none, and of children started from here on.

    handle: passed on to the children; None hides the handle that this process got from its own parent.
    """
    global _entered
    with _guard:
        _entered = (*_entered, (task, handle))
        _hand_down(handle)
    return _context.set(task)


def leave(task: Any, token: Token[Any] | None) -> None:
    """Undo `enter`, or as much of it as was done: token None where it was interrupted. Idempotent."""
    global _entered
    with _guard:
        for place in reversed(range(len(_entered))):
            if _entered[place][0] is task:
                _entered = _entered[:place] + _entered[place + 1 :]
                break
        if _entered:
            _hand_down(_entered[-1][1])
        else:
            _restore()
    if token is None:
        if _context.get() is task:
            _context.set(None)  # those below it stand in `_entered`
        return
    try:
        _context.reset(token)
    except ValueError:  # left in another context than entered, as a generator closed elsewhere does
        _context.set(None)
    except RuntimeError:  # it was done already
        return


# ----------------------------------------------------------------------------------- from parents to their children
#
# A Process object of multiprocessing carries a copy of its parent's `_config`, under every start method: that is how
# multiprocessing hands down its own settings. Ours is (pid of who wrote it, handle of the task). The libraries made
# from it do the same; one that is imported after a task was entered hands down the next one.


def _configs() -> list[dict[str, Any]]:
    # All have `_config`, which is not documented, and so not typed.
    return [library.current_process()._config for library in workers.loaded()]


def _hand_down(handle: Any) -> None:
    global _inherited
    with contextlib.suppress(ImportError, OSError):  # no descriptor left to import it with: it hands nothing down
        import multiprocessing.process  # noqa: F401 # so that it is loaded, whenever the program imports it itself
    for config in _configs():
        present = config.get(_KEY)
        if present is not None and present[0] != os.getpid():
            _inherited = present
        config[_KEY] = (os.getpid(), handle)


def _restore() -> None:
    """No task of this process is entered any more: children get what this process got itself."""
    for config in _configs():
        if _inherited is not None and _inherited[0] != os.getpid():
            config[_KEY] = _inherited
        else:
            config.pop(_KEY, None)


def handed_down() -> Any:
    """The handle that the parent handed down when multiprocessing started this process; None if it did not."""
    library = workers.library()
    present = None if library is None else library.current_process()._config.get(_KEY)
    return None if present is None else present[1]


def hand_down_board(name: str) -> None:
    """Have the children that multiprocessing starts from here on use this board where they are told of no other."""
    for config in _configs():
        config[_BOARD_KEY] = name


def board_handed_down() -> str | None:
    """The name of the board that the parent handed down when multiprocessing started this process, if it did."""
    library = workers.library()
    name: str | None = None if library is None else library.current_process()._config.get(_BOARD_KEY)
    return name


def to_environment(handle: tuple[str, str, int, int, str]) -> str:
    """The handle of a task as the value of a variable, for programs of any kind."""
    return " ".join(map(str, handle))


def from_environment() -> tuple[str, str, int, int, str] | None:
    """The handle in the environment of this process; None if there is none, or no legal one.

    Its task may have ended long ago: whoever takes it has to look.
    """
    parts = os.environ.get(VARIABLE, "").split(" ", 4)
    if len(parts) != len(("board", "uuid", "slot", "generation", "id")):
        return None
    board, uuid, slot, generation, id = parts
    if not (slot.isdecimal() and generation.isdecimal() and max(len(slot), len(generation)) <= DIGITS_MOST):
        return None
    return board, uuid, int(slot), int(generation), id


def inherit(task: Any, handle: Any) -> None:
    """Keep the task that was handed down: it is the current one of every thread that has entered none itself."""
    global _entered
    with _guard:
        _entered = ((task, handle), *_entered)
    _from_parents.append(task)


def is_inherited(task: Any) -> bool:
    """Did this process get the task from its parent, by a fork or by a handle?"""
    return any(one is task for one in _from_parents)


def _after_fork_in_child() -> None:
    """In a forked child, mark the tasks that the parent had entered as inherited."""
    global _guard
    _guard = threading.RLock()  # another thread of the parent may have held it
    task = _context.get()
    _from_parents.extend(one for one, _ in _entered)
    if task is not None:
        _from_parents.append(task)


os.register_at_fork(after_in_child=_after_fork_in_child)
