"""What a map sees of its workers: it gives them chunks, and waits for what comes of those."""

from __future__ import annotations

import signal
from typing import NamedTuple, Protocol

from headway.pools.work import Chunk, Part

__all__ = ["Answered", "Crew", "Died", "Event", "Refused", "Returned", "ended_by"]


class Answered(NamedTuple):
    """Some items of a chunk are done. chunk: these items."""

    chunk: Chunk
    part: Part


class Refused(NamedTuple):
    """These items could not be carried to a worker, or their results back."""

    chunk: Chunk
    error: BaseException
    counted: int = 0
    """How many of them the worker has counted."""
    last: bool = True
    """Whether the worker has nothing more to do."""


class Returned(NamedTuple):
    """There is no worker for these items after all."""

    chunk: Chunk


class Died(NamedTuple):
    """A worker has died."""

    pid: int
    exitcode: int | None
    """As of multiprocessing: negative for signals; None where nobody can know."""
    chunk: Chunk
    """What is left of its chunk."""
    in_hand: int
    """The place in `chunk` of the item that it had in hand; -1: none."""
    counted: int
    """How many items it has counted of which the results are lost."""


Event = Answered | Refused | Returned | Died


class Crew(Protocol):
    """Some workers. No method waits without end."""

    @property
    def size(self) -> int:
        """How many workers there are at most."""

    @property
    def longest(self) -> int:
        """How many items a chunk may have."""

    def has_room(self) -> bool:
        """Is there a worker that could take a chunk?"""

    def give(self, chunk: Chunk) -> None:
        """Have a worker do these items."""

    def wait(self, timeout_s: float) -> list[Event]:
        """What has happened; waits for something to happen, but no longer than this."""

    def end(self, patience_s: float) -> None:
        """End the workers. They take no further item; patience_s: how long they may go on with the one in hand."""


def ended_by(exitcode: int | None) -> str:
    """How a process ended, for people. exitcode: as of multiprocessing."""
    if exitcode is None:
        return "ended"
    if exitcode >= 0:
        return f"ended with exit code {exitcode}"
    try:
        return f"was killed by {signal.Signals(-exitcode).name}"
    except ValueError:  # a real-time signal
        return f"was killed by signal {-exitcode}"
