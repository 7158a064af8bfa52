"""What this process tells other machines and containers: that it has a board open. They do not see its segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.system import locks

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["begin", "end"]

_uses: dict[Path, tuple[str, locks.FileLock | None]] = {}  # by directory: the uuid of the segment, and the lock


def begin(directory: Path, uuid: str) -> None:
    """Share the lock of the users of this board, if this process does not yet. See `headway.system.locks.use`.

    Again, where the file is gone or another one: with the last segment, or with the directory, which was made anew.
    """
    known = _uses.get(directory)
    if known is None or known[0] != uuid or not _stands(known[1], directory):
        end(directory)
        _uses[directory] = uuid, locks.use(directory)


def end(directory: Path, uuid: str | None = None) -> None:
    """This process uses the board no longer. uuid: only if this is the segment that it uses."""
    if uuid is not None and _uses.get(directory, ("", None))[0] != uuid:
        return
    known = _uses.pop(directory, None)
    if known is not None and known[1] is not None:
        known[1].release()


def _stands(lock: locks.FileLock | None, directory: Path) -> bool:
    """Does this lock tell others what it should? So does none: the file system has no locks."""
    try:
        return lock is None or lock.stands(directory)
    except OSError:  # the program closed the descriptor, or the directory cannot be looked into
        return False
