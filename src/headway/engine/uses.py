"""What this process tells other machines and containers: that it has a board open. They do not see its segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.system import locks

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["begin", "end"]

_uses: dict[Path, tuple[str, locks.FileLock | None]] = {}  # by directory: the uuid of the segment, and the lock


def begin(directory: Path, uuid: str) -> None:
    """Share the lock of the users of this board, if this process does not yet. See `headway.system.locks.use`."""
    known = _uses.get(directory)
    if known is None or known[0] != uuid:  # another segment: `users.lock` may have been removed with the last one
        end(directory)
        _uses[directory] = uuid, locks.use(directory)


def end(directory: Path, uuid: str | None = None) -> None:
    """This process uses the board no longer. uuid: only if this is the segment that it uses."""
    if uuid is not None and _uses.get(directory, ("", None))[0] != uuid:
        return
    known = _uses.pop(directory, None)
    if known is not None and known[1] is not None:
        known[1].release()
