"""One map from its first item to its last: which items go to which worker, and what becomes of what comes back."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from headway import errors
from headway.pools.crew import Answered, Died, Returned, ended_by
from headway.pools.work import Chunk, Part, name_of
from headway.tasks.ending import failure_text
from headway.views.words import counted

if TYPE_CHECKING:
    from headway.bars.track import ShownLoop
    from headway.pools.crew import Crew, Event

__all__ = ["Mapping", "OnError", "Wishes"]

OnError = Literal["raise", "finish", "skip", "return"]

TICK_S = 0.1
CHUNK_S = 0.05  # how long a chunk of quick items should take
GROWTH = 4  # at most, from chunk to chunk
ROUNDS = 4  # as many chunks a worker are left to do at the end, so that none is waited for long
AHEAD = 8  # chunks a worker by which a lazy, ordered map may be ahead of what was taken from it
KEPT = 1000  # failures in the group that is raised

# How long workers may go on with what they have in hand.
LEAVE_S = 10.0  # nothing, at the end: they have to leave, which may take a while where they have exit handlers
FAILED_S = 2.0
INTERRUPTED_S = 0.0


class Wishes(NamedTuple):
    """What the caller wants."""

    on_error: OnError
    retries: int
    ordered: bool
    chunksize: int | None
    """None: as many items as take a twentieth of a second."""
    lazy: bool
    """Whether results are taken one by one: then a bounded number of them waits."""


class Mapping:
    """A map. items: of the function's only argument, or tuples of its arguments; loop: shows it, if any."""

    def __init__(
        self, crew: Crew, items: Iterator[Any], wishes: Wishes, loop: ShownLoop | None, total: int | None
    ) -> None:
        self._crew = crew
        self._items = items
        self._wishes = wishes
        self._loop = loop
        self._base = 0 if loop is None else loop.task.count
        self._total = total
        self._taken = 0  # items from the iterable
        self._done = 0  # items that need nothing more
        self._given = 0  # chunks that workers have
        self._size = 1 if wishes.chunksize is None else wishes.chunksize
        self._exhausted = False
        self._again: deque[Chunk] = deque()  # given back, or lost on the way
        self._deaths: dict[int, int] = {}  # of workers, by the number of the item that they had in hand
        self._results: dict[int, tuple[int, list[Any]]] = {}  # by the first of the items that they are of: how many
        self._next = 0  # the first item whose result was not handed out
        self._failures: list[BaseException] = []
        self._failed = self._told = 0
        self._tell_again = 0.0
        self._last = ""  # of the failures, for people
        self._deadly = 0  # workers that died

    def batches(self) -> Iterator[list[Any]]:
        """The results, some at a time. At the end, or when it is closed, the workers have ended."""
        patience_s = FAILED_S
        try:
            while True:
                for event in self._crew.wait(0.0 if self._has_results() else TICK_S):
                    self._handle(event)
                self._tick()
                self._give()
                while self._has_results():
                    yield self._pop()
                if self._exhausted and not self._given and not self._again and not self._results:
                    break
            patience_s = LEAVE_S
        except KeyboardInterrupt:
            patience_s = INTERRUPTED_S
            raise
        finally:
            self._crew.end(patience_s)
            self._reconcile()
        if self._failures:
            more = f", the first {KEPT} are" if self._failed > KEPT else ""
            raise BaseExceptionGroup(f"{self._failed} of {self._done} items failed{more}", self._failures)

    @property
    def far(self) -> str:
        """How far it is: "42/100"."""
        return counted(self._done, self._total)

    # ------------------------------------------------------------------------------------------------ what is to do

    def _give(self) -> None:
        while self._crew.has_room() and (chunk := self._chunk()) is not None:
            self._given += 1
            self._crew.give(chunk)

    def _chunk(self) -> Chunk | None:
        if self._again:
            return self._again.popleft()
        if self._exhausted or self._is_ahead():
            return None
        size = min(self._size, self._crew.longest)
        if self._total is not None and self._wishes.chunksize is None:
            left = max(self._total - self._taken, 0)
            size = max(min(size, left // (ROUNDS * self._crew.size)), 1)
        items = list(itertools.islice(self._items, size))
        first, self._taken = self._taken, self._taken + len(items)
        if len(items) < size:
            self._exhausted = True
            if self._total is None and self._loop is not None:
                self._total = self._taken
                with contextlib.suppress(errors.HeadwayError, OSError):
                    self._loop.task._set(total=self._taken)
        return Chunk(first, items) if items else None

    def _is_ahead(self) -> bool:
        """Do so many results wait to be taken that no more items are begun?"""
        if not self._wishes.lazy or not self._wishes.ordered:
            return False
        return self._taken - self._next >= AHEAD * self._crew.size * self._size

    def _one_by_one(self, chunk: Chunk) -> None:
        """Do these items again, or for the first time, each by itself."""
        for place, item in enumerate(chunk.items):
            self._again.append(Chunk(chunk.first + place, [item]))

    # -------------------------------------------------------------------------------------------- what has happened

    def _handle(self, event: Event) -> None:
        if isinstance(event, Answered):
            self._given -= event.part.last
            self._take(event.chunk, event.part)
        elif isinstance(event, Died):
            self._given -= 1
            self._lose(event)
        elif isinstance(event, Returned):
            self._given -= 1
            self._again.appendleft(event.chunk)
        else:
            self._given -= event.last
            self._refuse(event.chunk, event.error, event.counted)

    def _take(self, chunk: Chunk, part: Part) -> None:
        """Results have come. chunk: of which items."""
        results, failures = part.results, part.failures
        self._done += len(results) - len(failures)
        self._count(len(results) - len(failures) - part.counted)
        for place, error in failures:
            self._fail(chunk.first + place, chunk.items[place], error)
            results[place] = error
        if failures and self._wishes.on_error != "return":
            failed = {place for place, _ in failures}
            results = [result for place, result in enumerate(results) if place not in failed]
        self._results[chunk.first] = (len(chunk.items), results)
        if self._wishes.chunksize is None:
            fitting = CHUNK_S * len(chunk.items) / max(part.seconds, 1e-9)
            self._size = max(int(min(fitting, self._size * GROWTH, self._crew.longest)), 1)

    def _refuse(self, chunk: Chunk, error: BaseException, counted: int) -> None:
        """Items could not be carried to a worker, or their results back."""
        if len(chunk.items) == 1:
            self._take(chunk, Part([None], [(0, error)], counted, 1.0, True))
        else:  # nothing tells which of them it was
            self._count(-counted)
            self._one_by_one(chunk)

    def _lose(self, death: Died) -> None:
        """A worker has died. The item that it had in hand may be to blame, the others are not."""
        chunk, in_hand = death.chunk, death.in_hand
        self._deadly += 1
        self._count(-death.counted)
        if not 0 <= in_hand < len(chunk.items):
            if len(chunk.items) > 1:
                self._one_by_one(chunk)
                return
            in_hand = 0
        for part in (slice(in_hand), slice(in_hand + 1, None)):
            if rest := chunk.items[part]:
                self._again.append(Chunk(chunk.first + (part.start or 0), rest))
        number, item = chunk.first + in_hand, chunk.items[in_hand]
        one = Chunk(number, [item])
        deaths = self._deaths[number] = self._deaths.get(number, 0) + 1
        if deaths <= self._wishes.retries:
            self._again.append(one)
            return
        name = name_of(item, number + 1)
        often = f", as {deaths - 1} before it" if deaths > 1 else ""
        told = f"the worker (pid {death.pid}) that had item {name} in hand {ended_by(death.exitcode)}{often}"
        self._take(one, Part([None], [(0, errors.WorkerDied(told, name, death.exitcode))], 0, 1.0, True))

    def _fail(self, number: int, item: Any, error: BaseException) -> None:
        name = name_of(item, number + 1)
        self._failed += 1
        self._last = f"{name}: {failure_text(error)}"
        if not isinstance(error, errors.WorkerDied):
            error.add_note(f"headway: item {name}")
        if self._wishes.on_error == "raise":
            raise error
        self._done += 1
        self._count(1)
        if self._wishes.on_error == "finish" and len(self._failures) < KEPT:
            self._failures.append(error)

    # ------------------------------------------------------------------------------------------------- what it shows

    def _count(self, items: int) -> None:
        if items and self._loop is not None:
            self._loop.task.update(items)

    def _tick(self) -> None:
        if self._loop is not None:
            self._loop.tick()
            if self._failed != self._told and (now := time.monotonic()) >= self._tell_again:
                self._tell_again = now + TICK_S
                self._tell()

    def _tell(self) -> None:
        """Say how many items have failed."""
        if self._loop is not None and self._failed != self._told:
            self._told = self._failed
            with contextlib.suppress(errors.HeadwayError, OSError):
                self._loop.task.set(message=f"{self._failed} failed, at last {self._last}")

    def _reconcile(self) -> None:
        """A worker that is killed between a count and the note of it leaves them one apart."""
        self._tell()
        if self._loop is None or not self._deadly:
            return
        with contextlib.suppress(errors.HeadwayError, OSError):
            missing = self._base + self._done - self._loop.task.count
            if abs(missing) <= self._deadly:
                self._count(missing)

    # --------------------------------------------------------------------------------------------- what is handed out

    def _has_results(self) -> bool:
        return self._next in self._results if self._wishes.ordered else bool(self._results)

    def _pop(self) -> list[Any]:
        number, results = self._results.pop(self._next if self._wishes.ordered else next(iter(self._results)))
        self._next += number
        return results
