"""Removes boards, and what dead programs left. Returns data, prints nothing."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headway import errors
from headway.engine import segments
from headway.engine.board import Board
from headway.files import directory as files_of_boards
from headway.files import history, loops
from headway.files.directory import directories, last_sign_of_life, unknown
from headway.recorder import old_loops
from headway.recorder.recorder import Recorder
from headway.system import locks, paths, shm
from headway.upkeep.listing import attach, in_use, memory, memory_in_use, snapshot_files

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Removed", "gc", "is_of_other_directories", "remove", "retire"]

GRACE_S = 60.0  # a younger segment that nothing refers to may still be under construction


@dataclass(frozen=True)
class Removed:
    """An object that was or would be removed. error: why it is still there.

    kind: board, segment, semaphore, file, "files of" for all files of a board.
    """

    kind: str
    name: str
    bytes: int
    reason: str
    error: str | None = None


def gc(names: Collection[str] = (), *, everywhere: bool = False, dry_run: bool = False) -> list[Removed]:
    """Remove what no process uses: boards whose processes are all gone, after a last snapshot of each; segments and
    semaphores that nothing refers to; unfinished files of writers that were killed; boards of loops that nobody named,
    some days after their last use. Raises InvalidVariable.

    names: only of these boards; everywhere: also boards whose files are in other directories than this process's
    (HEADWAY_DIR), which are left alone otherwise; dry_run: remove nothing, return what would go. Where something cannot
    be removed, its entry says why.
    """
    removed = []
    days = loops.kept_days()
    roots = None if everywhere else paths.roots()
    prefix = f"headway-{os.geteuid()}-"
    pattern = re.compile(rf"{prefix}(?P<board>.+)-(?P<uuid>[0-9a-f]{{32}})\Z")
    for path in sorted(shm.SHM.glob(f"{prefix}*")):
        match = pattern.match(path.name)
        if match is not None and (not names or match["board"] in names):
            try:
                if roots is None or not is_of_other_directories(path, roots):
                    removed += _gc_segment(path, match["board"], match["uuid"], dry_run)
            except FileNotFoundError:
                continue  # its owner has just removed it
            except (errors.HeadwayError, OSError) as error:  # a full disk, for example: remove the others nevertheless
                removed.append(Removed("board", match["board"], 0, "nobody uses it", str(error)))
    for path in sorted(shm.SHM.glob(f"sem.{prefix}*")):
        match = pattern.match(path.name.removeprefix("sem."))
        if match is None or (names and match["board"] not in names) or (shm.SHM / match[0]).exists():
            continue
        with contextlib.suppress(FileNotFoundError):
            found = path.lstat()
            if found.st_uid == os.geteuid() and time.time() - found.st_mtime > GRACE_S:
                removed.append(Removed("semaphore", path.name, found.st_size, "its segment is gone"))
                if not dry_run:
                    path.unlink()
    for directory in directories():
        if not names or directory.name in names:
            try:
                if names and (told := paths.closed(directory)) is not None:  # asked for by name: not passed over
                    removed.append(Removed("board", directory.name, 0, "its directory cannot be used", told))
                    continue
                removed += _gc_loops(directory, days, dry_run)
                removed += _gc_files(directory, dry_run)
            except FileNotFoundError:
                continue  # removed meanwhile
            except OSError as error:  # this user may not enter it: tidy the others nevertheless
                removed.append(Removed("board", directory.name, 0, "its directory cannot be read", str(error)))
    return removed


def _gc_loops(directory: Path, days: float | None, dry_run: bool) -> list[Removed]:
    """Remove the board of finished loops that nobody named and nobody used for so many days."""
    reason = f"a loop's board, not used for {days or 0:g} days, and nobody named it"
    try:
        if not old_loops.is_due(directory, days):
            return []
        size = sum((snapshot_files(directory) | history.files(directory)).values())
        gone = dry_run or old_loops.remove_due(directory, days)
    except (errors.HeadwayError, OSError) as error:
        return [Removed("files of", directory.name, 0, reason, str(error))]
    return [Removed("files of", directory.name, size, reason)] if gone else []


def is_of_other_directories(path: Path, roots: list[Path]) -> bool:
    """Are the files of this segment's board in none of these directories? False if it does not say where they are.

    Nobody can use one of another layout: if a board in these directories refers to it, it is theirs, whatever it says.
    """
    directory = shm.directory_of(f"/{path.name}")
    if directory is None or directory.parent in roots:
        return False
    board, uuid = path.name.removeprefix(f"headway-{os.geteuid()}-")[:-33], path.name[-32:]
    for root in roots:
        with contextlib.suppress(errors.CorruptBoard, errors.NotOwner):
            if segments.referenced(root / board) == uuid:
                return not _is_of_another_layout(path)
    return True


def _is_of_another_layout(path: Path) -> bool:
    try:
        segments.attach(f"/{path.name}", watching=True).close()
    except errors.HeadwayError as error:
        return isinstance(error, errors.LayoutMismatch)
    return False


def _gc_segment(path: Path, board: str, uuid: str, dry_run: bool) -> list[Removed]:
    found = path.lstat()
    name = f"/{path.name}"
    if found.st_uid != os.geteuid() or not stat.S_ISREG(found.st_mode) or memory_in_use(path):
        return []
    old = time.time() - found.st_mtime > GRACE_S
    try:
        segment = segments.attach(name, watching=True)
    except errors.HeadwayError:
        if not old:
            return []
        if not dry_run:
            shm.remove_objects(name)
        return [Removed("segment", name, found.st_size, "it is damaged or unfinished, and nobody uses it")]
    try:
        directory = Path(segment.directory)
        referenced = directory.is_dir() and segments.referenced(directory) == uuid
        if referenced:
            if segment.recorder_alive:
                return []  # the recorder removes it in a moment
            if not dry_run and not retire(Board(segment, directory)):
                return []
            return [Removed("board", board, found.st_size, f"nobody uses it; its last state is in {directory}")]
        if not old:
            return []
        if not dry_run:
            shm.remove_objects(name)
        return [Removed("segment", name, found.st_size, "nothing refers to it")]
    finally:
        segment.close()


def retire(board: Board) -> bool:
    """Do the last work of a recorder for a board that no process uses: write its last state, remove its segment.

    This process gives up its own identity on the board first. If another process uses the board, or it has a recorder,
    nothing is done, and False is returned. Raises OSError, NoSpace, LockTimeout and BoardElsewhere where the state
    cannot be written.
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
        done = False
        for _ in range(segment.capacity):  # at most: each time more is archived, and others get the lock in between
            done = recorder.finish()
            if done or not recorder.is_behind:
                break
            segment.beat()
        if not done and recorder.problem is not None:
            raise recorder.problem
        return done
    finally:
        recorder.resign()


def _gc_files(directory: Path, dry_run: bool) -> list[Removed]:
    """Remove what killed processes left: notes on a segment that was being made or removed, unfinished files."""
    removed = []
    if any(directory.glob(".segment.*")):
        with locks.locked(directory):  # only the holder of this lock may have such notes
            notes = {path: path.lstat().st_size for path in sorted(directory.glob(".segment.*"))}
            if not dry_run:
                segments.end_unfinished(directory)
            gone = [path for path in notes if dry_run or not os.path.lexists(path)]
            removed = [Removed("file", str(path), notes[path], "its writer was killed") for path in gone]
    abandoned = history.remove_abandoned(directory, dry_run=dry_run)
    return removed + [Removed("file", str(path), size, "its writer was killed") for path, size in abandoned.items()]


def remove(
    name: str,
    *,
    files: bool = True,
    force: bool = False,
    older_than_s: float | None = None,
    dry_run: bool = False,
) -> list[Removed]:
    """Remove a board, and with files=True its snapshots and its history. Returns what went.

    force: even if it is damaged or in use; processes that use it go on, and their counts are lost. older_than_s: only
    if nobody uses it, and neither a program nor a recorder has written to it for so many seconds; else nothing is done.
    dry_run: remove nothing, return what would go. Raises UnknownBoard; without force HeadwayError that names the pids
    if it is in use, and CorruptBoard, LayoutMismatch and such if it is damaged.
    """
    directory = paths.board_directory(name)
    for _ in range(segments.TRIES):
        with contextlib.suppress(FileNotFoundError):  # it does not exist, or another process has just removed it
            return _remove(directory, name, files, force, older_than_s, dry_run)
        if not directory.is_dir():
            break
    raise unknown(name)


def _remove(
    directory: Path, name: str, files: bool, force: bool, older_than_s: float | None, dry_run: bool
) -> list[Removed]:
    removed: list[Removed] = []
    with locks.locked(directory):  # all of it: anything that appears later belongs to another board of this name
        if older_than_s is not None and not _is_older(directory, older_than_s):
            return []
        uuid = None
        try:
            uuid = segments.referenced(directory)
        except errors.CorruptBoard:
            if not force:
                raise
        if uuid is not None:
            removed += _remove_segment(name, uuid, force, dry_run)
        if not dry_run:
            (directory / "segment").unlink(missing_ok=True)
        if files:
            found = snapshot_files(directory) | history.files(directory)
            removed += [Removed("file", str(path), size, "asked for") for path, size in found.items()]
            if not dry_run:
                files_of_boards.remove(directory)
    return removed


def _is_older(directory: Path, seconds: float) -> bool:
    """Has nobody written to this board for so long, and does no process use it? Call it with the directory's lock."""
    before = time.time() - seconds
    last = last_sign_of_life(directory)
    if last is None or last > before or locks.lock_holder(directory) is not None:  # it may be on another machine
        return False
    uuid = segments.referenced(directory)
    if uuid is None:
        return True
    if in_use(directory.name, uuid):
        return False
    board = attach(directory.name)
    if board is None:
        return True
    with contextlib.closing(board):  # without a recorder no file tells when its tasks were last alive
        return all(max(task.beat or 0.0, task.created or 0.0) <= before for task in board.snapshot().tasks)


def _remove_segment(name: str, uuid: str, force: bool, dry_run: bool) -> list[Removed]:
    object_name = segments.object_name(name, uuid)
    size = 0
    try:
        segment = segments.attach(object_name, watching=True)
    except (FileNotFoundError, errors.NotOwner):
        return []  # another user may have taken its name, which all can see: do not remove their object
    except errors.HeadwayError:
        if not force:
            raise
    else:
        try:
            size = segment.size
            if not force and not dry_run:
                segment.announce_retirement()  # first: whoever opens the board now sees this, or is seen below
            if not force and memory_in_use(memory(object_name)):
                if not dry_run:
                    segment.announce_retirement(False)
                workers = Board(segment, Path(segment.directory)).snapshot().workers
                pids = ", ".join(str(worker.pid) for worker in workers if worker.alive)
                who = f"pid {pids}" if pids else "a process that has not counted yet"
                raise errors.HeadwayError(f"board {name!r} is in use by {who}: end that process first, or use --force")
            if not dry_run:
                segment.retire()
        finally:
            segment.close()
    if not dry_run:
        shm.remove_objects(object_name)
    return [Removed("segment", object_name, size, "asked for")]
