"""Checks of all arguments of boards and tasks, and their error messages: the value, the place, the remedy.

The native code has the same checks, for speed; a test compares its limits and messages with these. Works without the
native modules.
"""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Mapping
from typing import Any

from headway import errors

__all__ = [
    "CAPACITY_MAX",
    "COUNT_LIMIT",
    "ERROR_BYTES",
    "ID_BYTES",
    "LABEL_BYTES",
    "LOOPS",
    "MESSAGE_BYTES",
    "METRICS",
    "METRIC_BYTES",
    "NEVER_NS",
    "RESULT_BYTES_MAX",
    "STAGES",
    "STAGE_BYTES",
    "TOTAL_MOST",
    "UNIT_BYTES",
    "WORKERS_MAX",
    "board_closed",
    "board_full",
    "board_geometry",
    "check_count",
    "check_history",
    "check_id",
    "check_interval",
    "check_metrics",
    "check_name",
    "check_stall_after",
    "check_state",
    "check_task",
    "check_text",
    "check_total",
    "count_out_of_range",
    "cut",
    "differences",
    "entered_twice",
    "is_number",
    "result_too_large",
    "task_ended",
    "task_exists",
    "task_gone",
    "too_many_metrics",
    "unknown_task",
    "whole",
]

# Bytes of UTF-8, as the segment has room for.
ID_BYTES = 95
LABEL_BYTES = 95
UNIT_BYTES = 15
STAGE_BYTES = 47
MESSAGE_BYTES = 191
ERROR_BYTES = 191
METRIC_BYTES = 23

METRICS = 8  # of a task
STAGES = 15  # the last ones of a task's timeline are kept
COUNT_LIMIT = 1 << 47  # counts are below it
TOTAL_MOST = (1 << 63) - 1
CAPACITY_MAX = 1 << 20  # tasks
WORKERS_MAX = 1 << 16  # processes
NEVER_NS = (1 << 63) - 1  # as stall_after: the task is never called stalled
RESULT_BYTES_MAX = 1 << 20

_ELLIPSIS = "…".encode()
_GEOMETRY = {"capacity": (1, CAPACITY_MAX, 1024), "workers": (1, WORKERS_MAX, 1024)}
_GEOMETRY["result_bytes"] = (0, RESULT_BYTES_MAX, 2048)
# Of a segment that is made for loops of headway.track alone: less than 1 MiB, with results as long as on any board.
LOOPS = {"capacity": 96, "workers": 256}


# -------------------------------------------------------------------------------------------------------------- texts


def _not_a_str(value: object, what: str) -> TypeError:
    return TypeError(f"{what} must be a str, not {value!r:.60} ({type(value).__name__})")


def check_text(text: Any, what: str) -> str:
    """Return a text for people: any str; `cut` says how much of it is kept. Raises TypeError."""
    if not isinstance(text, str):
        raise _not_a_str(text, what)
    return text


def _check_key(key: Any, most: int, what: str) -> str:
    """Return a text that identifies something: it is never cut, so it has to fit. Raises TypeError, ValueError."""
    if not isinstance(key, str):
        raise _not_a_str(key, what)
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{what} {key!r} is not valid Unicode: give it without lone surrogates") from None
    if size == 0:
        raise ValueError(f"{what} is empty: give it 1 to {most} bytes of UTF-8")
    if "\0" in key:
        raise ValueError(f"{what} {key!r} contains a NUL character: leave it out")
    if size > most:
        raise ValueError(f"{what} {key!r} has {size} bytes of UTF-8: shorten it to {most}")
    return key


def check_id(id: Any) -> str:
    """Return an id of a task: 1 to 95 bytes of UTF-8 without NUL. Raises TypeError, ValueError."""
    return _check_key(id, ID_BYTES, "task id")


def check_name(name: Any) -> str:
    """Return the name of a part of a task; what it makes of the id is checked by `check_id`. Raises TypeError."""
    return check_text(name, "task name")


def cut(text: str, most: int) -> str:
    """What is kept of a text for people in `most` bytes: cut at a character, with an ellipsis; NUL becomes a space."""
    raw = text.encode("utf-8", "replace").replace(b"\0", b" ")
    if len(raw) > most:
        raw = raw[: most - len(_ELLIPSIS)].decode("utf-8", "ignore").encode() + _ELLIPSIS
    return raw.decode("utf-8", "replace")


# ------------------------------------------------------------------------------------------------------------ numbers


def whole(value: Any, what: str, remedy: str) -> int:
    """Return a whole number: an int, what stands for one, or a float without a fraction. Raises TypeError."""
    try:
        return operator.index(value)
    except TypeError:
        with contextlib.suppress(AttributeError, TypeError):  # not a number; or a class, which has only the method
            if value.is_integer():
                return int(value)
    raise TypeError(f"{what} {value!r:.60} is not a whole number: {remedy}")


def check_total(total: Any) -> int | None:
    """Return a total: None, or a whole number that the layout has room for. Raises TypeError, ValueError."""
    if total is None:
        return None
    number = whole(total, "total", f"give 0 to {TOTAL_MOST}, or None if it is unknown")
    if not 0 <= number <= TOTAL_MOST:
        raise ValueError(f"total {number} is out of range: give 0 to {TOTAL_MOST}, or None if it is unknown")
    return number


def check_count(count: Any) -> int:
    """Return a count that a task may be set to. Raises TypeError, ValueError."""
    number = whole(count, "count", f"give 0 to {COUNT_LIMIT - 1}")
    if not 0 <= number < COUNT_LIMIT:
        raise ValueError(f"count {number} is out of range: give 0 to {COUNT_LIMIT - 1}")
    return number


def check_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics as floats by name, at most 8. Raises TypeError, ValueError."""
    if not hasattr(metrics, "items"):
        raise TypeError(f"metrics must be a dict of floats by name, not {metrics!r:.60} ({type(metrics).__name__})")
    if len(metrics) > METRICS:
        raise ValueError(f"{len(metrics)} metrics are too many: a task has {METRICS}")
    found = {}
    for name, value in metrics.items():
        _check_key(name, METRIC_BYTES, "metric name")
        try:
            found[name] = float(value)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(f"metric {name!r} must be a number, not {value!r:.60} ({type(value).__name__})") from None
    return found


def too_many_metrics(id: str) -> ValueError:
    """The error for metrics that would be more than 8 together with those that the task has."""
    return ValueError(f"task {id!r} has {METRICS} metrics already: reuse their names")


def is_number(value: Any) -> bool:
    """Can it be compared with numbers? NumPy's can."""
    try:
        value >= 0  # noqa: B015 - only to see whether it can be
    except TypeError:
        return False
    return True


def check_history(hours: Any, limit: Any) -> None:
    """Check how much of a history is asked for. Raises TypeError, ValueError."""
    for what, value, unit in (("hours", hours, "hours"), ("limit", limit, "tasks")):
        if value is not None and not is_number(value):
            raise TypeError(f"{what} must be a number of {unit}, not {value!r:.60} ({type(value).__name__})")
        if value is not None and not value >= 0:
            raise ValueError(f"{what} {value!r} is not a number of {unit}: give 0 or more")


def check_interval(interval: float) -> float:
    """Return a time between two looks at a board, in seconds. Raises TypeError, ValueError."""
    if not is_number(interval):
        raise TypeError(f"interval must be a number of seconds, not {interval!r:.60} ({type(interval).__name__})")
    if not interval > 0:
        raise ValueError(f"interval {interval!r} is not a positive number of seconds")
    return interval


def check_stall_after(seconds: Any) -> int:
    """Return after how long a task is stalled, in nanoseconds: 0 for None, `NEVER_NS` for more than 292 years.

    Raises TypeError, ValueError.
    """
    if seconds is None:
        return 0
    remedy = "give a positive number, math.inf for never, or None for the rhythm of the task"
    try:
        if isinstance(seconds, bool) or not is_number(seconds):
            raise TypeError
        ns = min(float(seconds) * 1e9, math.inf)
    except OverflowError:  # an int that no float has room for
        ns = math.inf if seconds > 0 else 0.0
    except (TypeError, ValueError):
        raise TypeError(
            f"stall_after must be a number of seconds, not {seconds!r:.60} ({type(seconds).__name__}): {remedy}"
        ) from None
    if not ns > 0:
        raise ValueError(f"stall_after {seconds!r:.60} is not a positive number of seconds: {remedy}")
    return max(1, int(ns)) if ns < NEVER_NS else NEVER_NS


def check_state(state: str, states: tuple[str, ...]) -> str:
    """Return a state that tasks can be in. Raises ValueError."""
    if state not in states:
        raise ValueError(f"state {state!r} is unknown: choose one of {', '.join(states)}")
    return state


def board_geometry(**given: int | None) -> dict[str, int]:
    """Return capacity, workers and result_bytes of a new board; None: the default. Raises ValueError."""
    found = {}
    for what, (least, most, default) in _GEOMETRY.items():
        value = given.get(what)
        if value is None:
            value = default
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{what} {value!r} is out of range: give an int from {least} to {most}")
        found[what] = value
    return found


def differences(name: str, present: Mapping[str, int], given: Mapping[str, int | None]) -> str | None:
    """The warning for a program that opens an existing board with other sizes; None if they do not differ.

    given: by name, None where the caller said nothing.
    """
    other = [what for what, value in given.items() if value is not None and value != present[what]]
    if not other:
        return None
    has = " and ".join(f"{what} {present[what]}" for what in other)
    asked = ", ".join(f"{what}={given[what]}" for what in other)
    return f"board {name!r} is there already, with {has}: {asked} has no effect; remove the board to change it"


def check_task(id: Any, total: Any, unit: Any, label: Any) -> int | None:
    """Check what a new task is made of. Returns the total. Raises TypeError, ValueError."""
    check_id(id)
    check_text(unit, "unit")
    check_text(label, "label")
    return check_total(total)


# ---------------------------------------------------------------------------- errors of the engine and of its stand-in


def task_exists(id: str, board: str) -> errors.TaskExists:
    """The error for a task that goes on, and is owned by this process."""
    return errors.TaskExists(
        f"task {id!r} is running on board {board!r}, owned by this process: cancel() it, choose another id, or join it "
        f"with board.task({id!r}, join=True)"
    )


def task_ended(id: str, state: str) -> errors.HeadwayError:
    """The error for a task that has ended and can no longer be owned."""
    return errors.HeadwayError(
        f"task {id!r} has ended ({state}): start it anew with board.task({id!r}), or go on with "
        f"board.task({id!r}, resume=True)"
    )


def entered_twice(id: str) -> errors.HeadwayError:
    """The error for a handle that is in a `with` block already."""
    return errors.HeadwayError(f"task {id!r} was entered already: use one 'with' for it")


def unknown_task(id: str, board: str) -> errors.UnknownTask:
    """The error for an id that is on no board."""
    return errors.UnknownTask(f"board {board!r} has no task {id!r}: create it with board.task({id!r})")


def task_gone(id: str, board: str) -> errors.UnknownTask:
    """The error for a handle whose task gave its place to another one."""
    return errors.UnknownTask(
        f"task {id!r} is no longer on board {board!r}: it ended, and its slot was given to another task"
    )


def board_closed(board: str) -> errors.BoardClosed:
    """The error for a board that this process has closed."""
    return errors.BoardClosed(f"board {board!r} was closed in this process: open it again with headway.open({board!r})")


def board_full(board: str, capacity: int) -> errors.BoardFull:
    """The error for a board on which nothing has ended."""
    remedy = "remove the board and open it with a larger capacity"
    if capacity == LOOPS["capacity"]:
        remedy = "open the board before the first loop: a loop of headway.track that came first made it so small"
    return errors.BoardFull(
        f"board {board!r} has {capacity} slots and all hold tasks that have not ended: end some, or {remedy}"
    )


def count_out_of_range(id: str, n: int) -> OverflowError:
    """The error for an update beyond 48 bits."""
    return OverflowError(f"task {id!r}: adding {n} would take its count out of range (±{COUNT_LIMIT - 1} a process)")


def result_too_large(id: str, size: int, room: int) -> errors.ResultTooLarge:
    """The error for a result that is longer than the board has room for."""
    return errors.ResultTooLarge(
        f"the result of task {id!r} has {size} bytes of JSON, its place {room}: make it smaller, or write it to a file "
        f"and store its name; the old result is kept"
    )
