"""One watcher of snapshot files, and any number of listeners.

The watcher looks at the files when the kernel reports that one was written, and once a second anyway; if the kernel
does not report changes (a network file system, no watches left), it looks often. While nobody listens it notes only
how fast boards count. Everything runs in one event loop, except that a thread reads the files.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from typing import TYPE_CHECKING, Any

from headway.dashboard.changes import Bell
from headway.dashboard.encode import event
from headway.dashboard.state.boards import Boards
from headway.dashboard.state.looks import look
from headway.dashboard.state.places import Places
from headway.dashboard.stream import Reader

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Collection, Iterator


__all__ = ["Feed"]

log = logging.getLogger(__name__)

BEAT_S = 5.0
ALL_S = 1.0  # between two looks at all boards
EARLY_S = 0.3  # look this much earlier, together with a look that is due anyway, as each look delays the next one
POLL_S = 0.2  # where the kernel does not report changes
PACE_S = 0.1  # at least, between two looks
RETRY_MS = 2000


class Feed:
    """The boards below a directory, as they are now, and streams of their changes.

    packing, digging: locks, so that only one request at a time makes a large answer, or reads other files.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self.listeners = 0
        self.boards = Boards()
        self.places = Places(directory)
        self._epoch = secrets.token_hex(6)
        self._encoded: dict[tuple[Any, ...], Any] = {}
        self._watch: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # ------------------------------------------------------------------------------------------------------ the watch

    def start(self) -> None:
        """Begin to watch, if that has not begun. Call it first, in the event loop that serves."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # an application may be served again, in another loop
            self._loop, self._watch, self.listeners = loop, None, 0
            self._bell = Bell(self.places.roots)
            self._changed, self._listened = asyncio.Event(), asyncio.Event()
            self._looking, self.packing, self.digging = asyncio.Lock(), asyncio.Lock(), asyncio.Lock()
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._run(), name="headway-feed")

    async def stop(self) -> None:
        """End the watch: listeners get nothing more."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch

    async def _run(self) -> None:
        bell = asyncio.create_task(self._bell.run(), name="headway-feed-bell")
        all_due = 0.0
        names: set[str] = set()
        try:
            while True:
                began = time.monotonic()
                try:
                    early = EARLY_S if names else 0.0
                    if began >= all_due - early or not self._bell.rings:
                        all_due = began + ALL_S
                        await self.look()
                        self.boards.drop_unused()
                    elif names:
                        await self.look(names)
                except Exception:
                    log.exception("looking at the snapshots failed; trying again")
                await asyncio.sleep(max(0.0, began + PACE_S - time.monotonic()))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, all_due - time.monotonic())):
                        await self._listened.wait()
                        names = await self._bell.wait(None if self._bell.rings else POLL_S)
        finally:
            bell.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await bell

    async def look(self, names: Collection[str] | None = None, *, follow: bool = False) -> None:
        """Look at all boards, or at these (follow: also at their tasks), and publish what has changed."""
        async with self._looking:
            boards, revision = self.boards, self.boards.revision + 1
            begun = [one for name in names or () if follow and not (one := boards.follow(name)).born]
            found = await asyncio.to_thread(self.places.scan, names)
            wishes = [wish for one in found.values() if (wish := boards.wish(one, follow)) is not None]
            looks = await asyncio.to_thread(lambda: [look(wish, revision) for wish in wishes]) if wishes else []
            changed = [boards.take(one, revision) for one in looks]
            changed += [boards.take_silence(one, revision) for one in found.values()]
            gone = [name for name in (list(boards.known) if names is None else names) if name not in found]
            changed += [boards.forget(name, revision) for name in gone]
            changed.append(boards.take_problem(self.places.problem, revision))
            for followed in begun:
                followed.born = revision
            if any(changed) or begun or boards.revision == 0:
                boards.revision = revision
                self._encoded.clear()
                changed_event, self._changed = self._changed, asyncio.Event()
                changed_event.set()

    # ------------------------------------------------------------------------------------------------------ listeners

    @contextlib.contextmanager
    def listening(self, most: int) -> Iterator[bool]:
        """Count a listener, as long as the block lasts. False: there are `most` of them, and it is not counted."""
        self.start()
        if self.listeners >= most:
            yield False
            return
        self.listeners += 1
        self._listened.set()
        try:
            yield True
        finally:
            self.listeners -= 1
            if not self.listeners:
                self._listened.clear()

    async def events(self, name: str | None = None, last_id: str = "") -> AsyncIterator[bytes]:
        """Server-sent events for one client, for ever: of the list of boards, and of the tasks of the board `name`.

        last_id: of the last event that the client has. Use it within `listening`.
        """
        with self._following(name):
            await self.look()
            if name is not None:
                await self.look({name}, follow=True)
            reader = Reader(self.boards, self._encoded, self._epoch, name, last_id)
            yield b"retry: %d\n\n" % RETRY_MS
            while True:
                changed = self._changed  # taken first, so that nothing is missed between the two
                for chunk in reader.news():
                    yield chunk
                try:
                    async with asyncio.timeout(BEAT_S):
                        await changed.wait()
                except TimeoutError:
                    yield event(b"beat", b"{}")

    @contextlib.contextmanager
    def _following(self, name: str | None) -> Iterator[None]:
        followed = None if name is None else self.boards.follow(name)
        if followed is not None:
            followed.listeners += 1
        try:
            yield
        finally:
            if followed is not None:
                followed.listeners -= 1
                followed.used = time.monotonic()
