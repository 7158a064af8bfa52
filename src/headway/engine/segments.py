"""A board's segment and semaphore as named objects: create, attach, validate, remove.

The name of a segment is /headway-<uid>-<board>-<uuid>, its semaphore has the same name. The file `segment` in the
board's directory holds the uuid in use. Any user could occupy a fixed name in advance; nobody can guess this one.

Creation is serialised by a lock on `board.lock` in the same directory, which the kernel releases when its holder dies.
First the uuid is written to a file `.segment.*`, then the segment is built, then it is published by renaming that file
to `segment`; removal begins by renaming it back. So a process that is killed at any step leaves that file, and the next
process that creates the board, or `headway gc`, removes the unfinished segment.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import posix_ipc

from headway import errors
from headway.engine import uses
from headway.native import core
from headway.system import descriptors, locks, machine, paths, shm

__all__ = [
    "attach",
    "end_unfinished",
    "join",
    "object_name",
    "open_or_create",
    "publish",
    "referenced",
    "remove",
    "unlink",
]

Fill: TypeAlias = Callable[[core.Segment, Path], object]
_NO_SEGMENT = (errno.ELOOP, errno.EISDIR, errno.ENXIO)  # errors of opening a link, a folder or a socket
TRIES = 64  # to lock a directory that other processes keep removing and making again


def object_name(board: str, uuid: str) -> str:
    """The name of the segment and of the semaphore of a board with this uuid."""
    return f"/headway-{os.geteuid()}-{board}-{uuid}"


def referenced(directory: Path) -> str | None:
    """The uuid in use, from the file `segment` of a board's directory; None if there is none.

    Raises CorruptBoard if the file holds anything else, NotOwner if it belongs to another user, OSError if it cannot be
    read at the moment.
    """
    return _uuid_in(directory / "segment")


def _uuid_in(path: Path) -> str | None:
    try:
        fd = descriptors.open_file(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in (*_NO_SEGMENT, errno.EACCES):  # a disk error, no free descriptor: not damaged
            raise
        if error.errno == errno.EACCES:
            told = paths.closed(path.parent) or f"{path} cannot be read ({error.strerror}): chmod u+rw '{path}'"
            raise errors.CorruptBoard(told) from error
        raise errors.CorruptBoard(f"{path} cannot be read ({error.strerror}): remove it") from error
    try:
        found = os.fstat(fd)
        if found.st_uid != os.geteuid():
            raise errors.NotOwner(f"{path} belongs to user {found.st_uid}: choose another place with HEADWAY_DIR")
        text = os.read(fd, 64).decode("ascii", "replace") if stat.S_ISREG(found.st_mode) else ""
    finally:
        os.close(fd)
    uuid = text.strip()
    if len(uuid) != 32 or any(digit not in "0123456789abcdef" for digit in uuid):
        raise errors.CorruptBoard(
            f"{path} does not name a segment: remove it with 'headway rm --force {path.parent.name}'"
        )
    return uuid


def attach(name: str, *, watching: bool = False) -> core.Segment:
    """Attach to the segment of this name. watching: only to read, without a row in the process table.

    Raises FileNotFoundError if there is none; CorruptBoard, LayoutMismatch, NotOwner or BoardElsewhere if it cannot be
    trusted or used, each with the remedy.
    """
    try:
        fd = shm.open_file(name)
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "no such segment", name) from None
    except PermissionError:
        raise errors.NotOwner(f"segment {name} belongs to another user: use a board of your own") from None
    except OSError as error:
        if error.errno not in _NO_SEGMENT:
            raise shm.told(error, name) from None
        shm.check_owner((shm.SHM / name[1:]).lstat(), name)
        raise errors.CorruptBoard(f"segment {name} is not a regular file: remove it from {shm.SHM}") from None
    try:
        segment = core.Segment(fd, shm.check_file(fd, name), name)
    except OSError as error:
        raise shm.told(error, name) from None
    finally:
        os.close(fd)
    if not name.endswith(f"-{segment.name}-{segment.uuid}"):
        segment.close()
        raise errors.CorruptBoard(
            f"segment {name} calls itself {segment.name}-{segment.uuid}: it was renamed; remove it"
        )
    ours = machine.namespace("time")
    if ours and segment.time_namespace not in (0, ours):  # 0: unknown
        segment.close()
        raise errors.BoardElsewhere(
            f"board {segment.name!r} was made in another time namespace, whose clock cannot be compared with this one: "
            f"use a board of another name here"
        )
    try:
        shm.ensure_semaphore(name)
    except BaseException:
        segment.close()
        raise
    segment.use_semaphore(name)
    segment.watching = watching
    return segment


def _create(
    directory: Path, board: str, capacity: int, workers: int, result_bytes: int, fill: Fill | None
) -> core.Segment:
    """Build and publish a segment. The board's lock is held."""
    uuid = os.urandom(16).hex()
    name = object_name(board, uuid)
    size = core.segment_bytes(capacity, workers, result_bytes)
    shm.check_room(size, name)
    note = _noted(directory, uuid)
    segment: core.Segment | None = None
    try:
        with shm.room_for(size, name):
            memory = shm.new_file(name, size)
        try:
            core.format_segment(
                memory,
                capacity=capacity,
                workers=workers,
                result_bytes=result_bytes,
                uuid=bytes.fromhex(uuid),
                boot_id=machine.boot_id(),
                pid_namespace=machine.namespace("pid"),
                time_namespace=machine.namespace("time"),
                created_ns=time.time_ns(),
                name=board.encode(),
                directory=os.fsencode(directory),
            )
        finally:
            os.close(memory)
        # The segment's name is visible by now, so another user may have created the semaphore's name: go on without it.
        with shm.room_for(size, name), suppress(FileExistsError):
            core.make_semaphore(name)
            os.chmod(shm.SHM / f"sem.{name[1:]}", 0o600)
        segment = attach(name)
        if fill is not None:
            fill(segment, directory)
        segment.register(with_row=False)
        os.rename(note, directory / "segment")  # publishes
    except BaseException:
        if segment is not None:
            segment.retire()  # Ctrl-C may have come after it was published, and other processes may have joined
        shm.remove_objects(name)
        note.unlink(missing_ok=True)
        raise
    return segment


def publish(directory: Path, segment: core.Segment) -> None:
    """Name this segment as the one in use, in a directory that was made anew under it. The board's lock is held."""
    os.rename(_noted(directory, segment.uuid), directory / "segment")


def _noted(directory: Path, uuid: str) -> Path:
    """Write the uuid of a segment that is about to be made to a file. The board's lock is held. Returns the file."""
    note = _note(directory, uuid)
    fd = descriptors.open_file(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW)
    try:
        descriptors.close_to_others(fd, note)
        os.write(fd, f"{uuid}\n".encode())
        descriptors.to_disk(fd)
    except BaseException:
        note.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    return note


def _note(directory: Path, uuid: str) -> Path:
    return directory / f".segment.{os.getpid()}.{uuid[:8]}"


def end_unfinished(directory: Path) -> None:
    """Remove segments that killed processes were creating or removing. The board's lock is held."""
    for note in directory.glob(".segment.*"):
        uuid = None
        with suppress(errors.HeadwayError, OSError):  # killed before it wrote the uuid
            uuid = _uuid_in(note)
        with suppress(posix_ipc.Error, OSError):  # what cannot be removed belongs to another user
            if uuid is not None:
                shm.remove_objects(object_name(directory.name, uuid))
            note.unlink()


def join(directory: Path, board: str, *, locked: bool = False) -> core.Segment | None:
    """Attach to the segment in use and register on it; None if there is none (any more), or it is being retired.

    This process registers first and then checks whether the segment is being retired. A process that retires it
    announces that first and then checks who is registered. So at least one of the two sees the other.
    locked: the board's lock is held, so no live process is retiring the segment: an announcement was left by a process
    that was killed, and is withdrawn; a removal that was begun is completed.
    """
    uuid = referenced(directory)
    if uuid is None:
        return None
    try:
        segment = attach(object_name(board, uuid))
    except (FileNotFoundError, errors.NotOwner):
        return None  # our segment is gone; a file of another user under its name does not matter
    try:
        segment.register(with_row=False)
        if locked and segment.retired:
            remove(directory, segment)
        elif locked:
            segment.announce_retirement(False)
        joined = not segment.retiring
    except BaseException:
        segment.close()
        raise
    if joined:
        return segment
    segment.close()
    return None


def open_or_create(
    board: str, *, capacity: int, workers: int, result_bytes: int, fill: Fill | None = None
) -> tuple[core.Segment, Path, bool]:
    """Attach to a board's segment and register on it, or create it. Returns (segment, directory, created).

    fill: called with a new segment and the directory before the segment is published. Raises what `attach` raises;
    NoSpace if /dev/shm or the disk is full, UnusableDirectory if the board's cannot be used, BoardElsewhere if another
    machine or container uses the directory, LockTimeout, OSError.
    """
    tries = 0
    while True:
        tries += 1
        try:
            return _open_or_create(board, capacity, workers, result_bytes, fill)
        except errors.HeadwayError:
            raise
        except OSError as error:
            # Another process removed the board's directory after this one had made it or read it: try again.
            if not isinstance(error, FileNotFoundError) or tries == TRIES:
                raise (paths.unusable(error) or shm.told(error, paths.board_directory(board))) from error


def _open_or_create(
    board: str, capacity: int, workers: int, result_bytes: int, fill: Fill | None
) -> tuple[core.Segment, Path, bool]:
    directory = paths.board_directory(board, create=True)
    segment = join(directory, board)
    if segment is not None:
        return segment, directory, False
    with locks.locked(directory):
        segment = join(directory, board, locked=True)
        if segment is not None:
            return segment, directory, False
        unseen = None
        if referenced(directory) is not None:
            if (user := locks.elsewhere(directory)) is not None:
                raise errors.BoardElsewhere(
                    f"board {board!r} is in use by {user}, whose {shm.SHM} is that of another machine or container: "
                    f"both would write to {directory}; give each machine or container a HEADWAY_DIR of its own, or "
                    f"each board another name"
                )
            unseen = locks.user(directory)  # it goes on with a segment that nobody else finds: somebody removed it
        end_unfinished(directory)
        segment = _create(directory, board, capacity, workers, result_bytes, fill)
        uses.begin(directory, segment.uuid)  # before the lock is released: the next container in line asks for it
    if unseen is not None:
        errors.tell(
            f"board {board!r} begins anew from its files, as its segment was removed from {shm.SHM}; {unseen} still "
            f"counts on that one, unseen, and is called lost here: end that program, see 'headway doctor {board}'"
        )
    return segment, directory, True


def remove(directory: Path, segment: core.Segment) -> None:
    """Retire and remove a segment. The board's lock is held. If killed here, the next opener completes the removal."""
    segment.retire()
    note = _note(directory, segment.uuid)
    if referenced(directory) == segment.uuid:
        os.rename(directory / "segment", note)
    shm.remove_objects(object_name(segment.name, segment.uuid))
    note.unlink(missing_ok=True)


def unlink(directory: Path, segment: core.Segment, also: Callable[[Path], object] | None = None) -> None:
    """Retire and remove a board's segment, even while it is in use. also: called with the directory, under the lock."""
    try:
        for _ in range(TRIES):
            try:
                with locks.locked(directory):
                    remove(directory, segment)
                    if also is not None:
                        also(directory)
                    return
            except FileNotFoundError:  # the directory was removed; it may have been made again
                if not directory.is_dir():
                    break
        remove(directory, segment)  # without a directory nobody finds the board
    finally:
        uses.end(directory, segment.uuid)
