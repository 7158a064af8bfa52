"""Workers of a map that are threads of the program, and the program itself as the only worker."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Any

from headway.pools.crew import Answered, Event
from headway.pools.work import STOP, WORDS, Chunk, Job, Part, perform
from headway.tasks import current

__all__ = ["Here", "Threads"]

LONGEST = 4096


class Threads:
    """Threads. They cannot be ended: who does not wait for them leaves them with the item that they have in hand."""

    longest = LONGEST

    def __init__(
        self, size: int, job: Job, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]
    ) -> None:
        self.size = size
        self._job = job
        self._busy = 0
        self._journal = [0] * WORDS  # of all: only STOP is looked at
        self._said: SimpleQueue[Event | BaseException] = SimpleQueue()
        around = current.of_this_context()

        def begin() -> None:
            current.put(around)
            if initializer is not None:
                try:
                    initializer(*initargs)
                except BaseException as error:
                    self._said.put(error)

        self._pool = ThreadPoolExecutor(size, thread_name_prefix="headway", initializer=begin)

    def has_room(self) -> bool:
        return self._busy < self.size

    def give(self, chunk: Chunk) -> None:
        self._busy += 1
        self._pool.submit(self._perform, chunk)

    def _perform(self, chunk: Chunk) -> None:
        done = 0

        def send(part: Part) -> None:
            nonlocal done
            here = slice(done, done + len(part.results))
            self._said.put(Answered(Chunk(chunk.first + done, chunk.items[here]), part))
            done = here.stop

        try:
            perform(self._job, chunk, send, self._journal)
        except BaseException as error:  # no failure of an item, those are in a part: nobody else would hear of it
            self._said.put(error)

    def wait(self, timeout_s: float) -> list[Event]:
        """As Crew.wait. Raises what the initializer raised, and what keeps a thread from its work, no memory say."""
        found: list[Event] = []
        try:
            while True:
                said = self._said.get(timeout=0 if found else timeout_s)
                if isinstance(said, BaseException):
                    raise said
                found.append(said)
                self._busy -= isinstance(said, Answered) and said.part.last
        except Empty:
            return found

    def end(self, patience_s: float) -> None:
        self._journal[STOP] = 1
        self._pool.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + patience_s
        while self._busy and time.monotonic() < deadline:
            with contextlib.suppress(Exception):  # as of an initializer, after another one
                self.wait(0.05)


class Here:
    """No worker but the program itself: for a debugger, and where there can be no others."""

    size = 1
    longest = 1

    def __init__(self, job: Job, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> None:
        self._job = job
        self._done: list[Event] = []
        if initializer is not None:
            initializer(*initargs)

    def has_room(self) -> bool:
        return not self._done

    def give(self, chunk: Chunk) -> None:
        def send(part: Part) -> None:
            self._done.append(Answered(chunk, part))

        perform(self._job, chunk, send, [0] * WORDS, Exception)  # Ctrl-C is for the program

    def wait(self, timeout_s: float) -> list[Event]:  # noqa: ARG002 - there is nothing to wait for
        done, self._done = self._done, []
        return done

    def end(self, patience_s: float) -> None:  # noqa: ARG002 - nor to end
        return
