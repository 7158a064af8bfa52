"""Finds the boards of this user. Returns data, prints nothing."""

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
from headway.files.directory import directories
from headway.native import core
from headway.system import descriptors, paths, shm

if TYPE_CHECKING:
    from headway.views.board_view import BoardView

__all__ = [
    "BoardInfo",
    "attach",
    "boards",
    "find",
    "in_use",
    "is_live",
    "memory",
    "memory_in_use",
    "snapshot_files",
]


@dataclass(frozen=True)
class BoardInfo:
    """What is known of one board.

    state: live (in shared memory and in use), unused (in shared memory, but all its processes are gone), snapshot (only
    files are left) or damaged (`error` says why); bytes: its size in shared memory, or of its snapshot files; view: its
    last state, None if that cannot be read.
    """

    name: str
    directory: Path
    state: str
    bytes: int
    view: BoardView | None
    error: str | None = None


def in_use(name: str, uuid: str) -> bool:
    """Does any process of any program hold an identity on this segment of a board?"""
    try:
        return memory_in_use(memory(segments.object_name(name, uuid)))
    except FileNotFoundError:
        return False


def memory_in_use(path: Path) -> bool:
    """Does any process other than the recorder, which ends a moment after the rest, hold an identity on it?"""
    fd = descriptors.open_file(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        return core.in_use(fd)
    finally:
        os.close(fd)


def memory(name: str) -> Path:
    return shm.SHM / name[1:]


def is_live(name: str) -> bool:
    """Is a board in shared memory, and does a process use it? False for one that is damaged."""
    with contextlib.suppress(errors.HeadwayError, OSError):
        uuid = segments.referenced(paths.board_directory(name))
        return uuid is not None and in_use(name, uuid)
    return False


def boards() -> list[BoardInfo]:
    """All boards of this user on this host, sorted by name: those in shared memory and those that left a snapshot."""
    return [info for directory in directories() if (info := _info(directory)) is not None]


def find(name: str) -> BoardInfo | None:
    """The board of this name, or None. Raises ValueError for an illegal name."""
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
    """Attach to the board of a directory as a watcher, without a row of its own; None if it is not in shared memory."""
    uuid = segments.referenced(directory)
    if uuid is not None:
        with contextlib.suppress(FileNotFoundError):  # lost in a reboot
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
