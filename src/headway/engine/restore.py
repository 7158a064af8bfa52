"""Restores the tasks of a board from its snapshot into a new segment: after a reboot, or when the old one is gone."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from headway import errors
from headway.files import changes, snapshot
from headway.native import scans

if TYPE_CHECKING:
    from headway.native.core import Segment

__all__ = ["restore"]


def restore(segment: Segment, directory: Path) -> None:
    """Fill a segment that is not published yet. Tasks that had ended keep their state, open tasks become lost.

    If the snapshot has more tasks than the segment has slots, the newest are restored. A snapshot that cannot be read
    is moved aside, and a warning names it: it must neither keep the board from opening nor be overwritten.
    """
    try:
        view = snapshot.read(directory)
    except errors.UnknownBoard:
        return
    except errors.HeadwayError as error:
        _set_aside(directory, error)
        return
    raw = view.raw
    kept, _ = scans.restorable(raw.tasks, segment.capacity)
    segment.restore(kept, raw.tasks, raw.stages, raw.shares, raw.result_index, raw.results, raw.meta["taken_ns"])
    segment.resume_sequence(view.sequence)


def _set_aside(directory: Path, error: errors.HeadwayError) -> None:
    moved = []
    for name in (snapshot.SNAPSHOT, snapshot.PREVIOUS, *changes.FILES):
        aside = directory / f"{name.removesuffix('.npz')}.damaged-{time.time_ns()}.npz"
        with contextlib.suppress(OSError):  # missing, or not ours to move: the next snapshot replaces it
            os.rename(directory / name, aside)
            moved.append(str(aside))
    errors.tell(
        f"the board in {directory} begins empty, because its last state cannot be read: {error}; it was kept as "
        f"{' and '.join(moved) or 'it is'}"
    )
