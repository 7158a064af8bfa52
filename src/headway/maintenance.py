"""What boards there are, and the removal of what nobody uses any more. Returns data, prints nothing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from headway import _core, _paths, _segment, errors, snapshot
from headway.board import Board

__all__ = ["BoardInfo", "Removed", "attach", "boards", "gc", "remove"]

_GRACE_S = 60.0  # a segment without a reference may be under construction for so long
_FLOCK = struct.Struct("hhxxxxqqixxxx")  # struct flock of 64-bit Linux: type, whence, start, length, pid


@dataclass(frozen=True)
class BoardInfo:
    """A board as found: in shared memory (live), or as files only."""

    name: str
    directory: Path
    uuid: str | None
    segment: str | None
    live: bool
    bytes: int
    workers_alive: int
    error: str | None


@dataclass(frozen=True)
class Removed:
    """One thing that gc removed, or would remove. kind: board, segment, semaphore, file; bytes: what it took up."""

    kind: str
    name: str
    bytes: int
    reason: str


def _in_use(path: Path) -> bool:
    """Does any process hold an identity on this segment? One question to the kernel for all of them."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _core.LOCK_BASE, 0, 0)
        kind: int = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked))[0]
        return kind != fcntl.F_UNLCK
    finally:
        os.close(fd)


def _memory(name: str) -> Path:
    return _segment.SHM / name[1:]


def _directories() -> list[Path]:
    found = []
    for root in _paths.roots():
        with contextlib.suppress(OSError):  # no such place, or none that we may enter: no boards there
            found += [entry for entry in sorted(root.iterdir()) if entry.is_dir() and not entry.name.startswith(".")]
    return found


def boards() -> list[BoardInfo]:
    """Every board of this user on this host, by name: those in shared memory and those that left a snapshot."""
    return sorted(
        (info for directory in _directories() if (info := _info(directory)) is not None), key=lambda info: info.name
    )


def _info(directory: Path) -> BoardInfo | None:
    name, uuid, segment_name = directory.name, None, None
    try:
        uuid = _segment.referenced(directory)
        if uuid is not None:
            segment_name = _segment.object_name(name, uuid)
            segment = _segment.attach(segment_name)
            try:
                alive = sum(worker.alive for worker in Board(segment, directory).snapshot().workers)
                return BoardInfo(name, directory, uuid, segment_name, not segment.retired, segment.size, alive, None)
            finally:
                segment.close()
    except FileNotFoundError:
        segment_name = None  # a reboot took it along: the files remain
    except (errors.HeadwayError, OSError) as error:
        return BoardInfo(name, directory, uuid, segment_name, False, 0, 0, str(error))
    size = sum(entry.stat().st_size for entry in directory.glob("snapshot*.npz"))
    return BoardInfo(name, directory, uuid, None, False, size, 0, None) if size else None


def attach(name: str) -> Board:
    """Attach to a board that exists, as a watcher: nothing is created, no row is taken.

    Raises UnknownBoard naming the boards there are, and what _segment.attach raises. Close it after use.
    """
    directory = _paths.board_directory(name)
    uuid = _segment.referenced(directory)
    if uuid is not None:
        with contextlib.suppress(FileNotFoundError):
            segment = _segment.attach(_segment.object_name(name, uuid))
            if not segment.retired:
                return Board(segment, directory)
            segment.close()
    live = ", ".join(info.name for info in boards() if info.live) or "none"
    raise errors.UnknownBoard(f"no board {name!r} is in shared memory; there are: {live}")


def gc(dry_run: bool = False) -> list[Removed]:
    """Remove what nobody uses: boards whose processes are all gone, after a last snapshot; segments and semaphores that
    nothing refers to; files of writers that were killed. dry_run: only say what would go.
    """
    removed = []
    prefix = f"headway-{os.geteuid()}-"
    pattern = re.compile(rf"{prefix}(?P<board>.+)-(?P<uuid>[0-9a-f]{{32}})\Z")
    for path in sorted(_segment.SHM.glob(f"{prefix}*")):
        match = pattern.match(path.name)
        if match is not None:
            with contextlib.suppress(FileNotFoundError):  # its owner was quicker
                removed += _gc_segment(path, match["board"], match["uuid"], dry_run)
    for path in sorted(_segment.SHM.glob(f"sem.{prefix}*")):
        if (_segment.SHM / path.name.removeprefix("sem.")).exists():
            continue
        with contextlib.suppress(FileNotFoundError):
            found = path.lstat()
            if found.st_uid == os.geteuid() and time.time() - found.st_mtime > _GRACE_S:
                removed.append(Removed("semaphore", path.name, found.st_size, "its segment is gone"))
                if not dry_run:
                    path.unlink()
    for directory in _directories():
        removed += _gc_files(directory, dry_run)
    return removed


def _gc_segment(path: Path, board: str, uuid: str, dry_run: bool) -> list[Removed]:
    found = path.lstat()
    name = f"/{path.name}"
    if found.st_uid != os.geteuid() or not stat.S_ISREG(found.st_mode) or _in_use(path):
        return []
    old = time.time() - found.st_mtime > _GRACE_S
    try:
        segment = _segment.attach(name)
    except errors.HeadwayError:
        if not old:
            return []
        if not dry_run:
            _segment.remove_objects(name)
        return [Removed("segment", name, found.st_size, "it is damaged or unfinished, and nobody uses it")]
    try:
        directory = Path(segment.directory)
        referenced = directory.is_dir() and _segment.referenced(directory) == uuid
        if referenced:
            if not dry_run:
                _retire_quiet(Board(segment, directory), path)
            return [Removed("board", board, found.st_size, f"nobody uses it; its last state is in {directory}")]
        if not old:
            return []
        if not dry_run:
            _segment.remove_objects(name)
        return [Removed("segment", name, found.st_size, "nothing refers to it")]
    finally:
        segment.close()


def _retire_quiet(board: Board, path: Path) -> None:
    """Write the last state of a board that nobody uses, and unlink it, unless somebody came meanwhile."""
    board.reap()
    board.write_snapshot()
    board._segment.leave()  # reaping made us somebody
    with _segment.locked(board.directory):
        if _in_use(path) or _segment.referenced(board.directory) != board._segment.uuid:
            return
        board._segment.retire()
        (board.directory / "segment").unlink(missing_ok=True)
        _segment.remove_objects(f"/{path.name}")


def _gc_files(directory: Path, dry_run: bool) -> list[Removed]:
    """Temporary files of creators that were killed: under the board's lock there is no live one."""
    removed = []
    for path in sorted(directory.glob(".segment.*")):
        with _segment.locked(directory), contextlib.suppress(FileNotFoundError):
            removed.append(Removed("file", str(path), path.lstat().st_size, "its writer was killed"))
            if not dry_run:
                path.unlink()
    return removed


def remove(name: str, *, files: bool = True, force: bool = False) -> list[Removed]:
    """Remove a board, and with files=True its snapshots. Returns what went.

    Raises UnknownBoard; HeadwayError naming the pids if live processes use it and force is not given. With force a
    damaged board is removed too.
    """
    directory = _paths.board_directory(name)
    if not directory.is_dir():
        raise errors.UnknownBoard(f"there is no board {name!r} in {directory.parent}")
    removed: list[Removed] = []
    uuid = None
    try:
        uuid = _segment.referenced(directory)
    except errors.CorruptBoard:
        if not force:
            raise
    with _segment.locked(directory):
        if uuid is not None:
            removed += _remove_segment(name, uuid, force)
        (directory / "segment").unlink(missing_ok=True)
    if files:
        removed += [Removed("file", str(path), 0, "asked for") for path in snapshot.remove(directory)]
        (directory / "board.lock").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else lies there: it is not ours to remove
            directory.rmdir()
    return removed


def _remove_segment(name: str, uuid: str, force: bool) -> list[Removed]:
    object_name = _segment.object_name(name, uuid)
    size = 0
    try:
        segment = _segment.attach(object_name)
    except FileNotFoundError:
        return []
    except errors.HeadwayError:
        if not force:
            raise
    else:
        try:
            size = segment.size
            alive = [worker.pid for worker in Board(segment, Path(segment.directory)).snapshot().workers if worker.alive]
            used = _in_use(_memory(object_name))
            if used and not force:
                who = f"pid {', '.join(map(str, alive))}" if alive else "a process that has not counted yet"
                raise errors.HeadwayError(f"board {name!r} is in use by {who}: end it first, or say --force")
            segment.retire()
        finally:
            segment.close()
    _segment.remove_objects(object_name)
    return [Removed("segment", object_name, size, "asked for")]
