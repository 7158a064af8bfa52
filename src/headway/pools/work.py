"""What a worker does with a chunk of items, whether it is a process or a thread."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, MutableSequence, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

from headway.tasks import checks, counting

if TYPE_CHECKING:
    from headway.engine.task import Task

__all__ = [
    "COUNTED",
    "IN_HAND",
    "STOP",
    "WORDS",
    "Chunk",
    "Job",
    "Part",
    "call_name",
    "end",
    "is_ending",
    "name_of",
    "perform",
]

# The words of a journal, which the parent reads when a worker has died.
IN_HAND = 0  # the place of the item in hand in its chunk, from 1 on; 0 = none
COUNTED = 1  # how many items this worker has counted, ever
STOP = 2  # not 0: take no further item. The parent writes it
WORDS = 3

ITEM_BYTES = 47  # of a name are shown
SEND_S = 0.05  # what was done is sent on this often: results of slow items come one by one

_NOTHING: AbstractContextManager[Any] = contextlib.nullcontext()
_ending = False  # this process was told to end


class Job(NamedTuple):
    """What all chunks of a map have in common."""

    function: Callable[..., Any]
    starred: bool
    """Whether an item is a tuple of arguments."""
    task: Task | None
    """Where workers count; None: the parent does."""


class Chunk(NamedTuple):
    """Some items that follow each other. first: the number of the first one, from 0."""

    first: int
    items: Sequence[Any]


class Part(NamedTuple):
    """What came of some items of a chunk that follow each other."""

    results: list[Any]
    """None in the place of a failure."""
    failures: list[tuple[int, BaseException]]
    """Their places in `results`."""
    counted: int
    """How many of them the worker has counted."""
    seconds: float
    """How long they took."""
    last: bool
    """Whether the chunk is done."""


def perform(
    job: Job,
    chunk: Chunk,
    send: Callable[[Part], object],
    journal: MutableSequence[int],
    caught: type[BaseException] = BaseException,
) -> None:
    """Call the function for each item, and send what came of it: now and then, and at the end of the chunk.

    caught: exceptions that are failures of an item; others are raised.
    """
    function, starred, task = job
    results: list[Any] = []
    failures: list[tuple[int, BaseException]] = []
    block = _NOTHING
    in_hand = None if task is None else _item_block()
    counts, counted = 0, journal[COUNTED]
    sent = time.monotonic()
    left = len(chunk.items)
    for place, item in enumerate(chunk.items, 1):
        if journal[STOP]:
            return
        journal[IN_HAND] = place
        try:
            if in_hand is not None:
                block = in_hand(task, item, None, chunk.first + place)
            with block:
                found = function(*item) if starred else function(item)
        except caught as error:
            if _ending:
                raise
            failures.append((len(results), error))
            results.append(None)
        else:
            results.append(found)
            found = None
            if in_hand is not None:
                counts += 1
                journal[COUNTED] = counted = counted + 1
        left -= 1
        now = time.monotonic()
        if not left or now - sent >= SEND_S:
            send(Part(results, failures, counts, now - sent, not left))
            results, failures, counts, sent = [], [], 0, time.monotonic()
    journal[IN_HAND] = 0


def _item_block() -> Callable[..., AbstractContextManager[Any]]:
    from headway.native.core import ItemBlock

    return ItemBlock


def name_of(item: object, ordinal: int) -> str:
    """What people call an item: what the board shows of it. ordinal: its number, from 1."""
    name = None
    with contextlib.suppress(ImportError):  # there are no native modules
        from headway.native.core import item_name

        name = item_name(item)
    return f"#{ordinal}" if name is None else name


def call_name(function: Callable[..., Any], arguments: tuple[Any, ...]) -> str:
    """What people call a call that a task counts: what the board shows of it."""
    name = counting.function_name(function)
    with contextlib.suppress(ImportError):
        from headway.native.core import item_name

        if (named := item_name(arguments)) is not None:
            name = f"{name}({named})"
    return checks.cut(name, ITEM_BYTES)


def is_ending() -> bool:
    """Was this process told to end?"""
    return _ending


def end() -> None:
    """This process was told to end: an exception in an item is that end, and no failure of the item."""
    global _ending
    _ending = True
