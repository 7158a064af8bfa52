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
from headway.files import changes, snapshot
from headway.files.directory import directories, last_sign_of_life
from headway.native import core
from headway.system import descriptors, paths, shm
from headway.views.board_view import BoardView
from headway.views.chosen import workers_alive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.views.numbers import Counts

__all__ = [
    "BoardGlance",
    "BoardInfo",
    "BoardSizes",
    "attach",
    "boards",
    "find",
    "glance",
    "in_use",
    "is_live",
    "memory",
    "memory_in_use",
    "newest_first",
    "sizes",
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


@dataclass(frozen=True, slots=True)
class BoardGlance:
    """A board in a few numbers: as BoardInfo, without a view of it.

    counts, taken_at: None if it cannot be read; workers_alive: 0 if it is not in shared memory.
    """

    name: str
    directory: Path
    state: str
    bytes: int
    counts: Counts | None
    taken_at: float | None
    workers_alive: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class BoardSizes:
    """What a board takes: bytes of shared memory, 0 if it is not there, and of its files; and for how much that is."""

    name: str
    bytes: int
    capacity: int
    workers: int
    result_bytes: int
    files: int
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


def boards() -> Iterator[BoardInfo]:
    """All boards of this user on this host, sorted by name: those in shared memory and those that left a snapshot.

    Each is read when it is asked for, so that only one is in memory.
    """
    return (info for directory in directories() if (info := _info(directory)) is not None)


def newest_first() -> list[Path]:
    """The directories of all boards, those in use first, then by their last sign of life. No snapshot is read."""
    found = [
        (is_live(directory.name), last, directory)
        for directory in directories()
        if (last := last_sign_of_life(directory)) is not None
    ]
    found.sort(key=lambda one: (not one[0], -one[1], one[2].name))
    return [directory for _, _, directory in found]


def find(name: str) -> BoardInfo | None:
    """The board of this name, or None. Raises ValueError for an illegal name."""
    return _info(paths.board_directory(name))


def glance(directory: Path) -> BoardGlance | None:
    """The board of a directory in a few numbers; None if there is none. Of a snapshot only the head is read."""
    name = directory.name
    try:
        board = _attached(directory)
        if board is not None:
            with contextlib.closing(board):
                segment, view = board._segment, BoardView.from_raw(board._copy(results=False))
                told = view.counts, view.taken_at, workers_alive(view)
                return BoardGlance(name, directory, _use(name, segment.uuid), segment.size, *told)
        files = snapshot_files(directory)
        if not files:
            return None
        return BoardGlance(name, directory, "snapshot", sum(files.values()), *snapshot.glance(directory), 0)
    except (errors.HeadwayError, OSError) as error:
        return BoardGlance(name, directory, "damaged", 0, None, None, 0, str(error))


def sizes() -> Iterator[BoardSizes]:
    """What each board of this user on this host takes."""
    return (found for directory in directories() if (found := _sizes(directory)) is not None)


def _sizes(directory: Path) -> BoardSizes | None:
    name, files = directory.name, 0
    with contextlib.suppress(OSError):
        for entry in os.scandir(directory):
            with contextlib.suppress(OSError):  # removed meanwhile
                files += entry.stat(follow_symlinks=False).st_size
    try:
        board = _attached(directory)
        if board is not None:
            with contextlib.closing(board):
                segment = board._segment
                return BoardSizes(name, segment.size, segment.capacity, segment.workers, segment.result_bytes, files)
    except (errors.HeadwayError, OSError) as error:
        return BoardSizes(name, 0, 0, 0, 0, files, str(error))
    return BoardSizes(name, 0, 0, 0, 0, files) if files else None


def _info(directory: Path) -> BoardInfo | None:
    name = directory.name
    try:
        board = _attached(directory)
        if board is not None:
            with contextlib.closing(board):
                segment = board._segment
                return BoardInfo(name, directory, _use(name, segment.uuid), segment.size, board.snapshot())
        files = snapshot_files(directory)
        if not files:
            return None
        return BoardInfo(name, directory, "snapshot", sum(files.values()), snapshot.read(directory))
    except (errors.HeadwayError, OSError) as error:
        return BoardInfo(name, directory, "damaged", 0, None, str(error))


def _use(name: str, uuid: str) -> str:
    return "live" if in_use(name, uuid) else "unused"


def snapshot_files(directory: Path) -> dict[Path, int]:
    """The snapshot files of a board, and their sizes."""
    found = {}
    for path in (directory / snapshot.SNAPSHOT, directory / snapshot.PREVIOUS):
        with contextlib.suppress(FileNotFoundError):
            found[path] = path.lstat().st_size
    for path in (directory / name for name in changes.FILES if found):
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
