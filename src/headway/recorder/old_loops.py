"""Removes the boards of finished loops that nobody named, some days after their last use: see headway.files.loops."""

from __future__ import annotations

import contextlib
import time
from itertools import islice
from typing import TYPE_CHECKING

from headway import errors
from headway.engine import segments
from headway.files import directory as files_of_boards
from headway.files.loops import goes_at, kept_days
from headway.system import locks, shm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["is_due", "remove_due", "tidy"]

REMOVED_MOST = 32  # at the end of one recorder: the next one goes on
LOCK_WAIT_S = 0.1


def tidy(root: Path) -> None:
    """Remove what is due among the boards of a directory, a bounded number of them. Raises nothing."""
    with contextlib.suppress(errors.HeadwayError, OSError):  # what cannot be removed stays; a wrong variable: nothing
        days = kept_days()
        for directory in islice(_due(root, days), REMOVED_MOST):
            with contextlib.suppress(errors.HeadwayError, OSError):
                remove_due(directory, days)


def _due(root: Path, days: float | None) -> Iterator[Path]:
    if days is not None:
        for directory in root.iterdir():
            if is_due(directory, days):
                yield directory


def is_due(directory: Path, days: float | None) -> bool:
    """Is it the board of loops alone, not used for so many days, and not in shared memory?"""
    at = goes_at(directory, days)
    if at is None or at > time.time():
        return False
    uuid = segments.referenced(directory)
    return uuid is None or not (shm.SHM / segments.object_name(directory.name, uuid)[1:]).exists()


def remove_due(directory: Path, days: float | None) -> bool:
    """Remove such a board, if it is still due. Raises OSError and LockTimeout."""
    with locks.locked(directory, LOCK_WAIT_S):  # whoever opens it meanwhile waits, and finds no board
        if not is_due(directory, days) or locks.lock_holder(directory) is not None:  # it may be on another machine
            return False
        (directory / "segment").unlink(missing_ok=True)
        files_of_boards.remove(directory)
        return True
