"""Boards whose recorder was killed, and of which no program tells another one.

A program sees to a new recorder while it counts or writes. One that waits for a long item does not, and one that was
killed together with its recorder never will: the recorder at work for their directory takes up their boards as well.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from headway import errors
from headway.engine import segments
from headway.process.address import Wish
from headway.system import shm

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["find"]

KEPT = ("inf", "inf")  # of its history nothing is deleted: how its program wants it kept is not known here


def find(root: Path) -> list[Wish]:
    """The boards of a directory whose recorder is silent and dead. Each is the caller's to record, and no other's.

    A board of which somebody was told in vain is left to its programs: they start a process for it alone. Raises
    nothing; a board that cannot be read, or is another machine's, is passed over.
    """
    wishes = []
    for directory in shm.directories():
        if directory.parent == root:
            with suppress(errors.HeadwayError, OSError):
                wishes += _of(directory)
    return wishes


def _of(directory: Path) -> list[Wish]:
    uuid = segments.referenced(directory)
    if uuid is None:
        return []
    segment = segments.attach(segments.object_name(directory.name, uuid), watching=True)
    try:
        return [Wish(directory.name, uuid, *KEPT)] if segment.may_start_recorder() == 1 else []
    finally:
        segment.close()
