"""Puts tasks that ended into the history: the recorder soon after their end, or a process that needs their slots.

No lock of the board is held meanwhile. Within one write transaction of the history the task is copied and inserted, so
that of two archivers the one whose copy is later also has the last word. Then its slot is marked as archived, with the
count that the history has, unless the task was written to since the copy, or another copy was begun, whose row may have
replaced this one (hw_begin_archive). If the process is killed before the mark, the task is inserted again later: the
key is its slot and generation. A count that arrives after the end of a task causes the task to be archived again, too.
Its last count is known once its counters are closed, before the slot is freed (stripes.h).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway import errors
from headway.native import scans
from headway.views.board_view import Raw

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headway.files.history import Copied, Writer
    from headway.native.core import Segment
    from headway.native.series import Series

__all__ = ["add", "make_room"]

BATCH = 64


def add(
    segment: Segment,
    writer: Writer,
    meta: Mapping[str, Any],
    places: Sequence[tuple[int, int]],
    series: Series | None = None,
) -> int:
    """Archive tasks that ended, given by slot and generation. Raises what Writer.add does.

    Returns how many of them were not archived when it began; some may have been archived by others meanwhile.
    """
    if not places:
        return 0
    owed = [(slot, generation) for _, slot, generation, *_ in scans.unarchived(segment.copy_slots(places)[1])]
    marks: list[tuple[int, int, int, int, int]] = []

    def copy() -> Copied:
        begun = {place: segment.begin_archive(*place) for place in owed}
        numbers = {place: number for place, number in begun.items() if number is not None}
        copied = segment.copy_slots(numbers)  # with their results, as they are now
        raw = Raw({**meta, "taken_ns": copied[0]}, *copied[1:])
        found = scans.unarchived(raw.tasks)
        marks[:] = [(slot, gen, numbers[slot, gen], version, count) for _, slot, gen, version, count in found]
        grown = {} if series is None else {number: series.points(*place) for number, *place, _, _ in found}
        return raw, [number for number, *_ in found], grown

    if owed:
        writer.add_copied(copy)
    for mark in marks:
        segment.mark_archived(*mark)
    return len(owed)


def make_room(segment: Segment, directory: Path, meta: Mapping[str, Any], place: tuple[int, int] | None) -> int | None:
    """Archive one task, or without `place` a batch of those that ended first. Returns how many; None if it failed.

    place: (slot, generation).
    """
    try:
        from headway.files.history import Writer  # imported only here, so that most workers never load SQLite

        with Writer(directory) as writer:
            return add(segment, writer, meta, [place] if place is not None else segment.finished(BATCH))
    except (errors.HeadwayError, OSError, ImportError):
        # A full disk, for example, or a signal handler that came during that import. The caller drops the oldest tasks,
        # and counts them as dropped.
        return None
