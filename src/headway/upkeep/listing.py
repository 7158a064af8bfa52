"""What boards there are. Returns data, prints nothing."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headway import errors
from headway.engine import segments
from headway.engine.board import Board
from headway.files import snapshot
from headway.native import core
from headway.system import paths, shm

if TYPE_CHECKING:
    from headway.views.board_view import BoardView

__all__ = [
    "BoardInfo",
    "attach",
    "boards",
    "directories",
    "find",
    "in_use",
    "memory",
    "memory_in_use",
    "snapshot_files",
]


@dataclass(frozen=True)
class BoardInfo:
    """A board as found.

    state: live (in shared memory, and in use), unused (there still, but all its processes are gone), snapshot (only
    files are left) or damaged (`error` says how); bytes: what it takes up, in shared memory or as files; view: its last
    state, if that can be read.
    """

    name: str
    directory: Path
    state: str
    bytes: int
    view: BoardView | None
    error: str | None = None


def in_use(name: str, uuid: str) -> bool:
    """Does any process, of whatever program, hold an identity on this segment of a board?"""
    try:
        return memory_in_use(memory(segments.object_name(name, uuid)))
    except FileNotFoundError:
        return False


def memory_in_use(path: Path) -> bool:
    """Does any process but the recorder, which outlives the others by a moment, hold an identity on this segment?"""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return core.in_use(fd)
    finally:
        os.close(fd)


def memory(name: str) -> Path:
    return shm.SHM / name[1:]


def directories() -> list[Path]:
    """The directories of all boards, by name. Of one that has several, the one in force."""
    names = set()
    for root in paths.roots():
        with contextlib.suppress(OSError):  # no such place, or none that we may enter: no boards there
            names |= {entry.name for entry in root.iterdir() if entry.is_dir()}
    found = []
    for name in sorted(names):
        with contextlib.suppress(ValueError):  # no board can be called so
            found.append(paths.board_directory(name))
    return found


def boards() -> list[BoardInfo]:
    """Every board of this user on this host, by name: those in shared memory and those that left a snapshot."""
    return [info for directory in directories() if (info := _info(directory)) is not None]


def find(name: str) -> BoardInfo | None:
    """The board of this name, or None. Raises ValueError for an illegal one."""
    return _info(paths.board_directory(name))


def _info(directory: Path) -> BoardInfo | None:
    name = directory.name
    try:
        board = _attached(directory)
        if board is not None:
            try:
                segment = board._segment
                state = "live" if in_use(name, segment.uuid) else "unused"
                return BoardInfo(name, directory, state, segment.size, board.snapshot())
            finally:
                board.close()
        files = snapshot_files(directory)
        if not files:
            return None
        return BoardInfo(name, directory, "snapshot", sum(files.values()), snapshot.read(directory))
    except (errors.HeadwayError, OSError) as error:
        return BoardInfo(name, directory, "damaged", 0, None, str(error))


def snapshot_files(directory: Path) -> dict[Path, int]:
    """The snapshot files of a board, and their sizes."""
    found = {}
    for path in (directory / snapshot.SNAPSHOT, directory / snapshot.PREVIOUS):
        with contextlib.suppress(FileNotFoundError):
            found[path] = path.lstat().st_size
    return found


def _attached(directory: Path) -> Board | None:
    """The board of a directory as a watcher sees it, who takes no row; None if it is not in shared memory."""
    uuid = segments.referenced(directory)
    if uuid is not None:
        with contextlib.suppress(FileNotFoundError):  # a reboot took it along
            segment = segments.attach(segments.object_name(directory.name, uuid), watching=True)
            if not segment.retired:
                return Board(segment, directory)
            segment.close()
    return None


def attach(name: str) -> Board | None:
    """Attach to a board that exists, as a watcher: nothing is created, no row is taken. Close it after use.

    None if it is not in shared memory. Raises CorruptBoard, LayoutMismatch, NotOwner, BoardElsewhere.
    """
    return _attached(paths.board_directory(name))
