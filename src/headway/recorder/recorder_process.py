"""The main function of a recorder process, which headway.process.launch starts.

It records the board for which it was started, and all that come to it at the address of their directory, until nobody
uses any of them.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from headway import errors
from headway.engine import segments
from headway.process import address
from headway.process.launch import LISTENING, pass_on
from headway.recorder import old_loops, orphans
from headway.recorder.desk import Desk
from headway.recorder.recorder import DUTY, INTERVAL_S
from headway.recorder.rounds import Rounds
from headway.recorder.served import Served

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main"]

STOP_S = 10.0  # what hangs then does not keep this process
DESCRIPTORS_SPARE, DESCRIPTORS_EACH = 64, 8  # what a process needs besides its boards; what a board needs at most
TIDY_S = 3600.0  # a recorder that never leaves removes old boards of loops, too
ORPHANS_FIRST_S = 3.0  # it may be the successor of a killed one, whose boards are silent by then
ORPHANS_S = 60.0


class _Once:
    """Something beside the boards that is done once, and raises nothing."""

    cost = 0.0

    def __init__(self, what: Callable[[], object]) -> None:
        self._what = what

    def do(self) -> None:
        self._what()

    def beat(self) -> None: ...

    def allow(self, share: float) -> None: ...

    def stop(self) -> None: ...


def main(root: str, *board: str) -> None:
    """Record boards whose directory lies in this one: at first the board of this name, uuid, days and rows.

    A program of the version before, which runs while this one is installed, tells a name and a uuid alone.
    """
    stops: list[int] = []
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda number, _frame: stops.append(number))
    if len(board) == 1:
        board = (root, *board)
        try:
            root = _root_of(address.Wish.read(board))
        except (errors.HeadwayError, OSError):
            return  # it was removed or damaged since
    name = address.of(root)
    desk, rounds = Desk(name, address.inherited(name, LISTENING)), Rounds(DUTY, INTERVAL_S)
    rounds.add(Served(address.Wish.read(board)))
    _serve(Path(root), desk, rounds, stops)
    if stops:
        for wish in desk.leave():
            rounds.add(Served(wish))
        rounds.stop()
        until = time.monotonic() + STOP_S
        while len(rounds) and time.monotonic() < until:
            time.sleep(min(rounds.turn(), 0.01))
    if len(rounds):
        os._exit(1)  # a thread hangs: it would not let the interpreter end in good order
    rounds.close()


def _root_of(wish: address.Wish) -> str:
    segment = segments.attach(segments.object_name(wish.name, wish.uuid), watching=True)
    try:
        return os.path.dirname(segment.directory)
    finally:
        segment.close()


def most_boards() -> int:
    """So many boards have descriptors enough in this process."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(1, ((1 << 30 if limit == resource.RLIM_INFINITY else limit) - DESCRIPTORS_SPARE) // DESCRIPTORS_EACH)


def _serve(root: Path, desk: Desk, rounds: Rounds, stops: list[int]) -> None:
    """Until no board is left. Once it has as many as it can, it gives up the name, and the next one takes it."""
    tidied = full = False
    most = most_boards()
    left: list[address.Wish] = []
    tidy_at, orphans_at = time.monotonic() + TIDY_S, time.monotonic() + ORPHANS_FIRST_S
    orphaned: SimpleQueue[address.Wish] = SimpleQueue()  # by the thread that looked for them
    while not stops:
        wishes = desk.hear(rounds.turn())
        while not orphaned.empty():
            wishes.append(orphaned.get())
        if not wishes and not len(rounds):
            if tidied:
                wishes = desk.leave()
                if not wishes:
                    return
            else:
                tidied = True
                rounds.add(_Once(partial(old_loops.tidy, root)))
                rounds.add(_Once(partial(_look_for_orphans, root, orphaned)))
        elif time.monotonic() >= tidy_at:
            tidy_at = time.monotonic() + TIDY_S
            rounds.add(_Once(partial(old_loops.tidy, root)))
        elif time.monotonic() >= orphans_at and not full:
            orphans_at = time.monotonic() + ORPHANS_S
            rounds.add(_Once(partial(_look_for_orphans, root, orphaned)))
        for wish in wishes:
            tidied = False
            if len(rounds) < most:
                rounds.add(Served(wish))
            else:
                left.append(wish)
        if desk.short or len(rounds) >= most:
            full = True
        if full:  # the next board that comes has another recorder, and so have all that cannot be taken up here
            left += desk.leave(for_good=True)
            for wish in left:
                with suppress(OSError, ValueError):  # its program looks again
                    pass_on(str(root), wish)
            left.clear()


def _look_for_orphans(root: Path, found: SimpleQueue[address.Wish]) -> None:
    for wish in orphans.find(root):
        found.put(wish)
