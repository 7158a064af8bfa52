"""Puts tasks that ended into the history: the recorder soon after their end, or a process that needs their slots.

No lock of the board is held meanwhile. The number of each task's next copy is read, the task is copied, and its row
is made; only then comes the transaction that inserts it. Within it the number is taken in the slot, if it is still
the next one: so of several archivers none replaces the row of a later copy (hw_begin_archive), and who was overtaken
copies once more what is still owed. Then the slot is marked as archived, with the count that the history has, unless
the task was written to since the copy, or another copy was begun, whose row may have replaced this one. If the
process is killed before the mark, the task is inserted again later: the key is its slot and generation. A count that
arrives after the end of a task causes the task to be archived again, too. Its last count is known once its counters
are closed, before the slot is freed (stripes.h).
"""

from __future__ import annotations

import os
import time
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway import errors
from headway.native import scans
from headway.views.board_view import Raw

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headway.files.history import Writer
    from headway.native.core import Segment
    from headway.native.series import Series

__all__ = ["add", "make_room"]

BATCH = 256
PART, PARTS = 128, 8  # slots of a part of a board at least, and parts at most
ENOUGH = 64  # tasks of a part
OVERTAKEN_S = 0.001  # who overtook this one marks them in a moment: most need no second copy
ROUNDS = 4  # of copies, of tasks that others began to archive meanwhile
ADD_S = 5.0  # all of them together wait for others: the recorder has the lock of the directory, which openers want


def add(
    segment: Segment,
    writer: Writer,
    meta: Mapping[str, Any],
    places: Sequence[tuple[int, int]],
    series: Series | None = None,
) -> int:
    """Archive tasks that ended, given by slot and generation. Raises what Writer.add does.

    Returns how many of them were not archived when it began; some may have been archived by others meanwhile, and some
    are left for the next time, if others were in the way for too long.
    """
    until = time.monotonic() + ADD_S
    owed = segment.owed(places)
    many = len(owed)
    for _ in range(ROUNDS):
        if not owed:
            break
        numbers = {(slot, generation): number for slot, generation, number in owed}
        copied = segment.copy_slots(numbers)  # with their results, as they are now
        raw = Raw({**meta, "taken_ns": copied[0]}, *copied[1:])
        found = {at: ((slot, gen), version, count) for at, slot, gen, version, count in scans.unarchived(raw.tasks)}
        if not found:
            break
        grown = {} if series is None else {at: series.points(*place) for at, (place, _, _) in found.items()}
        begins = [(*place, numbers[place]) for place, _, _ in found.values()]
        begun, _ = writer.add_begun(raw, list(found), grown, partial(starmap, segment.begin_archive, begins), until)
        for place, version, count in map(found.__getitem__, begun):
            segment.mark_archived(*place, numbers[place], version, count)
        left = found.keys() - set(begun)
        if not left or time.monotonic() >= until:
            break
        time.sleep(OVERTAKEN_S)
        owed = segment.owed(found[at][0] for at in left)
    return many


def _some(segment: Segment) -> list[tuple[int, int]]:
    """Tasks to be archived: of several processes that need room at once each takes others, if there are enough.

    Of a few, none may be to be had: somebody may be stopped over each of them.
    """
    parts = min(segment.capacity // PART, PARTS)
    found = segment.finished(BATCH, os.getpid() % parts, parts) if parts > 1 else []
    return found if len(found) >= ENOUGH else list(dict.fromkeys((*found, *segment.finished(BATCH))))


def make_room(segment: Segment, directory: Path, meta: Mapping[str, Any], place: tuple[int, int] | None) -> int | None:
    """Archive one task, or without `place` a batch of those that ended first. Returns how many; None if it failed.

    place: (slot, generation).
    """
    try:
        from headway.files.history import Writer  # imported only here, so that most workers never load SQLite

        with Writer(directory) as writer:
            return add(segment, writer, meta, [place] if place is not None else _some(segment))
    except (errors.HeadwayError, OSError, ImportError):
        # A full disk, for example, or a signal handler that came during that import. The caller drops the oldest tasks,
        # and counts them as dropped.
        return None
