"""Ended tasks into the history of their board: by the recorder as they end, and by who needs room before it came.

Never under a lock: copy, insert, then mark the slot as archived if the task is still what was copied. Killed between
the last two steps, the task is inserted once more, which changes nothing: the history knows it by its id and birth.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway import _scans, errors
from headway.model import Raw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway._core import Segment

__all__ = ["add", "make_room", "prune"]

BATCH = 64


def add(segment: Segment, directory: Path, raw: Raw) -> int:
    """Archive what has ended in a copy of the board. Returns how many tasks. Raises what History does, OSError."""
    found = _scans.unarchived(raw.tasks) if segment.recorder_wanted else []
    if found:
        from headway.history import History  # workers need no SQLite

        with History(directory) as history:
            history.add(raw, [number for number, *_ in found])
        for _, slot, generation, version in found:
            segment.mark_archived(slot, generation, version)
    return len(found)


def make_room(segment: Segment, directory: Path, meta: Mapping[str, Any], place: tuple[int, int] | None) -> bool:
    """Archive a task that is to be replaced, or else a batch of those that ended first. Returns whether it could."""
    try:
        copy = segment.copy_slots([place] if place is not None else segment.finished(BATCH))
        return add(segment, directory, Raw({**meta, "taken_ns": copy[0]}, *copy[1:])) > 0
    except (errors.HeadwayError, OSError):
        return False  # a full disk, say: then the oldest are dropped, which is counted and shown


def prune(directory: Path) -> None:
    """Keep the history within its bounds. Raises what History does, OSError."""
    from headway.history import History

    with History(directory) as history:
        history.prune()
