"""What boards there are, and the removal of what nobody uses any more. Returns data, prints nothing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headway import _core, _locks, _paths, _segment, _shm, errors, history, snapshot
from headway.board import Board, remove_files
from headway.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Collection

    from headway.model import BoardView

__all__ = ["BoardInfo", "Removed", "attach", "boards", "directories", "find", "gc", "in_use", "remove", "retire"]

GRACE_S = 60.0  # a segment without a reference may be under construction for so long


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


@dataclass(frozen=True)
class Removed:
    """One thing that was removed, or would be. kind: board, segment, semaphore, file; error: why it is there still."""

    kind: str
    name: str
    bytes: int
    reason: str
    error: str | None = None


def in_use(name: str, uuid: str) -> bool:
    """Does any process, of whatever program, hold an identity on this segment of a board?"""
    try:
        return _in_use(_memory(_segment.object_name(name, uuid)))
    except FileNotFoundError:
        return False


def _in_use(path: Path) -> bool:
    """Two questions to the kernel for all identities but the recorder's, which outlives the others by a moment."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        recorder = int.from_bytes(os.pread(fd, 8, _core.RECORDER_OFFSET), sys.byteorder) & (1 << 61) - 1
        below, above = (_core.LOCK_BASE, recorder), (_core.LOCK_BASE + recorder + 1, 0)
        return any(_locked(fd, *extent) for extent in ((below, above) if recorder else ((_core.LOCK_BASE, 0),)))
    finally:
        os.close(fd)


def _locked(fd: int, begin: int, size: int) -> bool:
    """Is any of these bytes locked? size 0: all to the end."""
    asked = _locks.FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, begin, size, 0)
    kind: int = _locks.FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked))[0]
    return kind != fcntl.F_UNLCK


def _memory(name: str) -> Path:
    return _shm.SHM / name[1:]


def directories() -> list[Path]:
    """The directories of all boards, by name. Of one that has several, the one in force."""
    names = set()
    for root in _paths.roots():
        with contextlib.suppress(OSError):  # no such place, or none that we may enter: no boards there
            names |= {entry.name for entry in root.iterdir() if entry.is_dir()}
    found = []
    for name in sorted(names):
        with contextlib.suppress(ValueError):  # no board can be called so
            found.append(_paths.board_directory(name))
    return found


def boards() -> list[BoardInfo]:
    """Every board of this user on this host, by name: those in shared memory and those that left a snapshot."""
    return [info for directory in directories() if (info := _info(directory)) is not None]


def find(name: str) -> BoardInfo | None:
    """The board of this name, or None. Raises ValueError for an illegal one."""
    return _info(_paths.board_directory(name))


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
        files = _snapshots(directory)
        if not files:
            return None
        return BoardInfo(name, directory, "snapshot", sum(files.values()), snapshot.read(directory))
    except (errors.HeadwayError, OSError) as error:
        return BoardInfo(name, directory, "damaged", 0, None, str(error))


def _snapshots(directory: Path) -> dict[Path, int]:
    """The snapshot files of a board, and their sizes."""
    found = {}
    for path in (directory / snapshot.SNAPSHOT, directory / snapshot.PREVIOUS):
        with contextlib.suppress(FileNotFoundError):
            found[path] = path.lstat().st_size
    return found


def _attached(directory: Path) -> Board | None:
    """The board of a directory as a watcher sees it, who takes no row; None if it is not in shared memory."""
    uuid = _segment.referenced(directory)
    if uuid is not None:
        with contextlib.suppress(FileNotFoundError):  # a reboot took it along
            segment = _segment.attach(_segment.object_name(directory.name, uuid), watching=True)
            if not segment.retired:
                return Board(segment, directory)
            segment.close()
    return None


def attach(name: str) -> Board | None:
    """Attach to a board that exists, as a watcher: nothing is created, no row is taken. Close it after use.

    None if it is not in shared memory. Raises CorruptBoard, LayoutMismatch, NotOwner, BoardElsewhere.
    """
    return _attached(_paths.board_directory(name))


def gc(names: Collection[str] = (), *, dry_run: bool = False) -> list[Removed]:
    """Remove what nobody uses: boards whose processes are all gone, after a last snapshot; segments and semaphores that
    nothing refers to; files of writers that were killed.

    names: of these boards only; dry_run: only say what would go. Where something cannot be removed, its entry says why.
    """
    removed = []
    prefix = f"headway-{os.geteuid()}-"
    pattern = re.compile(rf"{prefix}(?P<board>.+)-(?P<uuid>[0-9a-f]{{32}})\Z")
    for path in sorted(_shm.SHM.glob(f"{prefix}*")):
        match = pattern.match(path.name)
        if match is not None and (not names or match["board"] in names):
            try:
                removed += _gc_segment(path, match["board"], match["uuid"], dry_run)
            except FileNotFoundError:
                continue  # its owner was quicker
            except (errors.HeadwayError, OSError) as error:  # a full disk, say: the others can go all the same
                removed.append(Removed("board", match["board"], 0, "nobody uses it", str(error)))
    for path in sorted(_shm.SHM.glob(f"sem.{prefix}*")):
        match = pattern.match(path.name.removeprefix("sem."))
        if match is None or (names and match["board"] not in names) or (_shm.SHM / match[0]).exists():
            continue
        with contextlib.suppress(FileNotFoundError):
            found = path.lstat()
            if found.st_uid == os.geteuid() and time.time() - found.st_mtime > GRACE_S:
                removed.append(Removed("semaphore", path.name, found.st_size, "its segment is gone"))
                if not dry_run:
                    path.unlink()
    for directory in directories():
        if not names or directory.name in names:
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                removed += _gc_files(directory, dry_run)
    return removed


def _gc_segment(path: Path, board: str, uuid: str, dry_run: bool) -> list[Removed]:
    found = path.lstat()
    name = f"/{path.name}"
    if found.st_uid != os.geteuid() or not stat.S_ISREG(found.st_mode) or _in_use(path):
        return []
    old = time.time() - found.st_mtime > GRACE_S
    try:
        segment = _segment.attach(name, watching=True)
    except errors.HeadwayError:
        if not old:
            return []
        if not dry_run:
            _shm.remove_objects(name)
        return [Removed("segment", name, found.st_size, "it is damaged or unfinished, and nobody uses it")]
    try:
        directory = Path(segment.directory)
        referenced = directory.is_dir() and _segment.referenced(directory) == uuid
        if referenced:
            if segment.recorder_alive:
                return []  # which removes it in a moment
            if not dry_run and not retire(Board(segment, directory)):
                return []
            return [Removed("board", board, found.st_size, f"nobody uses it; its last state is in {directory}")]
        if not old:
            return []
        if not dry_run:
            _shm.remove_objects(name)
        return [Removed("segment", name, found.st_size, "nothing refers to it")]
    finally:
        segment.close()


def retire(board: Board) -> bool:
    """Do the last work of a recorder, for a board that nobody uses: write its last state, and remove the segment.

    This process gives up its own identity on it first. Nothing is done, and False returned, if somebody uses it, or a
    recorder looks after it. Raises what kept the state from being written: OSError, NoSpace, LockTimeout,
    BoardElsewhere.
    """
    segment = board._segment
    segment.leave()
    if segment.in_use or segment.recorder_alive:
        return False
    try:
        recorder = Recorder.elected(board)
    except errors.BoardRecorded:
        return False
    try:
        done = recorder.finish()
        if not done and recorder.problem is not None:
            raise recorder.problem
        return done
    finally:
        recorder.resign()


def _gc_files(directory: Path, dry_run: bool) -> list[Removed]:
    """Notes of who was killed while it made or removed a segment, with what is left of it, and other such files."""
    removed = []
    if any(directory.glob(".segment.*")):
        with _locks.locked(directory):  # under it there is no live one
            notes = {path: path.lstat().st_size for path in sorted(directory.glob(".segment.*"))}
            if not dry_run:
                _segment.end_unfinished(directory)
            gone = [path for path in notes if dry_run or not os.path.lexists(path)]
            removed = [Removed("file", str(path), notes[path], "its writer was killed") for path in gone]
    abandoned = history.remove_abandoned(directory, dry_run=dry_run)
    return removed + [Removed("file", str(path), size, "its writer was killed") for path, size in abandoned.items()]


def remove(name: str, *, files: bool = True, force: bool = False) -> list[Removed]:
    """Remove a board, and with files=True its snapshots and its history. Returns what went.

    force: even if it is damaged, or live processes use it, who count into the void from then on. Raises UnknownBoard;
    without force HeadwayError naming the pids if it is in use, and what attach raises if it is damaged.
    """
    directory = _paths.board_directory(name)
    for _ in range(_segment.TRIES):
        with contextlib.suppress(FileNotFoundError):  # there is none, or somebody else has just removed it
            return _remove(directory, name, files, force)
        if not directory.is_dir():
            break
    there = ", ".join(info.name for info in boards()) or "none"
    raise errors.UnknownBoard(f"there is no board {name!r} in {directory.parent}: there are: {there}")


def _remove(directory: Path, name: str, files: bool, force: bool) -> list[Removed]:
    removed: list[Removed] = []
    with _locks.locked(directory):  # all of it: what comes afterwards is another board of the name
        uuid = None
        try:
            uuid = _segment.referenced(directory)
        except errors.CorruptBoard:
            if not force:
                raise
        if uuid is not None:
            removed += _remove_segment(name, uuid, force)
        (directory / "segment").unlink(missing_ok=True)
        if files:
            found = _snapshots(directory) | history.files(directory)
            removed += [Removed("file", str(path), size, "asked for") for path, size in found.items()]
            remove_files(directory)
    return removed


def _remove_segment(name: str, uuid: str, force: bool) -> list[Removed]:
    object_name = _segment.object_name(name, uuid)
    size = 0
    try:
        segment = _segment.attach(object_name, watching=True)
    except (FileNotFoundError, errors.NotOwner):
        return []  # another user who saw its name may have taken that since: theirs is not ours to remove
    except errors.HeadwayError:
        if not force:
            raise
    else:
        try:
            size = segment.size
            if not force:
                segment.announce_retirement()  # first: who comes now looks at it, or is seen
            if not force and _in_use(_memory(object_name)):
                segment.announce_retirement(False)
                workers = Board(segment, Path(segment.directory)).snapshot().workers
                pids = ", ".join(str(worker.pid) for worker in workers if worker.alive)
                who = f"pid {pids}" if pids else "a process that has not counted yet"
                raise errors.HeadwayError(f"board {name!r} is in use by {who}: end it first, or say --force")
            segment.retire()
        finally:
            segment.close()
    _shm.remove_objects(object_name)
    return [Removed("segment", object_name, size, "asked for")]
